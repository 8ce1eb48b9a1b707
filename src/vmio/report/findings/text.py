"""Findings for people, in a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from vmio.characters import disarm_lines, printable
from vmio.lint.diagnostic import CheckedFile, Diagnostic, Severity
from vmio.model.source import Location, Source
from vmio.report.colours import paint
from vmio.report.findings.summary import Report, Summary, count_severities
from vmio.report.wrap import wrap_words

__all__ = ["TextReport"]

_MAX_MESSAGE_CHARACTERS = 500
_MAX_LINE_CHARACTERS = 120
_MIN_LINE_CHARACTERS = 40
_ANY_COLUMNS = 1_000_000
"""Without a terminal, a message is one line."""
_GUTTER_COLUMNS = 10
"""Beside a config's line: its number, a bar, and ellipses where it is cut."""

_BOLD, _RED, _YELLOW, _CYAN = "1", "1;31", "1;33", "36"
_COLOURS = {Severity.ERROR: _RED, Severity.WARNING: _YELLOW, Severity.INFO: _CYAN}


class TextReport(Report):
    """Each file's findings below a heading with the VM and its counts."""

    separator = "\n"

    def __init__(self, *, colour: bool = False, columns: int = 0) -> None:
        self.colour = colour
        self.columns = columns

    def render_file(self, file: CheckedFile) -> str:
        """Returns a file's findings, each with its line; empty if there are none.

        A note or a fix that several findings share is printed below the first of them.
        """
        if not file.diagnostics:
            return ""
        said: set[str] = set()
        width = _MAX_LINE_CHARACTERS
        if self.columns:
            width = max(_MIN_LINE_CHARACTERS, min(width, self.columns - _GUTTER_COLUMNS))
        lines = [_head(file, colour=self.colour)]
        for diagnostic in file.diagnostics:
            lines += _render(
                diagnostic,
                file.source,
                said,
                colour=self.colour,
                width=width,
                columns=self.columns or _ANY_COLUMNS,
            )
        return disarm_lines("".join(f"{line}\n" for line in lines))

    def render_end(self, summary: Summary) -> str:  # noqa: ARG002 - the sums are talk
        """Returns nothing."""
        return ""


def _head(file: CheckedFile, *, colour: bool) -> str:
    name = " ".join(word for word in (file.vm or file.name, file.vm_name) if word)
    place = f" on {file.node}" if file.node else ""
    found = count_severities(Counter(one.severity for one in file.diagnostics))
    return f"{paint(_clean(name + place), _BOLD, colour=colour)}: {found}"


def _render(
    diagnostic: Diagnostic,
    source: Source | None,
    said: set[str],
    *,
    colour: bool,
    width: int,
    columns: int,
) -> Iterator[str]:
    location = None
    if source is not None and diagnostic.span is not None:
        location = source.locate(diagnostic.span)
    place = _clean(diagnostic.source)
    if location is not None:
        place += f":{location.line}:{location.column}"
    label = paint(diagnostic.severity.value, _COLOURS[diagnostic.severity], colour=colour)
    code = paint(diagnostic.code, _BOLD, colour=colour)
    begin = _measure(f"{place}: {diagnostic.code} {diagnostic.severity.value}: ")
    first, *more = wrap_words(_clean(diagnostic.message), columns, begin=begin, indent="    ")
    yield f"{place}: {code} {label}: {first}".rstrip()
    yield from more
    gutter = " " * (len(str(location.line)) if location is not None else 0)
    if location is not None:
        text, carets = _excerpt(location, width)
        yield f"  {location.line} | {text}"
        yield f"  {gutter} | {paint(carets, _COLOURS[diagnostic.severity], colour=colour)}"
    remarks = [f"note: {note}" for note in diagnostic.notes]
    if diagnostic.fix is not None:
        remarks.append(f"fix ({diagnostic.fix.applicability}): {diagnostic.fix.message}")
    for remark in remarks:
        if remark not in said:
            said.add(remark)
            indent = f"  {gutter}   "
            first, *more = wrap_words(
                _clean(remark), columns, begin=len(indent), indent=f"{indent}  "
            )
            yield f"  {gutter} = {first}"
            yield from more


def _excerpt(location: Location, width: int) -> tuple[str, str]:
    """Returns a line, or the part of a long one around the place, with carets below it."""
    text, begin = location.text, location.column - 1
    if len(text) > width:
        left = max(0, min(begin - width // 3, len(text) - width))
        right = left + width
        head, tail = "…" if left else "", "…" if right < len(text) else ""
        text, begin = f"{head}{text[left:right]}{tail}", begin - left + len(head)
    marked = text[begin : begin + location.width]
    carets = "^" * max(1, _measure(marked))
    return _show(text), " " * _measure(text[:begin]) + carets


def _measure(text: str) -> int:
    """Returns the width of a text in terminal columns, as it is shown."""
    shown = _show(text)
    if shown.isascii():
        return len(shown)
    from unicodedata import combining, east_asian_width

    return sum(
        0 if combining(character) else 1 + (east_asian_width(character) in "WF")
        for character in shown
    )


def _show(text: str) -> str:
    if text.isascii() and text.isprintable():
        return text
    # Messages of Proxmox VE contain newlines, and lines of a config tabs.
    return printable(text.replace("\n", " ").replace("\t", " "))


def _clean(text: str) -> str:
    shown = _show(text)
    if len(shown) > _MAX_MESSAGE_CHARACTERS:
        return f"{shown[:_MAX_MESSAGE_CHARACTERS]}…"
    return shown
