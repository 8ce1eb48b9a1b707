"""The storage layout that a running QEMU reports, and its differences from a plan.

Source: QEMU 7.2 and 10.0, replies of both recorded from guests of every controller kind.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct

from vmio.bounds import MAX_QUEUES_IN_ALL
from vmio.errors import QmpError
from vmio.model.controller import Controller, PciAddress
from vmio.model.disk import AioEngine, Backing, BusKind, Disk
from vmio.model.iothread import MAIN_LOOP, PARAMETERS, IOThread, VirtqueueMapping
from vmio.model.topology import AttachedDisk, HostThread, Topology, count_queues
from vmio.qemu.blocks import Nodes, index_nodes, insert_medium
from vmio.qemu.cmdline import read_aio_engines
from vmio.qemu.qmp import CommandRefusedError
from vmio.qemu.questions import Asked, ask
from vmio.qemu.replies import (
    PERIPHERAL,
    as_integer,
    as_mappings,
    check_count,
    name_device,
)
from vmio.qemu.threads import ReportedThreads, ask_threads, find_process
from vmio.values import replace

__all__ = ["compare", "read_live"]

_PATIENCE_S = 60.0
"""Seconds for all replies; thousands of devices take several."""
_CONTROLLER = re.compile(
    r"virtio-(?:scsi|blk)-\w.*|lsi53c8\w+|megasas(?:-gen2)?|mptsas1068|pvscsi|am53c974|dc390"
    r"|(?:ich9-)?ahci|piix[34]-ide(?:-xen)?|via-ide|cmd646-ide|isa-ide",
    re.ASCII,
)
_DISK = re.compile(r"scsi-(?:hd|cd|block|generic)|ide-(?:hd|cd|cf)|virtio-blk-\w.*", re.ASCII)
_OUTSIDE = re.compile(r"vhost-user-(?:blk|scsi)-\w.*|vhost-scsi-\w.*", re.ASCII)
"""Devices whose disks are another process's or the host kernel's: QEMU lists no drive of them."""
_USB_DISK = "usb-storage"
_USB_CONTROLLER = re.compile(r".*(?:[eou]hci|xhci).*", re.ASCII)
_ALIASES = {"lsi": "lsi53c895a", "ahci": "ich9-ahci"}
"""Names that `-device` accepts, and the types that QEMU then reports."""


async def read_live(monitor: Asked, *, pid: int | None = None) -> Topology:
    """Returns the layout that a running QEMU reports.

    Only QEMU's own lists are requested, and a few properties of each disk and storage controller,
    so a guest with thousands of other objects takes no longer.

    Args:
        monitor: Its monitor, of which all is asked in one conversation.
        pid: Its process on this host; None to infer it from the socket and the thread ids. If that
            is not possible, as for a QEMU in a container, the main loop's thread and aio are not
            known.

    Raises:
        QmpError: It does not answer, or not as a QEMU does, or takes too long for all answers.
    """
    try:
        async with asyncio.timeout(_PATIENCE_S):
            async with monitor.conversation():
                return await _read(monitor, pid)
    except TimeoutError as error:
        raise QmpError(
            f"{monitor.name} did not report its whole layout within {_PATIENCE_S:g} s"
        ) from error


async def _read(monitor: Asked, pid: int | None) -> Topology:
    reported = await ask_threads(monitor)
    process = find_process(pid if pid is not None else monitor.peer_pid, reported.thread_ids)
    nodes = await ask(monitor, "query-named-block-nodes", {"flat": True})
    reader = _Reader(
        monitor=monitor,
        engines=read_aio_engines(process) if process is not None else {},
        nodes=index_nodes(as_mappings(nodes, monitor.name)),
    )
    iothreads = [await reader.read_iothread(iothread) for iothread, _ in reported.iothreads]
    controllers, disks = await reader.read_devices()
    queues = count_queues(controllers, len(reported.vcpus))
    if queues > MAX_QUEUES_IN_ALL:
        raise QmpError(f"{monitor.name} reports {queues} virtqueues")
    return Topology(
        iothreads=tuple(iothreads),
        controllers=controllers,
        disks=disks,
        vcpus=max(1, len(reported.vcpus)),
        host_threads=tuple(_list_host_threads(process, reported)),
    )


def _list_host_threads(process: int | None, reported: ReportedThreads) -> Iterator[HostThread]:
    if process is not None:
        yield HostThread(serves=MAIN_LOOP, thread_id=process)
    for iothread, thread in reported.iothreads:
        if thread is not None:
            yield HostThread(serves=iothread.id, thread_id=thread)


class _Reader(Struct, frozen=True, kw_only=True):
    """Asks one QEMU about its devices."""

    monitor: Asked
    engines: Mapping[str, AioEngine]
    nodes: Nodes

    async def read_iothread(self, reported: IOThread) -> IOThread:
        """Returns an IOThread with the size of its thread pool, which the list lacks."""
        path = f"/objects/{reported.id}"
        return replace(
            reported,
            thread_pool_min=as_integer(await self.get(path, "thread-pool-min")),
            thread_pool_max=as_integer(await self.get(path, "thread-pool-max"), 1),
        )

    async def read_devices(self) -> tuple[tuple[Controller, ...], tuple[AttachedDisk, ...]]:
        """Returns the controllers, with and without disks, and the disks in QEMU's order."""
        controllers: dict[str, Controller] = {}
        disks: list[AttachedDisk] = []
        outside: list[str] = []
        for folder in ("/machine/peripheral", "/machine/peripheral-anon"):
            for name, kind in await self._list_children(folder):
                model = kind.removeprefix("child<").removesuffix(">")
                if kind.startswith("child<") and _CONTROLLER.fullmatch(model):
                    path = f"{folder}/{name}"
                    controllers[path] = await self._read_controller(path, model)
                elif kind.startswith("child<") and _OUTSIDE.fullmatch(model):
                    outside.append(f"{folder}/{name}")
                    controllers[outside[-1]] = await self._read_controller(outside[-1], model)
        reply = await ask(self.monitor, "query-block")
        blocks = as_mappings(reply, self.monitor.name)
        check_count(blocks, self.monitor.name, "drives")
        for block in blocks:
            attached = await self._read_disk(block, controllers, len(disks))
            if attached is not None:
                disks.append(attached)
        sockets = await self._read_sockets() if outside else {}
        for path in outside:
            disks.append(await self._read_outside(path, controllers[path], sockets, len(disks)))
        return tuple(controllers.values()), tuple(disks)

    async def _list_children(self, folder: str) -> tuple[tuple[str, str], ...]:
        """Returns name and type of each property of a QOM object, children and links included."""
        reply = await ask(self.monitor, "qom-list", {"path": folder})
        entries = as_mappings(reply, self.monitor.name)
        check_count(entries, self.monitor.name, "devices")
        return tuple((str(each.get("name")), str(each.get("type"))) for each in entries)

    async def _read_sockets(self) -> Mapping[str, str]:
        """Returns what each character device is connected to, by its id."""
        reply = await ask(self.monitor, "query-chardev")
        sockets = as_mappings(reply, self.monitor.name)
        check_count(sockets, self.monitor.name, "character devices")
        return {
            str(each.get("label")): _name_socket(str(each.get("filename"))) for each in sockets
        }

    async def _read_outside(
        self, path: str, controller: Controller, sockets: Mapping[str, str], number: int
    ) -> AttachedDisk:
        """Returns what stands for the disks of a device that QEMU does not serve itself."""
        target, socket = await self.get(path, "wwpn"), await self.get(path, "chardev")
        name = str(target) if target else sockets.get(str(socket), "")
        disk = Disk(
            id=name_device(path),
            bus=controller.bus,
            index=number,
            volume=name,
            backing=Backing(filename=name, format="", driver=controller.model),
        )
        return AttachedDisk(disk=disk, controller=controller.id, driver=controller.model)

    async def _read_controller(self, path: str, model: str, bus: str = "") -> Controller:
        built_in = not path.startswith("/machine/peripheral")
        iothread = await self.get(path, "iothread")
        queues = await self.get(path, "num_queues" if "scsi" in model else "num-queues")
        return Controller(
            id=bus.rpartition(".")[0] or bus if built_in else name_device(path),
            model=model,
            bus=_find_bus_kind(model),
            pci=None if built_in else await self._read_pci(path),
            iothread=str(iothread).rpartition("/")[2] if iothread else None,
            iothread_vq_mapping=tuple(_parse_mapping(await self.get(path, "iothread-vq-mapping"))),
            num_queues=as_integer(queues, 1),
            built_in=built_in,
        )

    async def _read_pci(self, path: str) -> PciAddress | None:
        bus = await self.get(path, "parent_bus")
        address = str(await self.get(path, "legacy-addr"))
        match = re.fullmatch(r"([0-9a-f]{2})\.([0-7])", address, re.ASCII)
        if match is None or not isinstance(bus, str):
            return None
        return PciAddress(
            bus=bus.rpartition("/")[2], slot=int(match[1], 16), function=int(match[2])
        )

    async def _read_disk(
        self, block: Mapping[str, Any], controllers: dict[str, Controller], number: int
    ) -> AttachedDisk | None:
        """Returns the disk of an entry of query-block; None if it is of another kind."""
        qdev = block.get("qdev")
        if not isinstance(qdev, str) or not qdev:
            return None
        path = qdev if qdev.startswith("/") else f"{PERIPHERAL}{qdev}"
        path = path.removesuffix("/virtio-backend")
        driver = str(await self.get(path, "type"))
        if not _DISK.fullmatch(driver):
            return None
        above, bus = path, ""
        if not driver.startswith("virtio-blk"):
            above, bus = await self._find_parent(path)
        if path.startswith(f"{above}/") and await self.get(above, "type") == _USB_DISK:
            driver = _USB_DISK  # it has made the SCSI disk itself
            above, bus = await self._find_parent(above)
        if above not in controllers:
            model = str(await self.get(above, "type"))
            controllers[above] = await self._read_controller(above, model, bus)
        identity = name_device(path)
        digits = re.search(r"[0-9]{1,6}\Z", identity)
        bare = AttachedDisk(
            disk=Disk(
                id=identity,
                bus=controllers[above].bus,
                index=int(digits[0]) if digits else number,
                media="cdrom" if driver.endswith("-cd") else "disk",
            ),
            controller=controllers[above].id,
            address=await self._read_address(path, driver, bus),
            driver=driver,
        )
        return insert_medium(bare, block, self.nodes, self.engines)

    async def _find_parent(self, path: str) -> tuple[str, str]:
        """Returns the device whose bus a device is on, and the bus."""
        above, _, bus = str(await self.get(path, "parent_bus")).rpartition("/")
        return above.removesuffix("/virtio-backend"), bus

    async def _read_address(
        self, path: str, driver: str, bus: str
    ) -> tuple[tuple[str, str | int], ...]:
        address: list[tuple[str, str | int]] = [("bus", bus)] if bus else []
        names = {"scsi": ("channel", "scsi-id", "lun"), "ide": ("unit",)}
        for name in names.get(driver.partition("-")[0], ()):
            value = as_integer(await self.get(path, name))
            if value is not None:
                address.append((name, value))
        return tuple(address)

    async def get(self, path: str, name: str) -> Any:  # noqa: ANN401 - QEMU's value, unchecked
        """Returns a property's value; None if this device or version has no such property."""
        try:
            return await ask(self.monitor, "qom-get", {"path": path, "property": name})
        except CommandRefusedError:
            return None


