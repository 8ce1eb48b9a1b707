"""A guest of one's own under a load, and the activity of its event loops meanwhile.

The guest is small, its disks are scratch files with data in them, and the polling of its IOThreads
can be set while it runs, so that many settings are measured with one boot.
"""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

from msgspec import Struct, field

from vmio.bench.compare import TCG_CLOCK
from vmio.bench.jobs import Job, JobFigures, fio_argv, parse_fio
from vmio.bench.threads import find_window
from vmio.errors import GuestError, OutputError, ToolError
from vmio.guest.agent import Agent, agent_argv
from vmio.host.interrupts import compare_interrupts, read_interrupts
from vmio.model.machine import Machine
from vmio.model.topology import Topology
from vmio.observe.rates import ThreadRates, compare_samples
from vmio.observe.sample import Sample, ThreadName
from vmio.observe.sampler import collect
from vmio.observe.threads import name_threads
from vmio.qemu.boot import (
    Boot,
    Volumes,
    find_root_bus,
    find_scratch_folder,
    place_volumes,
    render_boot,
)
from vmio.qemu.folder import open_runtime_folder
from vmio.qemu.process import QemuProcess
from vmio.qemu.threads import ask_threads
from vmio.values import replace

__all__ = ["GuestCounts", "LoadedGuest", "LoopFigures", "RunFigures", "boot_guest"]

SCRATCH_BYTES: Final = 256 << 20
_CHUNK_BYTES: Final = 1 << 20
_BOOT_TIMEOUT_S: Final = 180.0
_GRACE_S: Final = 60.0
_SAMPLE_S: Final = 0.05
_TAIL_S: Final = 0.15
"""The most time between the end of fio's load and its detection."""
_ASKED_EVERY_S: Final = 0.03
"""The interval of checking for fio's end; with a longer one the load's time includes idle time."""
_FIRST_ASKED: Final = 0.75
"""A fraction of fio's shortest overhead so far. An earlier check would disturb the load."""
_WARM_UPS: Final = 3
"""The first run loads fio and is slow; the others show its overhead."""
_DISKS_TIMEOUT_S: Final = 20.0
_COUNT_TIMEOUT_S: Final = 20.0
_DISK_INTERRUPT: Final = re.compile(r"\bvirtio\d+-req")
"""The name of a request virtqueue: `virtio0-req.0` of virtio-blk, `virtio0-request` of SCSI."""


class LoopFigures(Struct, frozen=True, kw_only=True):
    """A thread's activity during the load."""

    name: str
    """An IOThread's id, or `MAIN_LOOP`."""
    cpu_share: float
    sleeps_per_s: float


class RunFigures(Struct, frozen=True, kw_only=True):
    """The result of one run of a job."""

    iops: float
    """All its disks together."""
    latency_mean_ns: float
    iothreads: tuple[LoopFigures, ...]
    main_loop: LoopFigures
    vcpu_cpu_share: float
    """All vCPUs together."""
    interrupted: float
    """Fraction of the host's interrupts that came to the processor on which a vCPU ran."""


class GuestCounts(Struct, frozen=True, kw_only=True):
    """A guest's counters since it was booted."""

    interrupts: int
    """Interrupts of its disks."""
    requests: int
    """Requests that its disks have completed."""


