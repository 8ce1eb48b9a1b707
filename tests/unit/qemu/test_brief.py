"""Short conversations with a monitor that others use too, and what is no monitor."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from vmio.errors import QmpError
from vmio.qemu import sockets
from vmio.qemu.brief import BriefMonitor, HeldMonitorError, SilentMonitorError
from vmio.qemu.qmp import CommandRefusedError
from vmio.qemu.questions import Question
from vmio.qemu.sockets import count_clients

PID = os.getpid()
GREETING = b'{"QMP": {"version": {}, "capabilities": []}}\r\n'
QUESTIONS = [Question(command="a"), Question(command="b", arguments={"x": 1})]
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture(autouse=True)
def _look_afresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel's list is not kept for a moment, as it is for the guests of a host."""
    monkeypatch.setattr(sockets, "_FRESH_S", -1.0)


@asynccontextmanager
async def serving(path: Path, serve: Serve) -> AsyncIterator[list[int]]:
    """Serves a socket; the list has an entry for each client that came."""
    came: list[int] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.append(len(came))
        try:
            await serve(reader, writer)
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_unix_server(answer, path, limit=1 << 20)
    try:
        yield came
    finally:
        server.close()


async def serve_qmp(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers each command with its name and arguments, with an event before it."""
    writer.write(GREETING)
    while line := await reader.readline():
        asked = json.loads(line)
        answer: dict[str, Any] = {"return": [asked["execute"], asked.get("arguments")]}
        if asked["execute"] == "refused":
            answer = {"error": {"class": "GenericError", "desc": "no\nsuch thing"}}
        event = {"timestamp": {"seconds": 1}, "event": "STOP"}
        for each in (event, answer | {"id": asked["id"]}):
            writer.write(json.dumps(each).encode() + b"\r\n")


def ask(
    path: Path, serve: Serve, questions: list[Question], conversation_s: float = 5.0
) -> tuple[Any, ...]:
    """Has one conversation."""

    async def main() -> tuple[Any, ...]:
        async with serving(path, serve):
            monitor = BriefMonitor(path, pid=PID, conversation_s=conversation_s)
            return await monitor.execute_all(questions)

    return asyncio.run(main())


def count_sockets() -> int:
    """Returns how many sockets this process has open."""
    found = 0
    for each in Path("/proc/self/fd").iterdir():
        try:
            found += str(each.readlink()).startswith("socket:")
        except OSError:
            continue
    return found


def test_each_question_has_its_answer(tmp_path: Path) -> None:
    """Whatever events come in between; a refusal is one of them."""
    questions = [*QUESTIONS, Question(command="refused")]
    first, second, third = ask(tmp_path / "q", serve_qmp, questions)
    assert (first, second) == (["a", None], ["b", {"x": 1}])
    assert isinstance(third, CommandRefusedError)
    assert third.message == f"{tmp_path}/q refused 'refused': no"
    assert third.error_class == "GenericError"


def test_nothing_stays_connected_unless_it_is_kept(tmp_path: Path) -> None:
    """The next client is served at once; a kept connection is used again."""

    async def main(*, keep: bool) -> tuple[int, int | None]:
        async with serving(tmp_path / f"q{keep}", serve_qmp) as came:
            monitor = BriefMonitor(tmp_path / f"q{keep}", pid=PID, keep=keep)
            for _ in range(3):
                assert len(await monitor.execute_all(QUESTIONS)) == 2
            clients = count_clients(PID, tmp_path / f"q{keep}")
            assert monitor.peer_pid == PID
            monitor.close()
            return len(came), clients

    before = count_sockets()
    assert asyncio.run(main(keep=False))[0] == 3
    assert asyncio.run(main(keep=True)) == (1, 1)
    assert count_sockets() == before


def test_questions_of_a_conversation_go_over_one_connection(tmp_path: Path) -> None:
    """It is closed afterwards, whatever the body did; then there is another one."""

    async def main() -> int:
        async with serving(tmp_path / "q", serve_qmp) as came:
            monitor = BriefMonitor(tmp_path / "q", pid=PID)
            for _ in range(2):
                with suppress(LookupError):
                    async with monitor.conversation():
                        await monitor.execute_all(QUESTIONS)
                        await monitor.execute_all(QUESTIONS)
                        raise LookupError
            return len(came)

    before = count_sockets()
    assert asyncio.run(main()) == 2
    assert count_sockets() == before


def test_conversation_has_one_limit_of_time(tmp_path: Path) -> None:
    """However many questions it has."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(GREETING)
        number = 0
        while await reader.readline():
            writer.write(b'{"return": {}, "id": 0}\r\n')
            number += 1
            if number > 1:
                await asyncio.sleep(0.05)

    async def main() -> int:
        done = 0
        async with serving(tmp_path / "q", serve):
            monitor = BriefMonitor(tmp_path / "q", pid=PID, conversation_s=0.2)
            with suppress(SilentMonitorError):
                async with monitor.conversation():
                    for _ in range(100):
                        await monitor.execute_all(QUESTIONS[:1])
                        done += 1
            return done

    assert 0 < asyncio.run(main()) < 100


def test_monitor_that_somebody_holds_is_not_touched(tmp_path: Path) -> None:
    """It is told from the kernel's list, and no connection is tried."""

    async def main() -> int:
        async with serving(tmp_path / "q", serve_qmp) as came:
            with socket.socket(socket.AF_UNIX) as holder:
                holder.connect(str(tmp_path / "q"))
                with pytest.raises(HeldMonitorError, match="is held by another client"):
                    await BriefMonitor(tmp_path / "q", pid=PID).execute_all(QUESTIONS)
            return len(came)

    assert asyncio.run(main()) <= 1


def test_monitor_that_serves_nobody_is_left_soon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its queue of connections is that of a stopped QEMU; when it is full there is no waiting."""
    path = tmp_path / "q"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(0)
        monitor = BriefMonitor(path, pid=PID, greeting_s=0.05)
        before = count_sockets()
        with pytest.raises(SilentMonitorError, match="does not greet"):
            asyncio.run(monitor.execute_all(QUESTIONS))
        assert count_sockets() == before
        # The connection that was given up still waits to be accepted: there is not to be another.
        with pytest.raises(SilentMonitorError, match="has not served"):
            asyncio.run(monitor.execute_all(QUESTIONS))
        monkeypatch.setattr("vmio.qemu.brief.count_clients", lambda *_, **__: 0)
        with pytest.raises(HeldMonitorError, match="is held by other clients"):
            asyncio.run(monitor.execute_all(QUESTIONS))


@pytest.mark.parametrize("lines", [0, 1])
def test_monitor_that_falls_silent_is_left(tmp_path: Path, lines: int) -> None:
    """Whether it has answered something or nothing."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(GREETING)
        for _ in range(lines):
            await reader.readline()
            writer.write(b'{"return": {}, "id": 0}\r\n')
        await reader.read()

    with pytest.raises(SilentMonitorError, match=r"did not answer within 0\.1 s"):
        ask(tmp_path / "q", serve, QUESTIONS, conversation_s=0.1)


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"SSH-2.0-x\r\n",
        b"[]\n",
        b'{"QMP": 5}\n',
        b"[" * 10_000 + b"\n",
        GREETING + b"x\n",
        GREETING + b'{"return": {}, "id": 7}\n',
        GREETING + b'{"return": {}, "id": 0}\n{"return": 1}\n{"return": 2, "id": 1}\n',
        GREETING + b'{"return": {}, "id": 0}\n{"error": 5, "id": 0}\n{"return": 2, "id": 1}\n',
        GREETING + b'{"return": {}, "id": 0}\n{"return": "\\ud800", "id": 0}\n{"return": 2}\n',
        GREETING + b'{"return": {}, "id": 0}\n{"return": 1' + b"0" * 40 + b', "id": 0}\n{}\n',
        GREETING + b'{"event": "x"}\n' * 1_000,
    ],
)
def test_peer_that_is_no_monitor_is_refused(tmp_path: Path, said: bytes) -> None:
    """In one line that names the socket."""

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(said)
        await writer.drain()

    before = count_sockets()
    with pytest.raises(QmpError) as caught:
        ask(tmp_path / "q", serve, QUESTIONS)
    assert caught.value.message.startswith(f"{tmp_path}/q ")
    assert "\n" not in caught.value.message
    assert count_sockets() == before


def test_peer_that_does_not_end_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither in one line, nor in any number of events."""
    monkeypatch.setattr("vmio.qemu.brief._MAX_BYTES", 1 << 16)
    for chunk in (b"x" * 4096, b'{"event": "x"}\n' * 256):

        async def serve(
            _: asyncio.StreamReader, writer: asyncio.StreamWriter, chunk: bytes = chunk
        ) -> None:
            writer.write(GREETING)
            while True:
                writer.write(chunk)
                await writer.drain()

        with pytest.raises(QmpError, match="answers with more than"):
            ask(tmp_path / "q", serve, QUESTIONS)
        (tmp_path / "q").unlink()


def test_socket_that_is_none_is_refused(tmp_path: Path) -> None:
    """Nothing there, nobody listening, and no socket."""
    (tmp_path / "file").touch()
    with socket.socket(socket.AF_UNIX) as gone:
        gone.bind(str(tmp_path / "gone"))
    for name in ("none", "gone", "file"):
        with pytest.raises(QmpError, match=f"cannot connect to {tmp_path}/{name}: "):
            asyncio.run(BriefMonitor(tmp_path / name, pid=PID).execute_all(QUESTIONS))
