"""Recordings of running guests: made, and read as what the guests did over time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from msgspec import Struct

from vmio.app.live import watch_guests
from vmio.errors import InputError
from vmio.observe.history import History, HistoryBuilder
from vmio.observe.kernel_trace import TracedLoop, find_tracefs, trace_loops
from vmio.observe.readings import HostTracker, Look
from vmio.observe.recording import create_recording, open_recording
from vmio.observe.watching import WatchOptions
from vmio.values import check_between, replace

__all__ = ["MAX_RECORDING_BYTES", "RecordProgress", "read_history", "record_guests"]

MAX_RECORDING_BYTES: Final = 256 << 20
"""Of a recording, unless told otherwise: an hour of 200 guests, some hours compressed."""

_LEAST_INTERVAL_S: Final = 0.1
_MOST_INTERVAL_S: Final = 600.0
_LEAST_LIMIT_S: Final = 1.0
"""For one look."""
_LOOPS: Final = frozenset({"main loop", "iothread"})
_MOST_GUESTS: Final = 40
_MOST_VALUES: Final = 300_000
"""On a page, together: some 1.5 MB."""


class RecordProgress(Struct, frozen=True, kw_only=True):
    """How far a recording is."""

    look_count: int
    time_s: float
    """Since the first look."""
    size_bytes: int
    """Of the file."""
    guest_count: int
    """At the last look."""
    notes: tuple[str, ...]
    """What could not be read at the last look, a line each."""
    is_full: bool = False
    """Whether the file has no room for another look."""


async def record_guests(
    addresses: Sequence[str],
    path: Path,
    *,
    interval_s: float = 1.0,
    time_s: float | None = None,
    max_bytes: int = MAX_RECORDING_BYTES,
    latencies: bool = False,
    traces: bool = False,
    force: bool = False,
    report: Callable[[RecordProgress], None] = lambda _: None,
) -> None:
    """Records running guests of this host, also those that start meanwhile.

    Each look is in the file when `report` is called. The file is ended whatever ends the
    recording, a signal too; one that is full ends it.

    Args:
        addresses: Which guests, as for `list_running`; all without any.
        path: The file, compressed if its name ends in `.gz`.
        interval_s: Between two looks.
        time_s: How long, from the first look to the last; None until it is cancelled.
        max_bytes: The most that the file may hold.
        latencies: Whether QEMU counts requests by latency meanwhile.
        traces: Whether the kernel traces event loops meanwhile, which tells exactly how long they
            poll.
        force: Whether to replace a file that exists already.
        report: Called after each look.

    Raises:
        CapabilityError: This user cannot trace the kernel.
        ConflictError: An address is the config of another node.
        OutputError: The file cannot be written.
        UsageError: The file exists already.
        ValueError: The interval is out of its range.
    """
    check_between("interval_s", interval_s, _LEAST_INTERVAL_S, _MOST_INTERVAL_S)
    tracefs = find_tracefs() if traces else None
    options = WatchOptions(latencies=latencies)
    loop = asyncio.get_running_loop()
    with create_recording(path, interval_s=interval_s, max_bytes=max_bytes, force=force) as writer:
        async with watch_guests(addresses, options=options) as watcher:
            began_s = next_s = loop.time()
            traced: dict[int, TracedLoop] = {}
            while True:
                look = await watcher.look(limit_s=max(interval_s, _LEAST_LIMIT_S))
                look = _add_traced(look, traced)
                is_full = not writer.write(look)
                report(
                    RecordProgress(
                        look_count=writer.look_count,
                        time_s=loop.time() - began_s,
                        size_bytes=writer.size_bytes,
                        guest_count=len(look.observations),
                        notes=_list_notes(look),
                        is_full=is_full,
                    )
                )
                next_s = max(next_s + interval_s, loop.time())
                # A last look that is a moment late is still one.
                if is_full or (time_s is not None and next_s - began_s > time_s + interval_s / 2):
                    return
                wait_s = max(0.0, next_s - loop.time())
                loops = _list_loops(look) if tracefs is not None else {}
                if loops and wait_s > 0:
                    found = await trace_loops(loops, duration_s=wait_s, tracefs=tracefs)
                    traced = {each.thread_id: each for each in found}
                else:
                    traced = {}
                    await asyncio.sleep(wait_s)


def read_history(
    path: str, *, report: Callable[[float], None] = lambda _: None
) -> tuple[History, str]:
    """Returns what the guests of a recording did over time, and what is missing at its end.

    Args:
        path: The recording; `-` for standard input.
        report: Called after each look with the share of the file that was read, 0 to 1; not for
            standard input.

    Returns:
        The history, and a line on what is missing, empty if nothing is.

    Raises:
        InputError: The file cannot be read, is not a recording, or has no looks.
    """
    with open_recording(path) as recording:
        tracker = HostTracker()
        builder = HistoryBuilder(step_s=recording.header.interval_s)
        for look in recording:
            builder.add(look, tracker.add(look))
            share = recording.find_share()
            if share is not None:
                report(share)
        history = builder.finish(most_guests=_MOST_GUESTS, most_values=_MOST_VALUES)
        if not history.look_count:
            raise InputError(f"{path} has no looks", hint=recording.note)
        return history, recording.note


def _list_loops(look: Look) -> dict[int, str]:
    """Returns the event loops of all guests, by the ids of their threads."""
    samples = (each.sample for each in look.observations)
    return {
        thread.thread_id: thread.name
        for sample in samples
        if sample is not None
        for thread in sample.threads
        if thread.role in _LOOPS
    }


def _add_traced(look: Look, traced: Mapping[int, TracedLoop]) -> Look:
    """Returns a look with what each guest's loops did since the last one, by the trace."""
    if not traced:
        return look
    return replace(
        look,
        observations=tuple(
            each
            if each.sample is None
            else replace(
                each,
                traced=tuple(
                    traced[thread.thread_id]
                    for thread in each.sample.threads
                    if thread.thread_id in traced and thread.role in _LOOPS
                ),
            )
            for each in look.observations
        ),
    )


def _list_notes(look: Look) -> tuple[str, ...]:
    notes = [*look.unseen]
    for each in look.observations:
        lines = [each.problem, *each.notes]
        if each.sample is not None:
            lines.append(each.sample.monitor_note)
        notes += [f"{each.guest.label}: {line}" for line in lines if line]
    return tuple(dict.fromkeys(notes))
