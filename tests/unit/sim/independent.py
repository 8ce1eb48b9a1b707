"""Event loops of QEMU in SimPy, written from docs/concepts/simulator.md alone.

A second opinion for tests: it shares no line, no order of steps and no rule of polling with
`vmio.sim`, and is held against it. It is slow and made to be read beside that page. Where the page
leaves something open, a comment says what was taken. Times are nanoseconds and may be floats. A
host with fewer processors than threads is left out.
"""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal

import simpy
from simpy.events import ProcessGenerator

Generation = Literal["loop", "handler", "weighted"]
Engine = Literal["native", "io_uring", "loop_ring", "threads"]
# A service time in ns for a source of random numbers and the requests under way on the disk.
Service = Callable[[random.Random, int], float]

NOTIFIER: Final = "notifier"
QUEUE_HOLDS: Final = 256


# What is simulated.


@dataclass(frozen=True, slots=True)
class Costs:
    """What each step takes in nanoseconds, named as the page names them.

    `disk_irq_share` is the share of the time for which a vCPU is on the processor that takes the
    interrupts of disks.
    """

    wake_ns: float = 0
    sleep_ns: float = 0
    syscall_ns: float = 0
    poll_pass_ns: float = 0
    self_kick_ns: float = 0
    main_pass_ns: float = 0
    queue_run_ns: float = 0
    queue_request_ns: float = 0
    submit_ns: float = 0
    done_run_ns: float = 0
    done_request_ns: float = 0
    irq_ns: float = 0
    guest_wake_ns: float = 0
    guest_irq_ns: float = 0
    guest_switch_ns: float = 0
    guest_request_ns: float = 0
    guest_submit_ns: float = 0
    guest_kick_ns: float = 0
    guest_softirq_ns: float = 0
    disk_irq_ns: float = 0
    disk_irq_share: float = 0


@dataclass(frozen=True, slots=True)
class Loop:
    """One event loop and its parameters.

    `grow`, `shrink`, `weight` and `batch_limit` are QEMU's, so 0 is QEMU's default of the
    generation: "loop" is 7.2 to 9.x, "handler" 10.0 to 10.2, "weighted" 11.1. `first_ns` is the
    polling time that the loop and each of its handlers begin with.
    """

    generation: Generation = "handler"
    max_ns: int = 32768
    grow: int = 0
    shrink: int = 0
    weight: int = 0
    can_poll: bool = True
    is_main: bool = False
    batch_limit: int = 0
    workers: int = 64
    waits_with_ring: bool = False
    first_ns: int = 0


@dataclass(frozen=True, slots=True)
class Queue:
    """One virtqueue with its program; loop, disk and vCPU are numbers from 0.

    With `depth` 0 the loop is open: requests come by themselves, `interval_ns` apart on average,
    exponentially distributed.
    """

    loop: int = 0
    disk: int = 0
    vcpu: int = 0
    engine: Engine = "native"
    depth: int = 1
    batch: int = 1
    interval_ns: float = 0
    work_ns: float = 0
    think_ns: float = 0

    def __post_init__(self) -> None:
        """Raises ValueError for a program that would wait for ever, or never."""
        if self.depth and not 1 <= self.batch <= self.depth:
            raise ValueError("a batch has at least one request and at most as many as the depth")
        if not self.depth and self.interval_ns <= 0:
            raise ValueError("an open loop needs an interval")


@dataclass(frozen=True, slots=True)
class Case:
    """All that a simulation needs but the seed.

    The figures are over `requests` requests, which end after `warm_up` others have ended.
    """

    loops: Sequence[Loop]
    queues: Sequence[Queue]
    costs: Costs
    service: Service
    requests: int
    warm_up: int = 0


# What comes out.


@dataclass(frozen=True, slots=True)
class LoopFigures:
    """What one loop did, in the time that counts; each request is one of this loop."""

    requests: int
    cpu: float
    sleeps_per_request: float
    passes_per_request: float
    polled_waits_per_request: float


