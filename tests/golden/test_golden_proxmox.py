"""Configs beside the command lines that they come to.

701 and 601 are the reference guests, their lines as Proxmox VE itself prints them; the other
configs are the project's own, their lines checked against Proxmox's rules by hand.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from vmio import app
from vmio.formats.base import Guest, ReadContext
from vmio.formats.qemu.reader import read_command_vm
from vmio.model.host import Host
from vmio.model.source import Source
from vmio.model.topology import AttachedDisk

FOLDER = Path(__file__).parent / "proxmox"
CONFIGS = sorted(FOLDER.glob("*.conf"))


def load(config: Path) -> tuple[Guest, Host]:
    """Reads a golden config; its description says what of the host or the guest is different."""
    text = config.read_text(encoding="utf-8")
    overrides = re.findall(r"^# host: (.+)$", text, re.MULTILINE)
    snapshot = re.search(r"^# snapshot: (.+)$", text, re.MULTILINE)
    reference = config.stem.isdecimal()
    if reference:
        overrides.append("qemu_version=11.0.0")
    host = app.read_host(str(FOLDER / "host.toml"), overrides)
    guest = app.load(
        str(config),
        host=host,
        storage=str(FOLDER / "storage.cfg"),
        vmid=config.stem if reference else "100",
        snapshot=snapshot[1] if snapshot else None,
    )
    return guest, host


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_golden_command_line(config: Path) -> None:
    """A config comes to its command line, word for word."""
    guest, host = load(config)
    assert guest.vm.problems == ()
    expected = config.with_name(f"{config.name}.cmd").read_text(encoding="utf-8")
    assert app.emit(guest, host, pretty=True)[0] == expected.rstrip("\n")


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_command_line_says_what_was_planned(config: Path) -> None:
    """Reading a config's command line gives the very layout that the config is planned to."""
    guest, host = load(config)
    line = config.with_name(f"{config.name}.cmd")
    read = read_command_vm(Source(name=line.name, data=line.read_bytes()), ReadContext(host=host))
    # What lies on a Proxmox host, and holds bridges and USB controllers only.
    assert {problem.kind for problem in read.vm.problems} <= {"unread-config"}
    planned, said = app.lay_out(guest), app.lay_out(read)
    assert (said.iothreads, said.controllers) == (planned.iothreads, planned.controllers)
    assert said.vcpus == planned.vcpus
    for wanted, found in zip(planned.disks, said.disks, strict=True):
        assert describe(found) == describe(wanted)


def describe(attached: AttachedDisk) -> dict[str, object]:
    """Returns what of a disk stands on a command line; an empty drive has no cache there."""
    names = ["controller", "address", "driver"]
    if attached.disk.backing is not None:
        names += ["cache", "cache_direct", "cache_no_flush", "write_cache", "aio"]
        names += ["detect_zeroes"] if not attached.driver.endswith("-cd") else []
    disk = attached.disk
    told = {name: getattr(attached, name) for name in names}
    told |= {name: getattr(disk, name) for name in ("id", "bus", "index", "limits", "queues")}
    if disk.backing is not None and disk.backing.driver != "rbd":
        names = ["filename", "format", "driver", "parents"]
        told |= {name: getattr(disk.backing, name) for name in names}
    return told


def test_golden_configs_show_every_controller() -> None:
    """No kind of controller or bus is left without a golden."""
    text = "".join(path.read_text(encoding="utf-8") for path in FOLDER.glob("*.cmd"))
    for device in (
        "lsi,",
        "lsi53c810,",
        "megasas,",
        "pvscsi,",
        "virtio-scsi-pci,",
        "virtio-blk-pci,",
        "ahci,",
        "ide-hd,bus=ide.",
        "ide-cd,",
        "scsi-cd,",
        "scsi-hd,",
    ):
        assert f"-device '{device}" in text
