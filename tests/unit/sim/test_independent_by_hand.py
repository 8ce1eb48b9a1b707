"""Guests whose every step can be followed by hand, with a disk that always takes the same time.

Each of the functions below is one, with what comes out as a sum of costs; its docstring is the
derivation, in the words of docs/concepts/simulator.md. They know nothing of a program, so any
program of that page can be held against them. P is when a program puts its requests into the
queue, T when the disk has them, V when the guest can see the completions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from tests.unit.sim.independent import (
    Case,
    Costs,
    HandlerPolling,
    Loop,
    LoopPolling,
    Queue,
    Service,
    WeightedPolling,
    begin_polling,
    simulate,
)

# No two sums of these are the same by chance.
C = Costs(
    wake_ns=20011,
    sleep_ns=9007,
    syscall_ns=1009,
    poll_pass_ns=53,
    self_kick_ns=601,
    main_pass_ns=307,
    queue_run_ns=5003,
    queue_request_ns=701,
    submit_ns=1511,
    done_run_ns=4001,
    done_request_ns=503,
    irq_ns=0,
    guest_wake_ns=7001,
    guest_irq_ns=3001,
    guest_switch_ns=1301,
    guest_request_ns=907,
    guest_submit_ns=2207,
    guest_kick_ns=2803,
)
SERVICE = 60_000

# One request goes into the disk; one comes out; the guest, which was idle, works it off.
IN = C.queue_run_ns + C.queue_request_ns
OUT = C.done_run_ns + C.done_request_ns
GUEST_RUNS = C.guest_irq_ns + C.guest_switch_ns + C.guest_request_ns + C.guest_submit_ns
GUEST = C.guest_wake_ns + GUEST_RUNS


@dataclass(frozen=True, slots=True)
class Worked:
    """A case and what comes out of it.

    All but the latency is for one period of the case, in which `ended` requests end: its length
    in ns, what its loops do together (`cpu` in ns), what the main loop that injects does, and all
    vCPUs together, in ns.
    """

    case: Case
    latency: float
    period: float
    ended: int
    sleeps: int
    passes: int
    polled: int
    cpu: float
    vcpu: float
    irq: float = 0
    p99: float | None = None


def make_case(
    loop: Loop | None = None,
    *queues: Queue,
    loops: tuple[Loop, ...] = (),
    costs: Costs = C,
    service: float | Service = SERVICE,
) -> Case:
    """Returns a case; unless told, of a loop that does not poll, and a queue with one request."""
    takes = service if callable(service) else lambda _random, _under_way: service
    return Case(
        loops=loops or (loop or Loop(max_ns=0),),
        queues=queues or (Queue(),),
        costs=costs,
        service=takes,
        requests=240,
        warm_up=24,
    )


def depth_1_without_polling() -> Worked:
    """Two sleeps a request, and two passes for nothing.

    P, the loop is asleep: a kick. It wakes and takes the request; the disk has it at
    T = P + wake + IN. The pass after that is the loop's own notification, which nothing uses. The
    next sleeps until T + SERVICE, and wakes; OUT later is V, and the next pass is again for
    nothing. The guest is idle, so GUEST after V the request is over and the next one put: that is
    P again. The kick keeps the vCPU busy when it has nothing else to do.
    """
    latency = C.wake_ns + IN + SERVICE + C.wake_ns + OUT + GUEST
    return Worked(
        make_case(),
        latency=latency,
        period=latency,
        ended=1,
        sleeps=2,
        passes=4,
        polled=0,
        cpu=2 * C.sleep_ns + IN + OUT + 2 * C.self_kick_ns,
        vcpu=GUEST_RUNS + C.guest_kick_ns,
    )


def depth_1_polls_through() -> Worked:
    """A loop that polls for longer than any wait never sleeps, and is kicked once in its life.

    The queue is armed in the beginning, so the first of all requests kicks. The loop never leaves
    polling, so the queue is never armed again, and no wait reads that eventfd. From then on: as
    without polling, but each of the two wake-ups is a look (`poll_pass_ns`), and all four waits
    end by polling, the two notifications also. No wait is longer than the polling time, so no rule
    changes it. The eventfd that completions leave stale is never come to. The loop is busy always.
    """
    latency = C.poll_pass_ns + IN + SERVICE + C.poll_pass_ns + OUT + GUEST
    return Worked(
        make_case(Loop("handler", max_ns=1_000_000, first_ns=1_000_000)),
        latency=latency,
        period=latency,
        ended=1,
        sleeps=0,
        passes=4,
        polled=4,
        cpu=latency,
        vcpu=GUEST_RUNS,
    )


def depth_1_polls_through_in_7_2() -> Worked:
    """With one polling time for the loop the same comes out: no wait is longer than it."""
    through = depth_1_polls_through()
    loop = Loop("loop", max_ns=1_000_000, first_ns=1_000_000)
    return replace(through, case=make_case(loop))


def stale_eventfd() -> Worked:
    """A completion that polling found is what the next long wait comes upon, in vain.

    The polling time B is always 20000: growing and shrinking are by 1. The disk takes 15000, and
    the guest, with a long wake-up, puts its next request after the loop is asleep.

    P, a kick after B of polling in vain: the loop sleeps and wakes, which reads that eventfd, and
    T = P + wake + IN. Pass 2 is
    the notification, by polling. Pass 3 polls from T + self_kick until T + 15000, and finds the
    completion one look later; OUT later is V. Pass 4 is the notification. Pass 5 polls for B, and
    then its system call returns at once, for the stale eventfd; the loop notifies itself. Pass 6
    is that. Pass 7 polls for B and sleeps: it is pass 1 of the next request.
    """
    budget, service, guest_wake = 20_000, 15_000, 150_000
    latency = C.wake_ns + IN + service + C.poll_pass_ns + OUT + guest_wake + GUEST_RUNS
    polled = (service - C.self_kick_ns) + C.poll_pass_ns
    return Worked(
        make_case(
            Loop("handler", max_ns=budget, grow=1, shrink=1, first_ns=budget),
            costs=replace(C, guest_wake_ns=guest_wake),
            service=service,
        ),
        latency=latency,
        period=latency,
        ended=1,
        sleeps=1,
        passes=6,
        polled=4,
        cpu=2 * budget + C.sleep_ns + C.syscall_ns + 3 * C.self_kick_ns + polled + IN + OUT,
        vcpu=GUEST_RUNS + C.guest_kick_ns,
    )


# Polls for as long in each pass: growing and shrinking are by 1.
BUDGET = 20_000
POLLS = Loop("handler", max_ns=BUDGET, grow=1, shrink=1, first_ns=BUDGET)
# What a wait beyond BUDGET comes to that finds the eventfd of a kick, and nothing in the queue.
IN_VAIN = C.syscall_ns + C.queue_run_ns


def kick_of_a_loop_that_polls() -> Worked:
    """A loop that has begun to poll is kicked, and finds that eventfd when a wait is longer.

    The disk is slower than the loop polls, so that the loop leaves polling, which arms the queue.
    The guest is quicker: its request comes while the loop polls.

    Pass 1 finds the request by polling, at P + poll_pass: T = P + poll_pass + IN. It was a kick
    nevertheless, as beginning to poll disarms nothing; polling does not read the eventfd. The
    loop polls still, so taking the request does not arm the queue. Pass 2 is the notification.
    Pass 3 polls for B, which arms the queue, and returns from a system call: the queue is ready,
    and has its turn, in which there is nothing. That is no notification. Pass 4 polls for B again,
    and sleeps until the disk is done. OUT after waking is V. Pass 5 is the notification. The next
    wait begins at V + self_kick = V + 601 and the request comes at V + GUEST = V + 14417, before
    it has polled for B: that is pass 1. The queue was armed in pass 3.

    The disk works for SERVICE from T on, and the loop is asleep from T + self_kick + B + IN_VAIN +
    B on, which is T + 46613.
    """
    latency = C.poll_pass_ns + IN + SERVICE + C.wake_ns + OUT + GUEST
    asleep = SERVICE - (C.self_kick_ns + BUDGET + IN_VAIN + BUDGET) + C.wake_ns
    return Worked(
        make_case(POLLS),
        latency=latency,
        period=latency,
        ended=1,
        sleeps=1,
        passes=5,
        polled=3,
        cpu=latency - asleep + C.sleep_ns,
        vcpu=GUEST_RUNS + C.guest_kick_ns,
    )


def one_kick_while_the_loop_polls() -> Worked:
    """Of two requests to a loop that polls, and that come apart, the first alone kicks.

    As above with depth 2, one request at a time. The first, at P, kicks. The loop has taken it at
    T = P + 5757, and does not arm the queue. The second is put guest_kick + guest_request +
    guest_submit = 5917 after P, into a queue that is empty, in the wait of pass 2: no kick. Pass 2
    is the notification, by polling, and the queue is ready at its end: the disk has the second
    request at T + self_kick + IN. Pass 3 is that notification. Pass 4 polls for B and finds the
    eventfd, in vain; pass 5 polls for B and sleeps, from T + 52918 until T + SERVICE. The second
    request is done at T + 66305, before the loop is awake: one run of completions, V, one
    interrupt. Pass 6 is the notification. Each request takes the period: the second is put as much
    later as it ends.
    """
    out = OUT + C.done_request_ns
    latency = C.poll_pass_ns + IN + SERVICE + C.wake_ns + out + GUEST
    before = C.self_kick_ns + IN + C.self_kick_ns + BUDGET + IN_VAIN + BUDGET
    return Worked(
        make_case(POLLS, Queue(depth=2)),
        latency=latency,
        period=latency,
        ended=2,
        sleeps=1,
        passes=6,
        polled=4,
        cpu=latency - (SERVICE - before + C.wake_ns) + C.sleep_ns,
        vcpu=GUEST_RUNS + C.guest_request_ns + C.guest_submit_ns + C.guest_kick_ns,
    )


def kick_behind_a_sleep() -> Worked:
    """A loop that was asleep arms the queue as it takes a request, and polls then: two kicks.

    Depth 2, one request at a time, a slow kick k = 30000, a disk that takes 70000, and a guest
    with a long wake-up, so that the loop is asleep when it submits.

    P, a kick; the loop wakes, which reads the eventfd, and has taken the request at T = P + wake +
    IN = P + 25715. It does not poll, so the queue is armed. Pass 2 is the notification, by
    polling. Pass 3 polls from P + 26316 on. The second request is put k + guest_request +
    guest_submit = 33114 after P: a kick, which polling finds. Pass 4 is the notification. Pass 5
    polls for B and finds the eventfd, in vain. Pass 6 polls for B and sleeps, from P + 85484 until
    the first is done, at T + 70000 = P + 95715; when it is awake, both are. V, and pass 7 is the
    notification. The next one polls for B and sleeps: pass 1.
    """
    kick, service, guest_wake = 30_000, 70_000, 150_000
    out = OUT + C.done_request_ns
    latency = C.wake_ns + IN + service + C.wake_ns + out + guest_wake + GUEST_RUNS
    apart = kick + C.guest_request_ns + C.guest_submit_ns
    polled = apart - (C.wake_ns + IN + C.self_kick_ns) + C.poll_pass_ns
    return Worked(
        make_case(
            POLLS,
            Queue(depth=2),
            costs=replace(C, guest_kick_ns=kick, guest_wake_ns=guest_wake),
            service=service,
        ),
        latency=latency,
        period=latency,
        ended=2,
        sleeps=2,
        passes=7,
        polled=4,
        cpu=3 * BUDGET + 2 * C.sleep_ns + 3 * C.self_kick_ns + polled + 2 * IN + IN_VAIN + out,
        vcpu=GUEST_RUNS + apart + kick,
    )


def request_comes_in_an_empty_turn() -> Worked:
    """The turn of a queue with nothing in it takes what comes meanwhile, and that kicks again.

    Depth 2, one request at a time, a slow kick k = 26000, a disk that takes 100000, a loop that
    wakes slowly (40000).

    As above the first request is put at P, kicks, and is found by polling; T = P + 5757. Pass 2 is
    the notification. Pass 3 polls for B, which arms the queue, and ends at P + 27367 for the
    eventfd. The turn of the queue would be over at P + 32370. The second request is put k +
    guest_request + guest_submit = 29114 after P: a kick. It is taken in that turn, with one
    `queue_request_ns` more. Pass 4 is the notification. Its eventfd ends pass 5, after B, and this
    time the turn is in vain. Pass 6 polls for B and sleeps, from P + 79684 until the first is done
    at P + 105757. The second is done at P + 133071, and the loop awake at P + 145757: both are
    reaped together. V, and pass 7 is the notification.
    """
    kick, service, wake = 26_000, 100_000, 40_000
    out = OUT + C.done_request_ns
    latency = C.poll_pass_ns + IN + service + wake + out + GUEST
    before = 2 * (C.self_kick_ns + BUDGET + IN_VAIN) + C.queue_request_ns + BUDGET
    return Worked(
        make_case(
            POLLS,
            Queue(depth=2),
            costs=replace(C, guest_kick_ns=kick, wake_ns=wake),
            service=service,
        ),
        latency=latency,
        period=latency,
        ended=2,
        sleeps=1,
        passes=7,
        polled=4,
        cpu=latency - (service - before + wake) + C.sleep_ns,
        vcpu=GUEST_RUNS + C.guest_request_ns + C.guest_submit_ns + 2 * kick,
    )


def kick_while_taking() -> Worked:
    """Without polling a queue is armed at the end of each time of taking, so a later one kicks.

    Depth 3, one request at a time, a slow kick k = 24000 and a slow `queue_request_ns` of 3000.

    The first request is put at P, and kicks. The loop wakes and takes it from P + 20011 to
    P + 28014. The second is put k + guest_request + guest_submit = 27114 after P, before the queue
    is armed: no kick, and it is taken too, to P + 31014. The third is put only guest_request +
    guest_submit later, at P + 30228: the queue is armed since P + 28014, so it kicks. It is taken
    too, and the disk has all three at T = P + wake + run + 3 * 3000. Pass 2 is the notification,
    which does not look. Pass 3 finds the eventfd at once, in vain. Pass 4 sleeps until all are
    done; one run of completions, V, one interrupt, one turn of three. Pass 5 is the notification.
    Each request takes the period, as each is put as much later as it ends.
    """
    kick, each = 24_000, 3_000
    into, out = C.queue_run_ns + 3 * each, C.done_run_ns + 3 * C.done_request_ns
    latency = C.wake_ns + into + SERVICE + C.wake_ns + out + GUEST
    return Worked(
        make_case(
            None,
            Queue(depth=3),
            costs=replace(C, guest_kick_ns=kick, queue_request_ns=each),
        ),
        latency=latency,
        period=latency,
        ended=3,
        sleeps=2,
        passes=5,
        polled=0,
        cpu=2 * C.sleep_ns + into + out + 2 * C.self_kick_ns + IN_VAIN,
        vcpu=GUEST_RUNS + 2 * (C.guest_request_ns + C.guest_submit_ns) + 2 * kick,
    )


def kick_while_taking_in_the_main_loop() -> Worked:
    """The main loop finds that eventfd in the pass of its notification, as it looks in each.

    As above, each wait `main_pass_ns` longer, and a pass less, and a system call. The first
    request is taken from P + 20318 to P + 28321, so the second comes before and the third after
    the queue is armed for the first time.
    """
    plain = kick_while_taking()
    latency = plain.latency + 2 * C.main_pass_ns
    return replace(
        plain,
        case=replace(plain.case, loops=(Loop(is_main=True),)),
        latency=latency,
        period=latency,
        passes=4,
        cpu=plain.cpu - C.syscall_ns + 4 * C.main_pass_ns,
    )


def kicks_of_two_queues() -> Worked:
    """One wait reads the eventfds of both queues, and each has its turn.

    As a kick of a loop that polls, with two queues, a vCPU each. Both requests are put at P, and
    both kick. The disk has the second IN after the first, at T. Pass 3 ends for both eventfds, and
    has two turns in vain. The loop is asleep from T + 51616 on, and T + SERVICE - IN is when the
    first is done. When the loop is awake, both are: one run of completions, both interrupts at V.
    """
    out = OUT + C.done_request_ns
    latency = C.poll_pass_ns + IN + SERVICE + C.wake_ns + out + GUEST
    before = IN + C.self_kick_ns + BUDGET + IN_VAIN + C.queue_run_ns + BUDGET
    return Worked(
        make_case(POLLS, Queue(vcpu=0), Queue(vcpu=1)),
        latency=latency,
        period=latency,
        ended=2,
        sleeps=1,
        passes=5,
        polled=3,
        cpu=latency - (SERVICE - before + C.wake_ns) + C.sleep_ns,
        vcpu=2 * (GUEST_RUNS + C.guest_kick_ns),
    )


def polling_time_falls_to_0() -> Worked:
    """Polling is left when the next wait begins with B at 0; until then nothing is armed.

    QEMU 7.2 with a maximum of 20000, times 5 or to 0; depth 2, one request at a time, quick kicks
    of 15. Pass 1 begins at S with B = 20000, and the first request is put at P = S + 19980: a
    kick, found by polling, but the block is 20033, so the next B is 0. The second is put 15 +
    guest_request + guest_submit = 3129 after P, while the loop takes the first: it counts as
    polling yet, so no kick. T = P + poll_pass + IN + queue_request. Pass 2 begins with B at 0,
    which arms the queue, is the notification, and makes B 4000. Pass 3 polls for 4000 and finds
    the eventfd, in vain; its block of 5009 makes B 20000. Pass 4 finds both completions by polling
    at T + 20000. V, and pass 5 is the notification, by polling. The next is pass 1: with
    a guest that takes 20581 from V, P is 19980 after S = V + self_kick. The first kick of all may
    make that 19995, which leads to the same.
    """
    kick, service = 15, 20_000
    guest = C.self_kick_ns + BUDGET - 20
    latency = C.poll_pass_ns + IN + C.queue_request_ns + service
    latency += C.poll_pass_ns + OUT + C.done_request_ns + guest
    return Worked(
        make_case(
            Loop("loop", max_ns=BUDGET, grow=5, first_ns=BUDGET),
            Queue(depth=2, engine="io_uring"),
            costs=replace(C, guest_kick_ns=kick, guest_wake_ns=guest - GUEST_RUNS),
            service=service,
        ),
        latency=latency,
        period=latency,
        ended=2,
        sleeps=0,
        passes=5,
        polled=3,
        cpu=latency,
        vcpu=GUEST_RUNS + C.guest_request_ns + C.guest_submit_ns + kick,
    )


def completion_before_queue() -> Worked:
    """Two queues on one loop take turns: one's completion and the other's request share a pass.

    A disk takes 15000 with one request under way, and 60000 with two. In the beginning both
    programs submit at once; the second request is the slower one, and is found with the first
    program's next request. From then on it is always so.

    A pass begins its work at X, with a completion of one queue and a request of the other. The
    completion comes first: V = X + OUT. The disk has the other request at V + IN, when it has
    no other, and is done with it 15000 later, at X + 25208. One pass is the notification. The
    first guest's next request comes at V + GUEST = X + 18921, the loop is asleep since X + 10809:
    a kick. The loop wakes at X + H with H = OUT + GUEST + wake = 38932, and then both are there:
    that is X again, with the queues changed. A request ends each H, GUEST after V. It was put
    `wake_ns` before an X, its completion is found at the next X, and ends OUT + GUEST later: 2 H.
    """
    half = OUT + GUEST + C.wake_ns
    return Worked(
        make_case(
            Loop(max_ns=0),
            Queue(vcpu=0),
            Queue(vcpu=1),
            service=lambda _random, under_way: 15_000 if under_way == 1 else 60_000,
        ),
        latency=2 * half,
        period=half,
        ended=1,
        sleeps=1,
        passes=2,
        polled=0,
        cpu=C.sleep_ns + OUT + IN + C.self_kick_ns,
        vcpu=GUEST_RUNS + C.guest_kick_ns,
    )


def kicks_fill_the_vcpu() -> Worked:
    """With two disks on two loops, one vCPU and slow kicks, the vCPU is what limits.

    Both loops are asleep when their request is put, so each is kicked for, which takes k = 60000.
    An interrupt comes L = 2 wake + IN + SERVICE + OUT = 110230 after its request was put. The vCPU
    is never idle: G = GUEST_RUNS is what it does for a request, another program than the last has
    the turn each time. Between a program's submission and its next interrupt's turn there are k,
    then G for the other program, then its k: L is less than 2 k + G = 127416, so the interrupt is
    there. It reaches the vCPU L - (k + G) = 42814 after the other program submitted, in the kick
    of that, which goes on behind it. So a request of each ends every 2 (k + G).
    """
    kick = 60_000
    latency = 2 * (kick + GUEST_RUNS)
    loop = Loop(max_ns=0)
    return Worked(
        make_case(
            None,
            Queue(loop=0, disk=0),
            Queue(loop=1, disk=1),
            loops=(loop, loop),
            costs=replace(C, guest_kick_ns=kick),
        ),
        latency=latency,
        period=latency,
        ended=2,
        sleeps=4,
        passes=8,
        polled=0,
        cpu=2 * (2 * C.sleep_ns + IN + OUT + 2 * C.self_kick_ns),
        vcpu=latency,
    )


def one_kick_for_two() -> Worked:
    """A request that is put into a queue with another in it finds it armed no more.

    Depth 2, one at a time, without polling. Both requests are in the disk together, done together
    and seen together: one interrupt, one turn of two. The first program step ends at P, and kicks.
    The second request is put `guest_kick_ns` + `guest_request_ns` + `guest_submit_ns` later, which
    is before the loop wakes, and only that it takes the first arms the queue: no kick. The loop
    takes both. So both requests take the period: each is put as much later as it ends.
    """
    latency = C.wake_ns + (IN + C.queue_request_ns) + SERVICE + C.wake_ns
    latency += (OUT + C.done_request_ns) + GUEST
    return Worked(
        make_case(None, Queue(depth=2)),
        latency=latency,
        period=latency,
        ended=2,
        sleeps=2,
        passes=4,
        polled=0,
        cpu=2 * C.sleep_ns
        + (IN + C.queue_request_ns)
        + (OUT + C.done_request_ns)
        + 2 * C.self_kick_ns,
        vcpu=GUEST_RUNS + C.guest_request_ns + C.guest_submit_ns + C.guest_kick_ns,
    )


def request_comes_while_taking() -> Worked:
    """A request that comes while the loop takes another of its queue goes with it.

    Depth 2, one at a time; the loop polls through. The first request is put at P, the run begins
    one look later and would be over IN later. The second is put `guest_request_ns` +
    `guest_submit_ns` after P, which is before that: it takes one `queue_request_ns` more, and the
    disk has both together. Both are done at the same time, and seen together.
    """
    latency = C.poll_pass_ns + (IN + C.queue_request_ns) + SERVICE + C.poll_pass_ns
    latency += (OUT + C.done_request_ns) + GUEST
    return Worked(
        make_case(Loop("handler", max_ns=1_000_000, first_ns=1_000_000), Queue(depth=2)),
        latency=latency,
        period=latency,
        ended=2,
        sleeps=0,
        passes=4,
        polled=4,
        cpu=latency,
        vcpu=GUEST_RUNS + C.guest_request_ns + C.guest_submit_ns,
    )


def interrupt_by_the_main_loop() -> Worked:
    """As depth 1 without polling; the interrupt waits for the main loop to wake and take it.

    Its pass is over `main_pass_ns` later, long before it has to take the next interrupt.
    """
    irq = 2503
    plain = depth_1_without_polling()
    latency = plain.latency + C.wake_ns + irq
    return replace(
        plain,
        case=make_case(costs=replace(C, irq_ns=irq)),
        latency=latency,
        period=latency,
        irq=C.sleep_ns + irq + C.main_pass_ns,
    )


def two_interrupts_in_a_pass() -> Worked:
    """Interrupts that are sent together are taken by one pass, one after the other.

    Two queues of one loop, a vCPU each. Both interrupts are sent at V. A pass of the main loop
    begins and looks at V + wake. The first reaches its vCPU `irq_ns` later, the second twice that.
    The first request is put GUEST behind that, at P, and the second at P + `irq_ns`, before the
    loop is awake: both are taken, and the disk has the second IN after the first. The loop wakes
    for the first, which is later than the second is done: one run of completions, and V again. The
    second request is put as much later as it ends.
    """
    irq = 2503
    out = OUT + C.done_request_ns
    latency = C.wake_ns + IN + SERVICE + C.wake_ns + out + C.wake_ns + irq + GUEST
    return Worked(
        make_case(None, Queue(vcpu=0), Queue(vcpu=1), costs=replace(C, irq_ns=irq)),
        latency=latency,
        period=latency,
        ended=2,
        sleeps=2,
        passes=4,
        polled=0,
        cpu=2 * C.sleep_ns + 2 * IN + out + 2 * C.self_kick_ns,
        vcpu=2 * (GUEST_RUNS + C.guest_kick_ns),
        irq=C.sleep_ns + 2 * irq + C.main_pass_ns,
    )


def interrupt_for_the_next_pass() -> Worked:
    """An interrupt that is sent before a pass is over is taken when that is: the main loop limits.

    A loop that polls through, a disk that takes 3000, and a slow pass m = 40000. The interrupt
    reaches the vCPU at R, and the pass goes on until R + m. The next request is put at R + GUEST =
    R + 14417, and its interrupt sent a look, IN, 3000, a look and OUT later, at R + 27731. The
    next pass looks at R + m, at once, so that it reaches the vCPU at R + m + `irq_ns`. The main
    loop never sleeps.
    """
    irq, main_pass = 2503, 40_000
    through = depth_1_polls_through()
    period = main_pass + irq
    costs = replace(C, irq_ns=irq, main_pass_ns=main_pass)
    return replace(
        through,
        case=replace(through.case, costs=costs, service=lambda _random, _under_way: 3000),
        latency=period,
        period=period,
        cpu=period,
        irq=period,
    )


def interrupt_behind_the_pass_of_another() -> Worked:
    """An interrupt that is sent while another is taken waits for the pass to be over.

    Two queues of two loops, a vCPU each, and a slow `irq_ns` i = 30011. The first interrupt is
    sent at V, looked for at V + wake = V + 20011, and reaches its vCPU at V + wake + i. The second
    is sent at V + i + `main_pass_ns` = V + 30318, behind that look. Its pass looks when the first
    is over, at V + wake + i + `main_pass_ns`, so that the second reaches its vCPU i +
    `main_pass_ns` behind the first: as much later as it was sent. Each has waited for wake + i. In
    the beginning both are sent together and taken by one pass, so that the second is sent i later
    than the first the next time, which is behind that look too. The main loop sleeps once for
    both.
    """
    irq = 30_011
    plain = depth_1_without_polling()
    latency = plain.latency + C.wake_ns + irq
    loop = Loop(max_ns=0)
    return Worked(
        make_case(
            None,
            Queue(loop=0, disk=0, vcpu=0),
            Queue(loop=1, disk=1, vcpu=1),
            loops=(loop, loop),
            costs=replace(C, irq_ns=irq),
        ),
        latency=latency,
        period=latency,
        ended=2,
        sleeps=2 * plain.sleeps,
        passes=2 * plain.passes,
        polled=0,
        cpu=2 * plain.cpu,
        vcpu=2 * plain.vcpu,
        irq=C.sleep_ns + 2 * irq + 2 * C.main_pass_ns,
    )


def interrupt_leaves_something_to_be_done() -> Worked:
    """The program goes on when the vCPU has done what the interrupt left."""
    plain, softirq = depth_1_without_polling(), 4_001
    latency = plain.latency + softirq
    return replace(
        plain,
        case=replace(plain.case, costs=replace(plain.case.costs, guest_softirq_ns=softirq)),
        latency=latency,
        period=latency,
        vcpu=plain.vcpu + softirq,
    )


# From when a request is put until its interrupt reaches the vCPU, of a loop that polls through.
THERE = C.poll_pass_ns + IN + SERVICE + C.poll_pass_ns + OUT
# What a program does for a request, and is waked up for.
TURN = C.guest_switch_ns + C.guest_request_ns + C.guest_submit_ns


def make_two_programs(costs: Costs, work_ns: float = 0) -> Case:
    """Returns a case of two disks on two loops that poll through, and of one vCPU."""
    loop = Loop("handler", max_ns=1_000_000, first_ns=1_000_000)
    return make_case(
        None,
        Queue(loop=0, disk=0, work_ns=work_ns),
        Queue(loop=1, disk=1, work_ns=work_ns),
        loops=(loop, loop),
        costs=costs,
    )


def interrupt_preempts_a_request() -> Worked:
    """A program's request is left for the other program's interrupt, and is over later by that.

    With a `guest_request_ns` of 20000 a turn t takes 23508. The first program puts its request at
    P, and the second t behind it, whereafter the vCPU is idle. The first one's interrupt comes at
    P + THERE, and its turn begins `guest_wake_ns` + `guest_irq_ns` = 10002 after that. The second
    one's comes t behind the first, in that turn, which goes on after it. The first program's next
    request is put when that is over, and the second's t later. No loop is kicked.
    """
    request = 20_000
    turn = TURN - C.guest_request_ns + request
    latency = THERE + C.guest_wake_ns + 2 * C.guest_irq_ns + turn
    return Worked(
        make_two_programs(replace(C, guest_request_ns=request)),
        latency=latency,
        period=latency,
        ended=2,
        sleeps=0,
        passes=8,
        polled=8,
        cpu=2 * latency,
        vcpu=2 * (C.guest_irq_ns + turn),
    )


def interrupt_preempts_computing() -> Worked:
    """What a program computes is left for an interrupt too, and goes before the other's request.

    Both programs compute for w = 20000. The first puts its request at P, and the second TURN + w
    = 24415 later. The first one's interrupt comes at P + THERE to an idle vCPU, its request ends
    GUEST = 14417 behind that, and it would compute until 34417. The second one's comes at 24415,
    in that. So the first puts its next request `guest_irq_ns` later, and then the second program
    has the turn. The second request ends TURN after the first program submits, and was put TURN +
    w after it did: it takes w less than the period.
    """
    work = 20_000
    first = THERE + GUEST
    period = first + C.guest_irq_ns + work
    second = period - work
    return Worked(
        make_two_programs(C, work_ns=work),
        latency=(first + second) / 2,
        period=period,
        ended=2,
        sleeps=0,
        passes=8,
        polled=8,
        cpu=2 * period,
        vcpu=2 * (GUEST_RUNS + work),
        p99=second,
    )


def interrupt_while_another_is_taken() -> Worked:
    """An interrupt does not preempt another, but both go before the program's request.

    With a `guest_request_ns` of 5000 a turn t takes 8508. As above the second program's interrupt
    comes t behind the first's, which is taken from 7001 to 10002 after it came. So it is taken
    from there, and then the first program has the turn.
    """
    request = 5_000
    turn = TURN - C.guest_request_ns + request
    latency = THERE + C.guest_wake_ns + 2 * C.guest_irq_ns + turn
    return Worked(
        make_two_programs(replace(C, guest_request_ns=request)),
        latency=latency,
        period=latency,
        ended=2,
        sleeps=0,
        passes=8,
        polled=8,
        cpu=2 * latency,
        vcpu=2 * (C.guest_irq_ns + turn),
    )


def make_disk_interrupts(disk_irq_ns: float) -> tuple[Case, float]:
    """Returns a case with interrupts of disks, and how long a turn takes in it."""
    request = 9_001
    costs = replace(C, guest_request_ns=request, disk_irq_ns=disk_irq_ns, disk_irq_share=0.25)
    return make_two_programs(costs), TURN - C.guest_request_ns + request


def disk_interrupt_delays_a_busy_vcpu() -> Worked:
    """A disk's interrupt delays the vCPU that takes one of its own, and none that is idle.

    As where an interrupt preempts a request, with a `guest_request_ns` of 9001: a turn t takes
    12509. A disk is done a look and OUT, which is 4557, before its interrupt comes. The first is
    done at P + 65757, and the vCPU is idle since P + t: that delays nothing. The host has taken
    that interrupt 8000 later. The second disk is done t behind the first, t - 4557 = 7952 after
    the first one's interrupt came, which is taken from 7001 to 10002. So the vCPU is later by a
    quarter of 8000. That is before the first program's turn, which begins at 12002; the second
    interrupt comes at 12509 and preempts it.
    """
    disk_irq = 8_000
    case, turn = make_disk_interrupts(disk_irq)
    late = disk_irq / 4
    latency = THERE + C.guest_wake_ns + C.guest_irq_ns + late + C.guest_irq_ns + turn
    return Worked(
        case,
        latency=latency,
        period=latency,
        ended=2,
        sleeps=0,
        passes=8,
        polled=8,
        cpu=2 * latency,
        vcpu=2 * (C.guest_irq_ns + turn) + late,
    )


def disk_interrupt_for_two() -> Worked:
    """A disk that is done while the host takes the interrupt of another needs none.

    As above, but an interrupt takes 16000, and the second disk is done 12509 after the first: the
    vCPU is not delayed.
    """
    case, turn = make_disk_interrupts(16_000)
    latency = THERE + C.guest_wake_ns + 2 * C.guest_irq_ns + turn
    return replace(
        disk_interrupt_delays_a_busy_vcpu(),
        case=case,
        latency=latency,
        period=latency,
        cpu=2 * latency,
        vcpu=2 * (C.guest_irq_ns + turn),
    )


def disk_interrupt_while_the_vcpu_is_idle() -> Worked:
    """At depth 1 the vCPU has nothing to do when the disk is done, so nothing is delayed."""
    plain = depth_1_without_polling()
    costs = replace(C, disk_irq_ns=8_000, disk_irq_share=0.25)
    return replace(plain, case=make_case(costs=costs))


def main_loop_serves() -> Worked:
    """In the main loop each of the four waits is longer, and interrupts take no other way.

    Two of the four are between the submission and the guest's turn; the two that are for nothing
    are beside it. `irq_ns` does not matter.
    """
    plain = depth_1_without_polling()
    latency = plain.latency + 2 * C.main_pass_ns
    return replace(
        plain,
        case=make_case(Loop(max_ns=32768, is_main=True), costs=replace(C, irq_ns=2503)),
        latency=latency,
        period=latency,
        cpu=plain.cpu + 4 * C.main_pass_ns,
    )


def fast_disk() -> Worked:
    """A disk that is done before the loop's notification is worked off.

    The disk has the request at T and is done 500 later. The pass of the notification ends at
    T + self_kick without looking. At the beginning of the next the completion is there, so that it
    ends after one system call. One sleep, for the kick.
    """
    service = 500
    latency = C.wake_ns + IN + C.self_kick_ns + C.syscall_ns + OUT + GUEST
    return Worked(
        make_case(service=service),
        latency=latency,
        period=latency,
        ended=1,
        sleeps=1,
        passes=4,
        polled=0,
        cpu=C.sleep_ns + IN + OUT + 2 * C.self_kick_ns + C.syscall_ns,
        vcpu=GUEST_RUNS + C.guest_kick_ns,
    )


def fast_disk_of_the_main_loop() -> Worked:
    """The main loop looks also where it had notified itself, so that it saves a pass.

    The pass of the notification ends at T + self_kick + main_pass, and the completion is ready.
    """
    service = 500
    latency = C.wake_ns + C.main_pass_ns + IN + C.self_kick_ns + C.main_pass_ns + OUT + GUEST
    return Worked(
        make_case(Loop(is_main=True), service=service),
        latency=latency,
        period=latency,
        ended=1,
        sleeps=1,
        passes=3,
        polled=0,
        cpu=C.sleep_ns + IN + OUT + 2 * C.self_kick_ns + 3 * C.main_pass_ns,
        vcpu=GUEST_RUNS + C.guest_kick_ns,
    )


def one_worker() -> Worked:
    """A batch of two for one worker thread: the second request waits for the first.

    The worker begins `wake_ns` after T, and is done with the first request SERVICE later; it
    begins the second at once. A submission to workers is no notification, so the next wait sleeps.
    Each completion wakes the loop from a sleep, and makes it notify itself. The guest, idle each
    time, works off the first and waits; with the second it submits both.
    """
    into = C.queue_run_ns + 2 * C.queue_request_ns
    first = C.wake_ns + into + C.wake_ns + SERVICE + C.wake_ns + OUT + GUEST - C.guest_submit_ns
    second = first + SERVICE + C.guest_submit_ns
    return Worked(
        make_case(Loop(max_ns=0, workers=1), Queue(engine="threads", depth=2, batch=2)),
        latency=(first + second) / 2,
        period=second,
        ended=2,
        sleeps=3,
        passes=5,
        polled=0,
        cpu=3 * C.sleep_ns + into + 2 * OUT + 2 * C.self_kick_ns,
        vcpu=2 * GUEST_RUNS - C.guest_submit_ns + C.guest_kick_ns,
        p99=second,
    )


def workers_enough() -> Worked:
    """A batch of two for two worker threads: both begin, and are done, at the same time."""
    into, out = C.queue_run_ns + 2 * C.queue_request_ns, C.done_run_ns + 2 * C.done_request_ns
    first = C.wake_ns + into + C.wake_ns + SERVICE + C.wake_ns + out + GUEST - C.guest_submit_ns
    second = first + C.guest_request_ns + C.guest_submit_ns
    return Worked(
        make_case(Loop(max_ns=0, workers=2), Queue(engine="threads", depth=2, batch=2)),
        latency=(first + second) / 2,
        period=second,
        ended=2,
        sleeps=2,
        passes=3,
        polled=0,
        cpu=2 * C.sleep_ns + into + out + C.self_kick_ns,
        vcpu=GUEST_RUNS + C.guest_request_ns + C.guest_kick_ns,
        p99=second,
    )


def batch_of_4() -> Worked:
    """Four requests at once, which linux-aio takes in two submissions of at most three.

    They are put together (one kick), and the disk has them after a queue run with four requests
    and one submission more. All four are done at the same time: one sleep, one run of completions,
    one interrupt, one turn. The guest works off one after the other and submits with the last.
    """
    into = C.queue_run_ns + 4 * C.queue_request_ns + C.submit_ns
    out = C.done_run_ns + 4 * C.done_request_ns
    before = C.wake_ns + into + SERVICE + C.wake_ns + out
    before += C.guest_wake_ns + C.guest_irq_ns + C.guest_switch_ns
    last = before + 4 * C.guest_request_ns + C.guest_submit_ns
    return Worked(
        make_case(Loop(max_ns=0, batch_limit=3), Queue(depth=4, batch=4)),
        latency=before + C.guest_request_ns * (1 + 2 + 3 + 4) / 4 + C.guest_submit_ns / 4,
        period=last,
        ended=4,
        sleeps=2,
        passes=4,
        polled=0,
        cpu=2 * C.sleep_ns + into + out + 2 * C.self_kick_ns,
        vcpu=GUEST_RUNS + 3 * C.guest_request_ns + C.guest_kick_ns,
        p99=last,
    )


def turns() -> Worked:
    """A program that has the turn works off all that it had then; the next one follows.

    Two queues of one loop, on one vCPU and two disks, two requests each, submitted together. The
    first program submits at P; the second has the turn then, and submits a kick, a switch and two
    completions later, which is before the loop wakes: it takes both queues. Each is kicked, as
    each is armed by itself. The disks are done one queue run after the other, which is less than
    the wake-up: four completions in one run, and two interrupts at once, which the vCPU takes both
    before anything else. The first program is done with both of its completions a period after P;
    the second ends as much later as it had put them.
    """
    into, out = C.queue_run_ns + 2 * C.queue_request_ns, C.done_run_ns + 4 * C.done_request_ns
    turn = C.guest_switch_ns + 2 * C.guest_request_ns + C.guest_submit_ns
    period = C.wake_ns + into + SERVICE + C.wake_ns + out
    period += C.guest_wake_ns + 2 * C.guest_irq_ns + turn
    queue = Queue(depth=2, batch=2)
    return Worked(
        make_case(None, queue, replace(queue, disk=1)),
        latency=period - (C.guest_request_ns + C.guest_submit_ns) / 2,
        period=period,
        ended=4,
        sleeps=2,
        passes=4,
        polled=0,
        cpu=2 * C.sleep_ns + 2 * into + out + 2 * C.self_kick_ns,
        vcpu=2 * (C.guest_irq_ns + turn + C.guest_kick_ns),
        p99=period,
    )


def reaped_behind_a_submission() -> Worked:
    """Completions that are there when the loop has submitted are reaped at once.

    Two queues with a vCPU each; the disk takes 3000. Both requests are put at P, and the loop
    takes both. The first is done while the second is taken, which is reaped behind it; that takes
    OUT, in which the second is done and taken too, at one `done_request_ns` more. Only then both
    interrupts are sent, so both guests go on together. The eventfd of linux-aio is stale now:
    behind the pass of the notification there is one that ends after a system call, and one of its
    notification.
    """
    out = OUT + C.done_request_ns
    latency = C.wake_ns + 2 * IN + out + GUEST
    return Worked(
        make_case(None, Queue(vcpu=0), Queue(vcpu=1), service=3000),
        latency=latency,
        period=latency,
        ended=2,
        sleeps=1,
        passes=4,
        polled=0,
        cpu=C.sleep_ns + 2 * IN + out + 2 * C.self_kick_ns + C.syscall_ns,
        vcpu=2 * (GUEST_RUNS + C.guest_kick_ns),
    )


def thinks_before_it_submits() -> Worked:
    """As depth 1 that polls through, and so without kicks; between two requests is `think_ns`."""
    through = depth_1_polls_through()
    think = 70_000
    period = through.period + think
    return replace(
        through,
        case=make_case(through.case.loops[0], Queue(think_ns=think)),
        period=period,
        cpu=period,
    )


def ring_that_is_waited_with() -> Worked:
    """Where completions come by the ring that the loop waits with, they are no notification.

    As depth 1 without polling, less the pass behind the completion.
    """
    plain = depth_1_without_polling()
    loop = Loop("weighted", max_ns=0, waits_with_ring=True)
    return replace(
        plain,
        case=make_case(loop, Queue(engine="loop_ring")),
        passes=3,
        cpu=plain.cpu - C.self_kick_ns,
    )


WORKED: tuple[Callable[[], Worked], ...] = (
    depth_1_without_polling,
    depth_1_polls_through,
    depth_1_polls_through_in_7_2,
    stale_eventfd,
    kick_of_a_loop_that_polls,
    one_kick_while_the_loop_polls,
    kick_behind_a_sleep,
    request_comes_in_an_empty_turn,
    kick_while_taking,
    kick_while_taking_in_the_main_loop,
    kicks_of_two_queues,
    polling_time_falls_to_0,
    completion_before_queue,
    kicks_fill_the_vcpu,
    one_kick_for_two,
    request_comes_while_taking,
    interrupt_by_the_main_loop,
    two_interrupts_in_a_pass,
    interrupt_for_the_next_pass,
    interrupt_behind_the_pass_of_another,
    interrupt_leaves_something_to_be_done,
    interrupt_preempts_a_request,
    interrupt_preempts_computing,
    interrupt_while_another_is_taken,
    disk_interrupt_delays_a_busy_vcpu,
    disk_interrupt_for_two,
    disk_interrupt_while_the_vcpu_is_idle,
    main_loop_serves,
    fast_disk,
    fast_disk_of_the_main_loop,
    one_worker,
    workers_enough,
    batch_of_4,
    turns,
    reaped_behind_a_submission,
    thinks_before_it_submits,
    ring_that_is_waited_with,
)


@pytest.mark.parametrize("work_out", WORKED, ids=lambda work_out: work_out.__name__)
def test_figures_are_those_worked_out_by_hand(work_out: Callable[[], Worked]) -> None:
    """Every figure is the sum that was worked out, but for the rounding of floats."""
    worked = work_out()
    figures = simulate(worked.case, seed=1)
    assert figures.latency_ns == pytest.approx(worked.latency)
    assert figures.p99_ns == pytest.approx(worked.p99 or worked.latency)
    assert figures.iops == pytest.approx(worked.ended / worked.period * 1e9)
    requests = worked.case.requests
    assert sum(loop.requests for loop in figures.loops) == requests
    periods = requests / worked.ended

    sleeps = sum(loop.sleeps_per_request * loop.requests for loop in figures.loops)
    passes = sum(loop.passes_per_request * loop.requests for loop in figures.loops)
    polled = sum(loop.polled_waits_per_request * loop.requests for loop in figures.loops)
    assert sleeps / periods == pytest.approx(worked.sleeps)
    assert passes / periods == pytest.approx(worked.passes)
    assert polled / periods == pytest.approx(worked.polled)
    assert sum(loop.cpu for loop in figures.loops) == pytest.approx(worked.cpu / worked.period)
    assert sum(figures.vcpu_busy) == pytest.approx(worked.vcpu / worked.period)
    assert figures.irq_cpu == pytest.approx(worked.irq / worked.period)


def test_open_loop_ends_with_the_completion() -> None:
    """Requests that come alone, a second apart, take two wake-ups and the work between them."""
    case = make_case(None, Queue(depth=0, interval_ns=1e9))
    figures = simulate(replace(case, requests=50), seed=1)
    assert figures.latency_ns == pytest.approx(C.wake_ns + IN + SERVICE + C.wake_ns + OUT)
    assert figures.p99_ns == pytest.approx(figures.latency_ns)
    assert figures.loops[0].sleeps_per_request == pytest.approx(2)
    assert figures.iops == pytest.approx(1, rel=0.5)
    assert figures.vcpu_busy == (0,)


# The rules of polling: blocks, handlers that were ready, and what the times are then.

V, A = "queue 0", "native"


@pytest.mark.parametrize(
    ("loop", "blocks", "after"),
    [
        (
            Loop("handler", max_ns=32768),
            [700, 5000, 9000, 8000, 20000, 40000, 300, 4001, 8001, 16001, 32001, 32768, 32769],
            [4000, 8000, 16000, 16000, 32000, 0, 4000, 8000, 16000, 32000, 32768, 32768, 0],
        ),
        (
            Loop("handler", max_ns=200_000, grow=3, shrink=4),
            [1000, 4001, 12001, 36001, 108_001, 200_000, 200_001, 300_000, 60_000],
            [4000, 12000, 36000, 108_000, 200_000, 200_000, 50_000, 12_500, 37_500],
        ),
        (Loop("handler", max_ns=3000), [1000, 2999, 3000, 3001], [3000, 3000, 3000, 0]),
        (Loop("loop", max_ns=32768), [5000, 6000, 9000, 40000], [4000, 8000, 16000, 0]),
        (
            Loop("weighted", max_ns=1_000_000, grow=3, shrink=4, weight=1),
            [100_000, 400_000, 900_000, 1_500_000, 100, 100, 100],
            [100_000, 300_000, 900_000, 225_000, 56_250, 14_062, 3515],
        ),
    ],
    ids=["10.0", "10.0 grow shrink", "10.0 small", "7.2", "11.1"],
)
def test_polling_time_follows_blocks(loop: Loop, blocks: list[int], after: list[int]) -> None:
    """One handler that is ready in each pass."""
    polling = begin_polling(loop, [V])
    budgets = []
    for block in blocks:
        polling.adapt(block, {V})
        budgets.append(polling.budget)
    assert budgets == after


def test_polling_time_of_11_1_dies_out_to_1() -> None:
    """Waits above the maximum halve the loop's time, and 1 is no less than a half of 1."""
    polling = WeightedPolling(Loop("weighted", max_ns=32768), {V: 0}, 20_000)
    budgets = []
    for _ in range(17):
        polling.adapt(90_000, {V})
        budgets.append(polling.budget)
    assert budgets == [10000, 5000, 2500, 1250, 625, 312, 156, 78, 39, 19, 9, 4, 2, 1, 1, 1, 1]


