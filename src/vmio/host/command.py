"""QEMU command lines on this host: saved ones, and those of running processes."""

from __future__ import annotations

import os
import re
import shlex
import stat
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from vmio.errors import InputError, UsageError
from vmio.host.files import read_source
from vmio.host.process import read_command_line
from vmio.model.source import Source

__all__ = [
    "PID",
    "FileReader",
    "make_file_reader",
    "read_named_file",
    "read_process",
    "read_qemu_words",
]

FileReader = Callable[[str], Source | str]
"""Returns a file by its name, or the reason why it cannot be read."""

PID = "pid:"


def read_qemu_words(process: str) -> tuple[str, ...]:
    """Returns the words that a QEMU was started with.

    Args:
        process: `pid:NUMBER`.

    Raises:
        UsageError: The number is not valid.
        InputError: There is no such process, or it is not a QEMU.
    """
    number = process.removeprefix(PID)
    if not re.fullmatch(r"[1-9]\d{0,9}", number, re.ASCII):
        raise UsageError(f"'{number}' is not a process number", hint="as in pid:4711")
    words = read_command_line(int(number))
    program = Path(words[0]).name
    if not re.search("qemu|kvm", program):
        raise InputError(f"process {number} is not a QEMU: its program is '{program[:60]}'")
    return words


def read_process(process: str) -> tuple[Source, FileReader]:
    """Returns the command line of a QEMU process, and a function to read the files that it names.

    Raises:
        UsageError: The number is not valid.
        InputError: There is no such process, or it is not a QEMU.
    """
    words = read_qemu_words(process)
    # One option a line, so that a finding shows its option. A line without any option could be
    # anybody's text, so there it is as /proc has it.
    has_options = any(word.startswith("-") for word in words)
    text = "".join(_quote(words)) if has_options else "".join(f"{word}\0" for word in words)
    source = Source(name=process, data=text.encode())
    return source, make_file_reader(Path("/proc", process.removeprefix(PID)))


def make_file_reader(process: Path) -> FileReader:
    """Returns a function to read the files that a process names, as that process sees them.

    It opens no device: a command line can be anybody's, and opening some, such as a watchdog,
    does something.

    Args:
        process: The process's folder in /proc.
    """
    return partial(_read_regular, relative=process / "cwd", absolute=process / "root")


def read_named_file(name: str) -> Source | str:
    """Returns a file that a saved command line names, or the reason why it cannot be read.

    A relative name starts from the current folder.
    """
    return _read_file(name, relative=Path(), absolute=Path("/"))


def _quote(words: Sequence[str]) -> Iterator[str]:
    for position, word in enumerate(words):
        if position:
            yield "\n" if word.startswith("-") else " "
        yield shlex.quote(word)


def _read_regular(name: str, *, relative: Path, absolute: Path) -> Source | str:
    try:
        if not stat.S_ISREG(os.stat(_find_file(name, relative, absolute)).st_mode):  # noqa: PTH116
            return "it is not a regular file"
    except (OSError, ValueError) as error:
        return str(getattr(error, "strerror", None) or error)
    return _read_file(name, relative=relative, absolute=absolute)


def _find_file(name: str, relative: Path, absolute: Path) -> Path:
    return absolute / name.lstrip("/") if name.startswith("/") else relative / name


def _read_file(name: str, *, relative: Path, absolute: Path) -> Source | str:
    path = _find_file(name, relative, absolute)
    try:
        # Not `-`, which would be standard input.
        return Source(name=name, data=read_source(str(path.absolute())).data)
    except InputError as error:
        return error.message.rpartition(": ")[2]
