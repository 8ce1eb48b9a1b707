"""What stands between vmio and a terminal: nothing reaches it that it would obey.

Whoever prints spells out the words of others by `vmio.characters.printable`, which also keeps them
on their line. What was forgotten is caught here: on standard error always, which is talk, and on
standard output where that is a terminal, since what goes into a pipe or a file is data.
"""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Literal, TextIO

import click

from vmio.characters import printable, printable_lines

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer as Buffer

__all__ = ["guard_streams", "say", "unguard"]

_COLOUR = re.compile(r"(\x1b\[(?:[012]|(?:1;)?3[1-6])m)")
"""Those that vmio's own reports and click use; others hide words."""
_LABELS: dict[str, dict[str, Any]] = {
    "error": {"fg": "red", "bold": True},
    "hint": {"fg": "cyan"},
}


class _GuardedBytes(io.BufferedIOBase):
    """A stream's bytes: what a terminal would obey is spelled out, but for colours."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, data: Buffer) -> int:
        """Writes what may be written of it."""
        given, encoding = bytes(data), self.stream.encoding
        text = given.decode(encoding, "surrogateescape")
        # Every other piece is a colour.
        pieces = _COLOUR.split(text) if "\x1b" in text else [text]
        pieces[::2] = map(printable_lines, pieces[::2])
        self.stream.buffer.write("".join(pieces).encode(encoding))
        return len(given)

    @property
    def name(self) -> str:
        """The stream's own."""
        return self.stream.name

    def writable(self) -> bool:
        """Tells that it is written to."""
        return True

    def flush(self) -> None:
        """Lets the stream write what it has."""
        self.stream.flush()

    def fileno(self) -> int:
        """Returns the stream's descriptor."""
        return self.stream.fileno()

    def isatty(self) -> bool:
        """Tells whether it is a terminal."""
        return self.stream.isatty()


class _GuardedText(io.TextIOWrapper):
    """A stream that spells out what a terminal would obey."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(
            _GuardedBytes(stream),
            encoding=stream.encoding,
            errors="backslashreplace",
            newline="",
            line_buffering=True,
            write_through=True,
        )
        self.stream = stream


@contextmanager
def guard_streams() -> Iterator[None]:
    """Guards standard error, and standard output where that is a terminal."""
    with ExitStack() as cleanup:
        for name in ("stdout", "stderr"):
            stream = getattr(sys, name)
            if isinstance(stream, io.TextIOWrapper) and (name == "stderr" or stream.isatty()):
                guard = _GuardedText(stream)
                cleanup.callback(guard.detach)  # else it would close what it stands for
                cleanup.callback(setattr, sys, name, stream)
                setattr(sys, name, guard)
        yield


def unguard(stream: TextIO) -> TextIO:
    """Returns the stream itself, for who moves the cursor on purpose and guards its words."""
    return stream.stream if isinstance(stream, _GuardedText) else stream


def say(text: str, *, label: Literal["", "error", "hint"] = "") -> None:
    """Says a line on standard error, where nobody's words begin another one."""
    shown = f"{click.style(f'{label}:', **_LABELS[label])} " if label else ""
    click.echo(f"vmio: {shown}{printable(text)}", err=True)
