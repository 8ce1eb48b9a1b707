"""One of several guests shown together."""

from __future__ import annotations

from attrs import frozen

from vmio.errors import VmioError
from vmio.model.topology import Topology

__all__ = ["ShownGuest"]


@frozen(kw_only=True)
class ShownGuest:
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
