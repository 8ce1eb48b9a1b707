"""Compares predictions with a real guest, under settings that no calibration has seen.

    accuracy.py [--settings listed|others|unseen] [--profile FILE] [--rounds N]
                [--even-if-busy] [--save FILE] [--save-profile FILE] [--load FILE]

Calibrates this host first, like `vmio calibrate`, unless a profile is named. Then guests with one
vCPU and one or more disks, on IOThreads of their own, on a shared one or on the main loop, run fio
at three depths with several values of poll-max-ns, and every mean is compared with the prediction.
`listed` and `others` are settings that were looked at while the simulator was written; `unseen`
were not, until it was done. docs/concepts/accuracy.md has the results.

A host drifts from minute to minute. Therefore the guests of all layouts are booted before anything
is measured, and all are stopped but the one that runs; a round runs all settings of all layouts
once, in a new order for each round, from a fixed seed. What the host does in one round affects all
settings, and whether two settings differ is decided by their differences within rounds.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from itertools import combinations, product
from pathlib import Path
from typing import Final, Literal

from msgspec import Struct, field, to_builtins

from vmio import app
from vmio.bench.jobs import Job
from vmio.bench.load import LoadedGuest, RunFigures, boot_guest
from vmio.errors import GuestError
from vmio.formats.base import Guest, ReadContext
from vmio.formats.proxmox.reader import read_guest
from vmio.guest.image import ensure_image
from vmio.model.host import Host
from vmio.model.source import Source
from vmio.model.topology import Topology
from vmio.model.version import QemuVersion, parse_version
from vmio.qemu.boot import Boot
from vmio.qemu.signals import run_async
from vmio.sim.profile import Profile, render_profile
from vmio.sim.simulator import Prediction, predict, set_parameters
from vmio.sim.statistics import student_t_quantile
from vmio.sim.workload import parse_workload

AIO: Final = "io_uring"
NEAR_CPU = 0.07
NO_POLLING: tuple[int | None, ...] = (None,)
"""The value for the main loop, which has no poll-max-ns."""
SEED = 1
"""Seed of the order of settings."""
RUNTIME_S = 1.0
RAMP_S = 0.2
RUN_S = 1.7
"""Estimated seconds of a run, including fio's start and end."""


class Layout(Struct, frozen=True, kw_only=True):
    """Disks, and the threads that serve them."""

    disks: int
    served_by: Literal["own IOThreads", "one IOThread", "main loop"]

    @property
    def name(self) -> str:
        """Its name in tables."""
        words = ("one disk", "two disks", "three disks")[self.disks - 1]
        alone = self.disks == 1 and self.served_by != "main loop"
        return words if alone else f"{words}, {self.served_by}"


class Settings(Struct, frozen=True, kw_only=True):
    """Layouts, each of which is run at each depth and with each value of poll-max-ns."""

    layouts: tuple[Layout, ...]
    depths: tuple[int, ...]
    polls_ns: tuple[int, ...]


SETTINGS = {
    "listed": Settings(
        layouts=(
            Layout(disks=1, served_by="own IOThreads"),
            Layout(disks=3, served_by="own IOThreads"),
            Layout(disks=3, served_by="one IOThread"),
            Layout(disks=1, served_by="main loop"),
            Layout(disks=3, served_by="main loop"),
        ),
        depths=(1, 4, 16),
        polls_ns=(0, 16_384, 32_768, 131_072, 1_000_000),
    ),
    "others": Settings(
        layouts=(
            Layout(disks=1, served_by="own IOThreads"),
            Layout(disks=2, served_by="own IOThreads"),
            Layout(disks=3, served_by="one IOThread"),
            Layout(disks=2, served_by="main loop"),
        ),
        depths=(1, 6, 20),
        polls_ns=(24_000, 70_000, 160_000, 800_000),
    ),
    "unseen": Settings(
        layouts=(
            Layout(disks=1, served_by="own IOThreads"),
            Layout(disks=2, served_by="one IOThread"),
            Layout(disks=3, served_by="own IOThreads"),
            Layout(disks=2, served_by="main loop"),
        ),
        depths=(1, 3, 10),
        polls_ns=(10_000, 45_000, 100_000, 350_000),
    ),
}
LAYOUTS = {layout.name: layout for each in SETTINGS.values() for layout in each.layouts}


class Measured(Struct, frozen=True, kw_only=True):
    """A setting, with the result of each round, in order."""

    layout: str
    depth: int
    poll_max_ns: int | None
    """None for the main loop, which has none."""
    iops: list[float]
    cpu_share: list[float]
    """Of the thread that serves the disks; the mean of several."""
    sleeps: list[float]
    """Per request."""


