"""A running domain's monitor, asked through libvirt, which marks the domain as tainted for it.

It only asks: any other command is refused before libvirt sees it.

Source: libvirt 11.3.0 with QEMU 10.0.2, run.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from vmio.bounds import load_json
from vmio.errors import QmpError
from vmio.managers.libvirt.connection import Connection
from vmio.qemu.qmp import CommandRefusedError, shorten
from vmio.qemu.questions import Question

__all__ = ["READ_ONLY", "PassedMonitor"]

READ_ONLY: Final = frozenset(
    {
        "qom-get",
        "qom-list",
        "query-block",
        "query-chardev",
        "query-cpus-fast",
        "query-iothreads",
        "query-named-block-nodes",
    }
)
"""The commands that are passed on, all of which change nothing."""


class PassedMonitor:
    """The monitor of a running domain.

    Args:
        connection: A connection that writes: libvirt passes on nothing over another one.
        domain: The domain's name.

    Attributes:
        name: What errors call it.
        peer_pid: None, since the monitor's socket is libvirt's.
    """

    def __init__(self, connection: Connection, domain: str) -> None:
        self._connection = connection
        self._domain = domain
        self.name = f"the monitor of '{domain}'"
        self.peer_pid: int | None = None

    @asynccontextmanager
    async def conversation(self) -> AsyncIterator[None]:
        """Is there for what asks short conversations too: libvirt keeps the monitor open."""
        yield

    async def execute_all(self, questions: Sequence[Question]) -> tuple[Any, ...]:
        """Returns the answer to each command, a `CommandRefusedError` where QEMU refused one.

        Raises:
            QmpError: It is no question, or the answer is nonsense.
            CapabilityError: This account may not ask the monitor.
            LibvirtError: The daemon does not answer.
        """
        return tuple([await asyncio.to_thread(self._ask, each) for each in questions])

    def _ask(self, question: Question) -> Any:  # noqa: ANN401 - each command has its own shape
        if question.command not in READ_ONLY:
            raise QmpError(f"'{question.command}' is not passed on: it is no question")
        request: dict[str, object] = {"execute": question.command}
        if question.arguments:
            request["arguments"] = dict(question.arguments)
        reply = self._connection.ask_monitor(self._domain, json.dumps(request))
        try:
            answer = load_json(reply)
        except ValueError as error:
            raise QmpError(
                f"{self.name} answered '{question.command}' as no QEMU does: {error}"
            ) from error
        match answer:
            case {"return": found}:
                return found
            case {"error": {"class": str(kind), "desc": str(said)}}:
                return CommandRefusedError(
                    f"{self.name} refused '{question.command}': {shorten(said)}", error_class=kind
                )
            case _:
                raise QmpError(f"{self.name} answered '{question.command}' as no QEMU does")
