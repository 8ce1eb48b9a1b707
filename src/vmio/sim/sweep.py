"""One parameter over its range, all else as it is."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from attrs import frozen

from vmio.errors import UsageError
from vmio.model.capabilities import QemuVersion
from vmio.model.topology import Topology
from vmio.sim.polling import DEFAULT_MAX_NS
from vmio.sim.profile import Profile
from vmio.sim.simulator import Prediction, predict, set_parameters
from vmio.sim.workload import Workload

__all__ = ["Sweep", "SweepPoint", "parse_sweep", "simulate_values"]

_HALVINGS: Final = 9
"""From a maximum down to a 512th of it; below, little differs from nothing."""
_FEW: Final = 16


@frozen(kw_only=True)
class Sweep:
    """Which values a parameter takes one after the other."""

    parameter: str
    """As `ID.poll_max_ns`; without `ID.` it is that of every IOThread."""
    values: tuple[int, ...]
    """Ascending."""
    today: int | None = None
    """The value that it has, if there is one and the same: one of `values`, if it is between."""


@frozen(kw_only=True)
class SweepPoint:
    """What one value comes to."""

    value: int
    is_today: bool
    prediction: Prediction


def parse_sweep(text: str, topology: Topology) -> Sweep:
    """Returns what a text such as `poll_max_ns=0:1000000` means for a layout.

    Its values are both ends and what halving the upper one gives between them; all, where there
    are few; and what it is today.

    Raises:
        UsageError: It is no range, or of no parameter of this layout.
    """
    match = re.fullmatch(r"([^=]{1,200})=(\d{1,19}):(\d{1,19})", text.strip(), re.ASCII)
    if match is None or int(match[2]) >= int(match[3]):
        raise UsageError(
            f"--sweep {text[:80]!r} is no range", hint="one reads poll_max_ns=0:1000000"
        )
    parameter, low, high = match[1], int(match[2]), int(match[3])
    for value in (low, high):
        set_parameters(topology, [f"{parameter}={value}"], option="--sweep")
    today = _find_today(topology, parameter)
    if high - low < _FEW:
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


def simulate_values(
    topology: Topology,
    sweep: Sweep,
    workload: Workload,
    values: Sequence[int],
    *,
    profile: Profile,
    version: QemuVersion,
    seeds: int,
    requests: int,
) -> list[SweepPoint]:
    """Returns what some values of a sweep come to, as `vmio.sim.simulator.predict` says it."""
    return [
        SweepPoint(
            value=value,
            is_today=value == sweep.today,
            prediction=predict(
                set_parameters(topology, [f"{sweep.parameter}={value}"], option="--sweep"),
                workload,
                profile=profile,
                version=version,
                seeds=seeds,
                requests=requests,
            ),
        )
        for value in values
    ]


def _find_today(topology: Topology, parameter: str) -> int | None:
    """Returns the value in force, None where threads differ or QEMU's version decides."""
    name, _, field = parameter.rpartition(".")
    default = DEFAULT_MAX_NS if field == "poll_max_ns" else None
    values = {
        default if (value := getattr(each, field)) is None else value
        for each in topology.iothreads
        if name in ("", each.id)
    }
    return values.pop() if len(values) == 1 else None
