"""Holds predictions against a real guest: settings that no calibration has seen.

    accuracy.py [--profile FILE] [--rounds N] [--save FILE] [--save-profile FILE] [--load FILE]

Calibrates this host first, unless a profile is named. Then a guest with one vCPU and one or three
disks, on IOThreads of their own or on a shared one, runs fio at three depths under five values of
poll-max-ns, N rounds of each, and every median is compared with the prediction.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import statistics
import sys
from itertools import product
from pathlib import Path

from attrs import asdict, frozen

from vmio import api
from vmio.bench.calibrate import calibrate, check_idle
from vmio.bench.jobs import Job
from vmio.bench.load import boot_guest
from vmio.formats.proxmox.reader import Guest, read_guest
from vmio.guest.image import ensure_image
from vmio.model.capabilities import QemuVersion
from vmio.model.host import Host
from vmio.model.iothread import MAIN_LOOP
from vmio.model.source import Source
from vmio.model.topology import Topology
from vmio.qemu.boot import Boot
from vmio.sim.profile import Profile
from vmio.sim.profile_toml import render_profile
from vmio.sim.simulator import Prediction, predict, set_parameters
from vmio.sim.statistics import student_t_quantile
from vmio.sim.workload import parse_workload

LAYOUTS = ("one disk", "three disks, own IOThreads", "three disks, one IOThread")
DEPTHS = (1, 4, 16)
POLLS_NS = (0, 16_384, 32_768, 131_072, 1_000_000)
AIO = "io_uring"
NEAR_CPU = 0.07


@frozen(kw_only=True)
class Measured:
    """A setting, and what each round of it gave."""

    layout: str
    depth: int
    poll_max_ns: int
    iops: list[float]
    cpu_share: list[float]
    """Of an IOThread, where there are several on average."""
    sleeps: list[float]
    """A request."""


def load_layout(layout: str, host: Host) -> tuple[Guest, Topology]:
    """Returns a guest of the layout, planned as `vmio plan` does it."""
    disks = 1 if layout == LAYOUTS[0] else 3
    lines = ["cores: 1", "memory: 512", "name: accuracy", "ostype: l26"]
    lines += [f"virtio{n}: /scratch/{n}.raw,aio={AIO},iothread=1,size=1G" for n in range(disks)]

    def read(data: bytes) -> Guest:
        source = Source(name="accuracy.conf", data=data)
        return read_guest(source, storages=None, host=host, vmid="901")

    guest = read(("\n".join(lines) + "\n").encode())
    if layout == LAYOUTS[2]:
        guest = read(api.preview_plan(guest, api.make_plan(guest, host, "shared")))
    return guest, api.plan(guest)


async def measure(layout: str, host: Host, boot: Boot, rounds: int) -> list[Measured]:
    """Boots a layout and runs every setting of it in each round."""
    guest, topology = load_layout(layout, host)
    found = {
        (depth, poll): Measured(
            layout=layout, depth=depth, poll_max_ns=poll, iops=[], cpu_share=[], sleeps=[]
        )
        for depth, poll in product(DEPTHS, POLLS_NS)
    }
    async with boot_guest(guest, topology, boot) as loaded:
        for number in range(rounds):
            for depth, poll in found if number % 2 == 0 else reversed(found):
                await loaded.set_polling(poll)
                run = await loaded.run(
                    Job(
                        name="accuracy", rw="randread", block_size_bytes=4096, iodepth=depth,
                        runtime_s=0.6, ramp_s=0.2,
                    )
                )  # fmt: skip
                one = found[depth, poll]
                one.iops.append(run.iops)
                one.cpu_share.append(statistics.mean(each.cpu_share for each in run.iothreads))
                one.sleeps.append(sum(each.sleeps_per_s for each in run.iothreads) / run.iops)
            print(f"{layout}: round {number + 1} of {rounds}", file=sys.stderr)
    return list(found.values())


def forecast(one: Measured, profile: Profile, host: Host) -> Prediction:
    """Returns what the simulator says of a setting."""
    _, topology = load_layout(one.layout, host)
    return predict(
        set_parameters(topology, [f"poll_max_ns={one.poll_max_ns}"]),
        parse_workload(f"qd={one.depth}"),
        profile=profile,
        version=QemuVersion(*map(int, host.qemu_version.split("."))),
        seeds=3,
        requests=3_000,
    )


def spread(values: list[float]) -> float:
    """Returns half of the 95 % interval of a mean."""
    error = statistics.stdev(values) / math.sqrt(len(values))
    return student_t_quantile(0.975, len(values) - 1) * error


def tell(measured: list[Measured], profile: Profile, host: Host) -> None:
    """Prints the table in Markdown, and what it comes to."""
    rows, iops_errors, cpu_errors, inside = [], [], [], 0
    said: dict[tuple[str, int, int], Prediction] = {}
    for one in measured:
        found = forecast(one, profile, host)
        said[one.layout, one.depth, one.poll_max_ns] = found
        seen_iops, seen_cpu = statistics.median(one.iops), statistics.median(one.cpu_share)
        cpu = statistics.mean(loop.cpu_share.mean for loop in found.loops if loop.id != MAIN_LOOP)
        low = statistics.mean(loop.cpu_share.low for loop in found.loops if loop.id != MAIN_LOOP)
        high = statistics.mean(loop.cpu_share.high for loop in found.loops if loop.id != MAIN_LOOP)
        iops_errors.append(abs(found.iops.mean / seen_iops - 1))
        cpu_errors.append(abs(cpu - seen_cpu))
        inside += low - NEAR_CPU <= seen_cpu <= high + NEAR_CPU
        shown = f"{low:.2f} to {high:.2f}" if found.bistable else f"{cpu:.2f}"
        rows.append(
            f"| {one.layout} | {one.depth} | {one.poll_max_ns} | {seen_iops:.0f} "
            f"±{spread(one.iops) / seen_iops:.0%} | {found.iops.mean:.0f} | "
            f"{found.iops.mean / seen_iops - 1:+.0%} | {seen_cpu:.2f} | {shown} | "
            f"{cpu - seen_cpu:+.2f} |"
        )
    heads = ("layout", "depth", "poll_max_ns", "IOPS seen", "predicted", "off")
    print("|", " | ".join((*heads, "CPU seen", "predicted", "off")), "|")
    print("|---|---|---|---|---|---|---|---|---|")
    print("\n".join(rows))
    count = len(measured)
    print(
        f"\nIOPS: median error {statistics.median(iops_errors):.1%}, 90 % of the settings within "
        f"{sorted(iops_errors)[count * 9 // 10]:.0%}."
        f"\nCPU of an IOThread: median error {statistics.median(cpu_errors):.3f}, "
        f"{sum(error <= NEAR_CPU for error in cpu_errors)} of {count} within 0.07, "
        f"{inside} of {count} within 0.07 of the predicted range."
    )
    told, right = compare_layouts(measured, said)
    print(f"Layouts: {right} of {told} pairs that differ by more than noise come in that order.")


def compare_layouts(
    measured: list[Measured], said: dict[tuple[str, int, int], Prediction]
) -> tuple[int, int]:
    """Returns how many pairs of settings of two layouts differ, and are predicted in order.

    Compared are layouts of three disks under the same load and the same polling.
    """
    told = right = 0
    by_place = {(one.layout, one.depth, one.poll_max_ns): one for one in measured}
    for depth, poll in product(DEPTHS, POLLS_NS):
        own, shared = (by_place[layout, depth, poll] for layout in LAYOUTS[1:])
        difference = statistics.mean(own.iops) - statistics.mean(shared.iops)
        if abs(difference) <= math.hypot(spread(own.iops), spread(shared.iops)):
            continue
        told += 1
        predicted = (
            said[LAYOUTS[1], depth, poll].iops.mean - said[LAYOUTS[2], depth, poll].iops.mean
        )
        right += (predicted > 0) == (difference > 0)
    return told, right


def calibrate_host(host: Host, boot: Boot) -> Profile:
    """Returns what steps cost here now."""
    guest, topology = load_layout(LAYOUTS[0], host)
    version = QemuVersion(*map(int, host.qemu_version.split(".")))
    return asyncio.run(calibrate(guest, topology, boot, version, aio=AIO)).profile


def measure_all(host: Host, boot: Boot, rounds: int) -> list[Measured]:
    """Measures every setting of every layout."""
    return [one for layout in LAYOUTS for one in asyncio.run(measure(layout, host, boot, rounds))]


def main() -> None:
    """Reads the call."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profile", help="a profile to go by instead of calibrating")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--save", help="keep the measurements")
    parser.add_argument("--save-profile", help="keep the profile")
    parser.add_argument("--load", help="go by kept measurements")
    arguments = parser.parse_args()
    image = ensure_image()
    host = api.read_host(None, binary=True)
    boot, _ = api.choose_boot(
        kernel=str(image.kernel), initrd=str(image.initrd), append=image.append, memory_mib=512
    )
    if not (arguments.load and arguments.profile):
        check_idle()
    profile = (
        api.read_profile(arguments.profile) if arguments.profile else calibrate_host(host, boot)
    )
    if arguments.save_profile:
        Path(arguments.save_profile).write_text(render_profile(profile), encoding="utf-8")
    if arguments.load:
        data = json.loads(Path(arguments.load).read_text(encoding="utf-8"))
        measured = [Measured(**each) for each in data]
    else:
        measured = measure_all(host, boot, arguments.rounds)
    if arguments.save:
        text = json.dumps([asdict(one) for one in measured])
        Path(arguments.save).write_text(text, encoding="utf-8")
    tell(measured, profile, host)


if __name__ == "__main__":
    main()
