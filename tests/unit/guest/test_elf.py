"""The two questions to an ELF file."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmio.errors import InputError
from vmio.guest.elf import parse_modinfo, parse_needed

Elf = Callable[..., bytes]


def test_needed_lists_the_libraries_in_order(elf: Elf) -> None:
    """A program's libraries come in the order in which it names them."""
    assert parse_needed(elf(needed=("libb.so.2", "liba.so.1")), "fio") == (
        "libb.so.2",
        "liba.so.1",
    )


def test_needed_is_empty_for_a_static_program(elf: Elf) -> None:
    """A program that is linked with nothing needs nothing."""
    assert parse_needed(elf(), "busybox") == ()


def test_modinfo_gives_the_pairs_of_a_module(elf: Elf) -> None:
    """A module's own words are read, equals signs in values and all."""
    module = elf(modinfo={"depends": "virtio,virtio_ring", "parm": "scan:sync=1"})
    assert parse_modinfo(module, "m") == {"depends": "virtio,virtio_ring", "parm": "scan:sync=1"}


def test_modinfo_refuses_a_file_that_is_no_module(elf: Elf) -> None:
    """A program is an ELF file too, and the error names it."""
    with pytest.raises(InputError, match="fio: an ELF file, but not a kernel module"):
        parse_modinfo(elf(needed=("libc.so.6",)), "fio")


@given(st.binary(max_size=200), st.booleans())
def test_readers_raise_nothing_but_input_errors(junk: bytes, magic: bool) -> None:  # noqa: FBT001
    """Any bytes are either read or refused, with or without the right beginning."""
    data = (b"\x7fELF\x02\x01" if magic else b"") + junk
    for parse in (parse_needed, parse_modinfo):
        with contextlib.suppress(InputError):
            assert not parse(data, "junk")


@pytest.mark.parametrize("offset", [40, 64 + 64 + 24])
def test_readers_refuse_offsets_beyond_any_file(elf: Elf, offset: int) -> None:
    """A table said to lie at the end of the address space is refused, not looked for."""
    whole = elf(needed=("libc.so.6",), modinfo={"depends": ""})
    table = int.from_bytes(whole[40:48], "little")
    at = offset if offset == 40 else table + offset
    hostile = whole[:at] + b"\xff" * 8 + whole[at + 8 :]
    with pytest.raises(InputError, match="hostile"):
        parse_needed(hostile, "hostile")


@pytest.mark.parametrize("length", range(0, 400, 7))
def test_readers_refuse_a_file_that_was_cut_off(elf: Elf, length: int) -> None:
    """A whole file that lost its end is refused, wherever it was cut."""
    whole = elf(needed=("libc.so.6",), modinfo={"depends": ""})
    if length < len(whole):
        with pytest.raises(InputError):
            parse_modinfo(whole[:length], "cut")


def test_modinfo_believes_no_size(elf: Elf) -> None:
    """A section that claims to be a tebibyte of zeroes is not made, only what the file has."""
    whole = elf(modinfo={"depends": ""})
    header = int.from_bytes(whole[40:48], "little") + 4 * 64
    no_bits, size = (8).to_bytes(4, "little"), (1 << 40).to_bytes(8, "little")
    hostile = whole[: header + 4] + no_bits + whole[header + 8 : header + 32] + size
    assert parse_modinfo(hostile + whole[header + 40 :], "hostile")["depends"] == ""
