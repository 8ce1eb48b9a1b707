"""The simulator: event loops that poll, the disks they serve and the guests that drive them.

Every wait of every loop is decided as in QEMU (`vmio.sim.polling`), in QEMU's order: poll as long
as allowed, then sleep; take what is ready; adapt. The rest, the guest, the device and the costs of
each step, are measured numbers. Time is in whole nanoseconds, and the same input gives the same
result. docs/concepts/simulator.md describes it in prose, step by step.

This is written for two readers: a person, and numba's compiler (`vmio.sim.kernel`), to which the
records of `vmio.sim.records` are blocks of memory. It therefore uses only numbers, booleans, those
records, and loops over lists of them.

A request passes `put` (a program's request is in a virtqueue), `end_wait` and `step` (its loop
finds it and submits it to the disk), `complete` (the disk is done), `end_wait` and `step` again
(the loop makes it visible to the guest), `interrupt`, `call` and `act` (a vCPU hands it to its
program, which submits more).

Not modelled: handlers that stop polling after 7 idle seconds, which requires a disk without load;
and the host's scheduler, except that if more threads want to run than there are processors, each
runs slower by that ratio and wakes up later.

Source: QEMU 7.2.0, 10.0.2 and 11.1.1: `util/aio-posix.c`, `util/async.c`, `util/thread-pool.c`,
`block/linux-aio.c`, `block/io_uring.c`, `hw/block/virtio-blk.c`; when a queue is kicked and when
it interrupts: `hw/virtio/virtio.c`, Virtual I/O Device 1.2, 2.7.7 and 2.7.10 (VIRTIO_F_EVENT_IDX).
"""

from __future__ import annotations

from heapq import heappop, heappush

from vmio.sim.costs import Costs
from vmio.sim.records import (
    BY_HANDLER,
    BY_LOOP,
    GIVEN,
    IDLE,
    IRQ,
    KICK,
    LOOP_RING,
    NATIVE,
    REAPED,
    RECORD,
    REQUEST,
    TAKEN,
    THREADS,
    VCPU,
    WOKEN,
    WORK,
    Loop,
    SimulationState,
    VirtQueue,
)

__all__ = ["adapt", "adjust", "run"]

SUBMIT, COMPLETE, STEP, ACT, CALL = 0, 1, 2, 3, 4
"""Events: a program puts requests into a queue; the device completes a request; a step of a loop
ends; a step of a vCPU ends; an interrupt of a queue reaches its vCPU."""

FIRST_NS = 4000
QUEUE_SIZE = 256
"""Requests that a virtqueue holds. Source: QEMU 10.0.2, `queue-size` of virtio-blk-pci."""

Event = tuple[int, int, int, int, int]
"""An event: time, order, kind, the number of the loop, queue or vCPU, and an argument."""

Heap = list[Event]


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


def adapt(generation: int, loop: Loop, block: int) -> None:
    """Adapts a loop's polling to a wait, as `vmio.sim.polling` does for each generation.

    Args:
        generation: The generation, see `BY_LOOP`.
        loop: Modified: its polling time and those of its handlers; where each handler has its own,
            the loop's is the longest. The handlers' events are cleared.
        block: The duration of the wait.
    """
    max_ns, poll_ns = loop.max_ns, loop.poll_ns
    if max_ns == 0:
        return
    if generation == BY_LOOP:
        loop.poll_ns = adjust(poll_ns, block, max_ns, loop.grow, loop.shrink)
        return
    longest = 0
    if generation == BY_HANDLER:
        changed = False
        for handler in loop.handlers:
            if handler.active:
                handler.active = False
                ns = handler.poll_ns
                if block > ns:
                    handler.poll_ns = adjust(ns, block, max_ns, loop.grow, loop.shrink)
                    changed = True
        if changed:
            for handler in loop.handlers:
                ns = handler.poll_ns
                if ns > longest:
                    longest = ns
            loop.poll_ns = longest
        return
    weight, some = loop.weight, False
    for handler in loop.handlers:
        ns = handler.poll_ns
        if handler.active:
            handler.active = False
            some = True
            ns = block if ns == 0 else ns - (ns >> weight) + (block >> weight)
            ns = ns if ns <= max_ns else 0
            longest = max(longest, ns)
            handler.poll_ns = ns
        elif ns > 0:
            ns += block
            handler.poll_ns = ns if ns <= max_ns else 0
    if some and longest > poll_ns:
        loop.poll_ns = min(max(longest, poll_ns * loop.grow), max_ns)
    elif some and longest < poll_ns // loop.shrink:
        loop.poll_ns = poll_ns // loop.shrink


