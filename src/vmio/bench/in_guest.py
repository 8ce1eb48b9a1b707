"""A running guest's parameters, changed and changed back between runs of a load inside it.

The guest is somebody's: the load only reads, unless a file of the guest is named that may be
overwritten; its agent and its monitor are used in short visits, as its manager does, or by its
manager; and its parameters are as before when this ends. After a `kill -9` the next run puts them
back, since they are in a record from before the first change on.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final, Protocol

from msgspec import Struct

from vmio import __version__
from vmio.bench.course import Course, Progress
from vmio.bench.devices import pick_device
from vmio.bench.extent import Extent
from vmio.bench.host_facts import read_host_facts
from vmio.bench.jobs import Job
from vmio.bench.result import Comparison, Measurement, Side, Subject
from vmio.bench.runs import LoadTarget, run_in_guest
from vmio.errors import (
    CapabilityError,
    ConflictError,
    GuestError,
    LibvirtError,
    QmpError,
    ToolError,
    UsageError,
    VmioError,
)
from vmio.guest.agent import Agent
from vmio.managers.discovery import RunningGuest
from vmio.managers.libvirt.agent import DomainAgentChannel
from vmio.managers.live_records import GuestRecord, OwnValue, RecordFile, open_record
from vmio.managers.live_setter import Setter, find_object, open_setter, put_back, take_over
from vmio.model.plan import LiveChange
from vmio.model.topology import Topology
from vmio.observe.sample import ThreadName
from vmio.observe.threads import name_threads
from vmio.observe.watching import choose_monitor
from vmio.qemu.brief import BriefMonitor
from vmio.qemu.sockets import count_clients
from vmio.qemu.threads import ReportedThreads, ask_threads
from vmio.values import replace

__all__ = [
    "AgentPort",
    "AgentSocket",
    "DomainAgent",
    "LiveGuest",
    "LiveRuns",
    "compare_settings",
    "open_runs",
]

_AGENT_S: Final = 10.0
_HELD_S: Final = 5.0
"""After which a port that is held is another client's."""
_LOOK_S: Final = 0.05
_ASK_S: Final = 20.0
_LEAST_FILE_BYTES: Final = 16 << 20
_NEEDED: Final = frozenset({"guest-exec", "guest-exec-status"})


class AgentPort(Protocol):
    """How a guest's agent is reached."""

    def connect(self) -> AbstractAsyncContextManager[Agent]:
        """Connects to the agent while the body runs.

        Raises:
            ConflictError: Somebody else is connected to it.
            GuestError: It does not answer.
        """


class AgentSocket(Struct, frozen=True, kw_only=True):
    """A port that others may connect to, one at a time."""

    pid: int
    """The guest's process."""
    path: Path

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[Agent]:
        """Connects to the agent as `AgentPort` says."""
        # A connection of ours is listed until QEMU has noticed that it was closed.
        until_s = time.monotonic() + _HELD_S
        while count_clients(self.pid, self.path, fresh=True):
            if time.monotonic() < until_s:
                await asyncio.sleep(_LOOK_S)
                continue
            raise ConflictError(
                f"{self.path} is held by another client",
                hint="an agent answers one client at a time; try again later",
            )
        async with Agent.connect(self.path, _AGENT_S) as agent:
            yield agent


class DomainAgent(Struct, frozen=True, kw_only=True):
    """A port that libvirt alone is connected to."""

    uri: str
    guest: RunningGuest

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[Agent]:
        """Connects to the agent as `AgentPort` says."""
        agent = Agent(DomainAgentChannel(self.uri, self.guest))
        await agent.ping(_AGENT_S)
        yield agent


class LiveGuest(Struct, frozen=True, kw_only=True):
    """A running guest whose parameters are compared."""

    guest: RunningGuest
    name: str
    topology: Topology
    agent: AgentPort
    writable_file: str | None = None
    """A file in the guest that may be overwritten; None to read from its disk."""

    @property
    def volume(self) -> str:
        """Returns what the load runs on, in words."""
        if self.writable_file is None:
            return "the guest's own disk, read only"
        return f"the guest's file {self.writable_file}"


