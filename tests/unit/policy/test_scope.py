"""What a plan may change, and what only somebody who means harm would have it change."""

from __future__ import annotations

import pytest

from vmio.errors import UsageError
from vmio.formats.base import Guest, ReadContext
from vmio.formats.registry import read
from vmio.model.host import Host
from vmio.model.plan import OWN, PER_DISK, SHARED, Change
from vmio.model.source import Source
from vmio.policy.scope import check_changes

SEPARATE = Change(subject="scsi", property="controllers", old=SHARED, new=PER_DISK)


def guest(scsihw: str = "virtio-scsi-pci", args: str = "") -> Guest:
    """Returns a guest with a disk on each bus."""
    text = f"scsi0: /dev/a,queues=4\nvirtio0: /dev/b\nsata0: /dev/c\nscsihw: {scsihw}\n"
    text += f"args: {args}\n" if args else ""
    return read(Source(name="100.conf", data=text.encode()), ReadContext(host=Host(), storages={}))


@pytest.mark.parametrize(
    "change",
    [
        SEPARATE,
        Change(subject="scsi0", property="iothread", new=OWN),
        Change(subject="scsi0", property="iothread", old=OWN),
        Change(subject="virtio0", property="iothread", new="vmio0"),
        Change(subject="vmio0", property="poll_max_ns", new="0"),
        Change(subject="scsi0", property="queues", old="4", new="2"),
        Change(subject="scsi0", property="queues", old="4"),
    ],
    ids=str,
)
def test_how_disks_are_served_is_a_plans_to_change(change: Change) -> None:
    """Controllers of one driver, threads with their polling, and queues."""
    check_changes(guest(), [change])


@pytest.mark.parametrize(
    "change",
    [
        Change(subject="scsi0", property="cache", new="unsafe"),
        Change(subject="scsi0", property="serial", new="x"),
        Change(subject="scsi0", property="bus", new="virtio"),
        Change(subject="scsi0", property="iothread", new="vmio0,x=1"),
        Change(subject="scsi0", property="iothread", new="vmio0 -qmp tcp:0.0.0.0:4444,server"),
        Change(subject="sata0", property="iothread", new=OWN),
        Change(subject="efidisk0", property="iothread", new=OWN),
        Change(subject="hookscript", property="queues", new="4"),
        Change(subject="scsi0", property="queues", new="4,file=/dev/sda"),
        Change(subject="net0", property="queues", new="4"),
        Change(subject="vmio0", property="poll_max_ns", new="0 -qmp x"),
        Change(subject="scsi", property="controllers", old=PER_DISK, new=SHARED),
        Change(subject="scsi", property="controllers", new="lsi"),
        Change(property="affinity", new="0"),
    ],
    ids=str,
)
def test_anything_else_is_refused(change: Change) -> None:
    """A plan's file may be anybody's, and a config names programs and files of the host."""
    with pytest.raises(UsageError, match="a plan may not change"):
        check_changes(guest(), [change])


@pytest.mark.parametrize("scsihw", ["lsi", "virtio-scsi", "pvscsi"])
def test_disk_is_not_taken_from_a_guest_without_the_driver(scsihw: str) -> None:
    """Another controller is a person's matter, whatever a plan's file says."""
    for change in (SEPARATE, Change(subject="scsi0", property="iothread", new=OWN)):
        with pytest.raises(UsageError, match="a plan may not change"):
            check_changes(guest(scsihw), [change])


def test_what_args_name_is_left_alone() -> None:
    """QEMU does not start where args name a device that has gone."""
    with pytest.raises(UsageError, match="a plan may not change"):
        check_changes(guest(args="-set device.scsi0.logical_block_size=4096"), [SEPARATE])


def test_nothing_is_changed_twice() -> None:
    """One of two changes would not be seen, and a plan of thousands would take hours."""
    change = Change(subject="scsi0", property="iothread", new=OWN)
    with pytest.raises(UsageError, match="scsi0: iothread is changed twice"):
        check_changes(guest(), [change, change])
