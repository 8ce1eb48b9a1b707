"""The autopilot on real guests: it saves where polling is in vain, and leaves nothing behind.

Whether a change pays is decided on intervals that other programs of the host disturb, so that the
bounds here are wide; `bench/autopilot.py` measures what it comes to.
"""

from __future__ import annotations

import asyncio
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from pathlib import Path

import pytest

from vmio.app.autopilot import list_steered, restore_polling, steer_guests
from vmio.app.ps import list_running
from vmio.autopilot.pilot import AutopilotEvent
from vmio.autopilot.values import PollingGoal
from vmio.errors import ConflictError, QmpError, ToolError
from vmio.managers.live_records import GuestRecord, OwnValue, open_record
from vmio.qemu.folder import open_runtime_folder
from vmio.qemu.process import QemuProcess
from vmio.testing.loaded_guest import Loaded, boot_loaded

OWN_NS = 1_000_000
DISK = "driver=null-co,read-zeroes=on,latency-ns=100000"
LOW_NS = 131_072
WIDE = PollingGoal(floor_ns=LOW_NS, ceiling_ns=LOW_NS, tolerance=1.0, most_run_delay=1.0)
"""One trial is enough, and a busy host does not keep it from being made."""
BARE = (
    *("qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-S"),
    *("-machine", "pc", "-accel", "tcg", "-m", "16"),
    *("-object", f"iothread,id=io0,poll-max-ns={OWN_NS}"),
    *("-object", f"iothread,id=io1,poll-max-ns={OWN_NS}"),
    *("-blockdev", "driver=null-co,node-name=n0,read-zeroes=on"),
    *("-device", "virtio-blk-pci,drive=n0,iothread=io0,id=vd0"),
)
MOST_S = 120
UNIT = Path(__file__).parents[2] / "contrib" / "systemd" / "vmio-autopilot.service"


async def read_poll(process: QemuProcess, iothread: str = "io0") -> int:
    """Returns what is in force."""
    found: int = await process.qmp.qom_get(f"/objects/{iothread}", "poll-max-ns")
    return found


async def set_poll(process: QemuProcess, poll_max_ns: int, iothread: str = "io0") -> None:
    """Sets it as a person would."""
    await process.qmp.execute(
        "qom-set",
        {"path": f"/objects/{iothread}", "property": "poll-max-ns", "value": poll_max_ns},
    )


@asynccontextmanager
async def started() -> AsyncIterator[QemuProcess]:
    """Starts a guest without a load, whose monitor others may use; a test may kill it."""
    with open_runtime_folder() as folder:
        async with AsyncExitStack() as stack:
            guest = await stack.enter_async_context(
                QemuProcess.start(BARE, qmp_socket=folder / "qmp")
            )
            try:
                yield guest
            finally:
                with suppress(QmpError, ToolError):
                    await stack.aclose()


@asynccontextmanager
async def trickling() -> AsyncIterator[Loaded]:
    """Boots a guest that polls in vain, for 200 requests per second."""
    async with boot_loaded(DISK) as loaded:
        await set_poll(loaded.process, OWN_NS)
        load = asyncio.create_task(
            loaded.run_fio(
                loaded.devices[0], "--iodepth=1", "--rate_iops=200", f"--runtime={MOST_S}s"
            )
        )
        try:
            yield loaded
        finally:
            load.cancel()
            with suppress(asyncio.CancelledError):
                await load


class Watcher:
    """Takes what an autopilot reports."""

    def __init__(self) -> None:
        self.events: list[AutopilotEvent] = []
        self._came = asyncio.Event()

    def report(self, event: AutopilotEvent) -> None:
        """Takes an event."""
        self.events.append(event)
        self._came.set()

    async def wait(self, matches: Callable[[AutopilotEvent], bool]) -> AutopilotEvent:
        """Returns the first event that a function chooses."""
        while True:
            found = next(filter(matches, self.events), None)
            if found is not None:
                return found
            self._came.clear()
            await self._came.wait()


@asynccontextmanager
async def steering(
    process: QemuProcess, folder: Path, *, dry_run: bool = False
) -> AsyncIterator[Watcher]:
    """Steers a guest while the body runs."""
    watcher = Watcher()
    address = f"pid:{process.pid}"
    async with asyncio.TaskGroup() as group:
        task = group.create_task(
            steer_guests(
                [address],
                WIDE,
                interval_s=1.0,
                dry_run=dry_run,
                folder=folder,
                report=watcher.report,
            )
        )
        try:
            yield watcher
        finally:
            task.cancel()


async def wait_until(is_so: Callable[[], Awaitable[bool]]) -> None:
    """Waits for a condition."""
    while True:
        if await is_so():
            return
        await asyncio.sleep(0.05)


def is_empty(folder: Path) -> bool:
    """Returns whether nothing is kept of any guest."""
    return not list(folder.iterdir())


def settles_low(event: AutopilotEvent) -> bool:
    """Returns whether a search has found that less polling is better."""
    decision = event.decision
    return decision is not None and (decision.kind, decision.poll_max_ns) == ("settle", LOW_NS)


