"""Holds the search of `vmio tune` against an exhaustive grid of layouts and live settings.

    tune.py record GRID [--pairs 8] [--job JOB]    measures every layout with every setting
    tune.py judge [GRID...]                        searches it, a hundred times, without a guest
    tune.py search GRID                            searches it once more, on real guests

The grid is the space of `vmio tune examples/701.conf --vary threads --vary aio --vary polling`,
with four settings of each IOThread. An interrupted `record` is continued. `judge` takes the means
of the recorded gains as the truth, adds noise of 5 and 10 % to each pair, and prints how often the
search finds a setting within 5 % of the best, and with how many of the grid's pairs; without
arguments, of the grids in tests/data. `search` measures the winner of a new search and the best
point of the grid afresh, by turns, each against the guest as it is.
"""

from __future__ import annotations

import argparse
import math
import random
from pathlib import Path
from typing import Final

import msgspec

from vmio import app
from vmio.bench.statistics import welch_interval
from vmio.guest.image import ensure_image
from vmio.qemu.boot import Boot
from vmio.qemu.signals import run_async
from vmio.tune.booted import BootedTrials, TuneTask
from vmio.tune.journal import open_journal
from vmio.tune.search import BASELINE, Arm, Effort, Found, Trial, search
from vmio.tune.space import AS_BOOTED, LiveSetting, digest_space
from vmio.values import replace

ROOT: Final = Path(__file__).parents[1]
CONFIG: Final = ROOT / "examples/701.conf"
GRIDS: Final = ROOT / "tests/data/grids"
JOB: Final = "name=depth-8,rw=randread,bs=4k,iodepth=8,runtime=0.3,ramp=0.1"
SETTINGS: Final = (
    AS_BOOTED,
    LiveSetting(poll_max_ns=0),
    LiveSetting(poll_max_ns=131_072),
    LiveSetting(poll_max_ns=1_000_000),
)
FRESH_BOOTS: Final = 4
FRESH_PAIRS: Final = 4
"""Of each boot in which a point is measured again."""
SEEDS: Final = 100