@dataclass(frozen=True, slots=True)
class Figures:
    """What was seen from the end of the warm-up to the end of the last request that counts.

    `p99_ns` is the smallest latency that 99 of 100 requests do not exceed. `irq_cpu` is the share
    of a processor that injecting interrupts takes; `vcpu_busy` leaves out `guest_wake_ns`, in
    which a vCPU does not run yet.
    """

    iops: float
    latency_ns: float
    p99_ns: float
    loops: tuple[LoopFigures, ...]
    irq_cpu: float
    vcpu_busy: tuple[float, ...]


# The rules of polling.


def adjust(ns: int, block: int, loop: Loop) -> int:
    """Returns the polling time after a pass that blocked, as QEMU 7.2 to 10.2 set it."""
    if block <= ns:
        return ns
    if block > loop.max_ns:
        return ns // loop.shrink if loop.shrink else 0
    if ns < loop.max_ns and block < loop.max_ns:
        return min(ns * (loop.grow or 2) if ns else 4000, loop.max_ns)
    return ns


@dataclass(slots=True)
class LoopPolling:
    """QEMU 7.2 to 9.x: the loop has a polling time, and each pass adapts it."""

    loop: Loop
    ns: int

    @property
    def budget(self) -> int:
        """The time to poll in the next pass."""
        return self.ns

    def adapt(self, block: int, _ready: set[str]) -> None:
        """Takes note of a pass."""
        self.ns = adjust(self.ns, block, self.loop)


@dataclass(slots=True)
class HandlerPolling:
    """QEMU 10.0 to 10.2: each handler that was ready adapts its time; the largest counts."""

    loop: Loop
    handlers: dict[str, int]

    @property
    def budget(self) -> int:
        """The time to poll in the next pass."""
        return max(self.handlers.values())

    def adapt(self, block: int, ready: set[str]) -> None:
        """Takes note of a pass."""
        for name in ready:
            self.handlers[name] = adjust(self.handlers[name], block, self.loop)


@dataclass(slots=True)
class WeightedPolling:
    """QEMU 11.1: handlers hold a weighted mean of their waits; the loop follows the largest."""

    loop: Loop
    handlers: dict[str, int]
    ns: int

    @property
    def budget(self) -> int:
        """The time to poll in the next pass."""
        return self.ns

    def adapt(self, block: int, ready: set[str]) -> None:
        """Takes note of a pass."""
        for name, ns in self.handlers.items():
            self.handlers[name] = self._average(ns, block, ready=name in ready)
        if not ready:
            return
        most = max(self.handlers[name] for name in ready)
        lower = self.ns // (self.loop.shrink or 2)
        if most > self.ns:
            self.ns = min(max(most, self.ns * (self.loop.grow or 2)), self.loop.max_ns)
        elif most < lower:
            self.ns = lower

    def _average(self, ns: int, block: int, *, ready: bool) -> int:
        weight = self.loop.weight or 3
        if ns == 0:
            new = block if ready else 0
        elif ready:
            new = ns - (ns >> weight) + (block >> weight)
        else:
            new = ns + block
        return new if new <= self.loop.max_ns else 0


Polling = LoopPolling | HandlerPolling | WeightedPolling


def begin_polling(loop: Loop, handlers: Iterable[str]) -> Polling:
    """Returns the rules of a loop's generation in their first state."""
    times = dict.fromkeys(handlers, loop.first_ns)
    match loop.generation:
        case "loop":
            return LoopPolling(loop, loop.first_ns)
        case "handler":
            return HandlerPolling(loop, times)
        case "weighted":
            return WeightedPolling(loop, times, loop.first_ns)


# The simulation: what lives in it.


