"""What a person types to name guests: what it stands for, and what is refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from vmio import app
from vmio.app.addresses import find_running
from vmio.errors import ConflictError, InputError, LibvirtError, UsageError, VmioError
from vmio.host import running
from vmio.host.running import RunningQemus
from vmio.managers.libvirt import find
from vmio.managers.proxmox import pmxcfs
from vmio.managers.proxmox.node import Node

CONFIG = "name: web1\nscsihw: virtio-scsi-single\nscsi0: local:172/a.raw,iothread=1\n"


@pytest.fixture(name="cluster")
def make_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Returns a cluster's tree with two VMs, which is this host's; the current folder is empty."""
    root = tmp_path / "pve"
    folder = root / "nodes" / "alpha" / "qemu-server"
    folder.mkdir(parents=True)
    (folder / "172.conf").write_text(CONFIG)
    (folder / "99.conf").write_text("name: db.example.org\n")
    (root / "local").symlink_to("nodes/alpha")
    monkeypatch.setattr(pmxcfs, "PVE", root)
    monkeypatch.setattr(find, "has_libvirt", lambda: False)
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    return root


def test_vm_is_found_by_its_number_and_by_its_name(cluster: Path) -> None:
    """Both stand for the config, whichever node it is on."""
    config = str(cluster / "nodes/alpha/qemu-server/172.conf")

    assert app.find_guest("172") == app.find_guest("web1") == config
    assert app.find_guest("db.example.org").endswith("/99.conf")
    assert app.find_guests(("99", "web1"))[1] == config
    assert app.open_guest("web1").vm.id == "172"


@pytest.mark.usefixtures("cluster")
@pytest.mark.parametrize("address", ["-", "./172", "172.conf", "web", "a b", "pid:7", "x/y"])
def test_other_addresses_stay_as_they_are(address: str) -> None:
    """A path is what it says, whether or not there is such a file."""
    assert app.find_guests((address,)) == (address,)


def test_empty_address_is_refused() -> None:
    """It is a script's unset variable, and as a path it would be the current folder."""
    for find_one in (app.find_guest, lambda address: app.find_guests((address,))):
        with pytest.raises(UsageError, match="'' names no guest"):
            find_one("")


def test_vm_comes_before_the_file_unless_something_is_written(cluster: Path) -> None:
    """A reader takes the VM; a writer says how to write either."""
    config = cluster / "nodes/alpha/qemu-server/172.conf"
    Path("172").write_text(CONFIG)

    assert app.find_guest("172") == str(config)
    assert app.find_guest("./172", writes=True) == "./172"
    assert app.find_guest("web1", writes=True) == str(config)
    with pytest.raises(UsageError, match="'172' is both a VM and a file here") as caught:
        app.find_guest("172", writes=True)
    assert caught.value.hint == f"./172 is the file, and {config} the VM"


@pytest.mark.parametrize("address", ["pid:7", "qmp:/nowhere"])
def test_running_guest_has_no_config_to_change(address: str) -> None:
    """It is refused before anything is opened, and the line says what would serve."""
    with pytest.raises(UsageError, match="has no config of its own to change") as caught:
        app.find_guests((address,), writes=True)
    assert caught.value.hint == "name its config, or the VM by its number"


def test_folder_is_no_address_of_one_guest(tmp_path: Path) -> None:
    """The line says which verbs take one."""
    with pytest.raises(UsageError, match="is a folder, and this takes one guest") as caught:
        app.find_guest(str(tmp_path))
    assert "vmio show and vmio check take folders" in caught.value.hint


