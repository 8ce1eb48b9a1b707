"""Changes of the model made in a config's text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmio.errors import ConflictError, PlanError, UsageError
from vmio.formats.base import ReadContext
from vmio.formats.proxmox.edit import edit_config
from vmio.formats.proxmox.reader import read_guest
from vmio.formats.proxmox.threads import cut_ours, has_ours, render_ours
from vmio.model.host import Host
from vmio.model.plan import OWN, PER_DISK, SHARED, Change
from vmio.model.source import Source, apply_edits

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
SEPARATE = Change(subject="scsi", property="controllers", old=SHARED, new=PER_DISK)


def change(text: str, *changes: Change) -> str:
    """Returns a text with changes made."""
    source = Source(name="100.conf", data=text.encode())
    guest = read_guest(source, ReadContext(storages=None, host=Host()))
    return apply_edits(source, edit_config(guest, changes)).decode()


def test_changes_are_made_where_proxmox_would_write_them() -> None:
    """A setting and several options of one drive change, and no byte besides."""
    assert change(
        TEXT + REST,
        SEPARATE,
        Change(subject="scsi0", property="iothread", new=OWN),
        Change(subject="scsi0", property="aio", new="native"),
        Change(subject="scsi0", property="discard", old="unmap"),
    ) == (
        "#a description\ncores: 2\n"
        "scsi0: local-lvm:vm-100-disk-0,aio=native,iothread=1,size=32G\n"
        "scsi1: local-lvm:vm-100-disk-1\nscsihw: virtio-scsi-single\n" + REST
    )


def test_shared_thread_is_written_into_args() -> None:
    """What somebody else wrote there stays, and the controller is that of the new layout."""
    text = "args: -cpu max\n" + TEXT
    shared = change(text, Change(subject="scsi0", property="iothread", new="vmio0"))
    ours = "-object iothread,id=vmio0 -set device.scsihw0.iothread=vmio0"
    assert f"args: -cpu max {ours}\n" in shared
    alone = change(text, SEPARATE, Change(subject="scsi1", property="iothread", new="vmio0"))
    assert "-set device.virtioscsi1.iothread=vmio0\n" in alone


def test_shared_thread_goes_and_its_polling_changes() -> None:
    """Threads that serve nothing any more are gone from args, and others keep their polling."""
    one = "-object iothread,id=vmio0,poll-max-ns=0 -set device.virtio0.iothread=vmio0"
    text = f"args: {one}\nvirtio0: /dev/a\n"
    assert change(text, Change(subject="virtio0", property="iothread", old="vmio0", new=OWN)) == (
        "virtio0: /dev/a,iothread=1\n"
    )
    poll = Change(subject="vmio0", property="poll_max_ns", old="0", new="5000")
    assert "poll-max-ns=5000" in change(text, poll)
    assert "poll-max-ns" not in change(
        text, Change(subject="vmio0", property="poll_max_ns", old="0")
    )


def test_first_options_of_a_drive_are_removed_together() -> None:
    """Edits that would touch the same comma are made one after the other."""
    text = "scsi0: iothread=1,aio=native,/dev/a\nscsi1: b:\udcff\nscsihw: virtio-scsi-single\n"
    data = text.encode("utf-8", "surrogateescape")
    source = Source(name="100.conf", data=data)
    guest = read_guest(source, ReadContext(storages=None, host=Host()))
    changes = [
        Change(subject="scsi0", property="iothread", old=OWN),
        Change(subject="scsi0", property="aio", old="native"),
    ]
    assert apply_edits(source, edit_config(guest, changes)) == data.replace(
        b"iothread=1,aio=native,", b""
    )


def test_change_of_a_line_that_proxmox_drops_is_refused() -> None:
    """An earlier line that counts is no reason to edit the later one that does not."""
    with pytest.raises(ConflictError, match="does not accept"):
        change(TEXT + "scsi1: none,x=1\n", Change(subject="scsi1", property="aio", new="native"))


def test_value_that_proxmox_refuses_is_refused() -> None:
    """A change to what Proxmox cannot read is not made."""
    with pytest.raises(UsageError):
        change(TEXT, Change(subject="scsi0", property="aio", new="maybe"))


@given(st.permutations(("aio=native", "iothread=own", "cache=none", "queues=4")))
def test_order_of_changes_does_not_count(options: list[str]) -> None:
    """The options of a drive stand in Proxmox's order, whatever the order of the changes."""
    split = [option.partition("=") for option in options]
    changes = [
        Change(subject="scsi1", property=name, new=value)  # type: ignore[arg-type]
        for name, _, value in split
    ]
    line = "scsi1: local-lvm:vm-100-disk-1,aio=native,cache=none,iothread=1,queues=4\n"
    assert line in change(TEXT, *changes)


def test_quoted_word_is_the_word_that_a_plan_has() -> None:
    """A plan goes by the value as Proxmox keeps it, without the quotes around it."""
    text = 'cores: 2\nscsihw: "virtio-scsi-pci"\n'
    assert change(text, SEPARATE) == "cores: 2\nscsihw: virtio-scsi-single\n"


def test_carriage_return_stays() -> None:
    """A file with DOS line ends keeps them."""
    text = "cores: 1\r\nscsihw: virtio-scsi-pci\r\n"
    assert change(text, SEPARATE) == "cores: 1\r\nscsihw: virtio-scsi-single\r\n"


def test_place_of_another_device_is_not_taken() -> None:
    """A controller where a device of args sits would keep the guest from starting."""
    text = f"args: -device e1000,bus=pci.3,addr=0x1\n{TEXT}"
    with pytest.raises(PlanError, match=r"pci\.3:0x1 exists 2 times"):
        change(text, SEPARATE)


def test_blanks_in_args_are_gone_through_once() -> None:
    """A megabyte of them between two words; looked for from each blank it took an hour."""
    args = f"-S{' ' * (1 << 20)}-S"
    assert not has_ours(args)
    assert cut_ours(args) == args
    ours = render_ours({"scsihw0": "vmio0"}, {})
    assert has_ours(f"{args} {ours}")
    assert cut_ours(f"{args} \t {ours}  -S") == f"{args}  -S"
