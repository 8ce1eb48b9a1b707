"""Where two command lines differ."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmio.formats.qemu.argv import parse_words
from vmio.formats.qemu.diff import (
    Difference,
    compare_commands,
    leave_out_process,
    leave_out_rest,
)


def compare(a: str, b: str) -> list[Difference]:
    """Compares two command lines."""
    return list(compare_commands(*(parse_words(shlex.split(text)) for text in (a, b))))


def tell(a: str, b: str) -> list[tuple[str, str, list[tuple[str, str | None, str | None]]]]:
    """Returns kind, id and changes of each difference."""
    return [
        (found.kind, found.id, [(change.key, change.a, change.b) for change in found.changes])
        for found in compare(a, b)
    ]


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("-device VGA,id=a,addr=0x5", """-device '{"driver":"VGA","id":"a","addr":"5"}'"""),
        ("-device VGA,addr=0x5", "-device VGA,addr=05.0"),
        ("-device d,x=on", """-device '{"driver":"d","x":true}'"""),
        ("-device d,q=0x10", """-device '{"driver":"d","q":16}'"""),
        (
            "-device d,iothread-vq-mapping.0.iothread=a",
            """-device '{"driver":"d","iothread-vq-mapping":[{"iothread":"a"}]}'""",
        ),
        ("-object iothread,id=a -device VGA", "-device VGA -object iothread,id=a"),
        ("-chardev socket,id=a,server,nowait", "-chardev socket,server=on,wait=off,id=a"),
        ("-device a,addr=1 -device b,addr=2", "-device b,addr=2 -device a,addr=1"),
        ("-serial a -serial b", "-serial a -serial b"),
        ("-S -S", "-S -S"),
    ],
)
def test_ways_of_saying_the_same_are_equal(a: str, b: str) -> None:
    """Notation and order make no difference where they mean nothing."""
    assert compare(a, b) == []


@pytest.mark.parametrize(
    ("a", "b", "told"),
    [
        (
            "-drive id=drive-scsi0,aio=io_uring",
            "-drive id=drive-scsi0,aio=native,ro",
            [("changed", "drive-scsi0", [("aio", "io_uring", "native"), ("ro", None, "on")])],
        ),
        ("-object iothread,id=a", "-S", [("only-a", "a", []), ("only-b", "", [])]),
        ("-device VGA -device VGA", "-device VGA", [("only-a", "", [])]),
        ("-serial a -serial b", "-serial b", [("only-a", "", [])]),
        ("-m 64", "-m 128", [("changed", "", [("size", "64", "128")])]),
        ("-drive file=01", "-drive file=1", [("changed", "", [("file", "01", "1")])]),
        ("-name yes", "-name on", [("changed", "", [("guest", "yes", "on")])]),
        ("qemu -S", "kvm -S", [("changed", "", [("value", "qemu", "kvm")])]),
        (
            "-device a,id=a -device b,id=b -device c,addr=1",
            "-device b,id=b -device c,addr=1 -device a,id=a",
            [("order", "", [("order", "a, b", "b, a")])],
        ),
    ],
)
def test_difference_is_found(
    a: str, b: str, told: list[tuple[str, str, list[tuple[str, str | None, str | None]]]]
) -> None:
    """Each object is found again by its id, and each key of it compared."""
    assert tell(a, b) == told


def test_process_is_compared_by_its_guest() -> None:
    """Monitors, their sockets, the pid file and the program itself say nothing of the guest."""
    process = parse_words(
        shlex.split(
            "/usr/bin/kvm -S -chardev socket,id=qmp,path=x -mon chardev=qmp,mode=control"
            " -chardev socket,id=agent -device virtserialport,chardev=agent -pidfile p -daemonize"
            " -qmp unix:x -m 64"
        )
    )
    guest = parse_words(
        shlex.split("qemu -m 64 -chardev socket,id=agent -device virtserialport,chardev=agent")
    )
    assert compare_commands(leave_out_process(process), leave_out_process(guest)) == ()


WORDS = st.lists(
    st.sampled_from(
        """
        -device VGA VGA,id=a VGA,id=b,addr=5 {"driver":"VGA","id":"a"} -object iothread,id=a -m 64
        -S -mon chardev=a -chardev socket,id=a qemu -machine q35,accel=kvm -serial x
        """.split()  # noqa: SIM905 - a list a line each would hide the words
    ),
    max_size=12,
)


@given(WORDS, WORDS)
def test_comparison_is_symmetric(a: list[str], b: list[str]) -> None:
    """A command line equals itself, and two differ in the same places whichever comes first."""
    one, other = parse_words(a), parse_words(b)
    assert compare_commands(one, one) == ()
    there, back = compare_commands(one, other), compare_commands(other, one)
    swap = {"only-a": "only-b", "only-b": "only-a"}
    assert sorted((d.option, d.id, swap.get(d.kind, d.kind)) for d in there) == sorted(
        (d.option, d.id, d.kind) for d in back
    )
    assert compare_commands(leave_out_process(one), leave_out_process(one)) == ()


WHOLE = """\
-name guest=web -machine q35 -device qemu-xhci,id=usb -device pcie-root-port,id=pci.1
-object iothread,id=a
-blockdev driver=file,filename=/b,node-name=base-file
-blockdev driver=qcow2,file=base-file,node-name=base
-blockdev driver=file,filename=/a,node-name=top-file
-blockdev driver=qcow2,file=top-file,backing=base,node-name=top
-device virtio-blk-pci,id=vda,drive=top,iothread=a,bus=pci.1,addr=0x0
-device virtio-scsi-pci,id=scsi0,bus=pci.2,addr=0x0
"""
HALF = """\
-object iothread,id=a -blockdev driver=file,filename=/a,node-name=top-file
-blockdev driver=qcow2,file=top-file,node-name=top
-device virtio-blk-pci,id=vda,drive=top,iothread=a -device virtio-scsi-pci,id=scsi0
"""


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("", "", []),
        ("iothread=a,", "", [("changed", "vda", [("iothread", "a", None)])]),
        (
            "/a,node",
            "/c,node",
            [("changed", "top-file", [("filename", "/a", "/c")])],
        ),
        ("id=scsi0", "id=scsi1", [("only-a", "scsi0", []), ("only-b", "scsi1", [])]),
        (
            "-device virtio-scsi",
            "-blockdev driver=null-co,node-name=n -device virtio-scsi",
            [("only-b", "n", [])],
        ),
    ],
)
def test_half_is_compared_with_its_part_of_a_whole(old: str, new: str, told: object) -> None:
    """What a manager fills in as it starts a guest is no difference, and what has changed is."""
    half, whole = (parse_words(text.split()) for text in (HALF, WHOLE.replace(old, new)))
    found = compare_commands(half, leave_out_rest(whole, half))
    assert [
        (each.kind, each.id, [(change.key, change.a, change.b) for change in each.changes])
        for each in found
    ] == told


def test_place_that_a_half_names_is_compared() -> None:
    """A place on PCI counts where the half has one."""
    half = parse_words(HALF.replace("id=scsi0", "id=scsi0,addr=0x7").split())
    found = compare_commands(half, leave_out_rest(parse_words(WHOLE.split()), half))
    assert [each.id for each in found] == ["scsi0"]
