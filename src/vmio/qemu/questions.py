"""Several commands to a monitor at once, whoever the monitor belongs to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from msgspec import Struct, field

from vmio.errors import QmpError

__all__ = ["Asked", "Question", "ask"]


class Question(Struct, frozen=True, kw_only=True):
    """A command and what it is told."""

    command: str
    arguments: Mapping[str, object] = field(default_factory=dict)


class Asked(Protocol):
    """What answers questions: a session of one's own, or a conversation with another's QEMU."""

    name: str
    """What errors call it."""
    peer_pid: int | None
    """The process that made the socket; None if it is not known, or in another namespace."""

    def conversation(self) -> AbstractAsyncContextManager[None]:
        """Has the questions that are asked in its body be of one conversation."""
        ...

    async def execute_all(self, questions: Sequence[Question]) -> tuple[Any, ...]:
        """Returns the answer to each question, a `CommandRefusedError` where QEMU refused one.

        Raises:
            QmpError: It does not answer, or talks nonsense.
        """
        ...


async def ask(monitor: Asked, command: str, arguments: Mapping[str, object] | None = None) -> Any:  # noqa: ANN401 - each command has its own shape, which its reader checks
    """Returns the answer to one command.

    Raises:
        CommandRefusedError: QEMU answered with an error.
        QmpError: It does not answer, or talks nonsense.
    """
    question = Question(command=command, arguments=arguments or {})
    (answer,) = await monitor.execute_all([question])
    if isinstance(answer, QmpError):
        raise answer
    return answer