def count_running(world: SimulationState, now: int) -> int:
    """Returns how many loops and vCPUs want a processor at a given time.

    The main loop is not counted while it injects interrupts: it takes a vCPU's processor, see
    `interrupt`.
    """
    running = 0
    for loop in world.loops:
        if wants_processor(loop, now):
            running += 1
    for vcpu in world.vcpus:
        if vcpu.free_ns > now:
            running += 1
    return running


def wants_processor(loop: Loop, now: int) -> bool:
    """Returns whether a loop is working or polling."""
    if not loop.waits:
        return not loop.asleep
    return loop.budget_ns > 0 and now <= loop.start_ns + loop.budget_ns


def stretch(world: SimulationState, others: int, cost_ns: int) -> int:
    """Returns the duration of a step when a given number of other threads want a processor."""
    processors = world.processors
    return cost_ns * (others + 1) // processors if others >= processors else cost_ns


def count_others(world: SimulationState, loop: Loop, now: int) -> int:
    """Returns how many threads besides a loop want a processor."""
    return count_running(world, now) - (1 if wants_processor(loop, now) else 0)


def work(world: SimulationState, loop: Loop, now: int, cost_ns: int) -> int:
    """Starts a step of a loop, and returns when it ends."""
    loop.cpu_ns += cost_ns
    if world.crowded:
        cost_ns = stretch(world, count_others(world, loop, now), cost_ns)
    return now + cost_ns


def find_wake(world: SimulationState, now: int) -> int:
    """Returns how long a sleeping thread takes to wake up at a given time."""
    costs = world.costs
    if world.crowded and count_running(world, now) >= world.processors:
        return costs.wake_ns + costs.crowded_wake_ns
    return costs.wake_ns


def make_heap() -> Heap:
    """Returns an empty heap of events; `vmio.sim.kernel` has its own version."""
    return []


def push(
    world: SimulationState, heap: Heap, then: int, kind: int, number: int, extra: int
) -> None:
    """Schedules an event: for which loop, queue or vCPU, and with which argument."""
    order = world.order
    world.order = order + 1
    heappush(heap, (then, order, kind, number, extra))


def put(world: SimulationState, heap: Heap, queue: VirtQueue, count: int, now: int) -> bool:
    """Puts requests into a queue, and returns whether that requires a kick."""
    loop, at, submitted_ns = queue.loop, queue.put_at, queue.submitted_ns
    if loop.stale or loop.kicks > 0:
        catch_up(world, heap, loop, now)
    for _ in range(count):
        submitted_ns[at] = now
        at = at + 1 if at + 1 < world.room else 0
    queue.put_at = at
    queue.requests += count
    loop.put += count
    if loop.waits:
        push(world, heap, end_wait(world, loop, now), STEP, loop.number, 0)
    if not queue.armed:
        return False
    queue.armed = False
    if not queue.kicked:
        queue.kicked = True
        loop.kicks += 1
    return True


def start_service(
    world: SimulationState, heap: Heap, queue: VirtQueue, born: int, then: int
) -> None:
    """Submits a request to its disk."""
    disk = queue.disk
    under_way = disk.under_way
    disk.under_way = under_way + 1
    tables = disk.tables
    table = tables[min(under_way, len(tables) - 1)]
    at, times_ns = table.next_at, table.times_ns
    table.next_at = at + 1 if at + 1 < len(times_ns) else 0
    push(world, heap, then + times_ns[at], COMPLETE, queue.number, born)


