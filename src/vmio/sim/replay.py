"""Recordings of real event loops, computed again, to check the algorithm against QEMU.

Only the inputs of a recording are used: the duration of each pass, and the handlers that had an
event. Recordings of 11.1 contain both, so nothing has to be inferred. Up to 10.2 they follow from
the clock's readings around a pass and from the result of `ppoll`; the handlers that successful
polling found are not recorded, so every state that fits the record is kept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import combinations, islice, product

from msgspec import Struct, field

from vmio.errors import InputError
from vmio.formats.qemu.trace import Block, Clock, Event, Handler, Read, Ready, Record, Wait
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


class Agreement(Struct, frozen=True, kw_only=True):
    """How many of QEMU's decisions the algorithm reproduces."""

    events: int = 0
    """Changes of a polling time in the record."""
    events_agreed: int = 0
    events_missing: int = 0
    """Changes that the algorithm makes and that are not in the record."""
    budgets: int = 0
    """Polling times of passes in the record."""
    budgets_agreed: int = 0

    @property
    def is_complete(self) -> bool:
        """Whether all agree, and there is at least one."""
        return (
            self.events_agreed == self.events
            and self.budgets_agreed == self.budgets
            and self.events_missing == 0
            and self.events + self.budgets > 0
        )


def check_recording(
    records: Iterable[Record], generation: Generation, settings: PollSettings
) -> Agreement:
    """Computes a loop's decisions from a recording's inputs, to compare with the recorded ones.

    Args:
        records: The recording.
        generation: The generation of that QEMU's polling.
        settings: The parameters of its IOThread.

    Raises:
        InputError: A record is not part of a recording, or the durations of passes are missing.
    """
    complete = complete_settings(settings, generation)
    inputs = _Inputs(Block if generation == "weighted" else Clock)
    check = {"loop": _check_loop, "handler": _check_handlers, "weighted": _check_weighted}
    agreement = check[generation](inputs.watch(records), complete)
    if agreement.events + agreement.budgets and not inputs.found:
        what = "the waits" if generation == "weighted" else "the readings of the clock"
        raise InputError(
            f"it has polling, but not {what} that determine it",
            hint="a plain trace cannot be computed again; or another --qemu-version was recorded",
        )
    return agreement


class _Inputs(Struct):
    """Whether a recording has the inputs of decisions."""

    kind: type[Block | Clock]
    found: bool = False

    def watch(self, records: Iterable[Record]) -> Iterator[Record]:
        for record in records:
            self.found = self.found or isinstance(record, self.kind)
            yield record


class _Tally(Struct):
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


class _Change(Struct):
    """A change in the record, and the readings of the clock before it."""

    adjustment: Adjustment
    clock: Clock | None


class _Pass(Struct):
    """One pass of a loop up to 10.2, from the reading at its begin to the next pass."""

    start_ns: int
    begin: Event | None = None
    end: Event | None = None
    wait: Wait | None = None
    ready: Ready | None = None
    clock: Clock | None = None
    """Readings; the first one ends the wait."""
    added: list[int] = field(default_factory=list)
    removed: list[int] = field(default_factory=list)
    detached: list[int] = field(default_factory=list)
    """Descriptors that were read without effect, as a device does when it unregisters one."""
    changes: list[_Change] = field(default_factory=list)

    @property
    def block_ns(self) -> int | None:
        return None if self.clock is None else self.clock.first_ns - self.start_ns

    @property
    def is_polling(self) -> bool:
        return self.begin is not None and self.end is None


def _split_passes(records: Iterable[Record]) -> Iterator[_Pass]:
    """Yields a loop's passes; events before the first one form a pass without a wait."""
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
                # A later one belongs to a submission during dispatch.
                current.ready = record
            case Read(fd=descriptor, result=result) if result < 0:
                current.detached.append(descriptor)
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

    A pass that neither polls nor waits leaves no trace except the change that it makes: the wait
    was then between the last two readings of the clock.
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


