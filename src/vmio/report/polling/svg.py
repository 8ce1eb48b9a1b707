"""Polling as pictures: a loop over time, its polling time wait by wait, a parameter's range."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Final

from msgspec import Struct

from vmio.report.axis import choose_axis, nice_step, scale
from vmio.report.svg import draw_label, draw_line, render_svg
from vmio.units import format_duration_ns

__all__ = [
    "LoopPass",
    "RangePoint",
    "TimesPanel",
    "draw_loops",
    "draw_ranges",
    "draw_times",
]

_WIDTH: Final = 720
_LEFT, _RIGHT, _TOP = 62.0, 14.0, 66.0
_CSS: Final = """
.po{--ink:#1b2430;--soft:#586474;--page:#fff;--grid:#dde3ea;--poll:#d55e00;--sleep:#c3cbd5;
--wake:#8b5fbf;--run:#0072b2;--empty:#d9a400;--hit:#00845f;--miss:#c22a2a;
font-family:system-ui,-apple-system,"Segoe UI","DejaVu Sans",sans-serif}
.po text{fill:var(--ink);font-size:13px}
.po .soft{fill:var(--soft);font-size:12px}
.po .end{text-anchor:end}
.po .mid{text-anchor:middle}
.po .heading{font-size:16px;font-weight:650}
.po .name{font-weight:600}
.po .page{fill:var(--page)}
.po .grid{stroke:var(--grid)}
.po .most{stroke:var(--soft);stroke-dasharray:5 4}
.po .poll{fill:var(--poll)}.po .sleep{fill:var(--sleep)}.po .wake{fill:var(--wake)}
.po .run{fill:var(--run)}.po .empty{fill:var(--empty)}
.po .tick{stroke:var(--ink);stroke-width:2}
.po .step{fill:none;stroke:var(--poll);stroke-width:2}
.po .hit{fill:var(--hit)}
.po .miss{fill:none;stroke:var(--miss);stroke-width:1.6}
.po .span{fill:var(--run);opacity:.28}
.po .bound{fill:none;stroke:var(--run);stroke-width:2}
.po .either{fill:var(--empty);opacity:.2}
@media (prefers-color-scheme:dark){
.po{--ink:#e8edf3;--soft:#a3afbd;--page:#12171e;--grid:#2a3441;--poll:#ff8c42;--sleep:#46535f;
--wake:#c4a2ee;--run:#56b4e9;--empty:#e3c24d;--hit:#2fc79b;--miss:#ff7b7b}}
""".strip()
"""Colours from or near the palette of Okabe and Ito."""


class LoopPass(Struct, frozen=True, kw_only=True):
    """One pass of an event loop: it polls, perhaps sleeps and wakes up, and dispatches.

    Units: nanoseconds.
    """

    stale_ns: int
    """Start of a spurious wake-up before this pass, including the polling before it; equals the
    pass's begin if there was none."""
    begin_ns: int
    polled_ns: int
    """End of polling; the begin if it did not poll."""
    event_ns: int
    """Time of the event that ended the wait; the begin if it was there already."""
    woken_ns: int
    end_ns: int
    poll_ns: int
    """Maximum polling time after this pass."""


class TimesPanel(Struct, frozen=True, kw_only=True):
    """Consecutive waits, and the polling time before each.

    Units: nanoseconds.
    """

    name: str
    waits_ns: tuple[int, ...]
    budgets_ns: tuple[int, ...]
    """One for each wait; a wait that is not longer is caught."""
    max_ns: int

    @property
    def caught(self) -> int:
        """The number of waits that polling caught."""
        return sum(w <= b for w, b in zip(self.waits_ns, self.budgets_ns, strict=True))


class RangePoint(Struct, frozen=True, kw_only=True):
    """The outcome for one value of a parameter; if bistable, the range of both outcomes."""

    value: int
    latency_us: tuple[float, float]
    """Lowest and highest."""
    cpu_share: tuple[float, float]
    """Lowest and highest."""
    bistable: bool


def draw_loops(
    rows: Sequence[tuple[str, Sequence[LoopPass], int]],
    *,
    title: str,
    desc: str,
    span_ns: int,
    max_ns: int,
) -> str:
    """Returns a file that shows several loops over the same time, one band each.

    Args:
        rows: For each a name, its passes in order, possibly none, and the time from which it is
            shown.
        title: The picture's title.
        desc: Its description in words.
        span_ns: The time that is shown.
        max_ns: `poll-max-ns`, the end of the axis of polling times.
    """
    parts = list(_draw_legend(_BANDS))
    top = _TOP
    for name, passes, from_ns in rows:
        shown_ns = (from_ns, from_ns + span_ns)
        parts.append(draw_label(_LEFT, top + 14, name, "name"))
        parts += _draw_bands(passes, top + 36, shown_ns)
        parts += _draw_poll_times(passes, top + 78, shown_ns, max_ns)
        top += 160
    parts += _draw_time_axis(top, span_ns)
    return _finish(parts, title=title, desc=desc, height=top + 34)


_BANDS: Final = (
    ("poll", "polls"),
    ("sleep", "sleeps"),
    ("wake", "wakes up"),
    ("run", "dispatches"),
    ("empty", "spurious wake-up"),
    ("tick", "event"),
)


def draw_times(
    panels: Sequence[TimesPanel],
    *,
    title: str,
    desc: str,
    columns: int,
    height: float,
    span_ns: tuple[int, int],
) -> str:
    """Returns a file of small charts, all with the same axes: waits, and the polling time.

    Args:
        panels: The charts.
        title: The picture's title.
        desc: Its description in words.
        columns: How many charts are side by side.
        height: Of each chart.
        span_ns: The lowest and highest time of the logarithmic axis; 0 has a line below.
    """
    parts = list(
        _draw_legend(
            (
                ("step", "maximum polling time"),
                ("hit", "wait, caught"),
                ("miss", "wait, not"),
                ("most", "poll-max-ns"),
            )
        )
    )
    gap, head = 22.0, 44.0
    width = (_WIDTH - _LEFT - _RIGHT - gap * (columns - 1)) / columns
    for at, panel in enumerate(panels):
        left = _LEFT + at % columns * (width + gap)
        top = _TOP + at // columns * (height + head + 20)
        parts += _draw_panel(
            panel, (left, top + head, width, height), span_ns, is_first=at % columns == 0
        )
    rows = math.ceil(len(panels) / columns)
    return _finish(parts, title=title, desc=desc, height=_TOP + rows * (height + head + 20))


def draw_ranges(points: Sequence[RangePoint], *, title: str, desc: str) -> str:
    """Returns a file that shows latency and processor time against `poll-max-ns`.

    Args:
        points: Ascending; of 0 or more.
        title: The picture's title.
        desc: Its description in words.
    """
    parts = list(
        _draw_legend(
            (("bound", "predicted"), ("span", "between"), ("either", "either of two outcomes"))
        )
    )
    height, top = 150.0, _TOP
    for name, pairs in (
        ("latency, mean, µs", [point.latency_us for point in points]),
        ("processors of the event loop", [point.cpu_share for point in points]),
    ):
        parts.append(draw_label(_LEFT, top + 14, name, "name"))
        parts += _draw_range(points, pairs, (_LEFT, top + 26, height))
        top += height + 52
    xs = _place_values(points)
    for at, point in enumerate(points):
        if at % 2 == 0 or at == len(points) - 1:
            text = format_duration_ns(point.value) if point.value else "0"
            parts.append(draw_label(xs[at], top - 8, text, "soft mid"))
    parts.append(draw_label(_LEFT, top + 14, "poll-max-ns", "soft"))
    return _finish(parts, title=title, desc=desc, height=top + 26)


def _finish(parts: Iterable[str], *, title: str, desc: str, height: float) -> str:
    """Returns a complete file; in an `img`, as on GitHub, it has only its own style."""
    body = [
        f"<style>{_CSS}</style>",
        f'<rect class="page" width="{_WIDTH}" height="{height:g}" rx="6"/>',
        draw_label(16, 26, title, "heading"),
        *parts,
    ]
    svg = render_svg(
        (f"{part}\n" for part in body),
        identity="po",
        title=title,
        desc=desc,
        css="po",
        size=(_WIDTH, height),
    )
    return f'<svg xmlns="http://www.w3.org/2000/svg" {svg.removeprefix("<svg ")}\n'


def _draw_legend(entries: Iterable[tuple[str, str]]) -> Iterable[str]:
    x = 16.0
    for css, text in entries:
        if css == "tick":
            yield draw_line(x + 6, 40, x + 6, 54, "tick")
        elif css in ("step", "most", "bound"):
            yield draw_line(x, 47, x + 14, 47, css)
        elif css in ("hit", "miss"):
            yield _draw_dot(x + 7, 47, css)
        else:
            yield _draw_box(x, 41, 13, 12, css)
        yield draw_label(x + 19, 51.5, text, "soft")
        x += 38 + 6.6 * len(text)


def _draw_box(x: float, y: float, width: float, height: float, css: str) -> str:
    return (
        f'<rect class="{css}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"/>'
    )


def _draw_dot(x: float, y: float, css: str) -> str:
    return f'<circle class="{css}" cx="{x:.1f}" cy="{y:.1f}" r="2.8"/>'


def _place_time(ns: float, span_ns: tuple[int, int]) -> float:
    return scale(min(max(ns, span_ns[0]), span_ns[1]), *span_ns, _LEFT, _WIDTH - _RIGHT)


def _draw_bands(passes: Sequence[LoopPass], top: float, span_ns: tuple[int, int]) -> Iterable[str]:
    before_ns = passes[0].begin_ns if passes else 0
    for each in passes:
        slept = each.event_ns > each.polled_ns
        bands = [("poll", before_ns, each.stale_ns), ("empty", each.stale_ns, each.begin_ns)]
        bands.append(("poll", each.begin_ns, each.polled_ns))
        if slept:
            bands.append(("sleep", each.polled_ns, each.event_ns))
        bands.append(("wake", each.event_ns if slept else each.polled_ns, each.woken_ns))
        bands.append(("run", each.woken_ns, each.end_ns))
        before_ns = each.end_ns
        for css, from_ns, to_ns in bands:
            left, right = (_place_time(ns, span_ns) for ns in (from_ns, to_ns))
            if right - left >= 0.05:  # noqa: PLR2004 - what rounds to nothing is nothing to see
                yield _draw_box(left, top, right - left, 30, css)
        if span_ns[0] <= each.event_ns <= span_ns[1]:
            x = _place_time(each.event_ns, span_ns)
            yield draw_line(x, top - 12, x, top - 2, "tick")


def _draw_poll_times(
    passes: Sequence[LoopPass], top: float, span_ns: tuple[int, int], max_ns: int
) -> Iterable[str]:
    bottom = top + 52
    for ns, css in ((0, "grid"), (max_ns, "most")):
        y = scale(ns, 0, max(1, max_ns), bottom, top)
        yield draw_line(_LEFT, y, _WIDTH - _RIGHT, y, css)
        text = format_duration_ns(ns) if ns else "0"
        yield draw_label(_LEFT - 6, y + 4, text, "soft end")
    points = []
    for at, each in enumerate(passes):
        y = scale(min(each.poll_ns, max_ns), 0, max(1, max_ns), bottom, top)
        until = passes[at + 1].end_ns if at + 1 < len(passes) else span_ns[1]
        left, right = _place_time(each.end_ns, span_ns), _place_time(until, span_ns)
        if right > left:
            points += [(left, y), (right, y)]
    yield _draw_path(points, "step")


def _draw_path(points: Sequence[tuple[float, float]], css: str) -> str:
    if not points:
        return ""
    return f'<polyline class="{css}" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in points)}"/>'


def _draw_time_axis(top: float, span_ns: int) -> Iterable[str]:
    step_ns = max(1, int(nice_step(span_ns / 8)))
    for ns in range(0, span_ns + 1, step_ns):
        x = _place_time(ns, (0, span_ns))
        yield draw_line(x, top - 24, x, top - 18, "grid")
        if x < _WIDTH - _RIGHT - 20:
            yield draw_label(x, top - 2, format_duration_ns(ns) if ns else "0", "soft mid")
    yield draw_label(_LEFT, top + 20, "orange line: maximum polling time", "soft")


def _draw_panel(
    panel: TimesPanel,
    box: tuple[float, float, float, float],
    span_ns: tuple[int, int],
    *,
    is_first: bool,
) -> Iterable[str]:
    left, top, width, height = box
    bottom, low = top + height, top + height - 18

    def place(ns: int) -> float:
        if ns <= 0:
            return bottom
        ns = min(max(ns, span_ns[0]), span_ns[1])
        return scale(math.log(ns), math.log(span_ns[0]), math.log(span_ns[1]), low, top)

    count = len(panel.waits_ns)
    yield draw_label(left, top - 26, panel.name, "name")
    yield draw_label(left, top - 9, f"{panel.caught} of {count} caught", "soft")
    powers = range(math.ceil(math.log10(span_ns[0])), math.floor(math.log10(span_ns[1])) + 1)
    for ns in (0, *(10**power for power in powers)):
        yield draw_line(left, place(ns), left + width, place(ns), "grid")
        if is_first:
            text = format_duration_ns(ns) if ns else "0"
            yield draw_label(left - 6, place(ns) + 4, text, "soft end")
    yield draw_line(left, place(panel.max_ns), left + width, place(panel.max_ns), "most")
    step = width / max(1, count)
    points = []
    for at, ns in enumerate(panel.budgets_ns):
        points += [(left + at * step, place(ns)), (left + (at + 1) * step, place(ns))]
    for at, (wait_ns, ns) in enumerate(zip(panel.waits_ns, panel.budgets_ns, strict=True)):
        yield _draw_dot(
            left + (at + 0.5) * step, place(wait_ns), "hit" if wait_ns <= ns else "miss"
        )
    yield _draw_path(points, "step")


def _place_values(points: Sequence[RangePoint]) -> list[float]:
    """Returns the positions of values: evenly spaced, as each is about double the previous."""
    last = max(1, len(points) - 1)
    return [scale(at, 0, last, _LEFT + 14, _WIDTH - _RIGHT - 30) for at in range(len(points))]


def _draw_range(
    points: Sequence[RangePoint],
    pairs: Sequence[tuple[float, float]],
    box: tuple[float, float, float],
) -> Iterable[str]:
    left, top, height = box
    if not points:
        return
    axis = choose_axis([0.0, *(high for _, high in pairs)], ticks=4)
    xs = _place_values(points)
    half = (xs[1] - xs[0]) / 2 if len(xs) > 1 else 10.0
    for x, point in zip(xs, points, strict=True):
        if point.bistable:
            yield _draw_box(x - half, top, 2 * half, height, "either")
    for tick in axis.ticks:
        y = axis.place(tick, top + height, top)
        yield draw_line(left, y, _WIDTH - _RIGHT, y, "grid")
        yield draw_label(left - 6, y + 4, f"{tick:g}", "soft end")

    def place(column: int) -> list[tuple[float, float]]:
        return [
            (x, axis.place(pair[column], top + height, top))
            for x, pair in zip(xs, pairs, strict=True)
        ]

    outline = " ".join(f"{x:.1f},{y:.1f}" for x, y in [*place(0), *reversed(place(1))])
    yield f'<polygon class="span" points="{outline}"/>'
    yield _draw_path(place(0), "bound")
    yield _draw_path(place(1), "bound")
