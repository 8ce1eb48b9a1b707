"""Findings as a person reads them in a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from vmio.lint.diagnostic import CheckedFile, Diagnostic, Severity
from vmio.model.source import Location, Source
from vmio.report.plain import printable

__all__ = ["render_counts", "render_text"]

_MAX_MESSAGE_CHARACTERS = 500
_MAX_LINE_CHARACTERS = 120
_BEFORE_CHARACTERS = 40
"""How much of a longer line is shown before the place that a finding is about."""

_BOLD, _RED, _YELLOW, _CYAN = "1", "1;31", "1;33", "36"
_COLOURS = {Severity.ERROR: _RED, Severity.WARNING: _YELLOW, Severity.INFO: _CYAN}


def render_text(checked: CheckedFile, *, colour: bool = False) -> str:
    """Returns a file's findings, each with its line; empty if there are none.

    A note or a fix that several findings share stands under the first of them.
    """
    said: set[str] = set()
    return "".join(
        f"{line}\n"
        for diagnostic in checked.diagnostics
        for line in _render(diagnostic, checked.source, said, colour=colour)
    )


def render_counts(files: Iterable[CheckedFile]) -> str:
    """Returns one line that says how many findings there are in how many files."""
    checked = tuple(files)
    found = Counter(d.severity for file in checked for d in file.diagnostics)
    parts = [
        _count(found[severity], severity.value) for severity in Severity if found[severity]
    ] or ["no findings"]
    readable = sum(file.error is None for file in checked)
    text = f"{', '.join(parts)} in {_count(readable, 'file')}"
    if readable < len(checked):
        text += f", {_count(len(checked) - readable, 'file')} unreadable"
    return text


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 or noun == 'info' else 's'}"


def _render(
    diagnostic: Diagnostic, source: Source | None, said: set[str], *, colour: bool
) -> Iterator[str]:
    location = None
    if source is not None and diagnostic.span is not None:
        location = source.locate(diagnostic.span)
    place = _clean(diagnostic.source)
    if location is not None:
        place += f":{location.line}:{location.column}"
    label = _paint(diagnostic.severity.value, _COLOURS[diagnostic.severity], colour=colour)
    code = _paint(diagnostic.code, _BOLD, colour=colour)
    yield f"{place}: {code} {label}: {_clean(diagnostic.message)}"
    gutter = " " * (len(str(location.line)) if location is not None else 0)
    if location is not None:
        text, carets = _excerpt(location)
        yield f"  {location.line} | {text}"
        yield f"  {gutter} | {_paint(carets, _COLOURS[diagnostic.severity], colour=colour)}"
    remarks = [f"note: {note}" for note in diagnostic.notes]
    if diagnostic.fix is not None:
        remarks.append(f"fix ({diagnostic.fix.applicability}): {diagnostic.fix.message}")
    for remark in remarks:
        if remark not in said:
            said.add(remark)
            yield f"  {gutter} = {_clean(remark)}"


def _excerpt(location: Location) -> tuple[str, str]:
    """Returns a line, or the part of a long one around the place, and the carets under it."""
    text, begin = location.text, location.column - 1
    if len(text) > _MAX_LINE_CHARACTERS:
        left = max(0, begin - _BEFORE_CHARACTERS)
        right = left + _MAX_LINE_CHARACTERS
        head, tail = "…" if left else "", "…" if right < len(text) else ""
        text, begin = f"{head}{text[left:right]}{tail}", begin - left + len(head)
    marked = text[begin : begin + location.width]
    carets = "^" * max(1, _measure(marked))
    return _show(text), " " * _measure(text[:begin]) + carets


def _measure(text: str) -> int:
    """Returns how many columns of a terminal a text takes as it is shown."""
    shown = _show(text)
    if shown.isascii():
        return len(shown)
    from unicodedata import combining, east_asian_width

    return sum(
        0 if combining(character) else 1 + (east_asian_width(character) in "WF")
        for character in shown
    )


def _show(text: str) -> str:
    # A file's name can hold bytes that no encoding of the terminal takes.
    encodable = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return printable(encodable.expandtabs(1).replace("\n", " "))


def _clean(text: str) -> str:
    shown = _show(text)
    if len(shown) > _MAX_MESSAGE_CHARACTERS:
        return f"{shown[:_MAX_MESSAGE_CHARACTERS]}…"
    return shown


def _paint(text: str, code: str, *, colour: bool) -> str:
    return f"\x1b[{code}m{text}\x1b[0m" if colour else text
