"""The polling in a trace as a page: each loop's polling times over time, and their changes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Final

from vmio import __version__
from vmio.report.axis import nice_step, scale
from vmio.report.page import render_page
from vmio.report.replay.words import explain_changes, explain_verdict, judge_polling
from vmio.report.svg import draw_label, draw_line, render_svg
from vmio.sim.polling import Generation, PollSettings
from vmio.sim.trace import LoopTrace
from vmio.units import format_duration_ns

__all__ = ["render_trace_html"]

_MOST_LOOPS: Final = 12
_MOST_TRANSITIONS: Final = 12
_WIDTH, _HEIGHT = 440.0, 304.0
_LEFT, _RIGHT, _TOP, _BOTTOM, _FLOOR = 60.0, 428.0, 44.0, 204.0, 260.0
"""Between bottom and floor is the share in vain."""
_VAIN_GAP: Final = 20.0
"""Between the two."""

_CSS: Final = """
.tl{--ink:#1b2430;--soft:#586474;--line:#e1e6ec;--longest:#a3358c;--vain:#d55e00;max-width:640px;
font-family:system-ui,-apple-system,"Segoe UI","DejaVu Sans",sans-serif}
.tl text{font-size:12px;fill:var(--soft)}.tl .end{text-anchor:end}.tl .mid{text-anchor:middle}
.tl .grid{stroke:var(--line)}.tl .axis{stroke:var(--soft)}
.tl .band{fill:var(--longest);fill-opacity:.3}
.tl .top{fill:none;stroke:var(--longest);stroke-width:1.5}
.tl .vain{fill:var(--vain);fill-opacity:.75}
@media (prefers-color-scheme:dark){
.tl{--ink:#e8edf3;--soft:#a3afbd;--line:#2d3744;--longest:#e58fd0;--vain:#ff8c42}}
""".strip()


def render_trace_html(
    loops: Sequence[LoopTrace],
    generation: Generation,
    settings: PollSettings,
    *,
    name: str,
    qemu_version: str,
) -> str:
    """Returns a page that refers to nothing outside of itself.

    Args:
        loops: The loops, the busiest first.
        generation: The generation of their QEMU's polling.
        settings: The parameters in force.
        name: The trace's name.
        qemu_version: The QEMU that wrote the trace.
    """
    return render_page(
        "replay.html.j2",
        title=f"{name}: polling",
        css=_CSS,
        vmio_version=__version__,
        name=name,
        qemu_version=qemu_version,
        poll_max_ns=settings.max_ns,
        loops=[
            _view_loop(number, loop, generation, settings)
            for number, loop in enumerate(loops[:_MOST_LOOPS])
        ],
        left_out=max(0, len(loops) - _MOST_LOOPS),
    )


def _view_loop(
    number: int, loop: LoopTrace, generation: Generation, settings: PollSettings
) -> dict[str, object]:
    thread = "" if loop.thread_id is None else f", thread {loop.thread_id}"
    return {
        "name": f"{loop.ctx[:20]}{thread}",
        "verdict": judge_polling(loop),
        "explanation": " ".join(explain_verdict(loop)),
        "chart": _draw(loop, prefix=f"loop{number}") if loop.timeline else "",
        "facts": list(_list_facts(loop)),
        "reasons": list(explain_changes(loop, generation, settings)),
        "transitions": [
            (
                f"{format_duration_ns(each.old_ns)} to {format_duration_ns(each.new_ns)}",
                (f"poll_{each.kind}", f"{each.count:,}"),
            )
            for each in loop.transitions[:_MOST_TRANSITIONS]
        ],
        "outcomes": [
            (
                each.name,
                (
                    f"{each.caught / max(1, each.waits):.0%}",
                    format_duration_ns(each.polling_ns),
                    format_duration_ns(each.vain_ns),
                    f"{each.waits - each.caught:,}",
                ),
            )
            for each in loop.outcomes
        ],
    }


def _list_facts(loop: LoopTrace) -> Iterator[tuple[str, str]]:
    yield "Phases", f"{loop.phases:,}, {loop.phases_in_vain:,} of them in vain"
    if loop.span_ns and loop.polling_ns is not None:
        polled = format_duration_ns(loop.polling_ns)
        yield "Polled", f"{polled} of {format_duration_ns(loop.span_ns)}"
    yield (
        "As computed",
        (
            f"events {loop.events_agreed:,} of {loop.grows + loop.shrinks:,}, "
            f"budgets {loop.budgets_agreed:,} of {loop.phases:,}"
        ),
    )


def _draw(loop: LoopTrace, *, prefix: str) -> str:
    longest = max(piece.most_ns for piece in loop.timeline) or 1
    parts = list(_draw_legend())
    for step in range(5):
        value = longest * step / 4
        y = scale(value, 0, longest, _BOTTOM, _TOP)
        parts += [
            draw_line(_LEFT, y, _RIGHT, y, "grid"),
            draw_label(_LEFT - 8, y + 4, format_duration_ns(round(value)), "end"),
        ]
    for share, y in (("100 %", _BOTTOM + _VAIN_GAP), ("0 %", _FLOOR)):
        parts += [
            draw_line(_LEFT, y, _RIGHT, y, "grid"),
            draw_label(_LEFT - 8, y + 4, share, "end"),
        ]
    edges, ticks, desc = _place_pieces(loop)
    top = []
    for piece, left, right in zip(loop.timeline, edges[:-1], edges[1:], strict=True):
        high, low = (
            scale(ns, 0, longest, _BOTTOM, _TOP) for ns in (piece.most_ns, piece.least_ns)
        )
        height = piece.in_vain / piece.phases * (_FLOOR - _BOTTOM - _VAIN_GAP)
        parts += [
            _draw_box("band", left, high, right, max(low, high + 0.5)),
            _draw_box("vain", left, _FLOOR - height, right, _FLOOR),
        ]
        top += [f"{left:.1f},{high:.1f}", f"{right:.1f},{high:.1f}"]
    parts.append(f'<polyline class="top" points="{" ".join(top)}"/>')
    for x, text in ticks:
        parts += [
            draw_line(x, _FLOOR, x, _FLOOR + 5, "axis"),
            draw_label(x, _FLOOR + 19, text, "mid tick"),
        ]
    parts.append(draw_label(_RIGHT, _FLOOR + 36, desc, "end"))
    return render_svg(
        parts,
        identity=prefix,
        title="How long the loop polled for at most, and how much of it in vain",
        desc=(
            f"{loop.phases:,} phases; the longest polled for {format_duration_ns(longest)}."
            f" {judge_polling(loop)}."
        ),
        css="tl",
        size=(_WIDTH, _HEIGHT),
    )


def _place_pieces(loop: LoopTrace) -> tuple[list[float], list[tuple[float, str]], str]:
    """Returns the ends of the pieces, the axis labels, and the axis title.

    The axis is time, or phases for a trace without timestamps.
    """
    begins_ns = [piece.begin_ns for piece in loop.timeline if piece.begin_ns is not None]
    if loop.span_ns and len(begins_ns) == len(loop.timeline):
        marks, total = [*begins_ns, loop.span_ns], max(*begins_ns, loop.span_ns)
        desc = "time since the loop's first event"
    else:
        marks = [0, *accumulate(piece.phases for piece in loop.timeline)]
        total, desc = marks[-1], "phases, since the trace has no times"
    # A clock that went backwards is drawn as standing still.
    edges = [scale(mark, 0, total, _LEFT, _RIGHT) for mark in accumulate(marks, max)]
    step = max(1, round(nice_step(total / 5)))
    write = format_duration_ns if begins_ns else "{:,}".format
    ticks = [
        (scale(mark, 0, total, _LEFT, _RIGHT), write(mark) if mark else "0")
        for mark in range(0, total + 1, step)
    ]
    return edges, [(min(x, _WIDTH - 30), text) for x, text in ticks], desc


def _draw_legend() -> Iterator[str]:
    x = 4.0
    for css, words in (
        ("top", "longest"),
        ("band", "shortest to longest"),
        ("vain", "in vain"),
    ):
        if css == "top":
            yield draw_line(x, 15, x + 14, 15, css)
        else:
            yield _draw_box(css, x, 9, x + 14, 21)
        yield draw_label(x + 20, 19, words, "legend")
        x += 44 + 7 * len(words)


def _draw_box(css: str, left: float, top: float, right: float, bottom: float) -> str:
    return (
        f'<rect class="{css}" x="{left:.1f}" y="{top:.1f}" width="{right - left:.2f}" '
        f'height="{bottom - top:.1f}"/>'
    )
