"""VMs of a cluster's tree, found by number and by name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vmio.errors import InputError
from vmio.host.files import is_file
from vmio.managers.proxmox import find
from vmio.managers.proxmox.find import find_vm, find_vms


def write(root: Path, node: str, number: int, text: str = "cores: 1\n") -> Path:
    """Writes a VM's config."""
    path = root / "nodes" / node / "qemu-server" / f"{number}.conf"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def write_vmlist(root: Path, ids: object) -> None:
    """Writes what pmxcfs tells of its VMs."""
    (root / ".version").write_text('{"starttime": 1790000000}', encoding="utf-8")
    (root / ".vmlist").write_text(json.dumps({"version": 9, "ids": ids}), encoding="utf-8")


def list_found(root: Path) -> list[tuple[int, str]]:
    """Returns the numbers and nodes of what is found."""
    return [(vm.number, vm.node) for vm in find_vms(root)]


@pytest.fixture(name="cluster")
def make_cluster(tmp_path: Path) -> Path:
    """Returns a copy of a tree with two nodes, a container, and what is being replaced."""
    write(tmp_path, "beta", 99, "name: db1\n")
    write(tmp_path, "alpha", 172, "name: web1\n\n[PENDING]\nname: web2\n\n[old]\nname: web3\n")
    write(tmp_path, "alpha", 1000, "#name: web1\nname: web4\nname: web5\n")
    container = tmp_path / "nodes" / "alpha" / "lxc" / "200.conf"
    container.parent.mkdir()
    container.touch()
    for name in (".fuse_hidden0000000100000001", "172.conf.tmp.4711", "0.conf", "notes.txt"):
        (tmp_path / "nodes" / "alpha" / "qemu-server" / name).touch()
    (tmp_path / "local").symlink_to("nodes/alpha")
    return tmp_path


def test_vms_are_found_in_the_folders_of_their_nodes(cluster: Path) -> None:
    """They come in the order of their numbers, whatever their nodes are called."""
    assert list_found(cluster) == [(99, "beta"), (172, "alpha"), (1000, "alpha")]
    assert [vm.read_name() for vm in find_vms(cluster)] == ["db1", "web1", "web5"]
    assert find_vms(cluster / "nodes") == find_vms(cluster / "nowhere") == ()


def test_vms_are_those_that_pmxcfs_lists(cluster: Path) -> None:
    """Then no folder is looked into."""
    listed = {
        "172": {"node": "alpha", "type": "qemu", "version": 7},
        "200": {"node": "alpha", "type": "lxc", "version": 8},
        "99": {"node": "gamma", "type": "qemu", "version": 9},
    }
    write_vmlist(cluster, listed)
    assert list_found(cluster) == [(99, "gamma"), (172, "alpha")]


@pytest.mark.parametrize("ids", [None, [], 5, "172", {}])
def test_list_that_is_odd_is_none(cluster: Path, ids: object) -> None:
    """The folders tell then; a list of no VMs is one."""
    write_vmlist(cluster, ids)
    assert len(find_vms(cluster)) == (0 if ids == {} else 3)


@pytest.mark.parametrize("number", ["0", "-1", "1e3", "\u0661", "1" * 10, "", "../1"])
@pytest.mark.parametrize("node", ["a", "..", "a/b", "", "a" * 64])
def test_list_cannot_lead_out_of_the_tree(tmp_path: Path, number: str, node: str) -> None:
    """What is no number or no host's name is left out."""
    good = {"node": "a", "type": "qemu", "version": 1}
    write_vmlist(tmp_path, {number: good, "5": good | {"node": node}, "6": good})
    assert list_found(tmp_path) == [(5, "a")] * (node == "a") + [(6, "a")]


@pytest.mark.parametrize("listed", [False, True])
def test_vm_is_found_by_its_number(cluster: Path, *, listed: bool) -> None:
    """It is the same one with and without a list."""
    if listed:
        write_vmlist(cluster, {"172": {"node": "alpha", "type": "qemu", "version": 7}})
    vm = find_vm(cluster, "172")
    assert vm is not None
    assert (vm.number, vm.node) == (172, "alpha")
    assert vm.path == cluster / "nodes" / "alpha" / "qemu-server" / "172.conf"
    for text in ("171", "200", "0", "0172", "1" * 10, "\u0661"):
        assert find_vm(cluster, text) is None


def test_number_opens_no_config(cluster: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cluster of ten thousand guests is as quick as one of ten; nor is a list of them read."""
    monkeypatch.setattr(find, "read_source", refuse)
    monkeypatch.setattr(find, "read_vmlist", refuse)
    assert find_vm(cluster, "172") is not None
    assert find_vm(cluster, "173") is None


def refuse(_path: object) -> None:
    """Fails."""
    raise AssertionError("it is opened")


def test_vm_that_is_being_replaced_is_found(
    cluster: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has no name for a moment."""
    real = is_file
    missed: list[str] = []

    def miss(path: str) -> bool:
        if path.endswith("/172.conf") and not missed:
            missed.append(path)
            return False
        return real(path)

    monkeypatch.setattr(find, "is_file", miss)
    assert find_vm(cluster, "172") is not None


@pytest.mark.parametrize(
    ("name", "number"), [("web1", 172), ("web5", 1000), ("db1", 99), ("web4", None), ("b1", None)]
)
def test_vm_is_found_by_its_name(cluster: Path, name: str, number: int | None) -> None:
    """Its name is that of the VM itself, not a pending one, a snapshot's, or a part of it."""
    vm = find_vm(cluster, name)
    assert (vm.number if vm is not None else None) == number


@pytest.mark.parametrize("name", ["", "web2", "web3", "../172", "a\0b", "\ud800"])
def test_name_that_no_vm_has_finds_none(cluster: Path, name: str) -> None:
    """Whatever is in it."""
    assert find_vm(cluster, name) is None


def test_config_that_cannot_be_read_hides_no_other(cluster: Path) -> None:
    """It has no name."""
    write(cluster, "alpha", 101, "name: web1\0\n")
    (cluster / "nodes" / "alpha" / "qemu-server" / "102.conf").mkdir()
    vm = find_vm(cluster, "web1")
    assert vm is not None
    assert vm.number == 172
    assert [vm.read_name() for vm in find_vms(cluster)] == ["db1", "", "", "web1", "web5"]


def test_name_of_several_vms_is_refused_with_their_numbers(cluster: Path) -> None:
    """A person can name one of them then."""
    write(cluster, "beta", 173, "name: web1\n")
    with pytest.raises(InputError, match="'web1' names 2 VMs: 172 on alpha, 173 on beta"):
        find_vm(cluster, "web1")
    for number in range(2000, 2040):
        write(cluster, "beta", number, "name: web1\n")
    with pytest.raises(InputError, match="2017 on beta and 22 more"):
        find_vm(cluster, "web1")


def test_number_of_several_vms_is_refused(cluster: Path) -> None:
    """A folder with copies of two clusters may hold it twice."""
    write(cluster, "beta", 172)
    with pytest.raises(InputError, match="'172' names 2 VMs: 172 on alpha, 172 on beta"):
        find_vm(cluster, "172")
