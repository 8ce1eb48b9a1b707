"""The order of a search's trials, decided by the results so far; pure.

A layout costs a boot, a live setting a millisecond. So layouts race first, with the settings that
they boot with; then the best of them race with each of their settings, all settings of a layout in
one boot. Both races halve the field each round, while the number of pairs for each that is left
doubles. Every figure is a ratio to the guest as it is, measured in the same pair, so that the load
of the host cancels. The winner's own figures flatter it, since it won by them: it is measured
again, and only those figures are reported.

Source: K. Jamieson and A. Talwalkar, Non-stochastic Best Arm Identification and Hyperparameter
Optimization, AISTATS 2016 (successive halving).
"""

from __future__ import annotations

import math
import random
from collections.abc import Generator, Mapping, Sequence
from typing import Final, Literal

from msgspec import Struct, field

from vmio.bench.statistics import MAX_PAIRS
from vmio.values import check_between

__all__ = [
    "BASELINE",
    "Arm",
    "Effort",
    "Found",
    "Search",
    "Stage",
    "Trial",
    "fit_effort",
    "rehearse",
    "search",
]

Arm = tuple[int, int]
"""A layout's number, and the number of one of its live settings."""
Stage = Literal["layouts", "settings", "confirmation"]

BASELINE: Final[Arm] = (0, 0)
"""The guest as it is, whose gain over itself is zero."""
_CONFIRMING_BOOTS: Final = 2
"""Boots that the pairs of the confirmation are spread over, since boots of one layout differ."""
_LEAST_CONFIRMING: Final = 8
_MOST_EFFORT: Final = 100
_LITTLE: Final = 1e-6
"""Decides between layouts only where the gains of their settings do not."""


class Effort(Struct, frozen=True, kw_only=True):
    """How much is measured."""

    pairs: int = 2
    """Pairs of runs for each candidate in the first round of a race."""
    finalists: int = 3
    """Layouts that are tried with each of their settings, besides the guest's own."""
    confirmation: int = _LEAST_CONFIRMING
    """Pairs that the winner is measured by in the end."""

    def __post_init__(self) -> None:
        check_between("pairs", self.pairs, 1, _MOST_EFFORT)
        check_between("finalists", self.finalists, 1, _MOST_EFFORT)
        check_between("confirmation", self.confirmation, 2 * _CONFIRMING_BOOTS, MAX_PAIRS)


class Trial(Struct, frozen=True, kw_only=True):
    """One boot of a layout beside the guest as it is."""

    number: int
    """Counted from 0."""
    stage: Stage
    layout: int
    settings: tuple[int, ...]
    """The live setting of each pair of runs, in their order."""


class Found(Struct, frozen=True, kw_only=True):
    """The result of a search."""

    best: Arm
    """`BASELINE` if nothing was better."""
    confirmation: tuple[float, ...] = ()
    """The winner's gains, measured once it had won; empty for `BASELINE`, or if that failed."""


_Gains = Sequence[float | None] | None
Search = Generator[Trial, _Gains, Found]
"""Yields trials, takes the gain of each of their pairs, and returns the result.

A pair without a gain has None, and so has a trial that failed. The same gains lead to the same
trials, so that a search goes on from a journal."""


