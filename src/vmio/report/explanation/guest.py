"""One of many guests whose disks are explained."""

from __future__ import annotations

from msgspec import Struct

from vmio.errors import VmioError
from vmio.lint.explain import Explanation, Origin

__all__ = ["ExplainedGuest"]


class ExplainedGuest(Struct, frozen=True, kw_only=True):
    """A guest's disks, or why there are none."""

    path: str
    """Where it is from."""
    name: str
    """What it is called; its path where it cannot be read."""
    node: str = ""
    """The host that it belongs to; empty where its place does not tell."""
    origin: Origin = "plan"
    stories: tuple[Explanation, ...] = ()
    error: VmioError | None = None
