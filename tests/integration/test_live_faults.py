"""Guests that are watched end, stop, fall silent or are exchanged: nothing hangs or is mixed up.

The time limits here are against hanging; what a monitor may take is `vmio.qemu.brief`'s.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    suppress,
)
from functools import wraps
from pathlib import Path

import pytest

from vmio.errors import QmpError, ToolError
from vmio.observe.readings import HostTracker, Look, Reading
from vmio.observe.sample import Sample
from vmio.observe.sampler import GuestSampler
from vmio.observe.watching import HostWatcher, WatchOptions, watch_host
from vmio.qemu.folder import open_runtime_folder
from vmio.qemu.process import QemuProcess
from vmio.qemu.sockets import count_clients

DISK = (
    *("-blockdev", "driver=null-co,node-name=n0,read-zeroes=on"),
    *("-device", "virtio-scsi-pci,id=s0,iothread=io0"),
    *("-device", "scsi-hd,bus=s0.0,drive=n0,id=sd0"),
)
BARE = (
    *("qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-S"),
    *("-machine", "pc", "-accel", "tcg", "-m", "16", "-object", "iothread,id=io0"),
)
GREETING = b'{"QMP": {"version": {"qemu": {"major": 10, "minor": 0, "micro": 2}}}}\r\n'
STATS = [
    {
        "device": "",
        "qdev": "/machine/peripheral/sd0/virtio-backend",
        "node-name": "n0",
        "stats": {"rd_operations": 0},
    }
]
OPTIONS = WatchOptions(search_s=0.0)
COUNTING = WatchOptions(search_s=0.0, latencies=True)
MANY = 200
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def in_event_loop(test: Callable[..., Coroutine[None, None, None]]) -> Callable[..., None]:
    """Returns a test that runs a coroutine, and leaves no socket of this process open."""

    @wraps(test)
    def run(**fixtures: object) -> None:
        before = list_sockets()
        asyncio.run(asyncio.wait_for(test(**fixtures), 120))
        assert list_sockets() == before

    return run


def list_sockets() -> list[str]:
    """Returns the sockets that this process has open."""
    found = []
    for each in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            found.append(str(each.readlink()))
    return sorted(each for each in found if each.startswith("socket:"))


@asynccontextmanager
async def started(path: Path, *more: str, name: str = "") -> AsyncIterator[QemuProcess]:
    """Starts a guest whose monitor others may use; a test may kill it."""
    async with AsyncExitStack() as stack:
        guest = await stack.enter_async_context(
            QemuProcess.start((*BARE, *DISK, *more, "-name", name or path.name), qmp_socket=path)
        )
        try:
            yield guest
        finally:
            with suppress(QmpError, ToolError):
                await stack.aclose()


def watch(
    *names: str, options: WatchOptions = OPTIONS
) -> AbstractAsyncContextManager[HostWatcher]:
    """Watches the guests of these names."""
    return watch_host(options, matches=lambda each: each.name in names)


def list_states(look: Look) -> dict[str, str]:
    """Returns what became of the monitor of each guest of a look, by name."""
    return {
        each.guest.name: each.sample.monitor if each.sample is not None else each.problem
        for each in look.observations
    }


async def wait_for(watcher: HostWatcher, expected: dict[str, str]) -> Look:
    """Returns the first look that has these guests with these states of their monitors."""
    while True:
        look = await watcher.look()
        if list_states(look) == expected:
            return look
        await asyncio.sleep(0.05)


def list_disks(reading: Reading) -> list[str]:
    """Returns the disks that a reading has figures of."""
    return [] if reading.rates is None else [each.id for each in reading.rates.disks]


async def list_bounds(guest: QemuProcess) -> list[list[int]]:
    """Returns the bounds of the histograms that a guest keeps of reads."""
    stats = [each["stats"] for each in await guest.qmp.execute("query-blockstats")]
    return [
        each["rd_latency_histogram"]["boundaries"]
        for each in stats
        if "rd_latency_histogram" in each
    ]


@in_event_loop
async def test_guests_that_are_killed_while_they_are_looked_at_are_left_out() -> None:
    """At whatever point of the look; those that go on are in it."""
    with open_runtime_folder() as folder:
        async with AsyncExitStack() as stack:
            names = [f"k{number}" for number in range(8)]
            guests = [await stack.enter_async_context(started(folder / each)) for each in names]
            tracker = HostTracker()
            async with watch(*names, options=COUNTING) as watcher:
                assert len(tracker.add(await watcher.look())) == 8
                for number, guest in enumerate(guests[:-1]):
                    looking = asyncio.create_task(watcher.look())
                    await asyncio.sleep(0.002 * number)
                    os.kill(guest.pid, signal.SIGKILL)
                    readings = tracker.add(await looking)
                    left = names[number + 1 :]
                    assert {each.guest.name for each in readings} - {names[number]} == {*left}
                await wait_for(watcher, {"k7": "answered"})
            assert await list_bounds(guests[-1]) == []


@in_event_loop
async def test_guest_that_stops_between_looks_keeps_its_figures_apart() -> None:
    """It is told as silent, holds nothing up, and its next figures are its own."""
    with open_runtime_folder() as folder:
        async with started(folder / "s0") as stops, started(folder / "s1"):
            tracker = HostTracker()
            async with watch("s0", "s1", options=COUNTING) as watcher:
                tracker.add(await watcher.look())
                os.kill(stops.pid, signal.SIGSTOP)
                try:
                    look = await wait_for(watcher, {"s0": "silent", "s1": "answered"})
                    stopped, runs = tracker.add(look)
                    assert (list_disks(stopped), list_disks(runs)) == ([], ["sd0"])
                    assert stopped.rates is not None
                    assert {each.name for each in stopped.rates.threads} >= {"main loop"}
                finally:
                    os.kill(stops.pid, signal.SIGCONT)
                look = await wait_for(watcher, {"s0": "answered", "s1": "answered"})
                assert [list_disks(each) for each in tracker.add(look)] == [["sd0"], ["sd0"]]


@in_event_loop
async def test_watcher_of_a_guest_that_is_stopped_ends() -> None:
    """Its histograms cannot be removed, and nobody waits for that for long."""
    with open_runtime_folder() as folder:
        async with started(folder / "left") as guest:
            async with asyncio.timeout(60), AsyncExitStack() as stack:
                watcher = await stack.enter_async_context(watch("left", options=COUNTING))
                await watcher.look()
                os.kill(guest.pid, signal.SIGSTOP)
                stack.push_async_callback(asyncio.sleep, 0)
            os.kill(guest.pid, signal.SIGCONT)


@in_event_loop
async def test_socket_that_never_answers_delays_no_other_guest(tmp_path: Path) -> None:
    """Nor does it fill up with connections of ours, which would shut its manager out."""
    path = tmp_path / "mute"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(1)
        async with imitated("mute", "-qmp", f"unix:{path},server=on,wait=off"):
            with open_runtime_folder() as folder:
                async with started(folder / "talks"), watch("mute", "talks") as watcher:
                    for _ in range(5):
                        await wait_for(watcher, {"mute": "silent", "talks": "answered"})
        assert (count_clients(os.getpid(), path, fresh=True) or 0) <= 1


@in_event_loop
async def test_monitor_that_falls_silent_while_latencies_are_set_takes_no_longer(
    tmp_path: Path,
) -> None:
    """What was begun is not undone before the look is over, at a monitor that does not answer."""
    path = tmp_path / "mute"
    greetings = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal greetings
        greetings += 1
        writer.write(GREETING)
        async for line in reader:
            match json.loads(line):
                case {"execute": "qmp_capabilities"}:
                    writer.write(b'{"return": {}}\r\n')
                case {"execute": "query-blockstats", "id": number}:
                    writer.write(json.dumps({"id": number, "return": STATS}).encode() + b"\r\n")
                case _:
                    pass
        writer.close()

    async with (
        await asyncio.start_unix_server(serve, path),
        imitated("mute", "-qmp", f"unix:{path},server=on,wait=off"),
        watch("mute", options=COUNTING) as watcher,
    ):
        await wait_for(watcher, {"mute": "silent"})
        # One to have latencies counted, and one for the sample.
        assert greetings == 2
        greetings = 0
        look = await watcher.look(limit_s=0.01)
        assert greetings <= 1
        assert list_states(look) == {"mute": "not read within 0.01 s"}


@in_event_loop
async def test_guest_that_vmio_fails_at_hides_no_other_guest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever one guest answers, the others are read."""
    take = GuestSampler.take

    async def fail(self: GuestSampler) -> Sample | None:
        taken = await take(self)
        if self._pid == forged.pid:
            raise KeyError("x")
        return taken

    with open_runtime_folder() as folder:
        async with (
            started(folder / "forged") as forged,
            started(folder / "other"),
            watch("forged", "other") as watcher,
        ):
            await wait_for(watcher, {"forged": "answered", "other": "answered"})
            monkeypatch.setattr(GuestSampler, "take", fail)
            told = "not read, a bug in vmio: KeyError: 'x'"
            await wait_for(watcher, {"forged": told, "other": "answered"})
            monkeypatch.undo()
            await wait_for(watcher, {"forged": "answered", "other": "answered"})


