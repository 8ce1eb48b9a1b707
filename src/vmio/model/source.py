"""Texts that people own, and positions in them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from msgspec import Struct, field

__all__ = ["NOWHERE", "Edit", "Location", "Problem", "Source", "Span", "Where", "apply_edits"]


class Span(Struct, frozen=True, order=True, gc=False):
    """A range of bytes of one source, its end excluded.

    A config has dozens of them, so it is written `Span(start, end)`, and Python need not look at
    it for cycles.

    Units: bytes from the start of the file, so that an edit leaves every other byte unchanged.
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
    """The start of a span for people: lines and columns from 1, columns in characters."""

    line: int
    column: int
    width: int
    """How many characters of that line the span covers, at least 1."""
    text: str
    """The whole line."""


class Source(Struct, frozen=True, kw_only=True):
    """A file's name and its bytes."""

    name: str
    data: bytes
    excerpt: str = ""
    """What it was taken out of, such as `JSON`, where it is no file of its own: such a text is
    never written. Empty where it is the file."""

    def __repr__(self) -> str:
        return f"Source(name={self.name!r}, data=<{len(self.data)} bytes>)"

    @property
    def digest(self) -> str:
        """Identifies a state of the text: SHA-1, like Proxmox VE's own digest."""
        from hashlib import sha1

        return sha1(self.data, usedforsecurity=False).hexdigest()

    def read_span(self, span: Span) -> str:
        """Returns the text of a span; bytes that are not UTF-8 become replacement characters."""
        return self.data[span.start : span.end].decode("utf-8", "replace")

    def locate(self, span: Span) -> Location:
        """Returns the line and column at which a span begins."""
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

    Bytes that are not UTF-8 are surrogate escapes in the text.
    """

    span: Span
    text: str


class Problem(Struct, frozen=True, kw_only=True):
    """Something that a reader could not parse and skipped."""

    kind: str
    """One of the reader's kinds, such as `unknown-setting`; used by the rules of config form."""
    message: str
    span: Span
    subject: str = ""
    """The key or device, such as `scsi0`."""
    advice: str = ""
    """What a person can do, in the imperative and without a full stop; empty if not known."""


def apply_edits(source: Source, edits: Iterable[Edit]) -> bytes:
    """Returns a source's bytes with edits applied; every byte outside the edits is unchanged.

    Several insertions at one position are made in the order of the edits.

    Raises:
        ValueError: Two edits cover the same bytes, or one lies outside the source.
    """
    pieces: list[bytes] = []
    done = 0
    for edit in sorted(edits, key=lambda edit: edit.span):
        if not done <= edit.span.start <= edit.span.end <= len(source.data):
            raise ValueError(f"an edit of {source.name} at {edit.span} overlaps another")
        pieces += (
            source.data[done : edit.span.start],
            edit.text.encode("utf-8", "surrogateescape"),
        )
        done = edit.span.end
    return b"".join((*pieces, source.data[done:]))
