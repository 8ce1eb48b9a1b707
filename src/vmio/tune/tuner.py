"""Runs a search: its trials in their order, its journal, and its results at any time."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Final, Protocol

from msgspec import Struct, field

from vmio import __version__
from vmio.bench.course import Progress
from vmio.bench.extent import estimate_pair_s
from vmio.bench.host_facts import read_host_facts
from vmio.bench.jobs import Job
from vmio.bench.result import HostFacts
from vmio.bench.statistics import PairedRatio, paired_ratio
from vmio.errors import InputError, ToolError, UsageError, VmioError
from vmio.tune.journal import Journal, TrialResult, open_journal
from vmio.tune.objective import Gains, Metric, Objective, find_front
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
from vmio.tune.space import Candidate, LiveSetting
from vmio.units import format_time_s
from vmio.values import replace

__all__ = [
    "SearchTask",
    "Steps",
    "Trials",
    "Tuner",
    "choose_effort",
    "estimate_duration_s",
    "estimate_trial_s",
]

_ATTEMPTS: Final = 2
_MOST_FAILURES: Final = 3
"""Failures one after the other until the search ends: then it is the host's fault."""
_METRICS: Final[tuple[Metric, ...]] = ("iops", "p99", "cpu")
_LONGEST_FAILURE: Final = 300


class SearchTask(Struct, frozen=True, kw_only=True):
    """What is searched, whatever measures it."""

    name: str
    """What people call the guest."""
    candidates: tuple[Candidate, ...]
    """The first is the guest as it is."""
    disk: str
    jobs: tuple[Job, ...]
    objective: Objective
    effort: Effort
    seed: int
    journal: Path | None = None
    boot_s: float = 0.0
    """About how long a trial takes besides its pairs."""

    @property
    def counts(self) -> tuple[int, ...]:
        """Returns how many live settings each layout has."""
        return tuple(len(each.settings) for each in self.candidates)

    @property
    def trials(self) -> tuple[Trial, ...]:
        """Returns the most trials that the search can have; which ones is known by results."""
        return rehearse(self.counts, self.effort, self.seed)

    @property
    def digest(self) -> str:
        """Returns a digest of everything that decides the trials, 64 hexadecimal digits."""
        raise NotImplementedError


class Steps(Protocol):
    """Is told how far a trial is."""

    def prepare(self, words: str) -> None:
        """Takes what comes before the first pair."""

    def pair(self, number: int, words: str) -> None:
        """Takes the pair that begins, counted from 0, and its setting."""

    def end(self) -> None:
        """Takes that the last pair is over."""


