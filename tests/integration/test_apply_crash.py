"""A change of a config that is killed, starved or raced leaves the old file or the new one."""

from __future__ import annotations

import fcntl
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from vmio.errors import VmioError
from vmio.formats.proxmox.config import parse_config
from vmio.formats.proxmox.writer import set_setting
from vmio.managers.journal import KEPT, Journal
from vmio.managers.proxmox.node import Node
from vmio.managers.write import replace_config, write_config
from vmio.model.source import Source, apply_edits

REST = b"\n[PENDING]\nname: later\n\n[snap]\nname: then\n"
STATES = tuple(b"name: %s\n" % (letter * 3000) + REST for letter in (b"a", b"b"))
RUNS = 1000
NURSERY = f"""
import os, signal, sys, time
from pathlib import Path
from vmio.managers.proxmox.node import Node
from vmio.managers.write import replace_config

config, etc, locks, run, state = map(Path, sys.argv[1:])
node = Node(etc=etc, locks=locks, run=run, state=state)
states = {STATES!r}

def write(times):
    for _ in range(times):
        data = config.read_bytes()
        other = states[data == states[0]]
        replace_config(config, data, other, what="loop", node=node)

write(2)  # imports what each writer would import else
begin_s = time.monotonic()
write(2)
write_s = (time.monotonic() - begin_s) / 2
for share in sys.stdin:
    pid = os.fork()
    if not pid:
        try:
            write(100_000)
        finally:
            os._exit(1)
    time.sleep(float(share) * write_s)
    os.kill(pid, signal.SIGKILL)
    print(os.waitpid(pid, 0)[1], flush=True)
"""
"""Starts a writer for each line, and ends it after that share of the time that a change takes."""


@pytest.fixture(name="node")
def make_node(tmp_path: Path) -> Node:
    """Returns a node of its own."""
    (tmp_path / "pve" / "nodes" / "one" / "qemu-server").mkdir(parents=True)
    (tmp_path / "pve" / "local").symlink_to("nodes/one")
    return Node(
        etc=tmp_path / "pve",
        locks=tmp_path / "lock",
        run=tmp_path / "run",
        state=tmp_path / "state",
    )


@pytest.fixture(name="config")
def make_config(node: Node) -> Path:
    """Returns a VM's config on that node."""
    path = node.etc / "local" / "qemu-server" / "701.conf"
    path.write_bytes(STATES[0])
    return path


@pytest.fixture(name="nursery")
def start_nursery(config: Path, node: Node) -> Iterator[subprocess.Popen[str]]:
    """Starts what starts writers; to fork a process as small as that takes no time."""
    folders = (node.etc, node.locks, node.run, node.state)
    with subprocess.Popen(
        [sys.executable, "-c", NURSERY, config, *folders],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    ) as process:
        yield process


def kill_writer(nursery: subprocess.Popen[str], after: float) -> None:
    """Starts a process that goes on writing one state after the other, and ends it."""
    assert nursery.stdin is not None
    assert nursery.stdout is not None
    nursery.stdin.write(f"{after}\n")
    assert os.WIFSIGNALED(int(nursery.stdout.readline())), "the writer ended by itself"


def test_killed_runs_leave_the_old_file_or_the_new_one(
    config: Path, node: Node, nursery: subprocess.Popen[str]
) -> None:
    """A thousand writers are killed, and at each instant the file is whole and free."""
    chance = random.Random(701)  # noqa: S311 - for moments, not for secrets
    seen: set[bytes] = set()
    lock = node.locks / "lock-701.conf"
    leftovers = 0
    most = 2.0
    for number in range(RUNS):
        kill_writer(nursery, chance.uniform(0, most))
        # The disk may have become slower since the writing was timed.
        if number % 50 == 49 and len(seen) < len(STATES):
            most *= 2
        data = config.read_bytes()
        assert data in STATES
        seen.add(data)
        names = sorted(path.name for path in config.parent.iterdir())
        assert len(names) <= 2
        leftovers += len(names) - 1
        if lock.exists():
            with lock.open("a") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    assert seen == set(STATES), "no run came as far as writing"
    assert leftovers, "no run was killed while it wrote"
    other = STATES[config.read_bytes() == STATES[0]]
    applied = replace_config(config, config.read_bytes(), other, what="next", node=node)
    assert config.read_bytes() == other
    assert [path.name for path in config.parent.iterdir()] == ["701.conf"]
    journal = Journal(node.state, config.resolve())
    assert len(journal.entries()) <= KEPT
    assert applied.backup is not None
    assert {journal.read(entry) for entry in journal.entries()} <= set(STATES)


def test_writer_is_killed_before_and_after_every_call(config: Path, node: Node) -> None:
    """A change is ended at each of its system calls in turn; the next one works."""
    at = 0
    ended = False
    while not ended:
        at += 1
        config.write_bytes(STATES[0])
        pid = os.fork()
        if not pid:
            sys.addaudithook(_KillAt(at))
            try:
                replace_config(config, STATES[0], STATES[1], what="killed", node=node)
            finally:
                os._exit(0)
        _, status = os.waitpid(pid, 0)
        ended = os.WIFEXITED(status)
        assert config.read_bytes() == STATES[1] if ended else config.read_bytes() in STATES
    assert at > 10

    config.write_bytes(STATES[0])
    replace_config(config, STATES[0], STATES[1], what="next", node=node)
    assert [path.name for path in config.parent.iterdir()] == ["701.conf"]


