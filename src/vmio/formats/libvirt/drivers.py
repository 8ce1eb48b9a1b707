"""The `<driver>` of a disk or a controller, and its queues' threads.

Source: libvirt 11.3.0, run: `virsh domxml-to-native` and its messages.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from vmio.formats.libvirt.domain import name_thread
from vmio.formats.libvirt.reading import ON_OFF, Reading
from vmio.formats.libvirt.versions import has_feature
from vmio.formats.libvirt.xml import Element, find_attributes
from vmio.model.iothread import VirtqueueMapping
from vmio.model.source import Source, Span

__all__ = ["find_driver_spans", "read_driver", "read_mapping"]

_POLICIES: Final = frozenset({"stop", "report", "ignore", "enospace"})
_CHOICES: Final[Mapping[str, frozenset[str]]] = {
    "ats": ON_OFF,
    "cache": frozenset({"default", "none", "writethrough", "writeback", "directsync", "unsafe"}),
    "copy_on_read": ON_OFF,
    "detect_zeroes": frozenset({"off", "on", "unmap"}),
    "discard": frozenset({"unmap", "ignore"}),
    "discard_no_unref": ON_OFF,
    "error_policy": _POLICIES,
    "event_idx": ON_OFF,
    "io": frozenset({"native", "threads", "io_uring"}),
    "ioeventfd": ON_OFF,
    "iommu": ON_OFF,
    "packed": ON_OFF,
    "page_per_vq": ON_OFF,
    "rerror_policy": _POLICIES,
}
"""What an attribute of a driver can be."""
_NUMBERS: Final = frozenset({"iothread", "queues", "queue_size", "cmd_per_lun", "max_sectors"})


def read_driver(reading: Reading, driver: Element, *, least_thread: int = 1) -> Mapping[str, str]:
    """Returns the attributes of a driver that libvirt takes.

    Args:
        reading: The domain.
        driver: The element.
        least_thread: The least number of an IOThread; a controller's may be 0, which is none.
    """
    found: dict[str, str] = {}
    for name, value in driver.attributes.items():
        if name in _CHOICES:
            if chosen := reading.choose(driver, name, _CHOICES[name]):
                found[name] = chosen
        elif name in _NUMBERS:
            if number := reading.count(
                driver, name, least=least_thread if name == "iothread" else 0
            ):
                found[name] = str(number)
        else:
            found[name] = value
    if not has_feature(reading.version, "discard-no-unref"):
        found.pop("discard_no_unref", None)
    return found


def find_driver_spans(source: Source, driver: Element) -> dict[str, Span]:
    """Returns where a driver's attributes and its `iothreads` are written."""
    spans = find_attributes(source, driver)
    listed = driver.find("iothreads")
    if listed is not None:
        spans["iothreads"] = listed.span
    return spans


def read_mapping(reading: Reading, driver: Element) -> tuple[VirtqueueMapping, ...]:
    """Returns the IOThreads that a driver's queues are given to."""
    listed = driver.find("iothreads")
    entries = []
    for element in listed.find_all("iothread") if listed is not None else ():
        number = reading.demand(element, "id")
        queues = [reading.demand(queue, "id") for queue in element.find_all("queue")]
        if number is not None:
            vqs = tuple(queue for queue in queues if queue is not None)
            entries.append(VirtqueueMapping(iothread=name_thread(number), vqs=vqs))
    return tuple(entries)