class Trials(Protocol):
    """Measures the trials of a search."""

    def open(self) -> AbstractAsyncContextManager[SearchTask]:
        """Gets ready, and leaves everything as it was when the body ends, however it does.

        Returns:
            What is searched, as far as it is known by now.
        """

    async def measure(self, trial: Trial, steps: Steps) -> TrialResult:
        """Measures the pairs of a trial.

        Raises:
            VmioError: It failed.
        """

    def conclude(self, tuning: Tuning, best: Arm | None) -> Tuning:
        """Returns a result with what only this knows of it.

        Args:
            tuning: The result.
            best: What is confirmed to be better; None for nothing.
        """


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

    def __init__(self, task: SearchTask, trials: Trials) -> None:
        """Prepares a search; nothing is measured.

        Args:
            task: What is searched.
            trials: What measures it.
        """
        self._task = task
        self._bench = trials
        self._report: Callable[[Progress], None] = lambda _: None
        self._planned = task.trials
        self._total_s = estimate_duration_s(task)
        self._done_s = 0.0
        """About how long the finished trials take on a quiet host."""
        self._done_pairs = 0
        """The pairs of the finished trials, those that failed included."""
        self.boot_time = _Duration(mean_s=task.boot_s)
        self.pair_time = _Duration(mean_s=_estimate_pairs_s(task.jobs))
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
            VmioError: As `Trials.open` and `Trials.measure`.
            UsageError: The journal is another search's.
            InputError: The journal is none.
            ConflictError: Another search writes to the journal.
            OutputError: The journal cannot be written; what it has is whole.
        """
        self._report = report
        self._began_s, self._host = time.monotonic(), read_host_facts()
        async with self._bench.open() as task:
            self._task = task
            self._planned, self._total_s = task.trials, estimate_duration_s(task)
            with open_journal(task.journal, task.digest) as journal:
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
            VmioError: It was the third failure in a row, or there is no other layout.
        """
        failure = ""
        most = _MOST_FAILURES if len(self._task.candidates) > 1 else _ATTEMPTS
        for _ in range(_ATTEMPTS):
            try:
                result = await self._bench.measure(trial, _Steps(self, trial))
            except VmioError as error:
                failure = _shorten(error)
                self._failed_in_a_row += 1
                if self._failed_in_a_row == most:
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

    def note(self, trial: Trial, pair: int, words: str, *, booted: bool = False) -> None:
        """Reports what is measured, and about how long the rest takes at most.

        A busy host boots guests several times more slowly, and runs fio about as long as ever, so
        that boots and pairs are counted apart.
        """
        task = self._task
        done_s = self._done_s + task.boot_s * booted + pair * _estimate_pairs_s(task.jobs)
        boots = len(self._planned) - self._trials - booted
        pairs = sum(len(each.settings) for each in self._planned) - self._done_pairs - pair
        left_s = max(0, boots) * self.boot_time.mean_s + max(0, pairs) * self.pair_time.mean_s
        what = ": ".join(filter(None, (trial.stage, task.candidates[trial.layout].name)))
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
        confirmed = None
        if found is not None and found.best != BASELINE:
            winner = next((each for each in tried if self._is_arm(each, found.best)), None)
            confirmed = _confirm(found.confirmation)
            winner = winner or self._describe(found.best, _Figures(stage="confirmation"))
        tuning = Tuning(
            guest=task.name,
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
            host=self._host,
            accelerator="as it runs",
            vmio_version=__version__,
            duration_s=time.monotonic() - self._began_s,
        )
        best = found.best if found is not None and tuning.better else None
        return self._bench.conclude(tuning, best)

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


class _Steps:
    """Reports how far a trial of a search is, and takes the time of its parts."""

    def __init__(self, tuner: Tuner, trial: Trial) -> None:
        self._tuner = tuner
        self._trial = trial
        self._began_s = 0.0
        self._part: _Duration | None = None

    def prepare(self, words: str) -> None:
        self._tuner.note(self._trial, 0, words)
        self._begin(self._tuner.boot_time)

    def pair(self, number: int, words: str) -> None:
        self._begin(self._tuner.pair_time)
        self._tuner.note(self._trial, number, words, booted=True)

    def end(self) -> None:
        self._begin(None)

    def _begin(self, part: _Duration | None) -> None:
        now_s = time.monotonic()
        if self._part is not None:
            self._part.add(now_s - self._began_s)
        self._part, self._began_s = part, now_s


def choose_effort(
    candidates: Sequence[Candidate], jobs: Sequence[Job], time_s: float, *, boot_s: float
) -> Effort:
    """Returns the largest effort that a search has time for.

    Args:
        candidates: What is searched.
        jobs: What is measured.
        time_s: The time.
        boot_s: About how long a trial takes besides its pairs.

    Raises:
        UsageError: Even the least takes longer.
    """
    counts = [len(each.settings) for each in candidates]
    pair_s = _estimate_pairs_s(jobs)
    effort = fit_effort(counts, {"boot": boot_s, "pair": pair_s}, time_s)
    if effort is None:
        trials = rehearse(counts, Effort(pairs=1), 0)
        least_s = sum(boot_s + len(trial.settings) * pair_s for trial in trials)
        raise UsageError(
            f"the shortest search takes about {format_time_s(least_s)}",
            hint="give it more --time, vary less with --vary, or measure fewer or shorter jobs",
        )
    return effort


def estimate_duration_s(task: SearchTask) -> float:
    """Returns about the longest time that a search takes, in seconds."""
    return math.fsum(estimate_trial_s(task, trial) for trial in task.trials) or 1.0


def estimate_trial_s(task: SearchTask, trial: Trial) -> float:
    """Returns about how long a trial takes, in seconds."""
    return task.boot_s + len(trial.settings) * _estimate_pairs_s(task.jobs)


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
