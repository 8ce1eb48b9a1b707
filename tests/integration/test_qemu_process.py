"""QEMU as a child: whatever ends its owner, no process and no folder is left."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from vmio.errors import CapabilityError, QmpError, ToolError
from vmio.model.capabilities import QemuVersion
from vmio.qemu.folder import open_runtime_folder
from vmio.qemu.process import QemuProcess
from vmio.qemu.qmp import QmpConnection

ARGV = (
    *("qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none"),
    *("-machine", "pc", "-accel", "tcg", "-m", "16", "-S"),
)

# What runs in a process of its own, so that it can be ended in every way there is. The child's
# pid goes to standard output as soon as its monitor answers.
OWNER = """
import asyncio, sys
from pathlib import Path
from vmio.qemu.folder import open_runtime_folder
from vmio.qemu.process import QemuProcess
from vmio.qemu.signals import run_async

async def main():
    with open_runtime_folder(Path(sys.argv[1])) as folder:
        argv = tuple(sys.argv[2:])
        async with QemuProcess.start(argv, qmp_socket=folder / "qmp") as guest:
            print(guest.pid, flush=True)
            await asyncio.Event().wait()

run_async(main())
"""


@pytest.fixture
def place() -> Iterator[Path]:
    """Gives a folder whose name is short enough for sockets in it."""
    with open_runtime_folder() as folder:
        yield folder


def start_owner(place: Path, argv: tuple[str, ...] = ARGV) -> tuple[subprocess.Popen[str], int]:
    """Starts an owner and waits until its QEMU runs."""
    owner = subprocess.Popen(
        (sys.executable, "-c", OWNER, str(place), *argv),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert owner.stdout is not None
    line = owner.stdout.readline()
    if not line:
        pytest.fail(owner.communicate()[1])
    return owner, int(line)


def wait_until_gone(pid: int) -> None:
    """Waits until a process that is not our child has ended."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    with os.fdopen(descriptor):
        select.select((descriptor,), (), ())


def is_running(pid: int) -> bool:
    """Returns whether a process is there and is more than a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def find_strays(place: Path) -> list[int]:
    """Returns the processes whose command line names the folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                words = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if os.fsencode(place) in words:
                found.append(int(entry.name))
    return found


def test_qemu_answers_and_ends_with_its_owner(place: Path) -> None:
    """A QEMU answers while it is owned, offers a second monitor, and is gone afterwards."""

    async def main() -> tuple[int, QemuVersion]:
        with open_runtime_folder(place) as folder:
            socket = folder / "qmp"
            async with QemuProcess.start(ARGV, qmp_socket=socket) as guest:
                assert guest.running
                status = await guest.qmp.execute("query-status")
                assert status["status"] == "prelaunch"
                await guest.qmp.cont()
                await guest.qmp.stop()
                assert (await guest.qmp.execute("query-status"))["status"] == "paused"
                async with QmpConnection.connect(socket) as second:
                    assert second.peer_pid == guest.pid == guest.qmp.peer_pid
                    assert ("type", "string") in await second.qom_list("/machine")
                    assert await second.qom_get("/machine", "graphics") is True
                return guest.pid, guest.qmp.version

    pid, version = asyncio.run(main())

    assert version >= QemuVersion(7, 2)
    assert not is_running(pid)
    assert list(place.iterdir()) == []


def test_qemu_ends_after_an_exception(place: Path) -> None:
    """An exception in the owner ends QEMU and comes out unchanged."""
    pids: list[int] = []

    async def main() -> None:
        async with QemuProcess.start(ARGV, qmp_socket=place / "qmp") as guest:
            pids.append(guest.pid)
            raise KeyError

    with pytest.raises(KeyError):
        asyncio.run(main())
    assert not is_running(pids[0])


def test_qemu_ends_after_a_cancellation() -> None:
    """Cancelling the task, which is what Ctrl-C does, ends QEMU."""
    pids: list[int] = []

    async def own(begun: asyncio.Event) -> None:
        async with QemuProcess.start(ARGV) as guest:
            pids.append(guest.pid)
            begun.set()
            await asyncio.Event().wait()

    async def main() -> None:
        begun = asyncio.Event()
        task = asyncio.create_task(own(begun))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert not is_running(pids[0])


def list_children() -> list[str]:
    """Returns the processes that this one has; other tests keep some."""
    return Path(f"/proc/self/task/{os.getpid()}/children").read_text(encoding="ascii").split()


