"""The command lines that configs come to, of one or of many."""

from __future__ import annotations

import os
import re
from collections.abc import Generator, Mapping, Sequence
from functools import partial
from pathlib import PurePath
from typing import TYPE_CHECKING

from msgspec import Struct

from vmio.app.addresses import PID
from vmio.app.guests import load
from vmio.errors import InputError, UsageError, VmioError
from vmio.host.files import is_folder

if TYPE_CHECKING:
    from vmio.app.guests import Guest
    from vmio.model.host import Host

__all__ = [
    "Command",
    "CommandInputs",
    "check_number",
    "emit",
    "emit_all",
    "emit_file",
    "list_configs",
    "name_place",
]


class CommandInputs(Struct, frozen=True, kw_only=True):
    """What the command lines of one call go by."""

    hosts: Mapping[str, Host]
    """By `name_place` of the configs."""
    storage: str | None = None
    vmid: str | None = None
    snapshot: str | None = None
    pretty: bool = False
    strict: bool = False
    """Whether a line that the manager cannot take is an error instead of a warning."""


class Command(Struct, frozen=True, kw_only=True):
    """The command line of one config, or why there is none."""

    path: str
    text: str = ""
    warnings: tuple[str, ...] = ()
    error: VmioError | None = None


def emit(guest: Guest, host: Host, *, pretty: bool = False) -> tuple[str, tuple[str, ...]]:
    """Returns the command line that the guest's manager would run, and the manager's warnings.

    Raises:
        UnsupportedError: The config uses something that vmio cannot print yet.
        PlanError: The manager itself would refuse.
    """
    from vmio.formats.registry import build_command
    from vmio.formats.shell import render_command

    command = build_command(guest, host)
    return render_command(command.argv, pretty=pretty), command.warnings


def check_number(path: str, vmid: str | None) -> None:
    """Finds out whether a VM's number is known: from the call, or from its file's name.

    Raises:
        UsageError: It is not.
    """
    if path.startswith(PID) or (vmid is None and path.endswith(".xml")):
        return  # its command line says it; a domain's text has its name
    if vmid is not None:
        if not re.fullmatch(r"\d{1,9}", vmid, re.ASCII):
            raise UsageError(f"'{vmid}' is not a VM's number")
    elif not re.fullmatch(r"\d+", PurePath(path).stem, re.ASCII):
        raise UsageError(
            f"the name of {path} is not NUMBER.conf, so the VM's number is not known",
            hint="give it with --vmid",
        )


def name_place(path: str) -> str:
    """Returns what guests of one host have in common: the folder of a config, or a process."""
    return path if path.startswith(PID) else os.path.dirname(path)  # noqa: PTH120 - of many


def emit_file(path: str, inputs: CommandInputs) -> Command:
    """Returns the command line of a config's file.

    Args:
        path: The config.
        inputs: What it goes by.

    Raises:
        InputError: The config cannot be read, or has with `strict` a line that cannot be taken.
        PlanError: The manager itself would refuse.
    """
    check_number(path, inputs.vmid)
    host = inputs.hosts[name_place(path)]
    guest = load(
        path,
        host=host,
        storage=inputs.storage,
        vmid=inputs.vmid,
        snapshot=inputs.snapshot,
        strict=inputs.strict,
    )
    text, warnings = emit(guest, host, pretty=inputs.pretty)
    return Command(path=path, text=text, warnings=warnings)


def emit_all(paths: Sequence[str], inputs: CommandInputs) -> Generator[Command, None, None]:
    """Yields the command line of each of many configs, in their order, on all processors.

    What cannot be read or printed is told by its `Command`, and the rest goes on.
    """
    from vmio.fleet.runner import map_in_order

    return map_in_order(partial(_emit_chunk, inputs), paths)


def _emit_chunk(inputs: CommandInputs, paths: list[str]) -> list[Command]:
    results = []
    for path in paths:
        try:
            results.append(emit_file(path, inputs))
        except VmioError as error:
            results.append(Command(path=path, error=error))
    return results


def list_configs(names: Sequence[str]) -> list[str]:
    """Returns the files, with every folder's configs in its place, as people count them.

    Raises:
        InputError: A folder cannot be read or holds no config.
    """
    paths = []
    for name in names:
        if not is_folder(name):
            paths.append(name)
            continue
        try:
            found = [entry.path for entry in os.scandir(name) if entry.name.endswith(".conf")]
        except OSError as error:
            raise InputError(f"cannot read {name}: {error.strerror}") from error
        if not found:
            raise InputError(f"there is no *.conf in {name}")
        paths += sorted(found, key=lambda path: (len(path), path))
    return paths
