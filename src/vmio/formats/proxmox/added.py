"""Controllers and disks that QEMU's own options in `args` add to those of Proxmox VE.

They are at the end of the command line, so they can refer to what Proxmox VE creates: its buses,
its controllers, and its drives, each of which has a device already.

Source: qemu-server 9.2.6; QEMU 10.0.2, run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from vmio.formats.proxmox.layout import lay_out_config
from vmio.formats.proxmox.reader import ProxmoxGuest
from vmio.formats.qemu.blocks import read_blocks
from vmio.formats.qemu.devices import attach_devices
from vmio.formats.qemu.reader import check_queues, check_size
from vmio.model.option import Option
from vmio.model.source import Problem, Span
from vmio.model.topology import Topology
from vmio.values import replace

__all__ = ["add_options"]

_OF_DISKS = re.compile(r"(?:ide|sata|scsi|virtio|scsihw|virtioscsi|ahci)\d+", re.ASCII)
"""How Proxmox VE names its disks and their controllers."""
_FIRMWARE = ("efidisk0", "tpmstate0")
_NOWHERE = Span(start=0, end=0)


def add_options(guest: ProxmoxGuest) -> ProxmoxGuest:
    """Returns a guest with the disks of its `args`, and with the faults that QEMU refuses."""
    vm = guest.vm
    if not vm.options or vm.template:
        return guest
    made = lay_out_config(guest, with_args=False)
    default = "virtio" if vm.chipset == "virt" else "ide"
    check_size(vm.source, vm.options)
    blocks = read_blocks(vm.options, guest.context.host.files.block_device_patterns, default)
    found = attach_devices(
        vm.options,
        blocks,
        chipset=vm.chipset,
        arch=vm.arch,
        made=made,
        held=dict(_list_drives(guest)),
    )
    check_queues(vm.source, found.controllers, vm.vcpus)
    problems = [*found.problems, *_find_twice(guest, made), *_find_unset(vm.options, made)]
    if any(option.name == "readconfig" for option in vm.options):
        # What is missing in args can be in that file, which is not read.
        problems = [each for each in problems if each.kind != "missing-reference"]
    vm = replace(
        vm,
        controllers=found.controllers,
        attached=found.disks,
        problems=(*vm.problems, *problems),
    )
    return replace(guest, vm=vm)


def _list_drives(guest: ProxmoxGuest) -> Iterator[tuple[str, str]]:
    """Yields the drives that Proxmox VE creates, and the device of each.

    A read-only drive can have several devices, if it is a node by itself.
    """
    for disk in guest.vm.disks:
        yield f"drive-{disk.id}", disk.id if disk.media == "disk" else ""
    for key in _FIRMWARE:
        if key in guest.settings:
            yield f"drive-{key}", ""


def _find_twice(guest: ProxmoxGuest, made: Topology) -> Iterator[Problem]:
    """Yields ids that exist already among those that the layout of the disks needs."""
    groups: Mapping[str, set[str]] = {
        "device": {each.id for each in made.controllers if not each.built_in}
        | {each.disk.id for each in made.disks},
        "object": {each.id for each in made.iothreads},
        "block": {name for name, user in _list_drives(guest) if user},
    }
    for option in guest.vm.options:
        is_block = option.name in {"blockdev", "drive"}
        known = groups.get("block" if is_block else option.name)
        if known is None or not option.id:
            continue
        if option.id in known:
            said = f"the {option.name} '{option.id}' is defined twice"
            span = option.span or _NOWHERE
            yield Problem(kind="duplicate-id", message=said, span=span, subject=option.id)
        known.add(option.id)


def _find_unset(options: tuple[Option, ...], made: Topology) -> Iterator[Problem]:
    """Yields changes by `-set` to disks and controllers that do not exist."""
    known = {each.id for each in made.controllers} | {each.disk.id for each in made.disks}
    known |= {option.id for option in options if option.name == "device"}
    reported: set[str] = set()
    for option in options:
        for path in option.properties if option.name == "set" else ():
            group, _, rest = path.partition(".")
            name = rest.partition(".")[0]
            if (
                group == "device"
                and _OF_DISKS.fullmatch(name)
                and name not in known
                and name not in reported
            ):
                reported.add(name)
                said = f"there is no device '{name}' that {path} could change"
                span = option.span or _NOWHERE
                yield Problem(kind="missing-reference", message=said, span=span, subject="set")