class LateTimeout(simpy.Event):
    """A timeout that is the last thing of its moment, so that "up to then" includes then."""

    def __init__(self, env: simpy.Environment, delay: float) -> None:
        super().__init__(env)
        self._ok = True
        self._value = None
        env.schedule(self, priority=simpy.events.NORMAL + 1, delay=delay)  # type: ignore[arg-type]


@dataclass(eq=False, slots=True)
class Request:
    """A request of a queue, and when it was put there."""

    queue: RunningQueue
    put_at: float


@dataclass(slots=True)
class Counts:
    """What a loop did so far."""

    requests: int = 0
    cpu: float = 0
    sleeps: int = 0
    passes: int = 0
    polled_waits: int = 0


@dataclass(slots=True)
class Readings:
    """All that is counted, at one moment."""

    at: float
    loops: tuple[Counts, ...]
    irq_cpu: float
    vcpu_busy: tuple[float, ...]


@dataclass(eq=False, slots=True)
class Tally:
    """Counts the requests that end, and says when it is enough."""

    world: World
    ended: int = 0
    latencies: list[float] = field(default_factory=list)
    begin: Readings | None = None
    end: Readings | None = None

    def note_end(self, request: Request) -> None:
        """Takes note that a request is over now."""
        case = self.world.case
        self.ended += 1
        request.queue.loop.counts.requests += 1
        if case.warm_up < self.ended <= case.warm_up + case.requests:
            self.latencies.append(self.world.env.now - request.put_at)
        if self.ended == case.warm_up:
            self.begin = self.read()
        elif self.ended == case.warm_up + case.requests:
            self.end = self.read()
            self.world.enough.succeed()

    def read(self) -> Readings:
        """Returns what all have counted by now."""
        world = self.world
        return Readings(
            at=world.env.now,
            loops=tuple(replace(loop.counts) for loop in world.loops),
            irq_cpu=world.injector.cpu,
            vcpu_busy=tuple(vcpu.busy_ns for vcpu in world.vcpus),
        )


@dataclass(eq=False, slots=True)
class Disk:
    """Serves all that it is given at once."""

    world: World
    under_way: int = 0

    def serve(self, request: Request) -> ProcessGenerator:
        """Is done with a request after its service time."""
        self.under_way += 1
        service_ns = self.world.case.service(self.world.random, self.under_way)
        yield self.world.env.timeout(service_ns)
        self.under_way -= 1
        loop = request.queue.loop
        loop.done.append(request)
        loop.notice()
        self.world.host.interrupt(request.queue.vcpu)


@dataclass(eq=False, slots=True)
class Host:
    """The processor of the host that takes the interrupts of disks."""

    world: World
    # When it is done with the one that it takes, or took.
    over_at: float = 0

    def interrupt(self, vcpu: VCpu) -> None:
        """Takes the interrupt for a request of the vCPU, unless it is taking one."""
        costs, now = self.world.costs, self.world.env.now
        # The page leaves open what ends as the interrupt does: that needs one.
        if now < self.over_at:
            return
        self.over_at = now + costs.disk_irq_ns
        if vcpu.is_busy:
            vcpu.late_ns += costs.disk_irq_ns * costs.disk_irq_share


