"""The layout of a notation that configures every place itself: QEMU decides the rest.

Source: QEMU 10.0: its own defaults for what is not configured.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from vmio.formats.qemu.blocks import to_bool
from vmio.formats.qemu.devices import read_number, read_pci_address, read_pci_bus
from vmio.model.controller import Bridge, Controller
from vmio.model.disk import FILE_DRIVERS
from vmio.model.iothread import MAIN_LOOP
from vmio.model.machine import Chipset
from vmio.model.option import Option
from vmio.model.topology import (
    AttachedDisk,
    Effect,
    Topology,
    Verdict,
    choose_default_queues,
)
from vmio.model.vm import Vm
from vmio.values import replace

__all__ = ["choose_bridges", "lay_out_command", "settle"]

_CHASSIS: Final[Mapping[str, str | None]] = {
    "i82801b11-bridge": None,
    "ioh3420": "chassis",
    "pci-bridge": "chassis_nr",
    "pcie-pci-bridge": None,
    "pcie-root-port": "chassis",
    "x3130-upstream": None,
    "xio3130-downstream": "chassis",
}
"""PCI bridges, and the property of each that numbers it; the bus behind a bridge has its id.

Source: QEMU 10.0, docs/pcie.txt and `-device MODEL,help`.
"""


_PASSED_BY: Final = {
    "cache": "goes around the host's page cache, and the guest's flushes are the device's",
    "aio": "has SCSI commands done by worker threads (SG_IO), not by an engine",
    "discard": "hands the guest's SCSI commands over, those that unmap among them",
    "detect_zeroes": "does not examine written data",
}
"""Why settings of a file have no effect if SCSI commands are passed through."""
_OF_CONTROLLER: Final = frozenset({"iothread", "queues"})
"""Settings that are used above the file."""


def lay_out_command(vm: Vm, made: Mapping[str, Controller] | None = None) -> Topology:
    """Returns the configured layout, with QEMU's defaults for the rest.

    Args:
        vm: The configuration.
        made: Controllers that a manager creates besides, by their ids.
    """
    controllers = {**(made or {}), **{each.id: each for each in vm.controllers}}
    return Topology(
        iothreads=vm.iothreads,
        bridges=_find_bridges(vm),
        controllers=vm.controllers,
        disks=tuple(_complete(each, controllers[each.controller]) for each in vm.attached),
        vcpus=vm.vcpus,
        default_queues=choose_default_queues(vm.machine_version),
    )


def _find_bridges(vm: Vm) -> tuple[Bridge, ...]:
    options = (each for each in vm.options if each.name == "device" and each.kind in _CHASSIS)
    bridges = (_read_bridge(each, vm.chipset, number) for number, each in enumerate(options, 1))
    return choose_bridges(bridges, vm.controllers)


def choose_bridges(
    bridges: Iterable[Bridge], controllers: Iterable[Controller]
) -> tuple[Bridge, ...]:
    """Returns the bridges in front of the controllers, in their order.

    They include the first function of a bridge's slot: without it a guest sees no other function.

    Args:
        bridges: All bridges, each after the bridge that it is on.
        controllers: The controllers.
    """
    known = {each.id: each for each in bridges}
    firsts = {
        (bridge.pci.bus, bridge.pci.slot): bridge.id
        for bridge in known.values()
        if bridge.pci is not None and not bridge.pci.function
    }
    used = set()
    waiting = [
        each.pci.bus if each.pci is not None else each.pci_bus
        for each in controllers
        if each.pci is not None or each.pci_bus
    ]
    while waiting:
        name = waiting.pop()
        if name in known and name not in used:
            used.add(name)
            place = known[name].pci
            if place is None:
                waiting.append(known[name].pci_bus)
            else:
                waiting += (place.bus, firsts.get((place.bus, place.slot), name))
    return tuple(bridge for name, bridge in known.items() if name in used)


def _read_bridge(option: Option, chipset: Chipset, number: int) -> Bridge:
    own, key = option.properties, _CHASSIS[option.kind]
    return Bridge(
        id=option.id,
        model=option.kind,
        pci=read_pci_address(own, chipset),
        pci_bus=read_pci_bus(own),
        chassis=(read_number(own.get(key)) or number) if key is not None else None,
        multifunction=to_bool(own.get("multifunction")) is True,
    )


def _complete(attached: AttachedDisk, controller: Controller) -> AttachedDisk:
    disk, backing = attached.disk, attached.disk.backing
    if controller.served_outside:
        return replace(attached, effects=(_iothread_effect(attached, controller),))
    if backing is not None:
        has_aio = backing.driver in FILE_DRIVERS
        attached = replace(
            attached,
            aio=disk.aio or "threads" if has_aio else None,
            detect_zeroes=attached.detect_zeroes or ("off" if disk.media == "disk" else None),
        )
    known = {effect.setting for effect in attached.effects}
    effects = (
        effect for effect in _find_effects(attached, controller) if effect.setting not in known
    )
    return settle(replace(attached, effects=(*attached.effects, *effects)))


def settle(attached: AttachedDisk) -> AttachedDisk:
    """Returns a disk with the effect of its device, or a snapshot, on the settings of its file."""
    if attached.passes_through:
        return _pass_through(attached)
    is_read = attached.read_only or attached.disk.read_only or attached.disk.media == "cdrom"
    if is_read or not attached.disk.snapshot or attached.find_effect("snapshot") is not None:
        return attached
    # Source: QEMU 10.0: writes go to a temporary file, opened as with cache=unsafe.
    effect = Effect(setting="snapshot", value="on", verdict="used")
    return replace(
        attached, cache="unsafe", cache_no_flush=True, effects=(*attached.effects, effect)
    )


def _pass_through(attached: AttachedDisk) -> AttachedDisk:
    """Returns a disk whose SCSI commands go to the host's device unchanged.

    The settings of its file determine how that is opened, and nothing after that.

    Source: QEMU 10.0, see `PASSTHROUGH`.
    """
    disk = attached.disk
    written = {
        "cache": disk.cache is not None or "write_cache" in disk.spans,
        "aio": disk.aio is not None,
        "discard": disk.discard is not None,
        "detect_zeroes": disk.detect_zeroes is not None,
        **{name.replace("-", "_"): True for name, _ in disk.limits},
    }
    ignored = (
        Effect(
            setting=setting,
            value="",
            verdict="ignored",
            reason=f"{attached.driver} {_PASSED_BY[setting]}"
            if setting in _PASSED_BY
            else f"limits do not apply to what {attached.driver} passes through",
        )
        for setting, is_written in written.items()
        if is_written
    )
    return replace(
        attached,
        cache=None,
        write_cache=None,
        aio=None,
        detect_zeroes=None,
        effects=(
            *(each for each in attached.effects if each.setting in _OF_CONTROLLER),
            *ignored,
        ),
    )


def _find_effects(attached: AttachedDisk, controller: Controller) -> Iterator[Effect]:
    disk, backing = attached.disk, attached.disk.backing
    yield _iothread_effect(attached, controller)
    if "queues" in disk.spans or (controller.num_queues is not None and controller.takes_iothread):
        # Only a PCI device has another number by default than one.
        is_written = "-pci" in controller.model or controller.num_queues != 1
        verdict = _verdict(is_written or "queues" in disk.spans)
        yield Effect(setting="queues", value=str(controller.num_queues), verdict=verdict)
    if backing is None:
        return
    written = disk.cache is not None or "write_cache" in disk.spans
    yield Effect(setting="cache", value=attached.cache or "", verdict=_verdict(written))
    if attached.aio is not None:
        yield Effect(setting="aio", value=attached.aio, verdict=_verdict(disk.aio is not None))
    elif disk.aio is not None:
        reason = f"the {backing.driver} driver does its own I/O"
        yield Effect(setting="aio", value="", verdict="ignored", reason=reason)
    if disk.media == "disk":
        yield Effect(
            setting="discard",
            value=disk.discard or "ignore",
            verdict=_verdict(disk.discard is not None),
        )
        yield _zeroes_effect(attached)


def _verdict(written: bool) -> Verdict:  # noqa: FBT001 - one truth is all it takes
    return "used" if written else "default"


def _zeroes_effect(attached: AttachedDisk) -> Effect:
    disk = attached.disk
    if attached.detect_zeroes == "unmap" and disk.discard != "unmap":
        reason = "nothing is unmapped without discard=unmap; QEMU refuses it of a -blockdev"
        return Effect(setting="detect_zeroes", value="", verdict="ignored", reason=reason)
    return Effect(
        setting="detect_zeroes",
        value=attached.detect_zeroes or "",
        verdict=_verdict(disk.detect_zeroes is not None),
    )


def _iothread_effect(attached: AttachedDisk, controller: Controller) -> Effect:
    if controller.served_outside:
        return Effect(setting="iothread", value=controller.served_outside, verdict="default")
    threads = tuple(entry.iothread for entry in controller.iothread_vq_mapping)
    threads = threads or ((controller.iothread,) if controller.iothread is not None else ())
    if threads:
        value = ", ".join(dict.fromkeys(threads))
        return Effect(setting="iothread", value=value, verdict="used")
    if attached.disk.iothread_id is not None:
        reason = f"{attached.driver} has no property iothread, so QEMU refuses it"
        return Effect(setting="iothread", value="", verdict="ignored", reason=reason)
    return Effect(setting="iothread", value=MAIN_LOOP, verdict="default")
