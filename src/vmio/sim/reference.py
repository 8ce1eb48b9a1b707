"""The simulator: event loops that poll, the disks they serve and the guests that drive them.

Every wait of every loop is decided as QEMU does it (`vmio.sim.polling`), in its own order: poll
while it lasts, then sleep; take what is ready; adapt. What lies between, the guest, the device and
the costs of each step, are numbers that were measured. Time is in whole nanoseconds, and the same
input gives the same answer. docs/concepts/simulator.md says in prose what this does, step by step.

This is written for two readers: a person, and numba's compiler (`vmio.sim.kernel`). So all that is
known stands in one list of numbers, the memory `m`, which `vmio.sim.memory` explains.

A request's way is `put` (a program's request is in a virtqueue), `end_wait` and `step` (its loop
finds it and gives it to the disk), `complete` (the disk is done), `end_wait` and `step` again (the
loop makes it visible to the guest), `interrupt` and `act` (a vCPU hands it to its program, which
asks for more).

Not modelled: handlers that leave after 7 idle seconds, which needs a disk without load; and the
host's scheduler beyond this: where more threads want to run than there are processors, each runs
slower by that ratio and wakes up later.

Source: QEMU 7.2.0, 10.0.2 and 11.1.1: `util/aio-posix.c`, `util/async.c`, `util/thread-pool.c`,
`block/linux-aio.c`, `block/io_uring.c`, `hw/block/virtio-blk.c`; when a queue is kicked and when
it interrupts: Virtual I/O Device 1.2, 2.7.7 and 2.7.10 (VIRTIO_F_EVENT_IDX).
"""

from __future__ import annotations

from heapq import heappop, heappush

from vmio.sim.memory import (
    ACTIVE,
    AIO_BATCH,
    ALL_READY,
    ANSWERED,
    ASLEEP,
    BATCH,
    BORN,
    BUDGET_NS,
    BY_HANDLER,
    BY_LOOP,
    BY_POLLING,
    CALLED,
    CALLS,
    COMPLETIONS,
    COUNT,
    CPU_NS,
    CROWDED,
    CROWDED_WAKE_NS,
    DEPTH,
    DEVICE,
    DOING,
    DONE,
    DONE_HERE,
    DONE_REQUEST_NS,
    DONE_RUN_NS,
    ENDED,
    ENGINE,
    FINISHED,
    FIRST_OF_VCPU,
    FIRST_QUEUE,
    FOUND,
    FREE_NS,
    FROM_NS,
    GAP,
    GENERATION,
    GIVEN,
    GOAL,
    GROW,
    GUEST_IRQ_NS,
    GUEST_KICK_NS,
    GUEST_REQUEST_NS,
    GUEST_SUBMIT_NS,
    GUEST_SWITCH_NS,
    GUEST_WAKE_NS,
    HANDLER,
    HANDLER_NS,
    HELD,
    IDLE,
    IN_POOL,
    INTERVAL_NS,
    IRQ,
    IRQ_CPU_NS,
    IRQ_NS,
    IRQ_QUEUE,
    IS_MAIN,
    KICK,
    LATENCIES,
    LEFT,
    LOOKS,
    LOOP,
    LOOP_RING,
    LOOPS,
    MAIN_FREE_NS,
    MAIN_PASS_NS,
    MAX_NS,
    MOST,
    NATIVE,
    NEXT_HANDLER,
    NEXT_LOOP,
    NEXT_NS,
    NEXT_OF_VCPU,
    NEXT_QUEUE,
    NEXT_VCPU,
    NOTIFIED,
    NOTIFIER,
    NUMBER,
    ORDER,
    OWED_NS,
    OWN,
    PASSES,
    PASSES_END,
    PASSES_SEEN,
    PHASE,
    POLL_NS,
    POLL_PASS_NS,
    POLLED,
    POPPED,
    PROCESSORS,
    PROGRAM,
    PUT,
    PUT_HERE,
    QUEUE,
    QUEUE_REQUEST_NS,
    QUEUE_RUN_NS,
    REACHES_NS,
    READY,
    REAPED,
    REAPING,
    RECORD,
    REQUEST,
    RESTED,
    RING,
    ROOM,
    SEEN,
    SELF_KICK_NS,
    SHRINK,
    SIZE,
    SLEEP_NS,
    SLEEPS,
    STALE,
    START_NS,
    SUBMIT_NS,
    SUBMITTED,
    SYSCALL_NS,
    TABLES,
    TAKEN,
    THINK_NS,
    THREADS,
    TO_NS,
    UNDER_WAY,
    VCPU,
    VCPU_NS,
    VCPUS,
    WAITING,
    WAITS,
    WAKE_NS,
    WARM_UP,
    WEIGHT,
    WOKEN,
    WOKEN_NS,
    WORKERS,
    Costs,
    Counts,
    Devices,
    Ints,
    Loops,
    Memory,
    Queues,
    lay_out,
    read_counts,
)