@dataclass(eq=False, slots=True)
class RunningQueue:
    """A virtqueue with what the loop and the guest keep of it."""

    world: World
    number: int
    queue: Queue
    loop: RunningLoop
    vcpu: VCpu
    disk: Disk
    # Put by the guest, not taken by the loop.
    waiting: list[Request] = field(default_factory=list)
    # Whether the next request that is put kicks.
    is_armed: bool = True
    # Whether its eventfd is signalled, and no wait has read it.
    is_kicked: bool = False
    # Reaped by the loop, so that the guest can see them, but not taken by its interrupt.
    visible: list[Request] = field(default_factory=list)
    # From when an interrupt is sent until the guest has taken what it was for.
    is_interrupted: bool = False
    # Completions that the program has, and how many it had since it last submitted.
    completions: deque[Request] = field(default_factory=deque)
    gathered: int = 0

    @property
    def handler(self) -> str:
        """The name of the handler of its kicks."""
        return f"queue {self.number}"

    @property
    def completion_handler(self) -> str | None:
        """The name of the handler of its completions, None where they are no handler."""
        match self.queue.engine:
            case "native" | "io_uring" as engine:
                return engine
            case "threads":
                return NOTIFIER
            case "loop_ring":
                return None

    def put(self, number: int) -> bool:
        """Puts new requests into the queue, and returns whether that was a kick."""
        now = self.world.env.now
        self.waiting.extend(Request(self, now) for _ in range(number))
        self.loop.notice()
        kicks = self.is_armed
        if kicks:
            self.is_armed = False
            self.is_kicked = True
        return kicks

    def submit(self, number: int) -> None:
        """Submits so many requests; if that is a kick, the vCPU is later by it."""
        if self.put(number):
            self.vcpu.late_ns += self.world.costs.guest_kick_ns

    def think_and_submit(self) -> ProcessGenerator:
        """Submits a batch after the time that the program thinks."""
        yield self.world.env.timeout(self.queue.think_ns)
        self.submit(self.queue.batch)

    def come_by_themselves(self) -> ProcessGenerator:
        """Puts one request after another, for ever, as an open loop does."""
        while True:
            interval_ns = self.world.random.expovariate(1 / self.queue.interval_ns)
            yield self.world.env.timeout(interval_ns)
            # A kick takes no time, but it is one: the eventfd is signalled.
            self.put(1)


# The threads.


@dataclass(frozen=True, slots=True)
class Wait:
    """How a wait ended."""

    by_polling: bool = False
    # False after a notification that the loop had sent itself, where it looks at nothing else.
    looks: bool = True
    notifier_is_ready: bool = False


