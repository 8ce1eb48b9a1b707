"""What one window shows, without regard to the windows before it.

A subject has at most one verdict about what limits it. If several would hold, the first that
explains the others is it: waiting for processors before a full thread, polling before work, a
limit before slow storage.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, get_args

from vmio.model.iothread import MAIN_LOOP, IOThread
from vmio.model.plan import Change, StepKind
from vmio.observe.rates import ThreadRates
from vmio.observe.sample import LimitKind, Limits
from vmio.observe.verdicts.activity import (
    Activity,
    DiskActivity,
    Held,
    choose,
    find_demand,
    measure_window,
)
from vmio.observe.verdicts.settings import (
    DEFAULT_POLL_MAX_NS,
    change_polling,
    find_impossible_polling,
    find_pending,
    polls_at_all,
)
from vmio.observe.verdicts.thresholds import (
    DEEP,
    DEFAULT_REQUEST_COST_NS,
    FULL,
    IDLE,
    IO_URING_LOOP_SINCE,
    LEAST_CPU,
    LEAST_REQUESTS,
    LEAST_USED_S,
    LEAST_USER_WINDOW_S,
    LEAST_WINDOW_S,
    LIMIT_REACHED,
    MOSTLY_USER,
    NO_LONGER_MOSTLY_WORK,
    NOTHING_UNDER_WAY,
    PASSES_FOR_A_REQUEST,
    PRESSED,
    SLOW_NS,
    SOURCES,
    TIME_LEFT,
    WASTED_FACTOR,
)
from vmio.observe.verdicts.values import (
    GUEST,
    Doubt,
    Figure,
    Unit,
    Verdict,
    VerdictKind,
    Window,
)
from vmio.values import replace

__all__ = ["NOTES", "judge", "order_verdicts"]

NOTES: Final[frozenset[VerdictKind]] = frozenset(
    {"restart-pending", "polling-impossible", "io-pressure-misleads"}
)
"""What can be said of a subject besides what limits it."""

_EXACT: Final[frozenset[VerdictKind]] = NOTES | {"limit-binds", "waits-for-processors"}
"""What does not become uncertain because threads wait for processors."""
_ORDER: Final[tuple[VerdictKind, ...]] = get_args(VerdictKind)
_NS: Final = 1e9
_MOST_WAITING: Final = 4
_SHORT: Final[frozenset[Doubt]] = frozenset({"window too short"})
"""Doubts whose threshold is of their own."""


def judge(window: Window, held: Held = ()) -> tuple[Verdict, ...]:
    """Returns what a window shows, the worst first; nothing if nothing is wrong.

    Args:
        window: The window.
        held: The verdicts in force, whose thresholds are then those that end them.
    """
    found = [*find_pending(window), *find_impossible_polling(window)]
    rates = window.rates
    if rates is None:
        found.append(_doubt(GUEST, "samples out of order", ()))
    elif rates.duration_s < LEAST_WINDOW_S:
        duration = Figure(
            name="window",
            subject=GUEST,
            value=rates.duration_s,
            unit="s",
            at_most=LEAST_WINDOW_S,
        )
        found.append(_doubt(GUEST, "window too short", (duration,)))
    else:
        activity = measure_window(window, rates, held)
        found += _find_limits(activity)
        found += _judge_pressure(activity)
        if activity.waiting:
            found = [
                each if each.kind in _EXACT else replace(each, in_doubt=True) for each in found
            ]
    return order_verdicts(found)


def order_verdicts(found: Iterable[Verdict]) -> tuple[Verdict, ...]:
    """Returns verdicts with the worst first."""
    return tuple(
        sorted(
            found,
            key=lambda each: (each.severity == "info", _ORDER.index(each.kind), each.subject),
        )
    )


def _find_limits(activity: Activity) -> Iterator[Verdict]:
    """Yields what limits each subject, one verdict for each."""
    guest = _judge_waiting(activity) or _judge_vcpus(activity) or _judge_monitor(activity)
    if guest is not None:
        yield guest
    subjects: set[str] = {GUEST}
    for thread in activity.threads:
        if thread.role != "vcpu" and thread.name not in subjects:
            subjects.add(thread.name)
            found = _judge_loop(activity, thread)
            if found is not None:
                yield found
    for disk in activity.disks:
        if disk.rates.id not in subjects:
            subjects.add(disk.rates.id)
            found = _judge_limits(disk) or _judge_storage(activity, disk)
            if found is not None:
                yield found


def _judge_waiting(activity: Activity) -> Verdict | None:
    if not activity.waiting:
        return None
    shared = [each.affinity for each in activity.threads if find_demand(each) > IDLE]
    host = activity.window.host_processors or 0
    narrow = any(
        each.affinity and len(each.affinity) < min(host, shared.count(each.affinity))
        for each in activity.waiting
    )
    return Verdict(
        kind="waits-for-processors",
        subject=GUEST,
        severity="warning",
        evidence=tuple(
            Figure(
                name="run delay",
                subject=each.name,
                value=each.run_delay_share,
                unit="share",
                at_least=activity.waits_from,
            )
            for each in activity.waiting[:_MOST_WAITING]
        ),
        source=SOURCES["waits-for-processors"],
        step="widen-affinity" if narrow else None,
    )


def _judge_vcpus(activity: Activity) -> Verdict | None:
    demands = [find_demand(each) for each in activity.threads if each.role == "vcpu"]
    threshold = choose(FULL, is_held=activity.is_held("vcpus-full", GUEST))
    if not demands or sum(demands) / len(demands) < threshold:
        return None
    return Verdict(
        kind="vcpus-full",
        subject=GUEST,
        severity="info",
        evidence=(
            Figure(
                name="mean cpu of the vCPUs",
                subject=GUEST,
                value=sum(demands) / len(demands),
                unit="processors",
                at_least=threshold,
            ),
            *(_show_cpu(each) for each in activity.threads if each.role != "vcpu"),
        ),
        source=SOURCES["vcpus-full"],
    )


def _judge_monitor(activity: Activity) -> Verdict | None:
    if activity.disks or not activity.window.layout.disks:
        return None
    states = (activity.window.after.monitor, activity.window.before.monitor)
    figures = tuple(
        Figure(name="monitor", subject=GUEST, value=each, unit="text")
        for each in dict.fromkeys(states)
        if each != "answered"
    )
    return _doubt(GUEST, "monitor did not answer", figures)


def _judge_loop(activity: Activity, thread: ThreadRates) -> Verdict | None:
    if activity.is_waiting(thread):
        return None
    if thread.role == "main loop":
        return _judge_full(activity, thread, "main-loop-full")
    iothread = next(
        (each for each in activity.window.after.iothreads if each.id == thread.name), None
    )
    longest_ns = iothread.poll_max_ns if iothread is not None else 0
    if iothread is None or not longest_ns or not polls_at_all(activity.window, thread.name):
        return _judge_full(activity, thread, "iothread-full")
    return _judge_polling(activity, thread, iothread, longest_ns)


def _judge_polling(
    activity: Activity, thread: ThreadRates, iothread: IOThread, longest_ns: int
) -> Verdict | None:
    """Judges an IOThread that may poll: what looks like work can be polling."""
    disks = activity.disks_of(thread.name)
    known = [each.requests_per_s for each in disks if each.requests_per_s is not None]
    per_s = sum(known) if len(known) == len(disks) and disks else None
    most = None if per_s is None else min(1.0, PASSES_FOR_A_REQUEST * per_s * longest_ns / _NS)
    full = _judge_full(activity, thread, "iothread-full")
    if full is not None and _is_work(activity, thread, per_s=per_s, most=most):
        return full
    least = choose(LEAST_CPU, is_held=activity.is_held("polling-wasted", thread.name))
    if thread.cpu_share < least or (most is not None and most < thread.cpu_share / 2):
        return None
    used_s = thread.cpu_share * activity.rates.duration_s
    user = thread.user_share
    if activity.rates.duration_s < LEAST_USER_WINDOW_S or used_s < LEAST_USED_S:
        user = None
    if user is not None:
        return _judge_mostly_user(
            activity, thread, iothread, user=user, per_s=per_s, is_full=full is not None
        )
    if full is None and (per_s is None or per_s * longest_ns >= _NS):
        return None
    return _doubt(thread.name, "user share not known", (_show_cpu(thread),))


def _is_work(
    activity: Activity, thread: ThreadRates, *, per_s: float | None, most: float | None
) -> bool:
    """Returns whether a full thread is full of work.

    Args:
        activity: The window's activity.
        thread: The thread.
        per_s: Requests of its disks; None if not known.
        most: The most processors that polling can take; None if not known.
    """
    if thread.user_share is not None and thread.user_share < NO_LONGER_MOSTLY_WORK:
        return True
    _, least = FULL
    cost_ns = activity.window.request_cost_ns.get(thread.name)
    if cost_ns is not None and per_s is not None and per_s * cost_ns / _NS >= least:
        return True
    return most is not None and thread.cpu_share - most >= least


def _judge_mostly_user(
    activity: Activity,
    thread: ThreadRates,
    iothread: IOThread,
    *,
    user: float,
    per_s: float | None,
    is_full: bool,
) -> Verdict | None:
    """Judges an IOThread whose time can be polling, by its user share."""
    held = activity.is_held("polling-wasted", thread.name)
    least_user = choose(MOSTLY_USER, is_held=held)
    if user < least_user:
        return None
    longest_ns = iothread.poll_max_ns or 0
    lower = change_polling(
        iothread.id, longest_ns, 0 if longest_ns <= DEFAULT_POLL_MAX_NS else DEFAULT_POLL_MAX_NS
    )
    figures: tuple[Figure, ...] = (
        _show_cpu(thread),
        Figure(
            name="user share",
            subject=thread.name,
            value=user,
            unit="share",
            at_least=least_user,
        ),
    )
    if per_s is None:
        return _doubt(thread.name, "polling looks like work", figures, lower) if is_full else None
    if per_s * activity.rates.duration_s < LEAST_REQUESTS:
        return _doubt(thread.name, "too few requests", figures)
    cost_ns = activity.window.request_cost_ns.get(thread.name) or DEFAULT_REQUEST_COST_NS
    most_ns = choose(WASTED_FACTOR, is_held=held) * cost_ns
    spent_ns = thread.cpu_share * _NS / per_s
    figures = (
        *figures,
        Figure(
            name="cpu for a request",
            subject=thread.name,
            value=spent_ns,
            unit="ns",
            at_least=most_ns,
        ),
        Figure(name="poll-max-ns", subject=thread.name, value=longest_ns, unit="ns"),
        Figure(
            name="requests",
            subject=thread.name,
            value=per_s,
            unit="requests/s",
            at_most=_NS / longest_ns if longest_ns else None,
        ),
    )
    if spent_ns >= most_ns and per_s * longest_ns < _NS:
        return Verdict(
            kind="polling-wasted",
            subject=thread.name,
            severity="warning",
            evidence=figures,
            source=SOURCES["polling-wasted"],
            change=lower,
        )
    return _doubt(thread.name, "polling looks like work", figures, lower) if is_full else None


def _judge_full(activity: Activity, thread: ThreadRates, kind: VerdictKind) -> Verdict | None:
    threshold = choose(FULL, is_held=activity.is_held(kind, thread.name))
    if find_demand(thread) < threshold:
        return None
    disks = activity.disks_of(thread.name)
    busy = tuple(
        each for each in disks if (each.requests_per_s or 0.0) >= 1 or each.rates.in_flight
    )
    others = tuple(
        each for each in activity.threads if each.role == "iothread" and each.name != thread.name
    )
    return Verdict(
        kind=kind,
        subject=thread.name,
        severity="warning" if busy else "info",
        evidence=(
            _show_cpu(thread, threshold),
            Figure(
                name="run delay",
                subject=thread.name,
                value=thread.run_delay_share,
                unit="share",
                at_most=activity.waits_from,
            ),
            *(
                Figure(
                    name="requests",
                    subject=each.rates.id,
                    value=each.requests_per_s,
                    unit="requests/s",
                )
                for each in busy
            ),
            *(_show_cpu(each) for each in others),
        ),
        source=SOURCES[kind],
        step=_choose_step(activity, thread.name, busy),
        disks=tuple(each.rates.id for each in busy),
    )


def _choose_step(activity: Activity, loop: str, busy: tuple[DiskActivity, ...]) -> StepKind | None:
    """Returns the kind of step that takes disks off a full loop."""
    layout = activity.window.layout
    controllers = {
        each.id: each
        for each in layout.controllers
        if any(disk.attached and disk.attached.controller == each.id for disk in busy)
    }
    if not controllers:
        return None
    if loop == MAIN_LOOP:
        fit = any(each.takes_iothread for each in controllers.values())
        return "give-threads" if fit else "move-disks"
    if len(busy) > 1:
        return "give-threads" if len(controllers) > 1 else "separate-controllers"
    (controller,) = controllers.values()
    return "map-queues" if layout.count_queues(controller) > 1 else None


def _judge_limits(disk: DiskActivity) -> Verdict | None:
    limits = disk.rates.limits
    if limits is None or not disk.rates.binding:
        return None
    return Verdict(
        kind="limit-binds",
        subject=disk.rates.id,
        severity="warning",
        evidence=(
            *(each for kind in disk.rates.binding for each in _show_limit(disk, limits, kind)),
            *_show_disk(disk),
        ),
        source=SOURCES["limit-binds"],
    )


def _show_limit(disk: DiskActivity, limits: Limits, kind: LimitKind) -> Iterator[Figure]:
    """Yields a limit, and what the disk does of it alone where no others share it."""
    name = disk.rates.id
    in_requests = kind.startswith("iops")
    unit: Unit = "requests/s" if in_requests else "bytes/s"
    limit: float = getattr(limits, kind)
    yield Figure(name=f"limit {kind}", subject=name, value=limit, unit=unit)
    if limits.group or limits.iops_size_bytes:
        return
    counted = [
        each.operations_per_s if in_requests else each.bytes_per_s
        for direction, each in (("read", disk.rates.reads), ("write", disk.rates.writes))
        if kind.endswith(direction) or not kind.endswith(("read", "write"))
    ]
    yield Figure(
        name=kind,
        subject=name,
        value=sum(each or 0.0 for each in counted),
        unit=unit,
        at_least=LIMIT_REACHED * limit,
    )


def _judge_storage(activity: Activity, disk: DiskActivity) -> Verdict | None:
    kind: VerdictKind = "storage-slow"
    name = disk.rates.id
    before = next((each for each in activity.window.before.disks if each.id == name), None)
    if disk.count == 0 and disk.rates.in_flight and before is not None and before.in_flight:
        in_flight = Figure(
            name="requests under way", subject=name, value=disk.rates.in_flight, unit="requests"
        )
        return _doubt(name, "nothing completed", (in_flight,))
    loops = [activity.find_thread(each) for each in disk.loops]
    if not loops or disk.count is None or disk.count < LEAST_REQUESTS:
        return None
    held = activity.is_held(kind, name)
    most = choose(TIME_LEFT, is_held=held)
    if any(each is None or find_demand(each) > most for each in loops):
        return None
    if any(each is not None and activity.is_waiting(each) for each in loops):
        return None
    if (disk.depth or 0.0) < choose(DEEP, is_held=held):
        return None
    if (disk.latency_ns or 0.0) < choose(SLOW_NS, is_held=held):
        return None
    return Verdict(
        kind=kind,
        subject=name,
        severity="warning",
        evidence=(
            Figure(
                name="mean depth",
                subject=name,
                value=disk.depth,
                unit="requests",
                at_least=choose(DEEP, is_held=held),
            ),
            Figure(
                name="mean latency",
                subject=name,
                value=disk.latency_ns,
                unit="ns",
                at_least=choose(SLOW_NS, is_held=held),
            ),
            *(
                replace(_show_cpu(each), at_least=None, at_most=most)
                for each in loops
                if each is not None
            ),
        ),
        source=SOURCES[kind],
    )


def _judge_pressure(activity: Activity) -> Iterator[Verdict]:
    pressure = activity.window.io_pressure
    version = activity.window.qemu_version
    if pressure is None or (version is not None and version < IO_URING_LOOP_SINCE):
        return
    threshold = choose(PRESSED, is_held=activity.is_held("io-pressure-misleads", GUEST))
    worst = max(pressure.some_share, pressure.full_share)
    depths = [each.depth for each in activity.disks]
    total = sum(each for each in depths if each is not None)
    in_flight = sum(each.rates.in_flight or 0 for each in activity.disks)
    if worst < threshold or not depths or None in depths or total > NOTHING_UNDER_WAY or in_flight:
        return
    yield Verdict(
        kind="io-pressure-misleads",
        subject=GUEST,
        severity="info",
        evidence=(
            Figure(
                name="I/O pressure",
                subject=GUEST,
                value=worst,
                unit="share",
                at_least=threshold,
            ),
            Figure(
                name="mean depth of all disks",
                subject=GUEST,
                value=total,
                unit="requests",
                at_most=NOTHING_UNDER_WAY,
            ),
            Figure(
                name="QEMU",
                subject=GUEST,
                value=None if version is None else str(version),
                unit="text",
            ),
        ),
        source=SOURCES["io-pressure-misleads"],
    )


def _doubt(
    subject: str, doubt: Doubt, evidence: tuple[Figure, ...], change: Change | None = None
) -> Verdict:
    """Returns a verdict that cannot tell; thresholds of another verdict are not its own."""
    return Verdict(
        kind="cannot-tell",
        subject=subject,
        severity="info",
        evidence=evidence
        if doubt in _SHORT
        else tuple(replace(each, at_least=None, at_most=None) for each in evidence),
        source=SOURCES["cannot-tell"],
        doubt=doubt,
        change=change,
    )


def _show_cpu(thread: ThreadRates, threshold: float | None = None) -> Figure:
    return Figure(
        name="cpu",
        subject=thread.name,
        value=thread.cpu_share,
        unit="processors",
        at_least=threshold,
    )


def _show_disk(disk: DiskActivity) -> Iterator[Figure]:
    yield Figure(
        name="requests", subject=disk.rates.id, value=disk.requests_per_s, unit="requests/s"
    )
    yield Figure(name="mean depth", subject=disk.rates.id, value=disk.depth, unit="requests")
    yield Figure(name="mean latency", subject=disk.rates.id, value=disk.latency_ns, unit="ns")