class LoadedGuest(Struct, frozen=True, kw_only=True):
    """A booted guest with its disks."""

    process: QemuProcess
    agent: Agent
    topology: Topology
    devices: tuple[str, ...]
    """The guest's names for its disks."""
    threads: Mapping[int, ThreadName]
    """QEMU's permanent threads, by id."""
    _beyond_s: list[float] = field(default_factory=list)
    """The overhead of each run: fio's start and end."""

    async def stop(self) -> None:
        """Stops the guest: it uses no processor, and its clock stands still.

        Raises:
            QmpError: QEMU does not answer.
        """
        await self.process.qmp.stop()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Resumes a stopped guest, and stops it again.

        If the body fails, the guest is left as it is, because it may no longer answer.

        Raises:
            QmpError: QEMU does not answer.
        """
        await self.process.qmp.cont()
        yield
        await self.stop()

    async def warm_up(self) -> None:
        """Loads every disk briefly, so that no measured run is the first.

        Raises:
            GuestError: The guest does not answer.
            ToolError: QEMU or fio failed.
        """
        job = Job(
            name="warm-up",
            rw="randread",
            block_size_bytes=4096,
            iodepth=1,
            runtime_s=0.2,
            ramp_s=_TAIL_S,
        )
        for _ in range(_WARM_UPS):
            await self.run(job)

    async def set_polling(self, poll_max_ns: int) -> None:
        """Sets every IOThread's maximum polling time, and resets its adapted polling time."""
        for iothread in self.topology.iothreads:
            await self.process.qmp.execute(
                "qom-set",
                {
                    "path": f"/objects/{iothread.id}",
                    "property": "poll-max-ns",
                    "value": poll_max_ns,
                },
            )

    async def run(self, job: Job, *, only: str | None = None) -> RunFigures:
        """Runs a job on every disk at once.

        Args:
            job: The job for each disk.
            only: The id of a single disk to run it on instead.

        Raises:
            ToolError: QEMU or fio failed.
        """
        # Disks are planned in the order of their addresses, in which the guest names them.
        ids = (attached.disk.id for attached in self.topology.disks)
        devices = [
            device for disk, device in zip(ids, self.devices, strict=True) if only in (None, disk)
        ]
        blocks = (fio_argv(replace(job, name=f"disk{n}"), d) for n, d in enumerate(devices))
        argv = ("fio", *(word for block in blocks for word in block[1:]))
        interrupts = read_interrupts()
        length_s = job.ramp_s + job.runtime_s
        begun_s = time.monotonic()
        sampling = collect(self.process.pid, interval_s=_SAMPLE_S, names=self.threads)
        async with sampling as samples:
            completed = await self.agent.run(
                argv,
                timeout_s=length_s + _GRACE_S,
                first_poll_s=length_s + _FIRST_ASKED * min(self._beyond_s, default=0.0),
                longest_pause_s=_ASKED_EVERY_S,
            )
            ended_s = time.monotonic()
        end_s = ended_s - _TAIL_S
        if completed.status:
            raise ToolError(
                "fio failed in the guest",
                argv=argv,
                status=completed.status,
                output=completed.stderr.decode("utf-8", "replace"),
            )
        self._beyond_s.append(ended_s - begun_s - length_s)
        figures = tuple(parse_fio(completed.stdout, number) for number in range(len(devices)))
        inside = find_window(samples, start_s=end_s - job.runtime_s, end_s=end_s)
        if not inside:
            raise ToolError("this host is too busy to watch QEMU's threads")
        return _summarise(figures, inside, compare_interrupts(interrupts, read_interrupts()))

    async def count_interrupts(self) -> GuestCounts:
        """Returns the guest's counters of its disks.

        Raises:
            GuestError: It does not answer, or not with counters.
        """
        names = [device.rpartition("/")[2] for device in self.devices]
        argv = ("cat", "/proc/interrupts", *(f"/sys/block/{name}/stat" for name in names))
        completed = await self.agent.run(argv, timeout_s=_COUNT_TIMEOUT_S)
        lines = completed.stdout.decode("utf-8", "replace").splitlines()
        try:
            processors = len(lines[0].split())
            counted = [
                line.split()[1 : 1 + processors]
                for line in lines[1 : -len(names)]
                if _DISK_INTERRUPT.search(line)
            ]
            done = [line.split() for line in lines[-len(names) :]]
            return GuestCounts(
                interrupts=sum(int(count) for row in counted for count in row),
                requests=sum(int(fields[0]) + int(fields[4]) for fields in done),
            )
        except (ValueError, IndexError) as error:
            raise GuestError("the guest does not report its disks' interrupts") from error