@dataclass(eq=False, slots=True)
class RunningLoop:
    """An event loop's thread."""

    world: World
    loop: Loop
    pool: simpy.Resource
    queues: list[RunningQueue] = field(default_factory=list)
    polling: Polling = field(init=False)
    counts: Counts = field(default_factory=Counts)
    # Done by a disk, not reaped.
    done: list[Request] = field(default_factory=list)
    is_notified: bool = False
    is_polling: bool = False
    is_stale: bool = False
    # What the thread waits for: anything to come.
    arrival: simpy.Event | None = None

    def notice(self) -> None:
        """Ends the wait, if this is the first that comes in it."""
        if self.arrival is not None and not self.arrival.triggered:
            self.arrival.succeed()

    def is_anything_there(self) -> bool:
        """Whether requests are to be taken or completions to be reaped."""
        return bool(self.done) or any(queue.waiting for queue in self.queues)

    def is_any_eventfd_signalled(self) -> bool:
        """Whether an eventfd is stale, or that of a kick unread."""
        return self.is_stale or any(queue.is_kicked for queue in self.queues)

    def leave_polling(self) -> None:
        """Arms all queues, if the loop was polling."""
        if self.is_polling:
            self.is_polling = False
            for queue in self.queues:
                queue.is_armed = True

    def busy(self, ns: float) -> simpy.Event:
        """Works for a time."""
        self.counts.cpu += ns
        return self.world.env.timeout(ns)

    def run(self) -> ProcessGenerator:
        """One pass after the other."""
        names = {queue.completion_handler for queue in self.queues} - {None}
        handlers = [NOTIFIER, *(queue.handler for queue in self.queues), *(str(n) for n in names)]
        self.polling = begin_polling(self.loop, handlers)
        while True:
            begin = self.world.env.now
            wait = yield from self.wait()
            block = round(self.world.env.now - begin)
            ready = yield from self.work_off(wait)
            if self.loop.max_ns and not self.loop.is_main:
                self.polling.adapt(block, ready)

    def wait(self) -> Generator[simpy.Event, object, Wait]:
        """Waits as the page's table says; a line of it is a return."""
        self.counts.passes += 1
        may_poll = self.loop.can_poll and not self.loop.is_main and self.loop.max_ns
        budget = self.polling.budget if may_poll else 0
        if budget:
            # This disarms nothing.
            self.is_polling = True
        else:
            self.leave_polling()
        wait = yield from self.wait_for_something(budget)
        if wait.by_polling:
            self.counts.polled_waits += 1
        if self.loop.is_main:
            yield self.busy(self.world.costs.main_pass_ns)
        return wait

    def wait_for_something(self, budget: float) -> Generator[simpy.Event, object, Wait]:
        """The table without the main loop's look through all its sources."""
        env, costs = self.world.env, self.world.costs
        if self.is_notified:
            self.is_notified = False
            yield self.busy(costs.self_kick_ns)
            if budget:
                return Wait(by_polling=True, notifier_is_ready=True)
            return Wait(looks=self.loop.waits_with_ring or self.loop.is_main)
        if self.is_anything_there():
            yield self.busy(costs.poll_pass_ns if budget else costs.syscall_ns)
            return Wait(by_polling=budget > 0)
        begin = env.now
        arrival = self.arrival = env.event()
        if budget:
            yield arrival | LateTimeout(env, budget)
            self.counts.cpu += env.now - begin
            if arrival.triggered:
                yield self.busy(costs.poll_pass_ns)
                return Wait(by_polling=True)
            self.leave_polling()
        if self.is_any_eventfd_signalled():
            yield self.busy(costs.syscall_ns)
            return Wait()
        yield arrival
        yield env.timeout(costs.wake_ns)
        self.counts.cpu += costs.sleep_ns
        self.counts.sleeps += 1
        return Wait()

    def work_off(self, wait: Wait) -> Generator[simpy.Event, object, set[str]]:
        """Works off what is ready, and returns the names of the handlers that were."""
        ready: set[str] = set()
        if wait.notifier_is_ready:
            ready.add(NOTIFIER)
        if not wait.looks:
            return ready
        queues = [queue for queue in self.queues if queue.waiting]
        if not wait.by_polling:
            # It reads all eventfds; those of kicks make queues ready that may be empty.
            queues = [queue for queue in self.queues if queue.waiting or queue.is_kicked]
            for queue in queues:
                queue.is_kicked = False
            if self.is_stale:
                self.is_stale = False
                self.is_notified = True
                ready.add("native")
        if self.done:
            handlers = {request.queue.completion_handler for request in self.done}
            ready |= {name for name in handlers if name is not None}
            # Of linux-aio alone: an eventfd that polling did not read, or that the wait has read.
            if "native" in handlers:
                self.is_stale = wait.by_polling
            yield from self.reap()
        for queue in queues:
            ready.add(queue.handler)
            yield from self.take(queue)
        return ready

    def reap(self) -> ProcessGenerator:
        """Gives the completions that are there, and those that come meanwhile, to the guest."""
        costs = self.world.costs
        cost = costs.done_run_ns
        notifies = False
        while self.done:
            reaped, self.done = self.done, []
            if cost == 0 and any(each.queue.queue.engine == "native" for each in reaped):
                # They came while others were reaped.
                self.is_stale = True
            yield self.busy(cost + len(reaped) * costs.done_request_ns)
            cost = 0
            for request in reaped:
                notifies |= request.queue.queue.engine != "loop_ring"
                if request.queue.queue.depth:
                    request.queue.visible.append(request)
                else:
                    # An open loop has no guest that could take it.
                    self.world.tally.note_end(request)
        for queue in self.queues:
            if queue.visible and not queue.is_interrupted:
                queue.is_interrupted = True
                self.world.injector.send(queue)
        if notifies:
            self.is_notified = True

    def take(self, queue: RunningQueue) -> ProcessGenerator:
        """Takes a queue's requests, and those that come meanwhile, and gives them to the disk."""
        env, costs, engine = self.world.env, self.world.costs, queue.queue.engine
        taken = yield from self.empty(queue)
        if not taken:
            return
        if engine == "native":
            submissions = math.ceil(len(taken) / (self.loop.batch_limit or 32))
            if submissions > 1:
                yield self.busy((submissions - 1) * costs.submit_ns)
        if engine == "threads":
            for request in taken:
                env.process(self.serve_by_worker(request))
            return
        for request in taken:
            env.process(queue.disk.serve(request))
        self.is_notified = True
        if engine in {"native", "io_uring"} and self.done:
            if any(request.queue.queue.engine == "native" for request in self.done):
                self.is_stale = True
            yield from self.reap()

    def empty(self, queue: RunningQueue) -> Generator[simpy.Event, object, list[Request]]:
        """Takes a queue's requests, which may be none, and arms it if the loop does not poll."""
        costs = self.world.costs
        taken: list[Request] = []
        cost = costs.queue_run_ns
        while True:
            # In the first round there may be none, and the time is taken all the same.
            requests, queue.waiting = queue.waiting, []
            yield self.busy(cost + len(requests) * costs.queue_request_ns)
            cost = 0
            taken += requests
            if not self.is_polling:
                # Also where none were in it, and where more came meanwhile: those are taken next.
                queue.is_armed = True
            if not queue.waiting or len(taken) >= QUEUE_HOLDS:
                break
        return taken

    def serve_by_worker(self, request: Request) -> ProcessGenerator:
        """Has a request served by a worker; it is under way on the disk once that begins."""
        is_worker_free = self.pool.count < self.pool.capacity
        with self.pool.request() as worker:
            yield worker
            if is_worker_free:
                yield self.world.env.timeout(self.world.costs.wake_ns)
            yield from request.queue.disk.serve(request)


