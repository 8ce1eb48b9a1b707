"""The explanation of a disk for a person to read, no wider than the terminal."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from msgspec import Struct

from vmio.characters import disarm_lines, printable
from vmio.lint.explain import Explanation, Setting, Way
from vmio.report.colours import paint
from vmio.report.explanation.guest import ExplainedGuest
from vmio.report.explanation.words import (
    describe_remedies,
    describe_setting,
    list_sights,
    list_stages,
    name_actor,
    name_controller,
    name_source,
    name_thread,
)
from vmio.report.markup import display_width

__all__ = ["render_explanation", "render_explanations", "render_overview"]

_BOLD, _RED, _GREEN, _DIM = "1", "1;31", "32", "2"
_VERDICTS = {"used": _GREEN, "ignored": _RED, "default": _DIM}
_ORIGINS = {
    "command": "as its command line says",
    "plan": "as planned",
    "running": "as the running QEMU reports it",
}
_NO_DISKS = "no disks"


class _Look(Struct, frozen=True, kw_only=True):
    """How an explanation is written."""

    colour: bool
    columns: int
    """How wide a line is at most; 0 is no limit."""

    def paint(self, text: str, code: str) -> str:
        """Returns a text in a colour, where there are any."""
        return paint(text, code, colour=self.colour)

    def head(self, title: str) -> Iterator[str]:
        """Yields the lines of a title."""
        for line in self.wrap("", printable(title), 0):
            yield self.paint(line, _BOLD)

    def wrap(
        self, label: str, text: str, indent: int, *, hang: int | None = None
    ) -> Iterator[str]:
        """Yields a text in lines, its label before the first.

        A word that is longer than a line breaks behind commas, and is else left whole.
        """
        hang = indent if hang is None else hang
        shown = _measure(label)
        line = label + " " * max(indent - shown, 1 if label else 0)
        begin, width = len(line), _measure(line)
        for piece in self._split(text, self.columns - hang):
            if len(line) > begin and 0 < self.columns < width + _measure(piece.rstrip()):
                yield line.rstrip()
                line, begin, width = " " * hang, hang, hang
            line += piece
            width += _measure(piece)
        yield line.rstrip()

    def _split(self, text: str, room: int) -> Iterator[str]:
        for word in re.findall(r"\S+\s*|\s+", text) if self.columns else [text]:
            if self.columns and _measure(word.rstrip()) > room:
                yield from re.findall(r"[^,]+,*|,+", word)
            else:
                yield word


def render_overview(
    explanations: Iterable[Explanation], *, colour: bool = False, columns: int = 0
) -> str:
    """Returns a line or two for each disk: the way to its thread, and what is ignored.

    Args:
        explanations: The disks of a guest.
        colour: Whether to paint.
        columns: How wide a line is at most; 0 is no limit.
    """
    return _join(_sum_up_all(tuple(explanations), _Look(colour=colour, columns=columns)))


def render_explanations(
    guests: Iterable[ExplainedGuest], *, colour: bool = False, columns: int = 0
) -> str:
    """Returns the overviews of many guests, each under its name; not those that are unreadable."""
    look = _Look(colour=colour, columns=columns)
    parts = []
    for guest in guests:
        if guest.error is None:
            title = f"{guest.name}, {_ORIGINS[guest.origin]}"
            parts.append(_join([*look.head(title), *_sum_up_all(guest.stories, look)]))
    return "\n".join(parts)


def render_explanation(explanation: Explanation, *, colour: bool = False, columns: int = 0) -> str:
    """Returns all that is known of a disk.

    Args:
        explanation: The disk.
        colour: Whether to paint.
        columns: How wide a line is at most; 0 is no limit.
    """
    return _join(_render_disk(explanation, _Look(colour=colour, columns=columns)))


def _join(lines: Iterable[str]) -> str:
    return disarm_lines("".join(f"{line}\n" for line in lines))


def _sum_up_all(explanations: Sequence[Explanation], look: _Look) -> Iterator[str]:
    for each in explanations:
        yield from _sum_up(each, look)
    if all(each.dropped for each in explanations):
        yield _NO_DISKS


def _sum_up(explanation: Explanation, look: _Look) -> Iterator[str]:
    disk = printable(explanation.disk)
    title = look.paint(disk, _BOLD)
    way = explanation.way
    if way is None:
        loss = f"{look.paint('dropped', _RED)} by Proxmox VE, so the guest starts"
        why = printable(explanation.dropped)
        yield from look.wrap(title, f"{loss} without it: {why}", len(explanation.disk) + 2)
        return
    steps = (
        name_source(way.attached),
        "" if way.attached.driver == way.controller.model else way.attached.driver,
        name_controller(way.controller),
        "; ".join(map(name_thread, way.threads)),
    )
    text = " → ".join(printable(step) for step in steps if step)
    yield from look.wrap(title, text, _measure(disk) + 2)
    for setting in explanation.settings:
        if setting.verdict == "ignored":
            why = printable(describe_setting(setting))
            text = f"{printable(setting.name)} is {look.paint('ignored', _RED)}: {why}"
            yield from look.wrap("", text, 4)


def _render_disk(explanation: Explanation, look: _Look) -> Iterator[str]:
    title = f"{explanation.disk} of {explanation.vm}, {_ORIGINS[explanation.origin]}"
    yield from look.head(title)
    if explanation.line:
        yield ""
        yield from look.wrap("", printable(explanation.line), 2)
        yield from look.wrap("", f"({printable(explanation.place)})", 2)
    way = explanation.way
    chosen = [setting for setting in explanation.settings if setting.verdict == "default"]
    written = [setting for setting in explanation.settings if setting.verdict != "default"]
    sights = list_sights(way) if way is not None else ()
    sections: tuple[tuple[str, Iterable[str]], ...] = (
        ("From the file to the thread", _list_stages(way, look)),
        ("Configured", _list_settings(written, look)),
        ("Defaults", _list_settings(chosen, look)),
        ("What the guest sees", _list_lines(sights, look)),
        ("On the command line", _list_lines(explanation.arguments, look)),
        ("Findings", _list_findings(explanation, look)),
    )
    for heading, lines in sections:
        found = list(lines)
        if found:
            yield ""
            yield look.paint(heading, _BOLD)
            yield from found


def _list_stages(way: Way | None, look: _Look) -> Iterator[str]:
    for name, text in list_stages(way) if way is not None else ():
        yield from look.wrap(f"  {name}", printable(text), 14)


def _list_lines(texts: Iterable[str], look: _Look) -> Iterator[str]:
    for text in texts:
        yield from look.wrap("", printable(text), 2, hang=4)


def _list_findings(explanation: Explanation, look: _Look) -> Iterator[str]:
    for finding in explanation.findings:
        text = f"{finding.code} {finding.severity.value}: {finding.message}"
        yield from look.wrap("", printable(text), 2, hang=4)
        if finding.fix is not None:
            fix = f"fix ({finding.fix.applicability.value}): {finding.fix.message}"
            yield from look.wrap("", printable(fix), 4)


def _list_settings(settings: Sequence[Setting], look: _Look) -> Iterator[str]:
    for setting in settings:
        verdict = look.paint(setting.verdict, _VERDICTS[setting.verdict])
        label = printable(setting.written or f"{setting.name}: {setting.value or '-'}")
        means = printable(f", as {setting.value}") if _is_news(setting) else ""
        yield from look.wrap("", f"{label}  {verdict}{means}", 2, hang=6)
        actor, why = name_actor(setting.by), describe_setting(setting)
        who = f"chosen by {actor}" if setting.verdict == "default" else actor
        said = f"{who}: {why}" if why else who
        yield from look.wrap("", printable(said), 6)
        for word in setting.became:
            yield from look.wrap("", printable(f"→ {word}"), 6, hang=8)
        for remedy in describe_remedies(setting):
            yield from look.wrap("", printable(f"to make it take effect, {remedy}"), 6, hang=8)


def _is_news(setting: Setting) -> bool:
    return bool(setting.written and setting.value) and not setting.written.endswith(
        f"={setting.value}"
    )


def _measure(text: str) -> int:
    return display_width(re.sub(r"\x1b\[[0-9;]*m", "", text))
