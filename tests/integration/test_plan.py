"""Planned configs on a real QEMU: each disk is served by the thread that the plan says."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path

import pytest

from vmio import app
from vmio.formats.proxmox.layout import lay_out_config
from vmio.formats.proxmox.reader import ProxmoxGuest
from vmio.formats.shell import split_words
from vmio.model.host import Cpu, Host
from vmio.model.plan import Plan
from vmio.model.source import Source
from vmio.model.topology import AttachedDisk, Topology
from vmio.model.version import parse_version
from vmio.qemu.binary import find_qemu
from vmio.qemu.boot import Volumes, place_volumes, render_boot
from vmio.qemu.live import compare, read_live
from vmio.qemu.process import QemuProcess
from vmio.report.plan.words import describe_plan
from vmio.values import replace

EXAMPLES = Path(__file__).parents[2] / "examples"
HOST = Host(qemu_version=parse_version("10.0.2"), cpu=Cpu(count=8))
DRIVES = "scsi0: /dev/a,ssd=1\nscsi8: /dev/b\nvirtio0: /dev/c\nvirtio7: /dev/d\n"
MIXED = f"cores: 2\nscsihw: virtio-scsi-pci\n{DRIVES}"
EMULATED = f"cores: 2\nscsihw: lsi\n{DRIVES}"
SCSI = "cores: 2\nscsihw: virtio-scsi-pci\nscsi0: /dev/a\nscsi1: /dev/b,iothread=1\n"


def load(data: bytes) -> ProxmoxGuest:
    """Reads a config that lies where the example does."""
    source = Source(name=str(EXAMPLES / "701.conf"), data=data)
    guest = app.load_source(source, host=HOST)
    assert isinstance(guest, ProxmoxGuest)
    return guest


def carry_out(data: bytes, policy: str, host: Host = HOST) -> tuple[Plan, ProxmoxGuest]:
    """Returns a plan, and the guest with its changes made."""
    guest = load(data)
    plan = app.make_plan(guest, host, policy)
    return plan, load(app.preview_plan(guest, plan))


async def boot(guest: ProxmoxGuest) -> tuple[Topology, tuple[str, ...]]:
    """Boots what Proxmox VE would write with the config's args behind it, as Proxmox VE does."""
    how, _ = app.choose_boot(accelerator="tcg", memory_mib=128)
    args = tuple(split_words(guest.args))
    own = lay_out_config(guest, with_args=False)
    with place_volumes(own, Volumes(scratch_bytes=1 << 20)) as placed:
        argv = render_boot(guest.vm.machine, placed, replace(how, extra=args))
        async with QemuProcess.start(argv) as process:
            live = await read_live(process.qmp)
    return live, compare(replace(app.lay_out(guest), disks=_take_files(guest, placed)), live)


def _take_files(guest: ProxmoxGuest, placed: Topology) -> tuple[AttachedDisk, ...]:
    """Returns a guest's disks as they are planned, on the files that they were given here."""
    found = {each.disk.id: each for each in placed.disks}
    return tuple(
        replace(each, disk=found[each.disk.id].disk, aio=found[each.disk.id].aio)
        for each in app.lay_out(guest).disks
    )


def test_reference_guest_has_a_thread_for_each_disk() -> None:
    """VM 701 with its plan made has an IOThread for each disk, and QEMU says so."""
    plan, guest = carry_out((EXAMPLES / "701.conf").read_bytes(), "per-disk")
    live, differences = asyncio.run(boot(guest))
    assert differences == ()
    assert [live.served_by(each) for each in live.disks] == [
        plan.after.served_by(each) for each in plan.after.disks
    ]
    assert len({live.served_by(each) for each in live.disks}) == 3


@pytest.mark.parametrize("config", [MIXED, EMULATED, SCSI], ids=["mixed", "emulated", "scsi"])
@pytest.mark.parametrize("policy", ["per-disk", "shared", "pool:2", "ovirt:3", "vq-map:2"])
def test_planned_config_is_what_runs(config: str, policy: str) -> None:
    """With args as the plan writes them each disk has its planned thread."""
    _, guest = carry_out(config.encode(), policy)
    assert asyncio.run(boot(guest))[1] == ()


def test_pool_on_a_small_host_does_not_spin() -> None:
    """The parameters of the threads in args are in force."""
    small = Host(qemu_version=parse_version("10.0.2"), cpu=Cpu(count=2))
    _, guest = carry_out(f"{MIXED}virtio8: /dev/e\n".encode(), "auto", small)
    live, differences = asyncio.run(boot(guest))
    assert differences == ()
    assert [iothread.poll_max_ns for iothread in live.iothreads] == [0, 0]


@pytest.mark.parametrize("machine", ["pc", "q35"])
@pytest.mark.parametrize("scsihw", ["lsi", "megasas", "pvscsi"])
def test_controller_that_shows_the_driver_comes_to_any_guest(machine: str, scsihw: str) -> None:
    """What `vmio plan` has a person put into args fits behind Proxmox VE's own devices."""
    text = f"machine: {machine}\nscsihw: {scsihw}\nscsi0: /dev/a\nsata0: /dev/b\n"
    guest = load(text.encode())
    by_hand = describe_plan(guest, app.make_plan(guest, HOST)).steps[0].words.how
    probe = "-device virtio-scsi-pci,id=probe"
    assert f"--args '{probe}'" in by_hand
    live, differences = asyncio.run(boot(load(f"args: {probe}\n{text}".encode())))
    assert differences == ()
    assert [attached.disk.id for attached in live.disks] == ["scsi0", "sata0"]


def test_set_takes_no_mapping() -> None:
    """What `vmio plan` says of mapping queues by args is so: QEMU takes no list from -set."""
    done = subprocess.run(
        [
            *(str(find_qemu()), "-nodefaults", "-display", "none", "-machine", "pc", "-S"),
            *("-accel", "tcg", "-object", "iothread,id=vmio0"),
            *("-drive", "file=null-co://,if=none,id=d,format=raw"),
            *("-device", "virtio-blk-pci,id=virtio0,drive=d"),
            *("-set", 'device.virtio0.iothread-vq-mapping=[{"iothread":"vmio0"}]'),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    if "not found" in done.stderr:
        pytest.skip("this QEMU has no iothread-vq-mapping")
    assert done.returncode != 0
    assert "array" in done.stderr