_Times = frozenset[tuple[int, int]]
"""Polling time by file descriptor."""


class _State(Struct, frozen=True):
    """A possible state of a loop's handlers: one interpretation of the record."""

    times: _Times = frozenset()
    gone: _Times = frozenset()
    """Handlers that must have been unregistered to explain a budget, with their times; the rest of
    the record has yet to confirm it."""


def _check_handlers(records: Iterable[Record], settings: PollSettings) -> Agreement:
    """Checks a loop of 10.0 to 10.2, in which each handler has its own polling time."""
    checker = _Handlers(settings)
    for one in _split_passes(records):
        checker.take(one)
    return checker.finish()


class _Doubt(Struct, frozen=True, kw_only=True):
    """A budget or changes of a pass that agree only if handlers are gone; later passes decide.

    The trace does not record when a handler is unregistered, which another thread can do anytime.
    """

    is_budget: bool
    seen: Counter[Adjustment] = field(default_factory=Counter)
    computed: Counter[Adjustment] = field(default_factory=Counter)
    """The changes if no handler is gone."""


class _Handlers(Struct):
    """A loop of 10.0 to 10.2, followed in every interpretation that fits."""

    settings: PollSettings
    states: set[_State] = field(default_factory=lambda: {_State()})
    notifier: int | None = None
    doubts: list[_Doubt] = field(default_factory=list)
    tally: _Tally = field(default_factory=_Tally)

    def take(self, one: _Pass) -> None:
        if one.begin is not None:
            self._take_budget(one.begin.values["timeout"], one.begin.values["max_ns"])
        if one.wait is not None:
            if self.notifier is None and len(one.wait.fds) == 1:
                self.notifier = one.wait.fds[0]
            watched = set(one.wait.fds)
            self.states = {
                _State(_keep(state.times, watched), _keep(state.gone, watched))
                for state in self.states
            }
        self._settle(one)
        if one.block_ns is not None:
            self._follow(one, one.block_ns)
        else:
            self.tally.count([change.adjustment for change in one.changes], [])

    def finish(self) -> Agreement:
        """Returns the agreement; a doubt that is still open is a difference."""
        self._decide(agrees=False)
        return self.tally.freeze()

    def _take_budget(self, timeout: int, seen: int) -> None:
        fitting = {state for state in self.states if _find_budget(timeout, state.times) == seen}
        if fitting:
            self.states = fitting
            self.tally.count_budget(agrees=True)
            return
        smaller = {
            _State(
                frozenset(item for item in state.times if item[1] <= seen),
                state.gone | {item for item in state.times if item[1] > seen},
            )
            for state in self.states
        }
        fitting = {state for state in smaller if _find_budget(timeout, state.times) == seen}
        if fitting:
            self.states = fitting
            self.doubts.append(_Doubt(is_budget=True))
        else:
            self.tally.count_budget(agrees=False)

    def _settle(self, one: _Pass) -> None:
        """Checks, by what a pass shows, which of the supposedly gone handlers are gone."""
        if not self.doubts:
            return
        shown = {*one.added, *one.detached}
        # A handler that has an event and is not new was there all the time.
        ready = one.ready.fds if one.ready is not None else None
        there = set(ready or ()) - shown
        states = {
            _State(state.times, frozenset(item for item in state.gone if item[0] not in shown))
            for state in self.states
        }
        possible = {state for state in states if not there & {fd for fd, _ in state.gone}}
        if not possible:
            self.states = {
                _State(frozenset({**dict(state.gone), **dict(state.times)}.items()))
                for state in states
            }
            self._decide(agrees=False)
            return
        self.states = possible
        if settled := {state for state in possible if not state.gone}:
            self.states = settled
            self._decide(agrees=True)

    def _decide(self, *, agrees: bool) -> None:
        for doubt in self.doubts:
            if doubt.is_budget:
                self.tally.count_budget(agrees=agrees)
            else:
                computed = doubt.seen if agrees else doubt.computed
                self.tally.count(doubt.seen.elements(), computed.elements())
        self.doubts.clear()

    def _follow(self, one: _Pass, block_ns: int) -> None:
        """Keeps the states after a pass that fit its changes, or the one that fits best."""
        seen = Counter(change.adjustment for change in one.changes)
        readings = [
            reading for state in self.states for reading in self._read(state, one, block_ns, seen)
        ]
        fitting = {state for misfit, state, _ in readings if misfit == 0}
        if fitting:
            self.tally.count(seen.elements(), seen.elements())
        else:
            _, best, computed = min(readings, key=lambda reading: reading[0])
            fitting = {
                state
                for before in self.states
                for less in _lose_ready(before, one)
                for misfit, state, _ in self._read(less, one, block_ns, seen)
                if misfit == 0
            }
            if fitting:
                self.doubts.append(_Doubt(is_budget=False, seen=seen, computed=computed))
            else:
                self.tally.count(seen.elements(), computed.elements())
                fitting = {best}
        self.states = set(islice(fitting, _MAX_STATES))

    def _read(
        self, state: _State, one: _Pass, block_ns: int, seen: Counter[Adjustment]
    ) -> Iterator[tuple[int, _State, Counter[Adjustment]]]:
        """Yields possible states after a pass, with the number of differences from the record."""
        lost = {fd for fd, _ in state.gone}
        for times in _list_members(state, one):
            for ready in _list_ready(one, times, self.notifier, block_ns, self.settings):
                still = [fd for fd in ready if fd not in lost or fd in one.added]
                after, changes = adjust_handlers(times, still, block_ns, self.settings)
                computed = Counter(changes)
                misfit = ((seen - computed) + (computed - seen)).total()
                kept = ((fd, ns) for fd, ns in after.items() if fd not in one.detached)
                yield misfit, _State(frozenset(kept), state.gone), computed