def test_handlers_of_10_0_adapt_where_they_were_ready() -> None:
    """Two handlers share a pass's block, and the loop polls for the largest of their times."""
    polling = begin_polling(Loop("handler", max_ns=32768), [V, A])
    assert isinstance(polling, HandlerPolling)
    seen = []
    for block, ready in ((5000, {V}), (6000, {A}), (9000, {V, A}), (40000, {V})):
        polling.adapt(block, ready)
        seen.append((polling.handlers[V], polling.handlers[A], polling.budget))
    assert seen == [(4000, 0, 4000), (4000, 4000, 4000), (8000, 8000, 8000), (0, 8000, 8000)]


def test_loop_of_7_2_adapts_without_anything_ready() -> None:
    """A pass in which nothing was ready counts as any other."""
    polling = begin_polling(Loop("loop", max_ns=32768), [V])
    assert isinstance(polling, LoopPolling)
    polling.adapt(700, set())
    assert polling.budget == 4000


def test_handlers_of_11_1_that_were_not_ready_add_up() -> None:
    """The time of a handler that was not ready grows by each block, up to the maximum."""
    polling = begin_polling(Loop("weighted", max_ns=32768), [V, A])
    assert isinstance(polling, WeightedPolling)
    seen = []
    passes = [(12000, V), (6000, A), (9000, V), (6000, A), (9000, V), (50000, V), (6000, A)]
    for block, ready in [*passes, (9000, V)]:
        polling.adapt(block, {ready})
        seen.append((polling.handlers[V], polling.handlers[A], polling.budget))
    assert seen == [
        (12000, 0, 12000),
        (18000, 6000, 12000),
        (16875, 15000, 24000),
        (22875, 13875, 24000),
        (21141, 22875, 24000),
        (24749, 0, 32768),
        (30749, 6000, 16384),
        (28031, 15000, 32768),
    ]
