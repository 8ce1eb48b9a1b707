"""A trace's event loops for a person to read, at most 80 columns wide."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from vmio.report.plain import printable
from vmio.sim.trace import LoopTrace
from vmio.units import format_duration_ns

__all__ = ["render_trace"]

_BAR_COLUMNS = 40


def render_trace(loops: Iterable[LoopTrace]) -> str:
    """Returns what each loop did, the busiest first."""
    return "\n".join("".join(f"{line}\n" for line in _tell(loop)) for loop in loops)


def _tell(loop: LoopTrace) -> Iterator[str]:
    thread = "" if loop.thread_id is None else f", thread {loop.thread_id}"
    yield printable(f"event loop {loop.ctx[:20]}{thread}")
    if loop.span_ns and loop.polling_ns is not None:
        share = f"{loop.polling_ns / loop.span_ns:.0%}"
        span, polling = format_duration_ns(loop.span_ns), format_duration_ns(loop.polling_ns)
        yield f"  polled     {polling} of {span}, {share}"
    vain = f", {loop.phases_in_vain / loop.phases:.0%} in vain" if loop.phases else ""
    yield f"  phases     {loop.phases:,}{vain}"
    yield f"  changes    {loop.grows:,} longer, {loop.shrinks:,} shorter, {loop.drops:,} to 0"
    most = max((count for _, count in loop.budgets), default=0)
    shown = sorted(sorted(loop.budgets, key=lambda item: -item[1])[:8])
    for number, (budget_ns, count) in enumerate(shown):
        bar = "█" * max(1, round(count / most * _BAR_COLUMNS))
        name = "polled for" if number == 0 else ""
        yield f"  {name:10} {format_duration_ns(budget_ns):>8} {bar} {count:,}"
    if len(shown) < len(loop.budgets):
        yield f"  {'':10} and {len(loop.budgets) - len(shown):,} other lengths, each rarer"
    yield (
        f"  as computed: events {loop.events_agreed}/{loop.grows + loop.shrinks},"
        f" budgets {loop.budgets_agreed}/{loop.phases}"
    )
