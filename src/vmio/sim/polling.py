"""QEMU's adaptive polling in its three generations, as functions over explicit state.

Before an event loop sleeps, it polls for events for a while, because waking up costs more than
polling until an event that comes soon. The polling time adapts to the loop's recent waits:

* QEMU 7.2 to 9.x has one polling time per loop, adapted in every pass;
* QEMU 10.0 to 10.2 has one per handler (a file descriptor that the loop watches), adapted when
  that handler had an event; the loop polls for the longest of them;
* QEMU 11.1 has a weighted mean of the waits per handler, and one polling time per loop that
  follows the largest mean among the handlers that had an event.

The arithmetic is QEMU's: whole nanoseconds, with division rounded down.

Source: QEMU 7.2.0, 10.0.2, 10.2.2 and 11.1.1, `util/aio-posix.c`, observed on 7.2.22, 10.0.2 and
11.1.1.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping
from typing import Generic, Literal, TypeVar

from msgspec import Struct, field

from vmio.errors import CapabilityError
from vmio.model.capabilities import QemuVersion
from vmio.values import check_between, replace

__all__ = [
    "DEFAULT_MAX_NS",
    "FIRST_NS",
    "Adjustment",
    "Generation",
    "PollSettings",
    "WeightedTimes",
    "adjust_handlers",
    "adjust_time",
    "adjust_weighted",
    "choose_budget",
    "choose_generation",
    "complete_settings",
]

Generation = Literal["loop", "handler", "weighted"]
"""The owner of a polling time: the loop (7.2 to 9.x), each handler (10.0 to 10.2), or the loop by
a weighted mean per handler (11.1)."""

DEFAULT_MAX_NS = 32768
"""`poll-max-ns` of an IOThread on Linux unless it is set. The main loop never polls."""
FIRST_NS = 4000
"""The value to which a time of 0 grows, up to QEMU 10.2."""

_FIRST = QemuVersion(7, 2)
_PER_HANDLER = QemuVersion(10, 0)
_WEIGHTED = QemuVersion(11, 1)

_MAX_INT64 = 2**63 - 1


class PollSettings(Struct, frozen=True, kw_only=True):
    """The parameters of an `-object iothread` that control its polling."""

    max_ns: int = DEFAULT_MAX_NS
    """`poll-max-ns`: the maximum polling time; 0 switches polling off."""
    grow: int = 0
    """`poll-grow`: a factor. Up to 10.2, 0 means 2."""
    shrink: int = 0
    """`poll-shrink`: a divisor. Up to 10.2, 0 means dropping to 0 at once."""
    weight: int = 0
    """`poll-weight`, 11.1 only: the newest wait has the weight 1 in 2 to the power of this."""

    def __post_init__(self) -> None:
        for name in ("max_ns", "grow", "shrink"):
            check_between(name, getattr(self, name), 0, _MAX_INT64)
        check_between("weight", self.weight, 0, 63)


class Adjustment(Struct, frozen=True, kw_only=True):
    """One change of a polling time, as in QEMU's trace events `poll_grow` and `poll_shrink`.

    Units: nanoseconds.
    """

    kind: Literal["grow", "shrink"]
    old: int
    new: int


_Handler = TypeVar("_Handler", bound=Hashable)
"""The identity of a handler, which is a file descriptor that the loop watches."""


class WeightedTimes(Struct, Generic[_Handler], frozen=True, kw_only=True):
    """The state of a loop of 11.1.

    Units: nanoseconds.
    """

    poll_ns: int = 0
    """The loop's polling time."""
    means: Mapping[_Handler, int] = field(default_factory=dict)
    """Weighted mean of the waits for each polled handler."""


def choose_generation(version: QemuVersion) -> Generation:
    """Returns the generation of a QEMU's polling.

    Raises:
        CapabilityError: The QEMU is older than 7.2.
    """
    if version < _FIRST:
        raise CapabilityError(
            f"the polling algorithm of QEMU {version} is not known", hint="7.2 and later are known"
        )
    if version < _PER_HANDLER:
        return "loop"
    return "handler" if version < _WEIGHTED else "weighted"


