"""The `machine:` setting, and the revisions that Proxmox adds to QEMU's machine versions.

Source: qemu-server 9.2.6.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from attrs import frozen

from vmio.model.vm import Chipset

__all__ = ["Machine", "is_windows", "parse_machine", "parse_version"]

_VERSION = re.compile(
    r"-(\d{1,3})\.(\d{1,3})(?:\.\d{1,3})?(?:\+pve(\d{1,3}))?(?:\.pxe)?$", re.ASCII
)
_NEWEST_REVISION: Mapping[tuple[int, int], int] = {(4, 1): 2, (9, 2): 1, (10, 0): 1, (11, 0): 2}
_WINDOWS_DEFAULT = (5, 1)
_WINDOWS_PINNED_SINCE = (9, 1)


@frozen(kw_only=True)
class Machine:
    """The machine that a guest gets."""

    type: str
    """As `-machine type=` takes it, without Proxmox's own suffix."""
    chipset: Chipset
    version: tuple[int, int]
    revision: int = 0
    """Proxmox's own, `+pveN`."""

    def is_at_least(self, major: int, minor: int, revision: int = 0) -> bool:
        """Returns whether the machine is of a version and Proxmox revision, or a later one."""
        return (*self.version, self.revision) >= (major, minor, revision)

    def needed_revision(self, *features: tuple[tuple[int, int], int]) -> int:
        """Returns the revision that the features in use ask for.

        A feature is the version and revision that brought it; a later version has it anyway.
        """
        needed = (revision for version, revision in features if version == self.version)
        return max(needed, default=0)


def parse_version(text: str) -> tuple[int, int]:
    """Returns major and minor of a QEMU version such as `10.0.2`; (0, 0) where it is none."""
    match = re.match(r"(\d{1,3})\.(\d{1,3})", text, re.ASCII)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def is_windows(ostype: str) -> bool:
    """Returns whether an `ostype` is one of Windows."""
    return ostype.startswith("win") or ostype in {"w2k", "w2k3", "w2k8", "wvista", "wxp"}


def parse_machine(
    written: str, *, installed: tuple[int, int], windows: bool = False, creation_qemu: str = ""
) -> Machine:
    """Returns the machine that a `machine:` setting means.

    Args:
        written: The setting; empty where there is none.
        installed: The version of the installed QEMU.
        windows: Whether the guest is one; Windows stays on the version it was installed on.
        creation_qemu: The QEMU version that the VM was made with.
    """
    kind = written.partition(",")[0].removeprefix("type=")
    chipset: Chipset = "i440fx"
    if kind.startswith("virt"):
        chipset = "virt"
    elif "q35" in kind:
        chipset = "q35"
    match = _VERSION.search(kind)
    if match is not None:
        version = (int(match[1]), int(match[2]))
        return Machine(
            type=re.sub(r"\+pve\d+", "", kind).removesuffix(".pxe"),
            chipset=chipset,
            version=version,
            revision=int(match[3] or 0),
        )
    version = installed
    type_ = kind or "pc"
    if windows:
        created = parse_version(creation_qemu)
        version = created if created >= _WINDOWS_PINNED_SINCE else _WINDOWS_DEFAULT
        version = min(version, installed)
        prefix = {"i440fx": "pc-i440fx", "q35": "pc-q35", "virt": "virt"}[chipset]
        type_ = f"{prefix}-{version[0]}.{version[1]}"
    return Machine(
        type=type_,
        chipset=chipset,
        version=version,
        revision=_NEWEST_REVISION.get(version, 0),
    )
