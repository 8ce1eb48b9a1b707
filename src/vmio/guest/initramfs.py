"""The guest's only file system: an archive that the kernel unpacks into memory.

Everything here is computed from bytes: the same inputs give the same archive on every host, so
root is not needed for device nodes and owners, and a cache can identify an image by its inputs.
"""

from __future__ import annotations

import lzma
import posixpath
import re
from collections.abc import Iterable
from typing import Literal

from msgspec import Struct

from vmio.errors import CapabilityError, InputError
from vmio.guest.elf import parse_modinfo, parse_needed
from vmio.guest.packages import Files

__all__ = [
    "DRIVERS",
    "LIBRARIES",
    "LOADER",
    "Entry",
    "Modules",
    "render_cpio",
    "resolve_libraries",
    "resolve_modules",
]

DRIVERS = (
    "virtio_pci",
    "virtio_console",
    "sd_mod",
    "sr_mod",
    "virtio_blk",
    "virtio_scsi",
    "ata_piix",
    "ahci",
    "sym53c8xx",
    "megaraid_sas",
    "vmw_pvscsi",
)
"""Drivers that the guest loads if its kernel has them: one for each controller of a plan."""

LOADER = "lib64/ld-linux-x86-64.so.2"
LIBRARIES = "lib/x86_64-linux-gnu"


class Entry(Struct, frozen=True, kw_only=True):
    """One entry of the archive.

    Args:
        path: Its path, without a leading slash.
        kind: Its type.
        mode: Its permission bits.
        data: A file's bytes or a link's target.
        device: Major and minor number of a device node.
    """

    path: str
    kind: Literal["folder", "file", "link", "node"]
    mode: int = 0o755
    data: bytes = b""
    device: tuple[int, int] = (0, 0)


class Modules(Struct, frozen=True, kw_only=True):
    """Kernel modules in the order in which they must be loaded.

    Args:
        files: The modules' bytes, by name, each after those that it requires.
        absent: Requested drivers that this kernel has neither as a module nor built in.
    """

    files: dict[str, bytes]
    absent: tuple[str, ...]


_KINDS = {"folder": 0o040000, "file": 0o100000, "link": 0o120000, "node": 0o020000}
_TRAILER = "TRAILER!!!"


def render_cpio(entries: Iterable[Entry]) -> bytes:
    """Renders a newc archive, owned by root and dated 1970, with every parent folder before.

    Source: the Linux kernel's Documentation/driver-api/early-userspace/buffer-format.rst.
    """
    named = {entry.path: entry for entry in entries}
    for path in tuple(named):
        while path := posixpath.dirname(path):
            named.setdefault(path, Entry(path=path, kind="folder"))
    out = bytearray()
    # Sorted by parts, a folder comes before its content.
    for number, path in enumerate(sorted(named, key=lambda p: p.split("/")), 1):
        entry = named[path]
        _append_entry(out, path, _KINDS[entry.kind] | entry.mode, number, entry)
    _append_entry(out, _TRAILER, 0, 0, Entry(path=_TRAILER, kind="file"))
    return bytes(out)


def _append_entry(out: bytearray, path: str, mode: int, number: int, entry: Entry) -> None:
    name = path.encode() + b"\0"
    size_bytes = len(entry.data)
    major, minor = entry.device
    # inode, mode, uid, gid, links, mtime, size, device of the file, device of a node, name, check
    fields = (number, mode, 0, 0, 1, 0, size_bytes, 0, 0, major, minor, len(name), 0)
    out += b"070701" + b"".join(b"%08X" % field for field in fields) + name
    out += b"\0" * (-len(out) % 4)
    out += entry.data
    out += b"\0" * (-len(out) % 4)


def resolve_libraries(programs: dict[str, bytes], files: Files) -> dict[str, bytes]:
    """Finds the libraries that programs are linked with, directly and indirectly.

    Returns:
        The libraries' bytes by soname.

    Raises:
        CapabilityError: A library is not in any of the packages.
        InputError: One of them is not an ELF file.
    """
    found: dict[str, bytes] = {}
    todo = [(name, soname) for name, elf in programs.items() for soname in parse_needed(elf, name)]
    while todo:
        user, soname = todo.pop()
        if soname in found:
            continue
        data = files.find(soname)
        if data is None:
            raise CapabilityError(
                f"{user} needs {soname}, which none of its packages has",
                hint="give your own guest with --kernel and --initrd",
            )
        found[soname] = data
        todo.extend((soname, needed) for needed in parse_needed(data, soname))
    return found


def resolve_modules(drivers: Iterable[str], files: Files) -> Modules:
    """Orders the modules of drivers and those that they require, each after its requirements.

    The package contains no modules.dep: depmod writes it when a kernel is installed. Each module
    lists its requirements in its own `depends=`, which depmod reads too.

    Raises:
        InputError: A module cannot be read.
    """
    paths = {
        _module_name(path): path
        for path in files.contents
        if re.search(r"\.ko(\.(xz|gz|zst))?$", path)
    }
    builtin = {
        _module_name(line)
        for path, data in files.contents.items()
        if posixpath.basename(path) == "modules.builtin"
        for line in data.decode(errors="replace").split()
    }
    ordered: dict[str, bytes] = {}
    absent = []

    def add(name: str, asking: tuple[str, ...]) -> None:
        if name in ordered or name in builtin or name in asking:
            return
        if name not in paths:
            raise InputError(f"the kernel package lacks the module {name}")
        data = _decompress(paths[name], files.contents[paths[name]])
        for needed in parse_modinfo(data, name).get("depends", "").split(","):
            if needed:
                add(needed.replace("-", "_"), (*asking, name))
        ordered[name] = data

    for driver in drivers:
        if driver in paths or driver in builtin:
            add(driver, ())
        else:
            absent.append(driver)
    return Modules(files=ordered, absent=tuple(absent))


def _module_name(path: str) -> str:
    return posixpath.basename(path).partition(".")[0].replace("-", "_")


def _decompress(path: str, data: bytes) -> bytes:
    """Decompresses a module: Debian 12 leaves them uncompressed, 13 uses xz."""
    if path.endswith(".ko"):
        return data
    if path.endswith(".xz"):
        try:
            return lzma.decompress(data)
        except lzma.LZMAError as error:
            raise InputError(f"{path}: not a module packed with xz") from error
    raise InputError(f"{path}: vmio cannot unpack this kind of module")
