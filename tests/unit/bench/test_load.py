"""When a guest is asked for fio's end, and which part of a run counts."""

from __future__ import annotations

import asyncio
import os
import selectors
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from vmio.bench import load
from vmio.bench.jobs import Job
from vmio.bench.load import GuestCounts, LoadedGuest
from vmio.errors import GuestError, ToolError
from vmio.guest.agent import Agent, Completed
from vmio.model.controller import Controller
from vmio.model.disk import Backing, Disk
from vmio.model.topology import AttachedDisk, Topology
from vmio.observe import sampler
from vmio.observe.sample import ThreadName, ThreadSample
from vmio.qemu.process import QemuProcess

DATA = Path(__file__).parent / "data"
RECORDED = (DATA / "fio-3.33-randread.json").read_bytes()
COUNTED = (DATA / "guest-interrupts.txt").read_bytes()
JOB = Job(name="x", rw="randread", block_size_bytes=4096, iodepth=1, runtime_s=0.3, ramp_s=0.2)
LENGTH_S = JOB.ramp_s + JOB.runtime_s
END_S = 0.1
MAIN = SimpleNamespace(pid=os.getpid())
"""A process that is there."""
TOPOLOGY = Topology(
    controllers=(Controller(id="virtio0", model="virtio-blk-pci", bus="virtio"),),
    disks=(
        AttachedDisk(
            disk=Disk(
                id="virtio0",
                bus="virtio",
                index=0,
                media="disk",
                backing=Backing(filename="/x", format="raw"),
            ),
            controller="virtio0",
        ),
    ),
)


class Clock(selectors.DefaultSelector):
    """Time of an event loop's own: whoever waits has waited at once, however busy the host is."""

    now_s = 0.0

    def monotonic(self) -> float:
        """Returns the time."""
        return self.now_s

    def monotonic_ns(self) -> int:
        """Returns the time in nanoseconds."""
        return round(self.now_s * 1e9)

    time_ns = monotonic_ns

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Lets the time go on that there is nothing to do in."""
        self.now_s += timeout or 0.0
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop by such a clock."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        super().__init__(clock)

    def time(self) -> float:
        """Returns the clock's."""
        return self.clock.now_s


class PacedAgent(Agent):
    """An agent of a guest whose fio starts slowly, loads a disk, and takes a while to end."""

    def __init__(self, *starts_s: float, status: int = 0) -> None:
        self.clock = Clock()
        self.starts_s = list(starts_s)
        self.status = status
        self.loads_s: list[tuple[float, float]] = []
        self.asked_s: list[float] = []
        """When it was asked first, after the load's end."""

    async def run(
        self,
        argv: tuple[str, ...],
        *,
        input: bytes = b"",  # noqa: A002 - the base class's word
        timeout_s: float,
        first_poll_s: float = 0.0,
        longest_pause_s: float = 1.0,
    ) -> Completed:
        """Returns when fio has ended and somebody asks."""
        del input, timeout_s
        now_s, start_s = self.clock.now_s, self.starts_s.pop(0)
        self.loads_s.append((now_s + start_s, now_s + start_s + LENGTH_S))
        self.asked_s.append(first_poll_s - start_s - LENGTH_S)
        await asyncio.sleep(max(start_s + LENGTH_S + END_S, first_poll_s) + longest_pause_s / 2)
        return Completed(
            argv=argv, status=self.status, stdout=RECORDED, stderr=b"", truncated=False
        )

    def read_threads(
        self, _tasks: int, names: Mapping[int, ThreadName]
    ) -> tuple[ThreadSample, ...]:
        """Returns threads that are busy under the load, each on a processor of its own."""
        now_s = self.clock.now_s
        used_ns = round(sum(1e9 * max(0.0, min(now_s, b) - a) for a, b in self.loads_s))
        return tuple(
            ThreadSample(
                thread_id=thread,
                name=name.name,
                role=name.role,
                cpu_ns=used_ns,
                processor=thread - MAIN.pid,
            )
            for thread, name in names.items()
        )


def run(monkeypatch: pytest.MonkeyPatch, agent: PacedAgent) -> list[float]:
    """Runs a job as often as the agent has starts, and returns the main loop's shares."""
    monkeypatch.setattr(sampler, "read_threads", agent.read_threads)
    monkeypatch.setattr(sampler, "time", agent.clock)
    monkeypatch.setattr(load, "time", agent.clock)
    guest = LoadedGuest(
        process=cast("QemuProcess", MAIN),
        agent=agent,
        topology=TOPOLOGY,
        devices=("/dev/vda",),
        threads={MAIN.pid: ThreadName(name="main loop", role="main loop")},
    )

    async def run_all() -> list[float]:
        runs = [await guest.run(JOB) for _ in list(agent.starts_s)]
        return [each.main_loop.cpu_share for each in runs]

    with asyncio.Runner(loop_factory=lambda: VirtualLoop(agent.clock)) as runner:
        return runner.run(run_all())


