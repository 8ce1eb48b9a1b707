"""Bursts and the limits they belong to, for the rules about throttling."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from vmio.lint.rule import Context
from vmio.lint.words import name_setting
from vmio.model.disk import Disk
from vmio.model.source import Span

__all__ = ["Burst", "list_bursts"]


class Burst(NamedTuple):
    """How far a disk may exceed a limit for a while."""

    disk: Disk
    option: str
    """The burst's name in the guest's notation."""
    limit_option: str
    value: int
    limit: int
    """0 if there is none."""

    @property
    def span(self) -> Span | None:
        """The burst's place in the text."""
        return self.disk.spans.get(self.option, self.disk.span)


def list_bursts(context: Context) -> Iterator[Burst]:
    """Yields every burst of the guest's disks, each with the limit of the same kind."""
    for attached in context.topology.disks:
        disk = attached.disk
        if not disk.limits or disk.media != "disk":
            continue
        limits = dict(disk.limits)
        for name, value in disk.limits:
            limit_name = name.removesuffix("-max")
            if limit_name != name and value:
                yield Burst(
                    disk=disk,
                    option=name_setting(context, disk.id, name),
                    limit_option=name_setting(context, disk.id, limit_name),
                    value=value,
                    limit=limits.get(limit_name, 0),
                )
