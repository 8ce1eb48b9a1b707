"""What libvirt takes and QEMU refuses, so that the domain is defined and does not start.

Source: QEMU 10.0.2, run with what libvirt 11.3.0 makes of such domains.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from vmio.formats.libvirt.domain import POLLING, Domain
from vmio.model.iothread import IOThread
from vmio.model.source import Problem, Span

__all__ = ["find_misfits"]

_LARGEST: Final = (1 << 63) - 1
_LEAST_QUEUE: Final = 4
_MOST_QUEUE: Final = 1024
_SECTOR: Final = 512


def find_misfits(domain: Domain) -> Iterator[Problem]:
    """Yields what QEMU refuses of a domain that libvirt takes."""
    for thread in domain.threads:
        yield from _check_polling(thread)
    for controller in domain.controllers:
        has_thread = "iothread" in controller.driver or bool(controller.mapping)
        name = f"{controller.type}{controller.index}"
        yield from _check_events(
            name, controller.driver, controller.spans, controller.span, has_thread=has_thread
        )
    for disk in domain.disks:
        has_thread = "iothread" in disk.driver or bool(disk.mapping)
        yield from _check_events(
            disk.target, disk.driver, disk.spans, disk.span, has_thread=has_thread
        )
        size = disk.driver.get("queue_size")
        if disk.bus == "virtio" and size is not None and not _is_queue_size(int(size)):
            said = f"queue_size='{size}' is no power of 2 from {_LEAST_QUEUE} to {_MOST_QUEUE}"
            yield _refuse(disk.target, said, disk.spans.get("queue_size", disk.span))
        granularity = disk.sizes.get("discard_granularity", _SECTOR)
        if disk.bus in {"ide", "sata"} and granularity != _SECTOR:
            said = f"discard_granularity='{granularity}' has to be {_SECTOR} on {disk.bus}"
            yield _refuse(disk.target, said, disk.span)


def _check_polling(thread: IOThread) -> Iterator[Problem]:
    for field, name in POLLING.items():
        value = getattr(thread, field)
        if value is not None and value > _LARGEST:
            said = f"<poll {name}='{value}'> is more than {_LARGEST}"
            yield _refuse(thread.id, said, thread.where.spans.get(field, thread.span))


def _check_events(
    name: str,
    driver: Mapping[str, str],
    spans: Mapping[str, Span],
    span: Span | None,
    *,
    has_thread: bool,
) -> Iterator[Problem]:
    if has_thread and driver.get("ioeventfd") == "off":
        said = "ioeventfd='off', and an IOThread needs it"
        yield _refuse(name, said, spans.get("ioeventfd", span))


def _is_queue_size(size: int) -> bool:
    return _LEAST_QUEUE <= size <= _MOST_QUEUE and not size & (size - 1)


def _refuse(subject: str, message: str, span: Span | None) -> Problem:
    where = span or Span(0, 0)
    return Problem(kind="refused-option", message=message, span=where, subject=subject)