@dataclass(eq=False, slots=True)
class Injector:
    """The main loop that injects interrupts, one pass after the other."""

    world: World
    # For the next look.
    sent: list[RunningQueue] = field(default_factory=list)
    cpu: float = 0
    # What it waits for while no pass is under way.
    arrival: simpy.Event | None = None

    def send(self, queue: RunningQueue) -> None:
        """Sends an interrupt on its way to the queue's vCPU."""
        if self.world.costs.irq_ns == 0 or queue.loop.loop.is_main:
            queue.vcpu.interrupt(queue)
            return
        self.sent.append(queue)
        if self.arrival is not None and not self.arrival.triggered:
            self.arrival.succeed()

    def run(self) -> ProcessGenerator:
        """Sleeps until an interrupt is sent, and makes passes until none is there."""
        costs, env = self.world.costs, self.world.env
        while True:
            self.arrival = env.event()
            yield self.arrival
            # "Until it looks" is taken to include that moment.
            yield LateTimeout(env, costs.wake_ns)
            self.cpu += costs.sleep_ns
            while self.sent:
                looked_at, self.sent = self.sent, []
                for queue in looked_at:
                    yield self.busy(costs.irq_ns)
                    queue.vcpu.interrupt(queue)
                yield self.busy(costs.main_pass_ns)

    def busy(self, ns: float) -> simpy.Event:
        """Works for a time."""
        self.cpu += ns
        return self.world.env.timeout(ns)


