"""Reads traces, which can be larger than memory, line by line."""

from __future__ import annotations

import io
import lzma
import os
import sys
from collections.abc import Generator
from contextlib import ExitStack
from typing import IO, TYPE_CHECKING

from vmio.errors import InputError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

__all__ = ["read_lines"]

_MAX_LINE_BYTES = 4096
"""Far longer than any event; longer lines are split into pieces, which are not events."""
_XZ = b"\xfd7zXZ\0"
_PIECE_BYTES = 64 * 1024
_MAX_MIB = 128
"""Twice the requirement of xz's largest preset; an archive's header may demand 4 GiB."""
_TOO_LARGE = "Memory usage limit exceeded"
"""The message of Python's lzma, which has a single exception for all errors."""


def read_lines(path: str) -> Generator[bytes, None, None]:
    """Yields a file's lines with their ends, decompressed if it is xz; `-` for standard input.

    Raises:
        InputError: The file cannot be read, or the archive is truncated, damaged, or requires too
            much memory.
    """
    try:
        with ExitStack() as stack:
            if path == "-":
                stream: IO[bytes] = sys.stdin.buffer
            else:
                # Non-blocking: a named pipe without a writer must not hang.
                descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
                stream = stack.enter_context(os.fdopen(descriptor, "rb"))
            head = stream.peek(len(_XZ)) if hasattr(stream, "peek") else b""
            if head.startswith(_XZ):
                stream = io.BufferedReader(_Unpacked(stream))
            while line := stream.readline(_MAX_LINE_BYTES):
                yield line
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else "") or str(error)
        raise InputError(f"cannot read {path}: {reason}") from error
    except EOFError as error:
        raise InputError(f"{path} is incomplete: its archive is truncated") from error
    except lzma.LZMAError as error:
        if str(error) == _TOO_LARGE:
            raise InputError(
                f"{path} requires more than {_MAX_MIB} MiB to decompress",
                hint="xz -dc FILE | vmio replay - reads an archive that you trust",
            ) from error
        raise InputError(f"{path} is damaged: {error}") from error


class _Unpacked(io.RawIOBase):
    """The content of one archive or several consecutive ones, decompressed in bounded memory."""

    def __init__(self, packed: IO[bytes]) -> None:
        self._packed = packed
        self._piece = b""
        self._unpacker = _make_unpacker()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Fills a buffer; with nothing at the end.

        Raises:
            EOFError: The archive is truncated.
            lzma.LZMAError: It is damaged, or requires too much memory.
        """
        view = memoryview(buffer).cast("B")
        data = b""
        while not data:
            if self._unpacker.eof and not self._find_next():
                break
            if self._unpacker.needs_input:
                self._piece = self._piece or self._packed.read(_PIECE_BYTES)
                if not self._piece:
                    raise EOFError
            data = self._unpacker.decompress(self._piece, len(view))
            self._piece = b""
        view[: len(data)] = data
        return len(data)

    def _find_next(self) -> bool:
        """Moves to the next archive, past zero bytes before it."""
        self._piece = self._unpacker.unused_data.lstrip(b"\0")
        while not self._piece:
            if not (piece := self._packed.read(_PIECE_BYTES)):
                return False
            self._piece = piece.lstrip(b"\0")
        self._unpacker = _make_unpacker()
        return True


def _make_unpacker() -> lzma.LZMADecompressor:
    return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MAX_MIB << 20)
