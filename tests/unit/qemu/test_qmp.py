"""Monitors that do not behave, made of real sockets."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from vmio.errors import QmpError
from vmio.model.capabilities import QemuVersion
from vmio.qemu.qmp import CommandRefusedError, QmpConnection

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
VERSION = {"qemu": {"major": 10, "minor": 0, "micro": 2}, "package": ""}
GREETING = json.dumps({"QMP": {"version": VERSION, "capabilities": []}}).encode() + b"\n"


@asynccontextmanager
async def serve(path: Path, handler: Handler) -> AsyncIterator[None]:
    """Serves one kind of monitor on a socket."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handler(reader, writer)
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_unix_server(handle, path)
    try:
        yield
    finally:
        server.close()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def read_request(reader: asyncio.StreamReader) -> dict[str, str]:
    """Reads one JSON object; the client ends none with a new line."""
    text = b""
    while True:
        chunk = await reader.read(1 << 16)
        if not chunk:
            raise ConnectionResetError
        text += chunk
        try:
            request: dict[str, str] = json.loads(text)
        except ValueError:
            continue
        return request


async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Does what comes before the first command."""
    writer.write(GREETING)
    await read_request(reader)
    writer.write(b'{"return": {}}\n')


def answer(*replies: bytes) -> Handler:
    """Returns a monitor that greets, agrees, and then answers with these texts in turn."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await greet(reader, writer)
        for reply in replies:
            request = await read_request(reader)
            writer.write(reply.replace(b"ID", str(request["id"]).encode()))
            await writer.drain()
        await reader.read()

    return handler


def talk(
    path: Path, handler: Handler, *, timeout_s: float = 20.0, command_timeout_s: float = 20.0
) -> object:
    """Connects to a monitor, runs one command and returns what it returns."""

    async def run() -> object:
        connecting = QmpConnection.connect(path, timeout_s=timeout_s)
        async with serve(path, handler), connecting as connection:
            assert connection.version == QemuVersion(10, 0, 2)
            return await connection.execute("query-test", timeout_s=command_timeout_s)

    return asyncio.run(run())


def connect(path: Path) -> None:
    """Connects and disconnects."""

    async def run() -> None:
        async with QmpConnection.connect(path, timeout_s=20.0):
            pass

    asyncio.run(run())


def test_command_returns_what_the_monitor_returns(tmp_path: Path) -> None:
    """A reply's value comes back as it is; events in between are passed over."""
    reply = b'{"event": "STOP", "data": {}, "timestamp": {"seconds": 1, "microseconds": 0}}\n'
    reply += b'{"return": [1, {"a": null}], "id": "ID"}\n'

    assert talk(tmp_path / "qmp", answer(reply)) == [1, {"a": None}]


def test_refused_command_is_named(tmp_path: Path) -> None:
    """A monitor's error names the socket and the command, and keeps its class."""
    reply = b'{"error": {"class": "CommandNotFound", "desc": "not here"}, "id": "ID"}\n'

    with pytest.raises(CommandRefusedError, match="qmp refused 'query-test': not here") as caught:
        talk(tmp_path / "qmp", answer(reply))
    assert caught.value.error_class == "CommandNotFound"


def test_socket_that_is_not_there_is_named(tmp_path: Path) -> None:
    """The error names the path."""
    with pytest.raises(QmpError, match="qmp does not exist"):
        connect(tmp_path / "qmp")


def test_file_that_is_no_socket_is_named(tmp_path: Path) -> None:
    """A regular file is said not to be a socket."""
    (tmp_path / "qmp").touch()

    with pytest.raises(QmpError, match="qmp is not a socket"):
        connect(tmp_path / "qmp")


def test_socket_with_too_long_a_name_is_named(tmp_path: Path) -> None:
    """A path that no unix socket can have is no crash."""
    with pytest.raises(QmpError, match=r"cannot connect to .*: AF_UNIX path too long"):
        connect(tmp_path / ("q" * 120))


def test_socket_that_nobody_listens_on_is_named(tmp_path: Path) -> None:
    """A socket that a dead QEMU left refuses connections."""
    with socket.socket(socket.AF_UNIX) as abandoned:
        abandoned.bind(str(tmp_path / "qmp"))

    with pytest.raises(QmpError, match="qmp refuses connections"):
        connect(tmp_path / "qmp")


def test_monitor_that_never_greets_is_given_up(tmp_path: Path) -> None:
    """A socket that accepts and never answers ends in an error that says who may hold it."""

    async def silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    with pytest.raises(QmpError, match=r"did not answer within 0\.1 s") as caught:
        talk(tmp_path / "qmp", silent, timeout_s=0.1)
    assert "one client at a time" in caught.value.hint


