"""Recordings of real event loops, computed again: does the algorithm decide as QEMU did?

Of a recording only the inputs are taken: how long each pass took and which handlers had an event.
Where the loop itself says both, as recordings of 11.1 do, nothing is left to guess. Up to 10.2
they follow from the clock's readings around a pass and from what `ppoll` returned; which handlers
a successful poll found is not in the record, so every state that fits what is seen is kept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import combinations

from attrs import define, field, frozen

from vmio.errors import InputError
from vmio.formats.qemu_trace import Block, Clock, Event, Handler, Ready, Record, Wait
from vmio.sim.polling import (
    Adjustment,
    Generation,
    PollSettings,
    WeightedTimes,
    adjust_handlers,
    adjust_time,
    adjust_weighted,
    choose_budget,
    complete_settings,
)

__all__ = ["Agreement", "check_recording"]

_MAX_STATES = 256
"""Recordings of real loops never needed more than two."""
_MAX_UNKNOWN = 10
"""Of so many handlers every subset may have been found; of more, small ones only."""


@frozen(kw_only=True)
class Agreement:
    """How many of QEMU's decisions the algorithm comes to as well."""

    events: int = 0
    """Changes of a polling time in the record."""
    events_agreed: int = 0
    events_missing: int = 0
    """Changes that the algorithm makes and the record does not have."""
    budgets: int = 0
    """Times that a pass polled for, in the record."""
    budgets_agreed: int = 0

    @property
    def is_complete(self) -> bool:
        """Whether all agree, and there was something to agree on."""
        return (
            self.events_agreed == self.events
            and self.budgets_agreed == self.budgets
            and self.events_missing == 0
            and self.events + self.budgets > 0
        )


def check_recording(
    records: Iterable[Record], generation: Generation, settings: PollSettings
) -> Agreement:
    """Computes a loop's decisions from a recording's inputs and compares them with those in it.

    Args:
        records: The recording.
        generation: How that QEMU adapts its polling.
        settings: The parameters that its IOThread had.

    Raises:
        InputError: A record is none of a recording, or how long passes took is not in it.
    """
    complete = complete_settings(settings, generation)
    inputs = _Inputs(Block if generation == "weighted" else Clock)
    check = {"loop": _check_loop, "handler": _check_handlers, "weighted": _check_weighted}
    agreement = check[generation](inputs.watch(records), complete)
    if agreement.events + agreement.budgets and not inputs.found:
        what = "the waits" if generation == "weighted" else "the readings of the clock"
        raise InputError(
            f"there is polling in it, but not {what} that it follows from",
            hint="a plain trace cannot be computed again; or another --qemu was recorded",
        )
    return agreement


@define
class _Inputs:
    """Whether a recording has what decisions follow from."""

    kind: type[Block | Clock]
    found: bool = False

    def watch(self, records: Iterable[Record]) -> Iterator[Record]:
        for record in records:
            self.found = self.found or isinstance(record, self.kind)
            yield record


@define
class _Tally:
    events: int = 0
    agreed: int = 0
    missing: int = 0
    budgets: int = 0
    budgets_agreed: int = 0

    def count(self, seen: Iterable[Adjustment], computed: Iterable[Adjustment]) -> None:
        there, expected = Counter(seen), Counter(computed)
        self.events += there.total()
        self.agreed += (there & expected).total()
        self.missing += (expected - there).total()

    def count_budget(self, *, agrees: bool) -> None:
        self.budgets += 1
        self.budgets_agreed += agrees

    def freeze(self) -> Agreement:
        return Agreement(
            events=self.events,
            events_agreed=self.agreed,
            events_missing=self.missing,
            budgets=self.budgets,
            budgets_agreed=self.budgets_agreed,
        )


@define
class _Change:
    """A change in the record, and the readings of the clock before it."""

    adjustment: Adjustment
    clock: Clock | None


@define
class _Pass:
    """One pass of a loop up to 10.2, from the reading that begins it to the next pass."""

    start_ns: int
    begin: Event | None = None
    end: Event | None = None
    wait: Wait | None = None
    ready: Ready | None = None
    clock: Clock | None = None
    """The readings of which the first ends the wait."""
    added: list[int] = field(factory=list)
    removed: list[int] = field(factory=list)
    changes: list[_Change] = field(factory=list)

    @property
    def block_ns(self) -> int | None:
        return None if self.clock is None else self.clock.first_ns - self.start_ns

    @property
    def is_polling(self) -> bool:
        return self.begin is not None and self.end is None


