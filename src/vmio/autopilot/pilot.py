"""Steers running guests: looks at them, decides, sets, and in the end puts their polling back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from msgspec import Struct

from vmio.autopilot.intervals import Loops, find_loops, find_setting, measure_interval
from vmio.autopilot.steer import begin, steer
from vmio.autopilot.values import Decision, Interval, PollingGoal, State, Step
from vmio.errors import CapabilityError, OutputError, VmioError
from vmio.host.running import ProcessKey
from vmio.managers.discovery import RunningGuest
from vmio.managers.live import tell_manager
from vmio.managers.live_records import (
    GuestRecord,
    OwnValue,
    RecordFile,
    is_running,
    open_record,
)
from vmio.managers.live_setter import (
    Restored,
    Setter,
    find_object,
    open_setter,
    put_back,
    take_over,
)
from vmio.model.plan import LiveChange
from vmio.observe.readings import Observation
from vmio.observe.sample import Sample
from vmio.observe.watching import HostWatcher
from vmio.qemu.brief import BriefMonitor
from vmio.values import replace

__all__ = ["AutopilotEvent", "fly", "open_steered"]

_POLL_MAX_NS: Final = "poll-max-ns"

_WORTH_TELLING: Final = frozenset({"settle", "left"})
"""Kinds of decisions that are reported though they change nothing."""


class AutopilotEvent(Struct, frozen=True, kw_only=True):
    """Something that a person may want to know; one of the last four says what."""

    guest: str
    """What people call it."""
    iothreads: tuple[str, ...] = ()
    old_ns: int | None = None
    """The setting before."""
    is_dry: bool = False
    """Whether nothing is set."""
    decision: Decision | None = None
    restored: Restored | None = None
    problem: VmioError | None = None
    """What could not be done."""
    step: Step | None = None
    """What was seen at a look, and decided, whether or not it changes anything."""


class _Steered(Struct, kw_only=True):
    """Event loops of a guest that share their disks."""

    loops: Loops
    state: State
    told: Decision | None = None
    """What was reported last, of a dry run."""
    problem: str = ""
    """Why the last change was not made, if that was reported."""


class _Pilot:
    """Steers one guest.

    Args:
        guest: The guest.
        setter: What sets its parameters.
        file: Its record; None for a dry run, which sets nothing.
        goal: What is wanted.
        report: Takes what happens.
    """

    def __init__(
        self,
        guest: RunningGuest,
        setter: Setter,
        file: RecordFile | None,
        goal: PollingGoal,
        report: Callable[[AutopilotEvent], None],
    ) -> None:
        self.label = guest.label
        self._key = guest.key
        self._setter = setter
        self._file = file
        self._goal = goal
        self._report = report
        self._last: Sample | None = None
        self._steered: dict[Loops, _Steered] = {}
        self._record = GuestRecord(label=self.label)

    async def take_over(self) -> None:
        """Puts back what a killed autopilot left.

        Raises:
            OutputError: Its record cannot be read, or no record can be written.
            VmioError: Who has its monitor does not answer.
        """
        if self._file is None:
            return
        self._tell_restored(await take_over(self._setter, self._file))
        self._file.write(self._record)

    async def go_on(self, observation: Observation) -> None:
        """Decides by what the guest did since the last look, and sets what follows."""
        sample, layout = observation.sample, observation.guest.layout
        if sample is None or layout is None:
            return
        last, self._last = self._last, sample
        if sample.disks:
            self._find(find_loops(replace(layout, iothreads=sample.iothreads)), sample)
        if last is None:
            return
        for each in self._steered.values():
            interval = measure_interval(last, sample, each.loops) if sample.disks else None
            old_ns = each.state.wanted_ns if interval is None else interval.poll_max_ns
            state, decision = steer(self._goal, each.state, interval)
            self._tell_look(each, interval, decision)
            if self._file is None:
                each.state = replace(each.state, last_load=state.last_load)
                self._tell_dry(each, decision, old_ns)
                continue
            each.state = state
            if decision.kind == "left":
                self._forget(each.loops)
            if decision.poll_max_ns != old_ns:
                await self._set(each, decision, old_ns)
            elif decision.kind in _WORTH_TELLING:
                self._tell(each, decision, old_ns)

    def _tell_look(self, steered: _Steered, interval: Interval | None, decision: Decision) -> None:
        """Reports what was seen and decided at a look."""
        step = Step(
            address=f"pid:{self._key[0]}",
            own_ns=steered.state.own_ns,
            interval=interval,
            decision=decision,
            is_dry=self._file is None,
        )
        self._report(
            AutopilotEvent(guest=self.label, iothreads=steered.loops.iothreads, step=step)
        )

    async def give_back(self) -> None:
        """Puts back what was changed; the record stays where that cannot be done."""
        try:
            self._tell_restored(await put_back(self._setter, self._record.values))
        except VmioError as error:
            if not is_running(self._key):
                self.forget()
                return
            self._report(
                AutopilotEvent(
                    guest=self.label,
                    problem=VmioError(
                        f"its polling could not be restored: {error.message}",
                        hint="vmio autopilot restore",
                    ),
                )
            )
            return
        self.forget()

    def forget(self) -> None:
        """Removes the record of a guest that has ended, or has its own polling again."""
        if self._file is not None:
            self._file.remove()

    def _find(self, found: tuple[Loops, ...], sample: Sample) -> None:
        """Begins with event loops that have come, by a plugged disk for example."""
        for loops in self._steered.keys() - set(found):
            del self._steered[loops]
        for loops in found:
            setting = find_setting(sample, loops)
            if loops not in self._steered and setting is not None:
                own_ns = {each.iothread: each.own for each in self._record.values}
                state = begin(own_ns.get(loops.iothreads[0], setting))
                state = replace(state, wanted_ns=setting, last_ns=setting)
                self._steered[loops] = _Steered(loops=loops, state=state)

    async def _set(self, steered: _Steered, decision: Decision, old_ns: int) -> None:
        """Records a change and makes it; the next interval shows whether it was made."""
        new_ns = decision.poll_max_ns
        changes = [
            LiveChange(path=find_object(each), property=_POLL_MAX_NS, new=new_ns)
            for each in steered.loops.iothreads
        ]
        try:
            self._note(steered, decision)
            await self._setter.set(changes)
        except VmioError as error:
            self._tell_problem(steered, error)
        else:
            steered.problem = ""
            self._tell(steered, decision, old_ns)

    def _tell_problem(self, steered: _Steered, error: VmioError) -> None:
        """Reports why a change was not made, once as long as that is the same."""
        if steered.problem != error.message:
            steered.problem = error.message
            self._report(
                AutopilotEvent(guest=self.label, iothreads=steered.loops.iothreads, problem=error)
            )

    def _note(self, steered: _Steered, decision: Decision) -> None:
        """Records a change that is about to be made.

        Raises:
            OutputError: It cannot be recorded, so that it must not be made. Going back to what was
                in force before is in the record already, and goes on with a full disk.
        """
        new_ns = decision.poll_max_ns
        known = {each.iothread: each for each in self._record.values}
        for each in steered.loops.iothreads:
            before = known.get(each) or OwnValue(
                iothread=each, parameter=_POLL_MAX_NS, own=steered.state.own_ns
            )
            known[each] = replace(
                before,
                ours=(*(ns for ns in before.ours if ns != new_ns), new_ns),
                why=decision.kind,
                wall_ns=time.time_ns(),
            )
        record = replace(self._record, values=tuple(known.values()))
        if self._file is not None:
            try:
                self._file.write(record)
            except OutputError:
                recorded = {each.iothread: (each.own, *each.ours) for each in self._record.values}
                if any(new_ns not in recorded.get(each, ()) for each in steered.loops.iothreads):
                    raise
        self._record = record

    def _forget(self, loops: Loops) -> None:
        """Leaves event loops to whoever has set them."""
        kept = tuple(each for each in self._record.values if each.iothread not in loops.iothreads)
        if kept != self._record.values:
            self._record = replace(self._record, values=kept)
            if self._file is not None:
                self._file.write(self._record)

    def _tell_restored(self, restored: Iterable[Restored]) -> None:
        for each in restored:
            self._report(
                AutopilotEvent(guest=self.label, iothreads=(each.iothread,), restored=each)
            )

    def _tell(self, steered: _Steered, decision: Decision, old_ns: int) -> None:
        if decision.kind == "left" and steered.told == decision:
            return
        steered.told = decision
        self._report(
            AutopilotEvent(
                guest=self.label,
                iothreads=steered.loops.iothreads,
                old_ns=old_ns,
                is_dry=self._file is None,
                decision=decision,
            )
        )

    def _tell_dry(self, steered: _Steered, decision: Decision, old_ns: int) -> None:
        """Reports what would be set, once as long as that is the same."""
        if decision.poll_max_ns != old_ns and decision != steered.told:
            self._tell(steered, decision, old_ns)


class _Pilots:
    """Steers the guests of a watcher; a dry run has no folder for records."""

    def __init__(
        self,
        watcher: HostWatcher,
        goal: PollingGoal,
        folder: Path | None,
        report: Callable[[AutopilotEvent], None],
    ) -> None:
        self._watcher = watcher
        self._goal = goal
        self._folder = folder
        self._report = report
        self._pilots: dict[ProcessKey, tuple[_Pilot, ExitStack]] = {}
        self._told: dict[ProcessKey, str] = {}

    async def look(self) -> None:
        """Looks at each guest once, and sets the polling that is decided for it."""
        look = await self._watcher.look()
        present = {each.guest.key: each for each in look.observations}
        for key in self._pilots.keys() - present.keys():
            pilot, stack = self._pilots.pop(key)
            pilot.forget()
            stack.close()
        self._told = {key: text for key, text in self._told.items() if key in present}
        # A guest whose monitor or daemon does not answer makes no other one wait.
        await _finish(self._go_on(key, each) for key, each in present.items())

    async def give_back(self) -> None:
        """Puts all polling back, and releases the guests."""
        try:
            await _finish(pilot.give_back() for pilot, _ in self._pilots.values())
        finally:
            for _, stack in self._pilots.values():
                stack.close()

    async def _go_on(self, key: ProcessKey, observation: Observation) -> None:
        try:
            if key not in self._pilots:
                self._pilots[key] = await self._begin(observation.guest)
            await self._pilots[key][0].go_on(observation)
        except VmioError as error:
            # It is tried again at each look: a monitor is in use for moments.
            if self._told.get(key) != error.message:
                self._told[key] = error.message
                self._report(AutopilotEvent(guest=observation.guest.label, problem=error))

    async def _begin(self, guest: RunningGuest) -> tuple[_Pilot, ExitStack]:
        """Returns what steers a guest, and what holds the lock of its record meanwhile."""
        with ExitStack() as stack:
            file = None
            if self._folder is not None:
                file = stack.enter_context(open_record(guest.key, folder=self._folder))
            setter = await open_steered(guest, *self._watcher.find_monitor(guest.key))
            pilot = _Pilot(guest, setter, file, self._goal, self._report)
            await pilot.take_over()
            return pilot, stack.pop_all()


async def _finish(works: Iterable[Awaitable[None]]) -> None:
    """Does everything at once, and all of it though something fails."""
    for error in await asyncio.gather(*works, return_exceptions=True):
        if isinstance(error, BaseException):
            raise error


async def fly(
    watcher: HostWatcher,
    goal: PollingGoal,
    *,
    interval_s: float,
    dry_run: bool = False,
    folder: Path,
    report: Callable[[AutopilotEvent], None],
) -> None:
    """Steers the guests of a watcher until it is cancelled, and then puts their polling back.

    Args:
        watcher: What looks at the guests.
        goal: What is wanted of each.
        interval_s: From look to look. Every change makes an event loop forget how long polling has
            paid, so that intervals of less than some seconds show that, too.
        dry_run: Whether nothing is set.
        folder: Where records are.
        report: Takes what happens.
    """
    pilots = _Pilots(watcher, goal, None if dry_run else folder, report)
    loop = asyncio.get_running_loop()
    next_s = loop.time()
    try:
        while True:
            await pilots.look()
            next_s = max(next_s + interval_s, loop.time())
            await asyncio.sleep(next_s - loop.time())
    finally:
        await pilots.give_back()


async def open_steered(guest: RunningGuest, monitor: BriefMonitor | None, reason: str) -> Setter:
    """Returns what sets a guest's polling, as `open_setter` does.

    Raises:
        CapabilityError: Nothing does; the hint says how a person would set it.
    """
    try:
        return await open_setter(guest, monitor, reason)
    except VmioError as error:
        iothreads = guest.layout.iothreads if guest.layout is not None else ()
        lines = (
            tell_manager(guest, each.id, [(_POLL_MAX_NS, "NANOSECONDS")]) for each in iothreads
        )
        raise CapabilityError(
            f"{guest.label} cannot be steered: {error.message}",
            hint=next(filter(None, lines), ""),
        ) from error
