"""What one look at configs and what they depend on tells from another."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from vmio.managers.proxmox.inventory import list_vms
from vmio.managers.proxmox.watch import look_at, read_state


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


@pytest.mark.parametrize(
    "name", ["storage.cfg", "nodes/a/host.toml", "nodes/a/versions.txt", "nodes/a.toml"]
)
def test_look_notices_facts_that_come_later(name: str, tmp_path: Path) -> None:
    """A node's facts or a storage.cfg may be put there while somebody watches."""
    folder = tmp_path / "nodes" / "a" / "qemu-server"
    folder.mkdir(parents=True)
    (folder / "1.conf").touch()
    vms = list_vms([str(tmp_path)])
    before = look_at(vms, ())
    assert look_at(vms, ()).shared == before.shared
    (tmp_path / name).touch()
    assert look_at(vms, ()).shared != before.shared


def test_look_takes_a_config_for_no_fact(tmp_path: Path) -> None:
    """One more config in a folder is no reason to check all others."""
    folder = tmp_path / "qemu-server"
    folder.mkdir()
    (folder / "1.conf").touch()
    before = look_at(list_vms([str(tmp_path)]), ())
    (folder / "2.conf").touch()
    after = look_at(list_vms([str(tmp_path)]), ())
    assert after.shared == before.shared
    assert list(after.configs) == [str(folder / "1.conf"), str(folder / "2.conf")]