@dataclass(eq=False, slots=True)
class VCpu:
    """A vCPU's thread."""

    world: World
    queues: list[RunningQueue] = field(default_factory=list)
    busy_ns: float = 0
    # Neither idle nor waking up. The page leaves open whether one that wakes up is busy.
    is_busy: bool = False
    # Interrupts that have reached it, and the queues of which it took one since it ended anything.
    interrupts: list[RunningQueue] = field(default_factory=list)
    heard: set[int] = field(default_factory=set)
    # What it is later by: kicks, what interrupts leave, and interrupts of disks.
    late_ns: float = 0
    was_idle: bool = True
    # Whose turn it is or was, and for how many completions more.
    program: int = -1
    turn: int = 0
    # Of an interrupt, where one may wake it up or preempt what it does.
    arrival: simpy.Event | None = None

    def interrupt(self, queue: RunningQueue) -> None:
        """Lets an interrupt reach the vCPU."""
        self.interrupts.append(queue)
        if queue.number in self.heard:
            return
        if self.arrival is not None and not self.arrival.triggered:
            self.arrival.succeed()

    def run(self) -> ProcessGenerator:
        """Is idle, and then does one thing after the other until there is nothing to do."""
        while True:
            self.was_idle = True
            self.is_busy = False
            self.heard.clear()
            self.arrival = self.world.env.event()
            yield self.arrival
            yield self.world.env.timeout(self.world.costs.guest_wake_ns)
            self.is_busy = True
            while thing := self.choose():
                yield from thing

    def choose(self) -> ProcessGenerator | None:
        """Returns what it does next, None if there is nothing; the page's list from the top."""
        if self.can_be_interrupted():
            return self.take_interrupt()
        if self.late_ns:
            late_ns, self.late_ns = self.late_ns, 0
            return self.do(late_ns)
        if any(queue.completions for queue in self.queues):
            return self.take_completion()
        return None

    def can_be_interrupted(self) -> bool:
        """Returns whether there is an interrupt that does not have to wait."""
        return any(queue.number not in self.heard for queue in self.interrupts)

    def do(self, ns: float) -> ProcessGenerator:
        """Does something for a time, but leaves it for each interrupt and goes on behind those."""
        env = self.world.env
        self.busy_ns += ns
        left = ns
        while True:
            # One that came just when what was before this was over.
            while self.can_be_interrupted():
                yield from self.take_interrupt()
            begin = env.now
            self.arrival = env.event()
            over = env.timeout(left)
            yield over | self.arrival
            if over.processed:
                self.heard.clear()
                return
            left -= env.now - begin

    def take_interrupt(self) -> ProcessGenerator:
        """Takes the interrupt of the lowest queue, and gives its program what can be seen."""
        queue = min(
            (queue for queue in self.interrupts if queue.number not in self.heard),
            key=lambda queue: queue.number,
        )
        self.interrupts.remove(queue)
        self.heard.add(queue.number)
        ns = self.world.costs.guest_irq_ns
        self.busy_ns += ns
        yield self.world.env.timeout(ns)
        queue.completions.extend(queue.visible)
        queue.visible.clear()
        queue.is_interrupted = False
        self.late_ns += self.world.costs.guest_softirq_ns

    def take_completion(self) -> ProcessGenerator:
        """Lets the program that has the turn work off one completion, and compute and submit."""
        costs = self.world.costs
        ns = costs.guest_request_ns
        if self.turn == 0:
            last = self.program
            number = len(self.queues)
            around = [(last + step) % number for step in range(1, number + 1)]
            self.program = next(place for place in around if self.queues[place].completions)
            # What an interrupt adds from here on, even in the switch, is of a later turn.
            self.turn = len(self.queues[self.program].completions)
            if self.was_idle or self.program != last:
                ns += costs.guest_switch_ns
            self.was_idle = False
        queue = self.queues[self.program]
        self.turn -= 1
        request = queue.completions.popleft()
        queue.gathered += 1
        submits = queue.gathered == queue.queue.batch
        if submits:
            queue.gathered = 0
            ns += costs.guest_submit_ns
        yield from self.do(ns)
        self.world.tally.note_end(request)
        if not submits:
            return
        if queue.queue.work_ns:
            yield from self.do(queue.queue.work_ns)
        if queue.queue.think_ns:
            self.world.env.process(queue.think_and_submit())
        else:
            queue.submit(queue.queue.batch)