class Compared(Struct, frozen=True, kw_only=True):
    """A setting as measured and as predicted."""

    seen: Measured
    said: Prediction

    @property
    def iops(self) -> float:
        """The measured mean; a setting may have two possible results, of which a median is one."""
        return statistics.mean(self.seen.iops)

    @property
    def cpu(self) -> float:
        """The measured mean."""
        return statistics.mean(self.seen.cpu_share)

    @property
    def said_cpu(self) -> tuple[float, float, float]:
        """The least, the mean and the largest prediction for a loop."""
        shares = [loop.cpu_share for loop in self.said.loops]
        return (
            statistics.mean(each.low for each in shares),
            statistics.mean(each.mean for each in shares),
            statistics.mean(each.high for each in shares),
        )

    @property
    def iops_error(self) -> float:
        """Predicted minus measured, as a fraction of measured."""
        return self.said.iops.mean / self.iops - 1

    @property
    def cpu_error(self) -> float:
        """Predicted minus measured, in processors."""
        return self.said_cpu[1] - self.cpu

    @property
    def in_range(self) -> bool:
        """Whether the measured CPU is near the predicted range."""
        low, _, high = self.said_cpu
        return low - NEAR_CPU <= self.cpu <= high + NEAR_CPU


def load_layout(layout: Layout, host: Host) -> tuple[Guest, Topology]:
    """Returns a guest of the layout, planned as by `vmio plan`."""
    lines = ["cores: 1", "memory: 512", "name: accuracy", "ostype: l26"]
    iothread = "" if layout.served_by == "main loop" else ",iothread=1"
    lines += [
        f"virtio{n}: /scratch/{n}.raw,aio={AIO}{iothread},size=1G" for n in range(layout.disks)
    ]

    def read(data: bytes) -> Guest:
        source = Source(name="accuracy.conf", data=data)
        return read_guest(source, ReadContext(storages=None, host=host, vmid="901"))

    guest = read(("\n".join(lines) + "\n").encode())
    if layout.served_by == "one IOThread":
        guest = read(app.preview_plan(guest, app.make_plan(guest, host, "shared")))
    return guest, app.lay_out(guest)


class LayoutGuest(Struct, kw_only=True):
    """The guest of a layout, which is stopped while none of its settings is measured."""

    layout: Layout
    host: Host
    how: Boot
    _loaded: LoadedGuest | None = None
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def run(self, job: Job, poll_max_ns: int | None) -> RunFigures:
        """Runs a job; if the guest hangs, it is booted again, and the job repeated once."""
        try:
            return await self._run(job, poll_max_ns)
        except GuestError as error:
            await self._give_up(error)
            return await self._run(job, poll_max_ns)

    async def _run(self, job: Job, poll_max_ns: int | None) -> RunFigures:
        loaded = self._loaded if self._loaded is not None else await self.start()
        async with loaded.running():
            if poll_max_ns is not None:
                await loaded.set_polling(poll_max_ns)
            return await loaded.run(job)

    async def start(self) -> LoadedGuest:
        """Boots the guest, once more if it hangs, and stops it."""
        try:
            self._loaded = await self._boot()
        except GuestError as error:
            await self._give_up(error)
            self._loaded = await self._boot()
        await self._loaded.stop()
        return self._loaded

    async def _boot(self) -> LoadedGuest:
        guest, topology = load_layout(self.layout, self.host)
        return await self._stack.enter_async_context(
            boot_guest(guest.vm.machine, topology, self.how)
        )

    async def _give_up(self, error: GuestError) -> None:
        print(f"{self.layout.name}, which is booted again: {error}", file=sys.stderr)
        await self.end()

    async def end(self) -> None:
        """Ends the guest, if there is one."""
        self._loaded = None
        await self._stack.aclose()


async def run_setting(one: Measured, guest: LayoutGuest) -> None:
    """Runs a setting once more."""
    job = Job(
        name="accuracy", rw="randread", block_size_bytes=4096, iodepth=one.depth,
        runtime_s=RUNTIME_S, ramp_s=RAMP_S,
    )  # fmt: skip
    run = await guest.run(job, one.poll_max_ns)
    loops = run.iothreads or (run.main_loop,)
    one.iops.append(run.iops)
    one.cpu_share.append(statistics.mean(each.cpu_share for each in loops))
    one.sleeps.append(sum(each.sleeps_per_s for each in loops) / run.iops)