def complete(world: SimulationState, heap: Heap, queue: VirtQueue, born: int, now: int) -> None:
    """Records that the disk has completed a request; a free worker takes the next waiting one."""
    loop, at = queue.loop, queue.ended_at
    if loop.stale or loop.kicks > 0:
        catch_up(world, heap, loop, now)
    if now >= world.disk_irq_ends_ns:
        world.disk_irq_ends_ns = now + world.costs.disk_irq_ns
        if queue.vcpu.free_ns > now:
            queue.vcpu.owed_ns += world.vcpu_disk_irq_ns
    queue.disk.under_way -= 1
    queue.born_ns[at] = born
    queue.ended_at = at + 1 if at + 1 < world.room else 0
    queue.done += 1
    loop.done += 1
    if queue.engine == THREADS:
        loop.in_pool -= 1
        find_work(world, heap, loop, now)
    if loop.waits:
        then = end_wait(world, loop, now)
        if len(heap) > 0 and heap[0][0] <= then:
            push(world, heap, then, STEP, loop.number, 0)
        else:
            go_on(world, heap, loop, then)


def find_work(world: SimulationState, heap: Heap, loop: Loop, now: int) -> None:
    """Gives a free worker the oldest waiting request."""
    oldest, born = -1, 0
    for queue in loop.queues:
        if queue.waiting > 0:
            at = (queue.popped_at - queue.waiting) % world.room
            if oldest < 0 or queue.submitted_ns[at] < born:
                oldest, born = queue.number, queue.submitted_ns[at]
    if oldest >= 0:
        queue = world.queues[oldest]
        queue.waiting -= 1
        loop.in_pool += 1
        start_service(world, heap, queue, born, now)


def arm(loop: Loop) -> None:
    """Makes a loop leave polling: the next request of each of its queues kicks it."""
    loop.by_polling = False
    for queue in loop.queues:
        queue.armed = True


def end_wait(world: SimulationState, loop: Loop, now: int) -> int:
    """Ends a wait if something is ready or arrives, and returns when the loop runs."""
    begin, budget, costs = loop.start_ns, loop.budget_ns, world.costs
    if now > begin + budget:
        if budget > 0:
            arm(loop)
        woken = now + find_wake(world, now)
        spent = budget
        loop.asleep = True
    elif budget > 0:
        woken = now + costs.poll_pass_ns
        spent = woken - begin
        loop.by_polling = True
        loop.polled += 1
    else:
        woken = now + costs.syscall_ns
        spent = woken - begin
    return leave_wait(world, loop, woken, spent)


def leave_wait(world: SimulationState, loop: Loop, woken: int, spent: int) -> int:
    """Ends a wait after a time of polling or of a system call; returns when the loop runs."""
    costs = world.costs
    if world.crowded and spent > 0:
        # A polling thread yields its processor to other loops and to vCPUs in turn.
        others = count_others(world, loop, loop.start_ns)
        if others >= world.processors:
            spent = spent * world.processors // (others + 1)
    if loop.is_main:
        spent += costs.main_pass_ns
        woken += costs.main_pass_ns
    loop.cpu_ns += spent
    loop.polling_ns += spent if spent < loop.budget_ns else loop.budget_ns
    loop.waits = False
    loop.woken_ns = woken
    return woken


def catch_up(world: SimulationState, heap: Heap, loop: Loop, now: int) -> None:
    """Replays the passes of a loop that an unread eventfd ended at once: they have no events."""
    end = loop.start_ns + loop.budget_ns
    if not loop.waits or now <= end:
        return
    if loop.budget_ns > 0:
        arm(loop)
    woken = end + world.costs.syscall_ns
    then = leave_wait(world, loop, woken, woken - loop.start_ns)
    # The current event has left the heap, and a step still has to take it into account.
    heappush(heap, (now, -1, STEP, loop.number, 0))
    while 0 <= then < now:
        then = step(world, heap, loop, then)
    heappop(heap)
    if then >= 0:
        push(world, heap, then, STEP, loop.number, 0)


