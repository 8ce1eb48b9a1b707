"""Recordings of real QEMUs, and their reports."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from vmio import app
from vmio.errors import VmioError
from vmio.observe.kernel_trace import TracedLoop
from vmio.observe.readings import HostTracker, Look
from vmio.observe.recording import conceal, create_recording, read_recording
from vmio.observe.watching import WatchOptions, watch_host
from vmio.qemu.folder import open_runtime_folder
from vmio.qemu.process import QemuProcess
from vmio.values import replace

BARE = (
    *("qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-S"),
    *("-machine", "pc", "-accel", "tcg", "-m", "16", "-object", "iothread,id=io0"),
    *("-object", "secret,id=key,data=not-to-be-kept"),
    *("-blockdev", "driver=null-co,node-name=n0"),
    *("-device", "virtio-blk-pci,iothread=io0,drive=n0,id=vd0"),
)
LIMIT_S = 120.0


@asynccontextmanager
async def started(name: str) -> AsyncIterator[QemuProcess]:
    """Starts a guest of a name, with a monitor that others may use."""
    with open_runtime_folder() as folder:
        argv = (*BARE, "-name", f"{name},debug-threads=on")
        async with QemuProcess.start(argv, qmp_socket=folder / "qmp") as guest:
            yield guest


def test_recording_of_real_guests_gives_the_readings_of_then(tmp_path: Path) -> None:
    """With latencies, and with a guest that ends in the middle; no secret is in the file."""
    path = tmp_path / "a.jsonl"
    names = {"stays", "ends"}

    async def record() -> list[Look]:
        looks = []
        options = WatchOptions(search_s=0.0, latencies=True)
        with create_recording(path, interval_s=1, max_bytes=1 << 20) as writer:
            async with (
                watch_host(options, matches=lambda guest: guest.name in names) as watcher,
                started("stays"),
            ):
                async with started("ends"):
                    looks += [await watcher.look() for _ in range(2)]
                looks += [await watcher.look() for _ in range(2)]
            assert all(map(writer.write, looks))
        return looks

    looks = asyncio.run(asyncio.wait_for(record(), LIMIT_S))
    hidden = [replace(each, observations=tuple(map(conceal, each.observations))) for each in looks]
    found = list(read_recording(str(path)))
    assert found == hidden
    assert [len(each.observations) for each in found] == [2, 2, 1, 1]
    tracker, played = HostTracker(), HostTracker()
    for live, each in zip(hidden, found, strict=True):
        assert tracker.add(live) == played.add(each)
    last = found[-1].observations[0]
    assert last.sample is not None
    assert last.sample.disks[0].reads.histogram is not None
    assert "not-to-be-kept" not in path.read_text()


def test_time_ends_a_recording_and_progress_tells_of_it(tmp_path: Path) -> None:
    """The first look is at once, and the last at the end."""
    path = tmp_path / "a.jsonl.gz"
    told: list[app.RecordProgress] = []

    async def record() -> None:
        async with started("timed") as guest:
            await app.record_guests(
                [f"pid:{guest.pid}"], path, interval_s=0.1, time_s=0.5, report=told.append
            )

    asyncio.run(asyncio.wait_for(record(), LIMIT_S))
    history, incomplete = app.read_history(str(path))
    assert not incomplete
    assert 1 < history.look_count == told[-1].look_count <= 6
    assert told[-1].guest_count == 1
    assert told[-1].size_bytes < path.stat().st_size
    assert [each.id for each in history.guests[0].disks] == ["vd0"]


def test_full_file_ends_a_recording(tmp_path: Path) -> None:
    """The file is whole, and not larger than it may be."""
    path = tmp_path / "a.jsonl"
    told: list[app.RecordProgress] = []

    async def record() -> None:
        async with started("full") as guest:
            await app.record_guests(
                [f"pid:{guest.pid}"], path, interval_s=0.1, max_bytes=8000, report=told.append
            )

    asyncio.run(asyncio.wait_for(record(), LIMIT_S))
    assert told[-1].is_full
    assert path.stat().st_size <= 8000
    assert app.read_history(str(path))[0].look_count == told[-1].look_count > 1


def test_trace_tells_each_guest_of_its_own_loops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One trace has the loops of all guests, which have the same names; not every host has one."""
    asked: list[dict[int, str]] = []

    async def trace(
        names: Mapping[int, str], *, duration_s: float, tracefs: Path | None
    ) -> tuple[TracedLoop, ...]:
        assert tracefs == tmp_path
        asked.append(dict(names))
        await asyncio.sleep(duration_s)
        return tuple(
            TracedLoop(
                name=name,
                thread_id=thread,
                duration_s=duration_s,
                poll_s=duration_s / 4,
                user_s=duration_s,
                kernel_s=0,
                poll_count=1,
                syscall_count=1,
                sleep_count=1,
                lost_events=0,
            )
            for thread, name in names.items()
        )

    monkeypatch.setattr("vmio.app.record.find_tracefs", lambda: tmp_path)
    monkeypatch.setattr("vmio.app.record.trace_loops", trace)
    path = tmp_path / "a.jsonl"

    async def record() -> None:
        async with started("one") as one, started("two") as two:
            await app.record_guests(
                [f"pid:{one.pid}", f"pid:{two.pid}"],
                path,
                interval_s=0.2,
                time_s=0.4,
                traces=True,
            )

    asyncio.run(asyncio.wait_for(record(), LIMIT_S))
    assert sorted(asked[0].values()) == ["io0", "io0", "main loop", "main loop"]
    first, *later = read_recording(str(path))
    assert not any(each.traced for each in first.observations)
    for look in later:
        for each in look.observations:
            assert each.sample is not None
            own = {thread.thread_id for thread in each.sample.threads}
            assert {loop.name for loop in each.traced} == {"main loop", "io0"}
            assert {loop.thread_id for loop in each.traced} <= own
    history, _ = app.read_history(str(path))
    shares = [loop.traced_share.mean for guest in history.guests for loop in guest.polling]
    assert shares == pytest.approx([0.25] * 4)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_signal_leaves_a_file_that_can_be_read(tmp_path: Path, number: signal.Signals) -> None:
    """Whole after Ctrl-C and SIGTERM, which are told of; up to its last line after SIGKILL."""
    path = tmp_path / "a.jsonl.gz"

    async def record() -> tuple[int | None, str]:
        async with started("signalled") as guest:
            vmio = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "vmio", "record", f"pid:{guest.pid}"),
                *("-o", str(path), "--interval", "0.1"),
                stderr=asyncio.subprocess.PIPE,
            )
            try:
                await asyncio.to_thread(_wait_for_looks, path, 3)
                vmio.send_signal(number)
                _, errors = await vmio.communicate()
            finally:
                if vmio.returncode is None:
                    vmio.kill()
                    await vmio.wait()
            return vmio.returncode, errors.decode()

    status, errors = asyncio.run(asyncio.wait_for(record(), LIMIT_S))
    history, incomplete = app.read_history(str(path))
    assert history.look_count >= 3
    assert [each.guest.name for each in history.guests] == ["signalled"]
    if number is signal.SIGKILL:
        assert status == -9
        assert "ends in the middle of an archive" in incomplete
    else:
        assert status == 128 + number
        assert not incomplete
        assert f"recording 1 guest to {path} until Ctrl-C" in errors
        assert f"wrote {path}: " in errors


def _wait_for_looks(path: Path, count: int) -> None:
    """Waits until so many looks can be read from a file that grows."""
    end_s = time.monotonic() + LIMIT_S
    while time.monotonic() < end_s:
        with suppress(VmioError):
            if sum(1 for _ in read_recording(str(path))) >= count:
                return
        time.sleep(0.05)
    raise AssertionError(f"{path} has no {count} looks after {LIMIT_S:g} s")
