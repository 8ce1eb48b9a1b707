"""What a person can do about a domain that libvirt or QEMU refuses, where the reason shows it."""

from __future__ import annotations

from typing import Final, NamedTuple

from vmio.patterns import compile_late

__all__ = ["Remedy", "find_remedy"]


class Remedy(NamedTuple):
    """What helps, and which setting of a disk or a controller is at fault."""

    advice: str
    setting: str = ""
    """By its attribute's name, or `iothreads` for the mapping; empty where it is none of them."""


_DEFINE: Final = "raise <iothreads>, or name an IOThread that there is"
_REMEDIES: Final = tuple(
    (compile_late(pattern), Remedy(advice, setting))
    for pattern, advice, setting in (
        (
            r"IOThreads not available for bus scsi",
            "give the IOThread to the <driver> of its virtio-scsi controller instead",
            "iothread",
        ),
        (
            r"IOThreads not available for bus",
            "move the disk to bus='virtio', or to a virtio-scsi controller with an IOThread",
            "iothread",
        ),
        (r"(?:Disk|controller) iothread '\d+' not defined", _DEFINE, "iothread"),
        (r"iothread '\d+' not defined", _DEFINE, "iothreads"),
        (r"Cannot find 'iothread'", "raise <iothreads>, or delete it", ""),
        (
            r"driver 'iothread' attribute can't be used together",
            "keep either iothread or <iothreads>",
            "iothread",
        ),
        (
            r"'queue' count must be configured",
            "write queues with their number in the same <driver>",
            "iothreads",
        ),
        (
            r"iothread to queue mapping must be|missing iothread mapping for queue",
            "list the queues of every IOThread, each queue once, or of none",
            "iothreads",
        ),
        (r"io='native' needs", "write cache='none', or remove io='native'", "io"),
        (
            r"thread_pool_min must be smaller",
            "write thread_pool_max, too, no less than thread_pool_min",
            "",
        ),
        (r"ioeventfd='off'", "remove ioeventfd='off', or take the IOThread away", "ioeventfd"),
        (r"queue_size='\d+' is no", "write one, such as queue_size='256'", "queue_size"),
        (r"<poll \w+='\d+'> is more", "write nanoseconds, such as <poll max='32768'/>", ""),
    )
)
"""By the beginning of libvirt's words, or of those in `misfits.py`; the first that fits counts."""


def find_remedy(message: str) -> Remedy:
    """Returns what helps against a refusal; an empty one where only a person knows."""
    for pattern, remedy in _REMEDIES:
        if pattern.search(message):
            return remedy
    return Remedy("")
