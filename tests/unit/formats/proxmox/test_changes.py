"""A plan's changes made in a config's text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmio.errors import ConflictError, UsageError
from vmio.formats.proxmox.changes import apply_changes
from vmio.model.plan import Change
from vmio.model.source import Source

TEXT = """\
#a description
cores: 2
scsi0: local-lvm:vm-100-disk-0,discard=on,size=32G
scsi1: local-lvm:vm-100-disk-1
scsihw: virtio-scsi-pci
"""
REST = """
[PENDING]
cores: 4
delete: onboot,!scsi1

[before]
scsi0: local-lvm:vm-100-disk-0
scsihw: lsi
"""


def change(text: str, *changes: Change) -> str:
    """Returns a text with changes made."""
    return apply_changes(Source(name="100.conf", data=text.encode()), changes).decode()


def test_changes_are_made_where_proxmox_would_write_them() -> None:
    """A setting and several options of one drive change, and no byte besides."""
    assert change(
        TEXT + REST,
        Change(key="scsihw", old="virtio-scsi-pci", new="virtio-scsi-single"),
        Change(key="scsi0", option="iothread", new="1"),
        Change(key="scsi0", option="aio", new="native"),
        Change(key="scsi0", option="discard", old="on"),
        Change(key="args", new="-object iothread,id=a"),
    ) == (
        "#a description\nargs: -object iothread,id=a\ncores: 2\n"
        "scsi0: local-lvm:vm-100-disk-0,aio=native,iothread=1,size=32G\n"
        "scsi1: local-lvm:vm-100-disk-1\nscsihw: virtio-scsi-single\n" + REST
    )


def test_setting_is_removed() -> None:
    """A setting that shall be nothing is gone with its line."""
    assert change(TEXT, Change(key="cores", old="2")) == TEXT.replace("cores: 2\n", "")


@pytest.mark.parametrize(
    "stale",
    [
        Change(key="scsihw", old="lsi", new="virtio-scsi-single"),
        Change(key="scsihw", new="virtio-scsi-single"),
        Change(key="scsi0", option="discard", new="on"),
        Change(key="scsi0", option="iothread", old="0", new="1"),
        Change(key="scsi2", option="iothread", old="0", new="1"),
    ],
)
def test_stale_change_is_refused(stale: Change) -> None:
    """A setting that is no longer as the plan has it stays."""
    with pytest.raises(ConflictError, match="as the plan has it"):
        change(TEXT, stale)


@pytest.mark.parametrize(
    "waiting",
    [
        Change(key="cores", old="2", new="3"),
        Change(key="scsi1", option="iothread", new="1"),
    ],
)
def test_change_of_what_is_pending_is_refused(waiting: Change) -> None:
    """What changes or goes when the guest is next started is not planned with."""
    with pytest.raises(ConflictError, match="already to change"):
        change(TEXT + REST, waiting)


def test_change_of_a_line_that_proxmox_drops_is_refused() -> None:
    """An earlier line that counts is no reason to edit the later one that does not."""
    with pytest.raises(ConflictError, match="cannot take"):
        change(TEXT + "cores: none\n", Change(key="cores", old="2", new="3"))


def test_value_that_proxmox_refuses_is_refused() -> None:
    """A change to what Proxmox cannot read is not made."""
    with pytest.raises(UsageError):
        change(TEXT, Change(key="scsi0", option="iothread", new="maybe"))


@given(st.permutations(("aio=native", "iothread=1", "ro=1", "queues=4")))
def test_order_of_changes_does_not_count(options: list[str]) -> None:
    """The options of a drive stand in Proxmox's order, whatever the order of the changes."""
    changes = [
        Change(key="scsi1", option=option.partition("=")[0], new=option.partition("=")[2])
        for option in options
    ]
    line = "scsi1: local-lvm:vm-100-disk-1,aio=native,iothread=1,queues=4,ro=1\n"
    assert line in change(TEXT, *changes)


def test_quoted_word_is_the_word_that_a_plan_has() -> None:
    """A plan goes by the value as Proxmox keeps it, without the quotes around it."""
    text = 'cores: 2\nscsihw: "virtio-scsi-pci"\n'
    wish = Change(key="scsihw", old="virtio-scsi-pci", new="virtio-scsi-single")
    assert change(text, wish) == "cores: 2\nscsihw: virtio-scsi-single\n"
