"""Every verb takes the number and the name of a VM of this host's cluster."""

from __future__ import annotations

import json
import os
from functools import partial
from pathlib import Path

import pytest

from vmio.app import missing
from vmio.host import command, running
from vmio.host.running import RunningQemus
from vmio.managers.proxmox import node as home
from vmio.managers.proxmox import pmxcfs
from vmio.managers.proxmox.find import VmPlace
from vmio.testing import call

CONFIG = "name: web1\nscsihw: virtio-scsi-pci\nscsi0: local-lvm:vm-172-disk-0,iothread=1\n"


@pytest.fixture(name="config")
def make_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Returns the config of a VM of a cluster's tree, which is this host's."""
    root = tmp_path / "pve"
    config = root / "nodes" / "alpha" / "qemu-server" / "172.conf"
    config.parent.mkdir(parents=True)
    config.write_text(CONFIG)
    (root / "storage.cfg").write_text("lvmthin: local-lvm\n\tvgname pve\n\tthinpool data\n")
    (config.parent.parent / "host.toml").write_text('schema = 1\nqemu_version = "10.0.2"\n')
    monkeypatch.setattr(pmxcfs, "PVE", root)
    monkeypatch.setattr(
        home, "Node", partial(home.Node, etc=root, run=tmp_path, locks=tmp_path / "locks")
    )
    (root / "local").symlink_to("nodes/alpha")
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    return config


@pytest.mark.parametrize("vm", ["172", "web1"])
@pytest.mark.parametrize(
    "words",
    [
        ("show",),
        ("explain",),
        ("check",),
        ("plan",),
        ("cmd",),
        ("simulate", "--requests", "100"),
        ("apply", "--policy", "auto", "--commands"),
    ],
    ids=lambda words: words[0],
)
def test_verb_takes_a_vm(
    words: tuple[str, ...], vm: str, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is printed is what the path of its config gives."""
    verb, *options = words
    statuses = [call(verb, each, *options) for each in (vm, str(config))]
    out, err = capsys.readouterr()

    assert statuses[0] == statuses[1] in {0, 1}, err
    half = len(out) // 2
    assert out[:half] == out[half:]


@pytest.mark.usefixtures("config")
def test_findings_of_a_vm_are_recorded(capsys: pytest.CaptureFixture[str]) -> None:
    """The baseline holds for the VM, whatever it is called by."""
    assert call("baseline", "web1", "-o", "known.json") == 0
    assert call("check", "172", "--baseline", "known.json", "-q") == 0
    assert capsys.readouterr().out == ""