@in_event_loop
async def test_monitor_that_another_client_holds_is_left_to_it() -> None:
    """And asked again when it is free; rates then reach back to the last answer."""
    with open_runtime_folder() as folder:
        path = folder / "held"
        async with started(path) as guest:
            tracker = HostTracker()
            async with watch("held") as watcher:
                tracker.add(await watcher.look())
                with socket.socket(socket.AF_UNIX) as manager:
                    manager.connect(str(path))
                    assert b"QMP" in manager.recv(4096)
                    while count_clients(guest.pid, path, fresh=True) != 1:
                        pass  # that of the last look is closed, and QEMU has not noticed yet
                    look = await wait_for(watcher, {"held": "held by another"})
                    (reading,) = tracker.add(look)
                    assert list_disks(reading) == []
                    assert count_clients(guest.pid, path, fresh=True) == 1
                look = await wait_for(watcher, {"held": "answered"})
                (reading,) = tracker.add(look)
                assert list_disks(reading) == ["sd0"]
                assert reading.rates is not None
                assert (reading.rates.disks_duration_s or 0) > reading.rates.duration_s


@in_event_loop
async def test_another_qemu_on_the_same_socket_is_another_guest() -> None:
    """The first one's disks are not taken from it, and its own begin without figures."""
    with open_runtime_folder() as folder:
        path = folder / "same"
        async with AsyncExitStack() as stack:
            first = await stack.enter_async_context(started(path, name="first"))
            tracker = HostTracker()
            async with watch("first", "second") as watcher:
                tracker.add(await wait_for(watcher, {"first": "answered"}))
                path.unlink()
                await stack.enter_async_context(started(path, name="second"))
                states = {"first": "failed", "second": "answered"}
                readings = tracker.add(await wait_for(watcher, states))
                found = {each.guest.name: each for each in readings}
                sample = found["first"].observation.sample
                assert sample is not None
                assert sample.disks == ()
                assert list_disks(found["first"]) == []
                assert found["second"].rates is None
                os.kill(first.pid, signal.SIGKILL)
                (reading,) = tracker.add(await wait_for(watcher, {"second": "answered"}))
                assert (reading.guest.name, list_disks(reading)) == ("second", ["sd0"])


