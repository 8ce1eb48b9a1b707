"""`vmio cmd`: the QEMU command line that a config comes to."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from contextlib import closing
from functools import partial
from pathlib import PurePath

import click
from attrs import frozen

from vmio import app
from vmio.characters import printable, printable_lines
from vmio.cli.facts import say_unknown_host
from vmio.cli.options import host_options, storage_option
from vmio.cli.terminal import say_error
from vmio.errors import InputError, UsageError, VmioError
from vmio.model.host import Host

__all__ = ["command"]


@click.command("cmd")
@click.argument("vms", metavar="VM...", nargs=-1, required=True)
@click.option("--vmid", metavar="NUMBER", help="The VM's number, if its file is not NUMBER.conf.")
@click.option("--snapshot", metavar="NAME", help="Print a snapshot's command instead.")
@click.option("--pretty", is_flag=True, help="One option a line.")
@click.option("--strict", is_flag=True, help="End at the first line that Proxmox cannot take.")
@storage_option
@host_options
def command(
    vms: tuple[str, ...],
    *,
    vmid: str | None,
    snapshot: str | None,
    storage: str | None,
    host: str | None,
    overrides: tuple[str, ...],
    pretty: bool,
    strict: bool,
) -> int:
    """Print the QEMU command line that Proxmox VE would run for the config VM.

    What Proxmox cannot take of a config it leaves out with a warning; with --strict, as where it
    is about to write the config, the first such line of any section is an error.

    Of a folder every *.conf is printed, and of several configs each, under a line with its name;
    one that cannot be printed is said and the rest goes on.
    """
    if vmid is not None and not re.fullmatch(r"\d{1,9}", vmid, re.ASCII):
        raise UsageError(f"'{vmid}' is not a VM's number")
    many = len(vms) > 1 or app.is_folder(vms[0])
    if many and vmid is not None:
        raise UsageError("--vmid is for one config")
    if not many:
        _check_name(vms[0], vmid)
    paths = _list_configs(vms) if many else list(vms)
    # A folder's configs are of one host.
    firsts = {os.path.dirname(path): path for path in reversed(paths)}  # noqa: PTH120 - of many
    hosts = {
        folder: _read_host(path, host, overrides) for folder, path in reversed(firsts.items())
    }
    task = _Task(
        hosts=hosts, storage=storage, vmid=vmid, snapshot=snapshot, pretty=pretty, strict=strict
    )
    if not many:
        printed = _print_config(vms[0], task)
        warnings = "".join(f"{printable_lines(line)}\n" for line in printed.warnings)
        click.echo(warnings, err=True, nl=False)
        click.echo(printed.text)
        return 0
    return _print_all(paths, task)


@frozen(kw_only=True)
class _Task:
    """What is the same for every config of a call."""

    hosts: Mapping[str, Host]
    """By the folder of the configs."""
    storage: str | None
    vmid: str | None
    snapshot: str | None
    pretty: bool
    strict: bool


@frozen(kw_only=True)
class _Printed:
    """What became of one config."""

    path: str
    text: str = ""
    warnings: tuple[str, ...] = ()
    error: VmioError | None = None


def _check_name(path: str, vmid: str | None) -> None:
    if vmid is None and not re.fullmatch(r"\d+", PurePath(path).stem, re.ASCII):
        raise UsageError(
            f"the name of {path} is not NUMBER.conf, so the VM's number is not known",
            hint="give it with --vmid",
        )


def _read_host(path: str, host: str | None, overrides: tuple[str, ...]) -> Host:
    place = app.read_place(path, host=host, overrides=overrides, ports=True)
    facts = app.complete_version(place.host)
    if not place.known:
        say_unknown_host(
            path,
            f"the command line is for QEMU {facts.qemu_version}, which this host has, and for an"
            f" Intel processor with {facts.cpu.phys_bits} address bits",
        )
    elif not place.host.qemu_version:
        click.echo(
            f"vmio: the QEMU of the host of {path} is not known: the command line is for"
            f" {facts.qemu_version}, which this host has; --set qemu_version=10.1.2 gives another",
            err=True,
        )
    return facts


def _list_configs(vms: tuple[str, ...]) -> list[str]:
    """Returns the files, with every folder's configs in its place, as people count them.

    Raises:
        InputError: A folder cannot be read or holds no config.
    """
    paths = []
    for name in vms:
        if not app.is_folder(name):
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


def _print_config(path: str, task: _Task) -> _Printed:
    _check_name(path, task.vmid)
    host = task.hosts[os.path.dirname(path)]  # noqa: PTH120 - of many
    guest = app.load_config(
        path, host=host, storage=task.storage, vmid=task.vmid, snapshot=task.snapshot
    )
    if task.strict:
        from vmio.formats.proxmox.strict import refuse_problems

        refuse_problems(guest.config, guest.vm.id)
    text, warnings = app.emit(guest, host, pretty=task.pretty)
    return _Printed(path=path, text=text, warnings=warnings)


def _print_chunk(task: _Task, paths: list[str]) -> list[_Printed]:
    results = []
    for path in paths:
        try:
            results.append(_print_config(path, task))
        except VmioError as error:
            results.append(_Printed(path=path, error=error))
    return results


def _print_all(paths: list[str], task: _Task) -> int:
    """Prints many configs in their order and returns the worst status."""
    from vmio.fleet.runner import map_in_order

    status = 0
    with closing(map_in_order(partial(_print_chunk, task), paths)) as results:
        for printed in results:
            path = printable(printed.path)
            for line in printed.warnings:
                click.echo(f"{path}: {printable_lines(line)}", err=True)
            if printed.error is not None:
                say_error(printed.error, about=printed.path)
                status = max(status, printed.error.exit_status)
            else:
                # Not click.echo, which flushes: half the time of a large folder would be that.
                sys.stdout.write(f"# {path}\n{printed.text}\n")
    return status
