"""What the simulator knows, in one list of numbers that a compiler understands too.

`vmio.sim.reference` is written for a person and for numba's compiler (`vmio.sim.kernel`), which
wants flat arrays. So everything stands in one list, the memory `m`: numbers of the whole at fixed
places, and a record for each loop, handler, queue, vCPU and disk. A record is known by its
address, the place of its first number, and each of its numbers has a name for its distance from
there: the polling time of a loop is `m[loop + POLL_NS]`. An address of 0 is none.

Units: nanoseconds where a name ends in `NS` or `ns`, else counts; times are from the beginning.
"""

from __future__ import annotations

from collections.abc import MutableSequence, Sequence
from itertools import pairwise
from typing import Final, NamedTuple

__all__ = [
    "Costs",
    "Counts",
    "Devices",
    "Ints",
    "Loops",
    "Memory",
    "Queues",
    "lay_out",
    "read_counts",
]

Ints = Sequence[int]
Memory = MutableSequence[int]

BY_LOOP, BY_HANDLER, WEIGHTED = 0, 1, 2
"""The three generations of the algorithm."""

NATIVE, IO_URING, LOOP_RING, THREADS = 0, 1, 2, 3
"""How requests reach the disk: linux-aio, whose eventfd stays readable when polling has reaped
what it was for; a ring of its own, which is polled itself; the ring with which the loop itself
waits (since 10.2), whose completions are no handler; worker threads, which kick the loop."""

WOKEN, REAPED, TAKEN, GIVEN = 0, 1, 2, 3
"""Which step of a loop is over: its wait; reaping completions; taking requests from a queue;
giving them to the disk."""

IDLE, IRQ, REQUEST, KICK = 0, 1, 2, 3
"""What a vCPU does: nothing; an interrupt; a completion in its program; waking up a loop."""

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
    think_ns: Ints
    """What the guest's program waits before it asks for more."""

    @classmethod
    def alone(cls, depth: int) -> Queues:
        """Returns one queue of one loop, disk and vCPU, with linux-aio."""
        return cls([0], [0], [0], [NATIVE], [depth], [1], [0], [0])


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


class Costs(NamedTuple):
    """What each step takes, the same for all loops and all vCPUs.

    Units: nanoseconds, of a processor's time unless said otherwise.
    """

    wake_ns: int
    """Time from an event until the sleeping loop runs."""
    crowded_wake_ns: int
    """And more where no processor is free."""
    sleep_ns: int
    """Falling asleep and waking up."""
    syscall_ns: int
    """A wait that returns at once."""
    poll_pass_ns: int
    """Asking every handler once."""
    self_kick_ns: int
    """A wait that the loop's own notification ends."""
    main_pass_ns: int
    """And more for each wait of QEMU's main loop, which looks through all its sources."""
    queue_run_ns: int
    """Looking through a queue, whatever is in it."""
    queue_request_ns: int
    """And for each request in it, until the device has it."""
    submit_ns: int
    """Each submission to the device after the first of a queue run."""
    done_run_ns: int
    """Reaping completions, however many."""
    done_request_ns: int
    """And for each of them, until the guest can see it."""
    irq_ns: int
    """Of the main loop, which injects an IOThread's interrupts; 0 where the kernel does it."""
    guest_wake_ns: int
    """Time that an idle vCPU needs to wake up."""
    guest_irq_ns: int
    """Of a vCPU: an interrupt, however many completions are behind it."""
    guest_switch_ns: int
    """And for waking a program that sleeps, or going from one to another."""
    guest_request_ns: int
    """And for each completion, in the block layer and in its program."""
    guest_submit_ns: int
    """And for a program to go on and to submit its next requests, however many."""
    guest_kick_ns: int
    """And for waking up a loop that sleeps; one that polls has switched that off."""
    processors: int


