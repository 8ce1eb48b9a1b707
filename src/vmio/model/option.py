"""One option of a QEMU command line."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import field, frozen

from vmio.model.source import Span

__all__ = ["Option"]


@frozen(kw_only=True)
class Option:
    """One option with its value taken apart, in one flat notation."""

    name: str
    """Without dashes."""
    id: str = ""
    """What others refer to it by, and what it is found again by; empty if it has no name."""
    kind: str = ""
    """What it is one of: a device's driver, an object's type."""
    properties: Mapping[str, str] = field(factory=dict)
    """Values by key, nested keys joined by dots, items of a list by their number."""
    span: Span | None = field(default=None, eq=False)
    """Where it is written, if that is known."""
    spans: Mapping[str, Span] = field(factory=dict, eq=False, repr=False)
    """Where each property is written; none for those in JSON."""
