"""QEMU's block statistics of each disk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any, Final

from vmio.observe.sample import DiskSample, Histogram, Operations
from vmio.qemu.qmp import QmpConnection
from vmio.qemu.replies import as_integer, as_mapping, as_mappings, check_count, name_device

__all__ = ["ask_disks", "parse_disks"]

_MAX_BINS: Final = 4096
_FIELDS: Final = {
    "count": "{}_operations",
    "transferred_bytes": "{}_bytes",
    "time_ns": "{}_total_time_ns",
    "failed": "failed_{}_operations",
    "invalid": "invalid_{}_operations",
    "merged": "{}_merged",
}


async def ask_disks(monitor: QmpConnection) -> tuple[DiskSample, ...]:
    """Asks a QEMU for the statistics of its disks.

    Raises:
        QmpError: It does not answer, or not as a QEMU does.
    """
    return parse_disks(await monitor.execute("query-blockstats"), monitor.name)


def parse_disks(reply: object, monitor: str) -> tuple[DiskSample, ...]:
    """Returns the disks in a reply to `query-blockstats`; entries without a name are left out.

    Args:
        reply: The reply.
        monitor: The monitor's name in errors.

    Raises:
        QmpError: It is not a list of disks, or has too many.
    """
    entries = as_mappings(reply, monitor)
    check_count(entries, monitor, "disks")
    return tuple(_parse(entries))


def _parse(entries: list[Mapping[str, Any]]) -> Iterator[DiskSample]:
    for entry in entries:
        qdev, device, node = (
            value if isinstance(value := entry.get(key), str) else ""
            for key in ("qdev", "device", "node-name")
        )
        stats = as_mapping(entry.get("stats"))
        if name := name_device(qdev) or device or node:
            yield DiskSample(
                id=name,
                device=device,
                node=node,
                qdev=qdev,
                reads=_parse_operations(stats, "rd"),
                writes=_parse_operations(stats, "wr"),
                flushes=_parse_operations(stats, "flush"),
                unmaps=_parse_operations(stats, "unmap"),
            )


def _parse_operations(stats: Mapping[str, Any], kind: str) -> Operations:
    counts = {name: as_integer(stats.get(key.format(kind))) for name, key in _FIELDS.items()}
    return Operations(**counts, histogram=_parse_histogram(stats.get(f"{kind}_latency_histogram")))


def _parse_histogram(value: object) -> Histogram | None:
    match value:
        case {"boundaries": list(boundaries), "bins": list(bins)} if (
            len(bins) == len(boundaries) + 1 <= _MAX_BINS
            and all(as_integer(each) is not None for each in (*boundaries, *bins))
            and all(low < high for low, high in pairwise(boundaries))
        ):
            return Histogram(boundaries_ns=tuple(boundaries), counts=tuple(bins))
        case _:
            return None