class _Course(Struct, kw_only=True):
    """A search so far."""

    effort: Effort
    random: random.Random
    gains: dict[Arm, list[float]] = field(default_factory=dict)
    failed: set[int] = field(default_factory=set)
    trials: int = 0

    def average(self, arm: Arm) -> float:
        """Returns an arm's mean gain."""
        values = self.gains[arm]
        return math.fsum(values) / len(values)

    def try_layout(
        self, stage: Stage, layout: int, settings: tuple[int, ...]
    ) -> Generator[Trial, _Gains, _Gains]:
        """Yields one trial, and returns its gains; a layout that fails is out of every race."""
        trial = Trial(number=self.trials, stage=stage, layout=layout, settings=settings)
        self.trials += 1
        gains = yield trial
        if gains is None:
            self.failed.add(layout)
        return gains

    def race(self, stage: Stage, arms: Sequence[Arm], keep: int, field_size: int) -> _Race:
        """Yields the trials of a race, and returns the best of its arms, best first.

        Args:
            stage: The race.
            arms: What races.
            keep: How many are left at the end.
            field_size: How many candidates the pairs of a round are for, at `Effort.pairs` each.
        """
        left = list(arms)
        while len(left) > keep:
            pairs = max(1, self.effort.pairs * field_size // len(left))
            by_layout: dict[int, list[int]] = {}
            for layout, setting in left:
                by_layout.setdefault(layout, []).extend([setting] * pairs)
            order = list(by_layout)
            self.random.shuffle(order)
            for layout in order:
                settings = by_layout[layout]
                self.random.shuffle(settings)
                gains = yield from self.try_layout(stage, layout, tuple(settings))
                for setting, gain in zip(settings, gains or (), strict=gains is not None):
                    if gain is not None:
                        self.gains.setdefault((layout, setting), []).append(gain)
            left = [arm for arm in left if arm[0] not in self.failed and arm in self.gains]
            left.sort(key=self.average, reverse=True)
            left = left[: max(keep, math.ceil(len(left) / 2))]
        return left


_Race = Generator[Trial, _Gains, list[Arm]]


def search(settings: Sequence[int], effort: Effort, seed: int) -> Search:
    """Yields the trials of a search.

    Args:
        settings: How many live settings each layout has, the one that it boots with included; the
            first layout is the guest as it is.
        effort: How much is measured.
        seed: Decides the order of trials and of pairs.
    """
    course = _Course(effort=effort, random=random.Random(seed))  # noqa: S311 - no secret
    layouts = [(layout, 0) for layout in range(1, len(settings))]
    finalists = yield from course.race("layouts", layouts, effort.finalists, len(layouts))
    arms = [
        (layout, setting)
        for layout in sorted({0, *(layout for layout, _ in finalists)})
        for setting in range(settings[layout])
        if (layout, setting) != BASELINE
    ]
    # With few settings, the last rounds are as long as those of the first race.
    field_size = max(len(arms), len(layouts))
    winners = yield from course.race("settings", arms, 1, field_size)
    best = winners[0] if winners else BASELINE
    if best == BASELINE or (best in course.gains and course.average(best) <= 0):
        return Found(best=BASELINE)
    confirmation: list[float] = []
    for boot in range(_CONFIRMING_BOOTS):
        pairs = (effort.confirmation + boot) // _CONFIRMING_BOOTS
        gains = yield from course.try_layout("confirmation", best[0], (best[1],) * pairs)
        if gains is None:
            return Found(best=best)
        confirmation += [gain for gain in gains if gain is not None]
    return Found(best=best, confirmation=tuple(confirmation))


def rehearse(settings: Sequence[int], effort: Effort, seed: int) -> tuple[Trial, ...]:
    """Returns the trials of the longest search that is possible.

    Which layouts and settings reach the last rounds is known only from results. It takes longest
    if the layouts with the most settings do, and then as many layouts as possible.
    """
    steps = search(settings, effort, seed)
    trials: list[Trial] = []
    gains: Sequence[float] | None = None
    while True:
        try:
            trial = next(steps) if gains is None else steps.send(gains)
        except StopIteration:
            return tuple(trials)
        trials.append(trial)
        gains = [
            1 / (1 + setting) + _LITTLE * settings[trial.layout] for setting in trial.settings
        ]


def fit_effort(
    settings: Sequence[int], costs_s: Mapping[Literal["boot", "pair"], float], time_s: float
) -> Effort | None:
    """Returns the largest effort that a search has time for; None if there is none.

    The winner is confirmed by more pairs if the races have more.

    Args:
        settings: As for `search`.
        costs_s: How long it takes to boot a layout, and to measure a pair.
        time_s: The time.
    """
    fitting = None
    for pairs in range(1, _MOST_EFFORT + 1):
        effort = Effort(pairs=pairs, confirmation=max(_LEAST_CONFIRMING, 4 * pairs))
        trials = rehearse(settings, effort, seed=0)
        measured = sum(len(trial.settings) for trial in trials)
        if len(trials) * costs_s["boot"] + measured * costs_s["pair"] > time_s:
            break
        fitting = effort
    return fitting
