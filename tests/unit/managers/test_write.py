"""VM configs are written whole, under Proxmox VE's lock, and never when they must not be."""

from __future__ import annotations

import errno
import fcntl
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vmio.errors import ConflictError, InputError, OutputError, VmioError
from vmio.managers.journal import KEPT, Journal
from vmio.managers.proxmox.node import Node, find_qmp_socket, is_running
from vmio.managers.write import check_replaceable, replace_config, write_config
from vmio.model.source import Source
from vmio.values import replace

OLD = b"name: a\nscsihw: virtio-scsi-pci\n"
NEW = b"name: a\nscsihw: virtio-scsi-single\n"
REST = b"\n[PENDING]\nname: b\n\n[snap]\nname: c\n"


@pytest.fixture(name="node")
def make_node(tmp_path: Path) -> Node:
    """Returns a node of a cluster, all in a folder."""
    node = tmp_path / "pve" / "nodes" / "one" / "qemu-server"
    node.mkdir(parents=True)
    (tmp_path / "pve" / "nodes" / "two" / "qemu-server").mkdir(parents=True)
    (tmp_path / "pve" / "local").symlink_to("nodes/one")
    (tmp_path / "pve" / "qemu-server").symlink_to("local/qemu-server")
    (tmp_path / "run").mkdir()
    return Node(
        etc=tmp_path / "pve",
        locks=tmp_path / "lock",
        run=tmp_path / "run",
        state=tmp_path / "state",
        lock_timeout_s=0.1,
    )


@pytest.fixture(name="config")
def make_config(node: Node) -> Path:
    """Returns a VM's config as its administrator names it: by two symbolic links."""
    path = node.etc / "qemu-server" / "701.conf"
    path.write_bytes(OLD + REST)
    path.chmod(0o640)
    return path


def write(path: Path, node: Node, new: bytes = NEW + REST) -> None:
    """Writes a config that was just read."""
    replace_config(path, path.read_bytes(), new, what="test", node=node)


def list_names(path: Path) -> list[str]:
    """Returns what is in a file's folder."""
    return sorted(entry.name for entry in path.parent.iterdir())


def test_config_is_written_in_its_own_place(config: Path, node: Node) -> None:
    """The links stay links, the mode stays, and nothing lies beside the file."""
    write(config, node)

    assert config.read_bytes() == NEW + REST
    assert (node.etc / "qemu-server").is_symlink()
    assert config.stat().st_mode & 0o7777 == 0o640
    assert list_names(config) == ["701.conf"]
    assert [path.name for path in node.locks.iterdir()] == ["lock-701.conf"]


def test_link_to_a_config_stays_a_link(tmp_path: Path, node: Node) -> None:
    """A config that is a symbolic link itself is written where it leads to."""
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "701.conf").write_bytes(OLD)
    link = tmp_path / "701.conf"
    link.symlink_to("real/701.conf")

    write(link, node, NEW)

    assert link.is_symlink()
    assert (tmp_path / "real" / "701.conf").read_bytes() == NEW


def test_what_a_config_was_is_kept(config: Path, node: Node) -> None:
    """The old bytes are in a file of their own, with what was done and when beside them."""
    applied = replace_config(config, OLD + REST, NEW + REST, what="why", node=node)

    assert applied.changed
    assert applied.backup is not None
    assert applied.backup.read_bytes() == OLD + REST
    assert applied.backup.parent.stat().st_mode & 0o077 == 0
    about = json.loads(applied.backup.with_suffix(".json").read_text())
    assert about["what"] == "why"
    assert about["path"] == str(config.resolve())
    assert (about["before"], about["after"]) == (applied.before, applied.after)


def test_number_of_backups_is_bounded(config: Path, node: Node) -> None:
    """The newest are kept, and nothing that a killed run has left among them."""
    for number in range(KEPT + 3):
        write(config, node, b"name: n%d\n" % number + REST)
        (Journal(node.state, config.resolve()).folder / f".0000{number}").touch()
    write(config, node)

    journal = Journal(node.state, config.resolve())
    entries = journal.entries()
    assert [entry.number for entry in entries] == list(range(5, KEPT + 5))
    assert journal.read(entries[-1]) == b"name: n%d\n" % (KEPT + 2) + REST
    assert len(list(journal.folder.iterdir())) == 2 * KEPT


