"""The layout of a running guest."""

from __future__ import annotations

from pathlib import Path

from vmio.model.topology import Topology

__all__ = ["observe"]


def observe(socket: str) -> Topology:
    """Returns the layout that a running QEMU reports on its QMP socket.

    Raises:
        QmpError: Nothing answers there, or not in QMP.
    """
    from vmio.observe.running import read_running
    from vmio.qemu.qmp import QmpConnection
    from vmio.qemu.signals import run_async

    async def ask() -> Topology:
        async with QmpConnection.connect(Path(socket)) as connection:
            return await read_running(connection)

    return run_async(ask())
