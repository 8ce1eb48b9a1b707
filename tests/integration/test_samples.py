"""Samples of real guests held against what fio, the kernel and a disk of known latency say."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, suppress
from itertools import pairwise
from pathlib import Path

import pytest

from vmio.errors import CapabilityError, QmpError, ToolError
from vmio.observe.histograms import FINE_BOUNDARIES_NS, keep_histograms
from vmio.observe.kernel_trace import TracedLoop, trace_loops
from vmio.observe.percentiles import LatencyRange
from vmio.observe.polling import PollingEstimate, RequestCost, estimate_polling
from vmio.observe.rates import DiskRates, Rates, compare_samples
from vmio.observe.readings import HostTracker, Reading
from vmio.observe.sample import Limits, Sample
from vmio.observe.sampler import open_sampler, sample, stream
from vmio.observe.watching import HostWatcher, WatchOptions, watch_host
from vmio.qemu.brief import BriefMonitor
from vmio.qemu.folder import open_runtime_folder
from vmio.qemu.process import QemuProcess
from vmio.qemu.sockets import count_clients
from vmio.report.verdicts.words import describe_verdict
from vmio.testing.loaded_guest import Loaded, boot_loaded

DEPTHS = {1_120_000: 8, 5_600_000: 16, 35_500_000: 64}
"""Of the loads of disks that do nothing but wait, by their latency in ns: in the middle of bins.

