"""The guests that an autopilot steers as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

from vmio.autopilot.records import FoundRecord, IOThreadRecord
from vmio.autopilot.values import DecisionKind
from vmio.report.envelope import Count, render_document

__all__ = ["AutopilotData", "render_steered_json"]


class SteeredIOThreadData(TypedDict):
    """An IOThread whose polling was changed."""

    id: str
    own_ns: Count
    """Its `poll-max-ns` before the first change, which is restored in the end."""
    set_ns: Count
    """The last one that was set."""
    why: DecisionKind
    """`try`: a trial; `compare`: back at its own after one; `again`: a trial is repeated;
    `settle`: the best for this load; `known load`: the best that was found for it before;
    `slower`: requests became slower, and its own is measured again; `holds`: they are as fast as
    there; `measure`: a load that is new is first seen at the IOThread's own; `other load`, `idle`,
    `contended`, `limited`, `unread`: why a trial was taken back."""
    changed_unix_ns: Count
    """When, since 1970 in UTC."""


class SteeredGuestData(TypedDict):
    """A guest that an autopilot steers, or steered until it was killed."""

    address: str
    """`pid:NUMBER`."""
    started_ticks: Count
    """The start of its process in clock ticks since this host's boot."""
    label: str
    """What people call it."""
    is_active: bool
    """False if the autopilot was killed: `vmio autopilot restore` or the next run restores it."""
    iothreads: list[SteeredIOThreadData]
    """Those whose polling was changed."""


class AutopilotData(TypedDict):
    """The guests that autopilots of this user steer."""

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
        "iothreads": [_describe_iothread(each) for each in found.record.iothreads if each.set_ns],
    }


def _describe_iothread(record: IOThreadRecord) -> SteeredIOThreadData:
    return {
        "id": record.id,
        "own_ns": record.own_ns,
        "set_ns": record.set_ns[-1],
        "why": record.why,
        "changed_unix_ns": record.wall_ns,
    }
