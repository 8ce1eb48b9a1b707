"""One of several guests shown together."""

from __future__ import annotations

from msgspec import Struct

from vmio.errors import VmioError
from vmio.model.topology import Topology

__all__ = ["ShownGuest"]


class ShownGuest(Struct, frozen=True, kw_only=True):
    """A guest's layout, or the error."""

    path: str
    """The config's path, or `pid:NUMBER`."""
    name: str
    """The guest's name; its path if it cannot be read."""
    node: str = ""
    """The guest's host; empty if its path does not show it."""
    origin: str = "plan"
    """`plan` or `command`."""
    topology: Topology | None = None
    error: VmioError | None = None