There are requests enough for a 99th percentile."""
LEAST_CPU_NS = 3_000
"""Of an event loop for a request that wakes it up, on any host; ten times that under TCG."""
BARE = (
    *("qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none"),
    *("-machine", "pc", "-accel", "tcg", "-m", "16", "-smp", "2", "-S"),
    *("-object", "iothread,id=io0", "-name", "x,debug-threads=on"),
)
THROTTLED = (
    *("-drive", "if=none,id=d0,driver=null-co,throttling.iops-total=100,throttling.group=g"),
    *("-device", "virtio-scsi-pci,id=s0,num_queues=2", "-device", "scsi-hd,drive=d0,id=sd0"),
    *("-object", '{"qom-type":"throttle-group","id":"tg0","limits":{"iops-read":55}}'),
    *("-blockdev", "driver=null-co,node-name=n1"),
    *("-blockdev", "driver=throttle,node-name=t1,throttle-group=tg0,file=n1"),
    *("-device", "virtio-blk-pci,drive=t1,id=vd1,iothread=io0,num-queues=2"),
)


@asynccontextmanager
async def booted(*disks: str, devices: Sequence[str] = ()) -> AsyncIterator[Loaded]:
    """Boots the benchmark guest; skips where this host cannot build it."""
    try:
        async with boot_loaded(*disks, devices=devices) as loaded:
            yield loaded
    except CapabilityError as error:
        pytest.skip(f"needs a host that can build the guest: {error.message}")


async def watch(loaded: Loaded, *, interval_s: float, into: list[Sample]) -> None:
    """Samples a guest until it is cancelled."""
    monitor = loaded.open_monitor()
    samples = stream(loaded.process.pid, monitor, interval_s=interval_s, limits=True, queues=True)
    async with aclosing(samples):
        async for each in samples:
            into.append(each)  # noqa: PERF401 - a list made at the end is lost


def find(rates: Rates, disk: str) -> DiskRates:
    """Returns the rates of a disk."""
    return next(each for each in rates.disks if each.id == disk)


async def load_steadily(loaded: Loaded) -> tuple[list[Sample], float]:
    """Returns samples under 200 requests a second to the second disk, and the rate fio says."""
    samples: list[Sample] = []
    async with asyncio.TaskGroup() as group:
        task = group.create_task(watch(loaded, interval_s=0.25, into=samples))
        said = await loaded.run_fio(
            loaded.devices[1], "--iodepth=1", "--rate_iops=200", "--runtime=5s"
        )
        task.cancel()
    return samples, said["iops"]


def find_steady_rate(samples: list[Sample]) -> float:
    """Returns the rate of the second disk between the first and the last moment under load."""
    loads = [
        find(compare_samples(*each), "vd1").reads.operations_per_s or 0.0
        for each in pairwise(samples)
    ]
    under = [number for number, rate in enumerate(loads) if rate > 100]
    # The intervals in which fio starts and ends are not all under load.
    steady = compare_samples(samples[under[1]], samples[under[-2]])
    return find(steady, "vd1").reads.operations_per_s or 0.0


def test_rates_are_those_that_fio_says() -> None:
    """Its count and a steady rate within 2 %; and the loop that is loaded is the busy one."""

    async def main() -> None:
        folder = open_runtime_folder()
        with folder as place:
            (place / "disk").write_bytes(os.urandom(16 << 20))
            node = f"driver=file,filename={place}/disk,cache.direct=off"
            async with booted(node, "driver=null-co,read-zeroes=on") as loaded:
                monitor = loaded.open_monitor()
                before = await sample(loaded.process.pid, monitor)
                said = await loaded.run_fio(loaded.devices[0], "--iodepth=4", "--runtime=1500ms")
                rates = compare_samples(before, await sample(loaded.process.pid, monitor))
                reads = find(rates, "vd0").reads
                assert reads.count == pytest.approx(said["total_ios"], rel=0.02)
                assert reads.bytes_per_s is not None
                assert reads.bytes_per_s == pytest.approx(4096 * (reads.operations_per_s or 0.0))
                assert find(rates, "vd1").reads.count == 0
                busy = {
                    each.name: each.cpu_share for each in rates.threads if each.role != "other"
                }
                assert busy["io0"] > 10 * busy["io1"]

                # fio makes up for what it could not do in time, so that a busy host shifts
                # requests from one moment to another.
                for _ in range(3):
                    samples, said_per_s = await load_steadily(loaded)
                    assert {each.monitor for each in samples} == {"answered"}
                    assert all(each.in_flight is not None for each in samples[-1].disks)
                    found_per_s = find_steady_rate(samples)
                    if found_per_s == pytest.approx(said_per_s, rel=0.02):
                        break
                assert found_per_s == pytest.approx(said_per_s, rel=0.02)

    asyncio.run(asyncio.wait_for(main(), 300))


def test_limit_that_a_load_reaches_binds() -> None:
    """Of 100 requests a second, set while the guest runs; without a load it does not."""

    async def main() -> None:
        async with booted("driver=null-co,read-zeroes=on") as loaded:
            limits = dict.fromkeys(("bps", "bps_rd", "bps_wr", "iops_rd", "iops_wr"), 0)
            place = "/machine/peripheral/vd0/virtio-backend"
            await loaded.process.qmp.execute(
                "block_set_io_throttle", {"id": place, "iops": 100, **limits}
            )
            samples: list[Sample] = []
            async with asyncio.TaskGroup() as group:
                task = group.create_task(watch(loaded, interval_s=0.5, into=samples))
                await loaded.run_fio(loaded.devices[0], "--iodepth=8", "--runtime=6s")
                task.cancel()
            # Of two seconds each, of which a busy host may leave the guest a part only.
            windows = zip(samples, samples[4:], strict=False)
            found = [find(compare_samples(*each), "vd0") for each in windows]
            assert all(each.limits is not None and each.limits.iops == 100 for each in found)
            busiest = max(found, key=lambda each: each.reads.operations_per_s or 0.0)
            assert busiest.binding == ("iops",)
            monitor = loaded.open_monitor()
            before = await sample(loaded.process.pid, monitor, limits=True)
            await asyncio.sleep(0.2)
            after = await sample(loaded.process.pid, monitor, limits=True)
            assert find(compare_samples(before, after), "vd0").binding == ()

    asyncio.run(asyncio.wait_for(main(), 300))


def test_kernels_workers_are_charged_to_the_loop_that_submits() -> None:
    """Flushes through io_uring block, and so the kernel has threads of its own do them."""

    async def main() -> list[Sample]:
        with open_runtime_folder() as place:
            (place / "disk").write_bytes(bytes(16 << 20))
            node = f"driver=file,filename={place}/disk,aio=io_uring,cache.direct=off"
            samples: list[Sample] = []
            async with booted(node) as loaded, asyncio.TaskGroup() as group:
                task = group.create_task(watch(loaded, interval_s=0.1, into=samples))
                await loaded.run_fio(
                    loaded.devices[0], "--rw=randwrite", "--fsync=1", "--runtime=3s"
                )
                task.cancel()
            return samples

    samples = asyncio.run(asyncio.wait_for(main(), 300))
    workers = [each for taken in samples for each in taken.threads if each.role == "io_uring"]
    if not workers:
        pytest.skip("needs a host whose kernel has workers for io_uring")
    assert {each.owner for each in workers} == {"io0"}
    found = compare_samples(samples[0], samples[-1])
    assert find(found, "vd0").flushes.count


def read_used_ns(pid: int) -> dict[int, int]:
    """Returns the processor time of each thread of a process, as the kernel says."""
    used: dict[int, int] = {}
    for each in Path(f"/proc/{pid}/task").iterdir():
        with suppress(OSError):
            used[int(each.name)] = int((each / "schedstat").read_text().split()[0])
    return used


async def read_window(watcher: HostWatcher) -> Reading:
    """Returns a reading of the only guest with rates and verdicts of two seconds.

    The monitor of a guest on a busy host may take longer to greet than a stranger waits.
    """
    tracker = HostTracker(confirm=False)
    not_before_ns = 0
    while True:
        look = await watcher.look()
        (observation,) = look.observations
        sample = observation.sample
        if sample is None or sample.monitor != "answered" or look.monotonic_ns < not_before_ns:
            await asyncio.sleep(0.05)
            continue
        (reading,) = tracker.add(look)
        if reading.rates is not None:
            return reading
        not_before_ns = look.monotonic_ns + 2_000_000_000


def test_guest_is_found_watched_and_judged() -> None:
    """Two disks of one controller share its IOThread, and the third is served by the main loop.

    The threads that are busy are those that the kernel says, for no longer than it says, and for
    as long as what fio has them do takes at least.
    """
    devices = (
        *("virtio-scsi-pci,id=s0,iothread=io0", "scsi-hd,bus=s0.0,drive=n0,id=sd0"),
        *("scsi-hd,bus=s0.0,drive=n1,id=sd1", "virtio-blk-pci,drive=n2,id=vd2,num-queues=1"),
    )

    def add_job(device: str, *more: str) -> tuple[str, ...]:
        return (
            *(f"--name={device}", f"--filename={device}", "--bs=4k", "--ioengine=libaio"),
            *("--direct=1", "--time_based", "--runtime=12s", "--allow_file_create=0", *more),
        )

    async def main() -> tuple[Reading, dict[int, int], float]:
        with open_runtime_folder() as place:
            (place / "disk").write_bytes(bytes(16 << 20))
            null = "driver=null-co,read-zeroes=on"
            file = f"driver=file,filename={place}/disk,aio=io_uring,cache.direct=off"
            async with (
                booted(null, null, file, devices=devices) as loaded,
                watch_host(
                    WatchOptions(search_s=0.0),
                    matches=lambda each: each.process.pid == loaded.process.pid,
                ) as watcher,
            ):
                sd0, sd1, vd2 = loaded.devices
                more = add_job(sd1, "--rw=randread", "--rate_iops=100")
                more += add_job(vd2, "--rw=randwrite", "--fsync=1", "--rate_iops=30")
                load = asyncio.create_task(
                    loaded.run_fio(sd0, "--rate_iops=200", "--runtime=12s", *more)
                )
                under_load = 0
                while under_load < 2:  # fio starts in the first
                    before = read_used_ns(loaded.process.pid)
                    reading = await read_window(watcher)
                    after = read_used_ns(loaded.process.pid)
                    assert not load.done()
                    under_load += all_work(reading)
                said = await load
                used_ns = {each: after[each] - before.get(each, 0) for each in after}
                return reading, used_ns, said["iops"]

    def all_work(reading: Reading) -> bool:
        disks = () if reading.rates is None else reading.rates.disks
        return all((each.reads.count or 0) + (each.writes.count or 0) > 10 for each in disks)

    reading, used_ns, said_per_s = asyncio.run(asyncio.wait_for(main(), 300))
    assert reading.layout is not None
    serves = {each.disk.id: reading.layout.served_by(each) for each in reading.layout.disks}
    assert serves == {"sd0": ("io0",), "sd1": ("io0",), "vd2": ("main loop",)}
    assert reading.rates is not None
    for each in reading.rates.threads:
        found_ns = round(each.cpu_share * reading.rates.duration_s * 1e9)
        assert found_ns <= used_ns[each.thread_id]
    disks = {each.id: each for each in reading.rates.disks}
    assert {*disks} == {*serves}
    loops = {each.name: each for each in reading.polling}
    assert loops["io0"].cpu_share > 3 * loops["io1"].cpu_share
    assert loops["io0"].cpu_share > said_per_s * LEAST_CPU_NS * 1e-9
    writes_per_s = disks["vd2"].writes.operations_per_s or 0.0
    assert loops["main loop"].cpu_share > writes_per_s * LEAST_CPU_NS * 1e-9 > 0
    assert loops["main loop"].poll_share == 0
    workers = [each for each in reading.rates.threads if each.role == "io_uring"]
    assert {each.owner for each in workers} <= {"main loop"}
    for verdict in reading.verdicts:
        assert describe_verdict(verdict).title


@pytest.fixture
def tracefs(tmp_path: Path) -> Iterator[Path]:
    """A tracefs that is mounted for the test."""
    mounted = subprocess.run(
        ["mount", "-t", "tracefs", "none", str(tmp_path)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("needs to mount tracefs, which root can on a host that has it")
    try:
        yield tmp_path
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


async def measure_polling(
    loaded: Loaded, poll_max_ns: int, costs: tuple[RequestCost, ...], tracefs: Path
) -> tuple[PollingEstimate, TracedLoop]:
    """Returns what one second after another of requests comes to, by both ways at once."""
    await loaded.process.qmp.execute(
        "qom-set", {"path": "/objects/io0", "property": "poll-max-ns", "value": poll_max_ns}
    )
    monitor = loaded.open_monitor()
    load = asyncio.create_task(loaded.run_fio(loaded.devices[0], "--iodepth=1", "--runtime=5s"))
    done = first = (await sample(loaded.process.pid, monitor)).disks[0].reads.count or 0
    while done < first + 100 and not load.done():
        await asyncio.sleep(0.1)
        done = (await sample(loaded.process.pid, monitor)).disks[0].reads.count or 0
    before = await sample(loaded.process.pid, monitor)
    (thread,) = (each.thread_id for each in before.threads if each.name == "io0")
    (traced,) = await trace_loops({thread: "io0"}, duration_s=3.0, tracefs=tracefs)
    rates = compare_samples(before, await sample(loaded.process.pid, monitor))
    await load
    estimates = estimate_polling(rates, {"vd0": ("io0",)}, {"io0": costs})
    return next(each for each in estimates if each.name == "io0"), traced


def test_polling_that_is_estimated_is_the_one_that_the_kernel_saw(tracefs: Path) -> None:
    """Within a factor of two, on whatever host; without polling there is next to none."""

    async def main() -> None:
        with open_runtime_folder() as place:
            (place / "disk").write_bytes(os.urandom(16 << 20))
            async with booted(f"driver=file,filename={place}/disk,aio=threads") as loaded:
                quiet, traced = await measure_polling(loaded, 0, (), tracefs)
                assert quiet.depth_mean is not None
                assert quiet.cpu_per_request_ns is not None
                cost = RequestCost(depth=quiet.depth_mean, cpu_ns=quiet.cpu_per_request_ns)
                quiet_ns = traced.poll_s * 1e9 / 3.0 / (quiet.requests_per_s or 1.0)
                polls, traced = await measure_polling(loaded, 1_000_000, (cost,), tracefs)
                assert polls.method == "request cost"
                share = traced.poll_s / traced.duration_s
                assert polls.poll_share is not None
                assert 0.5 * share < polls.poll_share < 2 * share
                # Where processors are taken away, a loop may not come to poll most of its time.
                assert polls.dominates is not False or polls.contended
                assert share * 1e9 / (polls.requests_per_s or 1.0) > 3 * quiet_ns

    asyncio.run(asyncio.wait_for(main(), 300))


def test_percentiles_are_of_the_latency_that_the_disk_has() -> None:
    """The median within a bin of ten in a factor of ten; what is left behind is nothing.

    Of the slowest requests, a busy host makes some wait for longer, and fio sees that too: it
    counts from before QEMU takes a request until after QEMU is done.
    """

    def find_bin(latency_ns: float) -> int:
        return sum(bound <= latency_ns for bound in FINE_BOUNDARIES_NS)

    async def main() -> None:
        nodes = (f"driver=null-co,latency-ns={each},read-zeroes=on" for each in DEPTHS)
        async with booted(*nodes) as loaded:
            monitor = loaded.open_monitor()
            async with keep_histograms(monitor) as keeper:
                for number, (latency_ns, depth) in enumerate(DEPTHS.items()):
                    before = await sample(loaded.process.pid, monitor)
                    said = await loaded.run_fio(
                        loaded.devices[number],
                        *(f"--iodepth={depth}", "--runtime=2500ms", "--lat_percentiles=1"),
                    )
                    after = await sample(loaded.process.pid, monitor)
                    keeper.note(after.disks)
                    reads = find(compare_samples(before, after), f"vd{number}").reads
                    median = reads.latency_p50
                    assert isinstance(median, LatencyRange)
                    assert 0 <= find_bin(median.low_ns) - find_bin(latency_ns) <= 1
                    highest = reads.latency_p99
                    assert isinstance(highest, LatencyRange)
                    said_ns = 1.01 * said["lat_ns"]["percentile"]["99.000000"]  # fio rounds
                    assert find_bin(latency_ns) <= find_bin(highest.low_ns) <= find_bin(said_ns)
                    assert reads.histogram is not None
                    assert sum(reads.histogram.counts) == reads.count
                    assert reads.latency_mean_ns is not None
                    assert reads.latency_mean_ns >= latency_ns
            assert keeper.notes == ()
            left = await sample(loaded.process.pid, monitor)
            assert [each.reads.histogram for each in left.disks] == [None] * len(DEPTHS)

    asyncio.run(asyncio.wait_for(main(), 300))


def test_limits_and_queues_are_those_of_the_command_line() -> None:
    """Of a drive, and of a throttle filter's group."""

    async def main() -> Sample:
        with open_runtime_folder() as folder:
            async with QemuProcess.start((*BARE, *THROTTLED), qmp_socket=folder / "q") as guest:
                monitor = BriefMonitor(folder / "q", pid=guest.pid)
                return await sample(guest.pid, monitor, limits=True, queues=True)

    found = asyncio.run(asyncio.wait_for(main(), 60))
    assert {each.id: each.limits for each in found.disks} == {
        "sd0": Limits(iops=100, group="g"),
        "vd1": Limits(iops_read=55, group="tg0"),
    }
    assert {each.id: each.in_flight for each in found.disks} == {"sd0": None, "vd1": 0}
    assert sorted((each.device, each.index) for each in found.queues) == [
        ("s0", 0),
        ("s0", 1),
        ("vd1", 0),
        ("vd1", 1),
    ]


