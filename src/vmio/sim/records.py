"""The simulator's state: a record for each event loop, handler, queue, disk and vCPU.

The interpreter (`vmio.sim.events`) and, laid out in one block of memory, numba's compiled form of
it (`vmio.sim.kernel`) use the same records. Their fields are therefore limited to whole numbers,
booleans, other records, and lists of numbers or of records.

Units: nanoseconds if a name ends in `ns`, else counts; times are from the start of the run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from vmio.sim.costs import Costs

__all__ = [
    "VCPU",
    "Counts",
    "Devices",
    "Disk",
    "Handler",
    "Ints",
    "Loop",
    "Loops",
    "Queues",
    "ServiceTable",
    "SimulationState",
    "VirtQueue",
    "build_world",
    "read_counts",
]

Ints = Sequence[int]

BY_LOOP, BY_HANDLER, WEIGHTED = 0, 1, 2
"""The three generations of the algorithm."""

NATIVE, IO_URING, LOOP_RING, THREADS = 0, 1, 2, 3
"""How requests reach the disk: linux-aio, whose eventfd stays readable after polling has reaped
its completions; a ring of its own, which is polled itself; the ring with which the loop itself
waits (since 10.2), whose completions have no handler; worker threads, which kick the loop."""

WOKEN, REAPED, TAKEN, GIVEN = 0, 1, 2, 3
"""The step of a loop that ends next: its wait; reaping completions; taking requests from a queue;
submitting them to the disk."""

IDLE, IRQ, REQUEST, WORK, KICK = 0, 1, 2, 3, 4
"""What a vCPU is doing: nothing; an interrupt; a completion in its program; computing before the
program submits more; a kick."""

RECORD: Final = 6
"""Numbers in `Counts.passes_seen` for each pass."""


class Loops(NamedTuple):
    """The event loops; each list has an entry for each loop.

    Units: nanoseconds.
    """

    max_ns: Ints
    """0 also if a handler that cannot be polled keeps the whole loop from polling."""
    grow: Ints
    shrink: Ints
    weight: Ints
    is_main: Ints
    """1 for QEMU's main loop, which injects interrupts itself."""
    looks: Ints
    """1 if a wait that the loop's own notifier ends finds other events although it does not poll:
    the main loop, and loops that wait with io_uring."""
    batch: Ints
    """The most requests in one submission to linux-aio."""
    workers: Ints
    """The most threads in a loop's pool."""
    first_ns: Ints
    """The initial polling time of the loop and each of its handlers."""

    @classmethod
    def alone(cls, max_ns: int, *, first_ns: int = 0) -> Loops:
        """Returns one IOThread of QEMU 10.0 with its defaults, except for these."""
        return cls([max_ns], [0], [0], [0], [0], [0], [32], [64], [first_ns])


class Queues(NamedTuple):
    """The virtqueues; each list has an entry for each queue.

    Units: nanoseconds.
    """

    loop: Ints
    device: Ints
    vcpu: Ints
    """The vCPU that gets its interrupts and runs its programs."""
    engine: Ints
    depth: Ints
    """Requests in flight in a closed loop; 0 for an open one."""
    batch: Ints
    """A program waits for this many completions before it submits as many requests at once."""
    interval_ns: Ints
    """Mean time between requests of an open loop."""
    work_ns: Ints
    """The guest program's computing time before it submits more."""
    think_ns: Ints
    """Its think time after that."""

    @classmethod
    def alone(cls, depth: int) -> Queues:
        """Returns one queue of one loop, disk and vCPU, with linux-aio."""
        return cls([0], [0], [0], [NATIVE], [depth], [1], [0], [0], [0])


class Devices(NamedTuple):
    """The disks on the host.

    Units: nanoseconds.
    """

    samples: Ints
    """Service times in random order: table after table, each of `size` entries."""
    size: int
    tables: Ints
    """The table for each number of requests in flight, for each device one after the other."""
    most: int
    """Entries in `tables` per device; a larger number of requests uses the last one."""


