"""The simulator: event loops that poll, the disks they serve and the guests that drive them.

Every wait of every loop is decided as QEMU does it (`vmio.sim.polling`), in its own order: poll
while it lasts, then sleep; take what is ready; adapt. What lies between, the guest, the device and
the costs of each step, are numbers that were measured. Time is in whole nanoseconds, and the same
input gives the same answer.

This is written for two readers: a person, and numba's compiler (`vmio.sim.kernel`). So state is
kept in lists of numbers, one entry per loop, queue or handler, and functions take what they
change.

Handlers of a loop: 0 is the loop's own notifier, 1 the completions of its requests, and 2 + q the
queue q, whether or not that loop serves it.

Not modelled: handlers that leave after 7 idle seconds, and how the host's scheduler chooses; where
more threads want to run than there are processors, each runs slower by that ratio.
"""

from __future__ import annotations

from collections.abc import MutableSequence, Sequence
from heapq import heappop, heappush
from typing import NamedTuple

__all__ = [
    "Counts",
    "Devices",
    "Host",
    "Loops",
    "Queues",
    "adapt",
    "adjust",
    "find_budget",
    "measure_crowd",
    "simulate",
]

Ints = Sequence[int]
Out = MutableSequence[int]

SUBMIT, COMPLETE, PASS = 0, 1, 2
"""Events: a guest put requests into a queue; the device finished one; a loop begins a pass."""

NOTIFIER, COMPLETIONS, FIRST_QUEUE = 0, 1, 2

BY_LOOP, BY_HANDLER, WEIGHTED = 0, 1, 2
"""The three generations of the algorithm."""

FIRST_NS = 4000


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
    wake_ns: Ints
    """From an event to the sleeping loop running."""
    sleep_ns: Ints
    """Processor time of falling asleep and waking up."""
    queue_run_ns: Ints
    """Processor time of looking through a queue, whatever is in it."""
    queue_request_ns: Ints
    """And of each request in it, until the device has it."""
    done_run_ns: Ints
    """Processor time of reaping completions, however many."""
    done_request_ns: Ints
    """And of each of them, until the guest can see it."""
    first_ns: Ints
    """The polling time that the loop and each of its handlers begin with."""


class Queues(NamedTuple):
    """The virtqueues; an entry of each list per queue.

    Units: nanoseconds.
    """

    loop: Ints
    device: Ints
    depth: Ints
    """Requests under way in a closed loop; 0 for an open one."""
    interval_ns: Ints
    """Mean time between requests of an open loop."""
    think_ns: Ints
    """What the guest's program waits before it asks for more."""
    guest_run_ns: Ints
    """From a completion that the guest can see to its next request in the queue."""
    guest_request_ns: Ints
    """And more for each further request that goes along."""


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


class Host(NamedTuple):
    """What is the same for all loops of a host.

    Units: nanoseconds.
    """

    syscall_ns: int
    """A wait that returns at once."""
    poll_pass_ns: int
    """Asking every handler once."""
    self_kick_ns: int
    """A pass that finds nothing but the loop's own notification."""
    processors: int


class Counts(NamedTuple):
    """What is filled in; an entry per loop, but for the last two."""

    cpu_ns: Out
    sleeps: Out
    passes: Out
    polled: Out
    """Passes that an event ended while they polled."""
    latencies_ns: Out
    """Of each request, from the guest's submission to when it can see the completion."""
    events: Out
    """The first events, four numbers each: time, kind, queue or loop, the loop's polling time."""


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


