"""The `value,key=value,…` notation that Proxmox's property strings and QEMU's options share."""

from __future__ import annotations

from msgspec import Struct

from vmio.model.source import Span

__all__ = ["Part", "split_parts"]


class Part(Struct, frozen=True, gc=False):
    """One piece between two commas, and its place."""

    key: str
    """Empty for a bare value."""
    value: str
    span: Span
    value_span: Span


def split_parts(data: bytes, span: Span) -> tuple[Part, ...]:
    """Splits the bytes under a span at their commas; blank pieces are left out.

    White space around a piece belongs to it: ` ssd=1` is an option whose name begins with a
    blank. Only the first `=` of a piece separates.
    """
    parts = []
    start = span.start
    for piece in data[span.start : span.end].split(b","):
        if piece and not piece.isspace():
            end = start + len(piece)
            whole = Span(start, end)
            key, equals, value = piece.decode("utf-8", "replace").partition("=")
            if equals:
                inner = Span(start + piece.index(b"=") + 1, end)
                parts.append(Part(key, value, whole, inner))
            else:
                parts.append(Part("", key, whole, whole))
        start += len(piece) + 1
    return tuple(parts)
