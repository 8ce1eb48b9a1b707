"""The layout of a notation that says every place itself: nothing is planned, QEMU decides.

Source: QEMU 10.0: its own defaults for what is not written.
"""

from __future__ import annotations

from collections.abc import Iterator

from attrs import evolve

from vmio.model.controller import Controller
from vmio.model.disk import FILE_DRIVERS
from vmio.model.iothread import MAIN_LOOP
from vmio.model.topology import AttachedDisk, Effect, Topology, Verdict
from vmio.model.vm import Vm

__all__ = ["lay_out_command"]


def lay_out_command(vm: Vm) -> Topology:
    """Returns the layout that is written, with QEMU's defaults where nothing is."""
    controllers = {controller.id: controller for controller in vm.controllers}
    return Topology(
        iothreads=vm.iothreads,
        controllers=vm.controllers,
        disks=tuple(_complete(each, controllers[each.controller]) for each in vm.attached),
        vcpus=vm.vcpus,
    )


def _complete(attached: AttachedDisk, controller: Controller) -> AttachedDisk:
    disk, backing = attached.disk, attached.disk.backing
    if backing is not None:
        has_aio = backing.driver in FILE_DRIVERS
        attached = evolve(
            attached,
            aio=disk.aio or "threads" if has_aio else None,
            detect_zeroes=attached.detect_zeroes or ("off" if disk.media == "disk" else None),
        )
    known = {effect.setting for effect in attached.effects}
    effects = (
        effect for effect in _find_effects(attached, controller) if effect.setting not in known
    )
    return evolve(attached, effects=(*attached.effects, *effects))


def _find_effects(attached: AttachedDisk, controller: Controller) -> Iterator[Effect]:
    disk, backing = attached.disk, attached.disk.backing
    yield _iothread_effect(attached, controller)
    if "queues" in disk.spans or (controller.num_queues is not None and controller.takes_iothread):
        yield Effect(setting="queues", value=str(controller.num_queues), verdict="used")
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
    threads = tuple(entry.iothread for entry in controller.iothread_vq_mapping)
    threads = threads or ((controller.iothread,) if controller.iothread is not None else ())
    if threads:
        value = ", ".join(dict.fromkeys(threads))
        return Effect(setting="iothread", value=value, verdict="used")
    if attached.disk.iothread_id is not None:
        reason = f"{attached.driver} has no property iothread, so QEMU refuses it"
        return Effect(setting="iothread", value="", verdict="ignored", reason=reason)
    return Effect(setting="iothread", value=MAIN_LOOP, verdict="default")