class Counts(NamedTuple):
    """The result of a run; one entry for each loop unless said otherwise.

    Units: nanoseconds.
    """

    span_ns: int
    """The time for the counted requests."""
    cpu_ns: Ints
    polling_ns: Ints
    """The part of `cpu_ns` that they polled."""
    sleeps: Ints
    passes: Ints
    polled: Ints
    """Passes that an event ended during polling."""
    irq_cpu_ns: int
    """Of the main loop, for interrupts."""
    vcpu_ns: Ints
    """One entry for each vCPU: its busy time, with its waits for a processor."""
    interrupts: Ints
    """One entry for each vCPU: the number of interrupts it took."""
    latencies_ns: Ints
    """For each request, the time from entering the queue until its program can continue."""
    passes_seen: Ints
    """The first passes, six numbers each: loop, begin of the wait, its end, end of the dispatch,
    the budget of the wait, and the loop's polling time after it. Without polling the budget is
    0."""


@dataclass(eq=False, slots=True)
class Handler:
    """A handler that a loop watches."""

    poll_ns: int
    """Its polling time, or its mean."""
    active: bool = False
    """Whether it had an event in this pass."""


@dataclass(eq=False, slots=True)
class ServiceTable:
    """Service times of a disk with a given number of requests in flight."""

    times_ns: list[int]
    next_at: int = 0
    """The index of the next time."""


@dataclass(eq=False, slots=True)
class Disk:
    """A disk on the host."""

    tables: list[ServiceTable]
    """By requests in flight; a larger number uses the last one."""
    under_way: int = 0


@dataclass(eq=False, slots=True)
class VCPU:
    """A vCPU of the guest."""

    number: int
    queues: list[VirtQueue] = field(default_factory=list)
    """The queues whose interrupts it takes and whose programs it runs."""
    doing: int = IDLE
    next_ns: int = -1
    """When the current step ends, or when it wakes up; -1 if not known."""
    free_ns: int = 0
    """When its busy time ends."""
    left_doing: int = IDLE
    """The step that an interrupt has suspended; `IDLE` if none."""
    left_ns: int = 0
    """The remaining time of that step."""
    interrupted_by: VirtQueue = field(init=False)
    """The queue whose interrupt it handles."""
    program: VirtQueue = field(init=False)
    """The queue whose program is running, or ran last."""
    left: int = 0
    """Completions of that program in this turn."""
    asks: int = 0
    """How many requests that program is about to submit."""
    rested: bool = True
    """Whether it was idle since that turn."""
    calls: int = 0
    """Interrupts that it has not taken."""
    ended: int = 0
    """How many steps it has finished, or wake-ups it has begun."""
    ready: int = 0
    """Completions that its programs have."""
    owed_ns: int = 0
    """Delay before its next step: kicks, a wait for a processor."""
    busy_ns: int = 0
    """Counted, see `Counts`."""
    interrupts: int = 0
    """Counted: the number of interrupts it took."""


@dataclass(eq=False, slots=True)
class Loop:
    """An event loop: its parameters, see `Loops`; its state; and its counts."""

    number: int
    max_ns: int
    grow: int
    shrink: int
    weight: int
    is_main: bool
    looks: bool
    aio_batch: int
    workers: int
    poll_ns: int
    notifier: Handler
    completions: Handler
    handlers: list[Handler]
    """The notifier, the completions if they have a handler, and the queues' handlers."""
    queues: list[VirtQueue] = field(default_factory=list)
    """The queues that it serves."""
    start_ns: int = 0
    """When the current pass began, which is when the previous one ended."""
    budget_ns: int = 0
    """The maximum polling time of its wait."""
    woken_ns: int = 0
    """When its wait ended, or will end."""
    waits: bool = False
    """Whether its wait lasts until an event comes."""
    asleep: bool = False
    """Whether it slept and is about to run."""
    by_polling: bool = False
    """Whether polling ended its wait: it polls until a wait exceeds its budget."""
    notified: bool = False
    """Whether it has notified itself."""
    own: bool = False
    """Whether its own notification ended the current wait."""
    stale: bool = False
    """Whether the eventfd of a reaped completion is still to be read."""
    kicks: int = 0
    """Queues whose eventfd is still to be read."""
    phase: int = WOKEN
    """The step that ends next."""
    queue: VirtQueue = field(init=False)
    """The queue that it takes requests from, or did last."""
    found: int = 0
    """Queues that its wait found ready and that it has not gone through yet."""
    count: int = 0
    """How many requests it has taken from its queue."""
    done: int = 0
    """Completions that it has not reaped."""
    put: int = 0
    """Requests in its queues."""
    in_pool: int = 0
    """Requests that its workers have."""
    cpu_ns: int = 0
    polling_ns: int = 0
    sleeps: int = 0
    passes: int = 0
    polled: int = 0