def step(world: SimulationState, heap: Heap, loop: Loop, now: int) -> int:
    """Ends a step of a loop, and returns when its next one ends; -1 for a wait without an end."""
    phase = loop.phase
    if phase == WOKEN:
        then = look(world, loop, now)
        if then >= 0:
            return then
    elif phase == REAPED:
        show(loop)
        if loop.done > 0:
            # Completions that came meanwhile have signalled the eventfd again.
            return reap(world, loop, now, 0, False, True)
        for queue in loop.queues:
            if queue.seen > 0:
                if queue.engine != LOOP_RING:
                    loop.notified = True
                if not queue.called:
                    interrupt(world, heap, queue, now)
    elif phase == TAKEN:
        queue = loop.queue
        if not loop.by_polling:
            queue.armed = True
        if queue.requests > 0 and loop.count < QUEUE_SIZE:
            return take(world, loop, queue, now, 0)
        phase = GIVEN
        more = (loop.count - 1) // loop.aio_batch
        if more > 0 and queue.engine == NATIVE:
            loop.phase = GIVEN
            return work(world, loop, now, more * world.costs.submit_ns)
    if phase == GIVEN and loop.count > 0:
        queue = loop.queue
        give(world, heap, queue, now)
        if queue.engine != THREADS:
            loop.notified = True
            if queue.engine != LOOP_RING and loop.done > 0:
                return reap(world, loop, now, world.costs.done_run_ns, False, True)
    if loop.found > 0:
        for queue in loop.queues:
            if queue.found:
                queue.found = False
                loop.found -= 1
                queue.handler.active = True
                loop.queue = queue
                loop.count = 0
                return take(world, loop, queue, now, world.costs.queue_run_ns)
    return end_pass(world, heap, loop, now)


def end_pass(world: SimulationState, heap: Heap, loop: Loop, now: int) -> int:
    """Ends a pass and begins the next, and returns when its wait ends; -1 if not known yet.

    A pass that finds only the loop's own notification ends at once.
    """
    generation, adapts = world.generation, loop.max_ns > 0
    while True:
        if adapts:
            adapt(generation, loop, loop.woken_ns - loop.start_ns)
        if world.noted < len(world.passes_seen):
            note_pass(world, loop, now)
        budget = loop.poll_ns
        loop.start_ns = now
        loop.budget_ns = budget
        if budget == 0 and loop.by_polling:
            arm(loop)
        if not loop.notified:
            loop.phase = WOKEN
            loop.own = False
            loop.waits = True
            if loop.done + loop.put > 0:
                return end_wait(world, loop, now)
            return -1
        loop.notified = False
        cost_ns = world.costs.self_kick_ns
        if loop.is_main:
            cost_ns += world.costs.main_pass_ns
        now = work(world, loop, now, cost_ns)
        loop.woken_ns = now
        loop.by_polling = budget > 0
        if (
            loop.done + loop.put + loop.kicks > 0
            or loop.stale
            or (len(heap) > 0 and heap[0][0] <= now)
        ):
            loop.phase = WOKEN
            loop.own = True
            return now
        loop.passes += 1
        # With polling by handler, a wait no longer than the notifier's time changes nothing.
        adapts = loop.max_ns > 0 and (
            generation != BY_HANDLER or now - loop.start_ns > loop.notifier.poll_ns
        )
        if adapts and budget > 0:
            loop.notifier.active = True


def go_on(world: SimulationState, heap: Heap, loop: Loop, now: int) -> None:
    """Ends a step of a loop, and does the next ones until another event comes before."""
    while True:
        then = step(world, heap, loop, now)
        if then < 0:
            return
        if len(heap) > 0 and heap[0][0] <= then:
            push(world, heap, then, STEP, loop.number, 0)
            return
        now = then


def look(world: SimulationState, loop: Loop, now: int) -> int:
    """Finds what is ready at the end of a wait; returns when completions are reaped, or -1."""
    polled = loop.by_polling
    loop.passes += 1
    if loop.asleep:
        loop.asleep = False
        loop.sleeps += 1
        loop.cpu_ns += world.costs.sleep_ns
    if loop.own:
        if polled:
            loop.notifier.active = True
        elif not loop.looks:
            return -1
    if loop.stale and not polled:
        loop.stale = False
        loop.completions.active = True
        loop.notified = True
    if loop.put > 0 or loop.kicks > 0:
        for queue in loop.queues:
            kicked = queue.kicked and not polled
            if queue.requests > 0 or kicked:
                queue.found = True
                loop.found += 1
            if kicked:
                queue.kicked = False
                loop.kicks -= 1
    if loop.done > 0:
        return reap(world, loop, now, world.costs.done_run_ns, True, polled)
    return -1


