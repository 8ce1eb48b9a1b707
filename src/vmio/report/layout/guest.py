"""One of many guests that are shown."""

from __future__ import annotations

from msgspec import Struct

from vmio.errors import VmioError
from vmio.model.topology import Topology

__all__ = ["ShownGuest"]


class ShownGuest(Struct, frozen=True, kw_only=True):
    """A guest's layout, or why there is none."""

    path: str
    """Where it is from."""
    name: str
    """What it is called; its path where it cannot be read."""
    node: str = ""
    """The host that it belongs to; empty where its place does not tell."""
    origin: str = "plan"
    """`plan` or `command`."""
    topology: Topology | None = None
    error: VmioError | None = None
