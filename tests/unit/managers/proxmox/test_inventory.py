"""Which configs a file, a folder and a cluster's tree mean."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from vmio.managers.proxmox import inventory
from vmio.managers.proxmox.inventory import list_vms


def write(root: Path, *names: str) -> None:
    """Writes files of a line each, with their folders."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("cores: 1\n", encoding="utf-8")


def list_names(root: Path, *names: str) -> list[str]:
    """Returns the paths that are found, from a folder on, an error's with a mark."""
    found = list_vms([str(root / name) for name in names] or [str(root)])
    return [
        ("!" if one.error else "") + os.path.relpath(one.path, root).removesuffix(".conf")
        for one in found
    ]


@pytest.fixture
def cluster(tmp_path: Path) -> Path:
    """Returns the tree of a cluster of two nodes, with its links as Proxmox VE makes them."""
    root = tmp_path / "pve"
    write(
        root,
        "corosync.conf",
        "nodes/beta/qemu-server/9.conf",
        "nodes/alpha/qemu-server/100.conf",
        "nodes/alpha/qemu-server/99.conf",
        "nodes/alpha/lxc/105.conf",
        "nodes/alpha/priv/7.conf",
        "virtual-guest/cpu-models.conf",
    )
    (root / "local").symlink_to("nodes/alpha")
    (root / "qemu-server").symlink_to("nodes/alpha/qemu-server")
    (root / "lxc").symlink_to("nodes/alpha/lxc")
    return root


def test_cluster_has_each_vm_once_by_node_and_number(cluster: Path) -> None:
    """Links lead to the same VMs; containers, keys and other files are none."""
    assert list_names(cluster) == [
        "nodes/alpha/qemu-server/99",
        "nodes/alpha/qemu-server/100",
        "nodes/beta/qemu-server/9",
    ]
    assert [one.node for one in list_vms([str(cluster)])] == ["alpha", "alpha", "beta"]


def test_node_is_known_by_a_link_too(cluster: Path) -> None:
    """A folder or a file that is named by a link belongs to the node that it is really of."""
    (linked,) = list_vms([str(cluster / "qemu-server" / "99.conf")])
    assert linked.node == "alpha"
    assert linked.path == str(cluster / "qemu-server" / "99.conf")
    assert linked.folder == str(cluster / "nodes/alpha/qemu-server")
    assert [one.node for one in list_vms([str(cluster / "local")])] == ["alpha", "alpha"]


def test_arguments_keep_their_order_and_repeat_nothing(cluster: Path) -> None:
    """What is named first comes first, and what an earlier argument meant comes no more."""
    assert list_names(cluster, "nodes/beta", "qemu-server/100.conf", "nodes", "absent.conf") == [
        "nodes/beta/qemu-server/9",
        "qemu-server/100",
        "nodes/alpha/qemu-server/99",
        "absent",
    ]


def test_plain_folder_has_every_config(tmp_path: Path) -> None:
    """Where there is no qemu-server, other names count, too, below only numbers."""
    write(
        tmp_path, "web.conf", "20.conf", "3.conf", "x.txt", ".4.conf", "old/5.conf", "old/y.conf"
    )
    assert list_names(tmp_path) == ["3", "old/5", "20", "web"]


def test_plain_folder_has_every_domain(tmp_path: Path) -> None:
    """Saved domains count, other XML does not, and what cannot be read is told when it is."""
    texts = {
        "web.xml": "<!-- auto-generated -->\n<domain type='kvm'/>",
        "pom.xml": "<project/>",
        "snapshot.xml": "<domainsnapshot/>",
        "db.txt": "<domain/>",
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    os.mkfifo(tmp_path / "pipe.xml")
    (tmp_path / "link.xml").symlink_to("web.xml")
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "db.xml").write_text("<domain/>", encoding="utf-8")
    assert [found.path for found in list_vms([str(tmp_path)])] == [str(tmp_path / "link.xml")]


