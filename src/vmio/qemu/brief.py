"""Short conversations with a monitor that others use too: connect, ask everything, leave.

A manager's tools open the monitor for each question, and libvirt holds it for the guest's life. So
nothing stays connected between two conversations unless the socket is one's own; a monitor that
somebody is connected to is left alone; and a client that is not greeted soon leaves at once, since
it keeps one of two places to wait and would later get the monitor instead of its manager.
"""

from __future__ import annotations

import asyncio
import math
import socket
import struct
import time
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

import msgspec

from vmio.errors import QmpError
from vmio.model.capabilities import QemuVersion, parse_qmp_version
from vmio.qemu.qmp import CommandRefusedError, shorten
from vmio.qemu.questions import Question
from vmio.qemu.sockets import count_clients

__all__ = ["BriefMonitor", "HeldMonitorError", "SilentMonitorError"]

GREETING_S: Final = 0.2
"""A free monitor greets in less than 5 ms on a busy host (QEMU 10.0.2, run)."""
CONVERSATION_S: Final = 0.8
_TOGETHER_S: Final = 0.003
"""Somewhat more than QEMU takes for three answers."""
_LOOK_S: Final = 0.005
_MAX_BYTES: Final = 32 << 20
"""Of all answers of a conversation; those of 30 disks with histograms take 128 kB."""
_CHUNK_BYTES: Final = 1 << 18
_ANSWERS: Final = (b'{"return"', b'{"error"')
_AGREE: Final = Question(command="qmp_capabilities")
_decode: Final = msgspec.json.Decoder().decode


class HeldMonitorError(QmpError):
    """A monitor that another client is connected to."""


class SilentMonitorError(QmpError):
    """A monitor that does not answer in time: its QEMU is stopped or stuck."""


