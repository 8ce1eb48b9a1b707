"""What the simulator knows: a record of each event loop, handler, queue, disk and vCPU.

The same records are read by the interpreter (`vmio.sim.events`) and, laid out in one block of
memory, by what numba compiles of it (`vmio.sim.kernel`). So their fields are of a few kinds only:
whole numbers, truths, other records, and lists of numbers or of records.

Units: nanoseconds where a name ends in `ns`, else counts; times are from the beginning.
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
    "VirtQueue",
    "World",
    "build_world",
    "read_counts",
]

Ints = Sequence[int]

BY_LOOP, BY_HANDLER, WEIGHTED = 0, 1, 2
"""The three generations of the algorithm."""

NATIVE, IO_URING, LOOP_RING, THREADS = 0, 1, 2, 3
"""How requests reach the disk: linux-aio, whose eventfd stays readable when polling has reaped
what it was for; a ring of its own, which is polled itself; the ring with which the loop itself
waits (since 10.2), whose completions are no handler; worker threads, which kick the loop."""

WOKEN, REAPED, TAKEN, GIVEN = 0, 1, 2, 3
"""Which step of a loop is over: its wait; reaping completions; taking requests from a queue;
giving them to the disk."""

IDLE, IRQ, REQUEST, WORK, KICK = 0, 1, 2, 3, 4
"""What a vCPU does: nothing; an interrupt; a completion in its program; what that computes before
it asks for more; a kick."""

RECORD: Final = 6
"""Numbers in `Counts.passes_seen` for each pass."""


class Loops(NamedTuple):
    """The event loops; an entry of each list per loop.

    Units: nanoseconds.
    """

    max_ns: Ints
    """0 also where something that cannot be polled keeps the whole loop from polling."""
    grow: Ints
    shrink: Ints
    weight: Ints
    is_main: Ints
    """1 for QEMU's main loop, which injects interrupts itself."""
    looks: Ints
    """1 where a wait that the loop's own notifier ends finds what else is there although it does
    not poll: the main loop, and loops that wait with io_uring."""
    batch: Ints
    """Requests that one submission to linux-aio takes at most."""
    workers: Ints
    """Threads that a loop's pool has at most."""
    first_ns: Ints
    """The polling time that the loop and each of its handlers begin with."""

    @classmethod
    def alone(cls, max_ns: int, *, first_ns: int = 0) -> Loops:
        """Returns one IOThread of QEMU 10.0, with its defaults but for these."""
        return cls([max_ns], [0], [0], [0], [0], [0], [32], [64], [first_ns])


class Queues(NamedTuple):
    """The virtqueues; an entry of each list per queue.

    Units: nanoseconds.
    """

    loop: Ints
    device: Ints
    vcpu: Ints
    """Where its interrupts go and its programs run."""
    engine: Ints
    depth: Ints
    """Requests under way in a closed loop; 0 for an open one."""
    batch: Ints
    """So many completions a program waits for, before it submits as many requests at once."""
    interval_ns: Ints
    """Mean time between requests of an open loop."""
    work_ns: Ints
    """What the guest's program computes before it asks for more."""
    think_ns: Ints
    """What it waits then."""

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
    """The table for a number of requests under way, of each device one after the other."""
    most: int
    """Entries in `tables` per device; more requests than that count as that many."""


class Counts(NamedTuple):
    """What a run came to; an entry per loop unless said otherwise.

    Units: nanoseconds.
    """

    span_ns: int
    """How long the requests that count took."""
    cpu_ns: Ints
    polling_ns: Ints
    """Of `cpu_ns`, what they polled for."""
    sleeps: Ints
    passes: Ints
    polled: Ints
    """Passes that an event ended while they polled."""
    irq_cpu_ns: int
    """Of the main loop, for interrupts."""
    vcpu_ns: Ints
    """An entry per vCPU: how long it was busy, with its waits for a processor."""
    interrupts: Ints
    """An entry per vCPU: how many it took."""
    latencies_ns: Ints
    """Of each request, from when it is in the queue to when its program can go on."""
    passes_seen: Ints
    """The first passes, six numbers each: loop, begin of the wait, its end, end of the dispatch,
    the budget of the wait, and the loop's polling time after it. No polling is a budget of 0."""


@dataclass(eq=False, slots=True)
class Handler:
    """What a loop watches."""

    poll_ns: int
    """Its polling time, or mean."""
    active: bool = False
    """Whether it had an event in this pass."""


@dataclass(eq=False, slots=True)
class ServiceTable:
    """Service times of a disk with so many requests under way."""

    times_ns: list[int]
    next_at: int = 0
    """Where the next is."""


@dataclass(eq=False, slots=True)
class Disk:
    """A disk on the host."""

    tables: list[ServiceTable]
    """By requests under way; more count as that many."""
    under_way: int = 0


@dataclass(eq=False, slots=True)
class VCPU:
    """A processor of the guest."""

    number: int
    queues: list[VirtQueue] = field(default_factory=list)
    """Whose interrupts it takes and whose programs it runs."""
    doing: int = IDLE
    next_ns: int = -1
    """When that is over, or when it wakes up; -1 for not known."""
    free_ns: int = 0
    """Until when it is busy."""
    left_doing: int = IDLE
    """What it has left for an interrupt; nothing is `IDLE`."""
    left_ns: int = 0
    """How long that still takes."""
    interrupted_by: VirtQueue = field(init=False)
    """Whose interrupt it takes."""
    program: VirtQueue = field(init=False)
    """Whose program has the turn, or had it last."""
    left: int = 0
    """Completions of that turn."""
    asks: int = 0
    """For how many requests that program is about to ask."""
    rested: bool = True
    """Whether it was idle since that turn."""
    calls: int = 0
    """Interrupts that it has not taken."""
    ended: int = 0
    """How many times it has ended something else, or has begun to wake up."""
    ready: int = 0
    """Completions that its programs have."""
    owed_ns: int = 0
    """What it is to do or to wait for first: kicks, a processor."""
    busy_ns: int = 0
    """Counted, see `Counts`."""
    interrupts: int = 0
    """The same: how many it took."""


