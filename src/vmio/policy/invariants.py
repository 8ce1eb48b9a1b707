"""The invariants of every layout that vmio proposes, with any policy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from vmio.errors import PlanError
from vmio.model.controller import MAPPED_SINCE, Controller
from vmio.model.disk import BusKind
from vmio.model.iothread import MAIN_LOOP
from vmio.model.topology import AttachedDisk, Topology

__all__ = ["check_topology", "find_violations"]

_MOST_DISKS: Mapping[str, int] = {
    "lsi": 7,
    "lsi53c810": 7,
    "ahci": 6,
    "piix3-ide": 4,
    "ich9-ahci": 4,
}
"""By the controller's model; any other SCSI controller has room for all of Proxmox's disks."""


def check_topology(
    topology: Topology,
    *,
    qemu: tuple[int, int] | None = None,
    drive_counts: Mapping[BusKind, int] | None = None,
) -> None:
    """Refuses a layout that no QEMU would run, or not as it is meant; as `find_violations`.

    Raises:
        PlanError: An invariant is violated; the message is the first violation.
    """
    for violation in find_violations(topology, qemu=qemu, drive_counts=drive_counts):
        raise PlanError(f"this layout is not possible: {violation}")


def find_violations(
    topology: Topology,
    *,
    qemu: tuple[int, int] | None = None,
    drive_counts: Mapping[BusKind, int] | None = None,
) -> tuple[str, ...]:
    """Returns the violations of the invariants, in words.

    Args:
        topology: The layout.
        qemu: The QEMU version it is for; None if not known.
        drive_counts: How many drives of each bus the guest's notation has names for; None where
            it has one for any.
    """
    return (
        *_check_unique("IOThread", (iothread.id for iothread in topology.iothreads)),
        *_check_unique("controller", (controller.id for controller in topology.controllers)),
        *_check_unique("disk", (attached.disk.id for attached in topology.disks)),
        *_check_unique(
            "PCI address",
            (str(each.pci) for each in topology.controllers if each.pci is not None),
        ),
        *_check_unique("place", map(_name_place, topology.disks)),
        *_check_buses(topology, drive_counts or {}),
        *(line for each in topology.controllers for line in _check_threads(topology, each, qemu)),
        *(line for each in topology.disks for line in _check_served(topology, each)),
    )


def _check_unique(what: str, names: Iterable[str]) -> Iterator[str]:
    for name, count in Counter(names).items():
        if count > 1:
            yield f"the {what} {name} exists {count} times"


def _name_place(attached: AttachedDisk) -> str:
    if not attached.address:
        return attached.controller
    return ", ".join(f"{key} {value}" for key, value in attached.address)


def _check_buses(topology: Topology, drive_counts: Mapping[BusKind, int]) -> Iterator[str]:
    models = {controller.id: controller.model for controller in topology.controllers}
    on_controller = Counter(attached.controller for attached in topology.disks)
    for name, count in on_controller.items():
        most = _MOST_DISKS.get(models.get(name, ""), count)
        if name not in models:
            yield f"there is no controller {name}"
        elif count > most:
            yield f"{name} has {count} disks, and room for {most}"
    for bus, count in Counter(attached.disk.bus for attached in topology.disks).items():
        if count > drive_counts.get(bus, count):
            yield f"there are {count} disks on {bus}, and numbers for {drive_counts[bus]}"


def _check_threads(
    topology: Topology, controller: Controller, qemu: tuple[int, int] | None
) -> Iterator[str]:
    name, mapping = controller.id, controller.iothread_vq_mapping
    known = {iothread.id for iothread in topology.iothreads}
    named = [entry.iothread for entry in mapping]
    if controller.iothread is not None:
        named.append(controller.iothread)
    yield from (f"{name}: there is no IOThread {each}" for each in named if each not in known)
    if named and not controller.takes_iothread:
        yield f"{name}: {controller.model} cannot have an IOThread"
    if not mapping:
        return
    if controller.iothread is not None:
        yield f"{name}: iothread and iothread-vq-mapping exclude each other"
    yield from _check_unique(f"mapping of {name} to", (entry.iothread for entry in mapping))
    since = MAPPED_SINCE.get(controller.bus, (0, 0))
    if qemu is not None and qemu < since:
        version = ".".join(map(str, since))
        yield f"{name}: {controller.model} has iothread-vq-mapping since QEMU {version}"
    with_queues = [entry for entry in mapping if entry.vqs]
    if not with_queues:
        return
    if len(with_queues) < len(mapping):
        yield f"{name}: either all entries of a mapping name queues or none does"
    queues = [queue for entry in mapping for queue in entry.vqs]
    wanted = range(topology.count_queues(controller))
    yield from _check_unique(f"queue of {name}", map(str, queues))
    if set(queues) != set(wanted):
        yield f"{name}: a mapping that names queues has to name all {len(wanted)}, and no others"


def _check_served(topology: Topology, attached: AttachedDisk) -> Iterator[str]:
    if attached.controller not in {controller.id for controller in topology.controllers}:
        return  # reported already
    controller = topology.controller_of(attached)
    by = topology.served_by(attached)
    if len(by) != 1 and not controller.iothread_vq_mapping:
        yield f"{attached.disk.id} is served by {', '.join(by) or 'nothing'}"
    if controller.iothread_vq_mapping and MAIN_LOOP in by:
        yield f"{attached.disk.id}: a queue is left to the main loop"