__all__ = ["adapt", "adjust", "run", "simulate"]

SUBMIT, COMPLETE, STEP, ACT = 0, 1, 2, 3
"""Events: a program puts requests into a queue; the device is done with one; a step of a loop is
over; a step of a vCPU is."""

KINDS = 4
FIRST_NS = 4000
QUEUE_SIZE = 256
"""Requests that a virtqueue holds. Source: QEMU 10.0.2, `queue-size` of virtio-blk-pci."""

Heap = list[tuple[int, int, int, int]]
"""What comes: time, order, kind with the address of the loop, queue or vCPU in one number, what
goes with it."""


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


def adapt(m: Memory, loop: int, block: int) -> None:
    """Adapts a loop's polling to a wait, as `vmio.sim.polling` has it for each generation.

    Args:
        m: Changed: the times of the loop and its handlers, of which that of the loop is the
            longest where each handler has one; their events are cleared.
        loop: The loop.
        block: How long the wait was.
    """
    max_ns, poll_ns, generation = m[loop + MAX_NS], m[loop + POLL_NS], m[GENERATION]
    if max_ns == 0:
        return
    if generation == BY_LOOP:
        m[loop + POLL_NS] = adjust(poll_ns, block, max_ns, m[loop + GROW], m[loop + SHRINK])
        return
    longest, handler = 0, m[loop + NOTIFIER]
    if generation == BY_HANDLER:
        changed = False
        while handler > 0:
            if m[handler + ACTIVE] == 1:
                m[handler + ACTIVE] = 0
                ns = m[handler + HANDLER_NS]
                if block > ns:
                    ns = adjust(ns, block, max_ns, m[loop + GROW], m[loop + SHRINK])
                    m[handler + HANDLER_NS] = ns
                    changed = True
            handler = m[handler + NEXT_HANDLER]
        if changed:
            handler = m[loop + NOTIFIER]
            while handler > 0:
                ns = m[handler + HANDLER_NS]
                if ns > longest:
                    longest = ns
                handler = m[handler + NEXT_HANDLER]
            m[loop + POLL_NS] = longest
        return
    weight, some = m[loop + WEIGHT], False
    while handler > 0:
        ns = m[handler + HANDLER_NS]
        if m[handler + ACTIVE] == 1:
            m[handler + ACTIVE] = 0
            some = True
            ns = block if ns == 0 else ns - (ns >> weight) + (block >> weight)
            ns = ns if ns <= max_ns else 0
            longest = max(longest, ns)
            m[handler + HANDLER_NS] = ns
        elif ns > 0:
            ns += block
            m[handler + HANDLER_NS] = ns if ns <= max_ns else 0
        handler = m[handler + NEXT_HANDLER]
    if some and longest > poll_ns:
        m[loop + POLL_NS] = min(max(longest, poll_ns * m[loop + GROW]), max_ns)
    elif some and longest < poll_ns // m[loop + SHRINK]:
        m[loop + POLL_NS] = poll_ns // m[loop + SHRINK]


def polls(m: Memory, loop: int, now: int) -> bool:
    """Returns whether a loop polls, which has switched kicks off."""
    if m[loop + WAITS] == 0:
        return m[loop + BY_POLLING] == 1
    budget = m[loop + BUDGET_NS]
    return budget > 0 and now <= m[loop + START_NS] + budget


def count_running(m: Memory, now: int, loop: int, vcpu: int) -> int:
    """Returns how many loops and vCPUs want a processor at a time, beside one of each; 0 for none.

    The main loop that injects interrupts does not share: it takes a vCPU's, see `interrupt`.
    """
    running, other = 0, m[LOOPS]
    while other > 0:
        if other != loop:
            if m[other + WAITS] == 0:
                running += 1 - m[other + ASLEEP]
            elif polls(m, other, now):
                running += 1
        other = m[other + NEXT_LOOP]
    other = m[VCPUS]
    while other > 0:
        if other != vcpu and m[other + FREE_NS] > now:
            running += 1
        other = m[other + NEXT_VCPU]
    return running


