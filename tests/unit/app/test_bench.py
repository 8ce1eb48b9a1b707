"""How a running guest is reached for a benchmark, by who manages it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from vmio.app import ps
from vmio.app.bench import prepare_live_bench
from vmio.bench.in_guest import AgentSocket, DomainAgent
from vmio.errors import CapabilityError
from vmio.host.running import QemuProcess
from vmio.managers.discovery import Monitor, RunningGuest, RunningGuests
from vmio.managers.owners import Manager
from vmio.model.controller import Controller
from vmio.model.disk import Backing, Disk
from vmio.model.iothread import IOThread
from vmio.model.topology import AttachedDisk, Topology

UUID = "18cf170e-b8ec-469c-84af-bf6f0add100c"
PORT = b"-device\0virtserialport,chardev=c,name=org.qemu.guest_agent.0\0"
DISK = Disk(
    id="vda", bus="virtio", index=0, media="disk", backing=Backing(filename="/x", format="raw")
)


def make_guest(
    folder: Path, manager: Manager, port: bytes = PORT, uuid: str = UUID
) -> RunningGuest:
    """Returns a guest with an agent's port, whose monitor is its own where nobody manages it."""
    command = b"kvm\0-chardev\0socket,id=c,path=/run/a,server=on,wait=off\0" + port
    return RunningGuest(
        process=QemuProcess(
            pid=21,
            started_ticks=7,
            inner_pid=21,
            owner=0,
            stopped=False,
            cgroup="",
            command=command,
        ),
        manager=manager,
        id="4",
        name="web",
        uuid=uuid,
        uptime_s=5,
        monitors=(
            Monitor(
                protocol="qmp",
                transport="unix",
                address=str(folder / "q"),
                state="free",
                access="any" if manager == "none" else "none",
            ),
        ),
        layout=Topology(
            iothreads=(IOThread(id="iothread1"),),
            controllers=(Controller(id="vd0", model="virtio-blk-pci", bus="virtio"),),
            disks=(AttachedDisk(disk=DISK, controller="vd0"),),
        ),
    )


@pytest.fixture(autouse=True)
def daemon(monkeypatch: pytest.MonkeyPatch) -> None:
    """A libvirt daemon that nobody speaks to here."""
    monkeypatch.setenv("LIBVIRT_DEFAULT_URI", "test:///here")
    monkeypatch.setattr("vmio.managers.libvirt.running.is_installed", lambda: True)


def show(monkeypatch: pytest.MonkeyPatch, guest: RunningGuest) -> None:
    """Makes it the only guest of this host."""
    monkeypatch.setattr(ps, "discover", lambda: RunningGuests(guests=(guest,)))


def test_agent_of_a_guest_of_ones_own_is_its_socket(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """There is nothing to be told."""
    show(monkeypatch, make_guest(tmp_path, "none"))
    inputs = prepare_live_bench("web", settings=["poll-max-ns=0"])
    assert inputs.live.agent == AgentSocket(pid=21, path=Path("/run/a"))
    assert inputs.note == ""


def test_domain_is_reached_by_its_daemon(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """And what libvirt notes about that is told."""
    guest = make_guest(tmp_path, "libvirt")
    show(monkeypatch, guest)
    inputs = prepare_live_bench("web", settings=["poll-max-ns=0"])
    assert inputs.live.agent == DomainAgent(uri="test:///here", guest=guest)
    assert "tainted" in inputs.note


@pytest.mark.parametrize(
    ("manager", "changed", "told"),
    [
        ("kubevirt", {}, "its monitor is its manager's alone"),
        ("proxmox", {}, "its monitor is its manager's alone"),
        ("none", {"port": b""}, "has no port for a guest agent"),
        ("libvirt", {"port": b""}, "has no port for a guest agent"),
        ("libvirt", {"uuid": ""}, "which domain it is is not known"),
    ],
)
def test_guest_that_cannot_be_reached_is_refused(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    manager: Manager,
    changed: Mapping[str, Any],
    told: str,
) -> None:
    """Before anything is asked."""
    show(monkeypatch, make_guest(tmp_path, manager, **changed))
    with pytest.raises(CapabilityError, match=told):
        prepare_live_bench("web", settings=["poll-max-ns=0"])
