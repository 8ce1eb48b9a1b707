"""The guests that an autopilot steers as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypedDict

from vmio.managers.live_records import FoundRecord, OwnValue
from vmio.report.envelope import Count, render_document

__all__ = ["AutopilotData", "render_steered_json"]


class SteeredIOThreadData(TypedDict):
    """A parameter of an IOThread that was changed."""

    id: str
    """The IOThread's."""
    parameter: str
    """`poll-max-ns`; of a benchmark also others."""
    own: Count
    """Its value before the first change, which is restored in the end."""
    set: Count
    """The last one that was set."""
    why: str
    """`try`: a trial; `compare`: back at its own after one; `again`: a trial is repeated;
    `settle`: the best for this load; `known load`: the best that was found for it before;
    `slower`: requests became slower, and its own is measured again; `holds`: they are as fast as
    there; `measure`: a load that is new is first seen at the IOThread's own; `other load`, `idle`,
    `contended`, `limited`, `unread`: why a trial was taken back; empty: it is measured."""
    changed_unix_ns: Count
    """When, since 1970 in UTC."""


class SteeredGuestData(TypedDict):
    """A guest whose parameters somebody changes, or did until that was killed."""

    address: str
    """`pid:NUMBER`."""
    started_ticks: Count
    """The start of its process in clock ticks since this host's boot."""
    label: str
    """What people call it."""
    is_active: bool
    """False if who did was killed: `vmio autopilot restore` or the next run restores it."""
    by: Literal["autopilot", "bench"]
    """An autopilot that steers it, or a benchmark that measures it."""
    iothreads: list[SteeredIOThreadData]
    """Those with a parameter that was changed, one entry for each parameter."""


class AutopilotData(TypedDict):
    """The guests whose parameters autopilots and benchmarks of this user change."""

    guests: list[SteeredGuestData]


def render_steered_json(found: Sequence[FoundRecord]) -> str:
    """Returns a document about guests in their order."""
    data: AutopilotData = {"guests": [_describe_guest(each) for each in found]}
    return render_document("autopilot", data)


def _describe_guest(found: FoundRecord) -> SteeredGuestData:
    return {
        "address": f"pid:{found.key[0]}",
        "started_ticks": found.key[1],
        "label": found.record.label,
        "is_active": found.is_active,
        "by": found.record.by,
        "iothreads": [_describe_value(each) for each in found.record.values if each.ours],
    }


def _describe_value(value: OwnValue) -> SteeredIOThreadData:
    return {
        "id": value.iothread,
        "parameter": value.parameter,
        "own": value.own,
        "set": value.ours[-1],
        "why": value.why,
        "changed_unix_ns": value.wall_ns,
    }