class Counts(NamedTuple):
    """What is filled in; an entry per loop, but for the last."""

    cpu_ns: Memory
    sleeps: Memory
    passes: Memory
    polled: Memory
    """Passes that an event ended while they polled."""
    irq_cpu_ns: Memory
    """One entry: of the main loop, for interrupts."""
    vcpu_ns: Memory
    """An entry per vCPU: how long it was busy, with its waits for a processor."""
    latencies_ns: Memory
    """Of each request, from when it is in the queue to when its program can go on."""
    passes_seen: Memory
    """The first passes, six numbers each: loop, begin of the wait, its end, end of the dispatch,
    the budget of the wait, and the loop's polling time after it. No polling is a budget of 0."""

    @classmethod
    def make(cls, loops: int, vcpus: int, requests: int, *, passes: int = 0) -> Counts:
        """Returns room for what is counted of so many requests, and of the first passes."""
        return cls(
            cpu_ns=[0] * loops,
            sleeps=[0] * loops,
            passes=[0] * loops,
            polled=[0] * loops,
            irq_cpu_ns=[0],
            vcpu_ns=[0] * vcpus,
            latencies_ns=[0] * requests,
            passes_seen=[0] * (RECORD * passes),
        )


(
    _NONE,
    GENERATION,
    LOOPS,  # the first loop's address
    VCPUS,  # the first vCPU's
    CROWDED,  # 1 where there can be more threads than processors
    ROOM,  # how many requests each of a queue's two rings holds
    SIZE,  # service times in a table
    MOST,  # tables of a disk
    SAMPLES,  # where they begin
    ORDER,  # each event's number, so that those of one time come in the order in which they arose
    GAP,  # the next time between requests of an open loop
    WARM_UP,  # requests that do not count
    GOAL,  # requests after which all is over
    FINISHED,
    FROM_NS,  # when those that count began
    TO_NS,  # and ended
    LATENCIES,  # where they begin
    PASSES_SEEN,  # where the next is written
    PASSES_END,
    MAIN_FREE_NS,  # until when the main loop is busy with interrupts
    IRQ_CPU_NS,
    _COSTS,
) = range(22)

(
    WAKE_NS,
    CROWDED_WAKE_NS,
    SLEEP_NS,
    SYSCALL_NS,
    POLL_PASS_NS,
    SELF_KICK_NS,
    MAIN_PASS_NS,
    QUEUE_RUN_NS,
    QUEUE_REQUEST_NS,
    SUBMIT_NS,
    DONE_RUN_NS,
    DONE_REQUEST_NS,
    IRQ_NS,
    GUEST_WAKE_NS,
    GUEST_IRQ_NS,
    GUEST_SWITCH_NS,
    GUEST_REQUEST_NS,
    GUEST_SUBMIT_NS,
    GUEST_KICK_NS,
    PROCESSORS,
    _HEAD,
) = range(_COSTS, _COSTS + len(Costs._fields) + 1)
"""What steps take: `Costs`, in its order."""

HANDLER_NS, ACTIVE, NEXT_HANDLER, _HANDLER = range(4)
"""A handler: its polling time, or mean; whether it had an event in this pass; the next of its
loop. The first of a loop is its own notifier, then the completions of its requests, then its
queues."""

(
    NUMBER,  # which loop it is
    NEXT_LOOP,
    MAX_NS,  # its parameters, see `Loops`
    GROW,
    SHRINK,
    WEIGHT,
    IS_MAIN,
    LOOKS,
    AIO_BATCH,
    WORKERS,
    NOTIFIER,  # its first two handlers
    COMPLETIONS,
    FIRST_QUEUE,  # of those that it serves
    POLL_NS,
    START_NS,  # when the present pass began, which is when the one before ended
    BUDGET_NS,  # for how long its wait polls at most
    WOKEN_NS,  # when its wait ended, or will
    WAITS,  # whether its wait lasts until something comes
    ASLEEP,  # whether it slept and is about to run
    BY_POLLING,  # whether polling ended its wait, so that its queues need no kick
    NOTIFIED,  # whether it has notified itself
    OWN,  # whether that ended the present wait
    STALE,  # whether the eventfd of a completion that was reaped is still to be read
    PHASE,  # which step is next to be over
    QUEUE,  # the queue that it takes requests from, or the next that it would
    COUNT,  # how many it has taken from it
    DONE_HERE,  # completions that it has not reaped
    PUT_HERE,  # requests in its queues
    IN_POOL,  # requests that its workers have
    CPU_NS,  # what is counted, see `Counts`
    SLEEPS,
    PASSES,
    POLLED,
    _LOOP,
) = range(34)

