"""Guards the terminal: no control character from outside reaches it.

Code that prints escapes foreign text with `vmio.characters.printable`, which also keeps it on its
line. This module catches what was forgotten: on standard error always, because that is for people,
and on standard output if that is a terminal, because output to a pipe or a file is data.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, TextIO

import click

from vmio.characters import disarm_lines, printable, printable_lines
from vmio.patterns import compile_late

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer as Buffer

    from vmio.errors import VmioError

__all__ = [
    "guard_streams",
    "has_colour",
    "measure_terminal",
    "say",
    "say_error",
    "say_errors",
    "say_hint",
    "unguard",
]

_MOST_SAID = 1000
"""Characters of a message."""
_COLOUR = compile_late(r"(\x1b\[(?:[012]|(?:1;)?3[1-6])m)")
"""The escape sequences that vmio's reports and click use; others can hide text."""


class _GuardedBytes(io.BufferedIOBase):
    """A stream's bytes with control characters escaped, except for colours.

    On standard error no line can be a command to a CI; a report on standard output may be one.
    """

    def __init__(self, stream: TextIO, *, is_report: bool) -> None:
        self.stream = stream
        self.is_report = is_report

    def write(self, data: Buffer) -> int:
        """Writes the data with control characters escaped."""
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
        """The stream's name."""
        return self.stream.name

    def writable(self) -> bool:
        """Returns that it is writable."""
        return True

    def flush(self) -> None:
        """Flushes the stream while it is open."""
        # When this is collected Python flushes it, and since 3.13 reports errors of that.
        if not self.stream.closed:
            self.stream.flush()

    def fileno(self) -> int:
        """Returns the stream's descriptor."""
        return self.stream.fileno()

    def isatty(self) -> bool:
        """Returns whether it is a terminal."""
        return self.stream.isatty()


class _GuardedText(io.TextIOWrapper):
    """A stream that escapes control characters."""

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
    """Guards standard error, and standard output if that is a terminal."""
    with ExitStack() as cleanup:
        for name in ("stdout", "stderr"):
            stream = getattr(sys, name)
            if isinstance(stream, io.TextIOWrapper) and (name == "stderr" or stream.isatty()):
                guard = _GuardedText(stream, is_report=name == "stdout")
                cleanup.callback(guard.detach)  # otherwise it would close the guarded stream
                cleanup.callback(setattr, sys, name, stream)
                setattr(sys, name, guard)
        yield


def unguard(stream: TextIO) -> TextIO:
    """Returns the stream itself, for code that moves the cursor and escapes text on its own."""
    return stream.stream if isinstance(stream, _GuardedText) else stream


def measure_terminal() -> int:
    """Returns the width of the terminal on standard output; 0 if it is not a terminal."""
    if not sys.stdout.isatty():
        return 0
    from shutil import get_terminal_size

    return get_terminal_size().columns


def _is_plain() -> bool:
    """Returns whether nothing is coloured, because a person or the terminal says so."""
    return bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"


def has_colour() -> bool:
    """Returns whether a report on standard output is coloured."""
    return sys.stdout.isatty() and not _is_plain()


def say(text: str) -> None:
    """Prints a line on standard error, in which foreign text cannot begin another line.

    A value of a config that is quoted in it can be as long as the config, and is cut.
    """
    if len(text) > _MOST_SAID:
        text = f"{text[:_MOST_SAID]}…"
    click.echo(f"vmio: {printable(text)}", err=True)


def say_hint(text: str) -> None:
    """Prints a hint on what can be done."""
    click.echo(f"vmio: {_style('hint:', fg='cyan')} {printable(text)}", err=True)


def say_error(error: VmioError, *, about: str = "") -> None:
    """Prints an error, and its subject if the message does not name it."""
    name = f"{printable(about)}: " if about else ""
    label = _style("error:", fg="red", bold=True)
    message = (printable_lines if error.has_lines else printable)(error.message)
    click.echo(f"vmio: {label} {name}{message}", err=True)


def say_errors(errors: Sequence[VmioError]) -> int:
    """Prints errors, then each of their hints once; returns the exit status, 0 for no error."""
    for error in errors:
        say_error(error)
    for hint in dict.fromkeys(error.hint for error in errors if error.hint):
        say_hint(hint)
    return max((error.exit_status for error in errors), default=0)


def _style(text: str, *, fg: str, bold: bool | None = None) -> str:
    return text if _is_plain() else click.style(text, fg=fg, bold=bold)