def _name_socket(text: str) -> str:
    """Returns a socket's path or address, without what QEMU says of it."""
    return text.removeprefix("disconnected:").removeprefix("unix:").partition(",")[0]


def _find_bus_kind(model: str) -> BusKind:
    if model.startswith(("virtio-blk", "vhost-user-blk")):
        return "virtio"
    if model.endswith("ahci"):
        return "sata"
    if _USB_CONTROLLER.fullmatch(model):
        return "usb"
    return "ide" if "ide" in model else "scsi"


def _parse_mapping(value: object) -> Iterator[VirtqueueMapping]:
    for entry in value if isinstance(value, list) else ():
        match entry:
            case {"iothread": str(name), "vqs": list(queues)}:
                indices = [as_integer(queue) for queue in queues]
                yield VirtqueueMapping(
                    iothread=name, vqs=tuple(index for index in indices if index is not None)
                )
            case {"iothread": str(name)}:
                yield VirtqueueMapping(iothread=name)
            case _:
                pass


def compare(planned: Topology, live: Topology) -> tuple[str, ...]:
    """Returns the differences between a running QEMU and a plan, in words.

    What the plan leaves to QEMU, and what QEMU does not report, is not compared.
    """
    known = {attached.qemu_id for attached in planned.disks}
    return (
        *_compare_iothreads(planned, live),
        *(line for attached in planned.disks for line in _compare_disk(planned, attached, live)),
        *(
            f"{attached.disk.id}: QEMU has this disk, and the plan does not"
            for attached in live.disks
            if attached.disk.id not in known
        ),
    )


