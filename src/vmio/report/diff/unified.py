"""The change of a text as a unified diff that `patch` accepts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from vmio.characters import printable_lines
from vmio.model.source import Source
from vmio.report.colours import paint

__all__ = ["render_unified_diff"]

_CONTEXT_LINES = 3
_NO_NEWLINE = "\\ No newline at end of file\n"
_BOLD, _RED, _GREEN, _CYAN = "1", "31", "32", "36"
_COLOURS = {"---": _BOLD, "+++": _BOLD, "@": _CYAN, "-": _RED, "+": _GREEN}
_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"})


def render_unified_diff(before: Source, after: bytes, *, colour: bool = False) -> str:
    r"""Returns a unified diff between a text and its new bytes; empty if they are equal.

    Lines end at a newline; a carriage return is part of its line. Bytes that are not UTF-8 are
    surrogate escapes, which `errors="surrogateescape"` writes unchanged; in colour, which means on
    a terminal, they are written as `\xff`.
    """
    if before.data == after:
        return ""
    old, new = _split(before.data), _split(after)
    name = _quote(before.name)
    lines = [f"--- {name}\n", f"+++ {name}\n", *_compare(old, new)]
    return "".join(map(_paint, lines) if colour else lines)


def _split(data: bytes) -> list[str]:
    text = data.decode("utf-8", "surrogateescape")
    lines = text.split("\n")
    # A last line without a newline gets a marker, so it differs from one with a newline.
    tail = [f"{lines[-1]}\n{_NO_NEWLINE}"] if lines[-1] else []
    return [*(f"{line}\n" for line in lines[:-1]), *tail]


def _compare(old: Sequence[str], new: Sequence[str]) -> Iterator[str]:
    """Yields the hunks; only the part between the common start and the common end is searched."""
    from difflib import SequenceMatcher

    head = 0
    while head < min(len(old), len(new)) and old[head] == new[head]:
        head += 1
    tail = 0
    while tail < min(len(old), len(new)) - head and old[-1 - tail] == new[-1 - tail]:
        tail += 1
    head = max(0, head - _CONTEXT_LINES)
    tail = max(0, tail - _CONTEXT_LINES)
    matcher = SequenceMatcher(None, old[head : len(old) - tail], new[head : len(new) - tail])
    for group in matcher.get_grouped_opcodes(_CONTEXT_LINES):
        _, old_start, _, new_start, _ = group[0]
        what, last_start, old_end, _, new_end = group[-1]
        # Lines that occur again can be matched so that a change is the last thing searched.
        known = old_end - last_start if what == "equal" else 0
        at_end = head + old_end == len(old) - tail
        more = min(_CONTEXT_LINES - known, tail) if at_end else 0
        places = (
            _range(head + old_start, head + old_end + more),
            _range(head + new_start, head + new_end + more),
        )
        yield f"@@ -{places[0]} +{places[1]} @@\n"
        for what, i, j, k, m in group:
            if what == "equal":
                yield from (f" {line}" for line in old[head + i : head + j])
                continue
            yield from (f"-{line}" for line in old[head + i : head + j])
            yield from (f"+{line}" for line in new[head + k : head + m])
        yield from (f" {line}" for line in old[head + old_end : head + old_end + more])


def _range(start: int, end: int) -> str:
    length = end - start
    if length == 1:
        return str(start + 1)
    return f"{start + 1 if length else start},{length}"


def _quote(name: str) -> str:
    """Returns a file's name as diff writes it: in quotes if it contains a newline or the like."""
    return f'"{name.translate(_ESCAPES)}"' if any(sign in name for sign in '\n\t\r"\\') else name


def _paint(line: str) -> str:
    text = printable_lines(line[:-1].removesuffix("\r"))
    code = next((code for sign, code in _COLOURS.items() if line.startswith(sign)), "")
    return f"{paint(text, code)}\n"
