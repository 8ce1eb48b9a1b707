"""`vmio ps` on real QEMUs: each kind of monitor and manager, and what may not be looked at."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from shutil import copy, which
from signal import SIGKILL, SIGSTOP
from subprocess import DEVNULL, Popen

import pytest

from vmio.app.ps import list_running
from vmio.errors import ToolError
from vmio.managers.discovery import Monitor, RunningGuest, discover, open_guest_process
from vmio.testing import call

QEMU = which("qemu-system-x86_64") or ""
NOBODY = 65534
DISK: tuple[str, ...] = ("-blockdev", "driver=null-co,node-name=d,size=1048576,read-zeroes=on")
DISK += ("-object", "iothread,id=io1", "-device", "virtio-blk,drive=d,iothread=io1")
DISK += ("-drive", "file=null-co://,if=virtio,format=raw")
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")

Start = Callable[..., Popen[bytes]]


@pytest.fixture(name="start")
def make_start() -> Iterator[Start]:
    """Yields what runs a stopped guest until the test's end."""
    with ExitStack() as stack:

        def start(
            *words: str, before: Sequence[str] = (), fds: Sequence[int] = ()
        ) -> Popen[bytes]:
            argv = [*before, QEMU, "-S", "-nodefaults", "-display", "none", "-accel", "tcg"]
            process = stack.enter_context(
                Popen([*argv, "-m", "16", *words], pass_fds=fds, stdin=DEVNULL, stdout=DEVNULL)
            )
            stack.callback(process.kill)
            wait_for(Path(f"/proc/{process.pid}/cmdline").read_bytes)
            return process

        yield start


def wait_for(condition: Callable[[], object]) -> None:
    """Waits until something is true, which a guest needs a while for."""
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def find(pid: int) -> RunningGuest:
    """Returns a guest by its process."""
    return next(each for each in discover().guests if each.process.pid == pid)


def connect(path: Path) -> socket.socket:
    """Connects to a monitor once QEMU listens there, which is somewhat after its file is there."""
    client = socket.socket(socket.AF_UNIX)
    wait_for(lambda: client.connect_ex(str(path)) == 0)
    return client


def look(pid: int) -> Monitor:
    """Returns the best monitor of a guest."""
    monitor = find(pid).monitor
    assert monitor is not None
    return monitor


def test_guest_without_a_monitor_is_shown_by_its_command_line(start: Start) -> None:
    """Its name, disks and threads need no monitor."""
    pid = start("-name", "guest=web\x1b[2J", *DISK).pid
    guest = find(pid)

    assert (guest.manager, guest.id, guest.name) == ("none", "", "web\x1b[2J")
    assert guest.layout is not None
    assert (len(guest.layout.disks), len(guest.layout.iothreads)) == (2, 1)
    assert guest.monitors == ()
    assert guest.process.owner == os.geteuid()
    assert 0 <= guest.uptime_s < 600


def test_monitor_is_told_free_or_held_without_a_connection(start: Start, tmp_path: Path) -> None:
    """One that nobody uses is free; one client holds it, and a second one waits."""
    path = tmp_path / "qmp"
    pid = start("-qmp", f"unix:{path},server=on,wait=off").pid
    wait_for(lambda: look(pid).state == "free")
    assert look(pid).address == str(path)
    assert look(pid).access == "any"

    with connect(path) as client:
        assert b"QMP" in client.recv(4096)
        assert (look(pid).state, look(pid).waiting) == ("held", 0)
        with connect(path):
            assert (look(pid).state, look(pid).waiting) == ("held", 1)
    wait_for(lambda: look(pid).state == "free")
    # The look itself left no trace: the next client is greeted at once.
    with connect(path) as client:
        assert b"QMP" in client.recv(4096)