def stretch(m: Memory, now: int, loop: int, vcpu: int, cost_ns: int) -> int:
    """Returns how long a thread takes for a step in a crowd."""
    running = count_running(m, now, loop, vcpu) + 1
    return cost_ns * max(running, m[PROCESSORS]) // m[PROCESSORS]


def work(m: Memory, loop: int, now: int, cost_ns: int) -> int:
    """Lets a loop do something, and returns when that is over."""
    m[loop + CPU_NS] += cost_ns
    return now + (stretch(m, now, loop, 0, cost_ns) if m[CROWDED] == 1 else cost_ns)


def find_wake(m: Memory, now: int, loop: int) -> int:
    """Returns how long a thread takes to wake up at a time."""
    if m[CROWDED] == 0 or count_running(m, now, loop, 0) < m[PROCESSORS]:
        return m[WAKE_NS]
    return m[WAKE_NS] + m[CROWDED_WAKE_NS]


def push(m: Memory, heap: Heap, then: int, kind: int, index: int, extra: int) -> None:
    """Notes something that comes: of which loop, queue or vCPU, and what goes with it."""
    order = m[ORDER]
    m[ORDER] = order + 1
    heappush(heap, (then, order, index * KINDS + kind, extra))


def put(m: Memory, heap: Heap, queue: int, count: int, now: int) -> bool:
    """Puts requests into a queue, and returns whether that takes a kick."""
    room, then, loop, first = m[ROOM], m[queue + PUT], m[queue + LOOP], m[queue + SUBMITTED]
    if m[loop + STALE] == 1:
        catch_up(m, heap, loop, now)
    for _ in range(count):
        m[first + then] = now
        then = then + 1 if then + 1 < room else 0
    m[queue + PUT] = then
    waits = m[loop + WAITS]
    kicks = (
        m[queue + RING] == 0
        and not polls(m, loop, now)
        and not (waits == 0 and m[loop + PHASE] == TAKEN and m[loop + QUEUE] == queue)
    )
    m[queue + RING] += count
    m[loop + PUT_HERE] += count
    if waits == 1:
        push(m, heap, end_wait(m, loop, now), STEP, loop, 0)
    return kicks


def start_service(m: Memory, heap: Heap, queue: int, born: int, then: int) -> None:
    """Gives a request to its disk."""
    disk, most = m[queue + DEVICE], m[MOST]
    under_way = m[disk + UNDER_WAY]
    m[disk + UNDER_WAY] = under_way + 1
    table = m[m[disk + TABLES] + (under_way if under_way < most else most - 1)]
    drawn = m[table] + 1
    m[table] = drawn if drawn < m[SIZE] else 0
    push(m, heap, then + m[table + drawn], COMPLETE, queue, born)


def complete(m: Memory, heap: Heap, queue: int, born: int, now: int) -> None:
    """Notes that the disk is done with a request; a worker takes the next that waits for one."""
    loop, then = m[queue + LOOP], m[queue + ENDED]
    if m[loop + STALE] == 1:
        catch_up(m, heap, loop, now)
    m[m[queue + DEVICE] + UNDER_WAY] -= 1
    m[m[queue + BORN] + then] = born
    m[queue + ENDED] = then + 1 if then + 1 < m[ROOM] else 0
    m[queue + DONE] += 1
    m[loop + DONE_HERE] += 1
    if m[queue + ENGINE] == THREADS:
        m[loop + IN_POOL] -= 1
        find_work(m, heap, loop, now)
    if m[loop + WAITS] == 1:
        then = end_wait(m, loop, now)
        if len(heap) > 0 and heap[0][0] <= then:
            push(m, heap, then, STEP, loop, 0)
        else:
            go_on(m, heap, loop, then)