def test_backup_of_several_hosts_is_searched(tmp_path: Path) -> None:
    """A tree may be deep in a folder, and numbers beside it count while other names do not."""
    write(tmp_path, "day/etc/pve/nodes/a/qemu-server/1.conf", "2.conf", "resolv.conf")
    assert list_names(tmp_path) == ["2", "day/etc/pve/nodes/a/qemu-server/1"]


def test_links_are_not_followed_out_of_the_folder(tmp_path: Path) -> None:
    """What lies elsewhere is not searched; a config that does is said; loops end."""
    write(tmp_path, "elsewhere/qemu-server/1.conf", "here/2.conf")
    here = tmp_path / "here"
    (here / "out").symlink_to(tmp_path / "elsewhere")
    (here / "up").symlink_to(here)
    (here / "self").symlink_to("self")
    (here / "1.conf").symlink_to(tmp_path / "elsewhere/qemu-server/1.conf")
    (here / "3.conf").symlink_to("2.conf")
    found = list_vms([str(here)])
    assert [Path(one.path).name for one in found] == ["2.conf", "1.conf"]
    assert found[1].error is not None
    assert "is a link that leaves" in found[1].error.message
    (tmp_path / "named").symlink_to(here)
    assert len(list_vms([str(tmp_path / "named")])) == 2


def test_folder_without_configs_is_an_error(tmp_path: Path) -> None:
    """A folder that means nothing is a slip of the person who named it."""
    (found,) = list_vms([str(tmp_path)])
    assert found.error is not None
    assert f"there is no VM config in {tmp_path}" in found.error.message


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every folder")
def test_folder_that_cannot_be_read_does_not_stop_the_rest(cluster: Path) -> None:
    """It is an error of its own, after the configs."""
    folder = cluster / "nodes/beta/qemu-server"
    folder.chmod(0)
    try:
        assert list_names(cluster)[-1] == "!nodes/beta/qemu-server"
    finally:
        folder.chmod(0o700)


def test_failing_folder_does_not_stop_the_rest(
    cluster: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the system says of a folder, the others are listed."""
    scan = os.scandir

    def fail(path: str) -> object:
        if path.endswith("beta/qemu-server"):
            raise PermissionError(13, "Permission denied")
        return scan(path)

    monkeypatch.setattr(os, "scandir", fail)
    assert list_names(cluster) == [
        "nodes/alpha/qemu-server/99",
        "nodes/alpha/qemu-server/100",
        "!nodes/beta/qemu-server",
    ]


def test_search_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that is too deep, or that has too many files, is said and left out."""
    write(tmp_path, "/".join(["d"] * 20) + "/1.conf", "2.conf")
    found = list_vms([str(tmp_path)])
    assert found[-1].error is not None
    assert "too deep" in found[-1].error.message
    monkeypatch.setattr(inventory, "MAX_ENTRIES", 1)
    (only,) = list_vms([str(tmp_path)])
    assert only.error is not None
    assert "more than 1 files" in only.error.message


@pytest.mark.parametrize("name", ["-", "a\0b", "absent", "pid:x"])
def test_what_is_no_file_is_left_to_the_reader(name: str) -> None:
    """It is listed as it was named."""
    (found,) = list_vms([name, name])
    assert (found.path, found.folder, found.error) == (name, "", None)


def test_process_is_in_its_own_folder() -> None:
    """By that it is told from files, whose host may be any."""
    (found,) = list_vms(["pid:1"])
    assert (found.path, found.folder, found.node) == ("pid:1", "/proc/1", "")


def test_what_is_left_of_a_replaced_config_is_none(cluster: Path) -> None:
    """The old one that somebody reads still, and the new one that is being written, are no VMs."""
    before = list_names(cluster)
    names = (".fuse_hidden0000000100000001", ".100.conf.vmio-0.tmp", "100.conf.tmp.4711")
    write(cluster / "nodes" / "alpha" / "qemu-server", *names)
    assert list_names(cluster) == before