@dataclass(eq=False, slots=True)
class VirtQueue:
    """A virtqueue with the program behind it."""

    loop: Loop
    disk: Disk
    vcpu: VCPU
    handler: Handler
    engine: int
    depth: int
    batch: int
    interval_ns: int
    work_ns: int
    think_ns: int
    number: int
    submitted_ns: list[int]
    """When requests entered the queue, as a ring."""
    born_ns: list[int]
    """The same for its completions, in order of completion."""
    next_program: VirtQueue = field(init=False)
    """The next queue of its vCPU, in a circle."""
    armed: bool = True
    """Whether the next request kicks the loop."""
    kicked: bool = False
    """Whether a request kicked it, and the eventfd is still to be read."""
    requests: int = 0
    """Requests in the queue."""
    put_at: int = 0
    """The ring index of the next request."""
    popped_at: int = 0
    """The ring index of the oldest request."""
    found: bool = False
    """Whether the loop's wait found it ready, and the loop has not gone through it yet."""
    done: int = 0
    """Completions that the loop has not reaped."""
    reaping: int = 0
    """Completions that it is reaping."""
    seen: int = 0
    """Completions that the guest can see."""
    ready: int = 0
    """Completions that the program has."""
    ended_at: int = 0
    """The ring index of the next completion."""
    answered_at: int = 0
    """The ring index of the oldest completion."""
    held: int = 0
    """Completions of a program that waits for more before it submits."""
    waiting: int = 0
    """Requests that wait for a worker."""
    called: bool = False
    """Whether an interrupt was sent that its vCPU has not taken."""
    reaches_ns: int = 0
    """When that interrupt reaches the vCPU."""
    heard_at: int = -1
    """The vCPU's count of finished steps when it took the last interrupt."""


@dataclass(eq=False, slots=True)
class SimulationState:
    """The whole state of a simulation, which each event changes."""

    generation: int
    costs: Costs
    processors: int
    vcpu_disk_irq_ns: int
    """The time that a busy vCPU loses for an interrupt of a disk; it shares a processor with these
    only part of the time."""
    loops: list[Loop]
    vcpus: list[VCPU]
    queues: list[VirtQueue]
    gaps: list[int]
    """Random times between requests of an open loop, with the mean 1024."""
    crowded: bool
    """Whether there can be more threads than processors."""
    room: int
    """The size of each of a queue's two rings, in requests."""
    warm_up: int
    """Requests that are not counted."""
    goal: int
    """The number of requests after which the run ends."""
    latencies_ns: list[int]
    passes_seen: list[int]
    noted: int = 0
    """Numbers in `passes_seen`."""
    order: int = 0
    """Each event's number, which orders events of the same time by their creation."""
    gap_at: int = 0
    """The index of the next time between requests."""
    finished: int = 0
    from_ns: int = 0
    """When the counted requests began."""
    to_ns: int = 0
    """When they ended."""
    main_free_ns: int = 0
    """When the main loop's pass for interrupts ends."""
    main_looks_ns: int = 0
    """When it checks for interrupts in its current pass, or did in its last."""
    disk_irq_ends_ns: int = 0
    """Until when the host handles the last interrupt of a disk."""
    irq_cpu_ns: int = 0


