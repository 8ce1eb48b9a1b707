"""What running guests did since they were last looked at, with what limits them; pure functions.

A look at a guest is an `Observation`, which can be kept and used later: the same observations give
the same readings.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Final

from msgspec import Struct

from vmio.errors import describe_bug
from vmio.host.pressure import IoWaits
from vmio.host.running import ProcessKey
from vmio.managers.discovery import RunningGuest
from vmio.model.iothread import MAIN_LOOP, IOThread
from vmio.model.topology import Topology
from vmio.model.version import QemuVersion
from vmio.observe.kernel_trace import TracedLoop
from vmio.observe.polling import PollingEstimate, RequestCost, estimate_polling, measure_cost
from vmio.observe.rates import Rates, compare_samples
from vmio.observe.sample import Sample
from vmio.observe.verdicts.decide import State, decide
from vmio.observe.verdicts.judge import judge
from vmio.observe.verdicts.thresholds import LEAST_USER_WINDOW_S
from vmio.observe.verdicts.values import IoPressure, Verdict, make_window
from vmio.values import replace

__all__ = [
    "GuestTracker",
    "HostTracker",
    "Look",
    "Observation",
    "Reading",
    "find_running_layout",
    "list_servers",
]

_NS: Final = 1e9
_US: Final = 1e6
_MAX_COSTS: Final = 16
_EARLY_S: Final = 0.05
"""By which a window may be shorter than it should: looks are not exactly at their times."""


class Observation(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A guest at one moment; without a sample if it could not be read."""

    guest: RunningGuest
    sample: Sample | None = None
    problem: str = ""
    """Why there is no sample, in one line."""
    duration_s: float = 0.0
    """How long the look took."""
    configured: Topology | None = None
    """The layout that it would have after a restart; None if not known."""
    qemu_version: QemuVersion | None = None
    """None until its monitor has told."""
    io_waits: IoWaits | None = None
    """Of its own control group."""
    notes: tuple[str, ...] = ()
    """What could not be asked for, a line each."""
    traced: tuple[TracedLoop, ...] = ()
    """What its event loops did since the look before, where the kernel's trace told."""


