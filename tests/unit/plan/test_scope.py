"""What a plan may change, and what only somebody who means harm would have it change."""

from __future__ import annotations

import pytest

from vmio.errors import UsageError
from vmio.model.plan import Change
from vmio.plan.scope import check_changes

OURS = "-object iothread,id=vmio0,poll-max-ns=0 -set device.virtio0.iothread=vmio0"
SINGLE = "virtio-scsi-single"


@pytest.mark.parametrize(
    "change",
    [
        Change(key="scsihw", old="virtio-scsi-pci", new=SINGLE),
        Change(key="scsihw", old=f"{SINGLE},x", new=SINGLE),
        Change(key="scsi0", option="iothread", new="1"),
        Change(key="scsi30", option="iothread", old="1"),
        Change(key="virtio15", option="queues", old="16", new="4"),
        Change(key="sata0", option="aio", new="native"),
        Change(key="scsi0", option="cache", new="none"),
        Change(key="args", new=OURS),
        Change(key="args", old="-cpu max", new=f"-cpu max {OURS}"),
        Change(key="args", old=f"-a {OURS} -b", new=f"-a -b {OURS}"),
        Change(key="args", old=OURS),
        Change(key="args", old=f"-cpu  max\t-b {OURS}", new="-cpu  max\t-b"),
    ],
    ids=str,
)
def test_how_disks_are_served_is_a_plans_to_change(change: Change) -> None:
    """Controllers of one driver, a drive's options, and IOThreads in args."""
    check_changes([change])


@pytest.mark.parametrize(
    "change",
    [
        Change(key="hookscript", new="local:snippets/x"),
        Change(key="scsi0", old="a:1", new="/dev/sda"),
        Change(key="scsi0", option="file", old="a:1", new="/dev/sda"),
        Change(key="scsi0", option="backup", new="0"),
        Change(key="scsi0", option="cache", new="unsafe"),
        Change(key="efidisk0", option="cache", new="none"),
        Change(key="net0", option="queues", new="4"),
        Change(key="scsi0", option="queues", new="4,file=/dev/sda"),
        Change(key="scsihw", new=SINGLE),
        Change(key="scsihw", old="lsi", new=SINGLE),
        Change(key="scsihw", old="virtio-scsi", new=SINGLE),
        Change(key="scsihw", old="virtio-scsi-pci", new=f"{SINGLE},x"),
        Change(key="scsihw", old=SINGLE, new="lsi"),
        Change(key="scsihw", old=SINGLE),
        Change(key="args", new="-qmp tcp:0.0.0.0:4444,server"),
        Change(key="args", old="-cpu max", new=OURS),
        Change(key="args", old="-cpu max"),
        Change(key="args", old="-cpu max", new=f"-cpu maxx {OURS}"),
        Change(key="args", old="-cpu max", new=f"-cpu max{OURS}"),
        Change(key="args", new=f"{OURS} -qmp tcp:0.0.0.0:4444,server"),
        Change(key="args", new=OURS.replace("0 ", "0,x=1 ")),
        Change(key="args", new="-object -object iothread,id=vmio0 iothread,id=vmio1"),
        Change(key="args", new="-set device.virtio0.iothread=vmio0"),
        Change(key="args", new="-set device.virtio0.drive=x"),
        Change(key="args", new=f"{OURS} {OURS}"),
        Change(key="args", new=f"{OURS}-set device.scsi0.iothread=vmio0"),
    ],
    ids=str,
)
def test_anything_else_is_refused(change: Change) -> None:
    """A plan's file may be anybody's, and a config names programs and files of the host."""
    with pytest.raises(UsageError, match="a plan may not change"):
        check_changes([change])


def test_nothing_is_changed_twice() -> None:
    """One of two changes would not be seen, and a plan of thousands would take hours."""
    change = Change(key="scsi0", option="iothread", new="1")
    with pytest.raises(UsageError, match="scsi0: iothread is changed twice"):
        check_changes([change, change])
