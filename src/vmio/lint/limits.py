"""What the rules about throttling share: a burst and the limit that it goes with."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from vmio.model.disk import Disk
from vmio.model.source import Span
from vmio.model.topology import Topology

__all__ = ["DIRECTIONS", "Burst", "list_bursts"]

DIRECTIONS = {"total": "", "read": "_rd", "write": "_wr"}
"""The end of Proxmox's option by QEMU's word for what is limited."""


class Burst(NamedTuple):
    """How far a disk may go beyond a limit for a while."""

    disk: Disk
    option: str
    """The burst's name, Proxmox's own for a disk that is written so."""
    limit_option: str
    value: int
    limit: int
    """0 where there is none."""

    @property
    def span(self) -> Span | None:
        """Where the burst is written."""
        return self.disk.spans.get(self.option, self.disk.span)


def list_bursts(topology: Topology) -> Iterator[Burst]:
    """Yields every burst of the guest's disks, each with the limit of the same kind."""
    for attached in topology.disks:
        disk = attached.disk
        if not disk.limits or disk.media != "disk":
            continue
        limits = dict(disk.limits)
        for name, value in disk.limits:
            limit_name = name.removesuffix("-max")
            if limit_name == name or not value:
                continue
            kind, _, direction = limit_name.partition("-")
            base = ("mbps" if kind == "bps" else kind) + DIRECTIONS.get(direction, "")
            written = base in disk.spans or f"{base}_max" in disk.spans
            yield Burst(
                disk=disk,
                option=f"{base}_max" if written else name,
                limit_option=base if written else limit_name,
                value=value,
                limit=limits.get(limit_name, 0),
            )