def reap(
    world: SimulationState, loop: Loop, now: int, cost_ns: int, found: bool, unread: bool
) -> int:
    """Begins to reap completions, and returns when the guest can see them.

    Args:
        world: Supplies the costs.
        loop: The loop.
        now: The time.
        cost_ns: The cost apart from the completions.
        found: Whether the wait found them, which gives their handler an event.
        unread: Whether linux-aio's eventfd is not read.
    """
    cost_ns += world.costs.done_request_ns * loop.done
    loop.done = 0
    for queue in loop.queues:
        if queue.done > 0:
            queue.reaping = queue.done
            queue.done = 0
            engine = queue.engine
            if engine == NATIVE:
                loop.stale = unread
            if found and engine == THREADS:
                loop.notifier.active = True
            elif found and engine != LOOP_RING:
                loop.completions.active = True
    loop.phase = REAPED
    return work(world, loop, now, cost_ns)


def show(loop: Loop) -> None:
    """Makes reaped completions visible to the guest."""
    for queue in loop.queues:
        if queue.reaping > 0:
            queue.seen += queue.reaping
            queue.reaping = 0


def take(world: SimulationState, loop: Loop, queue: VirtQueue, now: int, cost_ns: int) -> int:
    """Begins to take requests from a queue, and returns when that ends."""
    count = min(queue.requests, QUEUE_SIZE - loop.count)
    queue.requests -= count
    loop.put -= count
    loop.count += count
    loop.phase = TAKEN
    return work(world, loop, now, cost_ns + world.costs.queue_request_ns * count)


def give(world: SimulationState, heap: Heap, queue: VirtQueue, now: int) -> None:
    """Submits the taken requests to the disk, or to the free workers."""
    loop, at = queue.loop, queue.popped_at
    for _ in range(loop.count):
        born = queue.submitted_ns[at]
        at = at + 1 if at + 1 < world.room else 0
        if queue.engine != THREADS:
            start_service(world, heap, queue, born, now)
        elif loop.in_pool < loop.workers:
            loop.in_pool += 1
            start_service(world, heap, queue, born, now + world.costs.wake_ns)
        else:
            queue.waiting += 1
    queue.popped_at = at


def note_pass(world: SimulationState, loop: Loop, now: int) -> None:
    """Records a finished pass, see `vmio.sim.records.Counts`."""
    seen, at = world.passes_seen, world.noted
    seen[at], seen[at + 1], seen[at + 2] = loop.number, loop.start_ns, loop.woken_ns
    seen[at + 3], seen[at + 4], seen[at + 5] = now, loop.budget_ns, loop.poll_ns
    world.noted = at + RECORD


def interrupt(world: SimulationState, heap: Heap, queue: VirtQueue, now: int) -> None:
    """Sends an interrupt of a queue, through the main loop if there is no irqfd.

    The main loop handles all interrupts that are pending when its pass checks, one after the
    other, and goes through its sources before it checks again.
    """
    vcpu, costs, then = queue.vcpu, world.costs, now
    if costs.irq_ns > 0 and not queue.loop.is_main:
        if now >= world.main_free_ns:
            world.main_looks_ns = now + costs.wake_ns
            world.main_free_ns = world.main_looks_ns + costs.main_pass_ns
            world.irq_cpu_ns += costs.sleep_ns + costs.main_pass_ns
        elif now > world.main_looks_ns:
            world.main_looks_ns = world.main_free_ns
            world.main_free_ns += costs.main_pass_ns
            world.irq_cpu_ns += costs.main_pass_ns
        world.irq_cpu_ns += costs.irq_ns
        world.main_free_ns += costs.irq_ns
        then = world.main_free_ns - costs.main_pass_ns
        # Short work preempts long work: if no processor is free, it takes that of the vCPU.
        if world.crowded and vcpu.free_ns > now and count_running(world, now) >= world.processors:
            vcpu.owed_ns += costs.irq_ns
    queue.called = True
    queue.reaches_ns = then
    vcpu.calls += 1
    if vcpu.doing == IDLE:
        wake_up(world, heap, vcpu, then + costs.guest_wake_ns)
    else:
        push(world, heap, then, CALL, queue.number, 0)


