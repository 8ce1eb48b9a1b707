"""What stands between vmio and a terminal: nothing reaches it that it would obey.

Whoever prints spells out the words of others by `vmio.characters.printable`, which also keeps them
on their line. What was forgotten is caught here: on standard error always, which is talk, and on
standard output where that is a terminal, since what goes into a pipe or a file is data.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, TextIO

import click

from vmio.characters import disarm_lines, printable, printable_lines
from vmio.patterns import compile_late

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer as Buffer

    from vmio.errors import VmioError

__all__ = ["guard_streams", "measure_terminal", "say", "say_error", "say_hint", "unguard"]

_COLOUR = compile_late(r"(\x1b\[(?:[012]|(?:1;)?3[1-6])m)")
"""Those that vmio's own reports and click use; others hide words."""


class _GuardedBytes(io.BufferedIOBase):
    """A stream's bytes: what a terminal would obey is spelled out, but for colours.

    Of talk no line is a command to a CI; a report can be one for it.
    """

    def __init__(self, stream: TextIO, *, is_report: bool) -> None:
        self.stream = stream
        self.is_report = is_report

    def write(self, data: Buffer) -> int:
        """Writes what may be written of it."""
        given, encoding = bytes(data), self.stream.encoding
        text = given.decode(encoding, "surrogateescape")
        # Every other piece is a colour.
        pieces = _COLOUR.split(text) if "\x1b" in text else [text]
        pieces[::2] = map(printable_lines, pieces[::2])
        shown = "".join(pieces)
        if not self.is_report:
            shown = disarm_lines(shown)
        self.stream.buffer.write(shown.encode(encoding))
        return len(given)

    @property
    def name(self) -> str:
        """The stream's own."""
        return self.stream.name

    def writable(self) -> bool:
        """Tells that it is written to."""
        return True

    def flush(self) -> None:
        """Lets the stream write what it has, while it is open."""
        # When this is collected Python flushes it, and since 3.13 tells of what that raises.
        if not self.stream.closed:
            self.stream.flush()

    def fileno(self) -> int:
        """Returns the stream's descriptor."""
        return self.stream.fileno()

    def isatty(self) -> bool:
        """Tells whether it is a terminal."""
        return self.stream.isatty()


class _GuardedText(io.TextIOWrapper):
    """A stream that spells out what a terminal would obey."""

    def __init__(self, stream: TextIO, *, is_report: bool) -> None:
        super().__init__(
            _GuardedBytes(stream, is_report=is_report),
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
                guard = _GuardedText(stream, is_report=name == "stdout")
                cleanup.callback(guard.detach)  # else it would close what it stands for
                cleanup.callback(setattr, sys, name, stream)
                setattr(sys, name, guard)
        yield


def unguard(stream: TextIO) -> TextIO:
    """Returns the stream itself, for who moves the cursor on purpose and guards its words."""
    return stream.stream if isinstance(stream, _GuardedText) else stream


def measure_terminal() -> int:
    """Returns how wide the terminal is that standard output goes to; 0 if it goes elsewhere."""
    if not sys.stdout.isatty():
        return 0
    from shutil import get_terminal_size

    return get_terminal_size().columns


def say(text: str) -> None:
    """Says a line on standard error, where nobody's words begin another one."""
    click.echo(f"vmio: {printable(text)}", err=True)


def say_hint(text: str) -> None:
    """Says what can be done."""
    click.echo(f"vmio: {click.style('hint:', fg='cyan')} {printable(text)}", err=True)


def say_error(error: VmioError, *, about: str = "") -> None:
    """Says what went wrong, and with what if the error does not name it."""
    name = f"{printable(about)}: " if about else ""
    label = click.style("error:", fg="red", bold=True)
    message = (printable_lines if error.has_lines else printable)(error.message)
    click.echo(f"vmio: {label} {name}{message}", err=True)
