"""The simulator: event loops that poll, the disks they serve and the guests that drive them.

Every wait of every loop is decided as QEMU does it (`vmio.sim.polling`), in its own order: poll
while it lasts, then sleep; take what is ready; adapt. What lies between, the guest, the device and
the costs of each step, are numbers that were measured. Time is in whole nanoseconds, and the same
input gives the same answer.

This is written for two readers: a person, and numba's compiler (`vmio.sim.kernel`). So all that is
known stands in one list of numbers, the memory `m`; `at` says where each thing begins in it, with
an entry per loop, queue or handler, as in `m[at.poll_ns + loop]`.

A request's way is `submit` (a program's request is in a virtqueue), `wait` and `dispatch` (its
loop finds it and gives it to the disk), `complete` (the disk is done), `wait` and `dispatch` again
(the loop makes it visible to the guest), `interrupt` and `answer` (a vCPU hands it to its program,
which asks for more).

Handlers of a loop: 0 is the loop's own notifier, 1 the completions of its requests, and 2 + q the
queue q, whether or not that loop serves it.

Not modelled: handlers that leave after 7 idle seconds, which needs a disk without load; and the
host's scheduler beyond this: where more threads want to run than there are processors, each runs
slower by that ratio and wakes up later.

Otherwise than in QEMU: within a pass an interrupt waits for the runs of queues with lower numbers;
completions are visible to the guest when the pass begins and not when they are reaped; and the
loop's own kick after a submission is left out.

Source: QEMU 7.2.0, 10.0.2 and 11.1.1: `util/aio-posix.c`, `util/async.c`, `util/thread-pool.c`,
`block/linux-aio.c`, `block/io_uring.c`, `hw/block/virtio-blk.c`.
"""

from __future__ import annotations

from collections.abc import MutableSequence, Sequence
from heapq import heappop, heappush
from typing import Any, NamedTuple, cast

__all__ = [
    "Costs",
    "Counts",
    "Devices",
    "Loops",
    "Places",
    "Queues",
    "adapt",
    "adjust",
    "lay_out",
    "read_counts",
    "run",
    "simulate",
]

Ints = Sequence[int]
Out = MutableSequence[int]

SUBMIT, COMPLETE, PASS, ANSWER = 0, 1, 2, 3
"""Events: a program put requests into a queue; the device finished one; a loop begins a pass; a
vCPU takes what is done."""

NOTIFIER, COMPLETIONS, FIRST_QUEUE = 0, 1, 2

BY_LOOP, BY_HANDLER, WEIGHTED = 0, 1, 2
"""The three generations of the algorithm."""

NATIVE, IO_URING, LOOP_RING, THREADS = 0, 1, 2, 3
"""How requests reach the disk: linux-aio, whose eventfd stays readable when polling has reaped
what it was for; a ring of its own, which is polled itself; the ring with which the loop itself
waits (since 10.2), whose completions are no handler; worker threads, which kick the loop."""

FIRST_NS = 4000
RECORD = 6
"""Numbers in `Counts.passes_seen` for each pass."""

Heap = list[tuple[int, int, int, int]]
"""What comes: time, order, kind with the loop, queue or vCPU in one number, what goes with it."""
KINDS = 4


class Loops(NamedTuple):
    """The event loops; an entry of each list per loop.

    Units: nanoseconds.
    """

    max_ns: Ints
    grow: Ints
    shrink: Ints
    weight: Ints
    can_poll: Ints
    """0 where something that cannot be polled keeps the whole loop from polling."""
    is_main: Ints
    """1 for QEMU's main loop, which injects interrupts itself."""
    batch: Ints
    """Requests that one submission to linux-aio takes at most."""
    workers: Ints
    """Threads that a loop's pool has at most."""
    first_ns: Ints
    """The polling time that the loop and each of its handlers begin with."""


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
    """A pass that finds nothing but the loop's own notification."""
    main_pass_ns: int
    """Each pass of QEMU's main loop, which looks through all its GLib sources, beyond what a pass
    of an IOThread takes."""
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

    cpu_ns: Out
    sleeps: Out
    passes: Out
    polled: Out
    """Passes that an event ended while they polled."""
    irq_cpu_ns: Out
    """One entry: of the main loop, for interrupts."""
    vcpu_ns: Out
    """An entry per vCPU: how long it was busy, with its waits for a processor."""
    latencies_ns: Out
    """Of each request, from when it is in the queue to when its program can go on."""
    passes_seen: Out
    """The first passes, six numbers each: loop, begin of the wait, its end, end of the dispatch,
    the budget of the wait, and the loop's polling time after it. No polling is a budget of 0."""


