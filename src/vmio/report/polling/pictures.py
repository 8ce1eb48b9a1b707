"""The pictures of docs/concepts/polling.md, from the algorithm and the simulator.

`python -m vmio.report.polling.pictures FOLDER` writes them; a test compares them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from vmio.model.capabilities import QemuVersion
from vmio.model.controller import Controller
from vmio.model.disk import Disk
from vmio.model.iothread import IOThread
from vmio.model.topology import AttachedDisk, Topology
from vmio.report.polling.svg import (
    LoopPass,
    RangePoint,
    TimesPanel,
    draw_loops,
    draw_ranges,
    draw_times,
)
from vmio.sim import events
from vmio.sim.costs import Costs
from vmio.sim.polling import (
    DEFAULT_MAX_NS,
    Generation,
    PollSettings,
    WeightedTimes,
    adjust_handlers,
    adjust_time,
    adjust_weighted,
    complete_settings,
)
from vmio.sim.profile import DEFAULT_PROFILE
from vmio.sim.records import BY_HANDLER, RECORD, Devices, Loops, Queues, build_world
from vmio.sim.simulator import Estimate, predict
from vmio.sim.workload import Workload
from vmio.values import replace

__all__ = ["adapt_to_waits", "main", "read_passes", "render_pictures", "simulate_loop"]

_REQUESTS: Final = 24
_FIRST_SHOWN: Final = 6
_SERVICES_NS: Final = (44_000, 22_000, 60_000, 25_000, 36_000, 20_000)
"""Of a disk, chosen around the default maximum, for any profile."""
_PROFILE: Final = DEFAULT_PROFILE
_SWEEP: Final = (0, *(1_000_000 >> halving for halving in range(9, -1, -1)))

# Short waits, then some longer than the default maximum, and again.
_WAITS_NS: Final = (
    *(2_000, 6_000, 12_000, 7_000, 25_000, 28_000, 18_000, 30_000, 11_000, 24_000),
    *(60_000, 70_000, 20_000, 27_000, 15_000, 30_000, 9_000, 26_000, 22_000, 31_000),
    *(300_000, 400_000, 25_000, 14_000, 28_000, 21_000, 30_000, 17_000, 60_000, 23_000),
)
_VARIANTS: Final = (
    ("defaults", PollSettings()),
    ("poll-grow=4", PollSettings(grow=4)),
    ("poll-shrink=2", PollSettings(shrink=2)),
    ("poll-max-ns=8000", PollSettings(max_ns=8_000)),
    ("poll-max-ns=100000", PollSettings(max_ns=100_000)),
    ("max-ns=100000, shrink=2", PollSettings(max_ns=100_000, shrink=2)),
)

# A request is a wait for the guest's kick and one for the disk: all short; some long; all long.
_REQUEST_WAITS_NS: Final = (
    *((10_000, 14_000), (12_000, 13_000), (11_000, 16_000), (9_000, 14_000), (12_000, 15_000)),
    *((10_000, 13_000), (60_000, 14_000), (11_000, 45_000), (12_000, 13_000), (10_000, 15_000)),
    *((70_000, 14_000), (10_000, 50_000), (11_000, 14_000), (9_000, 13_000)),
    *((90_000, 80_000),) * 16,
)
_KICK_NS: Final = 2_500
_DELAYED_KICKS_NS: Final = {2: 5_000, 4: 9_000, 6: 17_000}
"""The delay until a loop sees its own kick, after some requests; usually it sees it at once."""


def render_pictures() -> dict[str, str]:
    """Returns the text of every picture by its file name."""
    return {
        "polling-generations.svg": _draw_generations(),
        "polling-loop.svg": _draw_loop(),
        "polling-parameters.svg": _draw_parameters(),
        "polling-sweep.svg": _draw_sweep(),
    }


def _draw_loop() -> str:
    rows = []
    for name, first_ns in (
        ("started without polling", 0),
        ("started with the maximum polling time", DEFAULT_MAX_NS),
    ):
        passes = simulate_loop(first_ns)
        # The first pass is the start of everything.
        from_ns = passes[_FIRST_SHOWN].begin_ns
        rows.append((name, passes[_FIRST_SHOWN - 1 :], from_ns))
    return draw_loops(
        rows,
        title="One event loop, one request at a time, QEMU 10.0, default settings",
        desc="Two runs of the same loop and disk over a millisecond, as bands: polling, sleeping,"
        " waking up, dispatching. The one that started without polling polls a little before every"
        " sleep, in vain. The other polls for the maximum each time, catches what comes within it"
        " and sleeps for the rest. An orange line shows the polling time.",
        span_ns=1_000_000,
        max_ns=DEFAULT_MAX_NS,
    )


def simulate_loop(first_ns: int) -> list[LoopPass]:
    """Returns the passes of a loop with one disk at depth 1, for an initial polling time."""
    costs = _PROFILE.costs
    world = build_world(
        BY_HANDLER,
        loops=Loops.alone(DEFAULT_MAX_NS, first_ns=first_ns),
        queues=Queues.alone(1),
        devices=Devices(samples=_SERVICES_NS, size=len(_SERVICES_NS), tables=[0], most=1),
        costs=costs,
        processors=64,
        requests=_REQUESTS,
        passes=2 * _REQUESTS,
    )
    events.run(world)
    return read_passes(world.passes_seen, costs)


def read_passes(passes_seen: Sequence[int], costs: Costs) -> list[LoopPass]:
    """Returns the passes of a loop in which it did something, for a picture.

    A pass that its own notification ended is too short to see. A pass that an eventfd ended
    without work, with or without a look at an empty queue, is joined to the next one.

    Args:
        passes_seen: The passes of one loop, as in `vmio.sim.records.Counts`; zeros at the end are
            no passes.
        costs: The simulator's costs.
    """
    passes: list[LoopPass] = []
    stale_ns = 0
    for at in range(0, len(passes_seen), RECORD):
        _, begin_ns, woken_ns, end_ns, budget_ns, poll_ns = passes_seen[at : at + RECORD]
        if end_ns == 0:
            break
        at_once = woken_ns - begin_ns == budget_ns + costs.syscall_ns
        if end_ns == woken_ns or (at_once and end_ns == woken_ns + costs.queue_run_ns):
            if at_once:
                stale_ns = begin_ns + budget_ns
            continue
        slept = woken_ns - begin_ns > budget_ns + max(costs.poll_pass_ns, costs.syscall_ns)
        event_ns = max(begin_ns, woken_ns - (costs.wake_ns if slept else costs.poll_pass_ns))
        polled_ns = begin_ns
        if budget_ns:
            polled_ns = min(begin_ns + budget_ns, event_ns) if slept else woken_ns
        elif not slept:
            event_ns = begin_ns
        passes.append(
            LoopPass(
                stale_ns=stale_ns or begin_ns,
                begin_ns=begin_ns,
                polled_ns=polled_ns,
                event_ns=event_ns,
                woken_ns=woken_ns,
                end_ns=end_ns,
                poll_ns=poll_ns,
            )
        )
        stale_ns = 0
    return passes


def _draw_parameters() -> str:
    return draw_times(
        [_adapt_handler(name, settings) for name, settings in _VARIANTS],
        title="The same 30 waits under six settings, QEMU 7.2 to 10.2",
        desc="Six small charts of the same 30 waits with the polling time as a line, which grows"
        " from 0 while waits are short and drops when one is above the maximum; above each, its"
        " setting and how many waits polling caught.",
        columns=3,
        height=132,
        span_ns=(1_000, 1_000_000),
    )


def _adapt_handler(name: str, settings: PollSettings) -> TimesPanel:
    """Adapts one polling time to the waits."""
    ns, budgets = 0, []
    for wait_ns in _WAITS_NS:
        budgets.append(ns)
        ns, _ = adjust_time(ns, wait_ns, settings)
    return TimesPanel(
        name=name, waits_ns=_WAITS_NS, budgets_ns=tuple(budgets), max_ns=settings.max_ns
    )


def _draw_generations() -> str:
    return draw_times(
        [
            adapt_to_waits("loop", "7.2 to 9.x"),
            adapt_to_waits("handler", "10.0 to 10.2"),
            adapt_to_waits("weighted", "11.1"),
        ],
        title="The same 60 waits in three generations, default settings, aio=io_uring",
        desc="Three charts of the same waits with the polling time as a line. 7.2: one time, which"
        " drops to 0 at each long wait. 10.0: the time ratchets up and stays, however long the"
        " waits become. 11.1: it follows the mean, and decays to 1 ns when all waits are long.",
        columns=3,
        height=210,
        span_ns=(1, 1_000_000),
    )


def adapt_to_waits(generation: Generation, name: str) -> TimesPanel:
    """Feeds requests to a generation's loop: the wait for a kick, for the disk, and its own kick.

    In 11.1 the disk's completions come through the ring that the loop waits with: they have no
    handler, and the loop does not kick itself.
    """
    settings = complete_settings(PollSettings(), generation)
    times: dict[str, int] = {"queue": 0, "disk": 0, "notifier": 0}
    state: WeightedTimes[str] = WeightedTimes(means={"queue": 0})
    waits, budgets = [], []

    def find_budget() -> int:
        if generation == "weighted":
            return state.poll_ns
        return times["loop"] if generation == "loop" else max(times.values())

    if generation == "loop":
        times = {"loop": 0}
    for number, request in enumerate(_REQUEST_WAITS_NS):
        for handler, wait_ns in zip(("queue", "disk"), request, strict=True):
            waits.append(wait_ns)
            budgets.append(find_budget())
            if generation == "weighted":
                state, _ = adjust_weighted(state, [handler], wait_ns, settings)
            else:
                ready = ["loop"] if generation == "loop" else [handler]
                times, _ = adjust_handlers(times, ready, wait_ns, settings)
        kick_ns = _DELAYED_KICKS_NS.get(number, _KICK_NS)
        if generation == "loop":
            times, _ = adjust_handlers(times, ["loop"], kick_ns, settings)
        elif generation == "handler" and find_budget() > 0:
            times, _ = adjust_handlers(times, ["notifier"], kick_ns, settings)
    return TimesPanel(
        name=name,
        waits_ns=tuple(waits),
        budgets_ns=tuple(budgets),
        max_ns=settings.max_ns,
    )


def _draw_sweep() -> str:
    points = []
    disk = Disk(id="virtio0", bus="virtio", index=0)
    topology = Topology(
        iothreads=(IOThread(id="iothread0"),),
        controllers=(
            Controller(id="virtio0", model="virtio-blk-pci", bus="virtio", iothread="iothread0"),
        ),
        disks=(AttachedDisk(disk=disk, controller="virtio0"),),
    )
    for value in _SWEEP:
        prediction = predict(
            replace(topology, iothreads=(IOThread(id="iothread0", poll_max_ns=value),)),
            Workload(name="depth 1"),
            profile=_PROFILE,
            version=QemuVersion(10, 0, 2),
            seeds=5,
            requests=1_000,
        )
        points.append(
            RangePoint(
                value=value,
                latency_us=_read_span(prediction.latency_mean_ns, 1_000),
                cpu_share=_read_span(prediction.loops[0].cpu_share, 1),
                bistable=prediction.bistable,
            )
        )
    return draw_ranges(
        points,
        title="What poll-max-ns buys and costs, predicted",
        desc="Latency and processor time of an event loop with one disk at depth 1, QEMU 10.0,"
        " against poll-max-ns from 0 to 1 ms, predicted with the default profile. Where shown with"
        " a coloured ground the outcome is either of two, depending on the initial state.",
    )


def _read_span(estimate: Estimate, unit: int) -> tuple[float, float]:
    return (estimate.low / unit, estimate.high / unit)


def main(folder: str) -> None:
    """Writes every picture into a folder."""
    for name, text in render_pictures().items():
        Path(folder, name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    import sys

    main(*sys.argv[1:])
