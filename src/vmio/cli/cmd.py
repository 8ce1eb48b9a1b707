"""`vmio cmd`: the QEMU command line that a config comes to."""

from __future__ import annotations

import re
from pathlib import PurePath

import click

from vmio import api
from vmio.cli.options import host_options, storage_option
from vmio.errors import UsageError
from vmio.formats.proxmox.argv import build_command
from vmio.formats.proxmox.reader import Guest
from vmio.model.host import Host
from vmio.model.topology import Topology

__all__ = ["command"]


@click.command("cmd")
@click.argument("vm")
@click.option("--vmid", metavar="NUMBER", help="The VM's number, if its file is not NUMBER.conf.")
@click.option("--snapshot", metavar="NAME", help="Print a snapshot's command instead.")
@click.option("--pretty", is_flag=True, help="One option a line.")
@click.option("--strict", is_flag=True, help="End at the first line that Proxmox cannot take.")
@storage_option
@host_options
def command(
    vm: str,
    *,
    vmid: str | None,
    snapshot: str | None,
    storage: str | None,
    host: str | None,
    overrides: tuple[str, ...],
    pretty: bool,
    strict: bool,
) -> None:
    """Print the QEMU command line that Proxmox VE would run for the config VM.

    What Proxmox cannot take of a config it leaves out with a warning; with --strict, as where it
    is about to write the config, the first such line of any section is an error.
    """
    if vmid is None and not re.fullmatch(r"\d+", PurePath(vm).stem, re.ASCII):
        raise UsageError(
            f"the name of {vm} is not NUMBER.conf, so the VM's number is not known",
            hint="give it with --vmid",
        )
    if vmid is not None and not re.fullmatch(r"\d{1,9}", vmid, re.ASCII):
        raise UsageError(f"'{vmid}' is not a VM's number")
    facts = api.read_host(host, overrides, binary=True)
    guest = api.load(vm, host=facts, storage=storage, vmid=vmid, snapshot=snapshot)
    if strict:
        from vmio.formats.proxmox.strict import refuse_problems

        refuse_problems(guest.config, guest.vm.id)
    text = api.emit(guest, facts, pretty=pretty)
    for line in list_warnings(guest, api.plan(guest), facts):
        click.echo(line, err=True)
    click.echo(text)


def list_warnings(guest: Guest, topology: Topology, host: Host) -> list[str]:
    """Returns what Proxmox itself would say on standard error, in its words."""
    vm = guest.vm
    lines = []
    for problem in vm.problems:
        if problem.kind != "drive-dropped":
            lines.append(f"vm {vm.id} - {problem.message}")
        elif " requires " in problem.message or problem.message.startswith("both "):
            # Of the other drives that it leaves out Proxmox says nothing.
            lines.append(problem.message)
    lines += build_command(guest, topology, host).warnings
    for attached in topology.disks:
        effect = attached.find_effect("iothread")
        if effect is not None and effect.verdict == "ignored":
            lines.append(
                "WARN: iothread is only valid with virtio disk or virtio-scsi-single controller,"
                " ignoring"
            )
    return lines
