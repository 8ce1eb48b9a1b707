"""One option of a QEMU command line."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct, field

from vmio.model.source import NOWHERE, Span, Where

__all__ = ["Option"]


class Option(Struct, frozen=True, kw_only=True):
    """One option with its value split into keys, in one flat notation."""

    name: str
    """The option's name without dashes."""
    id: str = ""
    """The name by which others refer to it and it is found again; empty if it has none."""
    kind: str = ""
    """What it is one of: a device's driver, an object's type."""
    properties: Mapping[str, str] = field(default_factory=dict)
    """Values by key, nested keys joined by dots, items of a list by their number."""
    where: Where = NOWHERE

    @property
    def span(self) -> Span | None:
        """Where it is written, if that is known."""
        return self.where.span

    @property
    def spans(self) -> Mapping[str, Span]:
        """Where each property is written; none for those in JSON."""
        return self.where.spans