(
    NEXT_QUEUE,  # of its loop
    NEXT_OF_VCPU,  # of its vCPU, around
    LOOP,
    DEVICE,
    VCPU,
    HANDLER,
    ENGINE,
    DEPTH,
    BATCH,
    INTERVAL_NS,
    THINK_NS,
    RING,  # requests in it
    PUT,  # where the next goes
    POPPED,  # where the oldest is
    FOUND,  # whether there were any when the loop's wait ended
    DONE,  # completions that the loop has not reaped
    REAPING,  # that it does reap
    SEEN,  # that the guest can see
    READY,  # that the program has
    ENDED,  # where the next completion goes
    ANSWERED,  # where the oldest is
    HELD,  # completions of a program that waits for more, before it submits
    WAITING,  # requests that wait for a worker
    CALLED,  # whether an interrupt was sent that its vCPU has not taken
    REACHES_NS,  # when that reaches it
    SUBMITTED,  # where the times are at which requests were put into it
    BORN,  # and those of its completions
    _QUEUE,
) = range(28)

UNDER_WAY, TABLES, _DISK = range(3)
"""A disk: its requests; where its tables are."""

(
    NEXT_VCPU,
    FIRST_OF_VCPU,  # its first queue
    DOING,
    NEXT_NS,  # when that is over, or when it wakes up; -1 for not known
    FREE_NS,  # until when it is busy
    IRQ_QUEUE,  # the queue whose interrupt it takes
    PROGRAM,  # the queue whose program has the turn, or had it last
    LEFT,  # completions of that turn
    RESTED,  # whether it was idle since that turn
    CALLS,  # interrupts that it has not taken
    ALL_READY,  # completions that its programs have
    OWED_NS,  # what it is to do or to wait for first: kicks, a processor
    VCPU_NS,
    _VCPU,
) = range(14)


