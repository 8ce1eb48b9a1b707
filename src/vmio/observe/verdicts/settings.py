"""Verdicts about settings: what waits for a restart, and what this QEMU cannot do."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import suppress
from typing import Final

from vmio.errors import PlanError
from vmio.model.plan import Change
from vmio.model.topology import Topology
from vmio.observe.verdicts.thresholds import POLLS_WITH_SCSI_SINCE, SOURCES
from vmio.observe.verdicts.values import Figure, Verdict, Window

__all__ = [
    "DEFAULT_POLL_MAX_NS",
    "change_polling",
    "find_impossible_polling",
    "find_pending",
    "polls_at_all",
]

DEFAULT_POLL_MAX_NS: Final = 32768
"""Of an IOThread whose polling time is not set. Source: QEMU 7.2 to 11.1."""


def find_pending(window: Window) -> Iterator[Verdict]:
    """Yields a verdict for each disk and IOThread that would be different after a restart."""
    if window.configured is None:
        return
    running, configured = window.layout, window.configured
    names = dict.fromkeys(each.disk.id for each in (*running.disks, *configured.disks))
    reported = {each.id for each in window.after.disks or window.before.disks}
    for name in names:
        runs, will_run = _list_settings(running, name), _list_settings(configured, name)
        is_plain = runs is not None and will_run is not None
        if is_plain or _is_certain(name, reported, is_there=runs is not None):
            yield from _compare(name, runs, will_run)
    polls = {each.id: each.poll_max_ns for each in running.iothreads}
    for iothread in configured.iothreads:
        now, then = polls.get(iothread.id), iothread.poll_max_ns
        if None not in (now, then):
            yield from _compare(iothread.id, {"poll-max-ns": str(now)}, {"poll-max-ns": str(then)})


def find_impossible_polling(window: Window) -> Iterator[Verdict]:
    """Yields a verdict for each IOThread that has a longer polling time than usual, and no use."""
    for iothread in window.after.iothreads:
        longest_ns = iothread.poll_max_ns or 0
        if longest_ns <= DEFAULT_POLL_MAX_NS or polls_at_all(window, iothread.id):
            continue
        yield Verdict(
            kind="polling-impossible",
            subject=iothread.id,
            severity="info",
            evidence=(
                Figure(name="poll-max-ns", subject=iothread.id, value=longest_ns, unit="ns"),
                Figure(
                    name="QEMU",
                    subject=iothread.id,
                    value=str(window.qemu_version),
                    unit="text",
                ),
            ),
            source=SOURCES["polling-impossible"],
            change=change_polling(iothread.id, longest_ns, None),
        )


def change_polling(iothread: str, old_ns: int, new_ns: int | None) -> Change | None:
    """Returns the change of a polling time, in ns; None for a name that no plan may contain.

    Args:
        iothread: The IOThread's id, as its QEMU reports it.
        old_ns: The current maximum.
        new_ns: The new one; None for QEMU's default.
    """
    with suppress(ValueError, PlanError):
        return Change(
            subject=iothread,
            property="poll_max_ns",
            old=str(old_ns),
            new=None if new_ns is None else str(new_ns),
        )
    return None


def polls_at_all(window: Window, iothread: str) -> bool:
    """Returns whether an IOThread can poll with what it serves, as far as that is known.

    Before QEMU 10.2 it also cannot while a client of an NBD export is connected to it. That is not
    known: no query shows clients, or which IOThread an export is on.
    """
    version = window.qemu_version
    if version is None or version >= POLLS_WITH_SCSI_SINCE:
        return True
    return not any(
        each.model.startswith("virtio-scsi")
        and (
            each.iothread == iothread
            or any(entry.iothread == iothread for entry in each.iothread_vq_mapping)
        )
        for each in window.layout.controllers
    )


def _is_certain(name: str, reported: Collection[str], *, is_there: bool) -> bool:
    """Returns whether a disk is there as the layout says: one can be plugged while a guest runs.

    Where no monitor reports disks, nobody can tell.
    """
    return bool(reported) and (name in reported) == is_there


def _compare(
    name: str, now: dict[str, str] | None, then: dict[str, str] | None
) -> Iterator[Verdict]:
    figures: list[Figure] = []
    if now is None or then is None:
        states = ("absent", "present") if now is None else ("present", "absent")
        figures += _show(name, "disk", *states)
    else:
        for setting in now.keys() & then.keys():
            if now[setting] != then[setting]:
                figures += _show(name, setting, now[setting], then[setting])
    if figures:
        yield Verdict(
            kind="restart-pending",
            subject=name,
            severity="info",
            evidence=tuple(sorted(figures, key=lambda each: each.name)),
            source=SOURCES["restart-pending"],
        )


def _show(name: str, setting: str, now: str, then: str) -> tuple[Figure, ...]:
    return (
        Figure(name=f"{setting} now", subject=name, value=now, unit="text"),
        Figure(name=f"{setting} as configured", subject=name, value=then, unit="text"),
    )


def _list_settings(layout: Topology, name: str) -> dict[str, str] | None:
    """Returns a disk's settings by name, as far as they are known; None without the disk."""
    attached = layout.find_disk(name)
    if attached is None:
        return None
    settings = {
        "aio": attached.aio,
        "cache": attached.cache,
        "detect_zeroes": attached.detect_zeroes,
        "served by": ", ".join(layout.served_by(attached)) or None,
    }
    return {key: str(value) for key, value in settings.items() if value is not None}
