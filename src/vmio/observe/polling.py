"""How much of an event loop's processor time goes into polling, told from outside of QEMU.

A loop that polls spins in QEMU's own code: the user share of its time is high, and it takes more
time for a request than the same loop takes without polling. Neither needs QEMU's help.

Source: QEMU 10.0.2 with one virtio-blk disk on linux-aio, run at polls of 0, 32768 and 1000000 ns
and three loads: requests that are polled for took 2.5 to 5 times as much processor time, with a
user share of 0.77 to 1 instead of 0 to 0.5.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Final, Literal

from msgspec import Struct

from vmio.observe.rates import DiskRates, Rates, ThreadRates
from vmio.observe.verdicts.thresholds import PASSES_FOR_A_REQUEST
from vmio.values import check_between

__all__ = [
    "PollingEstimate",
    "PollingMethod",
    "RequestCost",
    "estimate_polling",
    "measure_cost",
]

_POLLING_USER_SHARE: Final = 0.75
_POLLING_COSTS: Final = 2.0
"""So many times what a request takes with polling off."""
_WORK_USER_SHARES: Final = (0.05, 0.18, 0.3)
"""Of work without polling: the least, a middle and the greatest."""
_COST_ERROR: Final = 0.3
"""Relative, of what a request takes from one window to the next, whatever the run delay."""
_CONTENDED: Final = 0.05
_TICKS_PER_S: Final = 250
"""How often the kernel looks where a thread is: CONFIG_HZ, which is rarely less."""
_SURE: Final = 1.96
"""Standard errors of a 95 % interval."""
_MIN_TICKS: Final = 20
"""Of processor time; fewer tell no share."""


class RequestCost(Struct, frozen=True, kw_only=True):
    """What a request takes with polling off, as measured of this guest at one load."""

    depth: float
    """Requests under way at once, on average, by Little's law; batches make each cheaper."""
    cpu_ns: float
    """Processor time of the event loop for each request."""

    def __post_init__(self) -> None:
        check_between("depth", self.depth, 0)
        check_between("cpu_ns", self.cpu_ns, 0)


PollingMethod = Literal["request cost", "user share", "setting", "none"]


class PollingEstimate(Struct, frozen=True, kw_only=True):
    """What an event loop spends on polling; shares are of a processor, 1.0 is one all the time."""

    name: str
    """`MAIN_LOOP` or an IOThread's id."""
    poll_share: float | None
    """Best guess: seconds of polling in a second. None where nothing can be said."""
    poll_share_low: float | None
    """With `poll_share_high` about a 95 % interval."""
    poll_share_high: float | None
    method: PollingMethod
    """What it was worked out from: the cost of a request with polling off, the user share alone
    where that cost is not known, or the setting, where that is not to poll."""
    dominates: bool | None
    """Whether more goes into polling than into work: a user share above 0.75, and where the cost
    of a request is known, more than twice that for each; and polling can take half of the time.
    None where nothing can be said."""
    cpu_share: float
    """All that the loop's thread used."""
    requests_per_s: float | None
    """Of the disks that the loop serves; None if it shares one of them with other loops."""
    cpu_per_request_ns: float | None
    """None without requests, too."""
    user_share: float | None
    """Of its processor time, 0 to 1."""
    sleeps_per_request: float | None
    """About 2 without polling at depth 1; near 0 when polling finds the work."""
    depth_mean: float | None
    """Requests under way at once at those disks, on average."""
    contended: bool
    """Whether it waited for a processor for more than 5 % of the time: shares then say less."""


def estimate_polling(
    rates: Rates,
    serves: Mapping[str, Sequence[str]],
    costs: Mapping[str, Sequence[RequestCost]] | None = None,
    longest_ns: Mapping[str, int | None] | None = None,
) -> tuple[PollingEstimate, ...]:
    """Returns what each event loop spends on polling, in the order of its threads.

    Args:
        rates: Of two seconds or more, since the kernel splits processor time by samples.
        serves: The event loops that serve each disk, by its id, as `Topology.served_by` has them.
        costs: What requests take with polling off, by the loop's name, as `measure_cost` finds it.
        longest_ns: How long each IOThread polls at most in one pass, by its id; None or nothing
            where that is not known.
    """
    return tuple(
        _estimate(
            each,
            rates,
            serves,
            (costs or {}).get(each.name, ()),
            0 if each.role == "main loop" else (longest_ns or {}).get(each.name),
        )
        for each in rates.threads
        if each.role in {"iothread", "main loop"}
    )


def measure_cost(estimate: PollingEstimate) -> RequestCost | None:
    """Returns what a request took in a window in which the loop's `poll-max-ns` was 0.

    None if the window tells nothing: without requests, or with a processor that others had.
    """
    depth, cpu_ns = estimate.depth_mean, estimate.cpu_per_request_ns
    if depth is None or cpu_ns is None or estimate.contended:
        return None
    return RequestCost(depth=depth, cpu_ns=cpu_ns)


