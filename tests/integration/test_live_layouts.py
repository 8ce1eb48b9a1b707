"""The layouts of running guests: what was plugged since, and what waits for a restart."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import wraps
from pathlib import Path

from vmio.app.live import ConfiguredLayouts
from vmio.observe.readings import HostTracker, Reading
from vmio.observe.watching import HostWatcher, WatchOptions, watch_host
from vmio.qemu.folder import open_runtime_folder
from vmio.qemu.process import QemuProcess

BARE = (
    *("qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-S"),
    *("-machine", "pc", "-accel", "tcg", "-m", "16"),
    *("-object", "iothread,id=io0", "-object", "iothread,id=io1"),
    *("-device", "virtio-scsi-pci,id=s0,iothread=io0"),
    *("-blockdev", "driver=null-co,node-name=n0", "-blockdev", "driver=null-co,node-name=n1"),
    *("-blockdev", "driver=null-co,node-name=n2", "-blockdev", "driver=null-co,node-name=n3"),
    *("-device", "scsi-hd,bus=s0.0,drive=n0,id=sd0"),
)
PROXMOX = (
    *("qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-S"),
    *("-machine", "pc", "-accel", "tcg", "-m", "16", "-name", "web"),
    *("-object", "iothread,id=iothread-virtioscsi0"),
    *("-device", "virtio-scsi-pci,id=virtioscsi0,iothread=iothread-virtioscsi0"),
)
CONFIG = "name: web\nmemory: 512\nscsihw: virtio-scsi-single\nscsi0: {disk},iothread=1\n"


def in_event_loop(test: Callable[..., Coroutine[None, None, None]]) -> Callable[..., None]:
    """Returns a test that runs a coroutine."""

    @wraps(test)
    def run(**fixtures: object) -> None:
        asyncio.run(asyncio.wait_for(test(**fixtures), 120))

    return run


async def read(watcher: HostWatcher, tracker: HostTracker) -> Reading:
    """Returns the reading of the only guest, once its monitor has answered."""
    while True:
        (reading,) = tracker.add(await watcher.look())
        sample = reading.observation.sample
        if sample is not None and sample.monitor == "answered":
            return reading


async def find_pending(watcher: HostWatcher) -> dict[str, dict[str, object]]:
    """Returns what waits for a restart, with its figures, once there was time for a verdict."""
    tracker = HostTracker()
    reading = await read(watcher, tracker)
    while reading.window_s is None:
        await asyncio.sleep(0.05)
        reading = await read(watcher, tracker)
    return {
        each.subject: {figure.name: figure.value for figure in each.evidence}
        for each in reading.verdicts
        if each.kind == "restart-pending"
    }


def list_paths(reading: Reading) -> dict[str, tuple[str, ...]]:
    """Returns what serves each disk of a reading."""
    assert reading.layout is not None
    return {each.disk.id: reading.layout.served_by(each) for each in reading.layout.disks}


@in_event_loop
async def test_disk_that_is_plugged_has_its_path_and_goes_when_it_is_unplugged() -> None:
    """With the IOThread of its controller, which can be one that came with it."""
    with open_runtime_folder() as folder:
        async with QemuProcess.start(BARE, qmp_socket=folder / "q") as guest:
            execute = guest.qmp.execute
            options = WatchOptions(search_s=0.0)
            tracker = HostTracker()
            async with watch_host(
                options, matches=lambda each: each.process.pid == guest.pid
            ) as watcher:
                assert list_paths(await read(watcher, tracker)) == {"sd0": ("io0",)}
                await execute(
                    "device_add", {"driver": "scsi-hd", "bus": "s0.0", "drive": "n1", "id": "sd1"}
                )
                device = {"driver": "virtio-blk-pci", "drive": "n2", "iothread": "io1"}
                await execute("device_add", {**device, "id": "vd2"})
                await execute("device_add", {**device, "drive": "n3"})
                everything = {"sd0": ("io0",), "sd1": ("io0",), "vd2": ("io1",), "n3": ("io1",)}
                assert list_paths(await read(watcher, tracker)) == everything
                rates = (await read(watcher, tracker)).rates
                assert rates is not None
                assert {each.id for each in rates.disks} == {*everything}
                await execute("device_del", {"id": "sd0"})
                while "sd0" in (found := list_paths(await read(watcher, tracker))):
                    pass
                assert found == {key: everything[key] for key in ("sd1", "vd2", "n3")}


@in_event_loop
async def test_config_of_a_proxmox_guest_that_differs_waits_for_a_restart(tmp_path: Path) -> None:
    """And one that does not differ, or is only about a disk that was plugged, does not."""
    disk = tmp_path / "disk.raw"
    disk.write_bytes(bytes(1 << 20))
    configs = tmp_path / "etc" / "pve" / "qemu-server"
    configs.mkdir(parents=True)
    (tmp_path / "qemu-server").mkdir()
    text = CONFIG.format(disk=disk)
    (configs / "100.conf").write_text(text)
    drive = f"if=none,id=drive-scsi0,file={disk},format=raw,cache=none,detect-zeroes=on"
    argv = (
        *(*PROXMOX, "-drive", f"{drive},aio=io_uring"),
        *("-device", "scsi-hd,bus=virtioscsi0.0,scsi-id=0,drive=drive-scsi0,id=scsi0"),
        *("-blockdev", "driver=null-co,node-name=n1"),
    )
    async with (
        QemuProcess.start(argv, qmp_socket=tmp_path / "qemu-server" / "100.qmp") as guest,
        watch_host(
            WatchOptions(search_s=0.0),
            matches=lambda each: each.process.pid == guest.pid,
            find_configured=ConfiguredLayouts(root=tmp_path).find,
        ) as watcher,
    ):
        assert await find_pending(watcher) == {}
        (configs / "100.conf").write_text(f"{text}\n[PENDING]\nscsi0: {disk},iothread=0\n")
        threads = ("iothread-virtioscsi0", "main loop")
        assert await find_pending(watcher) == {
            "scsi0": {"served by now": threads[0], "served by as configured": threads[1]}
        }
        # What was plugged is written into the config, and runs.
        (configs / "100.conf").write_text(f"{text}scsi1: {disk}.2,iothread=1\n")
        await guest.qmp.execute(
            "device_add",
            {"driver": "scsi-hd", "bus": "virtioscsi0.0", "drive": "n1", "id": "scsi1"},
        )
        assert "disk now" not in (await find_pending(watcher)).get("scsi1", {})