@in_event_loop
async def test_counters_that_fall_give_no_rates() -> None:
    """A disk that was plugged again under its old id counts from nothing."""
    with open_runtime_folder() as folder:
        async with started(folder / "falls", "-blockdev", "driver=null-co,node-name=n1") as guest:

            async def read_some(count: int) -> None:
                for _ in range(count):
                    line = 'qemu-io -d sd0 "aio_read -q 0 4k"'
                    arguments = {"command-line": line}
                    await guest.qmp.execute("human-monitor-command", arguments)

            async def read_rates() -> tuple[int | None, float | None]:
                (reading,) = tracker.add(await watcher.look())
                assert reading.rates is not None
                (disk,) = reading.rates.disks
                return disk.reads.count, disk.reads.operations_per_s

            tracker = HostTracker()
            async with watch("falls") as watcher:
                await read_some(1)
                tracker.add(await watcher.look())
                await read_some(5)
                count, per_s = await read_rates()
                assert (count, per_s is not None) == (5, True)
                await guest.qmp.execute("device_del", {"id": "sd0"})
                device = {"driver": "scsi-hd", "bus": "s0.0", "drive": "n1", "id": "sd0"}
                await guest.qmp.execute("device_add", device)
                await read_some(2)
                assert await read_rates() == (None, None)
                await read_some(3)
                assert (await read_rates())[0] == 3