@pytest.mark.usefixtures("guest_image")
def test_polling_in_vain_is_lowered_and_restored_in_the_end(tmp_path: Path) -> None:
    """A request takes less processor time at what it settles at."""

    async def main() -> None:
        async with trickling() as loaded:
            async with steering(loaded.process, tmp_path) as watcher:
                settled = (await watcher.wait(settles_low)).decision
                assert settled is not None
                assert settled.cpu_ratio is not None
                assert settled.cpu_ratio < 1
                assert await read_poll(loaded.process) == settled.poll_max_ns
                (steered,) = list_steered(folder=tmp_path)
                assert steered.is_active
                (record,) = steered.record.values
                assert (record.own, record.ours[-1]) == (OWN_NS, settled.poll_max_ns)
            assert await read_poll(loaded.process) == OWN_NS
            assert is_empty(tmp_path)

    asyncio.run(asyncio.wait_for(main(), MOST_S))


@asynccontextmanager
async def program(state: Path, process: QemuProcess) -> AsyncIterator[asyncio.subprocess.Process]:
    """Runs `vmio autopilot run` beside this process; a test ends it."""
    argv = ("autopilot", "run", f"pid:{process.pid}", "--interval", "1")
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "vmio", *argv, "--tolerance", "100", "--max-run-delay", "100"),
        *("--floor", str(LOW_NS), "--ceiling", str(LOW_NS)),
        env={**os.environ, "XDG_STATE_HOME": str(state)},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield child
    finally:
        with suppress(ProcessLookupError):
            child.kill()
        await child.communicate()


def count_said(said: bytes, words: str) -> int:
    """Returns how many lines that were printed have some words."""
    return sum(words in line for line in said.decode().splitlines())


async def is_changed(process: QemuProcess) -> bool:
    """Returns whether something else is in force than the guest's own."""
    return await read_poll(process) != OWN_NS


@pytest.mark.usefixtures("guest_image")
def test_killed_autopilot_is_made_good_by_the_next(tmp_path: Path) -> None:
    """One that is told to end restores by itself; there is one for a guest at a time."""

    async def main() -> None:
        folder = tmp_path / "vmio" / "autopilot"
        async with trickling() as loaded:
            async with program(tmp_path, loaded.process) as child:
                await wait_until(partial(is_changed, loaded.process))
                async with steering(loaded.process, folder) as watcher:
                    refused = await watcher.wait(lambda each: each.problem is not None)
                    assert isinstance(refused.problem, ConflictError)
                assert child.returncode is None
                child.terminate()
                _, said = await child.communicate()
                assert child.returncode == 128 + signal.SIGTERM, said
            assert await read_poll(loaded.process) == OWN_NS

            async with program(tmp_path, loaded.process) as child:
                await wait_until(partial(is_changed, loaded.process))
                # Stopped, it does not take the trial back before it is killed.
                child.send_signal(signal.SIGSTOP)
                changed = await is_changed(loaded.process)
                child.kill()
            (left,) = list_steered(folder=folder)
            assert not left.is_active
            async with steering(loaded.process, folder) as watcher:
                found = await watcher.wait(lambda each: each.restored is not None)
                assert found.restored is not None
                assert found.restored.outcome == ("restored" if changed else "its own")
                assert found.restored.value == OWN_NS
            assert await read_poll(loaded.process) == OWN_NS
            assert is_empty(folder)

    asyncio.run(asyncio.wait_for(main(), MOST_S))


@pytest.mark.usefixtures("guest_image")
def test_nothing_is_set_without_a_record(tmp_path: Path) -> None:
    """On a full disk; what is in force by then is taken back, and one line says why."""

    async def is_steered(child: asyncio.subprocess.Process) -> bool:
        assert child.returncode is None
        return bool(list_steered(folder=tmp_path / "vmio" / "autopilot"))

    async def main() -> None:
        folder = tmp_path / "vmio" / "autopilot"
        async with trickling() as loaded:
            # No file grows: the record of a change does not fit any more.
            async with program(tmp_path, loaded.process) as child:
                await wait_until(partial(is_steered, child))
                resource.prlimit(child.pid, resource.RLIMIT_FSIZE, (0, 0))
                assert child.stderr is not None
                said = await child.stderr.readuntil(b"cannot write")
                assert await read_poll(loaded.process) == OWN_NS
                child.terminate()
                said += (await child.communicate())[1]
                assert child.returncode == 128 + signal.SIGTERM, said
                assert count_said(said, "cannot write") == 1
            assert is_empty(folder)

            async with program(tmp_path, loaded.process) as child:
                await wait_until(partial(is_changed, loaded.process))
                resource.prlimit(child.pid, resource.RLIMIT_FSIZE, (0, 0))
                child.terminate()
                said = (await child.communicate())[1]
                assert child.returncode == 128 + signal.SIGTERM, said
            assert await read_poll(loaded.process) == OWN_NS
            assert is_empty(folder)

    asyncio.run(asyncio.wait_for(main(), MOST_S))