class Point(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A layout with a live setting."""

    layout: str
    setting: str
    """Empty for what it boots with."""
    gains: tuple[float, ...]
    """Natural logarithms of the ratio to the guest as it is, a pair of runs each."""


class Grid(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was measured of every point."""

    job: str
    busy_pairs: int
    """Pairs in which the host was too busy to trust them."""
    points: tuple[Point, ...]
    """Layouts in order, each with its settings in order; the first is the guest as it is."""

    @property
    def counts(self) -> tuple[int, ...]:
        """How many settings each layout has."""
        names = [each.layout for each in self.points]
        return tuple(names.count(name) for name in dict.fromkeys(names))

    @property
    def arms(self) -> dict[Arm, Point]:
        """Each point by the numbers of its layout and its setting."""
        numbers = [(n, each) for n, count in enumerate(self.counts) for each in range(count)]
        return dict(zip(numbers, self.points, strict=True))

    @property
    def means(self) -> dict[Arm, float]:
        """The mean gain of each point; that of the guest as it is is zero."""
        means = {arm: math.fsum(each.gains) / len(each.gains) for arm, each in self.arms.items()}
        return {**means, BASELINE: 0.0}

    @property
    def pairs(self) -> int:
        """How many pairs were measured."""
        return sum(len(each.gains) for each in self.points)


def read_grid(path: Path) -> Grid:
    """Returns a recorded grid."""
    return msgspec.json.decode(path.read_bytes(), type=Grid)


def main() -> None:
    """Records, judges or searches."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("what", choices=["record", "judge", "search"])
    parser.add_argument("grids", type=Path, nargs="*")
    parser.add_argument("--pairs", type=int, default=8)
    parser.add_argument("--job", default=JOB)
    given = parser.parse_args()
    if given.what == "judge":
        for path in given.grids or sorted(GRIDS.glob("*.json")):
            print(f"\n{path.stem}: ", end="")
            judge(read_grid(path))
        return
    (path,) = given.grids
    if given.what == "record":
        journal = path.with_suffix(".journal")
        grid = run_async(record(make_task(given.job), journal, given.job, given.pairs))
        path.write_bytes(msgspec.json.format(msgspec.json.encode(grid)) + b"\n")
        journal.unlink()
    else:
        grid = read_grid(path)
        run_async(search_again(make_task(grid.job), grid))


def make_task(job: str) -> TuneTask:
    """Returns the search, with the grid's settings."""
    guest = app.open_guest(str(CONFIG))
    task = app.prepare_tune(
        guest,
        guest.context.host,
        vary=("threads", "aio", "polling"),
        jobs=[job],
        scratch="64M",
    )
    candidates = tuple(
        replace(each, settings=SETTINGS if len(each.settings) > 1 else each.settings)
        for each in task.candidates
    )
    return replace(task, candidates=candidates, effort=Effort(pairs=1))


def make_boot(task: TuneTask) -> Boot:
    """Returns how guests are booted."""
    image = ensure_image(controllers=task.controllers)
    how, _ = app.choose_boot(
        kernel=str(image.kernel),
        initrd=str(image.initrd),
        append=image.append,
        memory_mib=app.BENCH_MEMORY_MIB,
    )
    return how


def list_trials(task: TuneTask, pairs: int) -> tuple[Trial, ...]:
    """Returns one trial for each layout, its settings mixed."""
    mixed = random.Random(0)  # noqa: S311 - no secret
    trials = []
    for layout, count in enumerate(task.counts):
        settings = [*range(count)] * pairs
        mixed.shuffle(settings)
        trials.append(
            Trial(number=layout, stage="settings", layout=layout, settings=tuple(settings))
        )
    return tuple(trials)


class Unwatched:
    """Trials that nobody waits for."""

    def prepare(self, words: str) -> None:
        """Ignores it."""

    def pair(self, number: int, words: str) -> None:
        """Ignores it."""

    def end(self) -> None:
        """Ignores it."""


async def record(task: TuneTask, path: Path, job: str, pairs: int) -> Grid:
    """Measures each point of the grid, or what an interrupted recording's journal lacks of it."""
    measured = BootedTrials(task, make_boot(task))
    digest = digest_space(task.candidates, task.disk, task.jobs, task.scratch_bytes, pairs)
    trials = list_trials(task, pairs)
    with open_journal(path, digest) as journal:
        for trial in trials[len(journal.results) :]:
            print(f"{trial.number + 1} of {len(trials)}", flush=True)
            journal.append(await measured.measure(trial, Unwatched()))
        results = tuple(journal.results)
    gains: dict[Arm, list[float]] = {}
    busy_pairs = 0
    for trial, result in zip(trials, results, strict=True):
        for setting, pair in zip(trial.settings, result.pairs, strict=True):
            score = task.objective.score(pair)
            assert score is not None  # noqa: S101 - IOPS are always measured
            gains.setdefault((trial.layout, setting), []).append(round(score, 4))
            busy_pairs += any(each.busy for each in pair)
    points = tuple(
        Point(layout=candidate.name, setting=setting.name, gains=tuple(gains[layout, number]))
        for layout, candidate in enumerate(task.candidates)
        for number, setting in enumerate(candidate.settings)
    )
    return Grid(job=job, busy_pairs=busy_pairs, points=points)


def judge(grid: Grid) -> None:
    """Prints how often the search finds a good point of the grid, and at which cost."""
    best = max(grid.means.values())
    print(f"{len(grid.points)} points; the best is {math.exp(best):.2f} times the guest as it is")
    print("noise  pairs each  of the grid's pairs  within 2 %  within 5 %")
    for noise in (0.05, 0.1):
        for pairs in (1, 2):
            losses, measured = [], 0
            for seed in range(SEEDS):
                found, count = simulate(grid, Effort(pairs=pairs), noise=noise, seed=seed)
                losses.append(1 - math.exp(grid.means[found.best] - best))
                measured += count
            share = measured / SEEDS / grid.pairs
            close = [sum(loss <= within for loss in losses) / SEEDS for within in (0.02, 0.05)]
            print(f"{noise:5.0%}  {pairs:10}  {share:19.0%}  {close[0]:10.0%}  {close[1]:10.0%}")


def simulate(grid: Grid, effort: Effort, *, noise: float, seed: int) -> tuple[Found, int]:
    """Returns what a search finds in a recorded grid, and how many pairs it took."""
    noisy, means = random.Random(seed), grid.means  # noqa: S311 - no secret
    steps = search(grid.counts, effort, seed)
    trial, pairs = next(steps), 0
    while True:
        pairs += len(trial.settings)
        gains = [means[trial.layout, each] + noisy.gauss(0, noise) for each in trial.settings]
        try:
            trial = steps.send(gains)
        except StopIteration as stop:
            found: Found = stop.value
            return found, pairs


async def search_again(task: TuneTask, grid: Grid) -> None:
    """Searches on real guests, and measures the winner and the grid's best point afresh."""
    how = make_boot(task)
    measured = BootedTrials(task, how)
    tuning = await app.make_tuner(task, how).run(
        lambda progress: print(f"{progress.share:4.0%} {progress.words}", flush=True)
    )
    arms = {(point.layout, point.setting): arm for arm, point in grid.arms.items()}
    winner = tuning.winner
    arm = BASELINE if winner is None else arms[winner.layout, winner.setting]
    means = grid.means
    best = max(means, key=lambda each: means[each])
    place = 1 + sum(value > means[arm] for value in means.values())
    print(f"winner: {name(grid, arm)}, place {place} of {len(means)} in the grid")
    print(f"best point of the grid: {name(grid, best)}")
    print(f"by the grid's own figures, winner/best {math.exp(means[arm] - means[best]):.2f}")
    print(
        f"{tuning.pairs} pairs, {tuning.pairs / grid.pairs:.0%} of the grid's;"
        f" {tuning.trials} boots; {tuning.duration_s:.0f} s"
    )
    if tuning.confirmed is not None:
        ratio = tuning.confirmed
        print(f"confirmed: {ratio.ratio:.2f} ({ratio.low:.2f} to {ratio.high:.2f})")
    if arm == best:
        return
    fresh: dict[Arm, list[float]] = {arm: [], best: []}
    for boot in range(FRESH_BOOTS):
        for layout, setting in (arm, best) if boot % 2 == 0 else (best, arm):
            trial = Trial(
                number=boot,
                stage="confirmation",
                layout=layout,
                settings=(setting,) * FRESH_PAIRS,
            )
            result = await measured.measure(trial, Unwatched())
            scores = [task.objective.score(each) for each in result.pairs]
            fresh[layout, setting] += [each for each in scores if each is not None]
    middle, low, high = map(math.exp, welch_interval(fresh[best], fresh[arm]))
    print(f"afresh, winner/best {middle:.2f} ({low:.2f} to {high:.2f})")


def name(grid: Grid, arm: Arm) -> str:
    """Returns what a point is called."""
    point = grid.arms[arm]
    return f"{point.layout} {point.setting}".strip()


if __name__ == "__main__":
    main()