def test_monitor_is_its_own_guests_one_where_a_name_is_not_unique(
    start: Start, tmp_path: Path
) -> None:
    """Relative names are one name in the kernel's list, and the same file can be made again."""
    guests, clients = [], []
    with ExitStack() as stack:
        for name in ("a", "b"):
            folder = tmp_path / name
            folder.mkdir()
            with pytest.MonkeyPatch.context() as patch:
                patch.chdir(folder)
                guests.append(start("-qmp", "unix:qmp,server=on,wait=off").pid)
                wait_for((folder / "qmp").exists)
        clients.append(stack.enter_context(connect(tmp_path / "b" / "qmp")))
        assert b"QMP" in clients[0].recv(4096)

        assert [look(pid).state for pid in guests] == ["free", "held"]
        assert look(guests[0]).address == str(tmp_path / "a" / "qmp")
        (tmp_path / "a" / "qmp").unlink()
        assert look(guests[0]).state == "absent"
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(tmp_path / "a")
            third = start("-qmp", "unix:qmp,server=on,wait=off").pid
            wait_for(Path("qmp").exists)
        assert [look(pid).state for pid in (*guests, third)] == ["free", "held", "free"]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_port_is_told_free_or_held(host: str, start: Start) -> None:
    """By the kernel's list of ports, whichever family QEMU listens in."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    pid = start("-qmp", f"tcp:{host}:{port},server=on,wait=off").pid
    wait_for(lambda: look(pid).state == "free")
    assert look(pid).address == f"{host}:{port}"

    with socket.create_connection((host, port)) as client:
        assert b"QMP" in client.recv(4096)
        assert (look(pid).state, look(pid).waiting) == ("held", 0)
        with socket.create_connection((host, port)):
            assert (look(pid).state, look(pid).waiting) == ("held", 1)
    wait_for(lambda: look(pid).state == "free")


def test_guest_of_proxmox_is_told_by_its_files(start: Start, tmp_path: Path) -> None:
    """Its monitor may be visited; one that its args add is nobody else's, so the better one."""
    run = tmp_path / "qemu-server"
    run.mkdir()
    events = socket.socket(socket.AF_UNIX)
    with events:
        events.bind(str(tmp_path / "qmeventd.sock"))
        events.listen()
        words = ["-name", "web1", "-pidfile", f"{run}/901.pid"]
        words += ["-chardev", f"socket,id=qmp,path={run}/901.qmp,server=on,wait=off"]
        words += ["-mon", "chardev=qmp,mode=control"]
        words += ["-chardev", f"socket,id=qmp-event,path={tmp_path}/qmeventd.sock,reconnect-ms=50"]
        words += ["-mon", "chardev=qmp-event,mode=control"]
        pid = start(*words).pid
        wait_for(lambda: look(pid).state == "free")
        guest = find(pid)

        assert (guest.manager, guest.id, guest.name) == ("proxmox", "901", "web1")
        told = [(each.access, each.state) for each in guest.monitors]
        assert told == [("brief", "free"), ("none", "outgoing")]
        assert [each.process.pid for each in list_running(["901"]).guests] == [pid]
        assert [each.process.pid for each in list_running([f"qmp:{run}/901.qmp"]).guests] == [pid]
        words[3], words[5] = (word.replace("901", "902") for word in (words[3], words[5]))
        both = start(*words, "-qmp", f"unix:{tmp_path}/own,server=on,wait=off").pid
        wait_for(lambda: look(both).state == "free")
        assert (look(both).access, look(both).address) == ("any", f"{tmp_path}/own")
        assert find(both).id == "902"


def test_guest_of_libvirt_is_found_and_its_monitor_left_alone(
    start: Start, tmp_path: Path
) -> None:
    """Its daemon gives QEMU a socket that listens, and holds the only connection."""
    folder = tmp_path / "domain-3-db"
    folder.mkdir()
    (folder / "master-key.aes").write_bytes(b"0" * 32)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "monitor.sock"))
        listener.listen(1)
        key = {"qom-type": "secret", "id": "masterKey0", "format": "raw"}
        words = ["-name", "guest=db,debug-threads=on"]
        words += ["-object", json.dumps(key | {"file": f"{folder}/master-key.aes"})]
        chardev = f"socket,id=charmonitor,fd={listener.fileno()},server=on,wait=off"
        words += ["-chardev", chardev, "-mon", "chardev=charmonitor,id=monitor,mode=control"]
        pid = start(*words, fds=[listener.fileno()]).pid
    with connect(folder / "monitor.sock") as client:
        assert b"QMP" in client.recv(4096)
        guest = find(pid)

    assert (guest.manager, guest.id, guest.name) == ("libvirt", "3", "db")
    assert guest.monitor == Monitor(
        protocol="qmp",
        transport="fd",
        address=str(folder / "monitor.sock"),
        state="held",
        access="none",
    )


@needs_root
def test_guest_in_another_pid_namespace_has_both_numbers(start: Start, tmp_path: Path) -> None:
    """It is addressed by this host's number, and its manager knows it by its own."""
    words = ("-qmp", f"unix:{tmp_path}/qmp,server=on,wait=off")
    parent = start(*words, before=["unshare", "-pfn", "--mount-proc"])
    wait_for((tmp_path / "qmp").exists)
    (guest,) = list_running([f"qmp:{tmp_path}/qmp"]).guests

    assert guest.process.pid != parent.pid
    assert guest.process.inner_pid == 1
    # It has a network namespace of its own, whose sockets this process does not see.
    assert str(tmp_path) not in Path("/proc/net/unix").read_text()
    assert guest.monitor is not None
    assert guest.monitor.state == "free"
    os.kill(guest.process.pid, SIGKILL)


def test_process_that_ended_is_not_mistaken_for_another(start: Start) -> None:
    """A guest that has ended is not listed, and its folder is not opened for a later process."""
    process = start()
    guest = find(process.pid)
    with open_guest_process(guest) as folder:
        assert os.readlink("exe", dir_fd=folder).endswith("qemu-system-x86_64")
    process.send_signal(SIGSTOP)
    wait_for(lambda: find(process.pid).process.stopped)
    process.kill()
    process.wait()

    assert process.pid not in [each.process.pid for each in discover().guests]
    with pytest.raises(ToolError, match="there is no process"), open_guest_process(guest):
        pass
    reused = guest.process.started_ticks - 1
    own = RunningGuest(
        process=type(guest.process)(
            pid=os.getpid(),
            started_ticks=reused,
            inner_pid=os.getpid(),
            owner=0,
            stopped=False,
            cgroup="",
            command=b"",
        ),
        manager="none",
        id="",
        name="",
        uptime_s=0,
    )
    with pytest.raises(ToolError, match="there is no process"), open_guest_process(own):
        pass


