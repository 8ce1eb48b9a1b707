"""Sweeps over ranges of parameters and loads, with everything else unchanged."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations, product
from typing import Any, Final

from msgspec import Struct

from vmio.errors import UsageError
from vmio.model.capabilities import QemuVersion
from vmio.model.topology import Topology
from vmio.sim.polling import DEFAULT_MAX_NS
from vmio.sim.profile import Profile
from vmio.sim.simulator import Prediction, predict, set_parameters
from vmio.sim.workload import Workload
from vmio.values import replace

__all__ = [
    "LOADS",
    "MAX_POINTS",
    "Grid",
    "Sweep",
    "SweepPoint",
    "UnbeatenPoints",
    "parse_grid",
    "parse_sweep",
    "simulate_points",
]

MAX_POINTS: Final = 100_000
"""Points of a grid; at half a second each that is a night on two processors."""

LOADS: Final[Mapping[str, str]] = {
    "qd": "depth",
    "batch": "batch",
    "jobs": "jobs",
    "work_ns": "work_ns",
    "think_ns": "think_ns",
    "rate_per_s": "rate_per_s",
}
"""The parameters of a load that can be swept, and their names in `Workload`."""

_HALVINGS: Final = 9
"""From a maximum down to a 512th of it; smaller values hardly differ from 0."""
_FEW: Final = 16
_RANGE: Final = re.compile(r"([^=]{1,200})=(\d{1,19}):(\d{1,19})(?::(\d{1,19}))?", re.ASCII)


class Sweep(Struct, frozen=True, kw_only=True):
    """The values that a parameter takes one after the other."""

    parameter: str
    """Such as `ID.poll_max_ns`; without `ID.` it applies to every IOThread. Or one of `LOADS`."""
    values: tuple[int, ...]
    """Ascending."""
    today: int | None = None
    """The current value, if all have the same one: one of `values`, if it is within the range."""


class Grid(Struct, frozen=True, kw_only=True):
    """All combinations of the values of several sweeps; with one sweep, its values."""

    sweeps: tuple[Sweep, ...]

    @property
    def size(self) -> int:
        """The number of points."""
        return math.prod(len(sweep.values) for sweep in self.sweeps)

    def list_points(self) -> Iterator[tuple[int, ...]]:
        """Yields a value for each sweep, the last of them changing fastest."""
        return product(*(sweep.values for sweep in self.sweeps))


class SweepPoint(Struct, frozen=True, kw_only=True):
    """The prediction for one value of each sweep."""

    values: tuple[int, ...]
    """In the order of the grid's sweeps."""
    is_today: bool
    prediction: Prediction

    @property
    def value(self) -> int:
        """The value of the first sweep, which may be the only one."""
        return self.values[0]


class UnbeatenPoints:
    """The points that no other point of the same load beats.

    A point beats another if neither its mean latency nor its processor time is greater, to three
    digits, and they are not the same in both; of equal points the first one is kept. For a
    bistable outcome the worse end counts.
    """

    def __init__(self) -> None:
        self._by_load: dict[str, list[tuple[tuple[float, float], SweepPoint]]] = {}

    def add(self, point: SweepPoint) -> None:
        """Considers another point; points that it beats are dropped."""
        latency_ns, cpu_share = weight = _weigh(point)
        kept = self._by_load.setdefault(point.prediction.workload, [])
        if any(ns <= latency_ns and share <= cpu_share for (ns, share), _ in kept):
            return
        kept[:] = [each for each in kept if each[0][0] < latency_ns or each[0][1] < cpu_share]
        kept.append((weight, point))

    def list_points(self) -> tuple[SweepPoint, ...]:
        """Returns the remaining points: by load in order of arrival, and the fastest first."""
        return tuple(
            point
            for kept in self._by_load.values()
            for _, point in sorted(kept, key=lambda each: each[0])
        )


def parse_grid(texts: Sequence[str], topology: Topology, workload: Workload) -> Grid:
    """Returns the grid of several sweeps.

    Raises:
        UsageError: A sweep is not valid, two of them set the same, or there are more than
            `MAX_POINTS` points.
    """
    sweeps = tuple(parse_sweep(text, topology, workload) for text in texts)
    for one, other in combinations(sweeps, 2):
        (name, _, field), (another, _, same) = (
            each.parameter.rpartition(".") for each in (one, other)
        )
        if field == same and (not name or not another or name == another):
            raise UsageError(
                f"--sweep {other.parameter[:80]!r} sets what --sweep {one.parameter[:80]!r} does"
            )
    if "rate_per_s" in {sweep.parameter for sweep in sweeps} and any(
        sweep.parameter in LOADS for sweep in sweeps if sweep.parameter != "rate_per_s"
    ):
        raise UsageError("--sweep: a rate cannot be combined with another load")
    grid = Grid(sweeps=sweeps)
    _check_size(grid.size)
    values = {sweep.parameter: sweep.values for sweep in sweeps}
    depth, batch = values.get("qd", [workload.depth]), values.get("batch", [workload.batch])
    if max(batch) > min(depth):
        raise UsageError("--sweep: a batch cannot have more than qd requests")
    return grid