def find_work(m: Memory, heap: Heap, loop: int, now: int) -> None:
    """Gives a worker that is done the oldest request that waits for one."""
    oldest, born, queue = 0, 0, m[loop + FIRST_QUEUE]
    while queue > 0:
        if m[queue + WAITING] > 0:
            place = m[queue + SUBMITTED] + (m[queue + POPPED] - m[queue + WAITING]) % m[ROOM]
            if oldest == 0 or m[place] < born:
                oldest, born = queue, m[place]
        queue = m[queue + NEXT_QUEUE]
    if oldest > 0:
        m[oldest + WAITING] -= 1
        m[loop + IN_POOL] += 1
        start_service(m, heap, oldest, born, now)


def end_wait(m: Memory, loop: int, now: int) -> int:
    """Lets a wait end with what is there now, or comes, and returns when the loop runs."""
    begin, budget = m[loop + START_NS], m[loop + BUDGET_NS]
    if now > begin + budget:
        woken = now + find_wake(m, now, loop)
        spent = budget
        m[loop + ASLEEP] = 1
        m[loop + BY_POLLING] = 0
    elif budget > 0:
        woken = now + m[POLL_PASS_NS]
        spent = woken - begin
        m[loop + BY_POLLING] = 1
        m[loop + POLLED] += 1
    else:
        woken = now + m[SYSCALL_NS]
        spent = woken - begin
        m[loop + BY_POLLING] = 0
    # Who polls leaves its processor to other loops and to vCPUs in turn.
    if m[CROWDED] == 1 and spent > 0:
        running = count_running(m, begin, loop, 0) + 1
        spent = spent * m[PROCESSORS] // max(running, m[PROCESSORS])
    if m[loop + IS_MAIN] == 1:
        spent += m[MAIN_PASS_NS]
        woken += m[MAIN_PASS_NS]
    m[loop + CPU_NS] += spent
    m[loop + WAITS] = 0
    m[loop + WOKEN_NS] = woken
    return woken


def catch_up(m: Memory, heap: Heap, loop: int, now: int) -> None:
    """Does what a loop did that polled in vain while an eventfd was stale: nobody else saw it."""
    end = m[loop + START_NS] + m[loop + BUDGET_NS]
    if m[loop + WAITS] == 0 or now <= end:
        return
    m[loop + WAITS] = 0
    m[loop + BY_POLLING] = 0
    then = end + m[SYSCALL_NS]
    m[loop + CPU_NS] += then - m[loop + START_NS]
    m[loop + WOKEN_NS] = then
    while 0 <= then < now:
        then = step(m, heap, loop, then)
    if then >= 0:
        push(m, heap, then, STEP, loop, 0)


def step(m: Memory, heap: Heap, loop: int, now: int) -> int:
    """Ends a step of a loop, and returns when its next one is over; -1 for a wait that lasts."""
    phase = m[loop + PHASE]
    if phase == WOKEN:
        then = look(m, loop, now)
        if then >= 0:
            return then
    elif phase == REAPED:
        show(m, loop)
        if m[loop + DONE_HERE] > 0:
            # What came meanwhile has signalled the eventfd again.
            return reap(m, loop, now, 0, 0, 1)
        queue = m[loop + FIRST_QUEUE]
        while queue > 0:
            if m[queue + SEEN] > 0:
                if m[queue + ENGINE] != LOOP_RING:
                    m[loop + NOTIFIED] = 1
                if m[queue + CALLED] == 0:
                    interrupt(m, heap, loop, queue, now)
            queue = m[queue + NEXT_QUEUE]
    elif phase == TAKEN:
        queue = m[loop + QUEUE]
        if m[queue + RING] > 0 and m[loop + COUNT] < QUEUE_SIZE:
            return take(m, loop, queue, now, 0)
        phase = GIVEN
        more = (m[loop + COUNT] - 1) // m[loop + AIO_BATCH]
        if more > 0 and m[queue + ENGINE] == NATIVE:
            m[loop + PHASE] = GIVEN
            return work(m, loop, now, more * m[SUBMIT_NS])
    if phase == GIVEN:
        queue = m[loop + QUEUE]
        give(m, heap, loop, queue, now)
        m[loop + QUEUE] = m[queue + NEXT_QUEUE]
        engine = m[queue + ENGINE]
        if engine != THREADS:
            m[loop + NOTIFIED] = 1
            if engine != LOOP_RING and m[loop + DONE_HERE] > 0:
                return reap(m, loop, now, m[DONE_RUN_NS], 0, 1)
    queue = m[loop + QUEUE]
    while queue > 0:
        if m[queue + FOUND] == 1:
            m[queue + FOUND] = 0
            m[m[queue + HANDLER] + ACTIVE] = 1
            m[loop + QUEUE] = queue
            m[loop + COUNT] = 0
            return take(m, loop, queue, now, m[QUEUE_RUN_NS])
        queue = m[queue + NEXT_QUEUE]
    return end_pass(m, heap, loop, now)


