"""Short visits to the daemon of a running domain, from an event loop.

Each makes sure that it is about this very run of the domain, never one of the same name. Nothing
stays open in between: to connect takes 15 to 40 ms, and visits are rare.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from vmio.managers.discovery import RunningGuest
from vmio.managers.libvirt.connection import Connection, open_connection

__all__ = ["visit_domain"]

_Result = TypeVar("_Result")
_VISITORS: Final = ThreadPoolExecutor(max_workers=4, thread_name_prefix="vmio-libvirt")
"""Few, since each call has a thread of its own besides, and a host can have many domains."""
_CONNECT_S: Final = 10.0
"""A daemon's first connection asks its QEMUs what they can do: 3.5 to 6.5 s."""


async def visit_domain(
    uri: str, guest: RunningGuest, body: Callable[[Connection], _Result], *, deadline_s: float
) -> _Result:
    """Returns what a function of a connection that writes returns.

    Its calls cannot be broken off: if this is cancelled, they go on in their thread.

    Args:
        uri: The daemon that runs the domain.
        guest: The domain.
        body: What is asked and done, in a thread.
        deadline_s: The longest that one call may take, in seconds.

    Raises:
        CapabilityError: This account may only read there.
        InputError: The daemon does not run this guest.
        LibvirtError: It does not answer, or as the function.
    """

    def visit() -> _Result:
        with open_connection(
            uri, writes=True, deadline_s=deadline_s, connect_s=_CONNECT_S
        ) as connection:
            connection.check_run(guest.uuid, int(guest.id))
            return body(connection)

    return await asyncio.get_running_loop().run_in_executor(_VISITORS, visit)
