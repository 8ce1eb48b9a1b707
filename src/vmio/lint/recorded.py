"""What is recorded of QEMU's devices, as the rules about unknown ones ask for it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from vmio.model.host import Host

if TYPE_CHECKING:
    from vmio.formats.qemu.catalogue import Catalogue

__all__ = ["Suggestions", "find_releases", "name_qemu", "name_range"]

_MAX_SUGGESTIONS = 16
"""Of a guest; each costs up to some ten milliseconds."""
_MAX_CHARACTERS = 64
_CUTOFF = 0.75


class Suggestions:
    """What may have been meant by names that are none, for as many as there is time for."""

    def __init__(self) -> None:
        self._found: dict[str, str] = {}

    def find(self, name: str, known: Iterable[str]) -> str:
        """Returns the name that is nearest to one; empty where none is near."""
        if name in self._found:
            return self._found[name]
        if len(self._found) >= _MAX_SUGGESTIONS or len(name) > _MAX_CHARACTERS:
            return ""
        from difflib import get_close_matches

        names = sorted(known)
        dashed = name.replace("_", "-")
        same = [each for each in names if each.replace("_", "-") == dashed]
        close = same or get_close_matches(name, names, n=1, cutoff=_CUTOFF)
        self._found[name] = found = close[0] if close else ""
        return found


def find_releases(catalogue: Catalogue, host: Host) -> tuple[str, ...]:
    """Returns the recorded releases that something must hold in to hold on a host."""
    version = host.qemu_version or host.pve_qemu_version
    return catalogue.find_releases(version)


def name_qemu(host: Host) -> str:
    """Returns the QEMU of a host with its version, if that is known."""
    version = host.qemu_version or host.pve_qemu_version
    return "QEMU" if version is None else f"QEMU {version}"


def name_range(host: Host, releases: Sequence[str]) -> str:
    """Returns what a claim is about where the version is not known; empty where it is."""
    if host.qemu_version is not None or host.pve_qemu_version is not None:
        return ""
    return f" in any release from {releases[0]} to {releases[-1]}"