def end_pass(m: Memory, heap: Heap, loop: int, now: int) -> int:
    """Ends a pass and begins the next, and returns when its wait ends; -1 for not known yet.

    A pass that finds nothing but the loop's own notification is over at once.
    """
    notifier, adapts = m[loop + NOTIFIER], m[loop + MAX_NS] > 0
    while True:
        if adapts:
            adapt(m, loop, m[loop + WOKEN_NS] - m[loop + START_NS])
        if m[PASSES_SEEN] < m[PASSES_END]:
            note_pass(m, loop, now)
        budget = m[loop + POLL_NS]
        m[loop + START_NS] = now
        m[loop + BUDGET_NS] = budget
        if m[loop + NOTIFIED] == 0:
            m[loop + PHASE] = WOKEN
            m[loop + OWN] = 0
            m[loop + WAITS] = 1
            if m[loop + DONE_HERE] + m[loop + PUT_HERE] > 0:
                return end_wait(m, loop, now)
            return -1
        cost_ns = m[SELF_KICK_NS]
        m[loop + NOTIFIED] = 0
        if m[loop + IS_MAIN] == 1:
            cost_ns += m[MAIN_PASS_NS]
        now = work(m, loop, now, cost_ns)
        m[loop + WOKEN_NS] = now
        m[loop + BY_POLLING] = 1 if budget > 0 else 0
        if m[loop + DONE_HERE] + m[loop + PUT_HERE] + m[loop + STALE] > 0 or (
            len(heap) > 0 and heap[0][0] <= now
        ):
            m[loop + PHASE] = WOKEN
            m[loop + OWN] = 1
            return now
        m[loop + PASSES] += 1
        # By handler nothing comes of a wait that was no longer than the notifier's time.
        adapts = m[loop + MAX_NS] > 0 and (
            m[GENERATION] != BY_HANDLER or now - m[loop + START_NS] > m[notifier + HANDLER_NS]
        )
        if adapts and budget > 0:
            m[notifier + ACTIVE] = 1


def go_on(m: Memory, heap: Heap, loop: int, now: int) -> None:
    """Ends a step of a loop, and does the next for as long as nothing else comes before it."""
    while True:
        then = step(m, heap, loop, now)
        if then < 0:
            return
        if len(heap) > 0 and heap[0][0] <= then:
            push(m, heap, then, STEP, loop, 0)
            return
        now = then


def look(m: Memory, loop: int, now: int) -> int:
    """Finds what is ready as a wait ends, and returns when completions are reaped; -1 for none."""
    polled = m[loop + BY_POLLING]
    m[loop + PASSES] += 1
    m[loop + QUEUE] = 0
    if m[loop + ASLEEP] == 1:
        m[loop + ASLEEP] = 0
        m[loop + SLEEPS] += 1
        m[loop + CPU_NS] += m[SLEEP_NS]
    if m[loop + OWN] == 1:
        if polled == 1:
            m[m[loop + NOTIFIER] + ACTIVE] = 1
        elif m[loop + LOOKS] == 0:
            return -1
    if m[loop + STALE] == 1 and polled == 0:
        m[loop + STALE] = 0
        m[m[loop + COMPLETIONS] + ACTIVE] = 1
        m[loop + NOTIFIED] = 1
    if m[loop + PUT_HERE] > 0:
        queue = m[loop + FIRST_QUEUE]
        m[loop + QUEUE] = queue
        while queue > 0:
            m[queue + FOUND] = 1 if m[queue + RING] > 0 else 0
            queue = m[queue + NEXT_QUEUE]
    if m[loop + DONE_HERE] > 0:
        return reap(m, loop, now, m[DONE_RUN_NS], 1, polled)
    return -1


