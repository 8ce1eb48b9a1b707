"""Which domain a running guest is, and its layout."""

from __future__ import annotations

import pytest

from vmio.errors import InputError
from vmio.host.running import QemuProcess
from vmio.managers.discovery import RunningGuest
from vmio.managers.libvirt import running
from vmio.managers.libvirt.running import find_daemon, lay_out_text
from vmio.managers.owners import Manager

UUID = "14809507-6231-4df5-b757-980937d676ce"
XML = b"""
<domain type='kvm' id='3'><name>web</name><os><type machine='q35'>hvm</type></os><devices>
<disk type='file'><source file='/a'/><target dev='vda' bus='virtio'/></disk></devices></domain>
"""


def make_guest(
    *, manager: Manager = "libvirt", number: str = "3", uuid: str = UUID
) -> RunningGuest:
    """Returns a guest that runs."""
    process = QemuProcess(
        pid=5, started_ticks=1, inner_pid=5, owner=0, stopped=False, cgroup="", command=b""
    )
    return RunningGuest(
        process=process, manager=manager, id=number, name="web", uuid=uuid, uptime_s=1.0
    )


@pytest.mark.parametrize(
    ("guest", "lacks", "uri", "told"),
    [
        (make_guest(), "", "qemu:///session", ""),
        (make_guest(), "is_installed", "", "pip install 'vmio[libvirt]'"),
        (make_guest(), "has_libvirt", "", "no daemon of it is found here"),
        (make_guest(number=""), "", "", "which domain it is is not known"),
        (make_guest(uuid="\udcff"), "", "", "which domain it is is not known"),
        (make_guest(manager="kubevirt"), "", "", "its manager's alone"),
    ],
)
def test_daemon_of_a_guest_is_the_one_that_is_meant(
    monkeypatch: pytest.MonkeyPatch, guest: RunningGuest, lacks: str, uri: str, told: str
) -> None:
    """Without one it is said why."""
    monkeypatch.setenv("LIBVIRT_DEFAULT_URI", "qemu:///session")
    for name in ("has_libvirt", "is_installed"):
        monkeypatch.setattr(running, name, lambda name=name: name != lacks)
    found, reason = find_daemon(guest)
    assert found == uri
    assert told in reason
    assert bool(reason) is not bool(found)


def test_layout_has_both_names_of_a_disk() -> None:
    """libvirt's, and that of its device, by which QEMU calls it."""
    layout = lay_out_text(XML, "web", libvirt_version="11.3.0")
    (disk,) = layout.disks
    assert (disk.disk.id, disk.qemu_id) == ("vda", "virtio-disk0")
    (renamed,) = layout.name_as_qemu().disks
    assert (renamed.disk.id, renamed.qemu_id) == ("virtio-disk0", "virtio-disk0")
    with pytest.raises(InputError):
        lay_out_text(b"<network/>", "web")
