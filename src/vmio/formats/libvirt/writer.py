"""Edits of a domain's text: attributes and elements, in the quotes and lines of their neighbours.

Every byte outside an edit stays as the person wrote it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import Struct, field

from vmio.formats.libvirt.xml import Element, find_attributes
from vmio.model.source import Edit, Source, Span

__all__ = ["DomainWriter", "Node"]

_TAG_END = re.compile(rb"\s*(/?>)")
_INDENT = re.compile(rb"\r?\n([ \t]*)\Z")
_BLANK_LINE = re.compile(rb"\r?\n[ \t]*\Z")
_REST_OF_LINE = re.compile(rb"[ \t]*\r?\n")
_MOST_BLANK: Final = 4096
_STEP: Final = "  "
"""By which libvirt itself indents."""
_ESCAPES: Final = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "\t": "&#9;", "\n": "&#10;"}
_QUOTES: Final = {"'": "&apos;", '"': "&quot;"}


class Node(Struct, frozen=True, kw_only=True):
    """A new element."""

    name: str
    attributes: Mapping[str, str] = field(default_factory=dict)
    children: tuple[Node, ...] = ()
    text: str = ""


class DomainWriter:
    """Makes edits of one domain's text."""

    def __init__(self, source: Source, root: Element) -> None:
        """Finds how the text is written.

        Args:
            source: The text.
            root: Its root element.
        """
        self._source = source
        first = root.children[0] if root.children else root
        self._newline = "\r\n" if source.data.find(b"\r\n", 0, first.start) >= 0 else "\n"
        self._step = (self._find_indent(first) or _STEP) if first is not root else _STEP
        attributes = find_attributes(source, root).values()
        self._quote = chr(source.data[next(iter(attributes)).end - 1]) if attributes else "'"

    def set_attributes(
        self, element: Element, values: Mapping[str, str | None]
    ) -> tuple[Edit, ...]:
        """Returns the edits that write attributes; None removes one."""
        written = find_attributes(self._source, element)
        data, edits = self._source.data, []
        quote = self._quote
        place = element.start + 1 + len(element.name.encode())
        for last in written.values():
            quote, place = chr(data[last.end - 1]), last.end
        for name, value in values.items():
            span = written.get(name)
            if span is None:
                if value is not None:
                    text = f" {name}={quote}{_escape(value, quote)}{quote}"
                    edits.append(Edit(span=Span(place, place), text=text))
            elif value is None:
                before = data[max(0, span.start - _MOST_BLANK) : span.start]
                blanks = len(before) - len(before.rstrip())
                edits.append(Edit(span=Span(span.start - blanks, span.end), text=""))
            else:
                own = data[span.end - 1 : span.end]
                inner = data.index(own, span.start) + 1
                text = _escape(value, own.decode())
                edits.append(Edit(span=Span(inner, span.end - 1), text=text))
        return tuple(edits)

    def set_text(self, element: Element, text: str) -> Edit:
        """Returns the edit that replaces what is written in an element without children."""
        start, end = self._find_tag_end(element)
        text = _escape(text)
        if end == element.end:
            return Edit(span=Span(start, end), text=f">{text}</{element.name}>")
        close = self._source.data.rindex(b"</", end, element.end)
        return Edit(span=Span(end, close), text=text)

    def add(self, parent: Element, nodes: Sequence[Node], *, after: Element | None = None) -> Edit:
        """Returns the edit that adds elements to a parent.

        Args:
            parent: The parent.
            nodes: The new elements.
            after: The child to put them behind; None to put them before the first child.
        """
        start, end = self._find_tag_end(parent)
        beside = after or (parent.children[0] if parent.children else None)
        if beside is not None:
            indent = self._find_indent(beside)
        else:
            own = self._find_indent(parent)
            indent = None if own is None else own + self._step
        text = "".join(self._lead(indent) + self._render(node, indent) for node in nodes)
        if end == parent.end:  # <driver/> becomes <driver>…</driver>
            last = self._lead(None if indent is None else self._find_indent(parent))
            return Edit(span=Span(start, end), text=f">{text}{last}</{parent.name}>")
        place = after.end if after is not None else end
        if beside is None:
            close = self._source.data.rindex(b"</", end, parent.end)
            last = self._lead(None if indent is None else self._find_indent(parent))
            return Edit(span=Span(end, close), text=f"{text}{last}")
        return Edit(span=Span(place, place), text=text)

    def replace(self, element: Element, node: Node) -> Edit:
        """Returns the edit that puts another element in the place of one."""
        return Edit(span=element.span, text=self._render(node, self._find_indent(element)))

    def remove(self, element: Element, parent: Element | None = None) -> Edit:
        """Returns the edit that removes an element, with its line if nothing else is on it.

        Args:
            element: The element.
            parent: Its parent, which becomes `<parent/>` if nothing else is in it; None to leave
                the parent as it is.
        """
        if parent is not None and len(parent.children) == 1 and not parent.text.strip():
            start, _ = self._find_tag_end(parent)
            return Edit(span=Span(start, parent.end), text="/>")
        data = self._source.data
        before = _BLANK_LINE.search(data, max(0, element.start - _MOST_BLANK), element.start)
        if before is not None and _REST_OF_LINE.match(data, element.end):
            return Edit(span=Span(before.start(), element.end), text="")
        return Edit(span=element.span, text="")

    def _find_tag_end(self, element: Element) -> tuple[int, int]:
        """Returns where the end of a start tag begins and ends: `>` or `/>`."""
        place = element.start + 1 + len(element.name.encode())
        for span in find_attributes(self._source, element).values():
            place = span.end
        match = _TAG_END.match(self._source.data, place)
        assert match is not None  # noqa: S101 - expat has read the tag
        return match.start(), match.end()

    def _find_indent(self, element: Element) -> str | None:
        """Returns the blanks before an element that begins its line; None if it does not."""
        start = max(0, element.start - _MOST_BLANK)
        match = _INDENT.search(self._source.data, start, element.start)
        return match[1].decode() if match is not None else None

    def _lead(self, indent: str | None) -> str:
        return "" if indent is None else self._newline + indent

    def _render(self, node: Node, indent: str | None) -> str:
        quote = self._quote
        words = "".join(
            f" {name}={quote}{_escape(value, quote)}{quote}"
            for name, value in node.attributes.items()
        )
        inner = _escape(node.text)
        if node.children:
            below = None if indent is None else indent + self._step
            parts = (self._lead(below) + self._render(each, below) for each in node.children)
            inner += "".join(parts) + self._lead(indent)
        return f"<{node.name}{words}>{inner}</{node.name}>" if inner else f"<{node.name}{words}/>"


def _escape(text: str, quote: str = "") -> str:
    return "".join(_QUOTES[sign] if sign == quote else _ESCAPES.get(sign, sign) for sign in text)
