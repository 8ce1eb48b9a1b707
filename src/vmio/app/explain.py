"""Explains a disk: its path to a thread, and the effect of each option."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from vmio.app.addresses import QMP
from vmio.app.check import lint
from vmio.app.guests import (
    Guest,
    build_command,
    find_vms,
    lay_out,
    load,
    load_source,
    read_places,
)
from vmio.app.host import complete_version
from vmio.app.show import observe
from vmio.errors import CapabilityError, PlanError, ToolError, UsageError, VmioError
from vmio.model.host import Host
from vmio.model.topology import AttachedDisk, Topology

if TYPE_CHECKING:
    from vmio.lint.explain import Argument, Explanation, Origin
    from vmio.model.vm import Vm
    from vmio.report.explanation.guest import ExplainedGuest

__all__ = ["explain", "explain_all"]


def explain(
    path: str,
    disk: str | None = None,
    *,
    host: Host,
    storage: str | None = None,
    snapshot: str | None = None,
) -> tuple[str, Origin, tuple[Explanation, ...]]:
    """Returns a guest's name, where it comes from, and explanations of one disk or of all.

    All disks include those that the guest's manager drops.

    Args:
        path: A config, a command line or `pid:NUMBER` as for `load`, or `qmp:SOCKET`.
        disk: The disk's name; None for all.
        host: The host that the guest runs on.
        storage: The storage.cfg to use.
        snapshot: The snapshot to read instead of the VM itself.

    Raises:
        UsageError: The guest has no such disk.
        InputError: A file cannot be read or parsed.
        QmpError: Nothing answers on the socket, or what answers is not QMP.
    """
    from vmio.formats.registry import list_dropped
    from vmio.lint.explain import GuestIndex, explain_disk, explain_dropped

    if path.startswith(QMP):
        topology = observe(path.removeprefix(QMP))
        chosen = _choose_disks(topology, disk, None)
        index = GuestIndex(topology)
        stories = (
            explain_disk(each, index, vm=None, name=path, origin="running") for each in chosen
        )
        return path, "running", tuple(stories)
    guest = load(path, host=host, storage=storage, snapshot=snapshot)
    topology = lay_out(guest)
    chosen = _choose_disks(topology, disk, guest.vm)
    name = f"{guest.vm.id} {guest.vm.name}".strip()
    origin = guest.origin
    findings = lint(guest, host)
    arguments = _list_arguments(guest, host, storage=storage, snapshot=snapshot)
    index = GuestIndex(topology, arguments=arguments, findings=findings, added=guest.vm.attached)
    lost = list_dropped(guest) if disk is None else ()
    return (
        name,
        origin,
        (
            *(
                explain_dropped(
                    problem, reason, vm=guest.vm, name=name, origin=origin, findings=findings
                )
                for problem, reason in lost
            ),
            *(
                explain_disk(
                    each,
                    index,
                    vm=guest.vm,
                    name=name,
                    origin=origin,
                )
                for each in chosen
            ),
        ),
    )


def explain_all(
    paths: Sequence[str],
    *,
    host: str | None = None,
    overrides: Sequence[str] = (),
    qemu_version: str | None = None,
    storage: str | None = None,
    snapshot: str | None = None,
) -> Iterator[ExplainedGuest]:
    """Yields the explained disks of each of many guests, or the error of one that is unreadable.

    Args:
        paths: Files, folders and processes, as `find_guests` returns them.
        host: A host description to go by for all, instead of what each node's is.
        overrides: `KEY=VALUE` texts, each of which replaces one fact of every host.
        qemu_version: The version of every host's QEMU.
        storage: The storage.cfg to go by for all.
        snapshot: The snapshot to read instead of each VM itself.

    Raises:
        InputError: A file that the call names cannot be read.
        UsageError: An override has no value, or the version is none.
    """
    from vmio.report.explanation.guest import ExplainedGuest

    found = find_vms(paths)
    places = read_places(
        found, host=host, overrides=overrides, qemu_version=qemu_version, storage=storage
    )
    for vm in (*places.errors, *found):
        try:
            if vm.error is not None:
                raise vm.error
            facts = places.by_folder[vm.folder].host
            name, origin, stories = explain(
                vm.path, host=facts, storage=storage, snapshot=snapshot
            )
            told = ExplainedGuest(
                path=vm.path, name=name, node=vm.node, origin=origin, stories=stories
            )
        except VmioError as error:
            told = ExplainedGuest(path=vm.path, name=vm.path, node=vm.node, error=error)
        yield told


def _choose_disks(topology: Topology, disk: str | None, vm: Vm | None) -> tuple[AttachedDisk, ...]:
    if disk is None:
        return topology.disks
    found = topology.find_disk(disk)
    if found is not None:
        return (found,)
    reasons = [each.message for each in vm.problems if each.subject == disk] if vm else []
    said = f": {reasons[0].splitlines()[-1]}" if reasons else ""
    names = ", ".join(attached.disk.id for attached in topology.disks)
    raise UsageError(
        f"there is no disk '{disk[:60]}'{said}",
        hint=f"the disks are {names}" if names else "the guest has no disks",
    )


def _list_arguments(
    guest: Guest, host: Host, *, storage: str | None, snapshot: str | None
) -> tuple[Argument, ...]:
    """Returns a guest's command line, one option an item; empty if it cannot be made.

    It is the line of this host's QEMU if the guest's version is not known; findings do not assume
    a version.
    """
    from vmio.formats.qemu.argv import read_options
    from vmio.formats.shell import render_command
    from vmio.lint.explain import Argument

    if guest.origin == "command":
        source = guest.vm.source
        return tuple(
            Argument(text=source.read_span(option.span), option=option)
            for option in guest.vm.options
            if option.span is not None
        )
    try:
        full = complete_version(host)
        if full is not host:
            source, vmid = guest.vm.source, guest.vm.id
            guest = load_source(source, host=full, storage=storage, vmid=vmid, snapshot=snapshot)
        argv = build_command(guest, full)
    except (PlanError, CapabilityError, ToolError):
        return ()
    return tuple(
        Argument(text=render_command((words,)), option=option)
        for words in argv[1:]
        for option in read_options(words)
    )