def test_qemu_ends_when_cancelled_during_its_start() -> None:
    """A cancellation before the monitor has answered leaves nothing either."""

    async def own() -> None:
        async with QemuProcess.start(ARGV):
            await asyncio.Event().wait()

    async def main() -> None:
        task = asyncio.create_task(own())
        await asyncio.sleep(0)  # the child has been started, and nothing has been read from it
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    before = list_children()
    asyncio.run(main())
    assert list_children() == before


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, -2)]
)
def test_qemu_ends_after_a_signal(place: Path, number: signal.Signals, status: int) -> None:
    """SIGTERM, a hang-up and Ctrl-C end QEMU, remove the folder, and show in the status."""
    owner, pid = start_owner(place)
    owner.send_signal(number)
    owner.communicate()

    # Python ends itself by SIGINT after a KeyboardInterrupt, as a shell expects.
    assert owner.returncode == status
    assert not is_running(pid)
    assert find_strays(place) == []
    assert list(place.iterdir()) == []


def test_qemu_ends_after_its_owner_was_killed(place: Path) -> None:
    """After a kill -9 no QEMU is left; its folder is, until the next start removes it."""
    owner, pid = start_owner(place)
    owner.kill()
    owner.communicate()
    wait_until_gone(pid)

    assert find_strays(place) == []
    (left,) = place.iterdir()
    with open_runtime_folder(place) as folder:
        assert list(place.iterdir()) == [folder]
        assert left != folder


def test_stopped_qemu_is_ended(place: Path) -> None:
    """A QEMU that answers nothing any more is killed."""

    async def main() -> int:
        async with QemuProcess.start(ARGV, qmp_socket=place / "qmp") as guest:
            os.kill(guest.pid, signal.SIGSTOP)
            return guest.pid

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vmio.qemu.process._QUIT_TIMEOUT_S", 0.1)
        patch.setattr("vmio.qemu.process._TERM_TIMEOUT_S", 0.1)
        pid = asyncio.run(main())
    assert not is_running(pid)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("-device", "zz"), "QEMU refused to start: -device zz: 'zz' is not a valid device"),
        (("-drive", "file=/nowhere/x,if=none"), "QEMU refused to start: .*Could not open"),
        (("-nonsense",), "QEMU refused to start: -nonsense: invalid option"),
    ],
)
def test_qemu_that_refuses_is_quoted(words: tuple[str, ...], message: str) -> None:
    """The error is QEMU's own last line, with the command line and the status beside it."""

    async def main() -> None:
        async with QemuProcess.start((*ARGV, *words)):
            pass

    with pytest.raises(ToolError, match=message) as caught:
        asyncio.run(main())
    assert caught.value.argv == (*ARGV, *words)
    assert caught.value.status == 1


def test_qemu_that_dies_later_is_quoted() -> None:
    """A QEMU that is killed in the middle is the error, not the silence of its monitor."""

    async def main() -> None:
        async with QemuProcess.start(ARGV) as guest:
            os.kill(guest.pid, signal.SIGSEGV)
            await guest.qmp.execute("query-status")

    with pytest.raises(
        ToolError, match="QEMU ended too early: it was killed by SIGSEGV"
    ) as caught:
        asyncio.run(main())
    assert caught.value.status == -signal.SIGSEGV


def test_qemu_that_ends_by_itself_has_a_status() -> None:
    """A guest that powers off ends QEMU, which can be waited for."""

    async def main() -> int:
        async with QemuProcess.start(ARGV) as guest:
            await guest.qmp.execute("quit")
            return await guest.wait()

    assert asyncio.run(main()) == 0


def test_program_that_is_no_qemu_is_named(tmp_path: Path) -> None:
    """A program that ends at once, says nothing, or is not there is an error in one line."""

    async def main(binary: str) -> None:
        async with QemuProcess.start((binary,), timeout_s=0.2):
            pass

    with pytest.raises(CapabilityError, match="does not exist"):
        asyncio.run(main(str(tmp_path / "nowhere")))
    with pytest.raises(ToolError, match="ended with status 1 without a message"):
        asyncio.run(main("false"))
    silent = tmp_path / "silent"
    silent.write_text("#!/bin/sh\nexec sleep 1000\n")
    silent.chmod(0o755)
    with pytest.raises(QmpError, match=r"QEMU's monitor .* did not answer within 0\.2 s"):
        asyncio.run(main(str(silent)))
    assert find_strays(tmp_path) == []


def test_monitor_in_use_is_explained(place: Path) -> None:
    """A second client of one monitor is told that there may be a first."""

    async def main() -> None:
        socket = place / "qmp"
        async with (
            QemuProcess.start(ARGV, qmp_socket=socket),
            QmpConnection.connect(socket),
            QmpConnection.connect(socket, timeout_s=0.2),
        ):
            pass

    with pytest.raises(QmpError, match=r"qmp accepts connections but did not answer") as caught:
        asyncio.run(main())
    assert "one client at a time" in caught.value.hint
