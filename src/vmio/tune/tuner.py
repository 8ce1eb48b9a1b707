"""Runs a search on real guests: each trial boots a layout beside the guest as it is.

Both have empty scratch disks, whatever the guest's own are, and are gone after the trial.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from msgspec import Struct, field

from vmio import __version__
from vmio.bench.compare import BootedGuest, boot_pair, measure_pair
from vmio.bench.course import Progress, make_warm_up
from vmio.bench.extent import estimate_pair_s
from vmio.bench.host_facts import read_host_facts
from vmio.bench.jobs import Job
from vmio.bench.result import HostFacts, Side
from vmio.bench.statistics import PairedRatio, paired_ratio
from vmio.errors import InputError, ToolError, UsageError, VmioError
from vmio.formats.base import Guest
from vmio.managers.live import set_live
from vmio.model.host import Host
from vmio.model.plan import LiveChange
from vmio.qemu.boot import Boot
from vmio.tune.journal import Journal, TrialResult, open_journal
from vmio.tune.objective import Gains, Metric, Objective, find_front, measure_gains
from vmio.tune.result import MetricRatio, Tried, Tuning
from vmio.tune.search import (
    BASELINE,
    Arm,
    Effort,
    Found,
    Stage,
    Trial,
    fit_effort,
    rehearse,
    search,
)
from vmio.tune.space import Candidate, LiveSetting, digest_space, keep_setting, list_left
from vmio.units import format_time_s
from vmio.values import replace

__all__ = ["TuneTask", "Tuner", "choose_effort", "estimate_duration_s", "estimate_trial_s"]

_BOOT_S: Final = 15.0
"""About the time that both guests take to boot, to run fio once and to end."""
_ATTEMPTS: Final = 2
_MOST_FAILURES: Final = 3
"""Failures one after the other until the search ends: then it is the host's fault."""
_METRICS: Final[tuple[Metric, ...]] = ("iops", "p99", "cpu")
_LONGEST_FAILURE: Final = 300


class TuneTask(Struct, frozen=True, kw_only=True):
    """What is searched, and how."""

    guest: Guest
    host: Host
    """The host that the guest would run on."""
    candidates: tuple[Candidate, ...]
    """The first is the guest as it is."""
    disk: str
    jobs: tuple[Job, ...]
    objective: Objective
    effort: Effort
    seed: int
    scratch_bytes: int
    journal: Path | None = None

    @property
    def controllers(self) -> frozenset[str]:
        """The models of controllers that the benchmark guest needs drivers for."""
        return frozenset(
            controller.model
            for each in self.candidates
            for controller in each.layout.topology.controllers
        )

    @property
    def counts(self) -> tuple[int, ...]:
        """Returns how many live settings each layout has."""
        return tuple(len(each.settings) for each in self.candidates)

    @property
    def trials(self) -> tuple[Trial, ...]:
        """Returns the most trials that the search can have; which ones is known by results."""
        return rehearse(self.counts, self.effort, self.seed)


class _Figures(Struct, kw_only=True):
    """What was measured of one arm."""

    pairs: list[tuple[Gains, ...]] = field(default_factory=list)
    stage: Stage = "layouts"


class _Duration(Struct, kw_only=True):
    """How long something takes: as estimated, then the mean of what was measured here."""

    mean_s: float
    count: int = 0
    """How many were measured."""

    def add(self, time_s: float) -> None:
        """Adds one that was measured."""
        self.mean_s = (self.mean_s * self.count + time_s) / (self.count + 1)
        self.count += 1