class BriefMonitor:
    """A monitor's socket, to have short conversations over.

    Args:
        path: The socket.
        pid: The process of its QEMU, which has to have made it or to have the threads it reports.
        keep: Whether the connection is kept for the next conversation: only on a socket that
            nobody else uses.
        greeting_s: How long the monitor may take to greet, and to notice that a client has gone.
        conversation_s: How long a whole conversation may take.
    """

    def __init__(
        self,
        path: Path,
        *,
        pid: int,
        keep: bool = False,
        greeting_s: float = GREETING_S,
        conversation_s: float = CONVERSATION_S,
    ) -> None:
        self.name = str(path)
        self.peer_pid: int | None = None
        """The process that made the socket; None outside our namespace, and before the first
        conversation."""
        self.version: QemuVersion | None = None
        """Of the QEMU that greeted last; None before, and if it did not say."""
        self._path = path
        self._pid = pid
        self._keep = keep
        self._greeting_s = greeting_s
        self._conversation_s = conversation_s
        self._connected: socket.socket | None = None
        self._closed_s = -math.inf
        self._until_s: float | None = None
        """When a conversation of several questions has to be over."""
        self._lines: deque[bytes] = deque()
        self._begun: list[bytes] = []
        """Of a line whose end has not come."""
        self._left = _MAX_BYTES
        self._gave_up = False
        """Whether a connection of ours may still wait to be accepted by who did not greet."""

    def close(self) -> None:
        """Closes a connection that was kept."""
        if self._connected is not None:
            self._connected.close()
            self._connected = None
            self._closed_s = time.monotonic()

    @asynccontextmanager
    async def conversation(self) -> AsyncIterator[None]:
        """Has the questions of its body go over one connection, within one limit of time."""
        self._until_s = asyncio.get_running_loop().time() + self._conversation_s
        try:
            yield
        finally:
            self._until_s = None
            if not self._keep:
                self.close()

    async def execute_all(self, questions: Sequence[Question]) -> tuple[Any, ...]:
        """Returns the answer to each question, a `CommandRefusedError` where QEMU refused one.

        Raises:
            HeldMonitorError: Another client is connected; it was not touched.
            SilentMonitorError: It does not answer in time.
            QmpError: There is no such socket, or it does not speak QMP, or broke off.
        """
        if not questions:
            return ()
        answers = await self._converse(questions)
        return tuple(
            self._parse(question, number, text)
            for question, (number, text) in zip(questions, answers, strict=True)
        )

    async def execute(self, command: str, arguments: Mapping[str, object] | None = None) -> Any:  # noqa: ANN401 - each command has its own shape, which its reader checks
        """Returns the answer to one question; several belong into a `conversation`.

        Raises:
            CommandRefusedError: QEMU refused it.
            QmpError: As `execute_all`.
        """
        (answer,) = await self.execute_all([Question(command=command, arguments=arguments or {})])
        if isinstance(answer, CommandRefusedError):
            raise answer
        return answer

    async def qom_get(self, path: str, name: str) -> Any:  # noqa: ANN401 - as execute
        """Returns the value of a property of a QOM object."""
        return await self.execute("qom-get", {"path": path, "property": name})

    async def _converse(self, questions: Sequence[Question]) -> list[tuple[int, bytes]]:
        """Returns numbers and lines of the answers, when the connection is closed if it may be."""
        stays = False
        until_s = self._until_s
        if until_s is None:
            until_s = asyncio.get_running_loop().time() + self._conversation_s
        try:
            async with asyncio.timeout_at(until_s):
                agreed = self._connected is not None
                if self._connected is None:
                    self._connected = await self._open()
                    await self._be_greeted(self._connected)
                # In one go with the questions: each way there and back wakes both up.
                asked = questions if agreed else (_AGREE, *questions)
                answers = await self._exchange(self._connected, asked)
            stays = self._keep or self._until_s is not None
        except TimeoutError as error:
            raise SilentMonitorError(
                f"{self.name} did not answer within {self._conversation_s:g} s"
            ) from error
        except OSError as error:
            raise QmpError(f"{self.name} broke off: {error.strerror or error}") from error
        finally:
            if not stays:
                self.close()
        return answers[-len(questions) :]

    async def _open(self) -> socket.socket:
        await self._check_free()
        connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            connected.connect(str(self._path))
            size = struct.calcsize("3i")
            option = connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
            self.peer_pid = struct.unpack("3i", option)[0] or None
        except BlockingIOError as error:
            connected.close()
            raise HeldMonitorError(f"{self.name} is held by other clients") from error
        except OSError as error:
            connected.close()
            raise QmpError(f"cannot connect to {self.name}: {error.strerror or error}") from error
        except BaseException:
            connected.close()
            raise
        self._lines.clear()
        self._begun.clear()
        self._left = _MAX_BYTES
        return connected

    async def _check_free(self) -> None:
        """Refuses a monitor that another client is connected to.

        A connection of ours is listed until QEMU has noticed that it is closed, which may take it
        as long as a greeting.
        """
        fresh = False
        while count_clients(self._pid, self._path, fresh=fresh):
            if self._gave_up:
                raise SilentMonitorError(f"{self.name} has not served a connection that was ended")
            if time.monotonic() - self._closed_s > self._greeting_s:
                raise HeldMonitorError(f"{self.name} is held by another client")
            await asyncio.sleep(_LOOK_S)
            fresh = True

    async def _be_greeted(self, connected: socket.socket) -> None:
        try:
            async with asyncio.timeout(self._greeting_s):
                line = await self._read_line(connected)
        except TimeoutError as error:
            held = (count_clients(self._pid, self._path, fresh=True) or 0) > 1
            self._gave_up = not held
            kind = HeldMonitorError if held else SilentMonitorError
            what = "is held by another client" if held else "does not greet"
            raise kind(f"{self.name} {what}") from error
        greeting = self._load(line).get("QMP")
        if not isinstance(greeting, dict):
            raise QmpError(f"{self.name} does not speak QMP")
        with suppress(ValueError):
            self.version = parse_qmp_version(greeting.get("version"))
        self._gave_up = False

    async def _exchange(
        self, connected: socket.socket, questions: Sequence[Question]
    ) -> list[tuple[int, bytes]]:
        """Asks everything at once; returns the number of each question and its answer."""
        loop = asyncio.get_running_loop()
        asked = [
            {"execute": each.command, "arguments": each.arguments, "id": number}
            if each.arguments
            else {"execute": each.command, "id": number}
            for number, each in enumerate(questions)
        ]
        await loop.sock_sendall(connected, b"\n".join(map(msgspec.json.encode, asked)) + b"\n")
        if len(questions) > 1:
            # QEMU writes each answer by itself; those of a moment are read at once.
            await asyncio.sleep(_TOGETHER_S)
        texts: list[bytes] = []
        self._left = _MAX_BYTES
        while len(texts) < len(questions):
            line = await self._read_line(connected)
            # Events come in between; QEMU answers one question after the other, in order.
            if line.startswith(_ANSWERS) or "event" not in self._load(line):
                texts.append(line)
        return list(enumerate(texts))

    async def _read_line(self, connected: socket.socket) -> bytes:
        loop = asyncio.get_running_loop()
        while not self._lines:
            chunk = await loop.sock_recv(connected, _CHUNK_BYTES)
            if not chunk:
                raise QmpError(f"{self.name} closed the connection")
            self._left -= len(chunk)
            if self._left < 0:
                raise QmpError(f"{self.name} answers with more than {_MAX_BYTES >> 20} MiB")
            *whole, rest = chunk.split(b"\n")
            if whole:
                whole[0] = b"".join((*self._begun, whole[0]))
                self._lines.extend(whole)
                self._begun.clear()
            self._begun.append(rest)
        return self._lines.popleft()

    def _parse(self, question: Question, number: int, text: bytes) -> Any:  # noqa: ANN401 - as QMP has it
        answer = self._load(text)
        if answer.get("id") != number:
            raise QmpError(f"{self.name} answered '{question.command}' out of order")
        if "return" in answer:
            return answer["return"]
        match answer:
            case {"error": {"class": str(error_class), "desc": str(reason)}}:
                return CommandRefusedError(
                    f"{self.name} refused '{question.command}': {shorten(reason)}",
                    error_class=error_class,
                )
            case _:
                raise QmpError(f"{self.name} answered '{question.command}' with what no QEMU does")

    def _load(self, text: bytes) -> dict[str, Any]:
        # Readers of answers go no deeper than they know, and compute with no number that is not
        # checked; to go through all of it once more would take as long as everything else.
        with suppress(ValueError, RecursionError):
            document = _decode(text)
            if isinstance(document, dict):
                return document
        raise QmpError(f"{self.name} does not speak QMP")
