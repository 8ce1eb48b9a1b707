"""Guests over time as JSON, with the figures of the whole time; each look is in the recording."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TypedDict

from vmio.managers.owners import Manager
from vmio.observe.history import (
    DiskHistory,
    GuestHistory,
    History,
    ThreadHistory,
    VerdictHistory,
)
from vmio.observe.percentiles import LatencyRange
from vmio.observe.sample import Role
from vmio.observe.verdicts.values import Severity, VerdictKind
from vmio.report.envelope import Count, render_document
from vmio.report.history.words import name_thread, summarize
from vmio.report.verdicts.words import describe_verdict

__all__ = ["HistoryData", "render_history_json"]


class LatencyRangeData(TypedDict):
    """Where a latency lies."""

    low_ns: Count
    high_ns: Count | None
    """Null above the last boundary of the histogram."""


class ThreadHistoryData(TypedDict):
    """A thread, or the helper threads of an event loop together."""

    name: str
    role: Role
    cpu_share: float | None
    """The mean; null where it is not known, as all that follows."""
    cpu_share_peak: float | None
    """The largest between two looks."""
    run_delay_share: float | None
    """Of the time, that it was runnable and had no processor."""
    poll_share: float | None
    """What an event loop spent on polling, estimated."""
    poll_share_traced: float | None
    """The same by the kernel's trace."""


class DiskHistoryData(TypedDict):
    """A disk; means over the time for which they are known."""

    id: str
    reads_per_s: float | None
    writes_per_s: float | None
    read_bytes_per_s: float | None
    write_bytes_per_s: float | None
    latency_mean_ns: float | None
    """Of reads and writes, as are the next two."""
    latency_p50: LatencyRangeData | None
    latency_p99: LatencyRangeData | None
    depth_mean: float | None


class LimitData(TypedDict):
    """A verdict."""

    kind: VerdictKind
    subject: str
    """An event loop, a disk, or `the guest`."""
    severity: Severity
    title: str
    seconds: float
    """For which it was in force."""


class GuestHistoryData(TypedDict):
    """A guest."""

    name: str
    address: str
    manager: Manager
    id: str
    first_seconds: float
    """When it was first seen, since the beginning."""
    last_seconds: float
    judged_seconds: float
    """For how long there were verdicts, or the knowledge that there was none."""
    verdicts: list[LimitData]
    threads: list[ThreadHistoryData]
    disks: list[DiskHistoryData]
    notes: list[str]
    """What could not be read or asked for, a line each."""


class HistoryData(TypedDict):
    """Guests over time, the worst first."""

    summary: str
    """In words."""
    started_at: str
    """In UTC."""
    duration_seconds: float
    looks: Count
    host_processors: Count | None
    guests: list[GuestHistoryData]
    unseen: list[str]
    """What could not be seen, a line each."""
    incomplete: str
    """What is missing at the end of the recording, in one line; empty if nothing is."""


def render_history_json(history: History, *, incomplete: str) -> str:
    """Returns guests over time as a JSON document."""
    data: HistoryData = {
        "summary": summarize(history),
        "started_at": format_start(history),
        "duration_seconds": history.duration_s,
        "looks": history.look_count,
        "host_processors": history.host_processors,
        "guests": [*map(_describe_guest, history.guests)],
        "unseen": [*history.unseen],
        "incomplete": incomplete,
    }
    return render_document("history", data)


def format_start(history: History) -> str:
    """Returns when it began, as `2026-01-02T03:04:05Z`."""
    return datetime.fromtimestamp(history.wall_ns // 10**9, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _describe_guest(guest: GuestHistory) -> GuestHistoryData:
    return {
        "name": guest.guest.label,
        "address": guest.guest.address,
        "manager": guest.guest.manager,
        "id": guest.guest.id,
        "first_seconds": guest.first_s,
        "last_seconds": guest.last_s,
        "judged_seconds": guest.judged_s,
        "verdicts": [*map(_describe_limit, guest.verdicts)],
        "threads": [_describe_thread(each, guest) for each in guest.threads],
        "disks": [*map(_describe_disk, guest.disks)],
        "notes": [*guest.notes],
    }


def _describe_limit(found: VerdictHistory) -> LimitData:
    return {
        "kind": found.verdict.kind,
        "subject": found.verdict.subject,
        "severity": found.verdict.severity,
        "title": describe_verdict(found.verdict).title,
        "seconds": found.seconds,
    }


def _describe_thread(thread: ThreadHistory, guest: GuestHistory) -> ThreadHistoryData:
    is_loop = thread.role in {"main loop", "iothread"}
    polling = next((one for one in guest.polling if is_loop and one.name == thread.name), None)
    return {
        "name": name_thread(thread),
        "role": thread.role,
        "cpu_share": thread.cpu_share.mean,
        "cpu_share_peak": thread.cpu_share.peak,
        "run_delay_share": thread.run_delay_share.mean,
        "poll_share": polling.estimated_share.mean if polling is not None else None,
        "poll_share_traced": polling.traced_share.mean if polling is not None else None,
    }


def _describe_disk(disk: DiskHistory) -> DiskHistoryData:
    return {
        "id": disk.id,
        "reads_per_s": disk.reads_per_s.mean,
        "writes_per_s": disk.writes_per_s.mean,
        "read_bytes_per_s": disk.read_bytes_per_s.mean,
        "write_bytes_per_s": disk.write_bytes_per_s.mean,
        "latency_mean_ns": disk.latency_mean_ns.mean,
        "latency_p50": _describe_range(disk.latency_p50.overall),
        "latency_p99": _describe_range(disk.latency_p99.overall),
        "depth_mean": disk.depth_mean.mean,
    }


def _describe_range(found: LatencyRange | None) -> LatencyRangeData | None:
    return None if found is None else {"low_ns": found.low_ns, "high_ns": found.high_ns}