class Places(NamedTuple):
    """Where in the memory each thing begins; after those that are counts of things.

    Units: what is there is in nanoseconds where its name ends so.
    """

    loop_count: int
    queue_count: int
    vcpu_count: int
    handlers: int
    """Of each loop."""
    room: int
    """How many requests each of a queue's two rings holds."""
    size: int
    most: int
    """As `Devices` has them."""
    crowded: int
    """1 where there can be more threads than processors."""

    order: int
    """Each event's number, so that those of one time come in the order in which they arose."""
    finished: int
    from_ns: int
    to_ns: int
    """When the requests that count began and ended."""
    gap: int
    noted: int
    main_free_ns: int
    """Until when the main loop is busy with interrupts."""
    irq_cpu_ns: int

    max_ns: int
    """By loop, from here on, its parameters: see `Loops`."""
    grow: int
    shrink: int
    weight: int
    can_poll: int
    is_main: int
    aio_batch: int
    workers: int
    poll_ns: int
    start_ns: int
    """When the present pass began, which is when the one before ended."""
    stale: int
    """Whether a completion that polling found is still to wake the loop up for nothing."""
    idle: int
    """Whether no pass of its own is under way for the loop."""
    waking: int
    """Whether its wait is over and it is about to run."""
    by_polling: int
    block_ns: int
    budget_ns: int
    """How the wait ended, how long it was, and for how long it would have polled."""
    reaped: int
    """Completions that the loop has not seen yet."""
    in_pool: int
    """Requests that the loop's workers have."""
    cpu_ns: int
    sleeps: int
    passes: int
    polled: int
    """What is counted, see `Counts`."""

    times: int
    active: int
    """By loop and handler: polling time or mean, and whether it had an event in this pass."""

    loop_of: int
    """By queue, from here on, what it is: see `Queues`."""
    device_of: int
    vcpu_of: int
    engine: int
    depth: int
    batch: int
    interval_ns: int
    think_ns: int
    ring: int
    put: int
    popped: int
    """Requests in the queue; where the next goes; where the oldest is."""
    done: int
    seen: int
    taken: int
    """Requests that the device is done with; that the guest can see; where its oldest is."""
    held: int
    """Completions that a program has, while it waits for more."""
    waiting: int
    """Requests that wait for a worker."""
    submitted_ns: int
    born_ns: int
    """By queue and place in its rings: when a request was put into the queue."""

    under_way: int
    """By device."""
    tables: int
    drawn: int
    """By table of service times: how many were drawn."""
    samples: int

    vcpu_free_ns: int
    """By vCPU: until when it is busy."""
    called: int
    """Whether it is about to take what is done."""
    interrupts: int
    """How many reached it since it last did."""
    program: int
    """The queue whose program ran last."""
    vcpu_ns: int


def adjust(ns: int, block: int, max_ns: int, grow: int, shrink: int) -> int:
    """Returns a polling time after a wait, as `vmio.sim.polling.adjust_time` does."""
    if block <= ns or max_ns == 0:
        return ns
    if block > max_ns:
        return ns // shrink if shrink > 0 else 0
    if ns < max_ns and block < max_ns:
        longer = FIRST_NS if ns == 0 else ns * (grow if grow > 0 else 2)
        return min(longer, max_ns)
    return ns