def _estimate(
    thread: ThreadRates,
    rates: Rates,
    serves: Mapping[str, Sequence[str]],
    costs: Sequence[RequestCost],
    longest_ns: int | None,
) -> PollingEstimate:
    disks = [each for each in rates.disks if thread.name in serves.get(each.id, ())]
    alone = all(tuple(serves[each.id]) == (thread.name,) for each in disks)
    requests_per_s = _sum_requests(disks) if alone and disks else None
    depth = _sum_depth(disks) if requests_per_s is not None else None
    user_share = _find_user_share(thread, rates.duration_s)
    cost_ns = None if depth is None else _interpolate(costs, depth)
    per_request_ns = thread.cpu_share / requests_per_s * 1e9 if requests_per_s else None
    sleeps = thread.voluntary_switches_per_s
    most = _find_most(requests_per_s, longest_ns)
    method: PollingMethod = "none"
    found: tuple[float, float, float] | None = None
    if longest_ns == 0:
        method, found = "setting", (0.0, 0.0, 0.0)
    elif cost_ns is not None and requests_per_s is not None:
        method, found = "request cost", _by_cost(thread.cpu_share, requests_per_s * cost_ns * 1e-9)
    elif user_share is not None:
        method, found = "user share", _by_user_share(thread, user_share, rates.duration_s)
    elif not thread.cpu_share:
        method, found = "user share", (0.0, 0.0, 0.0)  # an idle loop does not poll
    return PollingEstimate(
        name=thread.name,
        poll_share=min(found[1], most) if found else None,
        poll_share_low=min(found[0], most) if found else None,
        poll_share_high=min(found[2], most) if found else None,
        method=method,
        dominates=most >= thread.cpu_share / 2
        and _is_polling(user_share, per_request_ns, cost_ns, idle=not thread.cpu_share),
        cpu_share=thread.cpu_share,
        requests_per_s=requests_per_s,
        cpu_per_request_ns=per_request_ns,
        user_share=user_share,
        sleeps_per_request=sleeps / requests_per_s
        if sleeps is not None and requests_per_s
        else None,
        depth_mean=depth,
        contended=(thread.run_delay_share or 0.0) > _CONTENDED,
    )


def _find_most(requests_per_s: float | None, longest_ns: int | None) -> float:
    """Returns the most processors that polling can take: a loop that nothing wakes up sleeps."""
    if longest_ns == 0:
        return 0.0
    if requests_per_s is None or longest_ns is None:
        return 1.0
    return min(1.0, PASSES_FOR_A_REQUEST * requests_per_s * longest_ns * 1e-9)


def _by_cost(cpu_share: float, work_share: float) -> tuple[float, float, float]:
    """Returns what is left of the processor time when the work is taken away, with its error."""
    low, middle, high = (
        min(cpu_share, max(0.0, cpu_share - work_share * factor))
        for factor in (1 + _COST_ERROR, 1.0, 1 - _COST_ERROR)
    )
    return low, middle, high


def _by_user_share(
    thread: ThreadRates, user_share: float, duration_s: float
) -> tuple[float, float, float]:
    """Returns how much of the time has to be polling for the user share to be what it is.

    All polling is in QEMU's own code, and so is a share w of the work: of the time C, P is polling
    where user share x C = P + w (C - P).
    """
    ticks = max(1.0, thread.cpu_share * duration_s * _TICKS_PER_S)
    error = _SURE * math.sqrt(max(user_share * (1 - user_share), 1 / ticks) / ticks)
    least, middle, most = _WORK_USER_SHARES
    low, best, high = (
        min(1.0, max(0.0, (share - work) / (1 - work)))
        for share, work in (
            (user_share - error, most),
            (user_share, middle),
            (user_share + error, least),
        )
    )
    return low * thread.cpu_share, best * thread.cpu_share, high * thread.cpu_share


def _is_polling(
    user_share: float | None, per_request_ns: float | None, cost_ns: float | None, *, idle: bool
) -> bool | None:
    if idle:
        return False
    if user_share is None:
        return None
    spins = user_share > _POLLING_USER_SHARE
    if per_request_ns is None or cost_ns is None:
        return spins
    return spins and per_request_ns > _POLLING_COSTS * cost_ns


def _find_user_share(thread: ThreadRates, duration_s: float) -> float | None:
    """Returns the user share where there were ticks enough to tell it."""
    seen = thread.cpu_share * duration_s * _TICKS_PER_S
    return thread.user_share if seen >= _MIN_TICKS else None


def _interpolate(costs: Iterable[RequestCost], depth: float) -> float | None:
    """Returns what a request takes at a depth, by those next to it; the last one beyond them.

    Not by sleeps per request, though those tell batches too: polling takes them away.
    """
    known = sorted((math.log(max(each.depth, 1e-6)), each.cpu_ns) for each in costs)
    if not known:
        return None
    at = math.log(max(depth, 1e-6))
    for (low, low_ns), (high, high_ns) in pairwise(known):
        if low <= at <= high and high > low:
            return low_ns + (high_ns - low_ns) * (at - low) / (high - low)
    return known[0][1] if at < known[0][0] else known[-1][1]


def _sum_requests(disks: Iterable[DiskRates]) -> float | None:
    """Returns how many requests of all kinds disks completed in a second; None if not known."""
    found = 0.0
    for disk in disks:
        kinds = [
            each.operations_per_s for each in (disk.reads, disk.writes, disk.flushes, disk.unmaps)
        ]
        if kinds[0] is None and kinds[1] is None:
            return None
        found += sum(each for each in kinds if each is not None)
    return found


def _sum_depth(disks: Iterable[DiskRates]) -> float:
    return sum(
        each.depth_mean or 0.0
        for disk in disks
        for each in (disk.reads, disk.writes, disk.flushes, disk.unmaps)
    )