def test_writer_refuses_what_is_ambiguous(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A config is not changed before it is clear which one is meant."""
    Path("172").write_text(CONFIG)

    for words in (("apply", "--policy", "auto", "172", "--yes"), ("check", "--fix", "172"), ("undo", "172")):  # fmt: skip # noqa: E501
        assert call(*words) == 2
        assert "'172' is both a VM and a file here" in capsys.readouterr().err
    assert config.read_text() == Path("172").read_text() == CONFIG
    assert call("check", "172", "-q") == 1


def test_vm_is_changed_and_put_back_by_its_name(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Apply, check --fix and undo go to the config in its tree."""
    assert call("apply", "--policy", "auto", "web1", "--yes") == 0
    assert "virtio-scsi-single" in config.read_text()
    assert call("undo", "--list", "web1") == 0
    assert str(config) in capsys.readouterr().out
    assert call("undo", "web1", "--yes") == 0
    assert config.read_text() == CONFIG


def test_vm_that_does_not_run_is_compared_with_nothing(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its config alone is no comparison, and neither is a copy's."""
    assert call("diff", "172") == 3
    assert "VM 172 is not running" in capsys.readouterr().err
    Path("172.conf").write_text(config.read_text())
    assert call("diff", "172.conf") == 2
    assert "name what to compare 172.conf with" in capsys.readouterr().err
    (config.parents[4] / "172.pid").write_text(f"{os.getpid()}")
    assert call("diff", "172") == 3
    assert f"process {os.getpid()} is not a QEMU" in capsys.readouterr().err


@pytest.mark.usefixtures("config")
def test_show_without_a_vm_lists_those_of_the_cluster(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line a disk says what serves it and what is ignored."""
    assert call("show") == 0
    out = capsys.readouterr().out
    assert "172 web1" in out
    assert "vm-172-disk-0" in out
    assert "main loop" in out
    monkeypatch.setattr(pmxcfs, "PVE", Path("absent"))
    assert call("show") == 2
    assert "so name the guests" in capsys.readouterr().err


def test_layouts_of_a_tree_are_told_as_json(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A guest that cannot be read says why, the others are there, and the status is its own."""
    (config.parent / "200.conf").write_bytes(b"\xff\xff")
    (config.parent / "201.conf").mkdir()
    (config.parent / "202.conf").symlink_to("/nowhere")

    assert call("show", str(pmxcfs.PVE), "172", "--json") == 3
    document = json.loads(capsys.readouterr().out)
    guests = {guest["path"].rpartition("/")[2]: guest for guest in document["data"]["guests"]}

    assert document["kind"] == "layouts"
    assert guests["172.conf"]["node"] == "alpha"
    assert guests["172.conf"]["layout"]["disks"][0]["in_main_loop"]
    assert guests["172.conf"]["error"] is None
    assert guests["202.conf"]["layout"] is None
    assert "202.conf" in guests["202.conf"]["error"]


VERBS = [("show",), ("explain",), ("check",), ("plan",), ("cmd",), ("diff",), ("simulate",), ("run",), ("apply", "--policy", "auto")]  # fmt: skip # noqa: E501


@pytest.mark.usefixtures("config")
@pytest.mark.parametrize("words", VERBS, ids=lambda words: words[0])
def test_mistyped_vm_is_told_which_ones_there_are(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """The nearest VMs are named, and what else a guest can be named by; a path says it itself."""
    for typed in ("wbe1", "WEB2", "171", "1722"):
        assert call(*words, typed) == 3
        err = capsys.readouterr().err
        assert f"cannot read {typed}: there is no such VM or file here" in err
        assert "hint: 172 web1; a guest is named by its file or folder, " in err
    assert call(*words, "elsewhere") == 3
    assert "hint: a guest is named by" in capsys.readouterr().err
    for typed in ("./99.conf", "99.conf", "wbe1/", "x/wbe1"):
        assert call(*words, typed) in {2, 3}
        assert "a guest is named by" not in capsys.readouterr().err


def test_mistyped_guest_that_runs_is_told_its_process(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where there is no cluster, the guests that run are named by what stands for them."""
    words = {7: ("kvm", "-name", "guest=web1"), 8: ("kvm", "-name", "db"), 9: ("kvm", "-S")}
    monkeypatch.setattr(running, "find_qemus", lambda: RunningQemus(pids=(*words, 10)))
    monkeypatch.setattr(command, "read_qemu_words", lambda pid: words[int(pid[4:])])
    words[10] = ("kvm", "-name", "\x1b[2J")

    assert call("show", "wbe1") == 3
    err = capsys.readouterr().err
    assert "cannot read wbe1: there is no such file here" in err
    assert "hint: pid:7 web1 runs here; a guest is named by" in err
    assert call("show", "elsewhere") == 3
    assert "hint: pid:7 web1 runs here, pid:8 db runs here; a guest" in capsys.readouterr().err


def test_names_of_a_large_cluster_are_looked_at_within_bounds(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """So many configs are read for a mistyped name, and a name that is none is not compared."""
    monkeypatch.setattr(missing, "_MOST_CANDIDATES", 5)
    for number in range(200, 220):
        (config.parent / f"{number}.conf").write_text(f"name: {'x' * 300} {number}\n")
    read: list[Path] = []

    def read_name(vm: VmPlace) -> str:
        read.append(vm.path)
        return "x" * 300

    monkeypatch.setattr(VmPlace, "read_name", read_name)

    assert call("explain", "wbe1.") == 3
    assert len(read) == 5
    assert "xxx" not in capsys.readouterr().err


def test_plan_that_is_not_there_is_told_what_one_is(capsys: pytest.CaptureFixture[str]) -> None:
    """A VM's name in the place of a plan says how a VM is named there."""
    assert call("apply", "web1") == 3
    assert "hint: vmio plan VM -o FILE writes a plan; --policy auto" in capsys.readouterr().err


@pytest.mark.usefixtures("config")
def test_address_that_is_nearly_one_is_told_what_was_meant(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A config without its ending, a process without its number, a prefix that there is not."""
    Path("800.conf").write_text(CONFIG)
    for typed in ("800", "./800"):
        assert call("show", typed) == 3
        err = capsys.readouterr().err
        assert f"cannot read {typed}: there is no such VM or file here" in err
        assert f"hint: {typed}.conf is a file here" in err
    assert call("show", "PID:7") == 3
    assert "hint: a guest is named by" in capsys.readouterr().err
    assert call("show", "pid:") == 2
    assert "hint: as in pid:4711" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (("explain",), "172 web1, as planned\nscsi0  "),
        (("check",), "172.conf:"),
        (("plan",), "172 web1"),
        (("cmd",), "qemu-server/172.conf\n/usr/bin/kvm -id 172 "),
    ],
    ids=lambda words: words[0],
)
def test_verb_without_a_vm_takes_those_of_the_cluster(
    words: tuple[str, ...],
    shown: str,
    config: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Also where guests run besides, and one that cannot be read stops no other."""
    monkeypatch.setattr(running, "find_qemus", lambda: RunningQemus(pids=(7,)))
    assert call(*words) in {0, 1}
    assert shown in capsys.readouterr().out
    (config.parent / "173.conf").write_bytes(b"\xff\xff")
    (config.parent / "171.conf").symlink_to("/nowhere")
    assert call(*words) == 3
    out, err = capsys.readouterr()
    assert shown in out
    assert "173.conf" in out + err
    assert "pid:7" not in out + err


@pytest.mark.usefixtures("config")
def test_explanations_of_a_cluster_are_told_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    """A list of guests, each with what one alone has."""
    assert call("explain", "--json") == 0
    many = json.loads(capsys.readouterr().out)
    assert call("explain", "172", "--json") == 0
    one = json.loads(capsys.readouterr().out)["data"]
    assert many["kind"] == "explanations"
    (guest,) = many["data"]["guests"]
    assert (guest["node"], guest["error"]) == ("alpha", None)
    assert guest["path"].endswith("/172.conf")
    assert {key: guest[key] for key in one} == one


@pytest.mark.parametrize("words", VERBS, ids=lambda words: words[0])
def test_disk_in_the_place_of_a_guest_is_told_which_comes_first(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """A VM that was forgotten is not looked for by the name of its disk."""
    for typed in ("scsi0", "virtio12", "efidisk0"):
        assert call(*words, typed) == 3
        err = capsys.readouterr().err
        assert "and it is a disk's name" in err
        assert f"hint: the guest comes first, as in: vmio explain VM {typed}" in err


@pytest.mark.parametrize("words", VERBS, ids=lambda words: words[0])
def test_monitor_without_a_socket_is_a_usage_error(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """`qmp:` names no socket, and is not taken for the current folder."""
    assert call(*words, "qmp:") == 2
    err = capsys.readouterr().err
    assert "qmp:" in err
    assert "not a socket" not in err


@pytest.mark.parametrize("words", VERBS, ids=lambda words: words[0])
def test_empty_address_names_no_guest(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """An empty variable of a script is not taken for the current folder."""
    assert call(*words, "") == 2
    assert "'' names no guest" in capsys.readouterr().err
