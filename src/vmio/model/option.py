"""One option of a QEMU command line."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import field, frozen

from vmio.model.source import Span

__all__ = ["Option"]


@frozen(kw_only=True)
class Option:
    """One option with its value split into keys, in one flat notation."""

    name: str
    """The option's name without dashes."""
    id: str = ""
    """The name by which others refer to it and it is found again; empty if it has none."""
    kind: str = ""
    """Its kind: a device's driver, an object's type."""
    properties: Mapping[str, str] = field(factory=dict)
    """Values by key; nested keys are joined by dots, list items are numbered."""
    span: Span | None = field(default=None, eq=False)
    """The place in the text, if known."""
    spans: Mapping[str, Span] = field(factory=dict, eq=False, repr=False)
    """The place of each property; none for those in JSON."""
