"""QEMU's monitor protocol, with a time limit on every wait and errors that name the socket.

Source: QEMU 10.0, docs/interop/qmp-spec.rst; the package qemu.qmp speaks it.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import stat
import struct
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Self

from qemu.qmp import ConnectError, ExecuteError, QMPClient
from qemu.qmp import QMPError as ClientError

from vmio.bounds import check_document
from vmio.errors import QmpError
from vmio.model.capabilities import QemuVersion, parse_qmp_version
from vmio.qemu.questions import Question

__all__ = ["CommandRefusedError", "QmpConnection", "shorten"]

_MAX_MESSAGE_BYTES = 32 << 20
_RETRY_S = 0.05
_CLOSE_TIMEOUT_S = 1.0
_BUSY_HINT = "a monitor answers one client at a time; give QEMU a second -qmp socket"


class CommandRefusedError(QmpError):
    """A monitor that answered with an error.

    Args:
        message: One line with the socket, the command, and QEMU's message.
        error_class: QMP's class of the error, such as CommandNotFound.
    """

    def __init__(self, message: str, *, error_class: str) -> None:
        super().__init__(message)
        self.error_class = error_class


class QmpConnection:
    """One client's session with a QEMU monitor; `connect` makes it."""

    def __init__(self, client: QMPClient, name: str, peer_pid: int | None) -> None:
        self._client = client
        self.name = name
        self.peer_pid = peer_pid
        """The process that created the socket; None if it is outside our PID namespace."""

    @classmethod
    @asynccontextmanager
    async def connect(
        cls, address: Path | socket.socket, *, name: str = "", timeout_s: float = 10.0
    ) -> AsyncIterator[Self]:
        """Opens a session, and closes it at the end.

        Args:
            address: A unix socket's path, or a connected socket, which is closed at the end.
            name: Its name in errors; empty for the path.
            timeout_s: The time limit for the greeting and negotiation.

        Raises:
            QmpError: There is no such socket, or nothing answers, or not a monitor.
        """
        name = name or (str(address) if isinstance(address, Path) else "the monitor")
        client = QMPClient(readbuflen=_MAX_MESSAGE_BYTES)
        client.events.event_filter = _refuse_event  # nobody reads them, and they would accumulate
        connected: socket.socket | None = None
        try:
            try:
                async with asyncio.timeout(timeout_s):
                    connected = (
                        await _open_socket(address) if isinstance(address, Path) else address
                    )
                    peer_pid = _read_peer_pid(connected)
                    await client.connect(connected)
            except TimeoutError as error:
                raise QmpError(
                    f"{name} accepts connections but did not answer within {timeout_s:g} s",
                    hint=_BUSY_HINT,
                ) from error
            except OSError as error:
                raise _explain_os_error(name, address, error) from error
            except ConnectError as error:
                raise _explain_bad_start(name, error) from error
            yield cls(client, name, peer_pid)
        finally:
            if connected is not None:
                await _close(client, connected)

    @property
    def version(self) -> QemuVersion:
        """The version in the monitor's greeting.

        Raises:
            QmpError: The greeting has none.
        """
        greeting = self._client.greeting
        try:
            if greeting is not None:
                return parse_qmp_version(greeting.QMP.version)
        except ValueError as error:
            raise QmpError(f"{self.name} sends a greeting without a valid version") from error
        raise QmpError(f"{self.name} is not connected")

    async def execute(
        self,
        command: str,
        arguments: Mapping[str, object] | None = None,
        *,
        timeout_s: float = 10.0,
    ) -> Any:  # noqa: ANN401 - each command has its own shape, which its reader checks
        """Runs a command and returns its result.

        Raises:
            CommandRefusedError: QEMU answered with an error.
            QmpError: It did not answer in time or not as a QEMU does, or closed the connection.
        """
        try:
            async with asyncio.timeout(timeout_s):
                reply = await self._client.execute(command, arguments)
            check_document(reply)
        except TimeoutError as error:
            raise QmpError(
                f"{self.name} did not answer '{command}' within {timeout_s:g} s"
            ) from error
        except ExecuteError as error:
            raise CommandRefusedError(
                f"{self.name} refused '{command}': {error.error.error.desc}",
                error_class=error.error_class,
            ) from error
        except (ClientError, OSError, EOFError) as error:
            reason = await self._find_reason(error)
            raise QmpError(f"{self.name} failed during '{command}': {reason}") from error
        except ValueError as error:
            raise QmpError(f"{self.name} answered '{command}' as no QEMU does: {error}") from error
        return reply

    @asynccontextmanager
    async def conversation(self) -> AsyncIterator[None]:
        """Is there for what asks short conversations too: a session has no end."""
        yield

    async def execute_all(self, questions: Sequence[Question]) -> tuple[Any, ...]:
        """Returns the answer to each command, a `CommandRefusedError` where QEMU refused one.

        Raises:
            QmpError: It did not answer in time, or closed the connection, or talked nonsense.
        """
        answers: list[Any] = []
        for each in questions:
            try:
                answers.append(await self.execute(each.command, each.arguments or None))
            except CommandRefusedError as error:
                answers.append(error)
        return tuple(answers)

    async def _find_reason(self, error: BaseException) -> str:
        """Returns why a session ended: the client reports it only when it is closed."""
        try:
            async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                await self._client.disconnect()
        except EOFError:
            return "it closed the connection"
        except TimeoutError:
            pass
        except Exception as cause:  # noqa: BLE001 - whatever its reader met is the reason
            return _first_line(cause)
        return _first_line(error)

    async def stop(self) -> None:
        """Stops the guest's vCPUs."""
        await self.execute("stop")

    async def cont(self) -> None:
        """Resumes the guest's vCPUs."""
        await self.execute("cont")

    async def qom_list(self, path: str) -> tuple[tuple[str, str], ...]:
        """Returns name and type of each property of a QOM object, including children and links."""
        reply = await self.execute("qom-list", {"path": path})
        try:
            return tuple((str(entry["name"]), str(entry["type"])) for entry in reply)
        except (TypeError, KeyError) as error:
            raise QmpError(f"{self.name} answered 'qom-list' with something else") from error

    async def qom_get(self, path: str, name: str) -> Any:  # noqa: ANN401 - as execute
        """Returns the value of a property of a QOM object."""
        return await self.execute("qom-get", {"path": path, "property": name})