def adapt(generation: int, m: Out, at: Places, loop: int, block: int) -> None:
    """Adapts a loop's polling to a wait, as `vmio.sim.polling` has it for each generation.

    Args:
        generation: Which of the three.
        m: Changed: the times of the loop and its handlers; their events are cleared.
        at: Where they are.
        loop: The loop.
        block: How long the wait was.
    """
    max_ns = m[at.max_ns + loop]
    if max_ns == 0:
        return
    poll_ns = m[at.poll_ns + loop]
    first = loop * at.handlers
    if generation == BY_LOOP:
        m[at.poll_ns + loop] = adjust(
            poll_ns, block, max_ns, m[at.grow + loop], m[at.shrink + loop]
        )
        return
    longest = 0
    if generation == BY_HANDLER:
        for handler in range(first, first + at.handlers):
            ns = m[at.times + handler]
            if m[at.active + handler] == 1:
                m[at.active + handler] = 0
                if block > ns:
                    ns = adjust(ns, block, max_ns, m[at.grow + loop], m[at.shrink + loop])
                    m[at.times + handler] = ns
            if ns > longest:
                longest = ns
        m[at.poll_ns + loop] = longest
        return
    weight, some = m[at.weight + loop], False
    for handler in range(first, first + at.handlers):
        ns = m[at.times + handler]
        if m[at.active + handler] == 1:
            m[at.active + handler] = 0
            some = True
            ns = block if ns == 0 else ns - (ns >> weight) + (block >> weight)
            ns = ns if ns <= max_ns else 0
            longest = max(longest, ns)
            m[at.times + handler] = ns
        elif ns > 0:
            ns += block
            m[at.times + handler] = ns if ns <= max_ns else 0
    if some and longest > poll_ns:
        m[at.poll_ns + loop] = min(max(longest, poll_ns * m[at.grow + loop]), max_ns)
    elif some and longest < poll_ns // m[at.shrink + loop]:
        m[at.poll_ns + loop] = poll_ns // m[at.shrink + loop]


def find_budget(m: Out, at: Places, loop: int) -> int:
    """Returns how long a loop would poll now."""
    return m[at.poll_ns + loop] if m[at.can_poll + loop] else 0


def count_running(m: Out, at: Places, now: int, loop: int, vcpu: int) -> int:
    """Returns how many threads want a processor at a time, beside a loop and a vCPU; -1 for none.

    The main loop counts while it injects interrupts.
    """
    running = 1 if m[at.main_free_ns] > now else 0
    for other in range(at.loop_count):
        if other != loop and is_awake(m, at, other, now):
            running += 1
    for other in range(at.vcpu_count):
        if other != vcpu and m[at.vcpu_free_ns + other] > now:
            running += 1
    return running


def is_awake(m: Out, at: Places, loop: int, now: int) -> bool:
    """Returns whether a loop polls or runs at a time, as far as that is known."""
    return m[at.start_ns + loop] + find_budget(m, at, loop) > now