class Look(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All guests at one moment."""

    monotonic_ns: int
    """When it began."""
    wall_ns: int
    """When it began, since 1970 in UTC."""
    duration_s: float
    observations: tuple[Observation, ...]
    """In the order of the processes' numbers."""
    unseen: tuple[str, ...] = ()
    """What this user cannot see, a line each."""
    host_processors: int | None = None


class Reading(Struct, frozen=True, kw_only=True):
    """A guest at one moment, with what it did since the last look and what limits it."""

    observation: Observation
    layout: Topology | None
    """As it runs: as its command line says, with the polling times that QEMU reports. None if that
    cannot be read."""
    rates: Rates | None = None
    """Since the look before; None at the first one."""
    window_s: float | None = None
    """Of what `polling` and `verdicts` were concluded from; None before there is such a window."""
    window_ended_ns: int | None = None
    """When it ended, as `Sample.monotonic_ns`: readings with the same end repeat conclusions."""
    polling: tuple[PollingEstimate, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    """In force, the worst first."""
    is_judged: bool = False
    """Whether there were windows enough for a verdict: none then means that nothing limits the
    guest."""

    @property
    def guest(self) -> RunningGuest:
        """The guest."""
        return self.observation.guest


class GuestTracker:
    """Turns the observations of one guest into readings.

    Rates are those since the observation before. Verdicts and polling need two seconds or more,
    since the kernel samples the user share: their windows follow one another without overlap.

    Args:
        confirm: Whether a verdict has to hold in two successive windows.
    """

    def __init__(self, *, confirm: bool = True) -> None:
        self._confirm = confirm
        self._last: Sample | None = None
        """The last one, completed by `_complete`."""
        self._window_start: tuple[Sample, IoWaits | None] | None = None
        self._state = State()
        self._costs: dict[str, deque[RequestCost]] = {}
        self._concluded: Reading | None = None
        """The last reading that ended a window."""
        self._needed = 2 if confirm else 1
        """Windows until a verdict can be in force."""

    def add(self, observation: Observation, *, host_processors: int | None = None) -> Reading:
        """Returns the reading of the next observation.

        Args:
            observation: The guest's, later than those before.
            host_processors: How many processors its host has, if known.
        """
        layout = find_running_layout(observation)
        rates = None
        sample = observation.sample
        if sample is not None:
            last, self._last = self._last, sample
            if last is not None:
                with suppress(ValueError):  # out of order
                    rates = compare_samples(last, sample)
                self._last = _complete(last, sample)
            if layout is not None:
                self._conclude(observation, sample, layout, host_processors)
        concluded = self._concluded
        return Reading(
            observation=observation,
            layout=layout,
            rates=rates,
            window_s=concluded.window_s if concluded is not None else None,
            window_ended_ns=concluded.window_ended_ns if concluded is not None else None,
            polling=concluded.polling if concluded is not None else (),
            verdicts=concluded.verdicts if concluded is not None else (),
            is_judged=concluded is not None and concluded.is_judged,
        )

    def _conclude(
        self,
        observation: Observation,
        sample: Sample,
        layout: Topology,
        host_processors: int | None,
    ) -> None:
        """Concludes from the window that an observation ends, if it is long enough."""
        start, next_start = self._window_start, (self._last or sample, observation.io_waits)
        if start is None:
            self._window_start = next_start
            return
        before, io_waits = start
        window_s = (sample.monotonic_ns - before.monotonic_ns) / _NS
        if 0 < window_s < LEAST_USER_WINDOW_S - _EARLY_S:
            return
        self._window_start = next_start
        window = make_window(
            before,
            sample,
            layout,
            configured=observation.configured,
            qemu_version=observation.qemu_version,
            host_processors=host_processors,
            io_pressure=_find_pressure(io_waits, observation.io_waits, window_s),
            request_cost_ns={name: costs[-1].cpu_ns for name, costs in self._costs.items()},
        )
        polling: tuple[PollingEstimate, ...] = ()
        if window.rates is not None:
            polling = estimate_polling(
                window.rates,
                list_servers(layout),
                self._costs,
                {each.id: each.poll_max_ns for each in layout.iothreads},
            )
            self._learn(polling, layout)
        if self._confirm:
            self._state, verdicts = decide(self._state, window)
        else:
            verdicts = judge(window)
        self._needed = max(0, self._needed - 1)
        self._concluded = Reading(
            observation=observation,
            layout=layout,
            window_s=window_s,
            window_ended_ns=sample.monotonic_ns,
            polling=polling,
            verdicts=verdicts,
            is_judged=bool(verdicts) or not self._needed,
        )

    def _learn(self, polling: Iterable[PollingEstimate], layout: Topology) -> None:
        """Keeps what requests take on the IOThreads whose polling is off."""
        off = {each.id for each in layout.iothreads if each.poll_max_ns == 0}
        for each in polling:
            cost = measure_cost(each) if each.name in off else None
            if cost is not None:
                self._costs.setdefault(each.name, deque(maxlen=_MAX_COSTS)).append(cost)


class HostTracker:
    """Turns looks at a host's guests into readings; a guest that has gone is forgotten.

    Args:
        confirm: Whether a verdict has to hold in two successive windows.
    """

    def __init__(self, *, confirm: bool = True) -> None:
        self._confirm = confirm
        self._trackers: dict[ProcessKey, GuestTracker] = {}

    def add(self, look: Look) -> tuple[Reading, ...]:
        """Returns the reading of each guest of the next look, in its order."""
        trackers = {}
        readings = []
        for each in look.observations:
            key = each.guest.key
            tracker = self._trackers.get(key) or GuestTracker(confirm=self._confirm)
            try:
                reading = tracker.add(each, host_processors=look.host_processors)
            except Exception as error:  # noqa: BLE001 - one guest must not hide all others
                problem = f"nothing is concluded, {describe_bug(error)}"
                reading = Reading(
                    observation=replace(each, sample=None, problem=problem), layout=None
                )
            else:
                trackers[key] = tracker
            readings.append(reading)
        self._trackers = trackers
        return tuple(readings)


def find_running_layout(observation: Observation) -> Topology | None:
    """Returns the layout of a guest's command line with the IOThreads that QEMU reports.

    IOThreads can be added and their polling times be changed while a guest runs. None if the
    command line cannot be read.
    """
    layout, sample = observation.guest.layout, observation.sample
    if layout is None or sample is None or not sample.iothreads:
        return layout
    known = {each.id: each for each in layout.iothreads}
    return replace(
        layout,
        iothreads=tuple(_update(known.get(each.id), each) for each in sample.iothreads),
    )


def _update(known: IOThread | None, reported: IOThread) -> IOThread:
    """Returns an IOThread as reported, with what only its command line says."""
    if known is None:
        return reported
    return replace(
        reported,
        thread_pool_min=known.thread_pool_min,
        thread_pool_max=known.thread_pool_max,
    )


def _complete(before: Sample, after: Sample) -> Sample:
    """Returns a sample that, without disks of its own, has the last ones with their time.

    A monitor is held by others for moments; the rates of the next sample then reach back further.
    """
    if after.disks or not before.disks or after.monitor == "not asked":
        return after
    asked_ns = before.disks_monotonic_ns
    return replace(
        after,
        disks=before.disks,
        disks_monotonic_ns=before.monotonic_ns if asked_ns is None else asked_ns,
    )


def list_servers(layout: Topology) -> Mapping[str, Sequence[str]]:
    """Returns the event loops that serve each disk."""
    return {each.disk.id: layout.served_by(each) or (MAIN_LOOP,) for each in layout.disks}


def _find_pressure(
    before: IoWaits | None, after: IoWaits | None, window_s: float
) -> IoPressure | None:
    if before is None or after is None or window_s <= 0:
        return None
    some, full = (
        min(1.0, (now - then) / _US / window_s)
        for now, then in ((after.some_us, before.some_us), (after.full_us, before.full_us))
    )
    # A group of the same name that was made anew counts from zero.
    return IoPressure(some_share=some, full_share=full) if min(some, full) >= 0 else None