def adapt(
    generation: int,
    handlers: range,
    block: int,
    active: Out,
    times: Out,
    poll_ns: int,
    max_ns: int,
    grow: int,
    shrink: int,
    weight: int,
) -> int:
    """Adapts a loop's handlers to a wait, and returns what the loop polls for from now on.

    Args:
        generation: Which of the three.
        handlers: The loop's.
        block: How long the wait was.
        active: 1 for each handler that had an event; cleared.
        times: The handlers' times or means.
        poll_ns: What the loop polled for.
        max_ns: The loop's parameters, as those that follow; not 0.
        grow: As above.
        shrink: As above.
        weight: As above.
    """
    if generation == BY_LOOP:
        return adjust(poll_ns, block, max_ns, grow, shrink)
    longest = 0
    if generation == BY_HANDLER:
        for handler in handlers:
            ns = times[handler]
            if active[handler] == 1:
                active[handler] = 0
                if block > ns:
                    ns = adjust(ns, block, max_ns, grow, shrink)
                    times[handler] = ns
            if ns > longest:
                longest = ns
        return longest
    some = False
    for handler in handlers:
        ns = times[handler]
        if active[handler] == 1:
            active[handler] = 0
            some = True
            ns = block if ns == 0 else ns - (ns >> weight) + (block >> weight)
            ns = ns if ns <= max_ns else 0
            longest = max(longest, ns)
            times[handler] = ns
        elif ns > 0:
            ns += block
            times[handler] = ns if ns <= max_ns else 0
    if some and longest > poll_ns:
        return min(max(longest, poll_ns * grow), max_ns)
    if some and longest < poll_ns // shrink:
        return poll_ns // shrink
    return poll_ns


def find_budget(loop: int, poll_ns: Ints, can_poll: Ints) -> int:
    """Returns how long a loop would poll now."""
    return poll_ns[loop] if can_poll[loop] else 0


