"""Disks that a config's `args` make, beside those of Proxmox VE."""

from __future__ import annotations

import pytest

from vmio.errors import InputError
from vmio.formats.base import ReadContext
from vmio.formats.registry import build_command, edit, find_obstacle, lay_out, read, read_again
from vmio.model.host import Host
from vmio.model.plan import OWN, Change
from vmio.model.source import Source, apply_edits
from vmio.model.topology import Topology
from vmio.model.version import parse_version
from vmio.policy.planner import make_plan
from vmio.policy.spreads import choose_policy

HOST = Host(qemu_version=parse_version("10.0.2"))
ARGS = (
    "args: -object iothread,id=io0 -drive file=/srv/a.raw,if=none,id=a,cache=none,aio=native"
    " -device virtio-scsi-pci,id=mine,iothread=io0 -device scsi-hd,drive=a,bus=mine.0,id=data"
    " -drive file=/srv/b.raw,if=none,id=b -device virtio-blk-pci,drive=b,id=loop"
)
CONFIG = f"{ARGS}\ncores: 4\nscsi0: local-lvm:vm-100-disk-0,size=32G\nscsihw: virtio-scsi-single\n"


def load(text: str) -> Topology:
    """Returns the layout of a config without a problem."""
    guest = read(Source(name="100.conf", data=text.encode()), ReadContext(host=HOST))
    assert guest.vm.problems == ()
    return lay_out(guest)


def test_disks_of_args_are_part_of_the_layout() -> None:
    """They come after Proxmox VE's own, with what serves them and how they are opened."""
    topology = load(CONFIG)
    found = [
        (each.disk.id, *topology.served_by(each), each.cache, each.aio) for each in topology.disks
    ]
    assert found == [
        ("scsi0", "main loop", "none", "io_uring"),
        ("data", "io0", "none", "native"),
        ("loop", "main loop", "writeback", "threads"),
    ]


def test_disk_of_args_can_hang_on_a_controller_of_proxmox() -> None:
    """It takes the next free place of the bus that it names."""
    topology = load(
        "args: -drive file=/a,if=none,id=a -device scsi-hd,drive=a,bus=virtioscsi0.0,id=more\n"
        "scsi0: local-lvm:vm-100-disk-0,iothread=1,size=32G\nscsihw: virtio-scsi-single\n"
    )
    disk = topology.disks[1]
    assert topology.served_by(disk) == ("iothread-virtioscsi0",)
    assert disk.address == (("bus", "virtioscsi0.0"), ("channel", 0), ("scsi-id", 1), ("lun", 0))


def test_args_that_perl_takes_for_false_add_nothing() -> None:
    """`args: 0` is no image for the first IDE disk, as it would be on a command line."""
    assert load("args: 0\nscsi0: local-lvm:vm-100-disk-0,size=32G\n").disks[1:] == ()


def test_a_template_has_no_disks_of_args() -> None:
    """They are for its clones."""
    assert len(load(f"{CONFIG}template: 1\n").disks) == 1


def test_plan_goes_around_disks_of_args() -> None:
    """Disks of Proxmox VE's get their threads; those of args are a person's, and stay."""
    guest = read(Source(name="100.conf", data=CONFIG.encode()), ReadContext(host=HOST))
    plan = make_plan(guest, HOST, choose_policy("per-disk"))
    served = {each.disk.id: plan.after.served_by(each) for each in plan.after.disks}
    assert served == {"scsi0": ("iothread-virtioscsi0",), "data": ("io0",), "loop": ("main loop",)}
    assert [(step.disks, step.obstacle) for step in plan.by_hand] == [(("loop",), "unsayable")]
    again = read_again(guest, apply_edits(guest.vm.source, edit(guest, plan.changes)))
    assert lay_out(again) == plan.after
    change = Change(subject="loop", property="iothread", new=OWN)
    assert find_obstacle(guest, change) == "unsayable"


def test_printed_command_has_them_once() -> None:
    """What args add is printed as it is written, and as nothing else."""
    guest = read(
        Source(name="100.conf", data=CONFIG.replace("local-lvm:vm-100-disk-0", "/x").encode()),
        ReadContext(host=HOST),
    )
    words = [word for part in build_command(guest, HOST).argv for word in part]
    assert len([word for word in words if "drive=a" in word.split(",")]) == 1
    assert build_command(guest, HOST).warnings == ()


def test_more_queues_than_any_guest_has_are_refused() -> None:
    """A number in args decides nothing of time and memory."""
    device = " -device virtio-scsi-pci,num_queues=1024" * 2000
    with pytest.raises(InputError, match="virtqueues"):
        load(f"args:{device}\n")
