"""A running QEMU is given other parameters, and says that it has them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from vmio.errors import QmpError
from vmio.managers.live import LiveResult, set_live
from vmio.model.plan import LiveChange
from vmio.qemu.live import read_live
from vmio.qemu.process import QemuProcess
from vmio.qemu.qmp import QmpConnection

IO0 = "/objects/io0"
GROUP = "/objects/throttle-drive-scsi0"
SCSI1 = "/machine/peripheral/scsi1"


def make_argv(folder: Path) -> tuple[str, ...]:
    """Returns a guest with an IOThread, a disk in a throttle group, and disks with own limits."""
    words = [
        *("qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none"),
        *("-machine", "pc", "-accel", "tcg", "-m", "16", "-S"),
        *("-object", "iothread,id=io0"),
        *("-object", '{"qom-type":"throttle-group","id":"throttle-drive-scsi0","limits":{}}'),
        *("-device", "virtio-scsi-pci,id=single,iothread=io0"),
    ]
    for name in ("scsi0", "scsi1", "virtio0"):
        with (folder / f"{name}.raw").open("wb") as file:
            file.truncate(1 << 20)
    node = (
        '{"driver":"throttle","node-name":"drive-scsi0","throttle-group":"throttle-drive-scsi0",'
        f'"file":{{"driver":"raw","file":{{"driver":"file","filename":"{folder}/scsi0.raw"}}}}}}'
    )
    words += ["-blockdev", node, "-device", "scsi-hd,bus=single.0,drive=drive-scsi0,id=scsi0"]
    limits = ",throttling.iops-total=500"
    for name, more in (("scsi1", limits), ("virtio0", "")):
        words += ["-drive", f"file={folder}/{name}.raw,if=none,id=drive-{name},format=raw{more}"]
    words += ["-device", "scsi-hd,bus=single.0,lun=1,drive=drive-scsi1,id=scsi1"]
    words += ["-device", "virtio-blk-pci,drive=drive-virtio0,id=virtio0"]
    return tuple(words)


def change(path: str, name: str, new: int) -> LiveChange:
    """Returns a change of one property."""
    return LiveChange(path=path, property=name, new=new)


def set_all(folder: Path, *rounds: Sequence[LiveChange]) -> tuple[LiveResult, ...]:
    """Starts a guest, makes changes, one round after the other, and returns the last one's."""

    async def main() -> tuple[LiveResult, ...]:
        results: tuple[LiveResult, ...] = ()
        async with QemuProcess.start(make_argv(folder)) as guest:
            for changes in rounds:
                results = await set_live(guest.qmp, changes)
        return results

    return asyncio.run(main())


def test_iothread_is_given_other_parameters(tmp_path: Path) -> None:
    """All parameters are set at once, and QEMU reports them as its own."""
    changes = [
        change(IO0, "poll-max-ns", 50_000),
        change(IO0, "poll-grow", 3),
        change(IO0, "poll-shrink", 4),
        change(IO0, "aio-max-batch", 16),
        change(IO0, "thread-pool-min", 100),
        change(IO0, "thread-pool-max", 200),
    ]

    async def main() -> None:
        async with QemuProcess.start(make_argv(tmp_path)) as guest:
            results = await set_live(guest.qmp, changes)
            assert [result.old for result in results] == [32768, 0, 0, 0, 0, 64]
            (iothread,) = (await read_live(guest.qmp)).iothreads
            assert iothread.poll_max_ns == 50_000
            assert (iothread.poll_grow, iothread.poll_shrink) == (3, 4)
            assert iothread.aio_max_batch == 16
            assert (iothread.thread_pool_min, iothread.thread_pool_max) == (100, 200)
            back = [change(IO0, "thread-pool-max", 8), change(IO0, "thread-pool-min", 4)]
            await set_live(guest.qmp, back)

    asyncio.run(main())


def test_refused_value_takes_everything_back(tmp_path: Path) -> None:
    """What was set before is put back, and so is the refused one, which QEMU has stored."""
    changes = [change(IO0, "poll-max-ns", 50_000), change(IO0, "thread-pool-min", 100)]

    async def main() -> None:
        async with QemuProcess.start(make_argv(tmp_path)) as guest:
            with pytest.raises(QmpError, match="bad thread-pool-min") as caught:
                await set_live(guest.qmp, changes)
            assert caught.value.hint == "all values are unchanged"
            assert await guest.qmp.qom_get(IO0, "poll-max-ns") == 32768
            assert await guest.qmp.qom_get(IO0, "thread-pool-min") == 0
            await set_live(guest.qmp, [change(IO0, "thread-pool-max", 4)])

    asyncio.run(main())


def test_missing_object_changes_nothing(tmp_path: Path) -> None:
    """A change of an IOThread that is not there stops the others before they are made."""
    changes = [change(IO0, "poll-max-ns", 50_000), change("/objects/io9", "poll-max-ns", 1)]

    async def main() -> None:
        async with QemuProcess.start(make_argv(tmp_path)) as guest:
            with pytest.raises(QmpError, match="/objects/io9"):
                await set_live(guest.qmp, changes)
            assert await guest.qmp.qom_get(IO0, "poll-max-ns") == 32768

    asyncio.run(main())


def test_limits_of_a_throttle_group_are_set(tmp_path: Path) -> None:
    """One limit changes and the others stay; limits that exclude each other are refused."""
    results = set_all(
        tmp_path,
        [change(GROUP, "limits.iops-read", 1000)],
        [change(GROUP, "limits.bps-total", 1 << 20), change(GROUP, "limits.iops-read", 900)],
    )
    assert [result.old for result in results] == [0, 1000]
    with pytest.raises(QmpError, match="refused 'qom-set'"):
        set_all(
            tmp_path,
            [change(GROUP, "limits.iops-read", 5)],
            [change(GROUP, "limits.iops-total", 1000)],
        )


def test_limits_of_a_drive_are_set(tmp_path: Path) -> None:
    """A drive without a group is given its limits by its device, virtio-blk too."""
    device = "/machine/peripheral/virtio0"
    results = set_all(
        tmp_path,
        [change(SCSI1, "io-throttle.iops", 700), change(device, "io-throttle.bps_rd", 4096)],
        [change(SCSI1, "io-throttle.iops_max", 900), change(device, "io-throttle.bps_rd", 0)],
        [change(SCSI1, "io-throttle.iops_max", 800), change(device, "io-throttle.bps_wr", 9)],
    )
    assert [result.old for result in results] == [900, 0]


def test_monitor_that_breaks_off_says_what_is_left(tmp_path: Path) -> None:
    """Where QEMU ends in the middle, nothing is said to be as it was."""

    async def main() -> None:
        async with QemuProcess.start(make_argv(tmp_path)) as guest:
            real = guest.qmp.execute

            class Broken(QmpConnection):
                async def execute(self, command: str, *args: object, **more: object) -> object:
                    if command == "qom-set":
                        raise QmpError("QEMU has gone")
                    return await real(command, *args, **more)  # type: ignore[arg-type]

            broken = Broken(guest.qmp._client, "QEMU", None)
            with pytest.raises(QmpError, match="has gone") as caught:
                await set_live(broken, [change(IO0, "poll-max-ns", 1)])
            assert "could not be restored: /objects/io0: poll-max-ns" in caught.value.hint

    asyncio.run(main())
