"""The QEMU command lines of configs, of one or of many."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Generator, Mapping, Sequence
from functools import partial
from pathlib import PurePath
from typing import TYPE_CHECKING

from msgspec import Struct

from vmio.app.addresses import LIBVIRT, PID
from vmio.app.guests import find_vms, load
from vmio.app.missing import describe_missing
from vmio.errors import UsageError, VmioError
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
    "needs_host",
]


class CommandInputs(Struct, frozen=True, kw_only=True):
    """What the command lines of one call depend on besides the configs."""

    hosts: Mapping[str, Host]
    """The host for each place of configs, by `name_place`."""
    storage: str | None = None
    vmid: str | None = None
    snapshot: str | None = None
    pretty: bool = False
    strict: bool = False
    """Whether a line that the manager cannot parse is an error instead of a warning."""


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
    """Checks that a VM's number is known: from the call, or from its file's name.

    Raises:
        UsageError: It is not known.
        InputError: There is no such guest.
    """
    if path.startswith((LIBVIRT, PID)) or (vmid is None and not needs_host(path)):
        return  # its command line contains it; a domain's text has its name
    if vmid is not None:
        if not re.fullmatch(r"\d{1,9}", vmid, re.ASCII):
            raise UsageError(f"'{vmid}' is not a VM number")
    elif not re.fullmatch(r"\d+", PurePath(path).stem, re.ASCII):
        missing = describe_missing(path)
        if missing is not None:
            raise missing
        raise UsageError(
            f"the name of {path} is not NUMBER.conf, so the VM's number is not known",
            hint="give it with --vmid",
        )


def needs_host(path: str) -> bool:
    """Returns whether a config's command line depends on its host's QEMU and processors.

    What is printed of a libvirt domain depends on neither.
    """
    return not path.endswith(".xml") and not path.startswith(LIBVIRT)


def name_place(path: str) -> str:
    """Returns what guests of one host have in common: a config's folder, or being a process."""
    return PID if path.startswith(PID) else os.path.dirname(path)  # noqa: PTH120 - of many


def emit_file(path: str, inputs: CommandInputs) -> Command:
    """Returns the command line of a config's file.

    Args:
        path: The config.
        inputs: What it depends on besides.

    Raises:
        InputError: The config cannot be read, or, with `strict`, has a line that cannot be parsed.
        PlanError: The manager itself would refuse.
        UsageError: A config's VM number is not known.
    """
    host = inputs.hosts[name_place(path)]
    guest = load(
        path,
        host=host,
        storage=inputs.storage,
        vmid=inputs.vmid,
        snapshot=inputs.snapshot,
        strict=inputs.strict,
    )
    if guest.origin != "command":
        check_number(path, inputs.vmid)
    text, warnings = emit(guest, host, pretty=inputs.pretty)
    return Command(path=path, text=text, warnings=warnings)


def emit_all(paths: Sequence[str], inputs: CommandInputs) -> Generator[Command, None, None]:
    """Yields the command line of each of many configs, in their order, on all processors.

    An error of one config is in its `Command`, and the others are printed.
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


def list_configs(
    names: Sequence[str], *, report: Callable[[VmioError], None] | None = None
) -> list[str]:
    """Returns the files, each folder replaced by its guests, as `find_vms` finds them.

    Args:
        names: Files, folders and processes, as `find_guests` returns them.
        report: Told what of a folder cannot be read, where the rest goes on; raised if None.

    Raises:
        InputError: A folder cannot be read or has no config.
    """
    paths: list[str] = []
    for name in names:
        paths += _list_folder(name, report) if is_folder(name) else [name]
    return paths


def _list_folder(name: str, report: Callable[[VmioError], None] | None) -> list[str]:
    vms = find_vms([name])
    paths = [vm.path for vm in vms if vm.error is None]
    for vm in vms:
        if vm.error is not None:
            if report is None or not paths:
                raise vm.error
            report(vm.error)
    return paths
