"""A real guest under a load: sampled meanwhile, and stopped between its runs."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from vmio import app
from vmio.bench.jobs import Job
from vmio.bench.load import LoadedGuest, boot_guest
from vmio.formats.base import Guest
from vmio.guest.image import GuestImage
from vmio.host.timing import _read_used_s
from vmio.model.host import Host
from vmio.model.source import Source
from vmio.observe.rates import compare_samples
from vmio.observe.sample import Sample
from vmio.observe.sampler import sample
from vmio.qemu.binary import read_version
from vmio.qemu.boot import Boot
from vmio.values import replace

CONFIG = b"""\
cores: 1
memory: 512
name: loaded
ostype: l26
virtio0: /scratch/0.raw,aio=io_uring,iothread=1,size=1G
"""
JOB = Job(name="x", rw="randread", block_size_bytes=4096, iodepth=4, runtime_s=0.5, ramp_s=0.2)
STOPPED_S = 2.0


async def read_uptime_s(loaded: LoadedGuest) -> float:
    """Returns how long the guest's own clock says that it is up."""
    done = await loaded.agent.run(("cat", "/proc/uptime"), timeout_s=60)
    return float(done.stdout.split()[0])


async def check(guest: Guest, how: Boot, subtests: pytest.Subtests) -> None:
    """Samples a guest before and after a load, and stops it."""
    layout = app.lay_out(guest)
    loops = tuple(replace(each, poll_max_ns=5000) for each in layout.iothreads)
    layout = replace(layout, iothreads=loops)
    async with boot_guest(guest.vm.machine, layout, how, scratch_bytes=16 << 20) as loaded:
        with subtests.test(check_samples.__doc__):
            before = await sample(loaded.process.pid, loaded.process.qmp)
            run = await loaded.run(JOB)
            after = await sample(loaded.process.pid, loaded.process.qmp)
            check_samples(before, after, run.iops * JOB.runtime_s)
        with subtests.test(check_stop.__doc__):
            await check_stop(loaded)


def check_samples(before: Sample, after: Sample, requests: float) -> None:
    """The disk reads what fio asks for, the IOThread and the vCPU work for it, by their names."""
    names = [
        (each.role, each.name)
        for each in after.threads
        if each.role not in {"worker", "io_uring", "other"}
    ]
    assert sorted(names) == [
        ("iothread", "iothread-virtio0"),
        ("main loop", "main loop"),
        ("vcpu", "vCPU 0"),
    ]
    assert [(each.id, each.poll_max_ns) for each in after.iothreads] == [
        ("iothread-virtio0", 5000)
    ]
    first, last = before.disks[0].reads, after.disks[0].reads
    assert first.count is not None
    assert last.count is not None
    assert last.transferred_bytes is not None
    assert first.transferred_bytes is not None
    assert last.count - first.count >= 0.9 * requests
    assert last.transferred_bytes - first.transferred_bytes == 4096 * (last.count - first.count)
    rates = compare_samples(before, after)
    assert rates.disks[0].id == "virtio0"
    assert rates.disks[0].reads.latency_mean_ns
    assert rates.disks[0].reads.depth_mean
    threads = {each.role: each for each in rates.threads}
    for role in ("iothread", "vcpu"):
        assert threads[role].cpu_share > 0
        assert threads[role].voluntary_switches_per_s


async def check_stop(loaded: LoadedGuest) -> None:
    """It takes no processor, its clock stands still, and it is loaded as soon as it runs."""
    began_s, before_s = time.monotonic(), await read_uptime_s(loaded)
    await loaded.stop()
    used_s, stopped_s = _read_used_s(loaded.process.pid), time.monotonic()
    await asyncio.sleep(STOPPED_S)
    used_s = _read_used_s(loaded.process.pid) - used_s
    stopped_s = time.monotonic() - stopped_s
    assert used_s <= 0.05 * stopped_s
    async with loaded.running():
        passed_s = await read_uptime_s(loaded) - before_s
        # A clock that went on would have counted the time that it was stopped for.
        assert passed_s <= time.monotonic() - began_s - STOPPED_S + 0.5
        run = await loaded.run(JOB)
    assert (await loaded.process.qmp.execute("query-status"))["running"] is False
    assert run.iops > 1
    # A request takes the guest tens of microseconds, however little a busy host leaves it.
    assert run.vcpu_cpu_share > 1e-5 * run.iops
    assert run.iothreads[0].sleeps_per_s > 1
    with pytest.raises(LookupError):
        async with loaded.running():
            raise LookupError
    assert (await loaded.process.qmp.execute("query-status"))["running"] is True


def test_loaded_guest_is_sampled_and_stopped(
    guest_image: GuestImage, subtests: pytest.Subtests
) -> None:
    """One boot for both: what a load does is seen from outside, and a stop halts all of it."""
    how, _ = app.choose_boot(
        accelerator="tcg",
        kernel=str(guest_image.kernel),
        initrd=str(guest_image.initrd),
        append=guest_image.append,
        memory_mib=512,
    )
    guest = app.load_source(
        Source(name="loaded.conf", data=CONFIG),
        host=Host(qemu_version=read_version(Path(how.binary))),
        storages=None,
        vmid="900",
    )
    assert isinstance(guest, Guest)
    asyncio.run(check(guest, how, subtests))