def reap(m: Memory, loop: int, now: int, cost_ns: int, found: int, unread: int) -> int:
    """Begins to reap completions, and returns when the guest can see them.

    Args:
        m: Changed.
        loop: The loop.
        now: The time.
        cost_ns: What it takes beside each completion.
        found: 1 where the wait found them, so that their handler has an event.
        unread: 1 where linux-aio's eventfd is not read.
    """
    cost_ns += m[DONE_REQUEST_NS] * m[loop + DONE_HERE]
    m[loop + DONE_HERE] = 0
    queue = m[loop + FIRST_QUEUE]
    while queue > 0:
        if m[queue + DONE] > 0:
            m[queue + REAPING] = m[queue + DONE]
            m[queue + DONE] = 0
            engine = m[queue + ENGINE]
            if engine == NATIVE:
                m[loop + STALE] = unread
            if found == 1 and engine == THREADS:
                m[m[loop + NOTIFIER] + ACTIVE] = 1
            elif found == 1 and engine != LOOP_RING:
                m[m[loop + COMPLETIONS] + ACTIVE] = 1
        queue = m[queue + NEXT_QUEUE]
    m[loop + PHASE] = REAPED
    return work(m, loop, now, cost_ns)


def show(m: Memory, loop: int) -> None:
    """Makes what was reaped visible to the guest."""
    queue = m[loop + FIRST_QUEUE]
    while queue > 0:
        if m[queue + REAPING] > 0:
            m[queue + SEEN] += m[queue + REAPING]
            m[queue + REAPING] = 0
        queue = m[queue + NEXT_QUEUE]


def take(m: Memory, loop: int, queue: int, now: int, cost_ns: int) -> int:
    """Begins to take what is in a queue, and returns when that is over."""
    count = min(m[queue + RING], QUEUE_SIZE - m[loop + COUNT])
    m[queue + RING] -= count
    m[loop + PUT_HERE] -= count
    m[loop + COUNT] += count
    m[loop + PHASE] = TAKEN
    return work(m, loop, now, cost_ns + m[QUEUE_REQUEST_NS] * count)


def give(m: Memory, heap: Heap, loop: int, queue: int, now: int) -> None:
    """Gives what was taken to the disk, or to workers as far as there are any."""
    room, then, first = m[ROOM], m[queue + POPPED], m[queue + SUBMITTED]
    threads = m[queue + ENGINE] == THREADS
    for _ in range(m[loop + COUNT]):
        born = m[first + then]
        then = then + 1 if then + 1 < room else 0
        if not threads:
            start_service(m, heap, queue, born, now)
        elif m[loop + IN_POOL] < m[loop + WORKERS]:
            m[loop + IN_POOL] += 1
            start_service(m, heap, queue, born, now + m[WAKE_NS])
        else:
            m[queue + WAITING] += 1
    m[queue + POPPED] = then


def note_pass(m: Memory, loop: int, now: int) -> None:
    """Notes a pass that is over, see `vmio.sim.memory.Counts`."""
    place = m[PASSES_SEEN]
    m[place], m[place + 1], m[place + 2] = m[loop + NUMBER], m[loop + START_NS], m[loop + WOKEN_NS]
    m[place + 3], m[place + 4], m[place + 5] = now, m[loop + BUDGET_NS], m[loop + POLL_NS]
    m[PASSES_SEEN] = place + RECORD


def interrupt(m: Memory, heap: Heap, loop: int, queue: int, now: int) -> None:
    """Sends an interrupt of a queue, by way of the main loop where there is no other."""
    vcpu, then = m[queue + VCPU], now
    if m[IRQ_NS] > 0 and m[loop + IS_MAIN] == 0:
        if m[MAIN_FREE_NS] <= now:
            then += find_wake(m, now, 0)
            m[IRQ_CPU_NS] += m[SLEEP_NS]
        else:
            then = m[MAIN_FREE_NS]
        m[IRQ_CPU_NS] += m[IRQ_NS]
        then += m[IRQ_NS]
        m[MAIN_FREE_NS] = then
        # Short work goes before long: where no processor is free, it takes that of the vCPU.
        if (
            m[CROWDED] == 1
            and m[vcpu + FREE_NS] > now
            and count_running(m, now, 0, 0) >= m[PROCESSORS]
        ):
            m[vcpu + OWED_NS] += m[IRQ_NS]
    m[queue + CALLED] = 1
    m[queue + REACHES_NS] = then
    m[vcpu + CALLS] += 1
    if m[vcpu + DOING] == IDLE:
        wake_up(m, heap, vcpu, then + m[GUEST_WAKE_NS])


