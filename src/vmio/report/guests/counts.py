"""Figures of a running guest."""

from __future__ import annotations

from vmio.model.iothread import MAIN_LOOP
from vmio.model.topology import Topology

__all__ = ["count_main_loop"]


def count_main_loop(layout: Topology) -> int:
    """Returns how many disks the main loop serves."""
    return sum(MAIN_LOOP in layout.served_by(each) for each in layout.disks)
