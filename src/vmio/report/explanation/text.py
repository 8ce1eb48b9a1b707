"""The explanation of a disk for people, at most a hundred columns wide."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from vmio.characters import disarm_lines, printable
from vmio.lint.explain import Explanation, Setting, Way
from vmio.report.colours import paint
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

__all__ = ["render_explanation", "render_overview"]

_COLUMNS = 100
_BOLD, _RED, _GREEN, _DIM = "1", "1;31", "32", "2"
_VERDICTS = {"used": _GREEN, "ignored": _RED, "default": _DIM}
_ORIGINS = {
    "command": "as its command line says",
    "plan": "as planned",
    "running": "as the running QEMU reports it",
}


def render_overview(explanations: Iterable[Explanation], *, colour: bool = False) -> str:
    """Returns a line or two for each disk: the path to its thread, and ignored settings."""
    lines = (line for each in explanations for line in _sum_up(each, colour=colour))
    return disarm_lines("".join(f"{line}\n" for line in lines))


def render_explanation(explanation: Explanation, *, colour: bool = False) -> str:
    """Returns everything known about a disk."""
    return disarm_lines("\n".join(_render_disk(explanation, colour=colour)) + "\n")


def _sum_up(explanation: Explanation, *, colour: bool) -> Iterator[str]:
    disk = printable(explanation.disk)
    title = paint(disk, _BOLD, colour=colour)
    way = explanation.way
    if way is None:
        loss = f"{paint('dropped', _RED, colour=colour)} by Proxmox VE, so the guest starts"
        why = printable(explanation.dropped)
        yield from _wrap(title, f"{loss} without it: {why}", len(explanation.disk) + 2)
        return
    steps = (
        name_source(way.attached),
        "" if way.attached.driver == way.controller.model else way.attached.driver,
        name_controller(way.controller),
        "; ".join(map(name_thread, way.threads)),
    )
    text = " → ".join(printable(step) for step in steps if step)
    yield from _wrap(title, text, _measure(disk) + 2)
    for setting in explanation.settings:
        if setting.verdict == "ignored":
            ignored = paint("ignored", _RED, colour=colour)
            why = printable(describe_setting(setting))
            yield from _wrap("", f"{setting.name} is {ignored}: {why}", 4)


def _render_disk(explanation: Explanation, *, colour: bool) -> Iterator[str]:
    title = f"{explanation.disk} of {explanation.vm}, {_ORIGINS[explanation.origin]}"
    yield paint(printable(title), _BOLD, colour=colour)
    if explanation.line:
        yield ""
        yield from _wrap("", printable(explanation.line), 2)
        yield f"  ({printable(explanation.place)})"
    way = explanation.way
    chosen = [setting for setting in explanation.settings if setting.verdict == "default"]
    written = [setting for setting in explanation.settings if setting.verdict != "default"]
    sections: tuple[tuple[str, Iterable[str]], ...] = (
        ("From the file to the thread", _list_stages(way)),
        ("Configured", _list_settings(written, colour=colour)),
        ("Defaults", _list_settings(chosen, colour=colour)),
        ("What the guest sees", _list_lines(list_sights(way) if way is not None else ())),
        ("On the command line", _list_lines(explanation.arguments)),
        ("Findings", _list_findings(explanation)),
    )
    for heading, lines in sections:
        found = list(lines)
        if found:
            yield ""
            yield paint(heading, _BOLD, colour=colour)
            yield from found


def _list_stages(way: Way | None) -> Iterator[str]:
    for name, text in list_stages(way) if way is not None else ():
        yield from _wrap(f"  {name}", printable(text), 14)


def _list_lines(texts: Iterable[str]) -> Iterator[str]:
    for text in texts:
        yield from _wrap("", printable(text), 2, hang=4)


def _list_findings(explanation: Explanation) -> Iterator[str]:
    for finding in explanation.findings:
        text = f"{finding.code} {finding.severity.value}: {finding.message}"
        yield from _wrap("", printable(text), 2, hang=4)
        if finding.fix is not None:
            fix = f"fix ({finding.fix.applicability.value}): {finding.fix.message}"
            yield from _wrap("", printable(fix), 4)


def _list_settings(settings: Sequence[Setting], *, colour: bool) -> Iterator[str]:
    for setting in settings:
        verdict = paint(setting.verdict, _VERDICTS[setting.verdict], colour=colour)
        label = printable(setting.written or f"{setting.name}: {setting.value or '-'}")
        means = f", as {setting.value}" if _is_news(setting) else ""
        yield f"  {_shorten(label)}  {verdict}{printable(means)}"
        actor, why = name_actor(setting.by), describe_setting(setting)
        who = f"chosen by {actor}" if setting.verdict == "default" else actor
        said = f"{who}: {why}" if why else who
        yield from _wrap("", printable(said), 6)
        for word in setting.became:
            yield from _wrap("", printable(f"→ {word}"), 6, hang=8)
        for remedy in describe_remedies(setting):
            yield from _wrap("", printable(f"to make it take effect, {remedy}"), 6, hang=8)


def _is_news(setting: Setting) -> bool:
    return bool(setting.written and setting.value) and not setting.written.endswith(
        f"={setting.value}"
    )


def _shorten(text: str) -> str:
    return text if len(text) <= _COLUMNS // 2 else f"{text[: _COLUMNS // 2 - 1]}…"


def _wrap(label: str, text: str, indent: int, *, hang: int | None = None) -> Iterator[str]:
    """Yields a text in lines, with a label before the first; long words are broken at commas."""
    hang = indent if hang is None else hang
    line = label + " " * (indent - _measure(label)) if _measure(label) < indent else f"{label} "
    begin = len(line)
    for piece in _split(text):
        if len(line) > begin and _measure(line) + _measure(piece.rstrip()) > _COLUMNS:
            yield line.rstrip()
            line = " " * hang
            begin = hang
        line += piece
    yield line.rstrip()


def _split(text: str) -> Iterator[str]:
    for word in re.findall(r"\S+\s*|\s+", text):
        pieces = re.findall(r"[^,]*,*", word) if len(word) > _COLUMNS // 2 else [word]
        for piece in pieces:
            for start in range(0, len(piece), _COLUMNS - 14):
                yield piece[start : start + _COLUMNS - 14]


def _measure(text: str) -> int:
    return display_width(re.sub(r"\x1b\[[0-9;]*m", "", text))