def lay_out(  # noqa: PLR0917 - as `vmio.sim.reference.simulate` has them
    generation: int,
    loops: Loops,
    queues: Queues,
    devices: Devices,
    costs: Costs,
    warm_up: int,
    counts: Counts,
) -> list[int]:
    """Returns the memory with everything at rest.

    Args:
        generation: Which of the three, see `BY_LOOP`.
        loops: The event loops.
        queues: The virtqueues.
        devices: The disks.
        costs: What each step takes.
        warm_up: Requests that do not count.
        counts: For its sizes.
    """
    goal = len(counts.latencies_ns) + warm_up
    # An open loop may have as many under way as come.
    room = 2 * goal + 64 if min(queues.depth) == 0 else max(queues.depth) + 1
    m = [0] * _HEAD
    m[GENERATION], m[ROOM], m[WARM_UP], m[GOAL] = generation, room, warm_up, goal
    m[_COSTS:_HEAD] = costs
    of_loops = [_make(m, _LOOP) for _ in loops.max_ns]
    of_vcpus = [_make(m, _VCPU) for _ in counts.vcpu_ns]
    of_disks = [_make(m, _DISK) for _ in range(len(devices.tables) // devices.most)]
    of_queues = [_make(m, _QUEUE) for _ in queues.loop]
    m[LOOPS], m[VCPUS] = of_loops[0], of_vcpus[0]
    m[CROWDED] = int(len(of_loops) + len(of_vcpus) >= costs.processors)
    _chain(m, of_loops, NEXT_LOOP)
    _chain(m, of_vcpus, NEXT_VCPU)
    for number, queue in enumerate(of_queues):
        m[queue + LOOP] = of_loops[queues.loop[number]]
        m[queue + DEVICE] = of_disks[queues.device[number]]
        m[queue + VCPU] = of_vcpus[queues.vcpu[number]]
        m[queue + ENGINE : queue + RING] = [each[number] for each in queues[3:]]
        m[queue + SUBMITTED], m[queue + BORN] = _make(m, room), _make(m, room)
    for number, loop in enumerate(of_loops):
        own = [queue for queue in of_queues if m[queue + LOOP] == loop]
        _fill_loop(m, loops, number, loop, own)
    for vcpu in of_vcpus:
        m[vcpu + NEXT_NS] = -1
        own = [queue for queue in of_queues if m[queue + VCPU] == vcpu]
        if own:
            _chain(m, [*own, own[0]], NEXT_OF_VCPU)
            m[vcpu + FIRST_OF_VCPU], m[vcpu + PROGRAM] = own[0], own[-1]
    _fill_disks(m, devices, of_disks)
    m[LATENCIES] = _make(m, len(counts.latencies_ns))
    m[PASSES_SEEN] = _make(m, len(counts.passes_seen))
    m[PASSES_END] = len(m)
    return m


def _make(m: list[int], size: int) -> int:
    """Returns the address of new numbers, all 0."""
    address = len(m)
    m.extend([0] * size)
    return address


def _fill_loop(m: list[int], loops: Loops, number: int, loop: int, own: Sequence[int]) -> None:
    """Fills in a loop, which serves these queues, and makes their handlers."""
    m[loop + NUMBER] = number
    m[loop + MAX_NS : loop + NOTIFIER] = [each[number] for each in loops[:-1]]
    m[loop + POLL_NS] = loops.first_ns[number]
    handlers = [_make(m, _HANDLER) for _ in range(2 + len(own))]
    m[loop + NOTIFIER], m[loop + COMPLETIONS] = handlers[:2]
    for queue, handler in zip(own, handlers[2:], strict=True):
        m[queue + HANDLER] = handler
    for handler in handlers:
        m[handler + HANDLER_NS] = m[loop + POLL_NS]
    _chain(m, handlers, NEXT_HANDLER)
    _chain(m, own, NEXT_QUEUE)
    m[loop + FIRST_QUEUE] = own[0] if own else 0


def _fill_disks(m: list[int], devices: Devices, of_disks: Sequence[int]) -> None:
    """Makes the tables of service times: of each, how many were drawn, and the times."""
    m[SIZE], m[MOST] = devices.size, devices.most
    of_tables = []
    for first in range(0, len(devices.samples), devices.size):
        of_tables.append(_make(m, 1))
        m.extend(devices.samples[first : first + devices.size])
    for number, disk in enumerate(of_disks):
        first = number * devices.most
        m[disk + TABLES] = len(m)
        m.extend(of_tables[table] for table in devices.tables[first : first + devices.most])


def _chain(m: list[int], records: Sequence[int], following: int) -> None:
    """Notes in each record the address of the one behind it."""
    for record, then in pairwise(records):
        m[record + following] = then


def read_counts(m: Memory, counts: Counts) -> int:
    """Fills in what was counted, and returns how long the requests that count took."""
    loop, vcpu, number = m[LOOPS], m[VCPUS], 0
    while loop:
        counts.cpu_ns[number] = m[loop + CPU_NS]
        counts.sleeps[number] = m[loop + SLEEPS]
        counts.passes[number] = m[loop + PASSES]
        counts.polled[number] = m[loop + POLLED]
        loop, number = m[loop + NEXT_LOOP], number + 1
    number = 0
    while vcpu:
        counts.vcpu_ns[number] = m[vcpu + VCPU_NS]
        vcpu, number = m[vcpu + NEXT_VCPU], number + 1
    counts.irq_cpu_ns[:] = [m[IRQ_CPU_NS]]
    first, count = m[LATENCIES], len(counts.latencies_ns)
    counts.latencies_ns[:] = m[first : first + count]
    end = m[PASSES_END]
    counts.passes_seen[:] = m[end - len(counts.passes_seen) : end]
    return m[TO_NS] - m[FROM_NS]