def list_settings(settings: Settings) -> list[Measured]:
    """Returns every setting of every layout, without measurements."""
    return [
        Measured(
            layout=layout.name, depth=depth, poll_max_ns=poll, iops=[], cpu_share=[], sleeps=[]
        )
        for layout in settings.layouts
        for depth, poll in product(
            settings.depths,
            NO_POLLING if layout.served_by == "main loop" else settings.polls_ns,
        )
    ]


async def measure(
    settings: Settings,
    host: Host,
    boot: Boot,
    *,
    rounds: int,
    keep: Callable[[list[Measured]], None],
) -> list[Measured]:
    """Measures every setting once a round, in a random order for each round.

    Args:
        settings: The settings to measure.
        host: The host.
        boot: How guests are booted.
        rounds: The number of rounds.
        keep: Called with the results so far after each round.
    """
    draw = random.Random(SEED)  # noqa: S311 - for an order, not a secret
    found = list_settings(settings)
    guests = {
        each.name: LayoutGuest(layout=each, host=host, how=boot) for each in settings.layouts
    }
    words = f"{len(found)} settings of {len(guests)} layouts, guests boot one by one"
    print_progress(words, rounds * len(found) * RUN_S)
    async with AsyncExitStack() as stack:
        for guest in guests.values():
            stack.push_async_callback(guest.end)
            await guest.start()
        began_s = time.monotonic()
        for number in range(1, rounds + 1):
            for one in draw.sample(found, len(found)):
                await run_setting(one, guests[one.layout])
            keep(found)
            passed_s = time.monotonic() - began_s
            print_progress(f"round {number} of {rounds}", passed_s / number * (rounds - number))
    return found


def print_progress(words: str, left_s: float) -> None:
    """Prints the progress, and the remaining minutes."""
    print(f"{words}; about {left_s / 60:.1f} minutes left", file=sys.stderr, flush=True)


def forecast(one: Measured, profile: Profile, host: Host, version: QemuVersion) -> Prediction:
    """Returns the prediction for a setting."""
    _, topology = load_layout(LAYOUTS[one.layout], host)
    if one.poll_max_ns is not None:
        topology = set_parameters(topology, [f"poll_max_ns={one.poll_max_ns}"])
    return predict(
        topology,
        parse_workload(f"qd={one.depth}"),
        profile=profile,
        version=version,
        seeds=3,
        requests=3_000,
    )


def spread(values: list[float], *, pairs: int = 1) -> float:
    """Returns half of the 95 % interval of a mean, or of several means at once."""
    error = statistics.stdev(values) / math.sqrt(len(values))
    return student_t_quantile(1 - 0.025 / pairs, len(values) - 1) * error


def print_comparison(compared: list[Compared]) -> None:
    """Prints the table in Markdown, and its summary."""
    print_table(
        ("layout", "depth", "poll_max_ns", "IOPS seen", "predicted", "off",
         "CPU seen", "predicted", "off"),
        [render_setting(each) for each in compared],
    )  # fmt: skip
    print()
    by_layout: dict[str, list[Compared]] = {}
    for each in compared:
        by_layout.setdefault(each.seen.layout, []).append(each)
    print_table(
        ("layout", "settings", "IOPS: median error", "90 % within", "bias",
         "CPU: median error", "bias", f"within {NEAR_CPU}", f"within {NEAR_CPU} of the range"),
        [sum_up(name, group) for name, group in {**by_layout, "all": compared}.items()],
    )  # fmt: skip
    differing, right = compare_layouts(compared)
    sure, held = compare_layouts(compared, at_once=True)
    print(
        f"\nLayouts: {right} of {differing} pairs that differ by more than noise come in that"
        f" order; {held} of {sure}, if the noise of all pairs is looked at at once."
    )


def print_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Prints a table in Markdown."""
    for row in (heads, ["---"] * len(heads), *rows):
        print("|", " | ".join(row), "|")


def render_setting(one: Compared) -> tuple[str, ...]:
    """Returns a setting's row."""
    seen, (low, cpu, high) = one.seen, one.said_cpu
    return (
        seen.layout,
        str(seen.depth),
        "-" if seen.poll_max_ns is None else str(seen.poll_max_ns),
        f"{one.iops:.0f} ±{spread(seen.iops) / one.iops:.0%}",
        f"{one.said.iops.mean:.0f}",
        f"{one.iops_error:+.0%}",
        f"{one.cpu:.2f}",
        f"{low:.2f} to {high:.2f}" if one.said.bistable else f"{cpu:.2f}",
        f"{one.cpu_error:+.2f}",
    )