def list_sockets() -> list[str]:
    """Returns the sockets that this process has open."""
    found = []
    for each in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            found.append(str(each.readlink()))
    return [each for each in found if each.startswith("socket:")]


def test_monitor_that_a_manager_holds_is_left_to_it() -> None:
    """Threads are sampled; when it leaves, the disks come; no connection of ours is ever there."""

    async def main() -> None:
        with open_runtime_folder() as folder:
            path = folder / "q"
            async with QemuProcess.start((*BARE, *THROTTLED), qmp_socket=path) as guest:
                monitor = BriefMonitor(path, pid=guest.pid)
                with open_sampler(guest.pid, monitor) as sampler:
                    before = list_sockets()
                    with socket.socket(socket.AF_UNIX) as manager:
                        manager.connect(str(path))
                        assert b"QMP" in manager.recv(4096)
                        await asyncio.sleep(0.1)
                        found = await sampler.take()
                        assert found is not None
                        assert (found.monitor, found.disks) == ("held by another", ())
                        assert any(each.name == "io0" for each in found.threads)
                        assert count_clients(guest.pid, path, fresh=True) == 1
                    await asyncio.sleep(0.1)
                    found = await sampler.take()
                    assert found is not None
                    assert found.monitor == "answered"
                    assert len(found.disks) == 2
                    assert list_sockets() == before

    asyncio.run(asyncio.wait_for(main(), 60))


