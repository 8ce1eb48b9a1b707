"""Command lines as a real QEMU runs them: what vmio reads in them is what the monitor reports."""

from __future__ import annotations

import asyncio
import shutil
import sys
from pathlib import Path
from socket import AF_UNIX, socket

import pytest

from vmio import app
from vmio.cli.main import main
from vmio.model.host import Host
from vmio.model.iothread import OTHER_PROCESS
from vmio.model.version import parse_version
from vmio.qemu.binary import find_qemu
from vmio.qemu.boot import Volumes
from vmio.qemu.live import compare, read_live
from vmio.qemu.process import QemuProcess

ROOT = Path(__file__).parents[2]

LINE = """
    -M {machine} -accel tcg -S -display none -nodefaults -smp 3
    -object iothread,id=io0,poll-max-ns=1000 -object iothread,id=io1
    -device virtio-scsi-pci,id=s0,iothread=io0 -device virtio-scsi-pci -device lsi -device ahci
    -device scsi-hd,drive=a,bus=s0.0,lun=3 -drive file=a,if=none,id=a,format=raw,cache=none
    -drive file=b,if=none,id=b,format=raw,cache.direct=on,aio=native -device scsi-hd,drive=b
    -drive file=c,if=none,id=c,format=raw,cache=directsync -device ide-hd,drive=c,id=disk-c
    -drive file=d,if=virtio,format=raw,detect-zeroes=on,cache=unsafe
    -blockdev driver=file,node-name=e0,filename=e,discard=unmap,cache.direct=on
    -blockdev driver=raw,node-name=e,file=e0 -global virtio-blk-pci.num-queues=2
    -device virtio-blk-pci,drive=e,id=disk-e,iothread=io1,addr=0x10
"""


@pytest.mark.parametrize("machine", ["pc", "q35"])
def test_layout_of_a_process_is_what_its_monitor_reports(
    machine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Buses, numbers and caches that QEMU chooses are those that vmio reads from pid:N."""
    monkeypatch.chdir(tmp_path)
    for name in "abcde":
        (tmp_path / name).write_bytes(bytes(1 << 20))

    async def run() -> tuple[str, ...]:
        argv = (str(find_qemu("x86_64")), *LINE.format(machine=machine).split())
        async with QemuProcess.start(argv) as process:
            said = app.load(f"pid:{process.pid}", host=Host())
            assert said.vm.problems == ()
            live = await read_live(process.qmp)
            # The monitor calls a device without an id by its place, vmio by its drive.
            places = {a.disk.volume: (a.controller, a.driver) for a in live.disks}
            for attached in app.lay_out(said).disks:
                assert places[attached.disk.volume] == (attached.controller, attached.driver)
            return tuple(
                line
                for line in compare(app.lay_out(said), live)
                if line.startswith(("disk-", "io"))
            )

    assert asyncio.run(run()) == ()


def test_disk_of_another_process_is_what_its_monitor_reports(tmp_path: Path) -> None:
    """A vhost-user-blk device that is connected is a disk that no thread of QEMU serves."""
    daemon = shutil.which("qemu-storage-daemon")
    if daemon is None:
        pytest.skip("needs qemu-storage-daemon")
    image, place = tmp_path / "a", tmp_path / "s"
    image.write_bytes(bytes(1 << 20))
    line = (
        f"{find_qemu('x86_64')} -M pc,memory-backend=m -accel tcg -S -display none -nodefaults"
        " -smp 2 -m 64 -object memory-backend-memfd,id=m,size=64M,share=on"
        f" -chardev socket,id=c,path={place} -device vhost-user-blk-pci,chardev=c,id=v"
    )

    async def run(listener: socket) -> tuple[str, ...]:
        number = listener.fileno()
        export = await asyncio.create_subprocess_exec(
            daemon,
            *("--blockdev", f"driver=file,filename={image},node-name=a", "--export"),
            "type=vhost-user-blk,id=e,node-name=a,writable=on,num-queues=2,addr.type=fd,"
            f"addr.str={number}",
            pass_fds=(number,),
        )
        try:
            async with QemuProcess.start(tuple(line.split())) as process:
                said = app.lay_out(app.load(f"pid:{process.pid}", host=Host()))
                live = await read_live(process.qmp)
                for topology in (said, live):
                    (disk,) = topology.disks
                    assert topology.served_by(disk) == (OTHER_PROCESS,)
                    assert (disk.disk.id, disk.disk.volume) == ("v", str(place))
                return compare(said, live)
        finally:
            export.terminate()
            await export.wait()

    with socket(AF_UNIX) as listener:
        listener.bind(str(place))
        listener.listen()
        assert asyncio.run(run(listener)) == ()


def test_monitor_tells_the_story_too(tmp_path: Path) -> None:
    """What a running QEMU reports of a disk is told from its file to the thread's number."""
    guest = app.load(
        str(ROOT / "examples" / "virtio-scsi-single" / "701.conf"),
        host=Host(qemu_version=parse_version("10.0.2")),
    )
    how, _ = app.choose_boot(accelerator="tcg", memory_mib=128)
    socket = tmp_path / "qmp"

    async def run() -> str:
        volumes = Volumes(scratch_bytes=1 << 20)
        async with app.boot(guest, how, volumes, qmp_socket=socket):
            vmio = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "vmio", "explain", f"qmp:{socket}", "scsi1"),
                stdout=asyncio.subprocess.PIPE,
            )
            out, _ = await vmio.communicate()
            assert vmio.returncode == 0
            return out.decode()

    out = asyncio.run(run())
    assert "controller  virtioscsi1 (virtio-scsi-pci), at pci.3:0x2" in out
    assert "thread      the IOThread iothread-virtioscsi1 (thread " in out


def test_verbs_take_a_process(capsys: pytest.CaptureFixture[str]) -> None:
    """The reference guest's process shows the layout that its config is planned to."""
    guest = app.load(
        str(ROOT / "examples" / "701.conf"), host=Host(qemu_version=parse_version("10.0.2"))
    )
    how, _ = app.choose_boot(accelerator="tcg", memory_mib=128)

    async def run() -> tuple[str, ...]:
        async with app.boot(guest, how, Volumes(scratch_bytes=1 << 20)) as (process, planned):
            side = f"pid:{process.pid}"
            for verb in ("show", "check", "explain"):
                with pytest.raises(SystemExit) as caught:
                    main((verb, side))
                assert caught.value.code in {0, 1}
            said = app.lay_out(app.load(side, host=Host()))
            live, _ = await app.verify(process, planned)
            return (*compare(planned, said), *compare(said, live))

    assert asyncio.run(run()) == ()
    out = capsys.readouterr().out
    assert "scsihw0 (virtio-scsi-pci)" in out
