"""A running guest by its process or its monitor: checked, planned for, simulated and compared."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from subprocess import DEVNULL, Popen

import pytest

from vmio import app
from vmio.errors import InputError
from vmio.managers.proxmox import node as home
from vmio.managers.proxmox import pmxcfs
from vmio.qemu import threads
from vmio.qemu.boot import Volumes, place_volumes, render_boot
from vmio.testing import call

ROOT = Path(__file__).parents[2]
SHARED = ROOT / "examples" / "701.conf"


@pytest.fixture(name="guest")
def run_guest(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """Yields the addresses of a running guest: its process, and its monitor."""
    how, _ = app.choose_boot(accelerator="tcg")
    loaded = app.load(str(SHARED), host=app.read_host(None, binary=True))
    path = tmp_path / "qmp"
    with (
        place_volumes(app.lay_out(loaded), Volumes(scratch_bytes=1 << 20)) as placed,
        socket.socket(socket.AF_UNIX) as listener,
    ):
        # The socket is there before QEMU is, as libvirt does it.
        listener.bind(str(path))
        listener.listen()
        number = listener.fileno()
        monitor = f"socket,id=monitor,fd={number},server=on,wait=off"
        argv = [
            *render_boot(loaded.vm.machine, placed, how),
            *("-chardev", monitor, "-mon", "chardev=monitor,mode=control"),
        ]
        with Popen(argv, pass_fds=[number], stdin=DEVNULL, stdout=DEVNULL) as process:
            try:
                yield f"pid:{process.pid}", f"qmp:{path}"
            finally:
                process.kill()


def test_verbs_take_a_running_guest(
    guest: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    """By its monitor a guest is what it is by its process, and what runs is what is told."""
    by_monitor = app.open_guest(guest[1])
    assert by_monitor.vm == app.open_guest(guest[0]).vm
    assert [each.id for each in by_monitor.vm.disks] == ["scsi0", "scsi1", "scsi2"]
    for address in guest:
        assert call("check", address) == 1
        out = capsys.readouterr().out
        assert f"\n{guest[0]}:" in out
        assert call("show", address) == 0
        assert "main loop" in capsys.readouterr().out
        assert call("explain", address, "scsi0") == 0
        assert call("plan", address) == 0
        assert "IOThread" in capsys.readouterr().out
        assert call("simulate", address, "--requests", "100") == 0
        assert call("cmd", address) == 0
        assert "virtio-scsi-pci" in capsys.readouterr().out
    assert call("show", str(SHARED), guest[1], "--json") == 0
    shown = json.loads(capsys.readouterr().out)["data"]["guests"]
    assert [each["path"] for each in shown] == [str(SHARED), guest[0]]


def test_process_that_is_not_of_this_host_is_refused(
    guest: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line says which verbs a monitor alone serves."""
    monkeypatch.setattr(threads, "_find_owner", lambda _: None)

    with pytest.raises(InputError, match="is not a process of this host") as caught:
        app.open_guest(guest[1])
    assert caught.value.hint == "vmio show and vmio explain take what the monitor reports"


def test_vm_is_compared_with_its_own_process(
    guest: tuple[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What is configured and what runs are told apart by these words, whichever comes first."""
    root = tmp_path / "pve"
    config = root / "nodes" / "alpha" / "qemu-server" / "701.conf"
    config.parent.mkdir(parents=True)
    config.write_bytes(SHARED.read_bytes())
    (root / "storage.cfg").write_bytes((SHARED.parent / "storage.cfg").read_bytes())
    (root / "local").symlink_to("nodes/alpha")
    monkeypatch.setattr(pmxcfs, "PVE", root)
    monkeypatch.setattr(home, "Node", partial(home.Node, etc=root, run=tmp_path))

    (tmp_path / "701.pid").write_text(guest[0].removeprefix("pid:"))
    assert call("diff", "701", "--set", "qemu_version=10.0.2") == 1
    alone = capsys.readouterr().out
    assert call("diff", "701", guest[0], "--set", "qemu_version=10.0.2") == 1
    assert capsys.readouterr().out == alone
    first, *lines = alone.splitlines()
    assert first == f"configured: {config} → running: {guest[0]}"
    assert any(line.endswith(" configured but not running") for line in lines)
    assert not any(" only in " in line for line in lines)
    assert call("diff", guest[0], "701", "--set", "qemu_version=10.0.2") == 1
    assert capsys.readouterr().out.startswith(f"running: {guest[0]} → configured: {config}\n")
    assert call("diff", "701", "--json", "--set", "qemu_version=10.0.2") == 1
    data = json.loads(capsys.readouterr().out)["data"]
    for address in ("701", *guest):
        assert call("run", address, "--dry-run", "--scratch", "1M") == 0
        assert "virtio-scsi-pci" in capsys.readouterr().out
    assert (data["a"], data["b"]) == ("701", guest[0])
