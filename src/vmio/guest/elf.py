"""Two questions to an ELF file: which libraries it needs, and what a kernel module says of itself.

Running the unpacked loader with `--list` would answer the first one too, but it runs a program
that was just downloaded, and only where the host's architecture and kernel suit it; `modinfo` is
not on every host. Only building a guest asks, so the library that reads ELF is imported then.
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
        name: What to call the file in an error.

    Raises:
        InputError: The bytes are no ELF file.
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
        name: What to call the module in an error.

    Raises:
        InputError: The bytes are no kernel module.
    """
    from elftools.elf.elffile import ELFFile

    with _refusing(f"{name}: not a kernel module that vmio can read"):
        section = ELFFile(BytesIO(elf)).get_section_by_name(".modinfo")
        if section is not None:
            # Not section.data(), which makes as many bytes as the section claims to hold.
            start, size = section["sh_offset"], section["sh_size"]
            text = elf[start : start + size].decode("latin-1")
            pairs = (item.partition("=") for item in text.split("\0"))
            return {key: value for key, _, value in pairs if key}
    raise InputError(f"{name}: an ELF file, but not a kernel module")


@contextmanager
def _refusing(message: str) -> Iterator[None]:
    """Makes one error of the many kinds that pyelftools raises for a broken file."""
    try:
        yield
    except Exception as error:
        raise InputError(message) from error