def wake_up(world: SimulationState, heap: Heap, vcpu: VCPU, then: int) -> None:
    """Schedules the wake-up of an idle vCPU, unless it wakes up earlier."""
    if vcpu.next_ns < 0 or then < vcpu.next_ns:
        vcpu.next_ns = then
        push(world, heap, then, ACT, vcpu.number, 0)


def act(world: SimulationState, heap: Heap, vcpu: VCPU, now: int) -> None:
    """Ends a step of a vCPU, and does the next ones until another event comes before."""
    if now != vcpu.next_ns:
        # It woke up earlier.
        return
    did, costs = vcpu.doing, world.costs
    if did == IDLE and vcpu.calls > 1:
        for queue in vcpu.queues:
            if queue.called and queue.reaches_ns > now:
                push(world, heap, queue.reaches_ns, CALL, queue.number, 0)
    while True:
        if did == IRQ:
            queue = vcpu.interrupted_by
            queue.heard_at = vcpu.ended
            vcpu.interrupts += 1
            vcpu.owed_ns += costs.guest_softirq_ns
            queue.called = False
            vcpu.calls -= 1
            queue.ready += queue.seen
            vcpu.ready += queue.seen
            queue.seen = 0
        else:
            vcpu.ended += 1
            if did == REQUEST:
                finish(world, vcpu, now)
                if world.finished == world.goal:
                    return
        if vcpu.asks > 0 and (did == WORK or vcpu.program.work_ns == 0):
            ask(world, heap, vcpu, now)
        goes_on = False
        if vcpu.calls > 0 and find_call(vcpu, now):
            did, cost_ns = IRQ, costs.guest_irq_ns
        elif vcpu.left_doing != IDLE:
            did, cost_ns, goes_on = vcpu.left_doing, vcpu.left_ns, True
            vcpu.left_doing = IDLE
        elif vcpu.asks > 0:
            did, cost_ns = WORK, vcpu.program.work_ns
        elif vcpu.owed_ns > 0:
            did, cost_ns = KICK, vcpu.owed_ns
            vcpu.owed_ns = 0
        elif vcpu.ready > 0:
            did, cost_ns = REQUEST, find_turn(costs, vcpu)
        else:
            vcpu.doing = IDLE
            rest(world, heap, vcpu)
            return
        if not goes_on:
            if world.crowded:
                cost_ns = stretch(world, count_running(world, now), cost_ns)
            vcpu.busy_ns += cost_ns
        now += cost_ns
        vcpu.free_ns = now
        if len(heap) > 0 and heap[0][0] <= now:
            vcpu.doing = did
            vcpu.next_ns = now
            push(world, heap, now, ACT, vcpu.number, 0)
            return


def call(world: SimulationState, heap: Heap, queue: VirtQueue, now: int) -> None:
    """Delivers an interrupt to a vCPU, which interrupts its work for it.

    An idle vCPU is woken up; one that handles an interrupt checks for others at its end.
    """
    vcpu = queue.vcpu
    if vcpu.doing == IDLE or vcpu.doing == IRQ:  # noqa: PLR1714 - numba would search a tuple
        return
    if not queue.called or queue.reaches_ns > now or queue.heard_at == vcpu.ended:
        return
    cost_ns = world.costs.guest_irq_ns
    if world.crowded:
        cost_ns = stretch(world, count_running(world, now) - 1, cost_ns)
    vcpu.left_ns = vcpu.next_ns - now
    vcpu.left_doing = vcpu.doing
    vcpu.doing = IRQ
    vcpu.interrupted_by = queue
    vcpu.busy_ns += cost_ns
    vcpu.free_ns += cost_ns
    vcpu.next_ns = now + cost_ns
    if len(heap) > 0 and heap[0][0] <= vcpu.next_ns:
        push(world, heap, vcpu.next_ns, ACT, vcpu.number, 0)
    else:
        act(world, heap, vcpu, vcpu.next_ns)


def find_call(vcpu: VCPU, now: int) -> bool:
    """Finds the first queue whose interrupt a vCPU can take; returns whether there is one.

    Each queue's interrupt is taken only once before the vCPU has finished something else: endless
    interrupts would starve its programs.
    """
    for queue in vcpu.queues:
        if queue.called and queue.reaches_ns <= now and queue.heard_at != vcpu.ended:
            vcpu.interrupted_by = queue
            return True
    return False