def test_qemu_that_is_stopped_and_goes_on_is_sampled_again() -> None:
    """Meanwhile its threads are, at once; its counters are not made up."""

    async def main() -> None:
        with open_runtime_folder() as folder:
            path = folder / "q"
            async with QemuProcess.start((*BARE, *THROTTLED), qmp_socket=path) as guest:
                monitor = BriefMonitor(path, pid=guest.pid)
                with open_sampler(guest.pid, monitor) as sampler:
                    assert (await sampler.take()) is not None
                    os.kill(guest.pid, signal.SIGSTOP)
                    try:
                        await asyncio.to_thread(
                            os.waitid, os.P_PID, guest.pid, os.WSTOPPED | os.WNOWAIT
                        )
                        async with asyncio.timeout(5):
                            stopped = await sampler.take()
                    finally:
                        os.kill(guest.pid, signal.SIGCONT)
                    assert stopped is not None
                    assert (stopped.monitor, stopped.disks) == ("silent", ())
                    assert {each.state for each in stopped.threads} == {"T"}
                    async with asyncio.timeout(10):
                        while True:
                            found = await sampler.take()
                            assert found is not None
                            if found.monitor == "answered":
                                break
                    assert len(found.disks) == 2

    asyncio.run(asyncio.wait_for(main(), 60))


