"""Why polling times changed, in words: the rule behind each change that a trace has."""

from __future__ import annotations

from collections.abc import Iterator

from vmio.sim.polling import Generation, PollSettings
from vmio.sim.trace import LoopTrace
from vmio.units import format_duration_ns

__all__ = ["explain_changes"]


def explain_changes(
    loop: LoopTrace, generation: Generation, settings: PollSettings
) -> Iterator[str]:
    """Yields a line for each kind of change of a loop, with how many there were.

    Args:
        loop: The loop.
        generation: How its QEMU adapts.
        settings: The parameters in force.
    """
    most = format_duration_ns(settings.max_ns)
    fresh = sum(each.count for each in loop.transitions if each.kind == "grow" and not each.old_ns)
    if loop.grows:
        yield (
            f"{loop.grows:,} longer: an event came after the time had run out, and within the"
            f" maximum of {most}"
        )
    if fresh and generation != "weighted":
        yield f"{fresh:,} of them from 0: it begins again with 4 µs"
    idle = sum(
        each.count for each in loop.transitions if each.kind == "shrink" and not each.old_ns
    )
    real = loop.shrinks - idle
    if real:
        how = (
            "poll-shrink is 0, so it drops to 0"
            if settings.shrink == 0
            else f"divided by {settings.shrink}"
        )
        why = (
            "the means of the waits are below it"
            if generation == "weighted"
            else f"a wait was longer than the maximum of {most}"
        )
        yield f"{real:,} shorter: {why}; {how}"
    if idle:
        yield f"{idle:,} at 0 that stayed there: waits longer than {most} that no polling catches"
    if generation == "handler" and loop.unmoved:
        yield (
            f"{loop.unmoved:,} left the loop's time as it was: each handler has its own, and the"
            " longest counts"
        )