def _lose_ready(state: _State, one: _Pass) -> Iterator[_State]:
    """Yields states without handlers that were ready but unregistered before their dispatch.

    Another thread can unregister them between a loop's wait and the dispatch.
    """
    ready = one.ready.fds if one.ready is not None else None
    candidates = [item for item in state.times if item[0] in (ready or ())]
    for size in range(1, len(candidates) + 1):
        for lost in islice(combinations(candidates, size), _MAX_STATES):
            yield _State(state.times - set(lost), state.gone | set(lost))


def _keep(times: _Times, watched: Collection[int]) -> _Times:
    return frozenset(item for item in times if item[0] in watched)


def _find_budget(timeout: int, times: _Times) -> int:
    return choose_budget(timeout, max((ns for _, ns in times), default=0))


def _list_members(state: _State, one: _Pass) -> Iterator[dict[int, int]]:
    """Yields the sets of handlers that a pass can have adjusted, with their times before.

    A handler that is detached in a pass is detached before the dispatch; but a pass without a
    trace may have followed, and then it was detached after it.
    """
    added = dict.fromkeys(one.added, 0)
    times = {fd: ns for fd, ns in state.times if fd not in one.removed}
    yield {fd: ns for fd, ns in times.items() if fd not in one.detached} | added
    if any(fd in times for fd in one.detached):
        yield times | added


def _list_ready(
    one: _Pass,
    times: Mapping[int, int],
    notifier: int | None,
    block_ns: int,
    settings: PollSettings,
) -> Iterator[tuple[int, ...]]:
    """Yields every set of handlers that can have had an event in a pass, as far as it matters.

    Of handlers that would not change, only one set is yielded: their times stay the same.
    """
    known: tuple[int, ...] = tuple(one.added)
    if one.ready is not None and one.ready.fds is not None:
        known = tuple(dict.fromkeys((*known, *one.ready.fds)))
    rest = tuple(fd for fd in times if fd not in known)
    changes = {fd: adjust_time(times[fd], block_ns, settings)[1] for fd in rest}
    seen = Counter(change.adjustment for change in one.changes)
    seen -= Counter(adjust_handlers(times, known, block_ns, settings)[1])
    if one.wait is None and one.ready is None and one.end is not None:
        is_endless = one.begin is not None and one.begin.values["timeout"] < 0
        for found in _list_polled(
            one.end, changes, seen, notifier, is_known=bool(known), is_endless=is_endless
        ):
            yield (*known, *found)
        return
    left_polling = one.wait is not None and one.wait.timeout == 0
    if left_polling or (one.ready is not None and one.ready.fds is None):
        for found in _list_subsets(changes, seen):
            yield (*known, *found)
    yield known


