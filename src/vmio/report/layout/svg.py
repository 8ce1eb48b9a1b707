"""A layout as a picture: each disk, its controller and queues, and the thread that serves it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Struct

from vmio.characters import natural_key, printable
from vmio.model.iothread import HOST_KERNEL, MAIN_LOOP, OTHER_PROCESS
from vmio.report.markup import display_width, escape, shorten
from vmio.units import format_bytes, format_duration_ns

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from vmio.model.controller import Controller
    from vmio.model.topology import AttachedDisk, Topology

__all__ = ["TOPOLOGY_CSS", "draw_topology", "render_topology"]

_WIDTH = 640
_DISK_X, _DISK_WIDTH = 1, 184
_CONTROLLER_X, _CONTROLLER_WIDTH = 222, 180
_THREAD_X, _THREAD_WIDTH = 439, 200
_CARD_HEIGHT, _GAP, _HEAD, _TITLE = 64.0, 12.0, 26, 34
_LANES = 5
_QUEUES_SHOWN = 11
_SERVERS = {
    MAIN_LOOP: "and all else of QEMU",
    OTHER_PROCESS: "through vhost-user",
    HOST_KERNEL: "through vhost",
}
"""What there is to say of what serves a disk and is no IOThread."""
_DESCRIBED = 40
_ID_COLUMN, _SOFT_COLUMN = 7.9, 6.3
"""Width of a character in SVG units: in a name, and in small text on average."""

TOPOLOGY_CSS: Final = """
.tp{--ink:#1b2430;--soft:#586474;--card:#fff;--edge:#c9d1db;--warn:#a33a00;--page:#fff;
--main:#d55e00;--t0:#0072b2;--t1:#00845f;--t2:#8b5fbf;--t3:#2b8fc7;--t4:#8a6d00;
font-family:system-ui,-apple-system,"Segoe UI","DejaVu Sans",sans-serif}
.tp text{fill:var(--ink);font-size:12px}
.tp .id{font:600 13px ui-monospace,"SF Mono","DejaVu Sans Mono",monospace}
.tp .soft,.tp .head{fill:var(--soft);font-size:11.5px}
.tp .head{letter-spacing:.02em}
.tp .heading{font-size:16px;font-weight:650}
.tp .warn{fill:var(--warn);font-size:11.5px;font-weight:600}
.tp .page{fill:var(--page)}
.tp .card{fill:var(--card);stroke:var(--edge)}
.tp .idle{opacity:.62}
.tp .idle .card{stroke-dasharray:3 3}
.tp .wire{fill:none;stroke:var(--lane);stroke-width:2.25}
.tp .main .wire,.tp .wire.main{stroke-dasharray:6 4}
.tp .bar,.tp .queue{fill:var(--lane)}
.tp .port{fill:var(--card);stroke:var(--lane);stroke-width:2}
.tp .main{--lane:var(--main)}.tp .t0{--lane:var(--t0)}.tp .t1{--lane:var(--t1)}
.tp .t2{--lane:var(--t2)}.tp .t3{--lane:var(--t3)}.tp .t4{--lane:var(--t4)}
.tp .mixed{--lane:var(--soft)}
@media (prefers-color-scheme:dark){
.tp{--ink:#e8edf3;--soft:#a3afbd;--card:#1d2530;--edge:#3c4857;--warn:#ffab73;--page:#12171e;
--main:#ff8c42;--t0:#56b4e9;--t1:#2fc79b;--t2:#c4a2ee;--t3:#8fd3f7;--t4:#e3c24d}}
""".strip()
"""Colours from or near the palette of Okabe and Ito; the main loop's lines are also dashed."""


class _Card(Struct, frozen=True, kw_only=True):
    """A box in a column, with its position."""

    key: str
    x: float
    width: float
    top: float = 0.0

    @property
    def middle(self) -> float:
        return self.top + _CARD_HEIGHT / 2

    @property
    def right(self) -> float:
        return self.x + self.width


def render_topology(topology: Topology, title: str) -> str:
    """Returns a complete SVG file that shows which thread serves each disk of a layout.

    Args:
        topology: The layout, planned or running.
        title: The picture's title.
    """
    body, height = _draw(topology)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="tp" role="img" '
        f'aria-labelledby="title desc" width="{_WIDTH + 40}" height="{height + _TITLE + 40:.0f}" '
        f'viewBox="-20 {-_TITLE - 20} {_WIDTH + 40} {height + _TITLE + 40:.0f}">\n'
        f'<title id="title">{escape(title)}</title>\n'
        f'<desc id="desc">{escape(_describe(topology))}</desc>\n'
        f"<style>{TOPOLOGY_CSS}</style>\n"
        f'<rect class="page" x="-20" y="{-_TITLE - 20}" width="100%" height="100%"/>\n'
        f'<text class="heading" x="1" y="-14">{escape(shorten(printable(title), 72))}</text>\n'
        f"{body}\n</svg>\n"
    )


def draw_topology(topology: Topology, title: str, *, prefix: str) -> str:
    """Returns the picture as an element for a page that has `TOPOLOGY_CSS`.

    Args:
        topology: The layout, planned or running.
        title: The picture's title, for screen readers.
        prefix: Makes its element ids unique on the page.
    """
    body, height = _draw(topology)
    return (
        f'<svg class="tp" role="img" aria-labelledby="{prefix}-title {prefix}-desc" '
        f'viewBox="0 0 {_WIDTH} {height:.0f}">\n'
        f'<title id="{prefix}-title">{escape(title)}</title>\n'
        f'<desc id="{prefix}-desc">{escape(_describe(topology))}</desc>\n{body}\n</svg>'
    )


def _describe(topology: Topology) -> str:
    """Describes the picture in words."""
    sentences = []
    for attached in topology.disks[:_DESCRIBED]:
        controller = topology.controller_of(attached)
        threads = " and ".join(topology.served_by(attached))
        sentences.append(
            f"{attached.disk.id} on {controller.id} ({controller.model}) is served by {threads}."
        )
    if len(topology.disks) > _DESCRIBED:
        sentences.append(f"And {len(topology.disks) - _DESCRIBED} more disks.")
    return " ".join(sentences) or "No disks."


def _draw(topology: Topology) -> tuple[str, float]:
    """Returns everything between the element's tags, and the height."""
    disks = sorted(topology.disks, key=lambda attached: natural_key(attached.disk.id))
    # A controller is at the row of its first disk, with its other disks next to that one.
    used: dict[str, int] = {}
    for attached in disks:
        used.setdefault(attached.controller, len(used))
    disks.sort(key=lambda attached: used[attached.controller])
    controllers = [one for one in topology.controllers if one.id in used or not one.built_in]
    served = {one.id: _count_queues(topology, one) for one in controllers}
    names = [MAIN_LOOP, *(one.id for one in topology.iothreads)]
    names += dict.fromkeys(
        name for counts in served.values() for name in counts if name not in names
    )
    lanes = {name: _lane(number) for number, name in enumerate(names)}

    disk_cards = _stack(
        [(one.disk.id, float(number)) for number, one in enumerate(disks)], _DISK_X, _DISK_WIDTH
    )
    heights: dict[str, list[float]] = {one.id: [] for one in controllers}
    for attached in disks:
        heights[attached.controller].append(disk_cards[attached.disk.id].middle)
    controller_cards = _stack(_wishes(heights), _CONTROLLER_X, _CONTROLLER_WIDTH)
    heights = {name: [] for name in names}
    for one in controllers:
        for name in served[one.id] if one.id in used else ():
            heights[name].append(controller_cards[one.id].middle)
    thread_cards = _stack(_wishes(heights), _THREAD_X, _THREAD_WIDTH)

    parts = [
        f'<text class="head" x="{x}" y="12">{words}</text>'
        for x, words in (
            (_DISK_X, "disk"),
            (_CONTROLLER_X, "controller, its queues"),
            (_THREAD_X, "served by"),
        )
    ]
    for attached in disks:
        counts = served[attached.controller]
        lane = lanes[next(iter(counts))] if len(counts) == 1 else "mixed"
        start, end = disk_cards[attached.disk.id], controller_cards[attached.controller]
        parts.append(_wire(start.right, start.middle, end.x, end.middle, lane))
    for one in controllers:
        start = controller_cards[one.id]
        ends = sorted(served[one.id] if one.id in used else (), key=lambda n: thread_cards[n].top)
        for number, name in enumerate(ends):
            y = start.middle + _spread(number, len(ends))
            end = thread_cards[name]
            parts.append(_wire(start.right, y, end.x, end.middle, lanes[name]))
    parts += [_draw_disk(disk_cards[one.disk.id], one) for one in disks]
    parts += [
        _draw_controller(controller_cards[one.id], one, topology, lanes, idle=one.id not in used)
        for one in controllers
    ]
    busy = dict.fromkeys(names, 0)
    for attached in disks:
        for name in served[attached.controller]:
            busy[name] += 1
    parts += [
        _draw_thread(thread_cards[name], topology, lanes[name], busy[name]) for name in names
    ]
    cards = [*disk_cards.values(), *controller_cards.values(), *thread_cards.values()]
    return "\n".join(parts), max(card.top for card in cards) + _CARD_HEIGHT + 1


def _count_queues(topology: Topology, controller: Controller) -> dict[str, int]:
    counts: dict[str, int] = {}
    for queue in topology.virtqueues_of(controller):
        counts[queue.served_by] = counts.get(queue.served_by, 0) + 1
    return counts


def _lane(number: int) -> str:
    return f"t{(number - 1) % _LANES}" if number else "main"


def _wishes(heights: Mapping[str, Sequence[float]]) -> list[tuple[str, float]]:
    """Orders cards by the mean row of the cards linked to them; unlinked ones come last."""
    step = _CARD_HEIGHT + _GAP
    middles = {
        key: (sum(values) / len(values) - _HEAD - _CARD_HEIGHT / 2) / step
        for key, values in heights.items()
        if values
    }
    wishes = sorted(middles.items(), key=lambda wish: wish[1])
    last = wishes[-1][1] if wishes else -1.0
    idle = [key for key in heights if key not in middles]
    return wishes + [(key, last + 1 + number) for number, key in enumerate(idle)]


def _stack(wishes: Iterable[tuple[str, float]], x: float, width: float) -> dict[str, _Card]:
    """Places cards as close as possible to their wanted rows, without overlap."""
    cards: dict[str, _Card] = {}
    row = -1.0
    for key, wish in wishes:
        row = max(wish, row + 1)
        cards[key] = _Card(key=key, x=x, width=width, top=_HEAD + row * (_CARD_HEIGHT + _GAP))
    return cards


def _spread(number: int, count: int) -> float:
    return (number - (count - 1) / 2) * min(12.0, (_CARD_HEIGHT - 16) / max(1, count))


def _wire(x1: float, y1: float, x2: float, y2: float, lane: str) -> str:
    bend = (x2 - x1) / 2
    return (
        f'<g class="{lane}"><path class="wire" d="M{x1:g} {y1:g}C{x1 + bend:g} {y1:g} '
        f'{x2 - bend:g} {y2:g} {x2:g} {y2:g}"/>'
        f'<circle class="port" cx="{x1:g}" cy="{y1:g}" r="3.5"/>'
        f'<circle class="port" cx="{x2:g}" cy="{y2:g}" r="3.5"/></g>'
    )


def _text(
    x: float, y: float, text: str, *, room: float, css: str = "soft", end: bool = False
) -> str:
    """Draws one line of text, cut to its room, with the full text as a tooltip."""
    text = printable(text)
    shown = shorten(text, int(room / (_ID_COLUMN if css == "id" else _SOFT_COLUMN)))
    full = f"<title>{escape(text)}</title>" if shown != text else ""
    where = ' text-anchor="end"' if end else ""
    return f'<text class="{css}" x="{x:g}" y="{y:g}"{where}>{full}{escape(shown)}</text>'


def _box(card: _Card, css: str, lines: Iterable[str]) -> str:
    return (
        f'<g class="{css}"><rect class="card" x="{card.x:g}" y="{card.top:g}" rx="8" '
        f'width="{card.width:g}" height="{_CARD_HEIGHT:g}"/>{"".join(lines)}</g>'
    )


def _heading(card: _Card, name: str, remark: str) -> list[str]:
    """Draws a card's first line: its name, and a remark at the right end."""
    room = card.width - 25
    if not remark:
        return [_text(card.x + 13, card.top + 20, name, room=room, css="id")]
    remark_room = min(display_width(remark) * _SOFT_COLUMN + 8, room / 2)
    return [
        _text(card.x + 13, card.top + 20, name, room=room - remark_room, css="id"),
        _text(card.right - 12, card.top + 20, remark, room=remark_room, end=True),
    ]


def _draw_disk(card: _Card, attached: AttachedDisk) -> str:
    disk = attached.disk
    left, room = card.x + 13, card.width - 25
    lines = _heading(card, disk.id, format_bytes(disk.size_bytes) if disk.size_bytes else "")
    settings = [f"cache {attached.cache}"] if attached.cache else []
    settings += [attached.aio] if attached.aio else []
    said = "cd-rom" if disk.media == "cdrom" else ", ".join(settings)
    lines.append(_text(left, card.top + 37, said, room=room))
    effect = attached.find_effect("iothread")
    if effect is not None and effect.verdict == "ignored":
        lines.append(
            f'<g><title>{escape(effect.reason)}</title><text class="warn" x="{left:g}" '
            f'y="{card.top + 54:g}">! iothread is ignored</text></g>'
        )
    else:
        lines.append(_text(left, card.top + 54, disk.volume, room=room - 9))
    return _box(card, "disk", lines)


def _draw_controller(
    card: _Card,
    controller: Controller,
    topology: Topology,
    lanes: Mapping[str, str],
    *,
    idle: bool,
) -> str:
    left, room = card.x + 13, card.width - 25
    lines = _heading(card, controller.id, str(controller.pci) if controller.pci else "")
    lines.append(_text(left, card.top + 37, controller.model, room=room))
    if controller.takes_iothread:
        queues = topology.virtqueues_of(controller)
        shown = queues[:_QUEUES_SHOWN]
        lines += [
            f'<g class="{lanes[queue.served_by]}"><title>queue {queue.index}: '
            f'{escape(queue.served_by)}</title><rect class="queue" x="{left + number * 8:g}" '
            f'y="{card.top + 46:g}" width="6" height="9" rx="1.5"/></g>'
            for number, queue in enumerate(shown)
        ]
        words = f"{len(queues)} queue{'s' if len(queues) != 1 else ''}"
        x = left + len(shown) * 8 + 5
        lines.append(_text(x, card.top + 54.5, words, room=card.right - x))
    else:
        lines.append(_text(left, card.top + 54, "cannot use an IOThread", room=room))
    return _box(card, "idle" if idle else "controller", lines)


def _draw_thread(card: _Card, topology: Topology, lane: str, disks: int) -> str:
    left, room = card.x + 19, card.width - 27
    iothread = next((one for one in topology.iothreads if one.id == card.key), None)
    host = next((one for one in topology.host_threads if one.serves == card.key), None)
    serves = "serves no disk" if not disks else f"serves {disks} disk{'s' if disks > 1 else ''}"
    details = [f"thread {host.thread_id}"] if host else []
    if iothread is not None and iothread.poll_max_ns is not None:
        polls = iothread.poll_max_ns
        details.append(f"polls {format_duration_ns(polls)}" if polls else "never polls")
    if not details:
        details = [_SERVERS.get(card.key, "an IOThread")]
    bar = (
        f'<rect class="bar" x="{card.x + 6:g}" y="{card.top + 8:g}" width="4" rx="2" '
        f'height="{_CARD_HEIGHT - 16:g}"/>'
    )
    lines = (
        bar,
        _text(left, card.top + 20, card.key, room=room, css="id"),
        _text(left, card.top + 37, serves, room=room),
        _text(left, card.top + 54, ", ".join(details), room=room),
    )
    return _box(card, f"{lane}{'' if disks else ' idle'}", lines)
