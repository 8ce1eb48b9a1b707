"""One job's pairs as pictures: rates, tails, ratios with intervals, latencies, host CPU."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from vmio.report.axis import Axis, choose_axis, nice_step, scale
from vmio.report.comparison.words import format_interval, list_others
from vmio.report.figures import format_rate, format_ratio
from vmio.report.svg import draw_label, draw_line, render_svg
from vmio.units import format_duration_ns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from vmio.bench.result import JobResult, Measurement, Summary, ThreadKind
    from vmio.bench.statistics import PairedRatio

__all__ = [
    "CHART_CSS",
    "draw_host_cpu",
    "draw_intervals",
    "draw_latencies",
    "draw_pairs",
    "draw_ratios",
    "draw_tails",
]

_WIDTH, _HEIGHT = 320, 196
_LEFT, _RIGHT, _TOP, _BOTTOM = 46.0, 308.0, 22.0, 164.0
_KINDS: Final[tuple[tuple[ThreadKind, str], ...]] = (
    ("main loop", "main loop"),
    ("iothread", "IOThreads"),
    ("vcpu", "vCPUs"),
    ("other", "workers and others"),
)
_RATIO_TICKS = (0.1, 0.2, 0.3, 0.5, 0.7, 0.8, 0.9, 1, 1.1, 1.25, 1.5, 2, 3, 5, 10, 20, 50, 100)
_TICK_ROOM = 30
_WORDS_ROOM = 60
_ROOM = 1.06
"""Between the outermost mark of an axis of ratios and its end, as a ratio."""

CHART_CSS: Final = """
.ch{--ink:#1b2430;--soft:#586474;--grid:#e1e6ec;--a:#5d6b7a;--b:#a3358c;--band:#eef1f5;--busy:#e69f00;
--page:#fff;--main:#d55e00;--iothread:#0072b2;--vcpu:#8794a3;--other:#c3ccd6;
font-family:system-ui,-apple-system,"Segoe UI","DejaVu Sans",sans-serif}
.ch text{fill:var(--soft);font-size:10.5px}
.ch .strong{fill:var(--ink);font-weight:650}
.ch .end{text-anchor:end}.ch .mid{text-anchor:middle}
.ch .grid{stroke:var(--grid)}.ch .axis{stroke:var(--soft)}
.ch .band{fill:var(--band)}
.ch .a{stroke:var(--a);fill:var(--page);stroke-width:2}
.ch .b{stroke:var(--b);fill:var(--b);stroke-width:1}
.ch .thin{stroke:var(--grid);stroke-width:1.5}
.ch .faint{opacity:.4}.ch .hollow{fill:none;stroke-width:1.5;opacity:.75}
.ch .busy{fill:var(--busy);fill-opacity:.22}
.ch .range.a,.ch .range.b{stroke-width:3;fill:none}
.ch .interval{stroke:var(--b);stroke-width:3}
.ch .main{fill:var(--main)}.ch .iothread{fill:var(--iothread)}
.ch .vcpu{fill:var(--vcpu)}.ch .other{fill:var(--other)}
@media (prefers-color-scheme:dark){
.ch{--ink:#e8edf3;--soft:#a3afbd;--grid:#2d3744;--a:#b4bfcb;--b:#e58fd0;--band:#2b3643;--busy:#e69f00;
--page:#1d2530;--main:#ff8c42;--iothread:#56b4e9;--vcpu:#7b8896;--other:#495564}}
""".strip()


def draw_pairs(result: JobResult, *, prefix: str) -> str:
    """Draws the IOPS of every pair, in the order of measurement."""
    highest = max(max(p.a.figures.iops, p.b.figures.iops) for p in result.pairs)
    step = nice_step(highest / 4)
    top = step * math.ceil(highest / step)
    axis = Axis(low=0, high=top, ticks=tuple(n * step for n in range(round(top / step) + 1)))
    return _draw_by_pair(
        result,
        axis,
        find=lambda run: run.figures.iops,
        write=format_rate,
        identity=f"{prefix}-pairs",
        name="IOPS",
    )


def draw_tails(result: JobResult, *, prefix: str) -> str:
    """Draws the 99th percentile of the latency of every pair, in the order of measurement."""
    runs = [run for pair in result.pairs for run in (pair.a, pair.b)]
    return _draw_by_pair(
        result,
        choose_axis([run.figures.latency_p99_ns for run in runs], ticks=5),
        find=lambda run: run.figures.latency_p99_ns,
        write=format_duration_ns,
        identity=f"{prefix}-tails",
        name="p99",
    )


def draw_ratios(result: JobResult, *, prefix: str) -> str:
    """Draws B/A of every pair, and the mean ratio with its interval; busy pairs are hollow."""
    ratio = result.iops_ratio
    ratios = [pair.b.figures.iops / pair.a.figures.iops for pair in result.pairs]
    # An interval from few pairs can be wider than any axis; then it runs to the axis's end.
    lowest = min(0.8, *ratios, max(ratio.low, min(ratios) / 2)) / _ROOM
    highest = max(1.25, *ratios, min(ratio.high, max(ratios) * 2)) * _ROOM
    place, parts = _draw_ratio_axis(lowest, highest, ratio.margin, left=12, words="faster")
    rows = _BOTTOM - _TOP - 44
    for number, (pair, value) in enumerate(zip(result.pairs, ratios, strict=True)):
        y = _TOP + 8 + number * rows / max(1, len(ratios) - 1)
        parts.append(_mark_b(place(value), y, css="b hollow" if pair.busy else "b faint"))
    parts += _draw_interval(ratio, _BOTTOM - 16, place, (lowest, highest))
    desc = (
        f"Mean ratio {format_ratio(ratio.ratio)}, {ratio.confidence:.0%} interval "
        f"{format_interval(ratio)}: {result.verdict}."
    )
    return _svg(parts, f"{prefix}-ratios", f"{result.job.name}: B against A", desc)


def draw_intervals(result: JobResult, *, prefix: str) -> str:
    """Draws the ratio of each figure that is compared pair by pair, with its interval."""
    rows = [("IOPS", result.iops_ratio), *list_others(result)]
    lowest = min(0.8, *(max(ratio.low, ratio.ratio / 3) for _, ratio in rows)) / _ROOM
    highest = max(1.25, *(min(ratio.high, ratio.ratio * 3) for _, ratio in rows)) * _ROOM
    margin = result.iops_ratio.margin
    place, parts = _draw_ratio_axis(lowest, highest, margin, left=104, words="more")
    for number, (name, ratio) in enumerate(rows):
        y = scale(number + 0.5, 0, len(rows), _TOP, _BOTTOM)
        parts.append(draw_label(96, y + 3.5, name, "end"))
        parts += _draw_interval(ratio, y, place, (lowest, highest))
    desc = "; ".join(
        f"{name} {format_ratio(ratio.ratio)} times ({format_interval(ratio)}), {ratio.verdict}"
        for name, ratio in rows
    )
    return _svg(parts, f"{prefix}-intervals", f"{result.job.name}: all ratios", desc)


def draw_latencies(result: JobResult, *, prefix: str) -> str:
    """Draws the range from median to 99th percentile latency, of both sides."""
    values_ns = [
        value
        for pair in result.pairs
        for run in (pair.a.figures, pair.b.figures)
        for value in (run.latency_p50_ns, run.latency_p99_ns)
    ]
    low, high = min(values_ns) / 1.25, max(values_ns) * 1.25

    def place(value: float) -> float:
        return scale(math.log(value), math.log(low), math.log(high), 30, _RIGHT)

    parts = [draw_line(30, _BOTTOM, _RIGHT, _BOTTOM, "axis")]
    taken: list[float] = []
    for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1):
        for digit in (1, 2, 3, 5, 7):
            tick = digit * 10.0**power
            x = place(tick)
            if low < tick and x < _RIGHT - 8 and all(abs(x - o) > _TICK_ROOM + 8 for o in taken):
                taken.append(x)
                parts.append(draw_line(x, _TOP, x, _BOTTOM, "grid"))
                parts.append(draw_label(x, _BOTTOM + 15, format_duration_ns(tick), "mid"))
    sides = (
        ("A", "a", result.a, [pair.a for pair in result.pairs], 62.0),
        ("B", "b", result.b, [pair.b for pair in result.pairs], 128.0),
    )
    for name, css, summary, side_runs, y in sides:
        parts.append(draw_label(14, y + 4, name, "mid strong"))
        parts += _draw_latency_side(summary, side_runs, css=css, y=y, place=place)
    parts.append(draw_label((30 + _RIGHT) / 2, _HEIGHT - 3, "latency, logarithmic", "mid"))
    desc = " ".join(
        f"{name}: median {format_duration_ns(one.latency_p50_ns)}, 99th percentile "
        f"{format_duration_ns(one.latency_p99_ns)}."
        for name, one in (("A", result.a), ("B", result.b))
    )
    return _svg(parts, f"{prefix}-latencies", f"{result.job.name}: latency", desc)


def draw_host_cpu(result: JobResult, *, prefix: str) -> str:
    """Draws the host processors that the threads of each side kept busy."""
    shares = [(name, _group_threads(one)) for name, one in (("A", result.a), ("B", result.b))]
    highest = max(0.1, *(sum(share.values()) for _, share in shares))
    step = nice_step(highest / 4)
    top = step * math.ceil(highest / step)
    left, bottom = 30.0, 86.0
    parts = []
    for number in range(round(top / step) + 1):
        x = scale(number * step, 0, top, left, _RIGHT)
        parts.append(draw_line(x, 10, x, bottom, "grid" if number else "axis"))
        parts.append(draw_label(x, bottom + 13, f"{number * step:g}", "mid"))
    for (name, share), y in zip(shares, (18.0, 54.0), strict=True):
        parts.append(draw_label(14, y + 15, name, "mid strong"))
        x = left
        for kind, _ in _KINDS:
            width = scale(share[kind], 0, top, 0, _RIGHT - left)
            parts.append(
                f'<rect class="{kind.split()[0]}" x="{x:.1f}" y="{y:g}" width="{width:.1f}" '
                f'height="22"/>'
            )
            x += width
    parts += [draw_label(232, 121, "A", "end strong"), draw_label(292, 121, "B", "end strong")]
    for number, (kind, words) in enumerate(_KINDS):
        y = 138.0 + number * 16
        parts.append(
            f'<rect class="{kind.split()[0]}" x="30" y="{y - 9:g}" width="10" height="10" rx="2"/>'
        )
        parts.append(draw_label(46, y, words))
        for (_, share), x in zip(shares, (232, 292), strict=True):
            parts.append(draw_label(x, y, f"{share[kind]:.2f}", "end"))
    desc = " ".join(
        f"{name}: " + ", ".join(f"{words} {share[kind]:.2f}" for kind, words in _KINDS) + "."
        for name, share in shares
    )
    return _svg(parts, f"{prefix}-cpu", f"{result.job.name}: host processors kept busy", desc)


def _draw_by_pair(
    result: JobResult,
    axis: Axis,
    *,
    find: Callable[[Measurement], float],
    write: Callable[[float], str],
    identity: str,
    name: str,
) -> str:
    """Draws a figure of every pair; pairs that were measured on a busy host are shaded."""
    parts = []
    count = len(result.pairs)
    width = (_RIGHT - _LEFT) / count
    for number, pair in enumerate(result.pairs):
        if pair.busy:
            parts.append(
                f'<rect class="busy" x="{_LEFT + number * width:.1f}" y="{_TOP:g}" '
                f'width="{width:.1f}" height="{_BOTTOM - _TOP:g}"/>'
            )
    for tick in axis.ticks:
        y = axis.place(tick, _BOTTOM, _TOP)
        parts.append(draw_line(_LEFT, y, _RIGHT, y, "grid"))
        parts.append(draw_label(_LEFT - 6, y + 3.5, write(tick), "end"))
    parts.append(draw_line(_LEFT, _BOTTOM, _RIGHT, _BOTTOM, "axis"))
    for number, pair in enumerate(result.pairs):
        x = _LEFT + (number + 0.5) * width
        y_a, y_b = (axis.place(find(run), _BOTTOM, _TOP) for run in (pair.a, pair.b))
        parts.append(draw_line(x, y_a, x, y_b, "thin"))
        parts += [_mark_a(x, y_a), _mark_b(x, y_b)]
        if number % math.ceil(count / 10) == 0:
            parts.append(draw_label(x, _BOTTOM + 15, str(number + 1), "mid"))
    words = "pair; shaded: busy host" if result.busy_pairs else "pair"
    parts.append(draw_label((_LEFT + _RIGHT) / 2, _HEIGHT - 3, words, "mid"))
    desc = "; ".join(
        f"pair {number}{' (busy host)' if pair.busy else ''}: A {write(find(pair.a))}, "
        f"B {write(find(pair.b))}"
        for number, pair in enumerate(result.pairs, start=1)
    )
    return _svg(parts, identity, f"{result.job.name}: {name} of every pair", desc)


def _draw_ratio_axis(
    lowest: float, highest: float, margin: float, *, left: float, words: str
) -> tuple[Callable[[float], float], list[str]]:
    """Draws a logarithmic axis of ratios with the margin around 1.

    Returns:
        The position of a ratio, and the parts of the picture.
    """

    def place(value: float) -> float:
        inside = min(max(value, lowest), highest)
        return scale(math.log(inside), math.log(lowest), math.log(highest), left, _RIGHT)

    start, end, one = place(1 / (1 + margin)), place(1 + margin), place(1)
    parts = [
        (
            f'<rect class="band" x="{start:.1f}" y="{_TOP:g}" width="{end - start:.1f}" '
            f'height="{_BOTTOM - _TOP:g}"/>'
        ),
        draw_line(left, _BOTTOM, _RIGHT, _BOTTOM, "axis"),
        draw_line(one, _TOP, one, _BOTTOM, "axis"),
        draw_label(one - 8, 13, f"A {words}", "end") if one > left + _WORDS_ROOM else "",
        draw_label(one + 8, 13, f"B {words}") if one < _RIGHT - _WORDS_ROOM else "",
    ]
    taken: list[float] = []
    for tick in sorted(_RATIO_TICKS, key=lambda value: abs(math.log(value))):
        x = place(tick)
        if lowest < tick < highest and all(abs(x - other) > _TICK_ROOM for other in taken):
            taken.append(x)
            parts.append(draw_line(x, _BOTTOM, x, _BOTTOM + 4, "axis"))
            parts.append(draw_label(x, _BOTTOM + 16, f"{tick:g}", "mid"))
    parts.append(draw_label((left + _RIGHT) / 2, _HEIGHT - 3, "B ÷ A, logarithmic", "mid"))
    return place, parts


def _draw_interval(
    ratio: PairedRatio, y: float, place: Callable[[float], float], ends: tuple[float, float]
) -> list[str]:
    """Draws a ratio and its interval, with an arrowhead where it leaves the axis."""
    lowest, highest = ends
    return [
        draw_line(place(ratio.low), y, place(ratio.high), y, "interval"),
        _draw_arrow(place(lowest), y, -1) if ratio.low < lowest else "",
        _draw_arrow(place(highest), y, 1) if ratio.high > highest else "",
        _mark_b(place(ratio.ratio), y, size=7),
    ]


def _draw_latency_side(
    summary: Summary,
    runs: Iterable[Measurement],
    *,
    css: str,
    y: float,
    place: Callable[[float], float],
) -> list[str]:
    mark = _mark_a if css == "a" else _mark_b
    x_50, x_99 = place(summary.latency_p50_ns), place(summary.latency_p99_ns)
    parts = [draw_line(x_50, y, x_99, y, f"range {css}")]
    parts += [
        mark(place(value), y, css=f"{css} faint")
        for run in runs
        for value in (run.figures.latency_p50_ns, run.figures.latency_p99_ns)
    ]
    parts += [mark(x_50, y, size=6), mark(x_99, y, size=6)]
    # The anchors of two labels that would touch are moved apart.
    close = x_99 - x_50 < 90  # noqa: PLR2004  # the width of the words
    for x, words, value, anchor in (
        (x_50, "p50", summary.latency_p50_ns, "end" if close and x_50 > 100 else "mid"),  # noqa: PLR2004
        (x_99, "p99", summary.latency_p99_ns, "" if close and x_99 < 230 else "mid"),  # noqa: PLR2004
    ):
        inside = min(max(x, 58.0 if anchor == "mid" else 0.0), 282.0 if anchor == "mid" else 300)
        parts.append(draw_label(inside, y - 14, f"{words} {format_duration_ns(value)}", anchor))
    return parts


def _group_threads(summary: Summary) -> dict[ThreadKind, float]:
    return {
        kind: math.fsum(load.cpu_share for load in summary.threads if load.kind == kind)
        for kind, _ in _KINDS
    }


def _svg(parts: Iterable[str], identity: str, title: str, desc: str) -> str:
    return render_svg(
        parts, identity=identity, title=title, desc=desc, css="ch", size=(_WIDTH, _HEIGHT)
    )


def _draw_arrow(x: float, y: float, way: int) -> str:
    """Draws the end of an interval that extends beyond the picture; to the right if way is 1."""
    back = x - way * 9
    return f'<path class="b arrow" d="M{x:.1f} {y:g}L{back:.1f} {y - 5:g}L{back:.1f} {y + 5:g}Z"/>'


def _mark_a(x: float, y: float, *, size: float = 4.5, css: str = "a") -> str:
    return f'<circle class="{css}" cx="{x:.1f}" cy="{y:.1f}" r="{size * 0.85:.1f}"/>'


def _mark_b(x: float, y: float, *, size: float = 4.5, css: str = "b") -> str:
    return (
        f'<path class="{css}" d="M{x:.1f} {y - size:.1f}L{x + size:.1f} {y:.1f}L{x:.1f} '
        f'{y + size:.1f}L{x - size:.1f} {y:.1f}Z"/>'
    )
