"""A whole plan for one guest: what its disks shall be served by, and the way there."""

from __future__ import annotations

import re
from collections.abc import Iterator

from vmio.errors import CapabilityError, PlanError, UnsupportedError
from vmio.formats.proxmox.pci import has_scsi_bridge, pci_address
from vmio.formats.proxmox.writer import compute_digest
from vmio.formats.registry import lay_out
from vmio.model.controller import MAPPED_SINCE, PciAddress
from vmio.model.disk import BusKind
from vmio.model.host import Host
from vmio.model.plan import Plan
from vmio.model.topology import Topology
from vmio.model.vm import Vm
from vmio.plan.by_hand import do_by_hand, list_notes
from vmio.plan.invariants import check_topology
from vmio.plan.mapping import map_queues
from vmio.plan.policies import Choice
from vmio.plan.steps import MAPPING, list_changes, make_steps, trim_queues
from vmio.plan.target import find_candidates, shape_vm

__all__ = ["propose", "propose_layout"]

_NUMBERED = re.compile(r"(?:net|hostpci)\d+|watchdog|ivshmem|rng0|audio0|vga", re.ASCII)


def propose(vm: Vm, host: Host, choice: Choice) -> Plan:
    """Returns the steps to the layout that a policy wants, none where it is that already.

    Args:
        vm: The guest.
        host: The host that it runs on.
        choice: The policy.

    Raises:
        UnsupportedError: The guest is not one of Proxmox VE's.
        PlanError: The policy makes no sense for this guest, or a change of the config waits for a
            restart that this plan would have to change again.
        CapabilityError: The host's QEMU is too old for the policy.
    """
    if vm.notation != "proxmox":
        raise UnsupportedError(
            f"vmio plans Proxmox VE's configs only, and {vm.source.name} is none",
            hint="'vmio show' and 'vmio check' read it nevertheless",
        )
    disks = find_candidates(vm)
    spread = choice.policy.spread(vm, disks, host, choice.number)
    if spread.mapped > 1:
        _check_version(host, {disk.bus for disk in disks})
    target = trim_queues(shape_vm(vm, spread)) if disks else vm
    before, after = lay_out(vm), lay_out(target)
    finished = do_by_hand(target)
    for layout in (target, finished):
        check_topology(lay_out(layout), taken=_list_taken(layout))
    steps = make_steps(
        vm, target, layouts=(before, after), host=host, choice=choice, mapped=spread.mapped
    )
    touched = {change.key for change in list_changes(steps)}
    touched |= set() if finished is target else {"scsihw"}
    waiting = touched & _list_pending(vm)
    if waiting:
        names = ", ".join(sorted(waiting))
        raise PlanError(
            f"{vm.source.name}: {names} will change anyway when the guest is next started",
            hint="stop and start the guest, or take that change back, and plan again",
        )
    return Plan(
        vm=vm.id,
        notation=vm.notation,
        config=vm.source.name,
        digest=compute_digest(vm.source),
        policy=choice.name,
        notes=list_notes(vm),
        steps=steps,
        before=before,
        after=after,
    )


def propose_layout(vm: Vm, host: Host, choice: Choice) -> tuple[Topology, tuple[str, ...]]:
    """Returns the layout that a policy wants, and what it leaves to be done by hand besides.

    Other than a plan's, it has the mapping of virtqueues in it that no config can say.

    Args:
        vm: The guest.
        host: The host that it runs on.
        choice: The policy.

    Raises:
        PlanError: As `propose` raises it, or no QEMU would run the layout.
        CapabilityError: As `propose` raises it.
    """
    plan = propose(vm, host, choice)
    disks = find_candidates(vm)
    mapped = choice.policy.spread(vm, disks, host, choice.number).mapped
    by_hand = tuple(
        step.what for step in plan.steps if step.by_hand and not step.what.startswith(MAPPING)
    )
    if mapped <= 1:
        return plan.after, by_hand
    layout = map_queues(plan.after, {disk.id for disk in disks}, mapped)
    check_topology(layout)
    return layout, by_hand


def _check_version(host: Host, buses: set[BusKind]) -> None:
    since = max((MAPPED_SINCE[bus] for bus in buses), default=(0, 0))
    if host.qemu_version is not None and host.qemu_version.series < since:
        raise CapabilityError(
            f"QEMU {host.qemu_version} cannot map the queues of these disks to IOThreads:"
            f" it can since {since[0]}.{since[1]}"
        )


def _list_pending(vm: Vm) -> frozenset[str]:
    deleted = re.split(r"[,; ]+", vm.pending.get("delete", ""))
    return frozenset({*vm.pending, *(name.lstrip("!") for name in deleted)} - {"delete", ""})


def _list_taken(vm: Vm) -> Iterator[PciAddress]:
    """Yields where devices sit that are no disk's controller: Proxmox's, and those in `args`."""
    bridges = ("pci.1", "pci.2", *(("pci.3",) if has_scsi_bridge(vm.scsihw) else ()))
    balloon = () if vm.settings.get("balloon") == "0" else ("balloon0",)
    for name in (*bridges, *balloon, *filter(_NUMBERED.fullmatch, vm.settings)):
        yield pci_address(name, vm.arch)
    for option in vm.options:
        bus, addr = option.properties.get("bus", ""), option.properties.get("addr", "")
        match = re.fullmatch(r"(?:0x)?([0-9a-f]{1,2})(?:\.(?:0x)?([0-7]))?", addr, re.IGNORECASE)
        if option.name == "device" and bus and match is not None:
            yield PciAddress(bus=bus, slot=int(match[1], 16), function=int(match[2] or "0", 16))
