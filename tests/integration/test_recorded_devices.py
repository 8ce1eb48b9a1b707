"""What is recorded of QEMU's devices, and what rules conclude from it, on the QEMU here."""

from __future__ import annotations

import runpy
import shlex
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from vmio.formats.base import ReadContext
from vmio.formats.qemu.catalogue import load_catalogue
from vmio.formats.registry import lay_out, read
from vmio.lint.engine import run
from vmio.lint.rule import Context
from vmio.model.host import Host
from vmio.model.source import Source
from vmio.model.version import QemuVersion
from vmio.qemu.binary import find_qemu, read_version

ROOT = Path(__file__).parents[2]
CATALOGUE = load_catalogue()
START = (
    "-machine pc -accel tcg -display none -nodefaults -monitor stdio -S"
    " -blockdev driver=null-co,node-name=n,read-zeroes=on -object iothread,id=io0"
)
REFUSING = ("CF020", "CF030", "CF031", "TH003")
OF_OTHER_TARGETS = {"loadparm"}
"""Properties that a device has for s390x alone."""


@cache
def find_version() -> QemuVersion:
    """Returns the version of the installed QEMU."""
    return read_version(find_qemu())


@cache
def record() -> Any:  # noqa: ANN401 - the tool's own
    """Returns what the installed QEMU says of its devices."""
    tool = runpy.run_path(str(ROOT / "tools" / "record_devices.py"))
    return tool["record"]((str(find_qemu()),))


def find_release() -> str:
    """Returns the recorded release of the installed QEMU's series."""
    releases = CATALOGUE.find_releases(find_version())
    if len(releases) != 1:
        pytest.skip(f"no release of QEMU {find_version()}'s series is recorded")
    return releases[0]


def test_installed_qemu_has_the_recorded_devices() -> None:
    """Devices, their other names, every property and the IOThread's are as they are recorded."""
    release, said = find_release(), record()
    names = {name for name in (*said.devices, *said.aliases) if not name.startswith("virtio-net")}
    assert CATALOGUE.list_devices("x86_64", release) == names
    for name, properties in said.devices.items():
        recorded = CATALOGUE.list_properties(name, release)
        assert properties <= recorded, name
        assert recorded - properties <= OF_OTHER_TARGETS, name
    assert CATALOGUE.list_iothread_properties(release) == said.iothread
    assert said.others <= CATALOGUE.others


def find_findings(line: str) -> list[str]:
    """Returns the codes of what rules refuse of a command line for the installed QEMU."""
    host = Host(qemu_version=find_version())
    source = Source(name="line", data=f"qemu-system-x86_64 {line}".encode())
    guest = read(source, ReadContext(host=host))
    context = Context(guest=guest, topology=lay_out(guest), host=host)
    return [found.code for found in run(context, select=REFUSING)]


def start(line: str) -> tuple[int, str]:
    """Returns the exit status and the errors of a QEMU that has a line's devices and ends."""
    argv = (str(find_qemu()), *shlex.split(f"{START} {line}"))
    done = subprocess.run(
        argv, input="quit\n", capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("-device ide-drive,drive=n", "CF030", "is not a valid device model name"),
        ("-device scsi-disk,drive=n", "CF030", "is not a valid device model name"),
        ("-device virtio-bkl-pci,drive=n", "CF030", "is not a valid device model name"),
        ("-device virtio-blk-ccw,drive=n", "CF030", "is not a valid device model name"),
        ('-device \'{"driver":"virtio-scsi-single"}\'', "CF030", "is not a valid device model"),
        ("-device virtio-blk-pci,drive=n,iothreads=io0", "CF031", ".iothreads' not found"),
        ("-device virtio-blk,drive=n,x-data-plane=on", "CF031", ".x-data-plane' not found"),
        ("-device virtio-scsi-pci,num-queues=2", "CF031", ".num-queues' not found"),
        ("-device virtio-net-pci,iothread=io0", "CF031", ".iothread' not found"),
        ("-device vhost-scsi-pci,wwpn=naa.600,iothread=io0", "", ".iothread' not found"),
        ("-device vhost-scsi-pci,wwpn=naa.600,ioeventfd=on", "CF031", ".ioeventfd' not found"),
        (
            "-chardev null,id=c -device vhost-user-blk-pci,chardev=c,iothread=io0",
            "",
            ".iothread' not found",
        ),
        ("-device nvme,drive=n,serial=s,iothread=io0", "", ".iothread' not found"),
        ("-device megasas,iothread=io0,id=m", "", ".iothread' not found"),
        (
            "-device virtio-blk-pci,drive=n,iothread-vq-mapping.0.iothread=io0",
            "CF031",
            ".iothread-vq-mapping.0.iothread' not found",
        ),
        (
            "-device virtio-blk-pci,drive=n -global virtio-blk-pci.x-data-plane=on",
            "CF031",
            "x-data-plane",
        ),
        ("-object iothread,id=io1,poll-max=1", "CF031", "poll-max"),
    ],
)
def test_qemu_refuses_what_is_reported(line: str, code: str, said: str) -> None:
    """A guest with it does not start, for the reason that the finding gives."""
    find_release()
    found = find_findings(line)
    # What the reader refuses already is not reported again.
    assert found == [code] or (code == "" and found in (["CF020"], ["CF031"]))
    status, errors = start(line)
    assert status != 0
    assert said in errors


@pytest.mark.parametrize(
    "line",
    [
        "-device virtio-blk-pci,drive=n,iothread=io0,noevent_idx,share-rw=on,bus=pci.0",
        "-device virtio-scsi,num_queues=2,iothread=io0 -device scsi-hd,drive=n,rotation_rate=1",
        "-device nvme,drive=n,serial=s -device lsi -device ahci,id=a -device pvscsi",
        "-device ide-hd,drive=n,bus=ide.0 -device megasas -global virtio-blk-pci.nosuch=1",
        "-object iothread,id=io1,poll-max-ns=0,aio-max-batch=4 -device virtio-blk,drive=n",
    ],
)
def test_qemu_takes_what_is_not_reported(line: str) -> None:
    """A guest with devices that none of the two rules speaks of starts."""
    assert find_findings(line) == []
    status, errors = start(line)
    assert status == 0, errors
