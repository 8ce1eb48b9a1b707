"""Traces and recordings of event loops: read, and computed again."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vmio.model.capabilities import QemuVersion
    from vmio.sim.polling import Generation, PollSettings
    from vmio.sim.replay import Agreement
    from vmio.sim.trace import LoopTrace

__all__ = ["check_recording", "choose_settings", "complete_settings", "read_trace"]


def choose_settings(
    *, max_ns: int | None = None, grow: int = 0, shrink: int = 0, weight: int = 0
) -> PollSettings:
    """Returns the polling parameters of an IOThread; those not given are QEMU's defaults."""
    from vmio.sim.polling import DEFAULT_MAX_NS, PollSettings

    return PollSettings(
        max_ns=DEFAULT_MAX_NS if max_ns is None else max_ns,
        grow=grow,
        shrink=shrink,
        weight=weight,
    )


def complete_settings(
    version: QemuVersion, settings: PollSettings
) -> tuple[Generation, PollSettings]:
    """Returns the polling algorithm of a QEMU, and its parameters with defaults filled in.

    Raises:
        CapabilityError: The polling algorithm of that QEMU is not known.
    """
    from vmio.sim.polling import choose_generation
    from vmio.sim.polling import complete_settings as complete

    generation = choose_generation(version)
    return generation, complete(settings, generation)


def check_recording(path: str, version: QemuVersion, settings: PollSettings) -> Agreement:
    """Recomputes an event loop's polling from a recording's inputs, to compare it with QEMU's own.

    Args:
        path: The recording, plain or compressed with xz; `-` for standard input.
        version: The QEMU that was recorded.
        settings: The parameters of its IOThread.

    Raises:
        InputError: The file cannot be read, is not a recording, or is truncated.
        CapabilityError: The polling algorithm of that QEMU is not known.
    """
    from vmio.formats.qemu.trace import parse_recording
    from vmio.host.trace_file import read_lines
    from vmio.sim.polling import choose_generation
    from vmio.sim.replay import check_recording as check

    generation = choose_generation(version)
    return check(parse_recording(path, read_lines(path)), generation, settings)


def read_trace(
    path: str,
    version: QemuVersion,
    settings: PollSettings,
    *,
    zeros: int = 0,
    tries: Sequence[str] = (),
    suggests: bool = False,
) -> tuple[LoopTrace, ...]:
    """Returns the event loops of a trace, the busiest first, read line by line.

    Args:
        path: The trace; `-` for standard input.
        version: The QEMU that wrote it.
        settings: The parameters of its IOThreads.
        zeros: How many handlers each loop had before the trace, as for `summarize_trace`.
        tries: Other parameters to try on the waits of the trace, such as `poll_max_ns=65536`.
        suggests: Whether to try longer polling if `tries` is empty and the trace has timestamps.

    Raises:
        InputError: The file cannot be read, is truncated, or has no polling in it; or parameters
            are to be tried and it has no timestamps.
        UsageError: A text in `tries` is not a parameter with its value.
        CapabilityError: The polling algorithm of that QEMU is not known.
    """
    from vmio.formats.qemu.trace import parse_trace
    from vmio.host.trace_file import read_lines
    from vmio.sim.polling import choose_generation
    from vmio.sim.trace import summarize_trace
    from vmio.sim.what_if import parse_setting, suggest_settings

    events = parse_trace(path, read_lines(path))
    wanted = [parse_setting(text, settings) for text in tries]
    if suggests and not wanted and (first := next(events, None)) is not None:
        events = chain([first], events)
        wanted += suggest_settings(settings) if first.time_ns is not None else ()
    return summarize_trace(events, choose_generation(version), settings, zeros=zeros, tries=wanted)