def _split_passes(records: Iterable[Record]) -> Iterator[_Pass]:
    """Yields a loop's passes; what comes before the first is one without a wait."""
    clock: Clock | None = None
    current = _Pass(start_ns=0)
    for record in records:
        match record:
            case Clock() if not current.is_polling:
                if current.clock is None and (current.begin or current.wait):
                    current.clock = record
                clock = record
            case Wait():
                if current.end is None or current.wait is not None or current.clock is not None:
                    yield current
                    current = _Pass(start_ns=clock.last_ns if clock else 0)
                current.wait = record
            case Ready() if current.clock is None:
                # A later one is of a submission while events are dispatched.
                current.ready = record
            case Event(name="run_poll_handlers_begin"):
                yield current
                current = _Pass(start_ns=clock.last_ns if clock else 0, begin=record)
            case Event():
                _note_event(current, record, clock)
            case _:
                pass
    yield current


def _note_event(current: _Pass, event: Event, clock: Clock | None) -> None:
    match event:
        case Event(name="run_poll_handlers_end"):
            current.end = event
        case Event(name="poll_add", values={"fd": descriptor}):
            current.added.append(descriptor)
        case Event(name="poll_remove", values={"fd": descriptor}):
            current.removed.append(descriptor)
        case Event(name="poll_grow" | "poll_shrink"):
            current.changes.append(_Change(_read_change(event), clock))
        case _:
            pass


def _read_change(event: Event) -> Adjustment:
    return Adjustment(
        kind="grow" if event.name == "poll_grow" else "shrink",
        old=event.values["old"],
        new=event.values["new"],
    )


def _check_loop(records: Iterable[Record], settings: PollSettings) -> Agreement:
    """Checks a loop of 7.2 to 9.x, whose polling time is adjusted in every pass.

    A pass that neither polls nor waits leaves no trace of its own but the change that it makes:
    the wait was then from the last but one reading of the clock to the last.
    """
    tally, poll_ns = _Tally(), 0
    for one in _split_passes(records):
        if one.begin is not None:
            budget = choose_budget(one.begin.values["timeout"], poll_ns)
            tally.count_budget(agrees=one.begin.values["max_ns"] == budget)
        changes = one.changes
        if one.clock is not None and one.block_ns is not None:
            direct = bool(changes) and changes[0].clock is one.clock and one.clock.count == 1
            poll_ns, change = adjust_time(poll_ns, one.block_ns, settings)
            seen = [changes[0].adjustment] if direct else []
            tally.count(seen, [change] if change else [])
            changes = changes[1:] if direct else changes
        for hidden in changes:
            clock = hidden.clock
            if clock is None or clock.before_last_ns is None:
                tally.count([hidden.adjustment], [])
                continue
            block_ns = clock.last_ns - clock.before_last_ns
            poll_ns, change = adjust_time(poll_ns, block_ns, settings)
            tally.count([hidden.adjustment], [change] if change else [])
    return tally.freeze()


_State = frozenset[tuple[int, int]]
"""Polling time by file descriptor."""


def _check_handlers(records: Iterable[Record], settings: PollSettings) -> Agreement:
    """Checks a loop of 10.0 to 10.2, in which each handler has its own polling time."""
    tally = _Tally()
    states: set[_State] = {frozenset()}
    notifier: int | None = None
    for one in _split_passes(records):
        if one.begin is not None:
            seen, timeout = one.begin.values["max_ns"], one.begin.values["timeout"]
            fitting = {
                state
                for state in states
                if choose_budget(timeout, max((ns for _, ns in state), default=0)) == seen
            }
            tally.count_budget(agrees=bool(fitting))
            states = fitting or states
        if one.wait is not None:
            if notifier is None and len(one.wait.fds) == 1:
                notifier = one.wait.fds[0]
            watched = set(one.wait.fds)
            states = {frozenset(item for item in state if item[0] in watched) for state in states}
        if one.block_ns is not None:
            states = _follow(states, one, notifier, settings, tally)
        else:
            tally.count([change.adjustment for change in one.changes], [])
    return tally.freeze()


def _follow(
    states: set[_State], one: _Pass, notifier: int | None, settings: PollSettings, tally: _Tally
) -> set[_State]:
    """Returns the states after a pass that fit its changes, or the one that fits them best."""
    block_ns = one.block_ns or 0
    seen = [change.adjustment for change in one.changes]
    fitting: set[_State] = set()
    best: tuple[int, _State, tuple[Adjustment, ...]] | None = None
    for state in states:
        times = {fd: ns for fd, ns in state if fd not in one.removed} | dict.fromkeys(one.added, 0)
        for ready in _list_ready(one, tuple(times), notifier):
            after, computed = adjust_handlers(times, ready, block_ns, settings)
            overlap = (Counter(seen) & Counter(computed)).total()
            misfit = len(seen) + len(computed) - 2 * overlap
            if misfit == 0 and len(fitting) < _MAX_STATES:
                fitting.add(frozenset(after.items()))
            if best is None or misfit < best[0]:
                best = misfit, frozenset(after.items()), computed
    assert best is not None  # noqa: S101 - there is a state, and it has a set of ready handlers
    tally.count(seen, best[2])
    return fitting or {best[1]}


