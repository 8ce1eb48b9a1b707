"""What the rules about unknown devices and properties share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from vmio.model.host import Host

if TYPE_CHECKING:
    from vmio.formats.qemu.catalogue import Catalogue

__all__ = ["Suggestions", "find_releases", "name_qemu", "name_range"]

_MAX_SUGGESTIONS = 16
"""For each guest; a suggestion costs up to some ten milliseconds."""
_MAX_CHARACTERS = 64
_CUTOFF = 0.75


class Suggestions:
    """Finds the known name that a misspelled one was probably meant to be.

    Only the first few names of a guest are looked up, since each comparison takes time.

    Args:
        cutoff: How alike two names have to be: from 0 to 1, at which they are the same.
    """

    def __init__(self, *, cutoff: float = _CUTOFF) -> None:
        self._cutoff = cutoff
        self._found: dict[str, str] = {}

    def find(self, name: str, known: Iterable[str]) -> str:
        """Returns the most similar name; empty if none is similar."""
        if name in self._found:
            return self._found[name]
        if len(self._found) >= _MAX_SUGGESTIONS or len(name) > _MAX_CHARACTERS:
            return ""
        from difflib import get_close_matches

        names = sorted(known)
        dashed = name.replace("_", "-")
        same = [each for each in names if each.replace("_", "-") == dashed]
        close = same or get_close_matches(name, names, n=1, cutoff=self._cutoff)
        self._found[name] = found = close[0] if close else ""
        return found


def find_releases(catalogue: Catalogue, host: Host, arch: str = "") -> tuple[str, ...]:
    """Returns the recorded releases that apply to a host: all of them must agree.

    Args:
        catalogue: The recorded releases.
        host: The host; if its QEMU is not known, every release applies.
        arch: The architecture for which the devices have to be recorded; empty for any.
    """
    version = host.qemu_version or host.pve_qemu_version
    found = catalogue.find_releases(version)
    known = tuple(each for each in found if not arch or catalogue.knows_target(arch, each))
    # A single neighbour does not show what holds between the two.
    return known if version is None or known == found else ()


def name_qemu(host: Host) -> str:
    """Returns the QEMU of a host with its version, if that is known."""
    version = host.qemu_version or host.pve_qemu_version
    return "QEMU" if version is None else f"QEMU {version}"


def name_range(host: Host, releases: Sequence[str]) -> str:
    """Returns which releases a finding applies to; empty if the host's version is known."""
    if host.qemu_version is not None or host.pve_qemu_version is not None:
        return ""
    return f" in any release from {releases[0]} to {releases[-1]}"