def parse_sweep(text: str, topology: Topology, workload: Workload) -> Sweep:
    """Parses a sweep such as `poll_max_ns=0:1000000` for a layout and a load.

    Its values are both ends and the upper end halved repeatedly; all values, if there are few;
    with a third number, as in `0:1000000:1000`, those at even steps of that size from the lower
    end. The current value is added.

    Raises:
        UsageError: It is not a range, or its parameter does not exist in this layout or load.
    """
    match = _RANGE.fullmatch(text.strip())
    if match is None or int(match[2]) >= int(match[3]) or int(match[4] or 1) == 0:
        raise UsageError(
            f"--sweep {text[:80]!r} is not a range",
            hint="the form is poll_max_ns=0:1000000, or 0:1000000:1000 for even steps",
        )
    parameter, low, high = match[1], int(match[2]), int(match[3])
    if parameter in LOADS:
        for value in (low, high):
            _set_load(workload, {parameter: value})
        is_absent = parameter == "rate_per_s" and workload.rate_per_s == 0
        today = None if is_absent else getattr(workload, LOADS[parameter])
    else:
        for value in (low, high):
            set_parameters(topology, [f"{parameter}={value}"], option="--sweep")
        today = _find_today(topology, parameter)
    if match[4] is not None:
        steps = range(low, high + 1, int(match[4]))
        _check_size((high - low) // steps.step)
        values = set(steps)
    elif high - low < _FEW:
        values = set(range(low, high + 1))
    else:
        values = {low, high, *(high >> halving for halving in range(_HALVINGS + 1))}
    if today is not None:
        values.add(today)
    return Sweep(
        parameter=parameter,
        values=tuple(sorted(value for value in values if low <= value <= high)),
        today=today,
    )


def simulate_points(
    topology: Topology,
    grid: Grid,
    workload: Workload,
    points: Iterable[tuple[int, ...]],
    *,
    profile: Profile,
    version: QemuVersion,
    seeds: int,
    requests: int,
    compiled: bool | None = None,
    warnings: tuple[str, ...] = (),
) -> list[SweepPoint]:
    """Returns the predictions that `vmio.sim.simulator.predict` makes for points of a grid."""
    found = []
    for values in points:
        chosen = {sweep.parameter: v for sweep, v in zip(grid.sweeps, values, strict=True)}
        loads = {name: value for name, value in chosen.items() if name in LOADS}
        texts = [f"{name}={value}" for name, value in chosen.items() if name not in LOADS]
        prediction = predict(
            set_parameters(topology, texts, option="--sweep"),
            _set_load(workload, loads) if loads else workload,
            profile=profile,
            version=version,
            seeds=seeds,
            requests=requests,
            compiled=compiled,
            warnings=warnings,
        )
        is_today = values == tuple(sweep.today for sweep in grid.sweeps)
        found.append(SweepPoint(values=values, is_today=is_today, prediction=prediction))
    return found


def _check_size(points: int) -> None:
    if points > MAX_POINTS:
        raise UsageError(
            f"--sweep has {points} points; at most {MAX_POINTS} are possible",
            hint="a range without a step has about ten values",
        )


def _weigh(point: SweepPoint) -> tuple[float, float]:
    found = point.prediction
    figures = (found.latency_mean_ns, found.cpu_share)
    latency_ns, share = (each.high if found.bistable else each.mean for each in figures)
    return float(f"{latency_ns:.3g}"), float(f"{share:.3g}")


def _set_load(workload: Workload, values: Mapping[str, int]) -> Workload:
    """Returns a load with some values replaced, and a name that describes all of it.

    Raises:
        UsageError: The combination is not possible.
    """
    is_open = "rate_per_s" in values
    first = next(iter(values))
    if values.get("rate_per_s") == 0:
        raise UsageError("--sweep rate_per_s: a rate of 0 has no requests")
    plain = replace(workload, name="", rate_per_s=0) == Workload(name="")
    if (not is_open and workload.rate_per_s) or (is_open and not plain):
        raise UsageError(
            f"--sweep {first} cannot be combined with --workload {workload.name[:80]!r}",
            hint="requests of an open loop come whether or not others are done",
        )
    changed: dict[str, Any] = {LOADS[name]: value for name, value in values.items()}
    try:
        load = replace(workload, **changed)
    except ValueError as error:
        raise UsageError(f"--sweep {first}: {error.args[0]}") from error
    if load.rate_per_s:
        return replace(load, name=f"rate={load.rate_per_s}")
    words = [f"qd={load.depth}"]
    if load.batch > 1:
        words.append(f"batch={load.batch}")
    if load.jobs > 1:
        words.append(f"jobs={load.jobs}")
    for name, pause_ns in (("work", load.work_ns), ("think", load.think_ns)):
        if pause_ns:
            micro, rest = divmod(pause_ns, 1000)
            words.append(f"{name}={pause_ns}ns" if rest else f"{name}={micro}us")
    return replace(load, name=",".join(words))


def _find_today(topology: Topology, parameter: str) -> int | None:
    """Returns the value in force; None if threads differ or it depends on QEMU's version."""
    name, _, field = parameter.rpartition(".")
    default = DEFAULT_MAX_NS if field == "poll_max_ns" else None
    values = {
        default if (value := getattr(each, field)) is None else value
        for each in topology.iothreads
        if name in ("", each.id)
    }
    return values.pop() if len(values) == 1 else None