class Tuner:
    """One search, whose results so far can be asked for at any time."""

    def __init__(
        self,
        task: TuneTask,
        boot: Boot,
        *,
        accelerator_reason: str = "",
    ) -> None:
        """Prepares a search; nothing is booted.

        Args:
            task: What is searched.
            boot: How guests are booted, with the benchmark guest's kernel.
            accelerator_reason: Why `boot` has this accelerator, for the report.
        """
        self._task = task
        self._boot = boot
        self._reason = accelerator_reason
        self._report: Callable[[Progress], None] = lambda _: None
        self._planned = task.trials
        self._total_s = estimate_duration_s(task)
        self._done_s = 0.0
        """About how long the finished trials take on a quiet host."""
        self._done_pairs = 0
        """The pairs of the finished trials, those that failed included."""
        self._boot_time = _Duration(mean_s=_BOOT_S)
        self._pair_time = _Duration(mean_s=_estimate_pairs_s(task.jobs))
        self._figures: dict[Arm, _Figures] = {}
        self._failures: dict[str, str] = {}
        self._failed_in_a_row = 0
        self._trials = 0
        self._pairs = 0
        self._began_s = time.monotonic()
        self._host = HostFacts()
        self._found: Found | None = None

    async def run(self, report: Callable[[Progress], None] = lambda _: None) -> Tuning:
        """Searches until there is a winner, going on from the journal if it has results.

        Args:
            report: Called with the progress before each pair.

        Raises:
            GuestError: No guest boots, or none answers.
            ToolError: QEMU or fio fails with every layout.
            UsageError: The journal is another search's.
            InputError: The journal is none.
            ConflictError: Another search writes to the journal.
            OutputError: The journal cannot be written; what it has is whole.
        """
        task, self._report = self._task, report
        self._began_s, self._host = time.monotonic(), read_host_facts()
        digest = digest_space(
            task.candidates,
            task.disk,
            task.jobs,
            task.objective,
            task.effort,
            task.seed,
            task.scratch_bytes,
        )
        with open_journal(task.journal, digest) as journal:
            self._found = await self._search(journal)
        self._report(Progress(share=1.0, words="done", left_s=0.0))
        return self.summarise()

    async def _search(self, journal: Journal) -> Found:
        steps = search(self._task.counts, self._task.effort, self._task.seed)
        known = tuple(journal.results)
        # Kept once a later trial succeeds: if all fail, the next search tries them again.
        failed: list[TrialResult] = []
        gains: Sequence[float | None] | None = None
        while True:
            try:
                trial = next(steps) if self._trials == 0 else steps.send(gains)
            except StopIteration as stop:
                for each in failed:
                    journal.append(each)
                found: Found = stop.value
                return found
            if trial.number < len(known):
                result = known[trial.number]
            else:
                result = await self._measure_again(trial)
                failed.append(result)
                if not result.failure:
                    for each in failed:
                        journal.append(each)
                    failed.clear()
            gains = self._take(trial, result)

    async def _measure_again(self, trial: Trial) -> TrialResult:
        """Measures a trial, and once more if it fails: on a busy host a guest can miss its time.

        Raises:
            VmioError: It was the third failure in a row.
        """
        failure = ""
        for _ in range(_ATTEMPTS):
            try:
                result = await self.measure(trial)
            except VmioError as error:
                failure = _shorten(error)
                self._failed_in_a_row += 1
                if self._failed_in_a_row == _MOST_FAILURES:
                    raise
            else:
                self._failed_in_a_row = 0
                return result
        return TrialResult(number=trial.number, failure=failure)

    def _take(self, trial: Trial, result: TrialResult) -> tuple[float | None, ...] | None:
        """Adds a result to the figures, and returns the gains that the search is told."""
        self._trials += 1
        self._done_s += estimate_trial_s(self._task, trial)
        self._done_pairs += len(trial.settings)
        candidate = self._task.candidates[trial.layout]
        if result.failure:
            self._failures[candidate.name] = result.failure
            return None
        self._pairs += len(result.pairs)
        if len(result.pairs) != len(trial.settings):
            raise InputError(f"{self._task.journal} has another number of pairs than its trials")
        if trial.stage != "confirmation":
            for setting, pair in zip(trial.settings, result.pairs, strict=True):
                figures = self._figures.setdefault((trial.layout, setting), _Figures())
                figures.pairs.append(pair)
                figures.stage = trial.stage
        return tuple(self._task.objective.score(pair) for pair in result.pairs)

    async def measure(self, trial: Trial) -> TrialResult:
        """Boots a layout beside the guest as it is, and measures the trial's pairs.

        Raises:
            GuestError: A guest does not boot, or does not answer.
            ToolError: QEMU or fio failed.
            QmpError: QEMU refuses a live setting.
        """
        task = self._task
        candidate = task.candidates[trial.layout]
        self._note(trial, 0, "booting")
        pairs: list[tuple[Gains, ...]] = []
        began_s = time.monotonic()
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
            self._boot_time.add(time.monotonic() - began_s)
            for number, setting in enumerate(trial.settings):
                live = candidate.settings[setting]
                self._note(trial, number, live.name, booted=True)
                began_s = time.monotonic()
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
                self._pair_time.add(time.monotonic() - began_s)
        return TrialResult(number=trial.number, pairs=tuple(pairs))

    def _note(self, trial: Trial, pair: int, words: str, *, booted: bool = False) -> None:
        """Reports what is measured, and about how long the rest takes at most.

        A busy host boots guests several times more slowly, and runs fio about as long as ever, so
        that boots and pairs are counted apart.
        """
        task = self._task
        done_s = self._done_s + _BOOT_S * booted + pair * _estimate_pairs_s(task.jobs)
        boots = len(self._planned) - self._trials - booted
        pairs = sum(len(each.settings) for each in self._planned) - self._done_pairs - pair
        left_s = max(0, boots) * self._boot_time.mean_s + max(0, pairs) * self._pair_time.mean_s
        what = f"{trial.stage}: {task.candidates[trial.layout].name}"
        self._report(
            Progress(
                share=min(0.999, done_s / self._total_s),
                words=f"trial {trial.number + 1}, {what}{f', {words}' if words else ''}",
                left_s=left_s,
            )
        )

    def summarise(self) -> Tuning:
        """Returns the results so far."""
        task, found = self._task, self._found
        tried = self._list_tried()
        winner = None
        confirmed, plan = None, None
        left: tuple[str, ...] = ()
        if found is not None and found.best != BASELINE:
            winner = next((each for each in tried if self._is_arm(each, found.best)), None)
            confirmed = _confirm(found.confirmation)
            winner = winner or self._describe(found.best, _Figures(stage="confirmation"))
            if confirmed is not None and confirmed.verdict == "higher":
                candidate, setting = self._look_up(found.best)
                plan = keep_setting(task.guest, task.host, candidate, setting)
                left = list_left(task.guest, plan, task.disk, candidate, setting)
        vm = task.guest.vm
        return Tuning(
            guest=f"{vm.id} {vm.name}".strip(),
            disk=task.disk,
            jobs=task.jobs,
            objective=task.objective,
            effort=task.effort,
            seed=task.seed,
            layouts=len(task.candidates),
            trials=self._trials,
            planned=len(self._planned),
            pairs=self._pairs,
            tried=tried,
            failures=tuple(self._failures.items()),
            finished=found is not None,
            winner=winner,
            confirmed=confirmed,
            plan=plan,
            left=left,
            host=self._host,
            accelerator=self._boot.accelerator,
            accelerator_reason=self._reason,
            vmio_version=__version__,
            duration_s=time.monotonic() - self._began_s,
        )

    def _list_tried(self) -> tuple[Tried, ...]:
        tried = [self._describe(arm, figures) for arm, figures in self._figures.items()]
        if len(self._task.objective.metrics) > 1:
            front = find_front(
                {
                    number: _take_two(each, self._task.objective)
                    for number, each in enumerate(tried)
                }
            )
            tried = [replace(each, on_front=number in front) for number, each in enumerate(tried)]
        return tuple(sorted(tried, key=lambda each: each.ratio, reverse=True))

    def _describe(self, arm: Arm, figures: _Figures) -> Tried:
        candidate, setting = self._look_up(arm)
        objective = self._task.objective
        metrics = []
        for metric in _METRICS:
            ratio = _average_ratio(objective.average(metric, pair) for pair in figures.pairs)
            if ratio is not None:
                metrics.append(MetricRatio(metric=metric, ratio=ratio))
        ratio = _average_ratio(objective.score(pair) for pair in figures.pairs)
        return Tried(
            layout=candidate.name,
            setting=setting.name,
            ratio=1.0 if ratio is None else ratio,
            metrics=tuple(metrics),
            pairs=len(figures.pairs),
            busy_pairs=sum(any(job.busy for job in pair) for pair in figures.pairs),
            stage=figures.stage,
        )

    def _look_up(self, arm: Arm) -> tuple[Candidate, LiveSetting]:
        candidate = self._task.candidates[arm[0]]
        return candidate, candidate.settings[arm[1]]

    def _is_arm(self, tried: Tried, arm: Arm) -> bool:
        candidate, setting = self._look_up(arm)
        return (tried.layout, tried.setting) == (candidate.name, setting.name)


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