def test_what_counts_is_under_load(monkeypatch: pytest.MonkeyPatch) -> None:
    """No idle time before or after the load is in a thread's share, however long fio takes."""
    shares = run(monkeypatch, PacedAgent(0.3, 0.3, 0.3, 0.5, 0.3))
    assert shares == pytest.approx([1.0] * 5)


def test_load_is_not_disturbed_once_it_is_known_what_fio_takes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The guest is asked first when the load is about to end, never long after."""
    agent = PacedAgent(0.5, 0.3, 0.3, 0.3, 0.3)
    run(monkeypatch, agent)
    assert agent.asked_s[0] == pytest.approx(-0.5)
    assert all(-0.1 < each < END_S for each in agent.asked_s[2:])


def test_vcpu_is_where_its_samples_saw_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three quarters of the interrupts came to processor 1, on which the vCPU ran all the time."""
    agent = PacedAgent(0.3)
    told = iter([{0: 10, 1: 10}, {0: 20, 1: 40}])
    monkeypatch.setattr(sampler, "read_threads", agent.read_threads)
    monkeypatch.setattr(sampler, "time", agent.clock)
    monkeypatch.setattr(load, "read_interrupts", lambda: next(told))
    monkeypatch.setattr(load, "time", agent.clock)
    guest = LoadedGuest(
        process=cast("QemuProcess", MAIN),
        agent=agent,
        topology=TOPOLOGY,
        devices=("/dev/vda",),
        threads={
            MAIN.pid: ThreadName(name="main loop", role="main loop"),
            MAIN.pid + 1: ThreadName(name="vCPU 0", role="vcpu"),
        },
    )
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(agent.clock)) as runner:
        assert runner.run(guest.run(JOB)).interrupted == 0.75


def test_run_that_failed_tells_nothing_of_what_fio_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told of with its status."""
    with pytest.raises(ToolError, match="fio failed in the guest") as caught:
        run(monkeypatch, PacedAgent(0.0, status=1))
    assert caught.value.status == 1


class TellingAgent(PacedAgent):
    """An agent of a guest that tells what it has counted."""

    def __init__(self, told: bytes) -> None:
        super().__init__()
        self.told = told
        self.asked: list[tuple[str, ...]] = []

    async def run(
        self,
        argv: tuple[str, ...],
        *,
        input: bytes = b"",  # noqa: A002 - the base class's word
        timeout_s: float,
        first_poll_s: float = 0.0,
        longest_pause_s: float = 1.0,
    ) -> Completed:
        """Returns what is told."""
        del input, timeout_s, first_poll_s, longest_pause_s
        self.asked.append(argv)
        return Completed(argv=argv, status=0, stdout=self.told, stderr=b"", truncated=False)


def count(agent: TellingAgent) -> GuestCounts:
    """Returns what a guest with two disks tells."""
    guest = LoadedGuest(
        process=cast("QemuProcess", MAIN),
        agent=agent,
        topology=TOPOLOGY,
        devices=("/dev/vda", "/dev/vdb"),
        threads={},
    )
    return asyncio.run(guest.count_interrupts())


def test_guest_counts_interrupts_of_its_disks_alone() -> None:
    """Recorded from a guest: the serial port of its agent interrupts it too."""
    agent = TellingAgent(COUNTED)
    found = count(agent)
    assert agent.asked == [
        ("cat", "/proc/interrupts", "/sys/block/vda/stat", "/sys/block/vdb/stat")
    ]
    assert found == GuestCounts(interrupts=2089 + 2091, requests=2088 + 2090)


@pytest.mark.parametrize(
    "told",
    [b"", b"\n", b"\xff\x00" * 4096, COUNTED[:-400], b"CPU0\n 1: x virtio1-req.0\n1 2\n3\n"],
    ids=["empty", "a line", "binary", "cut off", "no counts"],
)
def test_guest_that_tells_junk_is_refused(told: bytes) -> None:
    """In one line; nothing is taken for a count."""
    with pytest.raises(GuestError, match="does not report its disks' interrupts"):
        count(TellingAgent(told))