def test_guests_that_come_and_go_do_no_harm(tmp_path: Path) -> None:
    """Two hundred processes start and end while the host is looked at again and again."""
    program = tmp_path / "qemu-system-x86_64"
    copy(which("sleep") or "", program)
    script = 'for i in $(seq 200); do "$0" 0.$((RANDOM % 9)) & done; wait'
    with Popen(["bash", "-c", script, program]) as starter:
        most = 0
        while starter.poll() is None:
            found = [each for each in discover().guests if b"0." in each.process.command]
            most = max(most, len(found))
        assert starter.wait() == 0
    assert most > 0


@needs_root
def test_other_user_sees_what_needs_no_right(start: Start, tmp_path: Path) -> None:
    """Names, layouts and monitors with a path are public; what is not is told once."""
    path = tmp_path / "qmp"
    first = start("-name", "a", "-qmp", f"unix:{path},server=on,wait=off", *DISK).pid
    with connect(path) as client, socket.socket(socket.AF_UNIX) as listener:
        client.recv(4096)
        listener.bind(str(tmp_path / "other"))
        listener.listen()
        number = listener.fileno()
        chardev = f"socket,id=m,fd={number},server=on,wait=off"
        words = ("-chardev", chardev, "-mon", "chardev=m,mode=control")
        second = start(*words, fds=[number]).pid
        wait_for(lambda: look(second).state == "free")
        told = run_as_nobody(first, second)

    assert told["states"] == ["held", "unknown"]
    assert told["disks"] == [2, 0]
    said = "the monitor of a guest cannot be looked at; root sees all"
    assert told["unseen"] == [said]


def run_as_nobody(*pids: int) -> dict[str, object]:
    """Returns what a child of another user finds of guests."""
    discover()  # imports everything, which another user may not be able to read
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        with suppress(BaseException):
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            found = discover()
            guests = [each for pid in pids for each in found.guests if each.process.pid == pid]
            told = {
                "states": [each.monitor.state if each.monitor else "" for each in guests],
                "disks": [len(each.layout.disks) if each.layout else -1 for each in guests],
                "unseen": found.unseen,
            }
            os.write(writing, json.dumps(told).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        data = pipe.read()
    os.waitpid(child, 0)
    told = json.loads(data)
    assert isinstance(told, dict)
    return told


HIDDEN = """
import os, subprocess, sys
from vmio.managers.discovery import discover
hidden = f"hidepid={sys.argv[1]}"
subprocess.run(["mount", "-t", "proc", "-o", hidden, "proc", "/proc"], check=True)
qemu = subprocess.Popen([*sys.argv[2:], "-S", "-nodefaults", "-display", "none", "-M", "none"])
while not (seen := len(discover().guests)):
    pass
os.setgroups([]), os.setgid(65534), os.setuid(65534)
found = discover()
print(seen, len(found.guests), found.unseen)
"""


@needs_root
@pytest.mark.parametrize(
    ("hidepid", "said"),
    [
        ("1", "('a process of other users cannot be looked at; root sees all guests',)"),
        ("2", "('/proc hides the processes of other users; root sees all guests',)"),
    ],
)
def test_hidden_processes_are_told_of(hidepid: str, said: str) -> None:
    """In a PID namespace with a /proc of its own, which hides other users' processes."""
    words = [sys.executable, "-c", HIDDEN, hidepid, QEMU]
    done = subprocess.run(
        ["unshare", "-pfm", "--kill-child", "--mount-proc", *words],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == f"1 0 {said}\n", done.stderr


def test_list_is_printed(start: Start, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """For people and for programs; an address that means no guest is an error beside the rest."""
    words = ("-name", "we\x1b[2Jb", "-uuid", "6f0c8b1e-9f2b-4f1d-a3a4-0a5ad9f7c7a1", *DISK)
    pid = start(*words, "-qmp", f"unix:{tmp_path}/qmp,server=on,wait=off").pid
    wait_for((tmp_path / "qmp").exists)

    assert call("ps", f"pid:{pid}") == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "\x1b" not in out
    assert r"we\x1b[2Jb" in out
    assert "by hand" in out
    assert "free" in out
    assert call("ps", f"pid:{pid}", "absent-guest", f"pid:{os.getpid()}", "--json") == 3
    out, err = capsys.readouterr()
    assert "no guest that is seen to run here is called 'absent-guest'" in err
    assert f"process {os.getpid()} is not a QEMU" in err
    (guest,) = json.loads(out)["data"]["guests"]
    assert (guest["pid"], guest["disks"], guest["main_loop_disks"]) == (pid, 2, 1)
    assert guest["monitors"][0]["state"] == "free"
    assert call("ps", "6f0c8b1e-9f2b-4f1d-a3a4-0a5ad9f7c7a1") == 0
    assert f"pid:{pid}" in capsys.readouterr().out