def _compare_iothreads(planned: Topology, live: Topology) -> Iterator[str]:
    running = {iothread.id: iothread for iothread in live.iothreads}
    for wanted in planned.iothreads:
        found = running.pop(wanted.id, None)
        if found is None:
            yield f"{wanted.id}: QEMU has no such IOThread"
            continue
        for name in PARAMETERS:
            yield from _differ(wanted.id, name, getattr(wanted, name), getattr(found, name))
    yield from (f"{name}: QEMU has this IOThread, and the plan does not" for name in running)


def _compare_disk(planned: Topology, wanted: AttachedDisk, live: Topology) -> Iterator[str]:
    name = wanted.disk.id
    found = live.find_disk(wanted.qemu_id)
    if found is None:
        yield f"{name}: QEMU has no such disk"
        return
    yield from _differ(
        name,
        "served by",
        ", ".join(sorted(planned.served_by(wanted))),
        ", ".join(sorted(live.served_by(found))),
    )
    ours, theirs = planned.controller_of(wanted), live.controller_of(found)
    if not (ours.built_in and theirs.built_in):  # QEMU has no id for what the machine brings
        yield from _differ(name, "controller", ours.id, theirs.id)
    yield from _differ(name, f"model of {ours.id}", *map(_real_model, (ours, theirs)))
    yield from _differ(name, f"PCI address of {ours.id}", ours.pci, theirs.pci)
    yield from _differ(name, f"queues of {ours.id}", ours.num_queues, theirs.num_queues)
    yield from _differ(name, "device", wanted.driver or None, found.driver)
    if wanted.disk.backing is not None and not ours.served_outside:
        # Not write_cache: the guest may switch it, and its firmware does so on virtio-blk.
        for setting in ("cache_direct", "cache_no_flush", "aio", "detect_zeroes"):
            yield from _differ(name, setting, getattr(wanted, setting), getattr(found, setting))


def _real_model(controller: Controller) -> str:
    return _ALIASES.get(controller.model, controller.model)


def _differ(subject: str, what: str, planned: object, live: object) -> Iterator[str]:
    if planned is not None and live is not None and planned != live:
        yield f"{subject}: {what} is {live}, planned was {planned}"
