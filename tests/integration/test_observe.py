"""Real guests without a system sampled, of which one ends meanwhile; test_load.py has a load."""

from __future__ import annotations

import asyncio

from vmio.observe.sample import Sample
from vmio.observe.sampler import sample, stream
from vmio.qemu.process import QemuProcess

BARE = (
    *("qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none"),
    *("-machine", "pc", "-accel", "tcg", "-m", "16", "-smp", "2", "-S"),
    *("-object", "iothread,id=io0", "-object", "iothread,id=io1"),
)


def test_threads_are_told_by_their_role_until_the_guest_ends() -> None:
    """QEMU does not name them here; a guest that quits ends the stream without an error."""

    async def watch() -> list[Sample]:
        found: list[Sample] = []
        async with QemuProcess.start(BARE) as guest:
            async for each in stream(guest.pid, guest.qmp, interval_s=0.05):
                found.append(each)
                if len(found) == 3:
                    await guest.qmp.execute("quit")
        return found

    found = asyncio.run(asyncio.wait_for(watch(), 60))

    assert len(found) == 3
    for each in found:
        # A thread that was made this moment has not run, and has no counters yet.
        standing = [thread for thread in each.threads if thread.role != "other"]
        assert {each.name for each in standing} == {"main loop", "io0", "io1", "vCPU 0", "vCPU 1"}
        assert all(thread.run_delay_ns is not None for thread in standing)
    assert found[0].monotonic_ns < found[1].monotonic_ns < found[2].monotonic_ns


def test_guest_without_a_monitor_is_told_by_its_names() -> None:
    """Before 11.0 QEMU names its threads where it is told to."""

    async def watch() -> Sample:
        argv = (*BARE, "-name", "x,debug-threads=on")
        async with QemuProcess.start(argv) as guest:
            return await sample(guest.pid)

    found = asyncio.run(watch())

    names = {(each.role, each.name) for each in found.threads if each.role != "other"}
    assert {("iothread", "io0"), ("iothread", "io1"), ("vcpu", "vCPU 1")} < names
    assert found.disks == ()
