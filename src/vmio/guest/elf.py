"""Reads from ELF files the libraries that a program needs and the info of a kernel module.

Running the unpacked loader with `--list` would also list the libraries, but it runs a program that
was just downloaded, and requires a suitable architecture and kernel; `modinfo` does not exist on
every host. The library that reads ELF is imported only when a guest is built.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO

from vmio.errors import InputError

__all__ = ["parse_modinfo", "parse_needed"]


def parse_needed(elf: bytes, name: str) -> tuple[str, ...]:
    """Lists the sonames of the libraries that a program or library is linked with.

    Args:
        elf: The file's bytes.
        name: The file's name in errors.

    Raises:
        InputError: The bytes are not an ELF file.
    """
    from elftools.elf.dynamic import DynamicSection
    from elftools.elf.elffile import ELFFile

    with _refusing(f"{name}: not an ELF file that vmio can read"):
        return tuple(
            tag.needed  # type: ignore[attr-defined]  # each tag has one of its own name
            for section in ELFFile(BytesIO(elf)).iter_sections("SHT_DYNAMIC")
            if isinstance(section, DynamicSection)
            for tag in section.iter_tags("DT_NEEDED")
        )


def parse_modinfo(elf: bytes, name: str) -> dict[str, str]:
    """Reads the key=value pairs that a kernel module carries; the last one wins.

    Args:
        elf: The module's bytes.
        name: The module's name in errors.

    Raises:
        InputError: The bytes are not a kernel module.
    """
    from elftools.elf.elffile import ELFFile

    with _refusing(f"{name}: not a kernel module that vmio can read"):
        section = ELFFile(BytesIO(elf)).get_section_by_name(".modinfo")
        if section is not None:
            # Not section.data(), which allocates as many bytes as the section claims to have.
            start, size = section["sh_offset"], section["sh_size"]
            text = elf[start : start + size].decode("latin-1")
            pairs = (item.partition("=") for item in text.split("\0"))
            return {key: value for key, _, value in pairs if key}
    raise InputError(f"{name}: an ELF file, but not a kernel module")


@contextmanager
def _refusing(message: str) -> Iterator[None]:
    """Turns the many kinds of errors of pyelftools for a broken file into one."""
    try:
        yield
    except Exception as error:
        raise InputError(message) from error