@dataclass(eq=False, slots=True)
class Loop:
    """An event loop: its parameters, see `Loops`; where it is; and what is counted."""

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
    """The notifier, completions where they are a handler, and its queues'."""
    queues: list[VirtQueue] = field(default_factory=list)
    """Those that it serves."""
    start_ns: int = 0
    """When the present pass began, which is when the one before ended."""
    budget_ns: int = 0
    """For how long its wait polls at most."""
    woken_ns: int = 0
    """When its wait ended, or will."""
    waits: bool = False
    """Whether its wait lasts until something comes."""
    asleep: bool = False
    """Whether it slept and is about to run."""
    by_polling: bool = False
    """Whether polling ended its wait: it polls until a wait goes on beyond that."""
    notified: bool = False
    """Whether it has notified itself."""
    own: bool = False
    """Whether that ended the present wait."""
    stale: bool = False
    """Whether the eventfd of a completion that was reaped is still to be read."""
    kicks: int = 0
    """Queues whose eventfd is still to be read."""
    phase: int = WOKEN
    """Which step is next to be over."""
    queue: VirtQueue = field(init=False)
    """The queue that it takes requests from, or did last."""
    found: int = 0
    """Queues that its wait found ready, less those that it has gone through."""
    count: int = 0
    """How many it has taken from its queue."""
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
    """When requests were put into it, in a ring."""
    born_ns: list[int]
    """The same of its completions, in the order in which they came."""
    next_program: VirtQueue = field(init=False)
    """Of its vCPU, around."""
    armed: bool = True
    """Whether the next request kicks the loop."""
    kicked: bool = False
    """Whether one did, and the eventfd is still to be read."""
    requests: int = 0
    """In it."""
    put_at: int = 0
    """Where the next goes in the ring."""
    popped_at: int = 0
    """Where the oldest is."""
    found: bool = False
    """Whether the loop's wait found it ready, and the loop has not gone through it."""
    done: int = 0
    """Completions that the loop has not reaped."""
    reaping: int = 0
    """That it does reap."""
    seen: int = 0
    """That the guest can see."""
    ready: int = 0
    """That the program has."""
    ended_at: int = 0
    """Where the next completion goes in the ring."""
    answered_at: int = 0
    """Where the oldest is."""
    held: int = 0
    """Completions of a program that waits for more, before it submits."""
    waiting: int = 0
    """Requests that wait for a worker."""
    called: bool = False
    """Whether an interrupt was sent that its vCPU has not taken."""
    reaches_ns: int = 0
    """When that reaches it."""
    heard_at: int = -1
    """What the vCPU had ended when it took the last one."""


@dataclass(eq=False, slots=True)
class World:
    """Everything."""

    generation: int
    costs: Costs
    processors: int
    vcpu_disk_irq_ns: int
    """What a busy vCPU loses by an interrupt of a disk, with which it shares a processor only some
    of the time."""
    loops: list[Loop]
    vcpus: list[VCPU]
    queues: list[VirtQueue]
    gaps: list[int]
    """Random times between requests of an open loop, of mean 1024."""
    crowded: bool
    """Whether there can be more threads than processors."""
    room: int
    """How many requests each of a queue's two rings holds."""
    warm_up: int
    """Requests that do not count."""
    goal: int
    """Requests after which all is over."""
    latencies_ns: list[int]
    passes_seen: list[int]
    noted: int = 0
    """Numbers in it."""
    order: int = 0
    """Each event's number, so that those of one time come in the order in which they arose."""
    gap_at: int = 0
    """The next time between requests."""
    finished: int = 0
    from_ns: int = 0
    """When those that count began."""
    to_ns: int = 0
    """And ended."""
    main_free_ns: int = 0
    """Until when the main loop's pass for interrupts lasts."""
    main_looks_ns: int = 0
    """When it looks for them in its present pass, or did in its last."""
    disk_irq_ends_ns: int = 0
    """Until when the host takes the last interrupt of a disk."""
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
) -> World:
    """Returns everything at rest.

    Args:
        generation: Which of the three, see `BY_LOOP`.
        loops: The event loops.
        queues: The virtqueues and the programs behind them.
        devices: The disks.
        costs: What each step takes.
        processors: Of the host, for loops and vCPUs.
        requests: How many count.
        vcpu_disk_irq_ns: What a busy vCPU loses by an interrupt of a disk.
        warm_up: How many requests to do before any counts.
        gaps: Random times between requests of an open loop, of mean 1024.
        passes: How many to note, the first ones.
    """
    goal = requests + warm_up
    # An open loop may have as many under way as come.
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
    world = World(
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
    """Returns a loop with the handlers that each has."""
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


def _add_queue(world: World, queues: Queues, number: int, loop: Loop, disk: Disk) -> None:
    """Makes a queue that a loop serves."""
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
    # A handler that is never ready would hold its polling time for ever, and the loop's with it.
    if queue.engine in {NATIVE, IO_URING} and loop.completions not in loop.handlers:
        loop.handlers.append(loop.completions)
    queue.vcpu.queues.append(queue)


def read_counts(world: World) -> Counts:
    """Returns what a run came to that is over."""
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
