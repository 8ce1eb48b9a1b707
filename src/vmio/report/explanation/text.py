"""The story of a disk for a person to read, at most a hundred columns wide."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from vmio.characters import disarm_lines, printable
from vmio.lint.story import Setting, Story
from vmio.report.markup import display_width

__all__ = ["render_overview", "render_story"]

_COLUMNS = 100
_BOLD, _RED, _GREEN, _DIM = "1", "1;31", "32", "2"
_VERDICTS = {"used": _GREEN, "ignored": _RED, "default": _DIM}
_ORIGINS = {
    "command": "as its command line says",
    "plan": "as planned",
    "running": "as the running QEMU reports it",
}


def render_overview(stories: Iterable[Story], *, colour: bool = False) -> str:
    """Returns a line or two for each disk: the way to its thread, and what is ignored."""
    lines = (line for story in stories for line in _sum_up(story, colour=colour))
    return disarm_lines("".join(f"{line}\n" for line in lines))


def render_story(story: Story, *, colour: bool = False) -> str:
    """Returns all that there is to tell of a disk."""
    return disarm_lines("\n".join(_tell(story, colour=colour)) + "\n")


def _sum_up(story: Story, *, colour: bool) -> Iterator[str]:
    if story.dropped:
        title = _paint(printable(story.disk), _BOLD, colour=colour)
        loss = f"{_paint('dropped', _RED, colour=colour)} by Proxmox VE, so the guest starts"
        why = printable(story.dropped)
        yield from _wrap(title, f"{loss} without it: {why}", len(story.disk) + 2)
        return
    texts = {station.name: station.text for station in story.stations}
    threads = [station.text for station in story.stations if station.name == "thread"]
    device, controller = texts["device"].partition(" at ")[0], texts["controller"]
    steps = (
        texts.get("volume") or texts.get("opened", ""),
        "" if f"({device})" in controller else device,
        controller.partition(", shared")[0],
        "; ".join(re.split(", with|, which|, for", thread)[0] for thread in threads),
    )
    way = " → ".join(printable(step) for step in steps if step)
    disk = printable(story.disk)
    yield from _wrap(_paint(disk, _BOLD, colour=colour), way, _measure(disk) + 2)
    for setting in story.settings:
        if setting.verdict == "ignored":
            ignored = _paint("ignored", _RED, colour=colour)
            yield from _wrap("", f"{setting.name} is {ignored}: {printable(setting.why)}", 4)


def _tell(story: Story, *, colour: bool) -> Iterator[str]:
    title = f"{story.disk} of {story.vm}, {_ORIGINS[story.origin]}"
    yield _paint(printable(title), _BOLD, colour=colour)
    if story.line:
        yield ""
        yield from _wrap("", printable(story.line), 2)
        yield f"  ({printable(story.place)})"
    chosen = [setting for setting in story.settings if setting.verdict == "default"]
    written = [setting for setting in story.settings if setting.verdict != "default"]
    sections: tuple[tuple[str, Iterable[str]], ...] = (
        ("From the file to the thread", _list_stations(story)),
        ("What is written", _list_settings(written, colour=colour)),
        ("What is not written", _list_settings(chosen, colour=colour)),
        ("What the guest sees", _list_lines(story.guest)),
        ("On the command line", _list_lines(story.arguments)),
        ("What the rules find", _list_findings(story)),
    )
    for heading, lines in sections:
        found = list(lines)
        if found:
            yield ""
            yield _paint(heading, _BOLD, colour=colour)
            yield from found


def _list_stations(story: Story) -> Iterator[str]:
    for station in story.stations:
        yield from _wrap(f"  {station.name}", printable(station.text), 14)


def _list_lines(texts: Iterable[str]) -> Iterator[str]:
    for text in texts:
        yield from _wrap("", printable(text), 2, hang=4)


def _list_findings(story: Story) -> Iterator[str]:
    for finding in story.findings:
        text = f"{finding.code} {finding.severity.value}: {finding.message}"
        yield from _wrap("", printable(text), 2, hang=4)
        if finding.fix is not None:
            fix = f"fix ({finding.fix.applicability.value}): {finding.fix.message}"
            yield from _wrap("", printable(fix), 4)


def _list_settings(settings: Sequence[Setting], *, colour: bool) -> Iterator[str]:
    for setting in settings:
        verdict = _paint(setting.verdict, _VERDICTS[setting.verdict], colour=colour)
        label = printable(setting.written or f"{setting.name}: {setting.value or '-'}")
        means = f", as {setting.value}" if _is_news(setting) else ""
        yield f"  {_shorten(label)}  {verdict}{printable(means)}"
        who = f"chosen by {setting.by}" if setting.verdict == "default" else setting.by
        said = f"{who}: {setting.why}" if setting.why else who
        yield from _wrap("", printable(said), 6)
        for word in setting.became:
            yield from _wrap("", printable(f"→ {word}"), 6, hang=8)
        for remedy in setting.remedies:
            yield from _wrap("", printable(f"to make it count, {remedy}"), 6, hang=8)


def _is_news(setting: Setting) -> bool:
    return bool(setting.written and setting.value) and not setting.written.endswith(
        f"={setting.value}"
    )


def _shorten(text: str) -> str:
    return text if len(text) <= _COLUMNS // 2 else f"{text[: _COLUMNS // 2 - 1]}…"


def _wrap(label: str, text: str, indent: int, *, hang: int | None = None) -> Iterator[str]:
    """Yields a text in lines, its label before the first; long words are broken at commas."""
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


def _paint(text: str, code: str, *, colour: bool) -> str:
    return f"\x1b[{code}m{text}\x1b[0m" if colour else text
