"""Texts that people own, and places in them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from msgspec import Struct, field

__all__ = ["NOWHERE", "Edit", "Location", "Problem", "Source", "Span", "Where", "apply_edits"]


class Span(NamedTuple):
    """A range of bytes of one source, its end excluded.

    A config has dozens, so it is what is made fastest.

    Units: bytes from the start of the file, so that an edit leaves every other byte as it is.
    """

    start: int
    end: int


class Where(Struct, frozen=True, kw_only=True, eq=False):
    """Where a value is written.

    All are equal: two values are the same whichever lines they were read from.
    """

    span: Span | None = None
    """Where the whole of it is written, if that is known."""
    spans: Mapping[str, Span] = field(default_factory=dict)
    """Where each part of it is written, by the notation's own name for it."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Where)

    def __hash__(self) -> int:
        return hash(Where)

    def __repr__(self) -> str:
        return f"Where({self.span})"


NOWHERE: Final = Where()
"""Of a value that no text has."""


class Location(Struct, frozen=True, kw_only=True):
    """Where a span begins, as a person counts: lines and columns from 1, columns in characters."""

    line: int
    column: int
    width: int
    """How many characters of that line the span covers, at least 1."""
    text: str
    """That whole line."""


class Source(Struct, frozen=True, kw_only=True):
    """A file's name and its very bytes."""

    name: str
    data: bytes
    excerpt: str = ""
    """What it was taken out of, such as `JSON`, where it is no file of its own: such a text is
    never written. Empty where it is the file."""

    def __repr__(self) -> str:
        return f"Source(name={self.name!r}, data=<{len(self.data)} bytes>)"

    @property
    def digest(self) -> str:
        """What one state of the text is told from another by: SHA-1, as Proxmox VE's own."""
        from hashlib import sha1

        return sha1(self.data, usedforsecurity=False).hexdigest()

    def read_span(self, span: Span) -> str:
        """Returns the text under a span; bytes that are not UTF-8 come as replacement signs."""
        return self.data[span.start : span.end].decode("utf-8", "replace")

    def locate(self, span: Span) -> Location:
        """Returns the line and the column at which a span begins."""
        start = min(span.start, len(self.data))
        begin = self.data.rfind(b"\n", 0, start) + 1
        end = self.data.find(b"\n", start)
        end = len(self.data) if end < 0 else end
        covered = self.data[start : max(start, min(span.end, end))]
        return Location(
            line=self.data.count(b"\n", 0, start) + 1,
            column=len(self.data[begin:start].decode("utf-8", "replace")) + 1,
            width=max(1, len(covered.decode("utf-8", "replace"))),
            text=self.data[begin:end].decode("utf-8", "replace").rstrip("\r"),
        )


class Edit(Struct, frozen=True, kw_only=True):
    """One replacement in a source: the span's bytes become `text`; an empty span inserts.

    Bytes that are not UTF-8 are in the text as surrogate escapes.
    """

    span: Span
    text: str


class Problem(Struct, frozen=True, kw_only=True):
    """Something that a reader could not take, and went on after."""

    kind: str
    """One of the reader's kinds, such as `unknown-setting`; rules about config form go by it."""
    message: str
    span: Span
    subject: str = ""
    """The key or device that it is about, such as `scsi0`."""


def apply_edits(source: Source, edits: Iterable[Edit]) -> bytes:
    """Returns a source's bytes with edits made; every byte that no edit covers stays as it is.

    Of several insertions at one place the text comes in the order of the edits.

    Raises:
        ValueError: Two edits cover the same bytes, or one lies outside the source.
    """
    pieces: list[bytes] = []
    done = 0
    for edit in sorted(edits, key=lambda edit: edit.span):
        if not done <= edit.span.start <= edit.span.end <= len(source.data):
            raise ValueError(f"an edit of {source.name} at {edit.span} clashes with another")
        pieces += (
            source.data[done : edit.span.start],
            edit.text.encode("utf-8", "surrogateescape"),
        )
        done = edit.span.end
    return b"".join((*pieces, source.data[done:]))
