"""QEMU command lines as this host has them: saved, or of a process that runs."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from vmio.errors import InputError, UsageError
from vmio.formats.qemu.reader import CommandGuest, find_config_files, read_command_vm
from vmio.host.files import read_source
from vmio.host.process import read_command_line
from vmio.model.host import Host
from vmio.model.source import Source

__all__ = ["PID", "read_command_source", "read_process", "read_qemu_words"]

PID = "pid:"


def read_qemu_words(process: str) -> tuple[str, ...]:
    """Returns the words that a QEMU was started with.

    Args:
        process: `pid:NUMBER`.

    Raises:
        UsageError: That is no number of a process.
        InputError: There is no such process, or it is no QEMU.
    """
    number = process.removeprefix(PID)
    if not re.fullmatch(r"[1-9]\d{0,9}", number, re.ASCII):
        raise UsageError(f"'{number}' is not a process's number")
    words = read_command_line(int(number))
    program = Path(words[0]).name
    if not re.search("qemu|kvm", program):
        raise InputError(f"process {number} is not a QEMU: its program is '{program[:60]}'")
    return words


def read_process(process: str, *, host: Host) -> CommandGuest:
    """Reads the guest that a QEMU process was started for, as `read_qemu_words` finds it."""
    words = read_qemu_words(process)
    # An option a line, so that a finding shows the option that it is about.
    source = Source(name=process, data="".join(_quote(words)).encode())
    root = Path("/proc", process.removeprefix(PID))
    return _read(source, host, relative=root / "cwd", absolute=root / "root")


def read_command_source(source: Source, *, host: Host) -> CommandGuest:
    """Reads a saved command line; files that it names are looked for from the current folder.

    Raises:
        InputError: It is not the command line of a QEMU.
    """
    return _read(source, host, relative=Path(), absolute=Path("/"))


def _quote(words: Sequence[str]) -> Iterator[str]:
    for position, word in enumerate(words):
        if position:
            yield "\n" if word.startswith("-") else " "
        yield shlex.quote(word)


def _read(source: Source, host: Host, *, relative: Path, absolute: Path) -> CommandGuest:
    files: dict[str, Source | str] = {}
    for name in find_config_files(source):
        path = absolute / name.lstrip("/") if name.startswith("/") else relative / name
        try:
            # Not `-`, which would be standard input.
            files[name] = Source(name=name, data=read_source(str(path.absolute())).data)
        except InputError as error:
            files[name] = error.message.rpartition(": ")[2]
    return read_command_vm(source, host=host, files=files)
