"""The layout that a running guest would have after a restart, found in its manager's config."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path

import pytest

from vmio.app.live import ConfiguredLayouts
from vmio.formats.base import ReadContext
from vmio.formats.qemu.layout import lay_out_command
from vmio.formats.qemu.reader import read_process_vm
from vmio.host.running import QemuProcess
from vmio.managers.discovery import RunningGuest
from vmio.managers.owners import Manager
from vmio.model.host import Host
from vmio.model.source import Source
from vmio.model.topology import Topology
from vmio.observe.sample import DiskSample, Sample
from vmio.observe.verdicts.settings import find_pending
from vmio.observe.verdicts.values import make_window

GOLDENS = Path(__file__).parents[2] / "golden" / "proxmox"
CONFIGS = sorted(
    each for each in GOLDENS.glob("*.conf") if "# snapshot: " not in each.read_text("utf-8")
)
"""Those whose command line is not of a snapshot."""
DOMAINS = sorted((GOLDENS.parent / "libvirt").glob("*.xml"))
PENDING = """
[PENDING]
delete: scsi2
scsi1: hddpool-data:vm-701-disk-1,aio=native,iothread=1,size=1T
scsihw: virtio-scsi-single
"""
"""What Proxmox VE keeps for the next start when a running guest is changed."""


def make_guest(
    command: str, *, manager: Manager = "proxmox", vmid: str = "100", name: str = "x"
) -> RunningGuest:
    """Returns a guest that runs with a command line."""
    words = shlex.split(command.replace("\\\n", " "))
    data = b"".join(word.encode() + b"\0" for word in words)
    vm = read_process_vm(Source(name="pid:5", data=data), ReadContext(host=Host())).vm
    process = QemuProcess(
        pid=5, started_ticks=1, inner_pid=5, owner=0, stopped=False, cgroup="", command=data
    )
    return RunningGuest(
        process=process,
        manager=manager,
        id=vmid,
        name=name,
        uptime_s=1.0,
        layout=lay_out_command(vm),
    )


def make_node(root: Path, config: Path, *, vmid: str = "100", more: str = "") -> Path:
    """Makes what /etc/pve of a node has of one VM, and returns the VM's config."""
    folder = root / "etc" / "pve" / "nodes" / "here" / "qemu-server"
    folder.mkdir(parents=True)
    (root / "etc" / "pve" / "qemu-server").symlink_to(folder)
    shutil.copy(GOLDENS / "storage.cfg", root / "etc" / "pve" / "storage.cfg")
    place = folder / f"{vmid}.conf"
    place.write_text(config.read_text(encoding="utf-8") + more, encoding="utf-8")
    return place


def list_pending(guest: RunningGuest, configured: Topology | None) -> dict[str, dict[str, object]]:
    """Returns what would be different after a restart, with its figures by name."""
    assert guest.layout is not None
    assert configured is not None
    disks = tuple(DiskSample(id=each.disk.id) for each in guest.layout.disks)
    before, after = (
        Sample(monotonic_ns=at, wall_ns=0, threads=(), disks=disks, monitor="answered")
        for at in (1, 2)
    )
    window = make_window(before, after, guest.layout, configured=configured)
    return {
        each.subject: {figure.name: figure.value for figure in each.evidence}
        for each in find_pending(window)
    }


def make_figures(setting: str, now: str, then: str) -> dict[str, object]:
    """Returns the figures of a setting that differs."""
    return {f"{setting} now": now, f"{setting} as configured": then}


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_guest_as_it_is_configured_waits_for_no_restart(config: Path, tmp_path: Path) -> None:
    """The command line of each config is that config's, as far as verdicts go."""
    vmid = config.stem if config.stem.isdecimal() else "100"
    make_node(tmp_path, config, vmid=vmid)
    command = config.with_name(f"{config.name}.cmd").read_text(encoding="utf-8")
    guest = make_guest(command, vmid=vmid)

    assert list_pending(guest, ConfiguredLayouts(root=tmp_path).find(guest)) == {}


@pytest.mark.parametrize("domain", DOMAINS, ids=lambda path: path.stem)
def test_domain_as_it_is_defined_waits_for_no_restart(domain: Path, tmp_path: Path) -> None:
    """Its disks have other names in libvirt than in QEMU."""
    place = tmp_path / "etc" / "libvirt" / "qemu" / "x.xml"
    place.parent.mkdir(parents=True)
    shutil.copy(domain, place)
    half = json.loads(domain.with_suffix(".json").read_text(encoding="utf-8"))
    words = [each if isinstance(each, str) else json.dumps(each) for pair in half for each in pair]
    guest = make_guest(shlex.join(("qemu-system-x86_64", *words)), manager="libvirt")

    assert list_pending(guest, ConfiguredLayouts(root=tmp_path).find(guest)) == {}


def test_changes_that_proxmox_keeps_for_the_next_start_are_configured(tmp_path: Path) -> None:
    """The section [PENDING] has what a person set while the guest ran."""
    make_node(tmp_path, GOLDENS / "701.conf", vmid="701", more=PENDING)
    guest = make_guest((GOLDENS / "701.conf.cmd").read_text(encoding="utf-8"), vmid="701")

    found = list_pending(guest, ConfiguredLayouts(root=tmp_path).find(guest))
    assert found == {
        "scsi0": make_figures("served by", "main loop", "iothread-virtioscsi0"),
        "scsi1": {
            **make_figures("served by", "main loop", "iothread-virtioscsi1"),
            **make_figures("aio", "io_uring", "native"),
            **make_figures("detect_zeroes", "unmap", "on"),
        },
        "scsi2": make_figures("disk", "present", "absent"),
    }


def test_config_is_read_again_when_it_has_changed(tmp_path: Path) -> None:
    """And is not known any more when it has gone."""
    place = make_node(tmp_path, GOLDENS / "701.conf", vmid="701")
    guest = make_guest((GOLDENS / "701.conf.cmd").read_text(encoding="utf-8"), vmid="701")
    configured = ConfiguredLayouts(root=tmp_path)
    first = configured.find(guest)
    assert first is not None
    assert configured.find(guest) is first
    place.write_text("memory: 512\nscsi0: none,media=cdrom\n")
    second = configured.find(guest)
    assert second is not None
    assert [each.disk.id for each in second.disks] == ["scsi0"]
    place.unlink()
    assert configured.find(guest) is None


@pytest.mark.parametrize("vmid", ["", "../100", ".", "..", "a\0b", "999"])
def test_hostile_name_finds_no_config(vmid: str, tmp_path: Path) -> None:
    """A guest's command line can say anything of its name."""
    make_node(tmp_path, GOLDENS / "701.conf")
    guest = make_guest("qemu-system-x86_64", vmid=vmid, name=vmid)

    assert ConfiguredLayouts(root=tmp_path).find(guest) is None


def test_config_that_cannot_be_read_is_not_known(tmp_path: Path) -> None:
    """`vmio check` is what tells of it."""
    place = make_node(tmp_path, GOLDENS / "701.conf")
    place.write_bytes(b"\0")

    assert ConfiguredLayouts(root=tmp_path).find(make_guest("qemu-system-x86_64")) is None
