"""Measures live settings in a running guest, between runs of a load inside it.

The settings that a search tries are those of the IOThreads that serve one disk. Each pair is a run
with the guest's own values and one with a setting, so that what else the guest does cancels. The
own values are in force again at the end.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import msgspec

from vmio.bench.compare import ComparedLayout
from vmio.bench.course import make_warm_up, run_pair
from vmio.bench.in_guest import LiveGuest, LiveRuns, open_runs
from vmio.bench.result import Side
from vmio.errors import UsageError
from vmio.formats.shell import quote
from vmio.host.running import read_boot_id
from vmio.managers.discovery import RunningGuest
from vmio.managers.live import tell_manager
from vmio.managers.live_setter import find_object
from vmio.model.machine import Machine
from vmio.model.plan import LiveChange
from vmio.tune.journal import TrialResult
from vmio.tune.objective import Gains, measure_gains
from vmio.tune.result import InGuest, Tuning
from vmio.tune.search import Arm, Trial
from vmio.tune.space import AS_BOOTED, Candidate, LiveSetting, TunePart, list_settings
from vmio.tune.tuner import SearchTask, Steps
from vmio.values import replace

__all__ = ["LIVE_PARTS", "LiveTask", "LiveTrials", "list_live_candidate"]

LIVE_PARTS: Final[tuple[TunePart, ...]] = ("polling", "batch")
"""What can be changed while a guest runs."""
_POLL: Final[Mapping[str, str]] = {
    "poll-max-ns": "max",
    "poll-grow": "grow",
    "poll-shrink": "shrink",
}
"""The attributes of `<poll>` in a domain. Source: libvirt 9.4, formatdomain."""
_PROXMOX_PREFIX: Final = "iothread-"
"""Of the IOThreads that Proxmox VE makes by itself; others are in the config's `args`."""


class LiveTask(SearchTask, frozen=True, kw_only=True):
    """A search for live settings of a running guest."""

    live: LiveGuest
    note: str = ""
    """What else the person should know beforehand, in one line; empty for nothing."""
    own: tuple[LiveChange, ...] = ()
    """The guest's own values, once they have been read."""

    @property
    def choices(self) -> tuple[tuple[LiveChange, ...], ...]:
        """Returns the changes of each live setting; the guest's own has none."""
        topology = self.live.topology
        attached = topology.find_disk(self.disk)
        served = topology.served_by(attached) if attached is not None else ()
        return tuple(
            tuple(
                LiveChange(path=find_object(each.id), property=name.replace("_", "-"), new=value)
                for each in topology.iothreads
                if each.id in served
                for name, value in setting.parameters.items()
            )
            for setting in self.candidates[0].settings
        )

    @property
    def digest(self) -> str:
        """Returns a digest of everything that decides the trials, and of this run of the guest."""
        live = self.live
        what = (
            (read_boot_id(), live.guest.key, live.writable_file, self.own),
            (self.candidates[0].settings, self.choices, self.disk),
            (self.jobs, self.objective, self.effort, self.seed),
        )
        return hashlib.sha256(msgspec.json.encode(what)).hexdigest()


def list_live_candidate(live: LiveGuest, disk: str, parts: Sequence[TunePart]) -> Candidate:
    """Returns a running guest's layout, with what the IOThreads of a disk can be set to.

    Args:
        live: The guest.
        disk: The id of the disk.
        parts: What is varied, of `LIVE_PARTS`.

    Raises:
        UsageError: There is no such disk.
    """
    topology = live.topology
    attached = topology.find_disk(disk)
    if attached is None:
        raise UsageError(f"{live.name} has no disk '{disk}'")
    layout = ComparedLayout(
        name="", title="as it runs", machine=Machine(name=live.name), topology=topology
    )
    return Candidate(layout=layout, settings=tuple(list_settings(topology, attached, parts)))