def test_without_an_address_the_guests_are_those_of_the_cluster(
    cluster: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there is no cluster, one line says what can be named."""
    assert app.find_guests(()) == (str(cluster),)
    monkeypatch.setattr(pmxcfs, "PVE", cluster / "absent")
    with pytest.raises(UsageError, match="so name the guests") as caught:
        app.find_guests(())
    assert "pid:NUMBER" in caught.value.hint
    assert app.find_guests(("172",)) == ("172",)


def test_without_a_cluster_the_guests_are_the_qemus_of_this_host(
    cluster: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cluster's configs come first; what cannot be seen is told once; none can be written to."""
    said: list[str] = []
    monkeypatch.setattr(
        running, "find_qemus", lambda: RunningQemus(pids=(7, 12), unseen="some are hidden")
    )
    assert app.find_guests((), report=said.append) == (str(cluster),)
    assert said == []

    monkeypatch.setattr(pmxcfs, "PVE", cluster / "absent")
    assert app.find_guests((), report=said.append) == ("pid:7", "pid:12")
    assert said == ["some are hidden"]
    assert app.find_guests(("x.conf",), report=said.append) == ("x.conf",)
    with pytest.raises(UsageError, match="so name the configs"):
        app.find_guests((), writes=True, report=said.append)
    assert said == ["some are hidden"]


@pytest.fixture(name="domains")
def make_domains(monkeypatch: pytest.MonkeyPatch) -> dict[str, str | VmioError]:
    """Returns what this host's libvirt answers for names, which a test fills in."""
    answers: dict[str, str | VmioError] = {}

    def answer(name: str) -> str | None:
        found = answers.get(name)
        if isinstance(found, VmioError):
            raise found
        return found

    monkeypatch.setattr(find, "has_libvirt", lambda: True)
    monkeypatch.setattr(find, "find_domain", answer)
    return answers


def test_domain_is_found_by_its_name(cluster: Path, domains: dict[str, str | VmioError]) -> None:
    """A VM of the cluster comes first, and a writer refuses what both have."""
    config = str(cluster / "nodes/alpha/qemu-server/172.conf")
    domains["shop_1"] = "libvirt:qemu:///system/shop_1"
    domains["web1"] = "libvirt:qemu:///system/web1"

    assert app.find_guest("shop_1", writes=True) == domains["shop_1"]
    assert app.find_guest("web1") == config
    with pytest.raises(UsageError, match="both a VM of Proxmox VE and a domain") as caught:
        app.find_guest("web1", writes=True)
    assert caught.value.hint == f"{config} is the VM, and {domains['web1']} the domain"
    Path("shop_1").write_text("<domain/>")
    with pytest.raises(UsageError, match="both a VM and a file here"):
        app.find_guest("shop_1", writes=True)


@pytest.mark.usefixtures("cluster")
def test_daemon_that_does_not_answer_matters_for_its_domains_alone(
    domains: dict[str, str | VmioError],
) -> None:
    """Neither a VM of the cluster nor a file needs it."""
    for name in ("web1", "saved.txt", "shop"):
        domains[name] = LibvirtError("no daemon")
    Path("saved.txt").touch()

    assert app.find_guest("web1", writes=True).endswith("/172.conf")
    assert app.find_guest("saved.txt") == "saved.txt"
    with pytest.raises(LibvirtError):
        app.find_guest("shop")


@pytest.mark.parametrize("name", ["shop.xml", "101.conf", "./shop", "a b"])
def test_name_of_a_file_is_asked_of_no_daemon(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes time to import libvirt-python, and longer to connect."""
    monkeypatch.setattr(find, "has_libvirt", pytest.fail)
    assert app.find_guests((name,)) == (name,)


def test_libvirt_address_has_its_daemon() -> None:
    """One guest is required where a verb takes one."""
    assert app.find_guest("libvirt:test:///default/a b") == "libvirt:test:///default/a b"
    with pytest.raises(UsageError, match="is all domains of a libvirt"):
        app.find_guest("libvirt:test:///default/")


def test_name_of_several_vms_is_refused(cluster: Path) -> None:
    """A person has to say which one is meant."""
    (cluster / "nodes/alpha/qemu-server/173.conf").write_text(CONFIG)

    with pytest.raises(InputError, match="'web1' names 2 VMs: 172 on alpha, 173 on alpha"):
        app.find_guest("web1")


def test_process_of_a_config_is_found_where_its_node_keeps_it(cluster: Path) -> None:
    """It is told apart whether the VM runs here, stands still, or has no node here."""
    node = Node(etc=cluster, run=cluster.parent)
    config = app.find_guest("172")

    with pytest.raises(InputError, match="VM 172 is not running"):
        find_running(config, node)
    (node.run / "172.pid").write_text(f"{os.getpid()}\n")
    assert find_running(config, node) == f"pid:{os.getpid()}"
    for other in ("-", "pid:7", "./172.conf"):
        with pytest.raises(UsageError, match="name what to compare"):
            find_running(other, node)
    foreign = cluster / "nodes/beta/qemu-server/198.conf"
    foreign.parent.mkdir(parents=True)
    foreign.write_text(CONFIG)
    with pytest.raises(ConflictError, match="belongs to the node beta"):
        find_running(str(foreign), node)
