"""Traces line by line, as they are and out of xz, whole and not."""

from __future__ import annotations

import io
import lzma
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from vmio.errors import InputError
from vmio.host.trace_file import read_lines

LINES = [b"first\n", b"second\n", b"no end"]
DATA = b"".join(LINES)
MIB = 1 << 20
PRESET_9, GIB = 28, 36
"""How a block's header writes a dictionary of 64 MiB, which is what xz -9 makes, and of 1 GiB."""


def pack(size: int | None = None, data: bytes = DATA) -> bytes:
    """Returns an xz archive whose header says that its dictionary is of a certain size.

    Args:
        size: As the header writes it; None leaves it as it is.
        data: What is packed.

    Source: the .xz File Format 1.2.1, 3.1 Block Header and 5.3.1 LZMA2.
    """
    archive = bytearray(lzma.compress(data))
    if size is not None:
        header = slice(12, 12 + 4 * archive[12] + 4)
        block = archive[header]
        assert block[2] == 0x21, "LZMA2"
        block[4] = size
        block[-4:] = zlib.crc32(block[:-4]).to_bytes(4, "little")
        archive[header] = block
    return bytes(archive)


def read(path: Path, data: bytes) -> list[bytes]:
    """Returns the lines of a file."""
    path.write_bytes(data)
    return list(read_lines(str(path)))


@pytest.mark.parametrize(
    "data",
    [
        DATA,
        pack(),
        pack(PRESET_9),
        pack(data=DATA[:8]) + pack(data=DATA[8:]),
        pack(data=DATA[:8]) + bytes(20_000) + pack(data=DATA[8:]) + bytes(4),
    ],
    ids=["plain", "xz", "xz -9", "two archives", "two archives with padding"],
)
def test_lines_are_the_same_however_they_are_packed(data: bytes, tmp_path: Path) -> None:
    """An archive may be several, one after another, and zeros between them."""
    assert read(tmp_path / "trace", data) == LINES


def test_large_trace_is_unpacked_in_pieces(tmp_path: Path) -> None:
    """What is compressed to little comes out whole and in order."""
    lines = [b"%d\n" % number for number in range(300_000)]
    assert read(tmp_path / "trace", lzma.compress(b"".join(lines), preset=0)) == lines


def test_standard_input_may_be_packed(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told by its first bytes, as a file is."""
    stream = io.TextIOWrapper(io.BufferedReader(io.BytesIO(pack())))
    monkeypatch.setattr(sys, "stdin", stream)
    assert list(read_lines("-")) == LINES


@pytest.mark.parametrize("before", [b"", pack(data=b"x\n")], ids=["first", "second"])
def test_dictionary_of_gigabytes_is_refused(before: bytes, tmp_path: Path) -> None:
    """What an archive asks for is not taken on trust, and the line says how to read it anyway."""
    path = tmp_path / "trace.xz"
    with pytest.raises(
        InputError, match=r"trace\.xz requires more than 128 MiB to decompress"
    ) as caught:
        read(path, before + pack(GIB))
    assert "\n" not in caught.value.message
    assert caught.value.hint == "xz -dc FILE | vmio replay - reads an archive that you trust"


def test_archive_that_fills_its_dictionary_takes_no_memory(tmp_path: Path) -> None:
    """A few kilobytes that unpack to 300 MB do not take as much."""
    path = tmp_path / "trace.xz"
    path.write_bytes(lzma.compress(bytes(300 * MIB), preset=0))
    code = (
        "import resource, sys\n"
        "from vmio.host.trace_file import read_lines\n"
        "resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[2]),) * 2)\n"
        "print(sum(map(len, read_lines(sys.argv[1]))))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path), str(150 * MIB)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == (f"{300 * MIB}\n", "")


@pytest.mark.parametrize("end", [10, 30, -1])
def test_archive_that_is_cut_off_is_told_of(end: int, tmp_path: Path) -> None:
    """Wherever it ends; what came before is not taken for all."""
    with pytest.raises(InputError, match="is incomplete: its archive is truncated"):
        read(tmp_path / "trace.xz", pack()[:end])


def test_damaged_archive_is_told_of(tmp_path: Path) -> None:
    """What does not unpack, and what stands behind an archive and is none."""
    damaged = bytearray(pack())
    damaged[30] ^= 0xFF
    for data in (bytes(damaged), pack() + b"what is none at all"):
        with pytest.raises(InputError, match=r"trace\.xz is damaged: "):
            read(tmp_path / "trace.xz", data)