def sum_up(name: str, group: Sequence[Compared]) -> tuple[str, ...]:
    """Returns the row of a layout: the errors of predictions, and their bias."""
    count = len(group)
    iops = [each.iops_error for each in group]
    cpu = [each.cpu_error for each in group]
    return (
        name,
        str(count),
        f"{statistics.median(map(abs, iops)):.1%}",
        f"{sorted(map(abs, iops))[count * 9 // 10]:.0%}",
        f"{statistics.median(iops):+.1%}",
        f"{statistics.median(map(abs, cpu)):.3f}",
        f"{statistics.median(cpu):+.3f}",
        str(sum(abs(each) <= NEAR_CPU for each in cpu)),
        str(sum(each.in_range for each in group)),
    )


def compare_layouts(compared: Sequence[Compared], *, at_once: bool = False) -> tuple[int, int]:
    """Returns how many pairs of settings of two layouts differ, and are predicted in order.

    Layouts with as many disks under the same load and the same polling are compared; the main
    loop, which never polls, with each. Two differ if the 95 % interval of the mean of their
    differences within rounds excludes 0: the host's drift, which affects both, cancels in a
    difference.

    Args:
        compared: The settings.
        at_once: Whether the 95 % apply to all pairs at once (Bonferroni), so that hardly any
            differs by chance; otherwise one in twenty of equal pairs does.
    """
    pairs = [
        (one, other)
        for one, other in combinations(compared, 2)
        if are_comparable(one.seen, other.seen)
    ]
    differing = right = 0
    for one, other in pairs:
        differences = [a - b for a, b in zip(one.seen.iops, other.seen.iops, strict=True)]
        difference = statistics.mean(differences)
        if abs(difference) <= spread(differences, pairs=len(pairs) if at_once else 1):
            continue
        differing += 1
        right += (one.said.iops.mean > other.said.iops.mean) == (difference > 0)
    return differing, right


def are_comparable(one: Measured, other: Measured) -> bool:
    """Returns whether two settings differ only in what serves the disks."""
    polls = {one.poll_max_ns, other.poll_max_ns} - {None}
    return (
        one.layout != other.layout
        and LAYOUTS[one.layout].disks == LAYOUTS[other.layout].disks
        and one.depth == other.depth
        and len(polls) == 1
    )


def read_kept(path: str) -> tuple[str, list[Measured]]:
    """Returns the version of QEMU and the saved measurements."""
    kept = json.loads(Path(path).read_text(encoding="utf-8"))
    return kept["qemu"], [Measured(**each) for each in kept["settings"]]


async def measure_now(arguments: argparse.Namespace) -> tuple[str, list[Measured], Profile]:
    """Calibrates, unless a profile is named, and measures, unless results are loaded."""
    image = ensure_image(controllers=("virtio-blk-pci",))
    host = app.read_host(None, binary=True)
    boot, _ = app.choose_boot(
        kernel=str(image.kernel), initrd=str(image.initrd), append=image.append, memory_mib=512
    )
    app.check_idle(force=arguments.even_if_busy)
    if arguments.profile:
        profile = app.read_profile(arguments.profile)
    else:
        calibrated = await app.calibrate(boot, aio=AIO, even_if_busy=arguments.even_if_busy)
        profile = calibrated.profile
    write(arguments.save_profile, render_profile(profile))
    if arguments.load:
        return *read_kept(arguments.load), profile

    def keep(measured: list[Measured]) -> None:
        kept = {"qemu": str(host.qemu_version), "settings": [to_builtins(one) for one in measured]}
        write(arguments.save, json.dumps(kept))

    settings = SETTINGS[arguments.settings]
    measured = await measure(settings, host, boot, rounds=arguments.rounds, keep=keep)
    return str(host.qemu_version), measured, profile


def write(path: str | None, text: str) -> None:
    """Writes a file, if one is named."""
    if path is not None:
        Path(path).write_text(text, encoding="utf-8")


def main() -> None:
    """Parses the options and runs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--settings", choices=SETTINGS, default="listed")
    parser.add_argument("--profile", help="a profile to use instead of calibrating")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument(
        "--even-if-busy", action="store_true", help="measure even if others use the host"
    )
    parser.add_argument("--save", help="save the measurements, after each round")
    parser.add_argument("--save-profile", help="save the profile")
    parser.add_argument("--load", help="use saved measurements")
    arguments = parser.parse_args()
    if arguments.load and arguments.profile:
        profile = app.read_profile(arguments.profile)
        version, measured = read_kept(arguments.load)
    else:
        version, measured, profile = run_async(measure_now(arguments))
    host, qemu = app.read_host(None, qemu_version=version), parse_version(version)
    print_comparison(
        [Compared(seen=one, said=forecast(one, profile, host, qemu)) for one in measured]
    )


if __name__ == "__main__":
    main()