@pytest.mark.usefixtures("guest_image")
def test_dry_run_says_what_it_would_try(tmp_path: Path) -> None:
    """Once, and sets nothing; each look is reported as one that was not made."""

    async def main() -> None:
        async with trickling() as loaded:
            async with steering(loaded.process, tmp_path, dry_run=True) as watcher:
                event = await watcher.wait(lambda each: each.decision is not None)
                assert event.is_dry
                assert event.decision is not None
                assert (event.decision.kind, event.decision.poll_max_ns) == ("try", LOW_NS)
                looks = [each.step for each in watcher.events if each.step is not None]
                assert len(looks) >= 2
                assert all(each.is_dry for each in looks)
            assert await read_poll(loaded.process) == OWN_NS
            assert is_empty(tmp_path)

    asyncio.run(asyncio.wait_for(main(), MOST_S))


def test_idle_guest_is_not_touched(tmp_path: Path) -> None:
    """Nothing is set; its record says so, and goes in the end, or with the guest."""

    async def is_steered() -> bool:
        return bool(list_steered(folder=tmp_path))

    async def is_forgotten() -> bool:
        return is_empty(tmp_path)

    async def main() -> None:
        async with started() as guest:
            async with steering(guest, tmp_path):
                await wait_until(is_steered)
                assert [each.record.values for each in list_steered(folder=tmp_path)] == [()]
                assert await read_poll(guest) == OWN_NS
            assert is_empty(tmp_path)
            async with steering(guest, tmp_path):
                await wait_until(is_steered)
                guest.qmp.peer_pid = None
                os.kill(guest.pid, signal.SIGKILL)
                await wait_until(is_forgotten)

    asyncio.run(asyncio.wait_for(main(), MOST_S))


def leave(guest: QemuProcess, folder: Path, **set_ns: tuple[int, ...]) -> None:
    """Leaves the record of a guest as a killed autopilot does."""
    (found,) = list_running([f"pid:{guest.pid}"]).guests
    with open_record(found.key, folder=folder) as file:
        file.write(
            GuestRecord(
                label="piloted",
                values=tuple(
                    OwnValue(iothread=name, own=OWN_NS, ours=values)
                    for name, values in set_ns.items()
                ),
            )
        )


def test_restoring_leaves_what_somebody_else_set(tmp_path: Path) -> None:
    """What is still the autopilot's is restored; an IOThread that has gone is no problem."""

    async def main() -> None:
        async with started() as guest:
            leave(guest, tmp_path, io0=(0, 8_192), io1=(0, 8_192), io7=(0,))
            await set_poll(guest, 8_192)
            await set_poll(guest, 777, "io1")
            events: list[AutopilotEvent] = []
            assert await restore_polling(folder=tmp_path, report=events.append)
            found = [each.restored for each in events]
            assert [each and (each.iothread, each.outcome, each.value) for each in found] == [
                ("io0", "restored", OWN_NS),
                ("io1", "somebody else's", 777),
                ("io7", "gone", None),
            ]
            assert (await read_poll(guest), await read_poll(guest, "io1")) == (OWN_NS, 777)
            assert is_empty(tmp_path)

    asyncio.run(asyncio.wait_for(main(), MOST_S))


def test_record_stays_while_the_monitor_is_in_use(tmp_path: Path) -> None:
    """Nothing is lost: it is restored as soon as its manager lets go."""

    async def main() -> None:
        async with started() as guest:
            leave(guest, tmp_path, io0=(0,))
            await set_poll(guest, 0)
            (found,) = list_running([f"pid:{guest.pid}"]).guests
            assert found.monitor is not None
            with socket.socket(socket.AF_UNIX) as manager:
                manager.connect(found.monitor.address)
                assert b"QMP" in await asyncio.to_thread(manager.recv, 4096)
                events: list[AutopilotEvent] = []
                assert not await restore_polling(folder=tmp_path, report=events.append)
                assert [each.problem is not None for each in events] == [True]
                assert len(list_steered(folder=tmp_path)) == 1
            await wait_until(partial(restore_polling, folder=tmp_path))
            assert await read_poll(guest) == OWN_NS

    asyncio.run(asyncio.wait_for(main(), MOST_S))


def test_unit_is_correct() -> None:
    """Systemd finds no mistake in it, and that it is confined."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("needs systemd-analyze")

    def analyze(*words: str) -> str:
        argv = ("systemd-analyze", *words)
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        return done.stdout + done.stderr

    # It also reads the host's own units, and tells what this systemd does not know in them.
    said = [each for each in analyze("verify", str(UNIT)).splitlines() if UNIT.name in each]
    assert [each for each in said if "/usr/bin/vmio is not executable" not in each] == []
    level = re.search(
        r"exposure level for vmio-autopilot\.service: ([\d.]+)",
        analyze("security", "--offline=yes", "--no-pager", str(UNIT)),
    )
    if level is None:
        pytest.skip("needs a systemd-analyze that looks at a unit offline")
    assert float(level[1]) < 3
