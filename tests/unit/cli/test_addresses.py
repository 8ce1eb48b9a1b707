"""Every verb takes the number and the name of a VM of this host's cluster."""

from __future__ import annotations

import json
import os
from functools import partial
from pathlib import Path

import pytest

from vmio.managers.proxmox import node as home
from vmio.managers.proxmox import pmxcfs
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