class _KillAt:
    """Ends this process at the nth event that Python tells of: opening, renaming, removing."""

    def __init__(self, at: int) -> None:
        self.left = at

    def __call__(self, event: str, _: object) -> None:
        if event.partition(".")[0] in {"open", "os", "fcntl", "tempfile"}:
            self.left -= 1
            if not self.left:
                os.kill(os.getpid(), signal.SIGKILL)


def test_writers_at_the_same_time_lose_nothing(config: Path, node: Node) -> None:
    """Each of eight processes adds ten settings of its own, and all are there in the end."""
    children = []
    for child in range(8):
        pid = os.fork()
        if not pid:
            status = 1
            try:
                for number in range(10):
                    key = f"usb{child}" if number == 9 else f"unused{child * 10 + number}"
                    value = "spice" if number == 9 else f"local:vm-701-disk-{number}"
                    write_config(
                        config,
                        lambda source, key=key, value=value: _add(source, key, value),  # type: ignore[misc]
                        what=key,
                        node=node,
                    )
                status = 0
            finally:
                os._exit(status)
        children.append(pid)
    assert [os.waitpid(pid, 0)[1] for pid in children] == [0] * 8

    settings = parse_config(Source(name="701.conf", data=config.read_bytes())).main.settings()
    assert len(settings) == 1 + 8 * 10
    assert config.read_bytes().endswith(REST)


def _add(source: Source, key: str, value: str) -> bytes:
    config = parse_config(source)
    return apply_edits(source, [set_setting(config, config.main, key, value)])


@pytest.fixture(name="small")
def mount_small(tmp_path: Path) -> Iterator[Path]:
    """Mounts a file system of 64 KiB, where this account may."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = shutil.which("mount")
    if os.geteuid() != 0 or mount is None:
        pytest.skip("needs root to mount a small file system")
    done = subprocess.run(
        [mount, "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder], capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip("this host lets nobody mount a file system")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def test_full_disk_leaves_the_old_file(small: Path, node: Node) -> None:
    """Where there is no room for the new file, the old one stays and nothing beside it."""
    config = small / "701.conf"
    config.write_bytes(STATES[0])
    with (small / "ballast").open("wb", buffering=0) as ballast:
        try:
            while ballast.write(b"x" * 4096):
                pass
        except OSError:
            pass
    with pytest.raises(VmioError, match="No space left"):
        replace_config(config, STATES[0], STATES[1], what="test", node=node)
    assert config.read_bytes() == STATES[0]
    assert sorted(path.name for path in small.iterdir()) == ["701.conf", "ballast"]

    (small / "ballast").unlink()
    replace_config(config, STATES[0], STATES[1], what="test", node=node)
    assert config.read_bytes() == STATES[1]


def test_full_disk_under_the_backups_leaves_the_old_file(
    small: Path, config: Path, node: Node
) -> None:
    """Without room for a backup nothing is changed."""
    (small / "ballast").write_bytes(b"x" * (64 * 1024 - 4096))
    cramped = Node(etc=node.etc, locks=node.locks, run=node.run, state=small / "state")
    with pytest.raises(VmioError, match="cannot keep a backup"):
        replace_config(config, STATES[0], STATES[1], what="test", node=cramped)
    assert config.read_bytes() == STATES[0]


def test_read_only_file_system_leaves_the_old_file(small: Path, node: Node) -> None:
    """The error says what is the matter."""
    config = small / "701.conf"
    config.write_bytes(STATES[0])
    subprocess.run(["mount", "-o", "remount,ro", small], check=True)
    with pytest.raises(VmioError, match="Read-only file system"):
        replace_config(config, STATES[0], STATES[1], what="test", node=node)
    assert config.read_bytes() == STATES[0]


def test_account_without_permission_changes_nothing(tmp_path: Path) -> None:
    """Neither a folder nor a file that is not this account's to write is written."""
    nobody = 65534 if os.geteuid() == 0 else os.getuid()
    shared = Path(f"/dev/shm/vmio-test-{os.getpid()}")  # noqa: S108 - tmp_path is 0700
    if not shared.parent.is_dir():
        shared = tmp_path / "shared"
    shared.mkdir()
    try:
        config = shared / "701.conf"
        config.write_bytes(STATES[0])
        config.chmod(0o444)
        shared.chmod(0o555)
        for folder_mode in (0o555, 0o777):
            shared.chmod(folder_mode)
            assert _try_as(nobody, config, tmp_path) == "Permission denied"
            assert config.read_bytes() == STATES[0]
            assert [path.name for path in shared.iterdir()] == ["701.conf"]
    finally:
        shared.chmod(0o700)
        shutil.rmtree(shared)


def _try_as(user: int, config: Path, folder: Path) -> str:
    """Returns what an account is told that tries to write a config."""
    ours, theirs = os.pipe()
    pid = os.fork()
    if not pid:
        answer = "written"
        try:
            state = Path(f"/dev/shm/vmio-state-{os.getpid()}")  # noqa: S108 - as above
            if not state.parent.is_dir():
                state = folder / "state"
            if os.geteuid() == 0:
                os.setgroups([])
                os.setresgid(user, user, user)
                os.setresuid(user, user, user)
            node = Node(etc=folder / "none", state=state)
            try:
                replace_config(config, STATES[0], STATES[1], what="test", node=node)
            except VmioError as error:
                answer = error.message.rpartition(": ")[2]
            finally:
                shutil.rmtree(state, ignore_errors=True)
        finally:
            os.write(theirs, answer.encode())
            os._exit(0)
    os.close(theirs)
    with os.fdopen(ours) as pipe:
        answer = pipe.read()
    os.waitpid(pid, 0)
    return answer
