"""A running guest by its process or its monitor: checked, planned for, simulated and compared."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from shutil import which
from subprocess import DEVNULL, Popen

import pytest

from vmio import app
from vmio.errors import InputError
from vmio.host import running
from vmio.host.running import RunningQemus
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


def test_verbs_take_all_guests_of_this_host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without an address and without a cluster they are the QEMUs that run, monitor or none."""
    monkeypatch.setattr(pmxcfs, "PVE", tmp_path / "absent")
    disk = "driver=null-co,node-name=d,size=1048576,read-zeroes=on"
    with ExitStack() as stack:
        argv = ["qemu-system-x86_64", "-S", "-nodefaults", "-display", "none", "-accel", "tcg"]
        argv += ["-m", "16", "-blockdev", disk, "-device", "virtio-blk,drive=d"]
        names = [[], ["-name", "guest=web1,debug-threads=on"], ["-name", "\x1b[2Jdb"]]
        guests = [start(stack, [*argv, *name]) for name in names]
        fake = start(stack, ["qemu-system-x86_64", "60"], executable="sleep")
        pids = [each.pid for each in guests]

        assert set(map("pid:{}".format, pids)) <= set(app.find_guests(()))
        assert f"pid:{fake.pid}" not in app.find_guests(())
        # What else runs on this host is not of this test.
        found = RunningQemus(pids=tuple(pids))
        monkeypatch.setattr(running, "find_qemus", lambda: found)
        assert call("check") in {0, 1}
        assert "3 files" in capsys.readouterr().err
        for verb in ("show", "explain", "plan", "cmd"):
            assert call(verb) in {0, 1}
            out = capsys.readouterr().out
            assert all(f"pid:{pid}" in out for pid in pids), verb
            assert "web1" in out
            assert "\x1b" not in out
        assert call("show", "--json") == 0
        shown = json.loads(capsys.readouterr().out)["data"]["guests"]
        assert [each["vm"] for each in shown][:2] == [f"pid:{pids[0]}", f"pid:{pids[1]} web1"]
        assert call("explain", "--json") == 0
        told = json.loads(capsys.readouterr().out)["data"]["guests"]
        assert [len(each["disks"]) for each in told] == [1, 1, 1]
        for option in ("--compare", "--diff", "-oplan.json"):
            assert call("plan", option) == 2
            assert "is for one VM: name it" in capsys.readouterr().err
        guests[0].kill()
        guests[0].wait()
        assert call("show") == 3  # one has ended since it was found
        assert f"there is no process {pids[0]}" in capsys.readouterr().out


def start(stack: ExitStack, argv: list[str], *, executable: str | None = None) -> Popen[bytes]:
    """Runs a program until the test's end, whatever its first word says."""
    process = stack.enter_context(
        Popen(argv, executable=executable and which(executable), stdin=DEVNULL, stdout=DEVNULL)
    )
    stack.callback(process.kill)
    return process