def wake_up(m: Memory, heap: Heap, vcpu: int, then: int) -> None:
    """Lets an idle vCPU begin at a time, if it does not earlier."""
    if m[vcpu + NEXT_NS] < 0 or then < m[vcpu + NEXT_NS]:
        m[vcpu + NEXT_NS] = then
        push(m, heap, then, ACT, vcpu, 0)


def act(m: Memory, heap: Heap, vcpu: int, now: int) -> None:
    """Ends what a vCPU does, and does more for as long as nothing else comes before it."""
    if now != m[vcpu + NEXT_NS]:
        # It woke up earlier.
        return
    did = m[vcpu + DOING]
    while True:
        does, cost_ns = IDLE, 0
        if did == IRQ:
            queue = m[vcpu + IRQ_QUEUE]
            m[queue + CALLED] = 0
            m[vcpu + CALLS] -= 1
            m[queue + READY] += m[queue + SEEN]
            m[vcpu + ALL_READY] += m[queue + SEEN]
            m[queue + SEEN] = 0
        elif did == REQUEST:
            if finish(m, heap, m[vcpu + PROGRAM], now):
                m[vcpu + OWED_NS] += m[GUEST_KICK_NS]
            if m[FINISHED] == m[GOAL]:
                return
        if m[vcpu + OWED_NS] > 0:
            does, cost_ns = KICK, m[vcpu + OWED_NS]
            m[vcpu + OWED_NS] = 0
        elif m[vcpu + CALLS] > 0:
            queue = find_call(m, vcpu, now)
            if queue > 0:
                m[vcpu + IRQ_QUEUE] = queue
                does, cost_ns = IRQ, m[GUEST_IRQ_NS]
        if does == IDLE and m[vcpu + ALL_READY] > 0:
            does, cost_ns = REQUEST, find_turn(m, vcpu)
        if does == IDLE:
            m[vcpu + DOING] = IDLE
            rest(m, heap, vcpu)
            return
        if m[CROWDED] == 1:
            cost_ns = stretch(m, now, 0, vcpu, cost_ns)
        now += cost_ns
        m[vcpu + VCPU_NS] += cost_ns
        m[vcpu + FREE_NS] = now
        if len(heap) > 0 and heap[0][0] <= now:
            m[vcpu + DOING] = does
            m[vcpu + NEXT_NS] = now
            push(m, heap, now, ACT, vcpu, 0)
            return
        did = does


def find_call(m: Memory, vcpu: int, now: int) -> int:
    """Returns the first queue whose interrupt has reached a vCPU, 0 for none."""
    queue = m[vcpu + FIRST_OF_VCPU]
    while m[queue + CALLED] == 0 or m[queue + REACHES_NS] > now:
        queue = m[queue + NEXT_OF_VCPU]
        if queue == m[vcpu + FIRST_OF_VCPU]:
            return 0
    return queue


def finish(m: Memory, heap: Heap, queue: int, now: int) -> bool:
    """Ends a request for its program, which may submit more, and returns whether with a kick."""
    done, answered = m[FINISHED], m[queue + ANSWERED]
    if done >= m[WARM_UP]:
        m[m[LATENCIES] + done - m[WARM_UP]] = now - m[m[queue + BORN] + answered]
        m[TO_NS] = now
    m[queue + ANSWERED] = answered + 1 if answered + 1 < m[ROOM] else 0
    m[FINISHED] = done + 1
    if done + 1 == m[WARM_UP]:
        start_counting(m, now)
    if m[queue + DEPTH] == 0 or done + 1 == m[GOAL]:
        return False
    held = m[queue + HELD] + 1
    if held < m[queue + BATCH]:
        m[queue + HELD] = held
        return False
    m[queue + HELD] = 0
    if m[queue + THINK_NS] == 0:
        return put(m, heap, queue, held, now)
    push(m, heap, now + m[queue + THINK_NS], SUBMIT, queue, held)
    return False