def complete_settings(settings: PollSettings, generation: Generation) -> PollSettings:
    """Returns parameters as QEMU uses them: since 11.1 a 0 is replaced when it is written."""
    if generation != "weighted":
        return settings
    return replace(
        settings,
        grow=settings.grow or 2,
        shrink=settings.shrink or 2,
        weight=settings.weight or 3,
    )


def choose_budget(timeout_ns: int, poll_ns: int) -> int:
    """Returns the maximum polling time of a pass: the polling time, or less if a timer is due.

    Args:
        timeout_ns: How long the loop may sleep; negative if there is no limit.
        poll_ns: The loop's polling time; the longest of its handlers' if they have their own.
    """
    return poll_ns if timeout_ns < 0 else min(timeout_ns, poll_ns)


def adjust_time(ns: int, block_ns: int, settings: PollSettings) -> tuple[int, Adjustment | None]:
    """Returns a polling time after a wait, and the change that QEMU traces; up to 10.2.

    A wait within the polling time leaves it unchanged. Polling cannot catch a wait above the
    maximum, so the time shrinks; longer polling would have caught any other wait.

    Args:
        ns: The time before: the loop's (7.2 to 9.x), or that of a handler that had an event.
        block_ns: From the pass's start to the end of its wait: polling, sleep and wake-up.
        settings: The IOThread's parameters; with `max_ns` 0 nothing is adjusted.
    """
    if block_ns <= ns or settings.max_ns == 0:
        return ns, None
    if block_ns > settings.max_ns:
        new = ns // settings.shrink if settings.shrink else 0
        return new, Adjustment(kind="shrink", old=ns, new=new)
    if ns < settings.max_ns and block_ns < settings.max_ns:
        new = min(ns * (settings.grow or 2) if ns else FIRST_NS, settings.max_ns)
        return new, Adjustment(kind="grow", old=ns, new=new)
    return ns, None


def adjust_handlers(
    times: Mapping[_Handler, int],
    ready: Collection[_Handler],
    block_ns: int,
    settings: PollSettings,
) -> tuple[dict[_Handler, int], tuple[Adjustment, ...]]:
    """Returns the handlers' times after a pass of 10.0 to 10.2, and the changes, as in `ready`.

    Each handler that had an event is adjusted separately, with the same wait; the others keep
    their times, which still count for the loop's budget.
    """
    adjusted = dict(times)
    changes = []
    for handler in ready:
        if handler in adjusted:
            adjusted[handler], change = adjust_time(adjusted[handler], block_ns, settings)
            if change is not None:
                changes.append(change)
    return adjusted, tuple(changes)


def adjust_weighted(
    state: WeightedTimes[_Handler],
    active: Collection[_Handler],
    block_ns: int,
    settings: PollSettings,
) -> tuple[WeightedTimes[_Handler], Adjustment | None]:
    """Returns a loop's state after a pass of 11.1, and the change that QEMU traces.

    An inactive handler's mean grows by the wait, so that it estimates the time between its events.

    Args:
        state: The state before.
        active: The polled handlers that had an event in this pass.
        block_ns: From the pass's start to the end of its wait.
        settings: The IOThread's parameters; only `max_ns` may be 0.
    """
    if settings.max_ns == 0:
        return state, None
    means = {
        handler: _update_mean(ns, block_ns, settings, active=handler in active)
        for handler, ns in state.means.items()
    }
    polled = [means[handler] for handler in means if handler in active]
    if not polled:
        return WeightedTimes(poll_ns=state.poll_ns, means=means), None
    old, longest = state.poll_ns, max(polled)
    new = old
    if longest > old:
        new = min(max(longest, old * settings.grow), settings.max_ns)
    elif longest < old // settings.shrink:
        new = old // settings.shrink
    change = None
    if longest > old or new < old:
        change = Adjustment(kind="grow" if longest > old else "shrink", old=old, new=new)
    return WeightedTimes(poll_ns=new, means=means), change


def _update_mean(ns: int, block_ns: int, settings: PollSettings, *, active: bool) -> int:
    if active:
        new = ns - (ns >> settings.weight) + (block_ns >> settings.weight) if ns else block_ns
    else:
        new = ns + block_ns if ns else 0
    return new if new <= settings.max_ns else 0
