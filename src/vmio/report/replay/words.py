"""The result of polling, and why its times changed, in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from vmio.sim.polling import Generation, PollSettings
from vmio.sim.trace import LoopTrace
from vmio.sim.what_if import TriedOutcome
from vmio.units import format_duration_ns

__all__ = ["explain_changes", "explain_verdict", "judge_polling"]

_LEAST_GAIN: Final = 0.05
"""As a share of the waits: less additional catches are not worth longer polling."""


def judge_polling(loop: LoopTrace) -> str:
    """Returns a loop's verdict: how much of its polling was in vain, and what would catch more."""
    verdict = _judge_share(loop)
    longer = _choose_longer(loop.outcomes)
    if longer is not None:
        verdict += f"; {_name_setting(longer)} would catch {_share_caught(longer):.0%}"
    return verdict


def explain_verdict(loop: LoopTrace) -> Iterator[str]:
    """Yields the figures of the verdict, a sentence each."""
    if loop.phases:
        yield f"{loop.phases_in_vain:,} of {loop.phases:,} phases found nothing."
    longer = _choose_longer(loop.outcomes)
    if longer is not None:
        as_it_was = loop.outcomes[0]
        yield (
            f"On the same waits, computed, {longer.name} catches {_share_caught(longer):.0%}"
            f" instead of {_share_caught(as_it_was):.0%}, and polls for"
            f" {format_duration_ns(longer.polling_ns)} instead of"
            f" {format_duration_ns(as_it_was.polling_ns)}."
        )
    elif len(loop.outcomes) > 1:
        yield "Nothing that was tried on the same waits catches clearly more of them."


def _judge_share(loop: LoopTrace) -> str:
    if not loop.phases:
        return "It never polled"
    share = loop.phases_in_vain / loop.phases
    if share < 0.05:  # noqa: PLR2004 - as people say it, and what follows
        return "Almost none of the polling was in vain"
    if share > 0.95:  # noqa: PLR2004
        return "Almost all of the polling was in vain"
    amount = "Half" if abs(share - 0.5) < 0.02 else f"{share:.0%}"  # noqa: PLR2004
    return f"{amount} of the polling was in vain"


def _choose_longer(outcomes: Sequence[TriedOutcome]) -> TriedOutcome | None:
    """Returns the longest polling that still gains over shorter ones; None if none does."""
    chosen = None
    for each in sorted(outcomes, key=lambda one: one.polling_ns):
        best = chosen or outcomes[0]
        if each.polling_ns <= best.polling_ns:
            continue
        if _share_caught(each) < _share_caught(best) + _LEAST_GAIN:
            break
        chosen = each
    return chosen


def _share_caught(outcome: TriedOutcome) -> float:
    return outcome.caught / max(1, outcome.waits)


def _name_setting(outcome: TriedOutcome) -> str:
    """Returns a setting's name: the time alone, if only that differs."""
    key, _, value = outcome.name.partition("=")
    if key == "poll_max_ns" and value.isascii() and value.isdigit():
        return format_duration_ns(int(value))
    return outcome.name


def explain_changes(
    loop: LoopTrace, generation: Generation, settings: PollSettings
) -> Iterator[str]:
    """Yields a line for each kind of change of a loop, with its count.

    Args:
        loop: The loop.
        generation: The generation of its QEMU's polling.
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
