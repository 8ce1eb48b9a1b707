"""The `machine:` setting, and the revisions that Proxmox adds to QEMU's machine versions.

Source: qemu-server 9.2.6.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

from msgspec import Struct

from vmio.formats.proxmox.properties import read_properties
from vmio.model.machine import Chipset
from vmio.patterns import compile_late

__all__ = [
    "BLOCKDEV_SINCE",
    "WINDOWS_7",
    "WINDOWS_8",
    "WINDOWS_11",
    "WINDOWS_VISTA",
    "WINDOWS_XP",
    "Machine",
    "is_windows",
    "newest_revision",
    "parse_machine",
    "parse_series",
    "windows_version",
]

_VERSION = compile_late(
    r"-(\d{1,3})\.(\d{1,3})(?:\.\d{1,3})?(?:\+pve(\d{1,3}))?(?:\.pxe)?$", re.ASCII
)
_RELEASE = compile_late(r"(\d{1,3})\.(\d{1,3})", re.ASCII)
_REVISION = compile_late(r"\+pve\d+")
_NEWEST_REVISION: Mapping[tuple[int, int], int] = {(4, 1): 2, (9, 2): 1, (10, 0): 1, (11, 0): 2}
BLOCKDEV_SINCE = (10, 0)
"""The first machine version whose disks are `-blockdev`s."""

WINDOWS_XP, WINDOWS_VISTA, WINDOWS_7, WINDOWS_8, WINDOWS_11 = 5, 6, 7, 8, 11
"""Windows versions as Proxmox counts them; servers have the number of their desktops."""

_WINDOWS: Mapping[str, int] = {
    "w2k": WINDOWS_XP,
    "wxp": WINDOWS_XP,
    "w2k3": WINDOWS_XP,
    "w2k8": WINDOWS_VISTA,
    "wvista": WINDOWS_VISTA,
}
_WINDOWS_NUMBER = compile_late(r"win(\d{1,4})", re.ASCII)
_UNVERSIONED = frozenset({"", "pc", "q35", "virt"})
_WINDOWS_DEFAULT = (5, 1)
_WINDOWS_PINNED_SINCE = (9, 1)


class Machine(Struct, frozen=True, kw_only=True):
    """The machine that a guest gets."""

    type: str
    """In the form of `-machine type=`, without Proxmox's own suffix."""
    chipset: Chipset
    version: tuple[int, int]
    revision: int = 0
    """Proxmox's own revision, `+pveN`."""
    is_versioned: bool = False
    """Whether the setting names a version, so that a newer QEMU changes nothing."""
    is_pxe: bool = False
    """Whether it is an old type whose network devices have boot ROMs of their own."""

    def is_at_least(self, major: int, minor: int, revision: int = 0) -> bool:
        """Returns whether the machine is of a version and Proxmox revision, or a later one."""
        return (*self.version, self.revision) >= (major, minor, revision)

    def needed_revision(self, *features: tuple[tuple[int, int], int]) -> int:
        """Returns the revision that the features in use need.

        A feature is given as the version and revision that introduced it; later versions have it,
        and earlier revisions do not.
        """
        return max(
            (
                revision
                for version, revision in features
                if version == self.version and revision <= self.revision
            ),
            default=0,
        )


def parse_series(text: str) -> tuple[int, int]:
    """Returns major and minor of the QEMU that `creation-qemu` names; (0, 0) if it names none."""
    match = _RELEASE.match(text)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def newest_revision(version: tuple[int, int]) -> int:
    """Returns the newest revision that Proxmox has added to a version; 0 for QEMU's version."""
    return _NEWEST_REVISION.get(version, 0)


def windows_version(ostype: str) -> int:
    """Returns the Windows that an `ostype` stands for, as Proxmox counts; 0 for all others."""
    match = _WINDOWS_NUMBER.fullmatch(ostype) if ostype.startswith("win") else None
    return int(match[1]) if match else _WINDOWS.get(ostype, 0)


def is_windows(ostype: str) -> bool:
    """Returns whether an `ostype` is a Windows."""
    return windows_version(ostype) > 0


@lru_cache(maxsize=256)
def parse_machine(
    written: str,
    *,
    running: str = "",
    installed: tuple[int, int],
    arch: str = "x86_64",
    windows: bool = False,
    creation_qemu: str = "",
) -> Machine:
    """Returns the machine for a `machine:` setting.

    Args:
        written: The setting; empty if there is none.
        running: The machine that a snapshot's guest was running on, which is used instead; the
            kind of machine still follows from the setting.
        installed: The version of the installed QEMU.
        arch: The guest's architecture, for the default type.
        windows: Whether the guest is Windows, which keeps the version it was installed on.
        creation_qemu: The QEMU version that the VM was created with.
    """
    own = read_properties("machine", written).get("type", "")
    kind = running or own
    default = "virt" if arch == "aarch64" else "pc"
    type_ = _REVISION.sub("", kind) or default
    chipset: Chipset = "i440fx"
    if (own or default).startswith("virt"):
        chipset = "virt"
    elif "q35" in own:
        chipset = "q35"
    match = _VERSION.search(kind)
    if match is not None:
        return Machine(
            type=type_.removesuffix(".pxe"),
            chipset=chipset,
            version=(int(match[1]), int(match[2])),
            revision=int(match[3] or 0),
            is_versioned=own not in _UNVERSIONED,
            is_pxe=type_.endswith(".pxe"),
        )
    if not windows or kind not in _UNVERSIONED:
        revision = newest_revision(installed)
        return Machine(type=type_, chipset=chipset, version=installed, revision=revision)
    version, revision = parse_series(creation_qemu), 0
    if version < _WINDOWS_PINNED_SINCE:
        version = _WINDOWS_DEFAULT
    if version > installed:
        version, revision = installed, newest_revision(installed)
    prefix = {"i440fx": "pc-i440fx", "q35": "pc-q35", "virt": "virt"}[chipset]
    return Machine(
        type=f"{prefix}-{version[0]}.{version[1]}",
        chipset=chipset,
        version=version,
        revision=revision,
    )
