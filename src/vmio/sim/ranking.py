"""Ranks layouts by their predictions, as far as those distinguish them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, Literal, get_args

from msgspec import Struct

from vmio.errors import PlanError
from vmio.model.capabilities import QemuVersion
from vmio.model.iothread import MAIN_LOOP
from vmio.model.topology import Topology
from vmio.sim.profile import Profile
from vmio.sim.simulator import Estimate, Prediction, predict
from vmio.sim.workload import Workload

__all__ = [
    "CRITERIA",
    "LEAST_EFFECT",
    "Criterion",
    "NamedLayout",
    "RankedLayout",
    "Ranking",
    "join_layouts",
    "predict_layouts",
    "rank_layouts",
]

Criterion = Literal["iops", "latency", "cpu"]
CRITERIA: Final[tuple[Criterion, ...]] = get_args(Criterion)

LEAST_EFFECT: Final = 0.05
"""As a fraction of the smaller one; `vmio bench` also ignores smaller differences."""

_FIGURES: Final[Mapping[Criterion, Callable[[Prediction], Estimate]]] = {
    "iops": lambda found: found.iops,
    "latency": lambda found: found.latency_mean_ns,
    "cpu": lambda found: found.cpu_share,
}


class NamedLayout(Struct, frozen=True, kw_only=True):
    """A layout, and its names."""

    names: tuple[str, ...]
    topology: Topology


class RankedLayout(Struct, frozen=True, kw_only=True):
    """A layout with its prediction and its place."""

    layout: NamedLayout
    prediction: Prediction
    first: int
    """Its place if it is the best of those that it cannot be distinguished from; from 1."""
    last: int
    """Its place if it is the worst of them."""


class Ranking(Struct, frozen=True, kw_only=True):
    """Some layouts in order."""

    by: Criterion
    layouts: tuple[RankedLayout, ...]
    """Best first; layouts that cannot be distinguished in the given order."""
    left_out: tuple[tuple[str, str], ...]
    """Layouts without a prediction, by name, with the reason."""
    notes: tuple[str, ...]
    """What the predictions do not include."""


def join_layouts(named: Iterable[tuple[str, Topology]]) -> tuple[NamedLayout, ...]:
    """Returns each layout once, with all of its names, in the order of its first name."""
    found: list[NamedLayout] = []
    for name, topology in named:
        for at, layout in enumerate(found):
            if layout.topology == topology:
                found[at] = NamedLayout(names=(*layout.names, name), topology=topology)
                break
        else:
            found.append(NamedLayout(names=(name,), topology=topology))
    return tuple(found)


def predict_layouts(
    workload: Workload,
    layouts: Sequence[NamedLayout],
    *,
    profile: Profile,
    version: QemuVersion,
    seeds: int,
    requests: int,
    warnings: tuple[str, ...] = (),
) -> list[Prediction | PlanError]:
    """Returns the prediction of each layout, or the reason why there is none.

    Raises:
        CapabilityError: The polling algorithm of that QEMU is not known.
        UsageError: The number of runs or requests is out of range.
    """
    results: list[Prediction | PlanError] = []
    for layout in layouts:
        try:
            results.append(
                predict(
                    layout.topology,
                    workload,
                    profile=profile,
                    version=version,
                    seeds=seeds,
                    requests=requests,
                    warnings=warnings,
                )
            )
        except PlanError as error:
            results.append(error)
    return results


def rank_layouts(
    by: Criterion,
    results: Iterable[tuple[NamedLayout, Prediction | PlanError]],
    *,
    left_out: Iterable[tuple[str, str]] = (),
    notes: Iterable[str] = (),
    proposed: str = "",
) -> Ranking:
    """Returns layouts in order: the most IOPS, or the least latency or CPU, first.

    One is ranked before another if its whole interval, or its whole range if it is bistable, is
    better by more than `LEAST_EFFECT`. Its place is the range of places that this leaves possible.

    Args:
        by: The figure to rank by.
        results: Each layout with its prediction.
        left_out: Policies without a layout, with the reason.
        notes: What the predictions do not include.
        proposed: The name of the layout that `vmio plan` proposes.

    Raises:
        PlanError: No layout has a prediction.
    """
    results = list(results)
    found = [(layout, result) for layout, result in results if isinstance(result, Prediction)]
    failed = [(layout, result) for layout, result in results if isinstance(result, PlanError)]
    if not found:
        raise failed[0][1] if failed else PlanError("there is no layout to rank")
    figures = [_FIGURES[by](prediction) for _, prediction in found]
    ranked = [
        RankedLayout(
            layout=layout,
            prediction=prediction,
            first=1 + sum(_is_better(other, figure, by) for other in figures),
            last=len(found) - sum(_is_better(figure, other, by) for other in figures),
        )
        for (layout, prediction), figure in zip(found, figures, strict=True)
    ]
    ranked.sort(key=lambda each: (each.first, each.last))
    return Ranking(
        by=by,
        layouts=tuple(ranked),
        left_out=(
            *left_out,
            *((name, error.message) for layout, error in failed for name in layout.names),
        ),
        notes=(*notes, *_note_main_loop(found), *_note_proposed(ranked, proposed)),
    )


def _note_main_loop(found: Iterable[tuple[NamedLayout, Prediction]]) -> tuple[str, ...]:
    names = [
        layout.names[0]
        for layout, prediction in found
        if any(loop.id == MAIN_LOOP for loop in prediction.loops)
    ]
    if not names:
        return ()
    return (f"{', '.join(names)}: the main loop is assumed to serve only these disks",)


def _note_proposed(ranked: Sequence[RankedLayout], proposed: str) -> tuple[str, ...]:
    """Returns why a plan proposes a layout that is ranked lower than another one."""
    best = ranked[0]
    where = next((each for each in ranked if proposed in each.layout.names), best)
    if where.first == 1:
        return ()
    reasons = ["it knows neither the load nor the costs"]
    if any(loop.id == MAIN_LOOP for loop in best.prediction.loops):
        reasons.append("takes disks off the main loop, which has more to do than these requests")
    else:
        reasons.append("gives each disk an IOThread as long as there are processors for them")
    note = (
        f"vmio plan proposes {proposed}, though '{best.layout.names[0]}' is ranked first for this"
        f" load: {' and '.join(reasons)}"
    )
    return (note,)


def _is_better(one: Estimate, other: Estimate, by: Criterion) -> bool:
    if by == "iops":
        return one.low > other.high * (1 + LEAST_EFFECT)
    return other.low > one.high * (1 + LEAST_EFFECT)