async def compare_settings(
    live: LiveGuest,
    changes: Sequence[LiveChange],
    *,
    jobs: tuple[Job, ...],
    extent: Extent,
    disk: str,
    folder: Path,
    report: Callable[[Progress], None] = lambda _: None,
) -> Comparison:
    """Measures a running guest as it is (A) and with other parameters (B), in pairs.

    Args:
        live: The guest.
        changes: The parameters of B.
        jobs: The fio jobs, which run in the guest.
        extent: How many pairs of each job are measured.
        disk: The id of the disk that is measured.
        folder: Where records of guests' own parameters are.
        report: Called with the progress before each step.

    Raises:
        CapabilityError: Its parameters cannot be set from here, or it lacks one.
        ConflictError: Somebody else is connected to its agent, or changes its parameters.
        GuestError: Its agent does not answer or must not run programs, or the guest has no fio.
        LibvirtError: libvirt does not answer, or refuses a value.
        OutputError: What its parameters are cannot be recorded.
        QmpError: A parameter cannot be set.
        ToolError: fio failed, or the guest has ended.
        UsageError: A job writes, and no file was named for it.
    """
    host = read_host_facts()
    started_at = datetime.now(UTC)
    began_s = time.monotonic()
    report(Progress(share=0.0, words="asking the guest"))
    async with open_runs(live, (changes,), disk=disk, folder=folder) as runs:
        course = Course(run=runs.run, jobs=jobs, extent=extent, report=report, began_s=began_s)
        await course.warm_up()
        results = [await course.run_job(number) for number in range(len(jobs))]
    report(Progress(share=1.0, words="done", left_s=0.0))
    words = ", ".join(f"{Path(each.path).name} {each.property}={each.new}" for each in changes)
    return Comparison(
        a=Subject(name=live.name, title="as it runs", topology=live.topology, argv=()),
        b=Subject(name=live.name, title=words, topology=live.topology, argv=()),
        disk=disk,
        volume=live.volume,
        device=runs.device,
        jobs=tuple(part for each in results for part in each.parts),
        where=f"the running guest {live.name}",
        host=host,
        accelerator="as it runs",
        qemu_version=runs.qemu_version,
        fio_version=results[0].pairs[0].a.figures.fio_version,
        vmio_version=__version__,
        started_at=started_at.isoformat(timespec="seconds").replace("+00:00", "Z"),
        duration_s=time.monotonic() - began_s,
    )


@asynccontextmanager
async def open_runs(
    live: LiveGuest, choices: Sequence[Sequence[LiveChange]], *, disk: str, folder: Path
) -> AsyncIterator[LiveRuns]:
    """Gets a running guest ready for runs; its parameters are as before at the end.

    Args:
        live: The guest.
        choices: Everything that B may be; the first is what it is at first.
        disk: The id of the disk that is measured.
        folder: Where records of guests' own parameters are.

    Raises:
        VmioError: As `compare_settings`.
    """
    device = await _prepare(live, disk)
    monitor, reason = choose_monitor(live.guest)
    setter = await open_setter(live.guest, monitor, reason)
    with open_record(live.guest.key, folder=folder) as file:
        settings = _Settings(live, setter, file, choices)
        await settings.record()
        try:
            threads = await _name_threads(live.guest.process.pid, monitor)
            version = str(monitor.version or "") if monitor is not None else ""
            yield LiveRuns(live, device, threads, settings, version)
        finally:
            await settings.restore()


async def _name_threads(pid: int, monitor: BriefMonitor | None) -> dict[int, ThreadName]:
    """Returns what a guest's threads are, as far as its monitor has to tell; the kernel does."""
    reported = ReportedThreads(iothreads=(), vcpus=())
    return name_threads(pid, reported if monitor is None else await ask_threads(monitor))


class _Settings:
    """The parameters of a running guest, which has those of one side."""

    def __init__(
        self,
        live: LiveGuest,
        setter: Setter,
        file: RecordFile,
        choices: Sequence[Sequence[LiveChange]],
    ) -> None:
        self._live = live
        self._setter = setter
        self._file = file
        self._choices = tuple(tuple(each) for each in choices)
        self._new = self._choices[0]
        self._values: tuple[OwnValue, ...] = ()
        self._side: Side = "A"

    @property
    def own(self) -> Mapping[tuple[str, str], int]:
        """Returns the guest's own values, by the path and the property of their changes."""
        return {(find_object(each.iothread), each.parameter): each.own for each in self._values}

    async def record(self) -> None:
        """Puts back what a killed vmio left, and records the guest's own values.

        Raises:
            CapabilityError: It lacks one of them.
            OutputError: They cannot be recorded.
            VmioError: Who has its monitor does not answer.
        """
        await take_over(self._setter, self._file)
        changes: dict[tuple[str, str], LiveChange] = {}
        ours: dict[tuple[str, str], list[int]] = {}
        for change in (change for choice in self._choices for change in choice):
            place = (change.path, change.property)
            changes.setdefault(place, change)
            ours.setdefault(place, []).append(change.new)
        values: list[OwnValue] = []
        found = await self._setter.read(list(changes.values()))
        for (path, parameter), own in zip(changes, found, strict=True):
            iothread = path.removeprefix(find_object(""))
            if own is None:
                raise CapabilityError(
                    f"{self._live.name}: {iothread} has no {parameter} that can be set",
                    hint="the guest runs with another layout, or its QEMU is older",
                )
            values.append(
                OwnValue(
                    iothread=iothread,
                    parameter=parameter,
                    own=own,
                    ours=tuple(dict.fromkeys(ours[path, parameter])),
                    wall_ns=time.time_ns(),
                )
            )
        self._values = tuple(values)
        self._file.write(GuestRecord(label=self._live.name, by="bench", values=self._values))

    async def choose(self, choice: int) -> None:
        """Makes B another of the choices; A's parameters are in force afterwards."""
        await self.turn_to("A")
        self._new = self._choices[choice]

    async def turn_to(self, side: Side) -> None:
        """Sets the parameters of a side; A's are those that the guest had at first."""
        if side == self._side:
            return
        if side == "B":
            self._side = "B"  # also if this is interrupted
            await self._setter.set(self._new)
        else:
            own = self.own
            await self._setter.set(
                [replace(each, new=own[each.path, each.property]) for each in self._new]
            )
            self._side = "A"

    async def restore(self) -> None:
        """Sets what the guest had at first, also if this is cancelled meanwhile.

        What somebody else has set meanwhile is left. The record goes when nothing is left to do.

        Raises:
            LibvirtError: libvirt cannot set it, and the guest still runs.
            QmpError: It cannot be set otherwise, and the guest still runs.
        """
        if self._side == "B":
            task = asyncio.ensure_future(put_back(self._setter, self._values))
            while not task.done():
                with suppress(asyncio.CancelledError, VmioError):
                    await asyncio.shield(task)
            error = task.exception()
            if error is not None and _explain_end(self._live) is None:
                kind = LibvirtError if isinstance(error, LibvirtError) else QmpError
                raise kind(
                    f"{self._live.name}: its parameters could not be restored: {error}",
                    hint="vmio autopilot restore",
                )
        self._file.remove()