def _list_ready(
    one: _Pass, members: tuple[int, ...], notifier: int | None
) -> Iterator[tuple[int, ...]]:
    """Yields every set of handlers that can have had an event in a pass."""
    known: tuple[int, ...] = tuple(one.added)
    if one.ready is not None and one.ready.fds is not None:
        known = tuple(dict.fromkeys((*known, *one.ready.fds)))
    rest = tuple(fd for fd in members if fd not in known)
    if one.wait is None and one.ready is None and one.end is not None:
        if one.end.values["progress"]:
            for found in _list_subsets(rest):
                if any(fd != notifier for fd in found) or known:
                    yield (*known, *found)
            return
        yield known
        if one.end.values["timeout"] == 0:
            for fd in rest if notifier is None else {notifier} & set(rest):
                yield (*known, fd)
        return
    left_polling = one.wait is not None and one.wait.timeout == 0
    if left_polling or (one.ready is not None and one.ready.fds is None):
        for found in _list_subsets(rest):
            yield (*known, *found)
        return
    yield known


def _list_subsets(members: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    largest = len(members) if len(members) <= _MAX_UNKNOWN else 2
    for size in range(largest + 1):
        yield from combinations(members, size)


@define
class _Loop:
    """A loop of 11.1 as it is followed, under one set of parameters."""

    settings: PollSettings
    state: WeightedTimes[Handler] = field(factory=WeightedTimes)
    removed: dict[Handler, int] = field(factory=dict)
    expected: Adjustment | None = None
    tally: _Tally = field(factory=_Tally)

    def take(self, record: Event | Block) -> None:
        match record:
            case Block():
                self.expect_nothing()
                means = {
                    handler: self.state.means.get(handler, self.removed.get(handler, 0))
                    for handler, _ in record.handlers
                }
                active = {handler for handler, is_active in record.handlers if is_active}
                self.state, self.expected = adjust_weighted(
                    WeightedTimes(poll_ns=self.state.poll_ns, means=means),
                    active,
                    record.block_ns,
                    self.settings,
                )
            case Event(name="poll_grow" | "poll_shrink"):
                computed = [self.expected] if self.expected else []
                self.tally.count([_read_change(record)], computed)
                self.expected = None
            case Event(name="run_poll_handlers_begin", values=values):
                self.expect_nothing()
                budget = choose_budget(values["timeout"], self.state.poll_ns)
                self.tally.count_budget(agrees=values["max_ns"] == budget)
            case Event(name="poll_remove", node=node, values={"fd": descriptor}):
                handler = Handler(node, descriptor)
                # Its mean is kept for the time when it is polled again.
                self.removed[handler] = self.state.means.get(handler, 0)
            case _:
                pass

    def expect_nothing(self) -> None:
        if self.expected is not None:
            self.tally.count([], [self.expected])
            self.expected = None


def _check_weighted(records: Iterable[Record], settings: PollSettings) -> Agreement:
    """Checks the loops of a record of 11.1, each of which says its waits and handlers itself.

    The loop of QEMU's own monitor is in the record as well and always has the defaults.
    """
    defaults = complete_settings(PollSettings(), "weighted")
    loops: dict[str, tuple[_Loop, _Loop]] = {}
    for record in records:
        if isinstance(record, (Block, Event)) and record.ctx:
            if record.ctx not in loops:
                loops[record.ctx] = (_Loop(settings), _Loop(defaults))
            for loop in loops[record.ctx]:
                loop.take(record)
    total = _Tally()
    busiest = max(loops, key=lambda ctx: loops[ctx][0].tally.events, default="")
    for ctx, (asked, default) in loops.items():
        asked.expect_nothing()
        default.expect_nothing()
        is_own = ctx != busiest and not _agrees(asked.tally) and _agrees(default.tally)
        tally = default.tally if is_own else asked.tally
        for name in _Tally.__slots__:
            if not name.startswith("_"):
                setattr(total, name, getattr(total, name) + getattr(tally, name))
    return total.freeze()


def _agrees(tally: _Tally) -> bool:
    return (tally.events, tally.budgets, 0) == (tally.agreed, tally.budgets_agreed, tally.missing)
