"""What one look at configs and what they depend on tells from another."""

from __future__ import annotations

import json
import os
from pathlib import Path, PurePath

import pytest

from vmio.managers.proxmox.inventory import Found, list_vms
from vmio.managers.proxmox.watch import ConfigWatcher, State, read_state


def test_state_of_a_file_tells_every_change(tmp_path: Path) -> None:
    """Another size, another time or another file in its place is another state."""
    path = tmp_path / "1.conf"
    assert read_state(str(path)) is None
    path.write_text("a", encoding="utf-8")
    os.utime(path, ns=(1, 1))
    states = [read_state(str(path))]
    path.write_text("ab", encoding="utf-8")
    os.utime(path, ns=(1, 1))
    states.append(read_state(str(path)))
    os.utime(path, ns=(2, 2))
    states.append(read_state(str(path)))
    other = tmp_path / "new"
    other.write_text("cd", encoding="utf-8")
    os.utime(other, ns=(2, 2))
    other.rename(path)
    states.append(read_state(str(path)))
    assert len(set(states)) == 4


def make_watcher(root: Path) -> ConfigWatcher:
    """Returns one who looks at all configs of a tree, as of a running pmxcfs."""
    return ConfigWatcher(find=lambda: list_vms([str(root)]), root=root)


@pytest.mark.parametrize(
    "name", ["storage.cfg", "nodes/a/host.toml", "nodes/a/versions.txt", "nodes/a.toml"]
)
def test_look_notices_facts_that_come_later(name: str, tmp_path: Path) -> None:
    """A node's facts or a storage.cfg may be put there while somebody watches."""
    folder = tmp_path / "nodes" / "a" / "qemu-server"
    folder.mkdir(parents=True)
    (folder / "1.conf").touch()
    watcher = make_watcher(tmp_path)
    before = watcher.look(())
    assert watcher.look(()).shared == before.shared
    (tmp_path / name).touch()
    assert watcher.look(()).shared != before.shared


def test_look_takes_a_config_for_no_fact(tmp_path: Path) -> None:
    """One more config in a folder is no reason to check all others."""
    folder = tmp_path / "qemu-server"
    folder.mkdir()
    (folder / "1.conf").touch()
    watcher = make_watcher(tmp_path)
    before = watcher.look(())
    (folder / "2.conf").touch()
    after = watcher.look(())
    assert after.shared == before.shared
    assert list(after.configs) == [str(folder / "1.conf"), str(folder / "2.conf")]


@pytest.fixture(name="cluster")
def make_cluster(tmp_path: Path) -> Path:
    """Returns a folder that says of itself what pmxcfs does, with the VMs 1 and 2 on node a."""
    folder = tmp_path / "nodes" / "a" / "qemu-server"
    folder.mkdir(parents=True)
    for number in (1, 2):
        (folder / f"{number}.conf").write_text("name: old\n", encoding="utf-8")
    (tmp_path / ".version").write_text(
        '{\n"starttime": 1790000000,\n"vmlist": 2}', encoding="utf-8"
    )
    list_versions(tmp_path, {1: 1, 2: 2})
    return tmp_path


def list_versions(root: Path, versions: dict[int, int]) -> None:
    """Writes a `.vmlist`."""
    ids = {
        str(number): {"node": "a", "type": "qemu", "version": version}
        for number, version in versions.items()
    }
    text = json.dumps({"version": max(versions.values(), default=0), "ids": ids})
    (root / ".vmlist").write_text(text, encoding="utf-8")


def test_look_at_a_cluster_that_stays_lists_and_asks_for_no_config(
    cluster: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While `.vmlist` stays, a look costs the same however many VMs there are."""
    watcher = make_watcher(cluster)
    before = watcher.look(())
    asked: list[str] = []

    def note(path: str) -> State:
        asked.append(path)
        return read_state(path)

    def fail() -> tuple[Found, ...]:
        raise AssertionError("nobody needs to know")

    monkeypatch.setattr("vmio.managers.proxmox.watch.read_state", note)
    watcher.find = fail
    assert watcher.look(("vmio.toml",)).configs == before.configs
    assert asked == ["vmio.toml"]


def test_look_at_a_cluster_goes_by_the_versions_of_its_vms(cluster: Path) -> None:
    """A change within a second that keeps the length is one; a file's own time tells nothing."""
    watcher = make_watcher(cluster)
    before = watcher.look(())
    path = cluster / "nodes" / "a" / "qemu-server" / "1.conf"
    state = path.stat()
    path.write_text("name: new\n", encoding="utf-8")
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    list_versions(cluster, {1: 3, 2: 2})
    after = watcher.look(())
    changed = [name for name, seen in after.configs.items() if seen != before.configs[name]]
    assert changed == [str(path)]


def test_look_at_a_cluster_notices_vms_that_come_and_go(cluster: Path) -> None:
    """Each of them is in `.vmlist`, or no longer is."""
    watcher = make_watcher(cluster)
    watcher.look(())
    folder = cluster / "nodes" / "a" / "qemu-server"
    (folder / "1.conf").rename(folder / "3.conf")
    list_versions(cluster, {3: 3, 2: 2})
    assert [PurePath(path).name for path in watcher.look(()).configs] == ["2.conf", "3.conf"]


def test_look_takes_versions_for_new_when_pmxcfs_was_started_again(cluster: Path) -> None:
    """Then they begin anew, and the same one says nothing."""
    watcher = make_watcher(cluster)
    before = watcher.look(())
    (cluster / ".version").write_text('{"starttime": 1790000001}', encoding="utf-8")
    after = watcher.look(())
    assert all(after.configs[name] != before.configs[name] for name in before.configs)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"ids": {"1": 5}}', '{"ids": {"1": {}}}'])
def test_look_takes_a_list_that_makes_no_sense_for_none(cluster: Path, text: str) -> None:
    """Then files are told apart as they are anywhere else."""
    (cluster / ".vmlist").write_text(text, encoding="utf-8")
    watcher = make_watcher(cluster)
    before = watcher.look(())
    path = cluster / "nodes" / "a" / "qemu-server" / "1.conf"
    path.write_text("name: longer\n", encoding="utf-8")
    assert watcher.look(()).configs != before.configs


def test_look_at_configs_from_elsewhere_goes_by_their_files(cluster: Path, tmp_path: Path) -> None:
    """What `.vmlist` does not name changes without it; and so does what is in a copy of a tree."""
    other = tmp_path / "100.conf"
    other.write_text("name: a\n", encoding="utf-8")
    names = [str(cluster / "nodes"), str(other)]
    for root in (cluster, tmp_path / "pve"):
        watcher = ConfigWatcher(find=lambda: list_vms(names), root=root)
        before = watcher.look(())
        other.write_text(other.read_text() * 2, encoding="utf-8")
        after = watcher.look(())
        assert [path for path in names if after.configs.get(path) != before.configs.get(path)] == [
            str(other)
        ]


def test_look_leaves_no_file_open(cluster: Path) -> None:
    """One that is open when another takes its place would be shown to all under another name."""
    watcher = make_watcher(cluster)
    watcher.look(())
    opened = [os.path.realpath(link) for link in Path("/proc/self/fd").iterdir()]
    assert not [path for path in opened if path.startswith(str(cluster))]
