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
            begin = start + piece.index(stripped)
            key, equals, value = stripped.partition(b"=")
            if not equals:
                key, value = b"", stripped
            end = begin + len(stripped)
            parts.append(
                Part(
                    key.decode("utf-8", "replace"),
                    value.decode("utf-8", "replace"),
                    Span(start=begin, end=end),
                    Span(start=end - len(value), end=end),
                )
            )
        start += len(piece) + 1
    return tuple(parts)