def find_turn(m: Memory, vcpu: int) -> int:
    """Finds the program that goes on with a completion, and returns what that takes."""
    queue, cost_ns = m[vcpu + PROGRAM], m[GUEST_REQUEST_NS]
    if m[vcpu + LEFT] == 0:
        last, queue = queue, m[queue + NEXT_OF_VCPU]
        while m[queue + READY] == 0:
            queue = m[queue + NEXT_OF_VCPU]
        m[vcpu + PROGRAM] = queue
        m[vcpu + LEFT] = m[queue + READY]
        if queue != last or m[vcpu + RESTED] == 1:
            cost_ns += m[GUEST_SWITCH_NS]
        m[vcpu + RESTED] = 0
    m[vcpu + LEFT] -= 1
    m[queue + READY] -= 1
    m[vcpu + ALL_READY] -= 1
    if m[queue + DEPTH] > 0 and m[queue + HELD] + 1 >= m[queue + BATCH]:
        cost_ns += m[GUEST_SUBMIT_NS]
    return cost_ns


def rest(m: Memory, heap: Heap, vcpu: int) -> None:
    """Lets a vCPU idle until an interrupt that is under way reaches it."""
    m[vcpu + RESTED] = 1
    m[vcpu + NEXT_NS] = -1
    if m[vcpu + CALLS] == 0:
        return
    queue = m[vcpu + FIRST_OF_VCPU]
    while True:
        if m[queue + CALLED] == 1:
            wake_up(m, heap, vcpu, m[queue + REACHES_NS] + m[GUEST_WAKE_NS])
        queue = m[queue + NEXT_OF_VCPU]
        if queue == m[vcpu + FIRST_OF_VCPU]:
            return


def start_counting(m: Memory, now: int) -> None:
    """Forgets what was counted while everything warmed up."""
    m[FROM_NS] = now
    m[IRQ_CPU_NS] = 0
    loop, vcpu = m[LOOPS], m[VCPUS]
    while loop > 0:
        m[loop + CPU_NS] = 0
        m[loop + SLEEPS] = 0
        m[loop + PASSES] = 0
        m[loop + POLLED] = 0
        loop = m[loop + NEXT_LOOP]
    while vcpu > 0:
        m[vcpu + VCPU_NS] = 0
        vcpu = m[vcpu + NEXT_VCPU]


def run(m: Memory, gaps: Ints) -> None:
    """Runs what is laid out until all requests that count are done.

    Args:
        m: Changed, see `vmio.sim.memory`.
        gaps: Random times between requests of an open loop, of mean 1024.
    """
    heap = [(0, 0, 0, 0)]
    heap.pop()
    loop = m[LOOPS]
    while loop > 0:
        m[loop + BUDGET_NS] = m[loop + POLL_NS]
        m[loop + WAITS] = 1
        queue = m[loop + FIRST_QUEUE]
        while queue > 0:
            left = max(1, m[queue + DEPTH])
            while left > 0:
                count = min(left, m[queue + BATCH])
                push(m, heap, 0, SUBMIT, queue, count)
                left -= count
            queue = m[queue + NEXT_QUEUE]
        loop = m[loop + NEXT_LOOP]
    goal = m[GOAL]
    while m[FINISHED] < goal:
        now, _, what, extra = heappop(heap)
        kind, index = what % KINDS, what // KINDS
        if kind == STEP:
            go_on(m, heap, index, now)
        elif kind == ACT:
            act(m, heap, index, now)
        elif kind == COMPLETE:
            complete(m, heap, index, extra, now)
        else:
            if m[index + DEPTH] == 0:
                gap_at = m[GAP]
                m[GAP] = gap_at + 1 if gap_at + 1 < len(gaps) else 0
                gap_ns = m[index + INTERVAL_NS] * gaps[gap_at] // 1024
                push(m, heap, now + gap_ns, SUBMIT, index, 1)
            if put(m, heap, index, extra, now) and m[index + DEPTH] > 0:
                m[m[index + VCPU] + OWED_NS] += m[GUEST_KICK_NS]


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
        generation: Which of the three, see `vmio.sim.memory.BY_LOOP`.
        loops: The event loops.
        queues: The virtqueues and the programs behind them.
        devices: The disks.
        costs: What each step takes.
        gaps: Random times between requests of an open loop, of mean 1024.
        warm_up: How many requests to do before any counts.
        counts: What is filled in; its latencies say how many requests count.

    Units: nanoseconds.
    """
    m = lay_out(generation, loops, queues, devices, costs, warm_up, counts)
    run(m, gaps)
    return read_counts(m, counts)