def test_qemu_that_stops_while_it_is_asked_does_not_hang_the_sample() -> None:
    """It is stopped after the look at its state; the limit of a conversation ends it."""

    class Stopping(BriefMonitor):
        def stop(self, pid: int) -> None:
            self.stopped = pid

        async def _open(self) -> socket.socket:
            connected = await super()._open()
            os.kill(self.stopped, signal.SIGSTOP)
            return connected

    async def main() -> None:
        with open_runtime_folder() as folder:
            path = folder / "q"
            async with QemuProcess.start((*BARE, *THROTTLED), qmp_socket=path) as guest:
                monitor = Stopping(path, pid=guest.pid)
                monitor.stop(guest.pid)
                before = list_sockets()
                try:
                    async with asyncio.timeout(5):
                        found = await sample(guest.pid, monitor)
                finally:
                    os.kill(guest.pid, signal.SIGCONT)
                assert found.monitor in {"silent", "answered"}
                assert list_sockets() == before
                await asyncio.sleep(0.1)
                found = await sample(guest.pid, BriefMonitor(path, pid=guest.pid))
                assert len(found.disks) == 2

    asyncio.run(asyncio.wait_for(main(), 60))


def test_qemu_that_is_killed_ends_its_stream_though_another_takes_its_socket() -> None:
    """The other one's disks are not taken for the first one's, nor are its threads."""

    async def main() -> list[Sample]:
        found: list[Sample] = []
        with open_runtime_folder() as folder:
            path = folder / "q"
            async with AsyncExitStack() as others:
                with suppress(QmpError, ToolError):
                    async with QemuProcess.start((*BARE, *THROTTLED), qmp_socket=path) as guest:
                        monitor = BriefMonitor(path, pid=guest.pid)
                        async for each in stream(guest.pid, monitor, interval_s=0.05):
                            found.append(each)
                            if len(found) == 3:
                                path.unlink()
                                await others.enter_async_context(
                                    QemuProcess.start(BARE, qmp_socket=path)
                                )
                            if len(found) == 6:
                                guest.qmp.peer_pid = None
                                os.kill(guest.pid, signal.SIGKILL)
        return found

    found = asyncio.run(asyncio.wait_for(main(), 60))
    assert [each.monitor for each in found[:3]] == ["answered"] * 3
    assert [(each.monitor, each.disks) for each in found[3:]] == [("failed", ())] * len(found[3:])
    assert 6 <= len(found) < 20


