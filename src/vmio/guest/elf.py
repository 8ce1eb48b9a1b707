"""Two questions to an ELF file: which libraries it needs, and what a kernel module says of itself.

Running the unpacked loader with `--list` would answer the first one too, but it runs a program
that was just downloaded, and only where the host's architecture and kernel suit it; `modinfo` is
not on every host. Both answers stand in one section each.

Source: System V ABI, chapters 4 (object files) and 5 (dynamic linking); 64-bit little-endian only.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from vmio.errors import InputError

__all__ = ["parse_modinfo", "parse_needed"]

_MAGIC = b"\x7fELF\x02\x01"  # 64-bit, little-endian
_SHT_DYNAMIC = 6
_DT_NULL = 0
_DT_NEEDED = 1

_BROKEN = (struct.error, IndexError, OverflowError, ValueError)


class _Section(NamedTuple):
    name_offset: int
    kind: int
    offset: int
    size_bytes: int
    link: int


def parse_needed(elf: bytes, name: str) -> tuple[str, ...]:
    """Lists the sonames of the libraries that a program or library is linked with.

    Args:
        elf: The file's bytes.
        name: What to call the file in an error.

    Raises:
        InputError: The bytes are no ELF file of this kind.
    """
    try:
        sections = _parse_sections(elf)
        needed: list[str] = []
        for section in sections:
            if section.kind == _SHT_DYNAMIC:
                strings = sections[section.link].offset
                for tag, value in _iterate_dynamic(elf, section):
                    if tag == _DT_NEEDED:
                        needed.append(_parse_string(elf, strings + value))
        return tuple(needed)
    except _BROKEN as error:
        raise InputError(f"{name}: not a 64-bit ELF file that vmio can read") from error


def parse_modinfo(elf: bytes, name: str) -> dict[str, str]:
    """Reads the key=value pairs that a kernel module carries; the last one wins.

    Args:
        elf: The module's bytes.
        name: What to call the module in an error.

    Raises:
        InputError: The bytes are no kernel module.
    """
    try:
        sections = _parse_sections(elf)
        (names_index,) = struct.unpack_from("<H", elf, 62)
        names = sections[names_index].offset
        for section in sections:
            if _parse_string(elf, names + section.name_offset) == ".modinfo":
                text = elf[section.offset : section.offset + section.size_bytes]
                pairs = (item.partition("=") for item in text.decode("latin-1").split("\0"))
                return {key: value for key, _, value in pairs if key}
    except _BROKEN as error:
        raise InputError(f"{name}: not a kernel module that vmio can read") from error
    raise InputError(f"{name}: an ELF file, but not a kernel module")


def _parse_sections(elf: bytes) -> list[_Section]:
    if not elf.startswith(_MAGIC):
        raise ValueError
    (table,) = struct.unpack_from("<Q", elf, 40)
    entry_bytes, count = struct.unpack_from("<HH", elf, 58)
    sections = []
    for index in range(count):
        name, kind, _, _, offset, size, link = struct.unpack_from(
            "<IIQQQQI", elf, table + index * entry_bytes
        )
        sections.append(_Section(name, kind, offset, size, link))
    return sections


def _iterate_dynamic(elf: bytes, section: _Section) -> Iterator[tuple[int, int]]:
    for offset in range(section.offset, section.offset + section.size_bytes, 16):
        tag, value = struct.unpack_from("<QQ", elf, offset)
        if tag == _DT_NULL:
            return
        yield tag, value


def _parse_string(elf: bytes, offset: int) -> str:
    return elf[offset : elf.index(b"\0", offset)].decode("ascii")