def _list_polled(
    end: Event,
    changes: Mapping[int, Adjustment | None],
    seen: Counter[Adjustment],
    notifier: int | None,
    *,
    is_known: bool,
    is_endless: bool,
) -> Iterator[tuple[int, ...]]:
    """Yields the sets that polling can have found: without the notifier if it made progress."""
    if not end.values["progress"]:
        if end.values["timeout"] == 0:
            if is_endless and notifier is not None and notifier in changes:
                # Without a timer, only the notifier can end the wait.
                yield (notifier,)
                return
            only = changes if notifier is None else {notifier} & changes.keys()
            for found in _list_subsets({fd: changes[fd] for fd in only}, seen):
                if len(found) <= 1:
                    yield found
        yield ()
        return
    others = [fd for fd in changes if fd != notifier]
    is_quiet = is_known or any(changes[fd] is None for fd in others)
    for found in _list_subsets(changes, seen):
        if is_quiet or any(fd != notifier for fd in found):
            yield found
    if not is_quiet:
        # Something was found, whatever the record says.
        yield tuple(others[:1])


def _list_subsets(
    changes: Mapping[int, Adjustment | None], seen: Counter[Adjustment]
) -> Iterator[tuple[int, ...]]:
    """Yields the sets of handlers whose changes are the recorded ones, as far as possible."""
    groups = []
    for change, number in seen.items():
        group = [fd for fd, own in changes.items() if own == change]
        size = min(number, len(group))
        groups.append(tuple(islice(combinations(group, size), _MAX_STATES)))
    for parts in islice(product(*groups), _MAX_STATES):
        yield tuple(fd for part in parts for fd in part)


class _Loop(Struct):
    """A loop of 11.1, followed with one set of parameters."""

    settings: PollSettings
    state: WeightedTimes[Handler] = field(default_factory=WeightedTimes)
    removed: dict[Handler, int] = field(default_factory=dict)
    expected: Adjustment | None = None
    tally: _Tally = field(default_factory=_Tally)

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
            case Event(name="poll_add", node=node, values={"fd": descriptor}):
                # Without a removal before, it is another handler at an address that was freed.
                handler = Handler(node, descriptor)
                means = {**self.state.means, handler: self.removed.pop(handler, 0)}
                self.state = WeightedTimes(poll_ns=self.state.poll_ns, means=means)
            case Event(name="poll_remove", node=node, values={"fd": descriptor}):
                handler = Handler(node, descriptor)
                # Its mean is kept until it is polled again.
                self.removed[handler] = self.state.means.get(handler, 0)
            case _:
                pass

    def expect_nothing(self) -> None:
        if self.expected is not None:
            self.tally.count([], [self.expected])
            self.expected = None


def _check_weighted(records: Iterable[Record], settings: PollSettings) -> Agreement:
    """Checks the loops of a record of 11.1, each of which records its waits and handlers.

    The loop of QEMU's own monitor is also in the record, and always has the defaults.
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
        for name in _Tally.__struct_fields__:
            if not name.startswith("_"):
                setattr(total, name, getattr(total, name) + getattr(tally, name))
    return total.freeze()


def _agrees(tally: _Tally) -> bool:
    return (tally.events, tally.budgets, 0) == (tally.agreed, tally.budgets_agreed, tally.missing)
