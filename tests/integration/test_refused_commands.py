"""Command lines that vmio says QEMU refuses: a real QEMU does, and it takes those like them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from vmio import app
from vmio.errors import ToolError
from vmio.model.host import Host
from vmio.qemu.binary import find_qemu
from vmio.qemu.process import QemuProcess

ARGV = ("-accel", "tcg", "-S", "-nodefaults", "-display", "none")
DRIVE = "-drive file=a,if=none,id=a,format=raw"
NODE = "-blockdev driver=file,filename=a,node-name=a"
READ_ONLY = f"{NODE},read-only=on"
BLK = "-device virtio-blk-pci,drive=a"
SAME = "-drive file=a,if=none,id=b,format=raw"
SECOND = "-device virtio-blk-pci,drive=b"
SHARED = f"{BLK},share-rw=on"
CD = "-device virtio-scsi-pci -device scsi-cd,drive=a"
ABOVE = "-blockdev driver=raw,file=a,node-name=b -device virtio-blk-pci,drive=b"

REFUSED = (
    f"{DRIVE} {BLK} {BLK}",
    f"{DRIVE} {SHARED} {SHARED}",
    f"{DRIVE},media=cdrom {CD} -device scsi-cd,drive=a",
    f"{DRIVE} -device ide-hd,drive=a -device nvme,serial=x,drive=a",
    f"-drive file=a,if=virtio,id=a,format=raw {BLK}",
    f"-drive file=a,if=ide,id=a,format=raw {BLK}",
    f"-drive file=a,id=a,format=raw {BLK}",
    "-hda a -device virtio-blk-pci,drive=ide0",
    f"{DRIVE},node-name=n {BLK} -device virtio-blk-pci,drive=n",
    f"{NODE} {BLK} {BLK}",
    f"{NODE} {SHARED} {BLK}",
    f"{NODE} {BLK} {SHARED}",
    f"{NODE} {CD} {BLK}",
    f"{NODE} {CD} {SHARED}",
    f"{NODE} {BLK} {ABOVE}",
    f"{DRIVE} {SAME} {BLK} {SECOND}",
    f"{DRIVE},readonly=on {SAME} {BLK} {SECOND}",
    f"{DRIVE} {SAME},snapshot=on {BLK} {SECOND}",
    "-hda a -hdb a",
    "-hda a -cdrom a",
    "-device virtio-blk-pci,drive=a",
    "-device virtio-scsi-pci -device scsi-hd,drive=a",
    "-device nvme,serial=x,drive=a",
    "-device floppy,drive=a",
    "-object iothread,id=i -device vhost-scsi-pci,wwpn=naa.5001405324af0985,iothread=i",
    "-device vhost-user-blk-pci,chardev=c",
    f"{DRIVE} -device virtio-scsi-pci,id=s -device scsi-hd,drive=a,bus=t.0",
    *(f"-drive file=a,if=ide,format=raw,{each}" for each in ("addr=3", "boot=on", "serial=x")),
    *(f"-drive file=a,if=ide,format=raw,{each}=1" for each in ("cyls", "heads", "secs", "trans")),
)

TAKEN = (
    f"{DRIVE} {BLK}",
    "-drive file=a,if=virtio,id=a,format=raw -drive file=b,if=ide,id=b,format=raw",
    f"{NODE} {SHARED} {SHARED}",
    f"{NODE} {CD},share-rw=on {BLK}",
    f"{READ_ONLY} {BLK} {BLK} {CD}",
    f"{NODE} {CD} -device scsi-cd,drive=a",
    f"{DRIVE},readonly=on {SAME},readonly=on {BLK} {SECOND}",
    f"{DRIVE},snapshot=on {SAME},snapshot=on {BLK} {SECOND}",
    f"{DRIVE},file.locking=off {SAME},file.locking=off {BLK} {SECOND}",
    f"{DRIVE} {SAME} {SHARED} {SECOND},share-rw=on",
    f"{DRIVE} {SAME} {BLK}",
    "-drive if=none,id=a,media=cdrom -device ide-cd,drive=a",
)


def start(text: str) -> None:
    """Starts a QEMU and ends it.

    Raises:
        ToolError: QEMU refused.
    """

    async def run() -> None:
        argv = (str(find_qemu("x86_64")), *ARGV)
        async with QemuProcess.start((*argv, *text.split())):
            pass

    asyncio.run(run())


def read(folder: Path, text: str) -> set[str]:
    """Returns the kinds of problems that vmio sees in options."""
    path = folder / "line.args"
    path.write_text(f"qemu-system-x86_64 {text}\n")
    return {problem.kind for problem in app.load(str(path), host=Host()).vm.problems}


@pytest.fixture(autouse=True)
def images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets a test be where two images are."""
    monkeypatch.chdir(tmp_path)
    for name in "ab":
        (tmp_path / name).write_bytes(bytes(1 << 20))


@pytest.mark.parametrize("text", REFUSED)
def test_qemu_refuses_what_vmio_says_it_does(text: str, tmp_path: Path) -> None:
    """A drive that is taken or not there keeps the guest from starting."""
    assert read(tmp_path, text) & {"refused-option", "missing-reference"}
    with pytest.raises(ToolError, match="QEMU refused to start"):
        start(text)


@pytest.mark.parametrize("text", TAKEN)
def test_qemu_takes_what_vmio_is_silent_about(text: str, tmp_path: Path) -> None:
    """What devices may share is no problem."""
    assert read(tmp_path, text) == set()
    start(text)
