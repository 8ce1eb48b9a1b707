"""Speaks with a daemon about one running domain, in a thread of its own.

Each visit makes sure that it is about this very run of the domain, never one of the same name.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from vmio.managers.discovery import RunningGuest
from vmio.managers.libvirt.connection import Connection

__all__ = ["DomainWorker"]

_Result = TypeVar("_Result")
_CONNECT_S = 10.0
"""A daemon's first connection asks its QEMUs what they can do: 3.5 to 6.5 s."""


class DomainWorker:
    """A connection that writes, made when it is needed and again when it was lost.

    Args:
        uri: The daemon that runs the domain.
        guest: The domain.
        deadline_s: The longest that one call may take, in seconds.
    """

    def __init__(self, uri: str, guest: RunningGuest, *, deadline_s: float) -> None:
        self._uri = uri
        self._uuid, self._number = guest.uuid, int(guest.id)
        self._deadline_s = deadline_s
        self._connection: Connection | None = None
        # One thread, since one call at a time can be made.
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="vmio-libvirt")

    async def visit(self, body: Callable[[Connection], _Result]) -> _Result:
        """Returns what a function of the connection returns.

        Raises:
            CapabilityError: This account may only read there.
            InputError: The daemon does not run this guest.
            LibvirtError: It does not answer, or as the function.
        """
        return await asyncio.get_running_loop().run_in_executor(self._worker, self._visit, body)

    def close(self) -> None:
        """Disconnects once the last call has returned; does not wait for it."""
        self._worker.submit(self._disconnect)
        self._worker.shutdown(wait=False)

    def _visit(self, body: Callable[[Connection], _Result]) -> _Result:
        if self._connection is None or self._connection.is_lost:
            self._connection = None
            self._connection = Connection(
                self._uri, writes=True, deadline_s=self._deadline_s, connect_s=_CONNECT_S
            )
        self._connection.check_run(self._uuid, self._number)
        return body(self._connection)

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
