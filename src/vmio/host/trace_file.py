"""Traces, which can be larger than memory, line by line."""

from __future__ import annotations

import lzma
import os
import sys
from collections.abc import Generator
from contextlib import ExitStack
from typing import IO, cast

from vmio.errors import InputError

__all__ = ["read_lines"]

_MAX_LINE_BYTES = 4096
"""Far longer than any event; what is longer comes in pieces, which are no events."""
_XZ = b"\xfd7zXZ\0"


def read_lines(path: str) -> Generator[bytes, None, None]:
    """Yields a file's lines with their ends, as they are or out of xz; `-` is standard input.

    Raises:
        InputError: The file cannot be read, or the archive is cut off or damaged.
    """
    try:
        with ExitStack() as stack:
            if path == "-":
                stream: IO[bytes] = sys.stdin.buffer
            else:
                # Not blocking: a named pipe that nobody writes to must not hang the tool.
                descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
                stream = stack.enter_context(os.fdopen(descriptor, "rb"))
            head = stream.peek(len(_XZ)) if hasattr(stream, "peek") else b""
            if head.startswith(_XZ):
                stream = cast("IO[bytes]", stack.enter_context(lzma.open(stream)))
            while line := stream.readline(_MAX_LINE_BYTES):
                yield line
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else "") or str(error)
        raise InputError(f"cannot read {path}: {reason}") from error
    except EOFError as error:
        raise InputError(f"{path} is no whole trace: its archive is cut off") from error
    except lzma.LZMAError as error:
        raise InputError(f"{path} is damaged: {error}") from error