@asynccontextmanager
async def boot_guest(
    machine: Machine,
    topology: Topology,
    boot: Boot,
    *,
    scratch_bytes: int = SCRATCH_BYTES,
    folder: Path | None = None,
) -> AsyncIterator[LoadedGuest]:
    """Boots a guest with scratch files full of data as its disks, and removes all at the end.

    The guest runs, and has been loaded once.

    Args:
        machine: The machine to boot, besides the disks.
        topology: The layout.
        boot: How it is booted, with the benchmark guest's kernel.
        scratch_bytes: Size of each file.
        folder: Where the files are created; None for the usual folder of scratch files.

    Raises:
        OutputError: The files cannot be created.
        GuestError: The guest does not boot.
        ToolError: QEMU did not start.
    """
    if boot.accelerator == "tcg":
        boot = replace(boot, append=f"{boot.append} {TCG_CLOCK}")
    async with AsyncExitStack() as stack:
        runtime = stack.enter_context(open_runtime_folder())
        place = folder if folder is not None else Path(find_scratch_folder())
        scratch = stack.enter_context(open_runtime_folder(place))
        paths = {each.disk.id: str(scratch / f"{each.disk.id}.data") for each in topology.disks}
        await asyncio.gather(
            *(asyncio.to_thread(_fill, Path(path), scratch_bytes) for path in paths.values())
        )
        placed = stack.enter_context(place_volumes(topology, Volumes(paths=paths)))
        port = agent_argv(runtime / "agent", bus=find_root_bus(machine, placed))
        argv = render_boot(machine, placed, replace(boot, extra=(*boot.extra, *port)))
        process = await stack.enter_async_context(QemuProcess.start(argv))
        agent = await stack.enter_async_context(Agent.connect(runtime / "agent", _BOOT_TIMEOUT_S))
        loaded = LoadedGuest(
            process=process,
            agent=agent,
            topology=placed,
            devices=await _wait_for_devices(agent, len(paths)),
            threads=name_threads(process.pid, await ask_threads(process.qmp)),
        )
        await loaded.warm_up()
        yield loaded


def _fill(path: Path, size_bytes: int) -> None:
    """Fills a file with data: a hole would be read without accessing the disk."""
    try:
        with path.open("xb") as file:
            for _ in range(0, size_bytes, _CHUNK_BYTES):
                file.write(os.urandom(_CHUNK_BYTES))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise OutputError(f"cannot make the scratch file {path}: {error.strerror}") from error


async def _wait_for_devices(agent: Agent, count: int) -> tuple[str, ...]:
    deadline_s = time.monotonic() + _DISKS_TIMEOUT_S
    while True:
        disks = [each.path for each in await agent.disks() if each.name.startswith(("sd", "vd"))]
        if len(disks) >= count:
            return tuple(sorted(disks))
        if time.monotonic() > deadline_s:
            raise ToolError(f"the guest sees {len(disks)} of its {count} disks")
        await asyncio.sleep(0.2)


def _summarise(
    figures: Sequence[JobFigures], samples: Sequence[Sample], interrupts: Mapping[int, float]
) -> RunFigures:
    threads = compare_samples(samples[0], samples[-1]).threads
    ran_on = [
        thread.processor
        for each in samples
        for thread in each.threads
        if thread.role == "vcpu" and thread.processor is not None
    ]
    iops = sum(each.iops for each in figures)
    return RunFigures(
        iops=iops,
        latency_mean_ns=sum(each.iops * each.latency_mean_ns for each in figures) / iops,
        iothreads=tuple(_describe_loop(each) for each in threads if each.role == "iothread"),
        main_loop=next(_describe_loop(each) for each in threads if each.role == "main loop"),
        vcpu_cpu_share=sum(each.cpu_share for each in threads if each.role == "vcpu"),
        interrupted=sum(interrupts.get(each, 0.0) for each in ran_on) / max(1, len(ran_on)),
    )


def _describe_loop(thread: ThreadRates) -> LoopFigures:
    return LoopFigures(
        name=thread.name,
        cpu_share=thread.cpu_share,
        sleeps_per_s=thread.voluntary_switches_per_s or 0.0,
    )
