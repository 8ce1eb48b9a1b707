"""What helps against a refusal of libvirt's or of QEMU's."""

from __future__ import annotations

import pytest

from tests.unit.formats.libvirt.domains import SCSI, read, write_disk, write_domain

ONE = "<iothreads>1</iothreads>"
MAPPED = "<iothread id='1'><queue id='0'/></iothread>"


@pytest.mark.parametrize(
    ("devices", "advice", "marked"),
    [
        (
            write_disk("sda", "scsi", "iothread='1'") + SCSI,
            "give the IOThread to the <driver> of its virtio-scsi controller instead",
            "iothread='1'",
        ),
        (
            write_disk("sda", "sata", "iothread='1'"),
            "move the disk to bus='virtio', or to a virtio-scsi controller with an IOThread",
            "iothread='1'",
        ),
        (
            write_disk(driver="iothread='2'"),
            "raise <iothreads>, or name an IOThread that there is",
            "iothread='2'",
        ),
        (
            write_disk(listed="<iothread id='2'/>"),
            "raise <iothreads>, or name an IOThread that there is",
            "<iothreads><iothread id='2'/></iothreads>",
        ),
        (
            write_disk(driver="iothread='1'", listed="<iothread id='1'/>"),
            "keep either iothread or <iothreads>",
            "iothread='1'",
        ),
        (
            write_disk(listed=MAPPED),
            "write queues with their number in the same <driver>",
            f"<iothreads>{MAPPED}</iothreads>",
        ),
        (
            write_disk(driver="queues='2'", listed=MAPPED),
            "list the queues of every IOThread, each queue once, or of none",
            f"<iothreads>{MAPPED}</iothreads>",
        ),
        (
            write_disk(driver="io='native'"),
            "write cache='none', or remove io='native'",
            "io='native'",
        ),
        (
            write_disk(driver="iothread='1' ioeventfd='off'"),
            "remove ioeventfd='off', or take the IOThread away",
            "ioeventfd='off'",
        ),
        (
            write_disk(driver="queue_size='1000'"),
            "write one, such as queue_size='256'",
            "queue_size='1000'",
        ),
    ],
)
def test_refusal_says_what_helps_and_marks_the_setting(
    devices: str, advice: str, marked: str
) -> None:
    """The advice is about the setting that the problem points at."""
    vm = read(write_domain(devices, top=ONE)).vm
    [problem] = vm.problems
    assert problem.advice == advice
    assert vm.source.read_span(problem.span) == marked


@pytest.mark.parametrize(
    ("top", "advice"),
    [
        (
            "<iothreadids><iothread id='1' thread_pool_min='2'/></iothreadids>",
            "write thread_pool_max, too, no less than thread_pool_min",
        ),
        (
            f"{ONE}<cputune><iothreadpin iothread='2' cpuset='1'/></cputune>",
            "raise <iothreads>, or delete it",
        ),
        (
            f"<iothreadids><iothread id='1'><poll max='{1 << 63}'/></iothread></iothreadids>",
            "write nanoseconds, such as <poll max='32768'/>",
        ),
    ],
)
def test_refusal_of_a_thread_says_what_helps(top: str, advice: str) -> None:
    """So does one that is about no disk."""
    [problem] = read(write_domain(top=top)).vm.problems
    assert problem.advice == advice


def test_refusal_that_says_all_has_no_advice() -> None:
    """Nothing is advised where only a person knows what was meant."""
    [problem] = read(write_domain(write_disk("vdz1"))).vm.problems
    assert problem.advice == ""
