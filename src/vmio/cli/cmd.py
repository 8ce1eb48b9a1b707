"""`vmio cmd`: prints the QEMU command line of a config."""

from __future__ import annotations

import sys
from contextlib import closing

import click

from vmio import app
from vmio.characters import printable, printable_lines
from vmio.cli.completing import complete_snapshot, complete_vm
from vmio.cli.facts import say_unknown_host
from vmio.cli.guests import find_guests
from vmio.cli.options import host_options, qemu_version_option, storage_option
from vmio.cli.terminal import say, say_error
from vmio.errors import UsageError, VmioError
from vmio.model.host import Host

__all__ = ["command"]


@click.command("cmd")
@click.argument("vms", metavar="[VM]...", nargs=-1, shell_complete=complete_vm)
@click.option("--vmid", metavar="NUMBER", help="The VM's number, if its file is not NUMBER.conf.")
@click.option(
    "--snapshot",
    metavar="NAME",
    shell_complete=complete_snapshot,
    help="Print a snapshot's command instead.",
)
@click.option("--pretty", is_flag=True, help="One option a line.")
@click.option("--strict", is_flag=True, help="Stop at the first line that Proxmox cannot parse.")
@storage_option
@qemu_version_option
@host_options
def command(
    vms: tuple[str, ...],
    *,
    vmid: str | None,
    snapshot: str | None,
    storage: str | None,
    qemu_version: str | None,
    host: str | None,
    overrides: tuple[str, ...],
    pretty: bool,
    strict: bool,
) -> int:
    """Print the QEMU command line that Proxmox VE or libvirt would run for the config VM.

    VM is also a VM's number or name, or pid:NUMBER or qmp:SOCKET for a running QEMU's own command.
    Without VM it prints those of all guests of this host: in /etc/pve, or of the QEMU processes
    where there is none.

    Of a libvirt domain it prints the storage half: IOThreads, disks and their controllers.

    Proxmox VE skips lines that it cannot parse, with a warning. With --strict the first such line
    of any section is an error, as it is when Proxmox VE is about to write the config.

    For a folder or a whole /etc/pve, every guest in it is printed under a line with its name, as
    is each of several guests. One that cannot be printed is reported, and the others are printed.
    """
    vms = find_guests(vms)
    many = len(vms) > 1 or app.is_folder(vms[0])
    if many and vmid is not None:
        raise UsageError("--vmid requires a single config")
    if vmid is not None:
        app.check_number(vms[0], vmid)
    errors: list[VmioError] = []
    paths = app.list_configs(vms, report=errors.append) if many else list(vms)
    # The configs of a folder belong to one host.
    firsts = {app.name_place(path): path for path in reversed(paths)}
    hosts = {
        folder: _read_host(path, host, overrides, qemu_version)
        for folder, path in reversed(firsts.items())
    }
    inputs = app.CommandInputs(
        hosts=hosts, storage=storage, vmid=vmid, snapshot=snapshot, pretty=pretty, strict=strict
    )
    if many:
        for error in errors:
            say_error(error)
        return max(_print_all(paths, inputs), *(error.exit_status for error in errors), 0)
    found = app.emit_file(vms[0], inputs)
    warnings = "".join(f"{printable_lines(line)}\n" for line in found.warnings)
    click.echo(warnings, err=True, nl=False)
    click.echo(found.text)
    return 0


def _read_host(
    path: str, host: str | None, overrides: tuple[str, ...], qemu_version: str | None
) -> Host:
    place = app.read_place(
        path, host=host, overrides=overrides, qemu_version=qemu_version, ports=True
    )
    if not app.needs_host(path):
        return place.host
    facts = app.complete_version(place.host)
    if not place.known:
        say_unknown_host(
            path,
            f"the command line is for QEMU {facts.qemu_version}, which this host has, and for an"
            f" Intel processor with {facts.cpu.phys_bits} address bits",
        )
    elif not place.host.qemu_version:
        say(
            f"the QEMU version of the host of {path} is not known: {facts.qemu_version}, which"
            " this host has, is assumed; --set qemu_version=10.1.2 sets another"
        )
    return facts


def _print_all(paths: list[str], inputs: app.CommandInputs) -> int:
    """Prints many configs in order and returns the worst status."""
    status = 0
    with closing(app.emit_all(paths, inputs)) as results:
        for found in results:
            path = printable(found.path)
            for line in found.warnings:
                click.echo(f"{path}: {printable_lines(line)}", err=True)
            if found.error is not None:
                say_error(found.error, about=found.path)
                status = max(status, found.error.exit_status)
            else:
                # Not click.echo, which flushes: that would take half the time of a large folder.
                sys.stdout.write(f"# {path}\n{found.text}\n")
    return status
