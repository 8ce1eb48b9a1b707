"""The polling in a trace as a page: how long each loop polled from first to last, and why."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from vmio import __version__
from vmio.report.axis import scale
from vmio.report.page import render_page
from vmio.report.replay.words import explain_changes
from vmio.report.svg import draw_label, draw_line, render_svg
from vmio.sim.polling import Generation, PollSettings
from vmio.sim.timeline import Piece
from vmio.sim.trace import LoopTrace
from vmio.units import format_duration_ns

__all__ = ["render_trace_html"]

_MOST_LOOPS: Final = 12
_MOST_TRANSITIONS: Final = 12
_WIDTH, _HEIGHT = 900.0, 260.0
_LEFT, _RIGHT, _TOP, _BOTTOM, _FLOOR = 70.0, 888.0, 14.0, 190.0, 236.0
"""Between bottom and floor is the share in vain."""

_CSS: Final = """
.tl text{font-size:12px;fill:var(--soft)}.tl .end{text-anchor:end}
.tl .grid{stroke:var(--line)}
.tl .band{fill:var(--b);fill-opacity:.35}.tl .top{fill:none;stroke:var(--b);stroke-width:1.5}
.tl .vain{fill:var(--a);fill-opacity:.6}
.scroll svg.tl{min-width:640px}
""".strip()


def render_trace_html(
    loops: Sequence[LoopTrace],
    generation: Generation,
    settings: PollSettings,
    *,
    name: str,
    qemu_version: str,
) -> str:
    """Returns a page without a single reference to anything outside of it.

    Args:
        loops: The loops, the busiest first.
        generation: How their QEMU adapts.
        settings: The parameters in force.
        name: What the trace is called.
        qemu_version: The QEMU that it is of.
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
        "chart": _draw(loop.timeline, prefix=f"loop{number}") if loop.timeline else "",
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


def _draw(pieces: Sequence[Piece], *, prefix: str) -> str:
    longest = max(piece.most_ns for piece in pieces) or 1
    total = sum(piece.phases for piece in pieces)
    parts = []
    for step in range(5):
        value = longest * step / 4
        y = scale(value, 0, longest, _BOTTOM, _TOP)
        parts += [
            draw_line(_LEFT, y, _RIGHT, y, "grid"),
            draw_label(_LEFT - 8, y + 4, format_duration_ns(round(value)), "end"),
        ]
    parts.append(draw_label(_LEFT - 8, _FLOOR, "in vain", "end"))
    top, passed = [], 0
    for piece in pieces:
        left = scale(passed, 0, total, _LEFT, _RIGHT)
        passed += piece.phases
        right = scale(passed, 0, total, _LEFT, _RIGHT)
        high, low = (
            scale(ns, 0, longest, _BOTTOM, _TOP) for ns in (piece.most_ns, piece.least_ns)
        )
        height = piece.in_vain / piece.phases * (_FLOOR - _BOTTOM - 10)
        parts += [
            _draw_box("band", left, high, right, max(low, high + 0.5)),
            _draw_box("vain", left, _FLOOR - height, right, _FLOOR),
        ]
        top += [f"{left:.1f},{high:.1f}", f"{right:.1f},{high:.1f}"]
    parts.append(f'<polyline class="top" points="{" ".join(top)}"/>')
    parts.append(draw_label(_LEFT, _FLOOR + 18, "first phase"))
    parts.append(draw_label(_RIGHT, _FLOOR + 18, f"phase {total:,}", "end"))
    return render_svg(
        parts,
        identity=prefix,
        title="How long the loop polled for at most, phase by phase",
        told=f"{total} phases; the longest polled for {format_duration_ns(longest)}",
        css="tl",
        size=(_WIDTH, _HEIGHT),
    )


def _draw_box(css: str, left: float, top: float, right: float, bottom: float) -> str:
    return (
        f'<rect class="{css}" x="{left:.1f}" y="{top:.1f}" width="{right - left:.2f}" '
        f'height="{bottom - top:.1f}"/>'
    )