def finish(world: SimulationState, vcpu: VCPU, now: int) -> None:
    """Ends a request of the current program, which may then be about to submit more."""
    queue, done = vcpu.program, world.finished
    at = queue.answered_at
    if done >= world.warm_up:
        world.latencies_ns[done - world.warm_up] = now - queue.born_ns[at]
        world.to_ns = now
    queue.answered_at = at + 1 if at + 1 < world.room else 0
    done += 1
    world.finished = done
    if done == world.warm_up:
        start_counting(world, now)
    if queue.depth == 0:
        return
    held = queue.held + 1
    if held < queue.batch:
        queue.held = held
    else:
        queue.held = 0
        vcpu.asks = held


def ask(world: SimulationState, heap: Heap, vcpu: VCPU, now: int) -> None:
    """Makes the current program submit more, at once or after its think time."""
    queue, count = vcpu.program, vcpu.asks
    vcpu.asks = 0
    if queue.think_ns > 0:
        push(world, heap, now + queue.think_ns, SUBMIT, queue.number, count)
    elif put(world, heap, queue, count, now):
        vcpu.owed_ns += world.costs.guest_kick_ns


def find_turn(costs: Costs, vcpu: VCPU) -> int:
    """Finds the program that continues with a completion, and returns the cost of that."""
    queue, cost_ns = vcpu.program, costs.guest_request_ns
    if vcpu.left == 0:
        last, queue = queue, queue.next_program
        while queue.ready == 0:
            queue = queue.next_program
        vcpu.program = queue
        vcpu.left = queue.ready
        if queue is not last or vcpu.rested:
            cost_ns += costs.guest_switch_ns
        vcpu.rested = False
    vcpu.left -= 1
    queue.ready -= 1
    vcpu.ready -= 1
    if queue.depth > 0 and queue.held + 1 >= queue.batch:
        cost_ns += costs.guest_submit_ns
    return cost_ns


def rest(world: SimulationState, heap: Heap, vcpu: VCPU) -> None:
    """Makes a vCPU idle until a pending interrupt reaches it."""
    vcpu.rested = True
    vcpu.next_ns = -1
    if vcpu.calls > 0:
        for queue in vcpu.queues:
            if queue.called:
                wake_up(world, heap, vcpu, queue.reaches_ns + world.costs.guest_wake_ns)


def start_counting(world: SimulationState, now: int) -> None:
    """Resets the counts at the end of the warm-up."""
    world.from_ns = now
    world.irq_cpu_ns = 0
    for loop in world.loops:
        loop.cpu_ns = 0
        loop.polling_ns = 0
        loop.sleeps = 0
        loop.passes = 0
        loop.polled = 0
    for vcpu in world.vcpus:
        vcpu.busy_ns = 0
        vcpu.interrupts = 0


def run(world: SimulationState) -> None:
    """Runs the simulation until all counted requests are done."""
    heap = make_heap()
    for loop in world.loops:
        loop.budget_ns = loop.poll_ns
        loop.waits = True
        for queue in loop.queues:
            left = max(1, queue.depth)
            while left > 0:
                count = min(left, queue.batch)
                push(world, heap, 0, SUBMIT, queue.number, count)
                left -= count
    while world.finished < world.goal:
        now, _, kind, number, extra = heappop(heap)
        if kind == STEP:
            go_on(world, heap, world.loops[number], now)
        elif kind == ACT:
            act(world, heap, world.vcpus[number], now)
        elif kind == COMPLETE:
            complete(world, heap, world.queues[number], extra, now)
        elif kind == CALL:
            call(world, heap, world.queues[number], now)
        else:
            submit(world, heap, world.queues[number], extra, now)


def submit(world: SimulationState, heap: Heap, queue: VirtQueue, count: int, now: int) -> None:
    """Puts requests into a queue: after a program's think time, or at random moments."""
    if queue.depth == 0:
        at = world.gap_at
        world.gap_at = at + 1 if at + 1 < len(world.gaps) else 0
        gap_ns = queue.interval_ns * world.gaps[at] // 1024
        push(world, heap, now + gap_ns, SUBMIT, queue.number, 1)
    if put(world, heap, queue, count, now) and queue.depth > 0:
        queue.vcpu.owed_ns += world.costs.guest_kick_ns