def measure_share(m: Out, at: Places, costs: Costs, now: int, loop: int, vcpu: int) -> int:
    """Returns how much longer than alone a thread takes in a crowd, in 1024ths, at least 1024."""
    running = count_running(m, at, now, loop, vcpu) + 1
    return max(1024, running * 1024 // costs.processors)


def find_wake(m: Out, at: Places, costs: Costs, now: int, loop: int) -> int:
    """Returns how long a thread takes to wake up at a time."""
    if at.crowded == 0 or count_running(m, at, now, loop, -1) < costs.processors:
        return costs.wake_ns
    return costs.wake_ns + costs.crowded_wake_ns


def push(m: Out, at: Places, heap: Heap, at_ns: int, kind: int, index: int, extra: int) -> None:
    """Notes something that comes: of which loop, queue or vCPU, and what goes with it."""
    order = m[at.order]
    m[at.order] = order + 1
    heappush(heap, (at_ns, order, index * KINDS + kind, extra))


def submit(m: Out, at: Places, heap: Heap, gaps: Ints, queue: int, count: int, now: int) -> None:
    """Puts requests into a queue; in an open loop the next one comes by itself."""
    room, then = at.room, m[at.put + queue]
    for _ in range(count):
        m[at.submitted_ns + queue * room + then] = now
        then = (then + 1) % room
    m[at.put + queue] = then
    m[at.ring + queue] += count
    if m[at.depth + queue] == 0:
        gap_at = m[at.gap]
        m[at.gap] = (gap_at + 1) % len(gaps)
        push(m, at, heap, now + m[at.interval_ns + queue] * gaps[gap_at] // 1024, SUBMIT, queue, 1)


def start_service(m: Out, at: Places, heap: Heap, queue: int, born: int, then: int) -> None:
    """Gives a request to its device."""
    device = m[at.device_of + queue]
    m[at.under_way + device] += 1
    depth = min(m[at.under_way + device], at.most) - 1
    table = m[at.tables + device * at.most + depth]
    service_ns = m[at.samples + table * at.size + m[at.drawn + table]]
    m[at.drawn + table] = (m[at.drawn + table] + 1) % at.size
    push(m, at, heap, then + service_ns, COMPLETE, queue, born)


def complete(m: Out, at: Places, heap: Heap, queue: int, born: int, now: int) -> None:
    """Notes that the device is done with a request; a worker takes the next that waits for one."""
    loop, room = m[at.loop_of + queue], at.room
    m[at.under_way + m[at.device_of + queue]] -= 1
    then = (m[at.taken + queue] + m[at.seen + queue] + m[at.done + queue]) % room
    m[at.born_ns + queue * room + then] = born
    m[at.done + queue] += 1
    m[at.reaped + loop] += 1
    if m[at.engine + queue] != THREADS:
        return
    m[at.in_pool + loop] -= 1
    for other in range(at.queue_count):
        if m[at.loop_of + other] == loop and m[at.waiting + other] > 0:
            then = (m[at.popped + other] - m[at.waiting + other]) % room
            m[at.waiting + other] -= 1
            m[at.in_pool + loop] += 1
            start_service(m, at, heap, other, m[at.submitted_ns + other * room + then], now)
            return


def wait(
    generation: int, m: Out, at: Places, heap: Heap, costs: Costs, loop: int, now: int
) -> int:
    """Lets a loop's wait end with an event, and returns when the loop runs; -1 for not yet.

    What came ends polling, or sleep; what comes until the loop runs is found too.
    """
    if m[at.waking + loop] == 1:
        m[at.waking + loop] = 0
        return now
    begin, budget = m[at.start_ns + loop], find_budget(m, at, loop)
    while m[at.stale + loop] == 1 and now > begin + budget:
        # Polled in vain, then woken at once for a completion that was reaped long ago.
        m[at.stale + loop] = 0
        block = budget + costs.syscall_ns
        m[at.active + loop * at.handlers + COMPLETIONS] = 1
        adapt(generation, m, at, loop, block)
        m[at.cpu_ns + loop] += block + costs.self_kick_ns
        m[at.passes + loop] += 2
        begin += block + costs.self_kick_ns
        budget = find_budget(m, at, loop)
    if now <= begin + budget:
        polls = budget > 0
        m[at.by_polling + loop] = 1 if polls else 0
        woken = max(now, begin) + (costs.poll_pass_ns if polls else costs.syscall_ns)
        spent = woken - begin
        m[at.polled + loop] += m[at.by_polling + loop]
    else:
        m[at.by_polling + loop] = 0
        woken = now + find_wake(m, at, costs, now, loop)
        spent = budget
        m[at.cpu_ns + loop] += costs.sleep_ns
        m[at.sleeps + loop] += 1
    # Who polls leaves its processor to other loops and to vCPUs in turn, but short work such as an
    # interrupt's does not cost it that: it goes to whoever has run least.
    crowd = 1024
    if at.crowded == 1:
        rivals = count_running(m, at, begin, loop, -1) - (m[at.main_free_ns] > begin)
        crowd = max(1024, (rivals + 1) * 1024 // costs.processors)
    m[at.cpu_ns + loop] += spent * 1024 // crowd
    m[at.passes + loop] += 1
    m[at.start_ns + loop] = begin
    m[at.block_ns + loop] = woken - begin
    m[at.budget_ns + loop] = budget
    if len(heap) > 0 and heap[0][0] <= woken:
        m[at.waking + loop] = 1
        m[at.idle + loop] = 0
        push(m, at, heap, woken, PASS, loop, 0)
        return -1
    return woken


def interrupt(
    m: Out, at: Places, heap: Heap, costs: Costs, loop: int, vcpu: int, then: int
) -> None:
    """Tells a vCPU that something is done, by way of the main loop where there is no other."""
    if costs.irq_ns > 0 and m[at.is_main + loop] == 0:
        if m[at.main_free_ns] <= then:
            then += find_wake(m, at, costs, then, -1)
            m[at.irq_cpu_ns] += costs.sleep_ns
        else:
            then = m[at.main_free_ns]
        share = measure_share(m, at, costs, then, -1, -1) if at.crowded == 1 else 1024
        then += costs.irq_ns * share // 1024
        m[at.irq_cpu_ns] += costs.irq_ns
        m[at.main_free_ns] = then
    m[at.interrupts + vcpu] += 1
    if m[at.called + vcpu] == 0:
        m[at.called + vcpu] = 1
        if m[at.vcpu_free_ns + vcpu] <= then:
            then += costs.guest_wake_ns
        push(m, at, heap, then, ANSWER, vcpu, 0)


def dispatch(
    generation: int,
    m: Out,
    at: Places,
    heap: Heap,
    costs: Costs,
    passes_seen: Out,
    loop: int,
    woken: int,
) -> None:
    """Runs a loop's handlers: completions, then queues; then adapts its polling."""
    first, room = loop * at.handlers, at.room
    begin, share = m[at.start_ns + loop], 1024
    if at.crowded == 1:
        share = measure_share(m, at, costs, woken, loop, -1)
    end, reaped = woken, m[at.reaped + loop]
    if reaped > 0:
        end += (costs.done_run_ns + costs.done_request_ns * reaped) * share // 1024
        m[at.reaped + loop] = 0
    for queue in range(at.queue_count):
        if m[at.loop_of + queue] != loop:
            continue
        engine = m[at.engine + queue]
        if m[at.done + queue] > 0:
            if engine == THREADS:
                m[at.active + first + NOTIFIER] = 1
            elif engine != LOOP_RING:
                m[at.active + first + COMPLETIONS] = 1
                if engine == NATIVE:
                    m[at.stale + loop] = m[at.by_polling + loop]
            m[at.seen + queue] += m[at.done + queue]
            m[at.done + queue] = 0
            interrupt(m, at, heap, costs, loop, m[at.vcpu_of + queue], end)
        count = m[at.ring + queue]
        if count > 0:
            m[at.ring + queue] = 0
            m[at.active + first + FIRST_QUEUE + queue] = 1
            cost = costs.queue_run_ns + costs.queue_request_ns * count
            if engine == NATIVE:
                cost += costs.submit_ns * ((count - 1) // m[at.aio_batch + loop])
            end += cost * share // 1024
            for _ in range(count):
                born = m[at.submitted_ns + queue * room + m[at.popped + queue]]
                m[at.popped + queue] = (m[at.popped + queue] + 1) % room
                if engine != THREADS:
                    start_service(m, at, heap, queue, born, end)
                elif m[at.in_pool + loop] < m[at.workers + loop]:
                    m[at.in_pool + loop] += 1
                    start_service(m, at, heap, queue, born, end + costs.wake_ns)
                else:
                    m[at.waiting + queue] += 1
    m[at.cpu_ns + loop] += (end - woken) * 1024 // share
    if m[at.max_ns + loop] > 0:
        adapt(generation, m, at, loop, m[at.block_ns + loop])
    if reaped > 0:
        # The completions' own notification is found by the next pass, at once.
        end += costs.self_kick_ns
        m[at.cpu_ns + loop] += costs.self_kick_ns
        m[at.passes + loop] += 1
        if m[at.max_ns + loop] > 0 and (generation == BY_LOOP or find_budget(m, at, loop) > 0):
            m[at.active + first + NOTIFIER] = 1
            adapt(generation, m, at, loop, costs.self_kick_ns)
    m[at.start_ns + loop] = end
    noted = m[at.noted]
    if noted + RECORD <= len(passes_seen):
        seen = passes_seen
        seen[noted], seen[noted + 1], seen[noted + 2] = loop, begin, woken
        seen[noted + 3], seen[noted + 4] = end, m[at.budget_ns + loop]
        seen[noted + 5] = m[at.poll_ns + loop]
        m[at.noted] = noted + RECORD


def answer(
    m: Out,
    at: Places,
    heap: Heap,
    costs: Costs,
    latencies_ns: Out,
    warm_up: int,
    vcpu: int,
    now: int,
) -> None:
    """Lets a vCPU hand what is done to its programs, which ask for as much again."""
    if now < m[at.vcpu_free_ns + vcpu]:
        push(m, at, heap, m[at.vcpu_free_ns + vcpu], ANSWER, vcpu, 0)
        return
    m[at.called + vcpu] = 0
    share, room = 1024, at.room
    if at.crowded == 1:
        share = measure_share(m, at, costs, now, -1, vcpu)
    request_ns = costs.guest_request_ns * share // 1024
    was_idle = m[at.vcpu_free_ns + vcpu] < now
    # A busy vCPU is interrupted each time; what it was interrupted for is taken in one go.
    then = now + costs.guest_irq_ns * m[at.interrupts + vcpu] * share // 1024
    m[at.interrupts + vcpu] = 0
    for queue in range(at.queue_count):
        if m[at.vcpu_of + queue] != vcpu or m[at.seen + queue] == 0:
            continue
        count, loop, kick_ns = m[at.seen + queue], m[at.loop_of + queue], now
        m[at.seen + queue] = 0
        if was_idle or m[at.program + vcpu] != queue:
            then += costs.guest_switch_ns * share // 1024
        m[at.program + vcpu] = queue
        for _ in range(count):
            then += request_ns
            held = m[at.held + queue] + 1 if m[at.depth + queue] > 0 else 0
            goes_on = held > 0 and held >= m[at.batch + queue]
            if goes_on:
                then += costs.guest_submit_ns * share // 1024
            finished = m[at.finished]
            place = finished - warm_up
            if 0 <= place < len(latencies_ns):
                born = m[at.born_ns + queue * room + m[at.taken + queue]]
                latencies_ns[place] = then - born
                m[at.to_ns] = then
            m[at.taken + queue] = (m[at.taken + queue] + 1) % room
            m[at.finished] = finished + 1
            if finished + 1 == warm_up:
                start_counting(m, at, then)
            m[at.held + queue] = 0 if goes_on else held
            if not goes_on:
                continue
            push(m, at, heap, then + m[at.think_ns + queue], SUBMIT, queue, held)
            # A loop that was just woken up looks for more before it sleeps again.
            if then >= kick_ns and not is_awake(m, at, loop, then):
                kick_ns = then + costs.wake_ns + costs.queue_run_ns + costs.queue_request_ns
                then += costs.guest_kick_ns * share // 1024
    m[at.vcpu_ns + vcpu] += then - now
    m[at.vcpu_free_ns + vcpu] = then


def start_counting(m: Out, at: Places, then: int) -> None:
    """Forgets what was counted while everything warmed up."""
    m[at.from_ns] = then
    for loop in range(at.loop_count):
        m[at.cpu_ns + loop] = 0
        m[at.sleeps + loop] = 0
        m[at.passes + loop] = 0
        m[at.polled + loop] = 0
    m[at.irq_cpu_ns] = 0
    for vcpu in range(at.vcpu_count):
        m[at.vcpu_ns + vcpu] = 0


def lay_out(
    loops: Loops, queues: Queues, devices: Devices, costs: Costs, counts: Counts, goal: int
) -> tuple[list[int], Places]:
    """Returns the memory with everything at rest, and where each thing is in it.

    Args:
        loops: The event loops.
        queues: The virtqueues.
        devices: The disks.
        costs: What each step takes.
        counts: For its sizes.
        goal: How many requests will be done.
    """
    loop_count, queue_count, vcpu_count = len(loops.max_ns), len(queues.loop), len(counts.vcpu_ns)
    handlers = FIRST_QUEUE + queue_count
    # An open loop may have as many under way as come.
    room = 2 * goal + 64 if min(queues.depth) == 0 else max(queues.depth) + 1
    # Every handler begins with its loop's time, but for queues that the loop does not serve.
    times = [0] * (loop_count * handlers)
    for loop, first_ns in enumerate(loops.first_ns):
        for handler in range(FIRST_QUEUE):
            times[loop * handlers + handler] = first_ns
    for queue, loop in enumerate(queues.loop):
        times[loop * handlers + FIRST_QUEUE + queue] = loops.first_ns[loop]
    content: dict[str, Ints] = {
        **{key: [0] for key in _NUMBERS},
        **{name: [0] * loop_count for name in _BY_LOOP},
        **{name: [0] * queue_count for name in _BY_QUEUE},
        **{
            name: [0] * vcpu_count
            for name in ("vcpu_free_ns", "called", "interrupts", "program", "vcpu_ns")
        },
        "max_ns": loops.max_ns,
        "grow": loops.grow,
        "shrink": loops.shrink,
        "weight": loops.weight,
        "can_poll": loops.can_poll,
        "is_main": loops.is_main,
        "aio_batch": loops.batch,
        "workers": loops.workers,
        "poll_ns": loops.first_ns,
        "idle": [1] * loop_count,
        "times": times,
        "active": [0] * (loop_count * handlers),
        "loop_of": queues.loop,
        "device_of": queues.device,
        "vcpu_of": queues.vcpu,
        "engine": queues.engine,
        "depth": queues.depth,
        "batch": queues.batch,
        "interval_ns": queues.interval_ns,
        "think_ns": queues.think_ns,
        "submitted_ns": [0] * (room * queue_count),
        "born_ns": [0] * (room * queue_count),
        "under_way": [0] * (len(devices.tables) // devices.most),
        "tables": devices.tables,
        "drawn": [0] * (len(devices.samples) // devices.size),
        "samples": devices.samples,
    }
    m: list[int] = []
    places = {}
    for name, values in content.items():
        places[name] = len(m)
        m += values
    at = Places(
        loop_count=loop_count,
        queue_count=queue_count,
        vcpu_count=vcpu_count,
        handlers=handlers,
        room=room,
        size=devices.size,
        most=devices.most,
        crowded=int(loop_count + vcpu_count >= costs.processors),
        **places,
    )
    return m, at


_NUMBERS = ("order", "finished", "from_ns", "to_ns", "gap", "noted", "main_free_ns", "irq_cpu_ns")
_BY_LOOP = ("start_ns", "stale", "waking", "by_polling", "block_ns", "budget_ns", "reaped",
            "in_pool", "cpu_ns", "sleeps", "passes", "polled")  # fmt: skip
_BY_QUEUE = ("ring", "put", "popped", "done", "seen", "taken", "held", "waiting")


def read_counts(m: Ints, at: Places, counts: Counts) -> None:
    """Fills in what was counted."""
    for out, place in (
        (counts.cpu_ns, at.cpu_ns),
        (counts.sleeps, at.sleeps),
        (counts.passes, at.passes),
        (counts.polled, at.polled),
        (counts.irq_cpu_ns, at.irq_cpu_ns),
        (counts.vcpu_ns, at.vcpu_ns),
    ):
        out[:] = [int(value) for value in m[place : place + len(out)]]


def run(
    generation: int,
    m: Out,
    at: Places,
    costs: Costs,
    gaps: Ints,
    warm_up: int,
    latencies_ns: Out,
    passes_seen: Out,
) -> None:
    """Runs what is laid out until all requests that count are done."""
    heap = [(0, 0, 0, 0)]
    heap.pop()
    for queue in range(at.queue_count):
        left = max(1, m[at.depth + queue])
        while left > 0:
            count = min(left, m[at.batch + queue])
            push(m, at, heap, queue, SUBMIT, queue, count)
            left -= count
    goal = len(latencies_ns) + warm_up
    while m[at.finished] < goal:
        now, _, what, extra = heappop(heap)
        kind, index = what % KINDS, what // KINDS
        if kind == ANSWER:
            answer(m, at, heap, costs, latencies_ns, warm_up, index, now)
            continue
        if kind == PASS:
            loop = index
            m[at.idle + loop] = 1
        else:
            loop = m[at.loop_of + index]
            if kind == SUBMIT:
                submit(m, at, heap, gaps, index, extra, now)
            else:
                complete(m, at, heap, index, extra, now)
            if m[at.idle + loop] == 0:
                continue
        if now < m[at.start_ns + loop]:
            # It is still dispatching; its next pass finds this.
            m[at.idle + loop] = 0
            push(m, at, heap, m[at.start_ns + loop], PASS, loop, 0)
            continue
        woken = wait(generation, m, at, heap, costs, loop, now)
        if woken >= 0:
            dispatch(generation, m, at, heap, costs, passes_seen, loop, woken)


def simulate(
    generation: int,
    loops: Loops,
    queues: Queues,
    devices: Devices,
    costs: Costs,
    gaps: Ints,
    warm_up: int,
    counts: Counts,
) -> int:
    """Runs until all requests that count are done, and returns how long those took.

    Args:
        generation: Which of the three, see `BY_LOOP`.
        loops: The event loops.
        queues: The virtqueues and the programs behind them.
        devices: The disks.
        costs: What each step takes.
        gaps: Random times between requests of an open loop, of mean 1024.
        warm_up: How many requests to do before any counts.
        counts: What is filled in; its latencies say how many requests count.

    Units: nanoseconds.
    """
    goal = len(counts.latencies_ns) + warm_up
    m, at = lay_out(loops, queues, devices, costs, counts, goal)
    run(
        generation,
        m,
        cast("Places", _quicken(at._asdict())),
        cast("Costs", _quicken(costs._asdict())),
        gaps,
        warm_up,
        counts.latencies_ns,
        counts.passes_seen,
    )
    read_counts(m, at, counts)
    return m[at.to_ns] - m[at.from_ns]


def _quicken(fields: dict[str, Any]) -> object:
    """Returns an object with these attributes: Python finds a slot in half the time of a field.

    That is a third of a run; numba takes named tuples only, and finds fields at once.
    """
    made = type("Slots", (), {"__slots__": tuple(fields)})()
    for name, value in fields.items():
        setattr(made, name, value)
    return made