def first_batches(queue: RunningQueue) -> list[int]:
    """Returns the sizes of a program's first submissions, none for an open loop."""
    depth, batch = queue.queue.depth, queue.queue.batch
    return [min(batch, depth - begun) for begun in range(0, depth, batch)]


@dataclass(eq=False, slots=True)
class World:
    """All that there is, and its clock."""

    case: Case
    random: random.Random
    env: simpy.Environment = field(default_factory=simpy.Environment)
    tally: Tally = field(init=False)
    injector: Injector = field(init=False)
    host: Host = field(init=False)
    enough: simpy.Event = field(init=False)
    loops: list[RunningLoop] = field(default_factory=list)
    vcpus: list[VCpu] = field(default_factory=list)

    @property
    def costs(self) -> Costs:
        """What each step takes."""
        return self.case.costs

    def __post_init__(self) -> None:
        """Lays out the loops, vCPUs, disks and queues, and starts them in the page's order."""
        case, env = self.case, self.env
        self.tally = Tally(self)
        self.injector = Injector(self)
        self.host = Host(self)
        self.enough = env.event()
        self.loops = [
            RunningLoop(self, loop, simpy.Resource(env, max(1, loop.workers)))
            for loop in case.loops
        ]
        self.vcpus = [VCpu(self) for _ in range(1 + max(queue.vcpu for queue in case.queues))]
        disks = {queue.disk: Disk(self) for queue in case.queues}
        open_queues: list[RunningQueue] = []
        for number, queue in enumerate(case.queues):
            loop, vcpu = self.loops[queue.loop], self.vcpus[queue.vcpu]
            running = RunningQueue(self, number, queue, loop, vcpu, disks[queue.disk])
            loop.queues.append(running)
            vcpu.queues.append(running)
            if not queue.depth:
                open_queues.append(running)
        if case.warm_up == 0:
            self.tally.begin = self.tally.read()
        # At the same moment all vCPUs are idle, all programs submit and all loops begin a pass:
        # what is put is there then, and the kicks are paid when a vCPU wakes up.
        for vcpu in self.vcpus:
            for running in vcpu.queues:
                for size in first_batches(running):
                    running.submit(size)
        threads: tuple[RunningLoop | Injector | VCpu, ...]
        threads = (*self.loops, self.injector, *self.vcpus)
        for thread in threads:
            env.process(thread.run())
        for running in open_queues:
            env.process(running.come_by_themselves())


def simulate(case: Case, seed: int) -> Figures:
    """Simulates a case until all requests that count have ended, and returns what was seen."""
    world = World(case, random.Random(seed))  # noqa: S311 - no secret
    world.env.run(until=world.enough)
    begin, end = world.tally.begin, world.tally.end
    assert begin is not None
    assert end is not None
    elapsed = end.at - begin.at
    latencies = sorted(world.tally.latencies)
    return Figures(
        iops=case.requests / elapsed * 1e9,
        latency_ns=math.fsum(latencies) / len(latencies),
        p99_ns=latencies[math.ceil(0.99 * len(latencies)) - 1],
        loops=tuple(
            _compare(first, last, elapsed)
            for first, last in zip(begin.loops, end.loops, strict=True)
        ),
        irq_cpu=(end.irq_cpu - begin.irq_cpu) / elapsed,
        vcpu_busy=tuple(
            (last - first) / elapsed
            for first, last in zip(begin.vcpu_busy, end.vcpu_busy, strict=True)
        ),
    )


def _compare(first: Counts, last: Counts, elapsed: float) -> LoopFigures:
    requests = last.requests - first.requests
    each = 1 / requests if requests else math.nan
    return LoopFigures(
        requests=requests,
        cpu=(last.cpu - first.cpu) / elapsed,
        sleeps_per_request=(last.sleeps - first.sleeps) * each,
        passes_per_request=(last.passes - first.passes) * each,
        polled_waits_per_request=(last.polled_waits - first.polled_waits) * each,
    )