def build_world(
    generation: int,
    loops: Loops,
    queues: Queues,
    devices: Devices,
    costs: Costs,
    *,
    processors: int,
    requests: int,
    vcpu_disk_irq_ns: int = 0,
    warm_up: int = 0,
    gaps: Ints = (1024,),
    passes: int = 0,
) -> SimulationState:
    """Returns the initial state.

    Args:
        generation: One of the three, see `BY_LOOP`.
        loops: The event loops.
        queues: The virtqueues and the programs behind them.
        devices: The disks.
        costs: The cost of each step.
        processors: Processors of the host, for loops and vCPUs.
        requests: How many are counted.
        vcpu_disk_irq_ns: The time that a busy vCPU loses for an interrupt of a disk.
        warm_up: How many requests to do before any is counted.
        gaps: Random times between requests of an open loop, with the mean 1024.
        passes: How many of the first passes to record.
    """
    goal = requests + warm_up
    # An open loop has no limit of requests in flight.
    room = 2 * goal + 64 if min(queues.depth) == 0 else max(queues.depth) + 1
    tables = [
        ServiceTable(list(devices.samples[first : first + devices.size]))
        for first in range(0, len(devices.samples), devices.size)
    ]
    disks = [
        Disk([tables[number] for number in devices.tables[first : first + devices.most]])
        for first in range(0, len(devices.tables), devices.most)
    ]
    vcpus = [VCPU(number) for number in range(max(queues.vcpu) + 1)]
    world = SimulationState(
        generation=generation,
        costs=costs,
        processors=processors,
        vcpu_disk_irq_ns=vcpu_disk_irq_ns,
        loops=[_make_loop(loops, number) for number in range(len(loops.max_ns))],
        vcpus=vcpus,
        queues=[],
        gaps=list(gaps),
        crowded=len(loops.max_ns) + len(vcpus) >= processors,
        room=room,
        warm_up=warm_up,
        goal=goal,
        latencies_ns=[0] * requests,
        passes_seen=[0] * (RECORD * passes),
    )
    for number, loop in enumerate(queues.loop):
        _add_queue(world, queues, number, world.loops[loop], disks[queues.device[number]])
    for vcpu in vcpus:
        for queue, then in zip(vcpu.queues, [*vcpu.queues[1:], *vcpu.queues[:1]], strict=True):
            queue.next_program = then
            vcpu.program = queue
    return world


def _make_loop(loops: Loops, number: int) -> Loop:
    """Returns a loop with its fixed handlers."""
    first_ns = loops.first_ns[number]
    notifier, completions = Handler(first_ns), Handler(first_ns)
    return Loop(
        number=number,
        max_ns=loops.max_ns[number],
        grow=loops.grow[number],
        shrink=loops.shrink[number],
        weight=loops.weight[number],
        is_main=bool(loops.is_main[number]),
        looks=bool(loops.looks[number]),
        aio_batch=loops.batch[number],
        workers=loops.workers[number],
        poll_ns=first_ns,
        notifier=notifier,
        completions=completions,
        handlers=[notifier],
    )


def _add_queue(
    world: SimulationState, queues: Queues, number: int, loop: Loop, disk: Disk
) -> None:
    """Creates a queue that a loop serves."""
    queue = VirtQueue(
        loop=loop,
        disk=disk,
        vcpu=world.vcpus[queues.vcpu[number]],
        handler=Handler(loop.poll_ns),
        engine=queues.engine[number],
        depth=queues.depth[number],
        batch=queues.batch[number],
        interval_ns=queues.interval_ns[number],
        work_ns=queues.work_ns[number],
        think_ns=queues.think_ns[number],
        number=number,
        submitted_ns=[0] * world.room,
        born_ns=[0] * world.room,
    )
    world.queues.append(queue)
    loop.queues.append(queue)
    loop.handlers.append(queue.handler)
    # A handler that is never ready would keep its polling time forever, and so the loop's.
    if queue.engine in {NATIVE, IO_URING} and loop.completions not in loop.handlers:
        loop.handlers.append(loop.completions)
    queue.vcpu.queues.append(queue)


def read_counts(world: SimulationState) -> Counts:
    """Returns the counts of a finished run."""
    return Counts(
        span_ns=world.to_ns - world.from_ns,
        cpu_ns=[loop.cpu_ns for loop in world.loops],
        polling_ns=[loop.polling_ns for loop in world.loops],
        sleeps=[loop.sleeps for loop in world.loops],
        passes=[loop.passes for loop in world.loops],
        polled=[loop.polled for loop in world.loops],
        irq_cpu_ns=world.irq_cpu_ns,
        vcpu_ns=[vcpu.busy_ns for vcpu in world.vcpus],
        interrupts=[vcpu.interrupts for vcpu in world.vcpus],
        latencies_ns=world.latencies_ns,
        passes_seen=world.passes_seen,
    )