@asynccontextmanager
async def imitated(name: str, *words: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Runs a shell under QEMU's name with words of its command line, which is quick to start."""
    with open_runtime_folder() as folder:
        shell = folder / "qemu-system-x86_64"
        shutil.copy(shutil.which("bash") or "", shell)
        process = await start_imitation(shell, name, *words)
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()


async def start_imitation(shell: Path, name: str, *words: str) -> asyncio.subprocess.Process:
    """Starts a shell that waits for commands on a pipe that brings none."""
    process = await asyncio.create_subprocess_exec(
        *(str(shell), "-s", "--", "-name", name, *words), stdin=subprocess.PIPE
    )
    while not Path(f"/proc/{process.pid}/cmdline").read_bytes():  # noqa: ASYNC240
        pass  # the kernel shows it somewhat later than the program begins
    return process


@in_event_loop
async def test_two_hundred_guests_come_and_go_and_each_is_itself() -> None:
    """Every figure is of the process that has the name; nothing stays open for those that went."""
    with open_runtime_folder() as folder:
        shell = folder / "qemu-system-x86_64"
        shutil.copy(shutil.which("bash") or "", shell)
        running: dict[str, asyncio.subprocess.Process] = {}
        prefix = f"many-{os.getpid()}-"
        tracker = HostTracker()
        seen: Counter[str] = Counter()
        async with watch_host(
            OPTIONS, matches=lambda each: each.name.startswith(prefix)
        ) as watcher:
            await watcher.look()
            before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - only their number
            try:
                for number in range(MANY):
                    name = f"{prefix}{number}"
                    running[name] = await start_imitation(shell, name)
                    if number % 10 == 9:
                        looking = asyncio.create_task(watcher.look())
                        await asyncio.sleep(0)  # it has found them all by then
                        for gone in list(running)[: len(running) // 2]:
                            running[gone].kill()
                            await running.pop(gone).wait()
                        readings = tracker.add(await looking)
                        for each in readings:
                            pid = each.guest.process.pid
                            seen[each.guest.name] += 1
                            assert each.guest.name not in running or (
                                running[each.guest.name].pid == pid
                            )
                            assert (each.rates is not None) == (seen[each.guest.name] > 1)
                        names = {each.guest.name for each in readings}
                        assert {*running} <= names
            finally:
                for process in running.values():
                    process.kill()
                    await process.wait()
            assert tracker.add(await watcher.look()) == ()
            assert len(os.listdir("/proc/self/fd")) <= before  # noqa: PTH208
        # One that was killed while it was looked at for the first time was never seen.
        assert len(seen) > MANY // 2
        assert max(seen.values()) > 1


REUSED = """
import asyncio, json, os, pathlib, subprocess, sys
sys.path.insert(0, sys.argv[1])
from test_live_faults import BARE, DISK, HostTracker, OPTIONS, list_disks, watch_host

async def main():
    tracker, told = HostTracker(), []
    async with watch_host(OPTIONS) as watcher:
        pid = None
        for name in ("first", "second"):
            if pid is not None:
                pathlib.Path("/proc/sys/kernel/ns_last_pid").write_text(str(pid - 1))
            path = f"{sys.argv[2]}/{name}"
            words = (*BARE, *DISK, "-name", name, "-qmp", f"unix:{path},server=on,wait=off")
            qemu = subprocess.Popen(words)  # which starts no thread that would take the number
            while not os.path.exists(path):
                await asyncio.sleep(0.01)
            (reading,) = tracker.add(await watcher.look())
            if name == "second":  # the first look since the first one ended
                told.append([reading.guest.name, qemu.pid == pid, reading.rates is None])
            else:
                while not list_disks(reading):
                    (reading,) = tracker.add(await watcher.look())
                told.append([reading.guest.name, list_disks(reading)])
            pid = qemu.pid
            qemu.kill()
            qemu.wait()
    print(json.dumps(told))

asyncio.run(main())
"""


@needs_root
def test_process_with_a_reused_number_is_another_guest(tmp_path: Path) -> None:
    """In a PID namespace, where the next number can be chosen."""
    words = [sys.executable, "-c", REUSED, str(Path(__file__).parent), str(tmp_path)]
    done = subprocess.run(
        ["unshare", "-pfm", "--kill-child", "--mount-proc", *words],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    assert json.loads(done.stdout) == [["first", ["sd0"]], ["second", True, True]]


HIDDEN = """
import asyncio, os, subprocess, sys
from vmio.observe.watching import WatchOptions, watch_host

async def main():
    async with watch_host(WatchOptions(search_s=0.0)) as watcher:
        while not (seen := (await watcher.look()).observations):
            pass
        os.setgroups([]), os.setgid(65534), os.setuid(65534)
        look = await watcher.look()
        print(len(seen), len(look.observations), look.unseen)

subprocess.run(["mount", "-t", "proc", "-o", "hidepid=2", "proc", "/proc"], check=True)
qemu = subprocess.Popen([*sys.argv[1:]])
asyncio.run(main())
"""


@needs_root
def test_guests_that_the_host_hides_are_said_to_be_hidden() -> None:
    """With a /proc of its own that hides other users' processes."""
    words = [sys.executable, "-c", HIDDEN, *BARE]
    done = subprocess.run(
        ["unshare", "-pfm", "--kill-child", "--mount-proc", *words],
        capture_output=True,
        text=True,
        check=False,
    )
    said = "('/proc hides the processes of other users; root sees all guests',)"
    assert done.stdout == f"1 0 {said}\n", done.stderr


WATCHING = """
import asyncio, sys
from vmio.observe.watching import WatchOptions, watch_host

async def main():
    options = WatchOptions(search_s=0.0, latencies=True)
    async with watch_host(options, matches=lambda each: each.name == sys.argv[1]) as watcher:
        while True:
            look = await watcher.look()
            if any(d.reads.histogram for each in look.observations for d in each.sample.disks):
                print("counted", flush=True)

asyncio.run(main())
"""


@asynccontextmanager
async def watching(name: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Runs a process that has a guest's latencies counted, from when they are."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", WATCHING, name),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"counted\n"
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


@in_event_loop
async def test_watcher_that_is_interrupted_leaves_no_histogram() -> None:
    """Ctrl-C ends the body of `watch_host` like any other error."""
    with open_runtime_folder() as folder:
        async with started(folder / "ctrl-c") as guest, watching("ctrl-c") as process:
            assert len(await list_bounds(guest)) == 1
            process.send_signal(signal.SIGINT)
            await process.communicate()
            assert await list_bounds(guest) == []


@in_event_loop
async def test_histograms_of_a_killed_watcher_are_removed_by_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that somebody has set since are not its, and neither are those of one that lives."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    notes = tmp_path / "vmio" / "histograms"
    with open_runtime_folder() as folder:
        async with started(folder / "killed") as guest:
            async with watching("killed"):
                async with watch("killed") as watcher:
                    await watcher.look()
                assert len(await list_bounds(guest)) == 1
            assert len(await list_bounds(guest)) == len([*notes.iterdir()]) == 1
            while [*notes.iterdir()]:  # another try where its monitor does not answer in time
                async with watch("killed") as watcher:
                    await watcher.look()
            assert await list_bounds(guest) == []

            async with watching("killed"):
                pass
            theirs = {"id": "sd0", "boundaries": [1000, 2000]}
            await guest.qmp.execute("block-latency-histogram-set", theirs)
            while [*notes.iterdir()]:
                async with watch("killed") as watcher:
                    await watcher.look()
            assert await list_bounds(guest) == [[1000, 2000]]