class LiveRuns:
    """Runs jobs in the guest, each over a connection of its own to the agent."""

    def __init__(
        self,
        live: LiveGuest,
        device: str,
        threads: dict[int, ThreadName],
        settings: _Settings,
        qemu_version: str,
    ) -> None:
        self.device = device
        self.qemu_version = qemu_version
        self._live = live
        self._threads = threads
        self._settings = settings

    @property
    def own(self) -> Mapping[tuple[str, str], int]:
        """Returns the guest's own values of all choices' parameters, by path and property."""
        return self._settings.own

    async def choose(self, choice: int) -> None:
        """Makes B another of the choices, by its number."""
        await self._settings.choose(choice)

    async def run(self, side: Side, job: Job) -> Measurement:
        """Runs a job with the parameters of a side."""
        await self._settings.turn_to(side)
        live = self._live
        async with live.agent.connect() as agent:
            target = LoadTarget(
                name=live.name,
                pid=live.guest.process.pid,
                agent=agent,
                device=self.device,
                threads=self._threads,
                writable=live.writable_file is not None,
                explain_end=partial(_explain_end, live),
            )
            return await run_in_guest(target, job)


async def _prepare(live: LiveGuest, disk: str) -> str:
    """Returns what the load runs on in the guest, which can run it."""
    async with live.agent.connect() as agent:
        missing = _NEEDED - (await agent.info()).commands
        if missing:
            raise GuestError(
                f"{live.name}: its agent must not run programs ({', '.join(sorted(missing))})",
                hint="its owner can allow it: see qemu-ga's --allow-rpcs and --block-rpcs",
            )
        await _check_fio(agent, live.name)
        if live.writable_file is not None:
            await _check_file(agent, live.writable_file)
            return live.writable_file
        attached = live.topology.find_disk(disk)
        if attached is None:
            raise UsageError(f"{live.name} has no disk '{disk}'")
        return pick_device(await agent.disks(), live.topology, attached).path


async def _check_fio(agent: Agent, name: str) -> None:
    try:
        completed = await agent.run(("fio", "--version"), timeout_s=_ASK_S)
    except GuestError as error:
        raise GuestError(
            f"{name}: fio cannot be run in the guest: {error.message}",
            hint="install the package fio in the guest",
        ) from error
    if completed.status or not completed.stdout.startswith(b"fio-3"):
        raise GuestError(f"{name}: the fio in the guest is not version 3 or newer of it")


async def _check_file(agent: Agent, path: str) -> None:
    """Refuses a file that does not exist in the guest: fio would create it."""
    completed = await agent.run(("stat", "-c", "%F %s", "--", path), timeout_s=_ASK_S)
    kind, _, size = completed.stdout.decode("utf-8", "replace").strip().rpartition(" ")
    if completed.status or kind != "regular file" or not size.isdecimal():
        raise UsageError(
            f"--allow-write {path[:200]}: there is no such file in the guest",
            hint="make one of 1 GiB or so there, whose content may be lost",
        )
    if int(size) < _LEAST_FILE_BYTES:
        raise UsageError(f"--allow-write {path[:200]}: it is smaller than 16 MiB")


def _explain_end(live: LiveGuest) -> ToolError | None:
    """Returns that the guest has ended; None if it runs."""
    if Path(f"/proc/{live.guest.process.pid}").exists():
        return None
    return ToolError(f"{live.name} ended during a run")