def test_histogram_of_a_manager_stays_as_it_is() -> None:
    """Ours beside it is said to be left; a disk of ours alone has none in the end."""

    async def main() -> None:
        with open_runtime_folder() as folder:
            path = folder / "q"
            async with QemuProcess.start((*BARE, *THROTTLED), qmp_socket=path) as guest:
                place = "/machine/peripheral/vd1/virtio-backend"
                arguments = {"id": place, "boundaries-write": [1000, 2000]}
                await guest.qmp.execute("block-latency-histogram-set", arguments)
                monitor = BriefMonitor(path, pid=guest.pid)
                async with keep_histograms(monitor) as keeper:
                    during = {each.id: each for each in (await sample(guest.pid, monitor)).disks}
                after = {each.id: each for each in (await sample(guest.pid, monitor)).disks}
                theirs = during["vd1"].writes.histogram
                assert theirs is not None
                assert theirs.boundaries_ns == (1000, 2000)
                ours = during["vd1"].reads.histogram
                assert ours is not None
                assert ours.boundaries_ns == FINE_BOUNDARIES_NS
                assert after["vd1"].writes.histogram == theirs
                assert after["sd0"].reads.histogram is None
                (note,) = keeper.notes
                assert note.startswith("vd1: ")

    asyncio.run(asyncio.wait_for(main(), 60))
