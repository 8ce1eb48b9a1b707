"""The search on simulated landscapes, with fixed seeds."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

import pytest

from vmio.tune.search import BASELINE, Arm, Effort, Found, Trial, fit_effort, rehearse, search

RUNS = 400


class Landscape:
    """True gains of layouts and settings, with noise in what is measured of them."""

    def __init__(
        self, seed: int, *, layouts: int, settings: int, noise: float, tail: float = 5
    ) -> None:
        self.random = random.Random(seed)  # noqa: S311 - no secret
        self.noise = noise
        self.tail = tail
        self.counts = [settings] * layouts
        effects = [0.0, *(self.random.gauss(0, 0.08) for _ in range(layouts - 1))]
        # A setting has about the same effect everywhere, and a little of its own in each layout.
        common = [0.0, *(self.random.gauss(0, 0.08) for _ in range(settings - 1))]
        self.gains: dict[Arm, float] = {
            (layout, setting): effects[layout]
            + common[setting]
            + (self.random.gauss(0, 0.02) if setting else 0.0)
            for layout in range(layouts)
            for setting in range(settings)
        }
        self.pairs = 0
        self.trials: list[Trial] = []

    def measure(self, trial: Trial) -> list[float]:
        """Returns noisy gains; as on a busy host, one in twenty is `tail` times as far off."""
        self.pairs += len(trial.settings)
        self.trials.append(trial)
        return [
            self.gains[trial.layout, setting]
            + self.random.gauss(0, self.noise * (self.tail if self.random.random() < 0.05 else 1))
            for setting in trial.settings
        ]

    def search(self, effort: Effort, failing: Sequence[int] = ()) -> Found:
        """Runs a whole search."""
        steps = search(self.counts, effort, seed=7)
        trial = next(steps)
        while True:
            gains = None if trial.layout in failing else self.measure(trial)
            try:
                trial = steps.send(gains)
            except StopIteration as stop:
                found: Found = stop.value
                return found

    def lose(self, found: Found) -> float:
        """Returns the share that what was found lacks of the best, such as 0.02."""
        return 1 - math.exp(self.gains[found.best] - max(self.gains.values()))


def count_close(losses: Sequence[float], within: float) -> int:
    """Returns how many losses are no larger."""
    return sum(loss <= within for loss in losses)


def assert_share(close: int, share: float) -> None:
    """Accepts three binomial standard errors below a share of `RUNS`."""
    error = math.sqrt(share * (1 - share) / RUNS)
    assert close / RUNS >= share - 3 * error


@pytest.mark.parametrize(
    ("noise", "pairs", "within", "share"),
    [(0.05, 2, 0.02, 0.93), (0.05, 2, 0.05, 0.99), (0.1, 4, 0.02, 0.81), (0.1, 4, 0.05, 0.96)],
)
def test_search_finds_the_best_setting_of_the_best_layout(
    noise: float, pairs: int, within: float, share: float
) -> None:
    """Of 16 layouts with 4 settings each it picks one close to the best, with heavy tails too."""
    losses = []
    for seed in range(RUNS):
        landscape = Landscape(seed, layouts=16, settings=4, noise=noise)
        losses.append(landscape.lose(landscape.search(Effort(pairs=pairs))))
    assert_share(count_close(losses, within), share)


@pytest.mark.parametrize(
    ("noise", "pairs", "within", "share"),
    [
        (0.05, 1, 0.02, 0.96),
        (0.1, 1, 0.02, 0.82),
        (0.1, 1, 0.05, 0.94),
        (0.1, 2, 0.02, 0.92),
        (0.1, 2, 0.05, 0.99),
    ],
)
def test_search_finds_the_best_layout_as_often_as_halving(
    noise: float, pairs: int, within: float, share: float
) -> None:
    """Of 16 layouts whose gains spread by 8 %, with normal noise and 64 or 128 pairs.

    The shares are those of a simulation of plain successive halving with as many runs.
    """
    losses = []
    for seed in range(RUNS):
        landscape = Landscape(seed, layouts=17, settings=1, noise=noise, tail=1)
        effort = Effort(pairs=pairs, finalists=2)
        losses.append(landscape.lose(landscape.search(effort)))
        assert landscape.pairs <= 64 * pairs + effort.confirmation
    assert_share(count_close(losses, within), share)


def test_search_needs_a_quarter_of_a_grid() -> None:
    """Of eight pairs at each point of a grid of 64, it measures at most a quarter."""
    for seed in range(20):
        landscape = Landscape(seed, layouts=16, settings=4, noise=0.05)
        landscape.search(Effort(pairs=1))
        assert landscape.pairs <= 64 * 8 / 4


def test_search_keeps_the_guest_as_it_is_if_nothing_is_better() -> None:
    """Where all else is worse, nothing is confirmed."""
    landscape = Landscape(1, layouts=5, settings=3, noise=0.01)
    landscape.gains = {arm: 0.0 if arm == BASELINE else -0.5 for arm in landscape.gains}
    assert landscape.search(Effort()) == Found(best=BASELINE)
    assert {trial.stage for trial in landscape.trials} == {"layouts", "settings"}


def test_search_confirms_by_fresh_figures() -> None:
    """The gains that are reported are those of the last trials, and not those that won."""
    landscape = Landscape(2, layouts=8, settings=4, noise=0.3)
    landscape.gains = dict.fromkeys(landscape.gains, 0.1)
    found = landscape.search(Effort(confirmation=400))
    assert len(found.confirmation) == 400
    mean = math.fsum(found.confirmation) / 400
    assert mean == pytest.approx(0.1, abs=5 * 0.3 * math.sqrt(0.05 * 25 + 0.95) / 20)
    assert [trial.stage for trial in landscape.trials[-2:]] == ["confirmation"] * 2


def test_search_tries_all_settings_of_a_layout_in_one_boot() -> None:
    """A round has one trial for each layout; its settings are mixed."""
    landscape = Landscape(3, layouts=6, settings=4, noise=0.05)
    landscape.search(Effort(pairs=2, finalists=2))
    first = [trial for trial in landscape.trials if trial.stage == "settings"][:3]
    assert len({trial.layout for trial in first}) == 3
    assert {len(set(trial.settings)) for trial in first} == {3, 4}  # the baseline is not measured
    assert any(list(trial.settings) != sorted(trial.settings) for trial in first)


@pytest.mark.parametrize("failing", [(1,), (1, 2, 3), (0, 1, 2, 3, 4, 5)])
def test_search_goes_on_without_layouts_that_fail(failing: tuple[int, ...]) -> None:
    """What fails is out; if everything does, the guest stays as it is."""
    landscape = Landscape(4, layouts=6, settings=3, noise=0.01)
    found = landscape.search(Effort(), failing)
    assert found.best[0] not in failing or found.best == BASELINE
    for layout in failing:
        assert not any(trial.layout == layout for trial in landscape.trials)


def test_search_goes_on_without_pairs_that_have_no_gain() -> None:
    """A pair in which the metric was not measured is left out; an arm without any is out."""
    steps = search([1, 3], Effort(pairs=2), seed=0)
    trial = next(steps)
    gains = {0: (0.1, None), 1: (None, None), 2: (0.3, 0.3)}
    seen = dict.fromkeys(gains, 0)
    told = []
    for setting in trial.settings:
        told.append(gains[setting][seen[setting] % 2])
        seen[setting] += 1
    trial = steps.send(told)
    assert trial.stage == "confirmation"
    assert set(trial.settings) == {2}
    trial = steps.send([0.2, None, 0.2, None])
    with pytest.raises(StopIteration) as stop:
        steps.send([0.2] * len(trial.settings))
    assert stop.value.value == Found(best=(1, 2), confirmation=(0.2,) * 6)


def test_search_without_confirmation_has_none() -> None:
    """A winner that fails when it is measured again has no confirmed gain."""
    steps = search([1, 1], Effort(), seed=0)
    assert next(steps).stage == "confirmation"
    with pytest.raises(StopIteration) as stop:
        steps.send(None)
    assert stop.value.value == Found(best=(1, 0))


def test_search_repeats_itself() -> None:
    """The same results lead to the same trials, so that a journal can be replayed."""
    first, second = (Landscape(5, layouts=9, settings=4, noise=0.05) for _ in range(2))
    assert first.search(Effort()) == second.search(Effort())
    assert first.trials == second.trials
    assert [trial.number for trial in first.trials] == list(range(len(first.trials)))


@pytest.mark.parametrize("counts", [[1], [1, 1], [4], [1, 4, 4, 4], [5] * 16])
def test_rehearsal_is_at_least_as_long_as_the_search(counts: list[int]) -> None:
    """What is said beforehand is an upper bound."""
    planned = rehearse(counts, Effort(), seed=3)
    for seed in range(20 if planned else 0):
        landscape = Landscape(seed, layouts=len(counts), settings=max(counts), noise=0.05)
        landscape.counts = counts
        landscape.search(Effort())
        assert landscape.pairs <= sum(len(trial.settings) for trial in planned)
        assert len(landscape.trials) <= len(planned)


def test_effort_fits_the_time() -> None:
    """More time measures more; too little is none at all."""
    counts = [5] * 8
    costs: dict[str, float] = {"boot": 10.0, "pair": 2.0}
    assert fit_effort(counts, {"boot": 10.0, "pair": 2.0}, 60.0) is None
    efforts = [fit_effort(counts, {"boot": 10.0, "pair": 2.0}, time_s) for time_s in (600, 3600)]
    pairs = [effort.pairs for effort in efforts if effort is not None]
    assert len(pairs) == 2
    assert pairs[0] < pairs[1]
    effort = efforts[1]
    assert effort is not None
    assert effort.confirmation > Effort().confirmation
    trials = rehearse(counts, effort, seed=1)
    measured = sum(len(trial.settings) for trial in trials)
    assert len(trials) * costs["boot"] + measured * costs["pair"] <= 3600