def test_monitor_whose_queue_is_full_is_given_up(tmp_path: Path) -> None:
    """A socket whose queue of connections is full is waited for, and not for ever."""

    async def run() -> None:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(tmp_path / "qmp"))
            listener.listen(0)
            with socket.socket(socket.AF_UNIX) as waiting:
                waiting.connect(str(tmp_path / "qmp"))
                async with QmpConnection.connect(tmp_path / "qmp", timeout_s=0.1):
                    pass

    with pytest.raises(QmpError, match=r"did not answer within 0\.1 s"):
        asyncio.run(run())


def test_command_that_is_never_answered_is_given_up(tmp_path: Path) -> None:
    """A monitor that falls silent ends in an error that names the command."""
    with pytest.raises(QmpError, match=r"did not answer 'query-test' within 0\.1 s"):
        talk(tmp_path / "qmp", answer(b""), command_timeout_s=0.1)


@pytest.mark.parametrize(
    "greeting",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"[]\n",
        b"{}\n",
        b'{"QMP": 1}\n',
        b"\xff\xfe\x00\n",
        b"[" * 100_000 + b"\n",
    ],
)
def test_server_that_greets_otherwise_is_no_monitor(tmp_path: Path, greeting: bytes) -> None:
    """Junk instead of a greeting is named as such."""

    async def junk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greeting)
        await reader.read()

    with pytest.raises(QmpError, match="qmp does not speak QMP"):
        talk(tmp_path / "qmp", junk)


def test_line_without_end_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An endless line is read up to a limit and no further."""
    monkeypatch.setattr("vmio.qemu.qmp._MAX_MESSAGE_BYTES", 1 << 16)

    async def endless(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(b"x" * 4096)
            await writer.drain()

    with pytest.raises(QmpError, match="qmp does not speak QMP"):
        talk(tmp_path / "qmp", endless)


def test_monitor_that_hangs_up_at_once_is_named(tmp_path: Path) -> None:
    """A connection that is closed before a greeting is said to be."""

    async def close(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        pass

    with pytest.raises(QmpError, match=r"closed the connection before it greeted|broke off"):
        talk(tmp_path / "qmp", close)


@pytest.mark.parametrize(
    "reply",
    [b"junk\n", b'{"return":', b'{"id": "ID"}\n', b'{"error": 7, "id": "ID"}\n', b""],
)
def test_reply_that_is_none_is_named(tmp_path: Path, reply: bytes) -> None:
    """A broken reply, or half of one before the end, fails with the command's name."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await greet(reader, writer)
        request = await read_request(reader)
        writer.write(reply.replace(b"ID", request["id"].encode()))
        await writer.drain()

    with pytest.raises(QmpError, match=r"qmp failed during 'query-test': ."):
        talk(tmp_path / "qmp", handler)


def test_version_that_is_none_is_refused(tmp_path: Path) -> None:
    """A greeting with a strange version is named when the version is wanted."""
    greeting = GREETING.replace(b"10", b'"ten"')

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greeting)
        await read_request(reader)
        writer.write(b'{"return": {}}\n')
        await reader.read()

    with pytest.raises(QmpError, match="without a valid version"):
        talk(tmp_path / "qmp", handler)


def test_session_ends_though_the_monitor_does_not_read(tmp_path: Path) -> None:
    """Leaving a session does not wait for a peer that takes nothing."""

    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await greet(reader, writer)
        await asyncio.sleep(3600)  # a bare Event holds no task alive: it would be collected

    async def run() -> None:
        connecting = QmpConnection.connect(tmp_path / "qmp", timeout_s=20.0)
        async with serve(tmp_path / "qmp", deaf), connecting as connection:
            with pytest.raises(QmpError, match="did not answer 'big'"):
                await connection.execute("big", {"text": "x" * (8 << 20)}, timeout_s=0.1)

    asyncio.run(run())


def test_connection_knows_who_made_the_socket(tmp_path: Path) -> None:
    """The kernel tells the process on the other side."""

    async def run() -> int | None:
        connecting = QmpConnection.connect(tmp_path / "qmp")
        async with serve(tmp_path / "qmp", answer()), connecting as connection:
            return connection.peer_pid

    assert asyncio.run(run()) == os.getpid()


@pytest.mark.parametrize("value", [b'"\\ud800"', b"[" * 200 + b"]" * 200, b"9" * 30])
def test_reply_that_nobody_could_go_on_with_is_refused(tmp_path: Path, value: bytes) -> None:
    """Half of a surrogate pair, a nest without end, a number beyond 64 bits: no QEMU says that."""
    reply = b'{"return": [%s], "id": "ID"}\n' % value
    with pytest.raises(QmpError, match="answered 'query-test' as no QEMU does"):
        talk(tmp_path / "qmp", answer(reply))
