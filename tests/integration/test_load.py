"""A real guest that is stopped between its runs."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from vmio import app
from vmio.bench.jobs import Job
from vmio.bench.load import LoadedGuest, boot_guest
from vmio.errors import CapabilityError
from vmio.formats.base import Guest
from vmio.guest.image import ensure_image
from vmio.host.timing import _read_used_s
from vmio.model.host import Host
from vmio.model.source import Source
from vmio.qemu.binary import read_version
from vmio.qemu.boot import Boot

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


async def check(guest: Guest, how: Boot) -> None:
    """Stops a guest, and loads it before and after."""
    async with boot_guest(
        guest.vm.machine, app.lay_out(guest), how, scratch_bytes=16 << 20
    ) as loaded:
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


def test_stopped_guest_takes_no_processor_and_its_clock_stands_still() -> None:
    """It answers and is loaded again as soon as it runs."""
    try:
        image = ensure_image(controllers=("virtio-blk-pci",))
    except CapabilityError as error:
        pytest.skip(f"needs a host that can build the guest: {error.message}")
    how, _ = app.choose_boot(
        accelerator="tcg",
        kernel=str(image.kernel),
        initrd=str(image.initrd),
        append=image.append,
        memory_mib=512,
    )
    guest = app.load_source(
        Source(name="loaded.conf", data=CONFIG),
        host=Host(qemu_version=read_version(Path(how.binary))),
        storages=None,
        vmid="900",
    )
    assert isinstance(guest, Guest)
    asyncio.run(check(guest, how))
