"""The values of verdicts: a window of samples, figures as evidence, a verdict."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

from msgspec import Struct, field

from vmio.model.plan import Change, StepKind
from vmio.model.topology import Topology
from vmio.model.version import QemuVersion
from vmio.observe.rates import Rates, compare_samples
from vmio.observe.sample import Sample
from vmio.values import check_between

__all__ = [
    "GUEST",
    "Doubt",
    "Figure",
    "IoPressure",
    "Severity",
    "Unit",
    "Verdict",
    "VerdictKind",
    "Window",
    "make_window",
]

GUEST: Final = "the guest"
"""The subject of a verdict about the guest as a whole. No object of QEMU has such an id, because
ids contain no blanks."""

VerdictKind = Literal[
    "waits-for-processors",
    "main-loop-full",
    "iothread-full",
    "limit-binds",
    "storage-slow",
    "vcpus-full",
    "polling-wasted",
    "restart-pending",
    "polling-impossible",
    "io-pressure-misleads",
    "cannot-tell",
]
"""In the order of urgency:

waits-for-processors: threads are runnable and have no processor, so every other figure is in
doubt; main-loop-full, iothread-full: an event loop has no time left; limit-binds: a disk reaches
its configured limit; storage-slow: requests wait for the storage while their event loop has time;
vcpus-full: the guest's own processors have no time left; polling-wasted: an IOThread spends its
time on polling although requests are rare; restart-pending: the configuration differs from what
runs; polling-impossible: a polling time is set and this QEMU cannot poll there;
io-pressure-misleads: the kernel reports I/O pressure although no request is under way;
cannot-tell: the figures do not decide (see `Doubt`).
"""

Severity = Literal["warning", "info"]
"""warning: it costs performance now; info: it is worth knowing."""

Unit = Literal["processors", "share", "requests/s", "bytes/s", "requests", "ns", "s", "text"]
"""processors: 1.0 is one processor all the time; share: 0 to 1."""

Doubt = Literal[
    "",
    "window too short",
    "samples out of order",
    "monitor did not answer",
    "too few requests",
    "nothing completed",
    "user share not known",
    "polling looks like work",
]
"""Why the figures do not decide; empty for every kind of verdict but `cannot-tell`."""


class Figure(Struct, frozen=True, kw_only=True):
    """A figure of the evidence, with the threshold that it passed if it has one."""

    name: str
    """Such as `cpu` or `mean depth`."""
    subject: str
    """A thread's name, a disk's id, or `GUEST`."""
    value: float | str | None
    """None if not known."""
    unit: Unit
    at_least: float | None = None
    """The threshold, where the verdict requires the figure to be at least that."""
    at_most: float | None = None


class Verdict(Struct, frozen=True, kw_only=True):
    """A conclusion about a thread, a disk, or the guest, with its evidence."""

    kind: VerdictKind
    subject: str
    """`MAIN_LOOP`, an IOThread's id, a disk's id, or `GUEST`."""
    severity: Severity
    evidence: tuple[Figure, ...]
    source: str
    """Where the thresholds come from."""
    step: StepKind | None = None
    """The kind of step of a plan that would change it; None if no step would."""
    disks: tuple[str, ...] = ()
    """The disks that such a step would be about."""
    change: Change | None = None
    """The change that would help, if it is a single property."""
    doubt: Doubt = ""
    in_doubt: bool = False
    """Whether a thread of the guest waits for a processor, so that the figures are uncertain."""


class IoPressure(Struct, frozen=True, kw_only=True):
    """What the kernel reports of a guest's cgroup as `io.pressure`, as shares of time, 0 to 1.

    Source: Linux, Documentation/accounting/psi.rst.
    """

    some_share: float
    """In which at least one thread waited for I/O."""
    full_share: float
    """In which all of its threads waited."""

    def __post_init__(self) -> None:
        check_between("some_share", self.some_share, 0, 1)
        check_between("full_share", self.full_share, 0, 1)


class Window(Struct, frozen=True, kw_only=True):
    """Two samples of a guest, their difference, and what was known of the guest meanwhile."""

    before: Sample
    after: Sample
    rates: Rates | None
    """None if the samples are not in chronological order."""
    layout: Topology
    """The layout as it runs."""
    configured: Topology | None = None
    """The layout that the guest would have after a restart; None if not known."""
    qemu_version: QemuVersion | None = None
    host_processors: int | None = None
    """How many processors the host has; None if not known."""
    io_pressure: IoPressure | None = None
    request_cost_ns: Mapping[str, float] = field(default_factory=dict)
    """Processor time of an event loop for a request without polling, by the loop's name, where it
    was measured."""


def make_window(
    before: Sample,
    after: Sample,
    layout: Topology,
    *,
    configured: Topology | None = None,
    qemu_version: QemuVersion | None = None,
    host_processors: int | None = None,
    io_pressure: IoPressure | None = None,
    request_cost_ns: Mapping[str, float] | None = None,
) -> Window:
    """Returns the window between two samples of the same guest, in whatever order they are.

    Args:
        before: The earlier sample.
        after: The later sample.
        layout: The layout as it runs; the other arguments are those of `Window`.
        configured: The layout after a restart.
        qemu_version: The version of the running QEMU.
        host_processors: How many the host has.
        io_pressure: Of the guest's cgroup, between the samples.
        request_cost_ns: By the name of an event loop.
    """
    try:
        rates = compare_samples(before, after)
    except ValueError:
        rates = None
    return Window(
        before=before,
        after=after,
        rates=rates,
        layout=layout,
        configured=configured,
        qemu_version=qemu_version,
        host_processors=host_processors,
        io_pressure=io_pressure,
        request_cost_ns=request_cost_ns or {},
    )