def measure_crowd(
    now: int, busy: Ints, start: Ints, poll_ns: Ints, can_poll: Ints, guest: Ints, processors: int
) -> int:
    """Returns how many threads share a processor at a time, in 1024ths, at least 1024."""
    running = 0
    for loop in range(len(busy)):
        if busy[loop] > now or start[loop] + find_budget(loop, poll_ns, can_poll) > now:
            running += 1
    for queue in range(len(guest)):
        if guest[queue] > now:
            running += 1
    return max(1024, running * 1024 // processors)


def simulate(
    generation: int,
    loops: Loops,
    queues: Queues,
    devices: Devices,
    host: Host,
    gaps: Ints,
    requests: int,
    warm_up: int,
    counts: Counts,
) -> int:
    """Runs until so many requests are done, and returns how long those took that count.

    Args:
        generation: Which of the three, see `BY_LOOP`.
        loops: The event loops.
        queues: The virtqueues and the guests behind them.
        devices: The disks.
        host: Costs of every loop.
        gaps: Random times between requests of an open loop, of mean 1024.
        requests: How many to count.
        warm_up: How many to do before.
        counts: What is filled in.
    """
    # Fields by a name of their own: Python looks up a local one in half the time.
    max_ns, grow, shrink, weight = loops.max_ns, loops.grow, loops.shrink, loops.weight
    can_poll, wake_ns, sleep_ns = loops.can_poll, loops.wake_ns, loops.sleep_ns
    queue_run_ns, queue_request_ns = loops.queue_run_ns, loops.queue_request_ns
    done_run_ns, done_request_ns = loops.done_run_ns, loops.done_request_ns
    loop_of, device_of, depth_of = queues.loop, queues.device, queues.depth
    think_ns, interval_ns = queues.think_ns, queues.interval_ns
    guest_run_ns, guest_request_ns = queues.guest_run_ns, queues.guest_request_ns
    samples, size, tables, most = devices.samples, devices.size, devices.tables, devices.most
    cpu_ns, sleeps, passes, polls = counts.cpu_ns, counts.sleeps, counts.passes, counts.polled
    latencies_ns, events = counts.latencies_ns, counts.events
    syscall_ns, poll_pass_ns = host.syscall_ns, host.poll_pass_ns
    self_kick_ns, processors = host.self_kick_ns, host.processors
    loop_count, queue_count = len(max_ns), len(loop_of)
    goal = requests + warm_up
    handlers = FIRST_QUEUE + queue_count
    times = [0] * (loop_count * handlers)
    active = [0] * (loop_count * handlers)
    poll_ns = [0] * loop_count
    for loop in range(loop_count):
        first_ns = loops.first_ns[loop]
        poll_ns[loop] = first_ns
        for handler in range(FIRST_QUEUE):
            times[loop * handlers + handler] = first_ns
    for queue in range(queue_count):
        loop = loop_of[queue]
        times[loop * handlers + FIRST_QUEUE + queue] = poll_ns[loop]
    start = [0] * loop_count
    """When the present pass began, which is when the one before ended."""
    stale = [0] * loop_count
    """Whether a completion that polling found is still to wake the loop up for nothing."""
    asleep = [1] * loop_count
    """Whether no event of its own is under way for the loop."""
    waking = [0] * loop_count
    """Whether its wait is over and it is about to run."""
    by_polling = [0] * loop_count
    block_ns = [0] * loop_count
    """How the wait ended, and how long it was."""
    reaped = [0] * loop_count
    ring = [0] * queue_count
    done = [0] * queue_count
    seen = [0] * queue_count
    """Completions that the guest has not answered yet."""
    preparing = [0] * queue_count
    guest = [0] * queue_count
    """Until when the guest prepares its next requests."""
    under_way = [0] * (len(tables) // most)
    drawn = [0] * (len(samples) // size)
    crowded = loop_count + queue_count > processors
    share = 1024
    # Submission times of the requests in a ring, and of those done; both come out as they went in.
    room = max(64, goal) if min(depth_of) == 0 else max(depth_of) + 1
    put, popped, taken = [0] * queue_count, [0] * queue_count, [0] * queue_count
    submitted = [0] * (room * queue_count)
    finished_ns = [0] * (room * queue_count)
    finished = 0
    counted_from = 0
    gap_at = 0
    order = 0
    noted = 0
    heap = [(0, 0, SUBMIT, 0, 0)]
    heap.pop()
    for queue in range(queue_count):
        preparing[queue] = depth_of[queue] if depth_of[queue] > 0 else 1
        heappush(heap, (queue, order, SUBMIT, queue, 0))
        order += 1
    counted_to = 0
    while finished < goal:
        now, _, kind, index, born = heappop(heap)
        if kind == PASS:
            loop = index
            asleep[loop] = 1
        else:
            loop = loop_of[index]
            if kind == SUBMIT:
                for _ in range(preparing[index]):
                    submitted[index * room + put[index]] = now
                    put[index] = (put[index] + 1) % room
                ring[index] += preparing[index]
                preparing[index] = 0
                if depth_of[index] == 0:
                    gap = interval_ns[index] * gaps[gap_at] // 1024
                    gap_at = (gap_at + 1) % len(gaps)
                    preparing[index] = 1
                    heappush(heap, (now + gap, order, SUBMIT, index, 0))
                    order += 1
            else:
                under_way[device_of[index]] -= 1
                finished_ns[index * room + (taken[index] + done[index]) % room] = born
                done[index] += 1
                reaped[loop] += 1
        if noted + 4 <= len(events):
            events[noted] = now
            events[noted + 1] = kind
            events[noted + 2] = index
            events[noted + 3] = poll_ns[loop]
            noted += 4
        if asleep[loop] == 0:
            continue
        if now < start[loop]:
            # It is still dispatching; its next pass finds this.
            asleep[loop] = 0
            heappush(heap, (start[loop], order, PASS, loop, 0))
            order += 1
            continue
        first = loop * handlers
        own = range(first, first + handlers)

        # The wait: what came ends polling, or sleep; what comes until the loop runs is found too.
        begin = start[loop]
        budget = find_budget(loop, poll_ns, can_poll)
        while waking[loop] == 0 and now > begin + budget and stale[loop] == 1:
            # Polled in vain, then woken at once for a completion that was reaped long ago.
            stale[loop] = 0
            block = budget + syscall_ns
            active[first + COMPLETIONS] = 1
            if max_ns[loop] > 0:
                poll_ns[loop] = adapt(
                    generation,
                    own,
                    block,
                    active,
                    times,
                    poll_ns[loop],
                    max_ns[loop],
                    grow[loop],
                    shrink[loop],
                    weight[loop],
                )
            cpu_ns[loop] += block + self_kick_ns
            passes[loop] += 2
            begin += block + self_kick_ns
            budget = find_budget(loop, poll_ns, can_poll)
        if waking[loop] == 0:
            if now <= begin + budget:
                by_polling[loop] = 1 if budget > 0 else 0
                woken = max(now, begin) + (poll_pass_ns if budget > 0 else syscall_ns)
                cpu_ns[loop] += woken - begin
                polls[loop] += by_polling[loop]
            else:
                by_polling[loop] = 0
                woken = now + wake_ns[loop]
                cpu_ns[loop] += budget + sleep_ns[loop]
                sleeps[loop] += 1
            passes[loop] += 1
            block_ns[loop] = woken - begin
            if len(heap) > 0 and heap[0][0] <= woken:
                waking[loop] = 1
                asleep[loop] = 0
                heappush(heap, (woken, order, PASS, loop, 0))
                order += 1
                continue
        else:
            waking[loop] = 0
            woken = now
        block = block_ns[loop]
        if crowded:
            share = measure_crowd(woken, start, start, poll_ns, can_poll, guest, processors)

        # The dispatch: completions, then queues.
        end = woken
        kicks_itself = reaped[loop] > 0
        if kicks_itself:
            end += (done_run_ns[loop] + done_request_ns[loop] * reaped[loop]) * share // 1024
            reaped[loop] = 0
            active[first + COMPLETIONS] = 1
            stale[loop] = by_polling[loop]
        for queue in range(queue_count):
            if loop_of[queue] != loop:
                continue
            if done[queue] > 0:
                for _ in range(done[queue]):
                    if finished >= warm_up and finished < goal:
                        latencies_ns[finished - warm_up] = (
                            end - finished_ns[queue * room + taken[queue]]
                        )
                    taken[queue] = (taken[queue] + 1) % room
                    finished += 1
                    if finished == goal:
                        counted_to = end
                    if finished == warm_up:
                        counted_from = end
                        for each in range(loop_count):
                            cpu_ns[each] = 0
                            sleeps[each] = 0
                            passes[each] = 0
                            polls[each] = 0
                seen[queue] += done[queue]
                done[queue] = 0
            count = ring[queue]
            if count > 0:
                ring[queue] = 0
                active[first + FIRST_QUEUE + queue] = 1
                end += (queue_run_ns[loop] + queue_request_ns[loop] * count) * share // 1024
                device = device_of[queue]
                for _ in range(count):
                    under_way[device] = under_way[device] + 1
                    depth = min(under_way[device], most) - 1
                    table = tables[device * most + depth]
                    service = samples[table * size + drawn[table]]
                    drawn[table] = (drawn[table] + 1) % size
                    born = submitted[queue * room + popped[queue]]
                    popped[queue] = (popped[queue] + 1) % room
                    heappush(heap, (end + service, order, COMPLETE, queue, born))
                    order += 1
            if seen[queue] > 0 and preparing[queue] == 0:
                # The guest answers all that it sees with as many new requests and one kick.
                count = seen[queue]
                seen[queue] = 0
                preparing[queue] = count
                guest[queue] = (
                    end
                    + (guest_run_ns[queue] + guest_request_ns[queue] * (count - 1)) * share // 1024
                )
                heappush(heap, (guest[queue] + think_ns[queue], order, SUBMIT, queue, 0))
                order += 1
        cpu_ns[loop] += end - woken
        if max_ns[loop] > 0:
            poll_ns[loop] = adapt(
                generation,
                own,
                block,
                active,
                times,
                poll_ns[loop],
                max_ns[loop],
                grow[loop],
                shrink[loop],
                weight[loop],
            )
        if kicks_itself:
            # The completions' own notification is found by the next pass, at once.
            end += self_kick_ns
            cpu_ns[loop] += self_kick_ns
            passes[loop] += 1
            if generation == BY_LOOP or find_budget(loop, poll_ns, can_poll) > 0:
                active[first + NOTIFIER] = 1
                if max_ns[loop] > 0:
                    poll_ns[loop] = adapt(
                        generation,
                        own,
                        self_kick_ns,
                        active,
                        times,
                        poll_ns[loop],
                        max_ns[loop],
                        grow[loop],
                        shrink[loop],
                        weight[loop],
                    )
        start[loop] = end
    return counted_to - counted_from
