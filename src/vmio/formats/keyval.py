"""The `value,key=value,…` notation that Proxmox's property strings and QEMU's options share."""

from __future__ import annotations

from typing import NamedTuple

from vmio.model.source import Span

__all__ = ["Part", "split_parts"]


class Part(NamedTuple):
    """One piece between two commas, and where it stands."""

    key: str
    """Empty for a bare value."""
    value: str
    span: Span
    value_span: Span


def split_parts(data: bytes, span: Span) -> tuple[Part, ...]:
    """Splits the bytes under a span at their commas; blank pieces are left out.

    White space around a piece does not belong to it. Only the first `=` of a piece separates.
    """
    parts = []
    start = span.start
    for piece in data[span.start : span.end].split(b","):
        stripped = piece.strip()
        if stripped:
            begin = start if stripped == piece else start + piece.index(stripped)
            end = begin + len(stripped)
            whole = Span(begin, end)
            key, equals, value = stripped.decode("utf-8", "replace").partition("=")
            if equals:
                inner = Span(begin + stripped.index(b"=") + 1, end)
                parts.append(Part(key, value, whole, inner))
            else:
                parts.append(Part("", key, whole, whole))
        start += len(piece) + 1
    return tuple(parts)
