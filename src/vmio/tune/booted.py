"""Measures trials on real guests: each boots a layout beside the guest as it is.

Both have empty scratch disks, whatever the guest's own are, and are gone after the trial.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Final

from msgspec import Struct

from vmio.bench.compare import BootedGuest, boot_pair, measure_pair
from vmio.bench.course import make_warm_up
from vmio.bench.result import Side
from vmio.formats.base import Guest
from vmio.managers.live import set_live
from vmio.model.host import Host
from vmio.model.plan import LiveChange
from vmio.qemu.boot import Boot
from vmio.tune.journal import TrialResult
from vmio.tune.objective import Gains, measure_gains
from vmio.tune.result import Tuning
from vmio.tune.search import Arm, Trial
from vmio.tune.space import LiveSetting, digest_space, keep_setting, list_left
from vmio.tune.tuner import SearchTask, Steps
from vmio.values import replace

__all__ = ["BOOT_S", "BootedTrials", "TuneTask"]

BOOT_S: Final = 15.0
"""About the time that both guests take to boot, to run fio once and to end."""


class TuneTask(SearchTask, frozen=True, kw_only=True):
    """A search for layouts that are booted."""

    guest: Guest
    host: Host
    """The host that the guest would run on."""
    scratch_bytes: int
    boot_s: float = BOOT_S

    @property
    def controllers(self) -> frozenset[str]:
        """The models of controllers that the benchmark guest needs drivers for."""
        return frozenset(
            controller.model
            for each in self.candidates
            for controller in each.layout.topology.controllers
        )

    @property
    def digest(self) -> str:
        """Returns a digest of everything that decides the trials, 64 hexadecimal digits."""
        return digest_space(
            self.candidates,
            self.disk,
            self.jobs,
            self.objective,
            self.effort,
            self.seed,
            self.scratch_bytes,
        )


class BootedTrials:
    """Boots the guests of each trial.

    Args:
        task: What is searched.
        boot: How guests are booted, with the benchmark guest's kernel.
        accelerator_reason: Why `boot` has this accelerator, for the report.
    """

    def __init__(self, task: TuneTask, boot: Boot, *, accelerator_reason: str = "") -> None:
        self._task = task
        self._boot = boot
        self._reason = accelerator_reason

    @asynccontextmanager
    async def open(self) -> AsyncIterator[SearchTask]:
        """Returns the task; there is nothing to get ready."""
        yield self._task

    async def measure(self, trial: Trial, steps: Steps) -> TrialResult:
        """Boots a layout beside the guest as it is, and measures the trial's pairs.

        Raises:
            GuestError: A guest does not boot, or does not answer.
            ToolError: QEMU or fio failed.
            QmpError: QEMU refuses a live setting.
        """
        task = self._task
        candidate = task.candidates[trial.layout]
        steps.prepare("booting")
        pairs: list[tuple[Gains, ...]] = []
        async with boot_pair(
            task.candidates[0].layout,
            candidate.layout,
            disk=task.disk,
            boot=self._boot,
            scratch_bytes=task.scratch_bytes,
        ) as guests:
            loops = await _find_loops(guests["B"], task.disk)
            # So that no measured run includes loading fio.
            await measure_pair(guests, make_warm_up(task.jobs[0]), first="A")
            for number, setting in enumerate(trial.settings):
                live = candidate.settings[setting]
                steps.pair(number, live.name)
                await loops.set(guests["B"], live)
                first: Side = "A" if number % 2 == 0 else "B"
                pairs.append(
                    tuple(
                        [
                            measure_gains(await measure_pair(guests, job, first=first))
                            for job in task.jobs
                        ]
                    )
                )
            steps.end()
        return TrialResult(number=trial.number, pairs=tuple(pairs))

    def conclude(self, tuning: Tuning, best: Arm | None) -> Tuning:
        """Returns a result with the accelerator, and with the plan to the best."""
        task = self._task
        tuning = replace(
            tuning, accelerator=self._boot.accelerator, accelerator_reason=self._reason
        )
        if best is None:
            return tuning
        candidate = task.candidates[best[0]]
        setting = candidate.settings[best[1]]
        plan = keep_setting(task.guest, task.host, candidate, setting)
        left = list_left(task.guest, plan, task.disk, candidate, setting)
        return replace(tuning, plan=plan, left=left)


class _Loops(Struct, frozen=True, kw_only=True):
    """The IOThreads that serve a disk, with the parameters and processors that they began with."""

    booted: Mapping[str, Mapping[str, int]]
    """By id, by the names of `IOThread`'s fields."""
    threads: Mapping[str, int]
    """Their ids on the host."""
    processors: frozenset[int]

    async def set(self, guest: BootedGuest, setting: LiveSetting) -> None:
        """Sets each parameter: that of the setting, or the one that the thread began with.

        Each time, also for the same value, so that every pair begins with the polling reset.
        """
        changes = [
            LiveChange(
                path=f"/objects/{thread}",
                property=name.replace("_", "-"),
                new=setting.parameters.get(name, value),
            )
            for thread, parameters in self.booted.items()
            for name, value in parameters.items()
        ]
        if changes:
            await set_live(guest.process.qmp, changes)
        last_first = sorted(self.processors, reverse=True)
        for number, thread_id in enumerate(self.threads.values()):
            own = {last_first[number % len(last_first)]}
            with suppress(ProcessLookupError):  # a dead guest is noticed when it is measured
                os.sched_setaffinity(thread_id, own if setting.pinned else self.processors)


async def _find_loops(guest: BootedGuest, disk: str) -> _Loops:
    """Returns the threads of a guest that serve a disk.

    Raises:
        QmpError: QEMU does not say what their parameters are.
    """
    topology = guest.subject.topology
    attached = topology.find_disk(disk)
    served = topology.served_by(attached) if attached is not None else ()
    names = ("poll_max_ns", "poll_grow", "poll_shrink", "aio_max_batch")
    booted = {
        iothread.id: {
            name: int(
                await guest.process.qmp.qom_get(f"/objects/{iothread.id}", name.replace("_", "-"))
            )
            for name in names
        }
        for iothread in topology.iothreads
        if iothread.id in served
    }
    return _Loops(
        booted=booted,
        threads={
            thread.name: thread_id
            for thread_id, thread in guest.target.threads.items()
            if thread.name in booted
        },
        processors=frozenset(os.sched_getaffinity(0)),
    )