def test_damaged_backup_is_noticed(config: Path, node: Node) -> None:
    """What is no longer what was kept is not put back; an unreadable description hides nothing."""
    write(config, node)
    write(config, node, OLD + REST)
    journal = Journal(node.state, config.resolve())
    first, second = journal.entries()
    journal.locate(first).write_bytes(b"name: evil\n")
    journal.locate(second).with_suffix(".json").write_bytes(b'{"number": []')

    assert journal.entries() == (first,)
    with pytest.raises(InputError, match="damaged"):
        journal.read(first)


def test_writing_the_same_bytes_does_nothing(config: Path, node: Node) -> None:
    """No backup, no new file: not even the modification time changes."""
    before = config.stat()

    applied = replace_config(config, OLD + REST, OLD + REST, what="test", node=node)

    assert not applied.changed
    assert (config.stat().st_ino, config.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert not node.state.exists()


def test_config_that_changed_is_refused(config: Path, node: Node) -> None:
    """Neither a stale digest nor a change between reading and writing is written over."""
    with pytest.raises(ConflictError, match="has changed"):
        replace_config(config, OLD, NEW, what="test", node=node)

    def edit(_: Source) -> bytes:
        config.write_bytes(b"name: editor\n" + REST)
        return NEW + REST

    with pytest.raises(ConflictError, match="just been changed"):
        write_config(config, edit, what="test", node=node)
    assert config.read_bytes() == b"name: editor\n" + REST
    assert list_names(config) == ["701.conf"]


@pytest.mark.parametrize("lock", ["backup", "migrate", "bogus"])
def test_config_under_an_operation_is_refused(config: Path, node: Node, lock: str) -> None:
    """A config that carries `lock:` is not touched; a lock in a snapshot is none."""
    locked = b"lock: " + lock.encode() + b"\n" + OLD
    config.write_bytes(locked)
    with pytest.raises(ConflictError, match=f"lock: {lock}"):
        write(config, node, NEW)
    assert config.read_bytes() == locked

    config.write_bytes(OLD + b"\n[snap]\nlock: backup\n")
    write(config, node, NEW + b"\n[snap]\nlock: backup\n")
    assert config.read_bytes().startswith(NEW)


def test_lock_of_proxmox_is_waited_for(config: Path, node: Node) -> None:
    """While another process holds the VM's lock file nothing is written."""
    node.locks.mkdir()
    with (node.locks / "lock-701.conf").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(ConflictError, match="locked by another process"):
            write(config, node)
    write(config, node)
    assert config.read_bytes() == NEW + REST


def test_copy_is_locked_by_its_folder(tmp_path: Path, node: Node) -> None:
    """A config that is not a node's own needs no lock file, and leaves none."""
    path = tmp_path / "copies" / "701.conf"
    path.parent.mkdir()
    path.write_bytes(OLD)
    descriptor = os.open(path.parent, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    with pytest.raises(ConflictError, match="locked by another process"):
        write(path, node, NEW)
    os.close(descriptor)

    write(path, node, NEW)
    assert list_names(path) == ["701.conf"]
    assert not node.locks.exists()


def test_config_of_another_node_is_refused(config: Path, node: Node) -> None:
    """This node's lock says nothing about another node's guest, nor about what is no VM."""
    del config
    other = node.etc / "nodes" / "two" / "qemu-server" / "702.conf"
    other.write_bytes(OLD)
    with pytest.raises(ConflictError, match="node two"):
        write(other, node, NEW)
    storage = node.etc / "storage.cfg"
    storage.write_bytes(b"dir: local\n")
    with pytest.raises(ConflictError, match="not a VM config"):
        write(storage, node, NEW)


def test_running_guest_keeps_its_config(config: Path, node: Node, tmp_path: Path) -> None:
    """Migration and hotplug go by the main section, so it stays while the guest runs."""
    (tmp_path / "run" / "701.pid").write_text(f"{os.getpid()}\n")
    (tmp_path / "run" / "701.qmp").touch()
    assert find_qmp_socket(config, node) == tmp_path / "run" / "701.qmp"
    with pytest.raises(ConflictError, match="is running") as caught:
        write(config, node)
    assert "--commands" in caught.value.hint

    gone = replace(node, proc=tmp_path / "proc")
    assert find_qmp_socket(config, gone) is None
    write(config, gone)
    assert config.read_bytes() == NEW + REST


def test_unreadable_pid_file_counts_as_running(node: Node) -> None:
    """What cannot be told is not taken for a guest that is off."""
    (node.run / "701.pid").write_bytes(b"\xff")
    assert is_running("701", node)
    (node.run / "702.pid").mkdir()
    assert is_running("702", node)
    assert not is_running("703", node)


@pytest.mark.parametrize(
    "new", [NEW, NEW + b"\n[PENDING]\nname: x\n\n[snap]\nname: c\n", NEW + REST + b"x: y\n"]
)
def test_other_sections_are_never_touched(config: Path, node: Node, new: bytes) -> None:
    """A change that would lose a snapshot or a pending change is refused, whoever asks."""
    with pytest.raises(ConflictError, match="snapshots or pending"):
        write(config, node, new)
    assert config.read_bytes() == OLD + REST


def test_temporary_files_of_killed_runs_are_removed(config: Path, node: Node) -> None:
    """The next run takes away its own kind only."""
    folder = config.parent
    (folder / ".701.conf.vmio-deadbeef.tmp").touch()
    (folder / ".702.conf.vmio-deadbeef.tmp").touch()
    (folder / "701.conf.tmp.123").touch()

    write(config, node)

    assert list_names(config) == [".702.conf.vmio-deadbeef.tmp", "701.conf", "701.conf.tmp.123"]


def test_missing_or_odd_file_is_named(config: Path, node: Node, tmp_path: Path) -> None:
    """A config that has vanished, a folder and a pipe are input that cannot be read."""
    config.unlink()
    config.mkdir()
    os.mkfifo(tmp_path / "pipe")
    for path in (config, tmp_path / "pipe", tmp_path / "none.conf", Path("a\0b")):
        with pytest.raises(InputError):
            replace_config(path, OLD, NEW, what="test", node=node)


def test_config_that_vanishes_meanwhile_is_not_made_again(config: Path, node: Node) -> None:
    """A guest that is destroyed while its config is changed stays destroyed."""

    def edit(_: Source) -> bytes:
        config.unlink()
        return NEW + REST

    with pytest.raises(VmioError):
        write_config(config, edit, what="test", node=node)
    assert list_names(config) == []


def test_file_system_without_locks_is_written(
    config: Path, node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There the file is compared right before it is replaced, and nothing of others is removed."""

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    stray = config.parent / ".701.conf.vmio-deadbeef.tmp"
    stray.touch()
    monkeypatch.setattr(fcntl, "flock", refuse)
    write(config, node)
    assert config.read_bytes() == NEW + REST
    assert stray.exists()


CALLS = (
    *("open", "write", "fsync", "replace", "stat", "fchmod", "fchown", "unlink"),
    *("scandir", "fdopen", "mkdir", "fstat", "chmod", "rename"),
)


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EROFS, errno.EACCES])
def test_failure_of_any_call_leaves_old_or_new(
    config: Path, node: Node, monkeypatch: pytest.MonkeyPatch, name: str, code: int
) -> None:
    """Whichever call fails, and whichever time, the file is whole, and the next run works."""
    real: Callable[..., Any] = getattr(os, name)
    calls = 0
    fail_at = 0

    def fail(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - any call's own
        nonlocal calls
        calls += 1
        if calls == fail_at:
            raise OSError(code, os.strerror(code))
        return real(*arguments, **options)

    outcomes = set()
    for fail_at in range(1, 40):
        calls = 0
        config.write_bytes(OLD + REST)
        with monkeypatch.context() as patch:
            patch.setattr(os, name, fail)
            try:
                replace_config(config, OLD + REST, NEW + REST, what="test", node=node)
                written = True
            except VmioError:
                written = False
        data = config.read_bytes()
        assert data in {OLD + REST, NEW + REST}
        assert not written or data == NEW + REST
        outcomes.add(written)
        if calls < fail_at:
            break
    assert True in outcomes
    assert calls < fail_at

    config.write_bytes(OLD + REST)
    write(config, node)
    assert config.read_bytes() == NEW + REST
    assert list_names(config) == ["701.conf"]


def test_short_writes_are_gone_on_with(
    config: Path, node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file system that takes a byte at a time gets them all."""
    real = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: real(descriptor, data[:1]))
    write(config, node)
    assert config.read_bytes() == NEW + REST


def test_backup_that_cannot_be_kept_stops_the_change(config: Path, node: Node) -> None:
    """Without a backup nothing is written."""
    node.state.write_text("a file where the folder should be")
    with pytest.raises(OutputError, match="cannot keep a backup"):
        write(config, node)
    assert config.read_bytes() == OLD + REST


def test_write_that_failed_leaves_no_backup(
    config: Path, node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was not written over is no state to go back to."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(OutputError):
        write(config, node)
    assert Journal(node.state, config.resolve()).entries() == ()


def test_config_of_a_cluster_without_quorum_is_refused(config: Path, node: Node) -> None:
    """All that is told of it is a mode that lets nobody write, which would not stop root."""
    config.chmod(0o440)
    with pytest.raises(OutputError, match="the cluster has no quorum") as caught:
        write(config, node)
    assert "pvecm status" in caught.value.hint
    with pytest.raises(OutputError, match="the cluster has no quorum"):
        check_replaceable(config, OLD + REST, node=node)
    assert config.read_bytes() == OLD + REST
    assert list_names(config) == ["701.conf"]


def test_copy_that_nobody_may_write_has_nothing_to_do_with_quorum(
    tmp_path: Path, node: Node
) -> None:
    """It is refused as the file system would."""
    path = tmp_path / "701.conf"
    path.write_bytes(OLD)
    path.chmod(0o440)
    with pytest.raises(OutputError, match="Permission denied") as caught:
        write(path, node, NEW)
    assert caught.value.hint == ""


def list_opened(root: Path) -> list[str]:
    """Returns what this process has open in a folder."""
    links = Path("/proc/self/fd").iterdir()
    return [path for path in map(os.path.realpath, links) if path.startswith(str(root))]


def test_file_that_is_none_is_not_left_open(config: Path, node: Node) -> None:
    """A folder or a pipe in the place of a config is refused, and closed."""
    config.unlink()
    config.mkdir()
    with pytest.raises(InputError, match="not a plain file"):
        write_config(config, lambda old: old.data, what="test", node=node)
    config.rmdir()
    os.mkfifo(config)
    with pytest.raises(InputError, match="not a plain file"):
        write_config(config, lambda old: old.data, what="test", node=node)
    assert list_opened(node.etc) == []


def test_config_is_not_open_when_it_is_replaced(
    config: Path, node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In /etc/pve an open file would be renamed first, and be missing for those who read it."""
    real = os.replace
    opened: list[str] = []

    def note(*names: str, **folders: Any) -> None:  # noqa: ANN401 - as the call's own
        opened.extend(list_opened(node.etc))
        real(*names, **folders)

    monkeypatch.setattr(os, "replace", note)
    write(config, node)
    assert config.read_bytes() == NEW + REST
    assert set(opened) == {str(config.parent.resolve())}


def test_config_that_is_being_replaced_is_read_once_more(
    config: Path, node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has no name in /etc/pve for a moment."""
    real = os.open
    missed: list[str] = []

    def miss(name: str, *arguments: int, **options: Any) -> int:  # noqa: ANN401 - as above
        if name == config.name and not missed:
            missed.append(name)
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        return real(name, *arguments, **options)

    monkeypatch.setattr(os, "open", miss)
    replace_config(config, OLD + REST, NEW + REST, what="test", node=node)
    assert missed == [config.name]
    assert config.read_bytes() == NEW + REST