def _refuse_event(_event: object) -> bool:
    return False


async def _open_socket(path: Path) -> socket.socket:
    """Connects to a unix socket, and retries while its queue is full; the caller sets a limit."""
    connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connected.settimeout(0)
        while True:
            try:
                connected.connect(str(path))
            except BlockingIOError:
                await asyncio.sleep(_RETRY_S)
            else:
                return connected
    except BaseException:
        connected.close()
        raise


def _read_peer_pid(connected: socket.socket) -> int | None:
    size = struct.calcsize("3i")
    with suppress(OSError):
        option = connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
        pid: int = struct.unpack("3i", option)[0]
        return pid or None
    return None


def _explain_os_error(name: str, address: Path | socket.socket, error: OSError) -> QmpError:
    if isinstance(address, Path):
        if error.errno == errno.ENOENT:
            return QmpError(f"{name} does not exist", hint="QEMU makes it with -qmp unix:PATH")
        if error.errno == errno.ECONNREFUSED:
            with suppress(OSError):
                if not stat.S_ISSOCK(address.stat().st_mode):
                    return QmpError(f"{name} is not a socket")
            return QmpError(f"{name} refuses connections", hint="its QEMU may have ended")
    return QmpError(f"cannot connect to {name}: {error.strerror or error}")


def _explain_bad_start(name: str, error: ConnectError) -> QmpError:
    cause: BaseException = error.exc
    if isinstance(cause, EOFError):
        return QmpError(f"{name} closed the connection before it greeted")
    if isinstance(cause, OSError):
        return QmpError(f"{name} broke off: {cause.strerror or cause}")
    return QmpError(f"{name} does not speak QMP: {_first_line(cause)}")


def _first_line(error: BaseException) -> str:
    return shorten(str(error)) or type(error).__name__


def shorten(text: str) -> str:
    """Returns the first line of what a peer said, or the beginning of that."""
    return next(iter(text.strip().splitlines()), "")[:200]


async def _close(client: QMPClient, connected: socket.socket) -> None:
    """Closes a session in bounded time: data that the peer does not read is discarded."""
    task = asyncio.ensure_future(client.disconnect())
    try:
        await asyncio.wait((task,), timeout=_CLOSE_TIMEOUT_S)
        if not task.done():
            connected.shutdown(socket.SHUT_RDWR)
            await asyncio.wait((task,), timeout=_CLOSE_TIMEOUT_S)
    finally:
        task.cancel()
        with suppress(Exception, asyncio.CancelledError):
            await task
        connected.close()
