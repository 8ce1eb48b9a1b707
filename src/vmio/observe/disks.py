"""What QEMU says of each disk: what it has done, what it may do, what it has in hand.

Source: QEMU 10.0, qapi/block-core.json, qapi/virtio.json and qapi/qom.json; replies of 10.0.2.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import pairwise
from typing import Any, Final, Literal

from msgspec import Struct

from vmio.bounds import load_json
from vmio.observe.sample import DiskSample, Histogram, Limits, Operations, QueueSample
from vmio.qemu.qmp import QmpConnection
from vmio.qemu.replies import (
    as_integer,
    as_mapping,
    as_mappings,
    check_count,
    name_device,
    name_disk,
)

__all__ = [
    "VirtioDevice",
    "ask_disks",
    "parse_disks",
    "parse_group",
    "parse_histogram",
    "parse_limits",
    "parse_queue",
    "parse_virtio",
]

_MAX_BINS: Final = 4096
_DRIVE_LIMITS: Final = {
    "iops": "iops",
    "iops_read": "iops_rd",
    "iops_write": "iops_wr",
    "bytes_per_s": "bps",
    "bytes_per_s_read": "bps_rd",
    "bytes_per_s_write": "bps_wr",
}
_GROUP_LIMITS: Final = {
    "iops": "iops-total",
    "iops_read": "iops-read",
    "iops_write": "iops-write",
    "bytes_per_s": "bps-total",
    "bytes_per_s_read": "bps-read",
    "bytes_per_s_write": "bps-write",
}
_FIRST_REQUESTS: Final = {"virtio-blk": 0, "virtio-scsi": 2}
"""Number of the first queue of requests; those before it are for control and events."""
_Kind = Literal["rd", "wr", "flush", "unmap"]
_KINDS: Final[tuple[_Kind, ...]] = ("rd", "wr", "flush", "unmap")
_FIELDS: Final = {
    kind: (
        ("count", f"{kind}_operations"),
        ("transferred_bytes", f"{kind}_bytes"),
        ("time_ns", f"{kind}_total_time_ns"),
        ("failed", f"failed_{kind}_operations"),
        ("invalid", f"invalid_{kind}_operations"),
        ("merged", f"{kind}_merged"),
    )
    for kind in _KINDS
}
_HISTOGRAMS: Final = {kind: f"{kind}_latency_histogram" for kind in _KINDS}


async def ask_disks(monitor: QmpConnection) -> tuple[DiskSample, ...]:
    """Asks a QEMU what its disks have done so far.

    Raises:
        QmpError: It does not answer, or not in kind.
    """
    return parse_disks(await monitor.execute("query-blockstats"), monitor.name)


def parse_disks(reply: object, monitor: str) -> tuple[DiskSample, ...]:
    """Returns the disks in an answer to `query-blockstats`; what has no name is left out.

    A disk that is plugged under the id of one that QEMU is not yet done with takes its place.

    Args:
        reply: The answer.
        monitor: What errors call the monitor.

    Raises:
        QmpError: It is no list of disks, or one of too many.
    """
    entries = as_mappings(reply, monitor)
    check_count(entries, monitor, "disks")
    return tuple({each.id: each for each in _parse(entries)}.values())


def _parse(entries: list[Mapping[str, Any]]) -> Iterator[DiskSample]:
    for entry in entries:
        qdev, device, node = (
            value if isinstance(value := entry.get(key), str) else ""
            for key in ("qdev", "device", "node-name")
        )
        stats = as_mapping(entry.get("stats"))
        if name := name_disk(entry):
            yield DiskSample(
                id=name,
                device=device,
                node=node,
                qdev=qdev,
                reads=_parse_operations(stats, "rd"),
                writes=_parse_operations(stats, "wr"),
                flushes=_parse_operations(stats, "flush"),
                unmaps=_parse_operations(stats, "unmap"),
                zone_appends=parse_histogram(stats.get("zone_append_latency_histogram")),
            )


def _parse_operations(stats: Mapping[str, Any], kind: _Kind) -> Operations:
    values = {name: as_integer(stats.get(key)) for name, key in _FIELDS[kind]}
    return Operations(**values, histogram=parse_histogram(stats.get(_HISTOGRAMS[kind])))


def parse_histogram(value: object) -> Histogram | None:
    """Returns a histogram as QEMU has it: `boundaries` and `bins`; None for anything else."""
    if value is None:
        return None
    match value:
        case {"boundaries": list(boundaries), "bins": list(bins)} if (
            len(bins) == len(boundaries) + 1 <= _MAX_BINS
            and all(as_integer(each) is not None for each in (*boundaries, *bins))
            and all(low < high for low, high in pairwise(boundaries))
        ):
            return Histogram(boundaries_ns=tuple(boundaries), counts=tuple(bins))
        case _:
            return None


class VirtioDevice(Struct, frozen=True, kw_only=True):
    """A virtio device with queues of requests."""

    path: str
    """By which commands of a monitor find it."""
    id: str
    first_queue: int
    """The number of its first queue of requests."""


def parse_virtio(reply: object, monitor: str) -> tuple[VirtioDevice, ...]:
    """Returns the disks and storage controllers in an answer to `x-query-virtio`.

    Raises:
        QmpError: It is no list of devices, or one of too many.
    """
    entries = as_mappings(reply, monitor)
    check_count(entries, monitor, "virtio devices")
    found = ((entry.get("name"), entry.get("path")) for entry in entries)
    return tuple(
        VirtioDevice(path=path, id=name_device(path), first_queue=_FIRST_REQUESTS[kind])
        for kind, path in found
        if isinstance(path, str) and isinstance(kind, str) and kind in _FIRST_REQUESTS
    )


def parse_queue(reply: object, device: VirtioDevice, number: int) -> QueueSample | None:
    """Returns the queue in an answer to `x-query-virtio-queue-status`, None if it is none."""
    entry = as_mapping(reply)
    in_flight, size = as_integer(entry.get("inuse")), as_integer(entry.get("vring-num"))
    if in_flight is None or size is None:
        return None
    index = number - device.first_queue
    return QueueSample(device=device.id, index=index, in_flight=in_flight, size=size)


def parse_limits(reply: object, monitor: str) -> Mapping[str, Limits | str | None]:
    """Returns the limits of each disk in an answer to `query-block`, by the disk's id.

    A text is the name of the group of a throttle filter, which has the limits; None is a disk
    whose limits nobody can tell.

    Raises:
        QmpError: It is no list of disks, or one of too many.
    """
    entries = as_mappings(reply, monitor)
    check_count(entries, monitor, "drives")
    found: dict[str, Limits | str | None] = {}
    for entry in entries:
        medium = as_mapping(entry.get("inserted"))
        if name := name_disk(entry):
            throttled = medium.get("drv") == "throttle"
            found[name] = (
                _find_group(medium.get("file")) if throttled else _parse_drive_limits(medium)
            )
    return found


def parse_group(reply: object, group: str) -> Limits | None:
    """Returns the limits in an answer to `qom-get` of a throttle group; None if there are none."""
    if not isinstance(reply, dict):
        return None
    return _make_limits(reply, _GROUP_LIMITS, "{}-max", reply.get("iops-size"), group)


def _find_group(file: object) -> str | None:
    """Returns the group that a throttle filter's description names."""
    if isinstance(file, str) and file.startswith("json:"):
        with suppress(ValueError):
            group = as_mapping(load_json(file.removeprefix("json:"))).get("throttle-group")
            return group if isinstance(group, str) and group else None
    return None


def _parse_drive_limits(medium: Mapping[str, Any]) -> Limits:
    group = medium.get("group")
    return _make_limits(
        medium,
        _DRIVE_LIMITS,
        "{}_max",
        medium.get("iops_size"),
        group if isinstance(group, str) else "",
    )


def _make_limits(
    values: Mapping[str, Any], names: Mapping[str, str], burst: str, unit: object, group: str
) -> Limits:
    # A limit of 0 is none.
    found: dict[str, Any] = {kind: as_integer(values.get(key), 1) for kind, key in names.items()}
    for kind, key in names.items():
        found[f"{kind}_burst"] = as_integer(values.get(burst.format(key)), 1)
    return Limits(**found, iops_size_bytes=as_integer(unit, 1), group=group)
