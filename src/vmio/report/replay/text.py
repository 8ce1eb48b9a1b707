"""A trace's event loops for people, at most 80 columns wide."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Iterator, Sequence

from vmio.characters import printable
from vmio.report.replay.words import explain_changes
from vmio.sim.polling import Generation, PollSettings
from vmio.sim.timeline import join_pieces
from vmio.sim.trace import LoopTrace
from vmio.sim.what_if import TriedOutcome
from vmio.units import format_duration_ns

__all__ = ["render_trace"]

_BAR_COLUMNS = 40
_CHART_COLUMNS = 66
_COLUMNS = 80
_LEVELS = "▁▂▃▄▅▆▇█"


def render_trace(
    loops: Iterable[LoopTrace], generation: Generation, settings: PollSettings
) -> str:
    """Returns what each loop did, the busiest first.

    Args:
        loops: The loops of a trace.
        generation: The generation of its QEMU's polling.
        settings: The parameters in force.
    """
    return "\n".join(
        "".join(f"{line}\n" for line in _render_loop(loop, generation, settings)) for loop in loops
    )


def _render_loop(loop: LoopTrace, generation: Generation, settings: PollSettings) -> Iterator[str]:
    thread = "" if loop.thread_id is None else f", thread {loop.thread_id}"
    yield printable(f"event loop {loop.ctx[:20]}{thread}")
    if loop.span_ns and loop.polling_ns is not None:
        share = f"{loop.polling_ns / loop.span_ns:.0%}"
        span, polling = format_duration_ns(loop.span_ns), format_duration_ns(loop.polling_ns)
        yield f"  polled     {polling} of {span}, {share}"
    vain = f", {loop.phases_in_vain / loop.phases:.0%} in vain" if loop.phases else ""
    yield f"  phases     {loop.phases:,}{vain}"
    for number, line in enumerate(explain_changes(loop, generation, settings)):
        name = "changes" if number == 0 else ""
        yield from textwrap.wrap(
            line,
            _COLUMNS,
            initial_indent=f"  {name:10} ",
            subsequent_indent=" " * 15,
            break_on_hyphens=False,
        )
    yield from _render_budgets(loop.budgets)
    yield from _draw_timeline(loop)
    yield (
        f"  as computed: events {loop.events_agreed}/{loop.grows + loop.shrinks},"
        f" budgets {loop.budgets_agreed}/{loop.phases}"
    )
    yield from _render_outcomes(loop)


def _render_budgets(budgets: Sequence[tuple[int, int]]) -> Iterator[str]:
    most = max((count for _, count in budgets), default=0)
    shown = sorted(sorted(budgets, key=lambda item: -item[1])[:8])
    for number, (budget_ns, count) in enumerate(shown):
        bar = "█" * max(1, round(count / most * _BAR_COLUMNS))
        name = "polled for" if number == 0 else ""
        yield f"  {name:10} {format_duration_ns(budget_ns):>8} {bar} {count:,}"
    if len(shown) < len(budgets):
        yield f"  {'':10} and {len(budgets) - len(shown):,} other lengths, each rarer"


def _draw_timeline(loop: LoopTrace) -> Iterator[str]:
    """Yields two lines: the longest budget in each piece on a log scale, and the share in vain."""
    pieces = join_pieces(list(loop.timeline), _CHART_COLUMNS)
    if len(pieces) < 2:  # noqa: PLR2004 - one is no course
        return
    longest = max(piece.most_ns for piece in pieces)
    least = min(piece.least_ns for piece in pieces)
    yield "  from the first phase to the last:"
    times = "".join(_choose_level(piece.most_ns, least, longest) for piece in pieces)
    vain = "".join(_choose_level(piece.in_vain, 0, piece.phases, even=True) for piece in pieces)
    span = f"{format_duration_ns(least)} to {format_duration_ns(longest)}"
    yield f"  {'polls for':10} {times}"
    yield f"  {'':10} lowest to highest: {span}"
    yield f"  {'in vain':10} {vain}"
    yield f"  {'':10} lowest to highest: none to all of the phases"


def _choose_level(value: float, low: float, high: float, *, even: bool = False) -> str:
    if high <= low:
        return _LEVELS[0]
    if not even:
        value, low, high = (math.log2(max(1, each)) for each in (value, low, high))
        if high <= low:
            return _LEVELS[0]
    share = (value - low) / (high - low)
    return _LEVELS[min(len(_LEVELS) - 1, int(share * len(_LEVELS)))]


def _render_outcomes(loop: LoopTrace) -> Iterator[str]:
    if not loop.outcomes:
        return
    yield "  on the same waits, computed:"
    yield f"    {'setting':34} {'caught':>8} {'polled':>9} {'in vain':>9} {'sleeps':>9}"
    for each in loop.outcomes:
        yield _render_outcome(each)
    caught = loop.phases - loop.phases_in_vain
    yield (
        f"    {'the trace itself':34} {caught / max(1, loop.phases):>8.0%}"
        f" {format_duration_ns(loop.polling_ns or 0):>9} {'':9} {loop.phases_in_vain:>9,}"
    )


def _render_outcome(each: TriedOutcome) -> str:
    share = each.caught / max(1, each.waits)
    polled, vain = format_duration_ns(each.polling_ns), format_duration_ns(each.vain_ns)
    return (
        f"    {printable(each.name)[:34]:34} {share:>8.0%} {polled:>9} {vain:>9}"
        f" {each.waits - each.caught:>9,}"
    )