class LiveTrials:
    """Measures each setting against the guest's own values, in the guest.

    Args:
        task: What is searched.
        folder: Where records of guests' own parameters are.
    """

    def __init__(self, task: LiveTask, folder: Path) -> None:
        self._task = task
        self._folder = folder
        self._runs: LiveRuns | None = None
        self._choices: dict[LiveSetting, int] = {}

    @asynccontextmanager
    async def open(self) -> AsyncIterator[SearchTask]:
        """Records the guest's own values, and leaves out settings that come to the same."""
        task = self._task
        candidate, choices = task.candidates[0], task.choices[1:]
        async with open_runs(
            task.live, choices, disk=task.disk, folder=self._folder
        ) as self._runs:
            own = self._runs.own
            self._choices = {
                setting: number
                for number, setting in enumerate(candidate.settings[1:])
                if any(own[each.path, each.property] != each.new for each in choices[number])
            }
            self._task = replace(
                task,
                candidates=(replace(candidate, settings=(AS_BOOTED, *self._choices)),),
                own=tuple(
                    LiveChange(path=path, property=name, new=value)
                    for (path, name), value in own.items()
                ),
            )
            for side in ("A", "B"):  # so that no measured run includes loading fio
                await self._runs.run(side, make_warm_up(task.jobs[0]))
            yield self._task

    async def measure(self, trial: Trial, steps: Steps) -> TrialResult:
        """Measures a trial's pairs.

        Raises:
            ConflictError: Somebody else is connected to the guest's agent.
            GuestError: The agent does not answer.
            LibvirtError: libvirt does not answer, or refuses a value.
            QmpError: A parameter cannot be set.
            ToolError: fio failed, or the guest has ended.
        """
        assert self._runs is not None  # noqa: S101 - it is open
        task = self._task
        pairs: list[tuple[Gains, ...]] = []
        for number, index in enumerate(trial.settings):
            setting = task.candidates[0].settings[index]
            steps.pair(number, setting.name)
            await self._runs.choose(self._choices[setting])
            first: Side = "A" if number % 2 == 0 else "B"
            pairs.append(
                tuple(
                    [
                        measure_gains(await run_pair(self._runs.run, job, first=first))
                        for job in task.jobs
                    ]
                )
            )
        steps.end()
        return TrialResult(number=trial.number, pairs=tuple(pairs))

    def conclude(self, tuning: Tuning, best: Arm | None) -> Tuning:
        """Returns a result with how the best is set, which nothing here has left set."""
        task = self._task
        changes = task.choices[best[1]] if best is not None else ()
        by_thread: dict[str, dict[str, int]] = {}
        for each in changes:
            thread = each.path.removeprefix(find_object(""))
            by_thread.setdefault(thread, {})[each.property] = each.new
        return replace(
            tuning,
            in_guest=InGuest(
                volume=task.live.volume,
                commands=tuple(
                    line
                    for thread, values in by_thread.items()
                    for line in tell_commands(task.live.guest, thread, values)
                ),
                keep=tuple(
                    words
                    for thread, values in by_thread.items()
                    if (words := tell_keeping(task.live.guest, thread, values))
                ),
            ),
        )


def tell_commands(guest: RunningGuest, thread: str, values: Mapping[str, int]) -> tuple[str, ...]:
    """Returns the lines that set an IOThread's parameters until the guest stops.

    Args:
        guest: The guest.
        thread: The IOThread's id in QEMU.
        values: Its parameters, by QEMU's names.

    Source: QEMU 10.0.2, run: `qom-set` of its human monitor, which `qm monitor` of Proxmox VE is.
    """
    line = tell_manager(guest, thread, values.items()) if values.keys() <= _POLL.keys() else ""
    if line:
        return (line,)
    where = "in its human monitor"
    if guest.manager == "proxmox" and guest.id:
        where = f"in qm monitor {quote(guest.id)}"
    return tuple(
        f"{where}: qom-set {find_object(thread)} {name} {value}" for name, value in values.items()
    )


def tell_keeping(guest: RunningGuest, thread: str, values: Mapping[str, int]) -> str:
    """Returns how an IOThread's parameters are kept for the next start; empty if it is not known.

    Args:
        guest: The guest.
        thread: The IOThread's id in QEMU.
        values: Its parameters, by QEMU's names.
    """
    options = "".join(f",{name}={value}" for name, value in values.items())
    if guest.manager == "libvirt":
        number = thread.removeprefix("iothread")
        if not number.isdecimal() or not values.keys() <= _POLL.keys():
            return ""
        poll = " ".join(f"{_POLL[name]}='{value}'" for name, value in values.items())
        return (
            f"in virsh edit {quote(guest.name)}, in <iothreadids>, since libvirt 9.4:"
            f" <iothread id='{number}'><poll {poll}/></iothread>"
        )
    if guest.manager == "proxmox":
        if thread.startswith(_PROXMOX_PREFIX):
            return f"Proxmox VE has no setting for {thread}: set it again after each start"
        return f"in the config's args: -object iothread,id={thread}{options}"
    if guest.manager == "none":
        return f"in QEMU's command line: -object iothread,id={thread}{options}"
    return ""