def choose_effort(candidates: Sequence[Candidate], jobs: Sequence[Job], time_s: float) -> Effort:
    """Returns the largest effort that a search has time for.

    Raises:
        UsageError: Even the least takes longer.
    """
    counts = [len(each.settings) for each in candidates]
    pair_s = _estimate_pairs_s(jobs)
    effort = fit_effort(counts, {"boot": _BOOT_S, "pair": pair_s}, time_s)
    if effort is None:
        trials = rehearse(counts, Effort(pairs=1), 0)
        least_s = sum(_BOOT_S + len(trial.settings) * pair_s for trial in trials)
        raise UsageError(
            f"the shortest search takes about {format_time_s(least_s)}",
            hint="give it more --time, vary less with --vary, or measure fewer or shorter jobs",
        )
    return effort


def estimate_duration_s(task: TuneTask) -> float:
    """Returns about the longest time that a search takes, in seconds."""
    return math.fsum(estimate_trial_s(task, trial) for trial in task.trials) or _BOOT_S


def estimate_trial_s(task: TuneTask, trial: Trial) -> float:
    """Returns about how long a trial takes, in seconds."""
    return _BOOT_S + len(trial.settings) * _estimate_pairs_s(task.jobs)


def _estimate_pairs_s(jobs: Sequence[Job]) -> float:
    return math.fsum(estimate_pair_s(job) for job in jobs)


def _shorten(error: VmioError) -> str:
    words = error.message
    if isinstance(error, ToolError) and error.output:
        words += f": {error.output.strip().splitlines()[-1] if error.output.strip() else ''}"
    return words[:_LONGEST_FAILURE] or type(error).__name__


def _confirm(gains: Sequence[float]) -> PairedRatio | None:
    if len(gains) < 2:  # noqa: PLR2004  # a spread needs two
        return None
    return paired_ratio([(1.0, math.exp(gain)) for gain in gains])


def _average_ratio(gains: Iterable[float | None]) -> float | None:
    """Returns the geometric mean of the ratios that were measured; None if there is none."""
    known = [gain for gain in gains if gain is not None]
    return math.exp(math.fsum(known) / len(known)) if known else None


def _take_two(tried: Tried, objective: Objective) -> tuple[float, float]:
    ratios = {each.metric: each.ratio for each in tried.metrics}
    first, second = objective.metrics
    return ratios.get(first, 0.0), ratios.get(second, 0.0)
