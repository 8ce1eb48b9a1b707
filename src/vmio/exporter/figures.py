"""What one look at a host gives to its metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Final

from msgspec import Struct

from vmio.exporter.labels import GuestNames, make_value
from vmio.managers.discovery import ProcessKey
from vmio.model.topology import AttachedDisk
from vmio.observe.readings import HostTracker, Look, Reading
from vmio.observe.sample import DiskSample
from vmio.observe.totals import ThreadTotals, Totals, TotalsTracker

__all__ = ["MAX_DISKS", "GuestFigures", "HostFigures", "HostFiguresTracker"]

MAX_DISKS: Final = 1024
"""Of a guest: what a QEMU reports beyond has no series, and `vmio_guest_disks` tells."""


class GuestFigures(Struct, frozen=True, kw_only=True, dict=True):
    """A guest in one look, with what its series are called."""

    name: str
    started_s: float
    """When it started, since 1970 in UTC."""
    reading: Reading
    totals: Totals

    @cached_property
    def threads(self) -> Sequence[tuple[str, ThreadTotals]]:
        """Its threads' totals, with their names; none if they could not be read."""
        if self.reading.observation.sample is None:
            return ()
        named = {(each.role, make_value(each.name)): each for each in self.totals.threads}
        return tuple((name, each) for (_, name), each in named.items())

    @cached_property
    def disks(self) -> Sequence[tuple[str, DiskSample]]:
        """Its disks' samples, with their names; none if its monitor did not answer."""
        sample = self.reading.observation.sample
        found = sample.disks[:MAX_DISKS] if sample is not None else ()
        return tuple({make_value(each.id): each for each in found}.items())

    @cached_property
    def attached(self) -> Mapping[str, AttachedDisk]:
        """The disks of its layout, by name."""
        layout = self.reading.layout
        found = layout.disks[:MAX_DISKS] if layout is not None else ()
        return {make_value(each.disk.id): each for each in found}


class HostFigures(Struct, frozen=True, kw_only=True):
    """All guests in one look."""

    look: Look
    guests: tuple[GuestFigures, ...]


class HostFiguresTracker:
    """Turns looks at a host into figures; what has gone is forgotten."""

    def __init__(self) -> None:
        self._tracker = HostTracker()
        self._names = GuestNames()
        self._totals: dict[ProcessKey, TotalsTracker] = {}
        self._started_s: dict[ProcessKey, float] = {}

    def add(self, look: Look) -> HostFigures:
        """Returns the figures of the next look."""
        readings = {each.guest.key: each for each in self._tracker.add(look)}
        names = self._names.assign((key, each.guest) for key, each in readings.items())
        self._totals = {key: self._totals.get(key) or TotalsTracker() for key in readings}
        self._started_s = {
            # Once, since the uptime is as of the last search for guests.
            key: self._started_s.get(key, look.wall_ns / 1e9 - each.guest.uptime_s)
            for key, each in readings.items()
        }
        return HostFigures(
            look=look,
            guests=tuple(
                GuestFigures(
                    name=names[key],
                    started_s=self._started_s[key],
                    reading=each,
                    totals=self._totals[key].add(each),
                )
                for key, each in readings.items()
            ),
        )
