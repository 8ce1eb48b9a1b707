"""Whose facts verbs go by: a file from elsewhere has none of this host's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vmio.host import local
from vmio.managers.proxmox import places
from vmio.model.host import Cpu, Host, Kernel, Memory
from vmio.model.version import parse_version
from vmio.testing import call

DISKS = "scsihw: virtio-scsi-single\n" + "".join(
    f"scsi{number}: /dev/vg/disk{number},aio={aio},cache=none,iothread=1,size=1G\n"
    for number, aio in enumerate(("io_uring", "native", "io_uring", "native", "io_uring"))
)
HINT = "--host FILE"


@pytest.fixture(autouse=True)
def _this_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets this host be one where every rule about hosts would find something."""
    kernel = Kernel(io_uring_disabled=2, aio_nr=65536, aio_max_nr=65536, dirty_ratio=90)
    here = Host(
        node="here",
        qemu_version=parse_version("10.1.2"),
        pve_qemu_version=parse_version("10.1.2-1"),
        cpu=Cpu(count=2, nodes={"0": "0", "1": "1"}),
        memory=Memory(numa_nodes=(0, 1), hugepages_mib=(2,)),
        kernel=kernel,
    )
    monkeypatch.setattr(local, "read_local_host", lambda **_: here)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Returns a config of five disks for a guest of one processor."""
    path = tmp_path / "100.conf"
    path.write_text(f"cores: 1\n{DISKS}")
    return path


RULES = "--select=PL001,PL003,CA005,CA006,CA014,VE001,VE005,VE006,VE007,VE008,VE010,VE011"


def test_check_goes_by_this_host_only_for_what_is_its(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Elsewhere there may be other processors, sysctls and another QEMU."""
    assert call("check", RULES, str(config)) == 0
    assert capsys.readouterr().out == ""
    monkeypatch.setattr(places, "PVE", config.parent)
    assert call("check", RULES, str(config)) == 1
    out = capsys.readouterr().out
    assert all(code in out for code in ("PL001", "CA005", "CA006"))
    assert call("explain", str(config), "scsi1") == 0
    assert "CA006" in capsys.readouterr().out
    monkeypatch.undo()
    assert call("explain", str(config), "scsi1") == 0
    assert "CA006" not in capsys.readouterr().out


def test_plan_pools_by_known_processors_only(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where they could matter and nobody knows them it is said how to give them."""
    for verb in (("plan",), ("plan", "--all"), ("apply", "--policy", "auto", "--dry-run")):
        call(*verb, str(config))
        told = capsys.readouterr()
        assert "vmio0" not in told.out, verb
        assert HINT in told.err, verb
    assert call("plan", str(config), "--set", "cpu.count=64") == 0
    assert HINT not in capsys.readouterr().err
    monkeypatch.setattr(places, "PVE", config.parent)
    assert call("plan", str(config)) == 0
    told = capsys.readouterr()
    assert "vmio0" in told.out
    assert HINT not in told.err


def test_plan_asks_for_nothing_that_changes_nothing(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A host has as many processors as its guest at least."""
    config.write_text(f"cores: 4\n{DISKS}")
    assert call("plan", str(config)) == 0
    assert capsys.readouterr().err == ""


def test_cmd_says_what_it_takes_of_a_host_that_is_unknown(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A guest larger than this host has its command line; of this host it has the error."""
    config.write_text("cores: 8\nmemory: 512\n")
    assert call("cmd", str(config), "--host", "/dev/null", "--set", "qemu_version=11.0.0") == 0
    assert HINT not in capsys.readouterr().err
    monkeypatch.setattr("vmio.qemu.binary.find_qemu", lambda: Path("/nowhere"))
    monkeypatch.setattr("vmio.qemu.binary.read_version", lambda _: parse_version("10.0.2"))
    for name in (str(config), str(config.parent)):
        assert call("cmd", name) == 0
        told = capsys.readouterr()
        assert "maxcpus=8" in told.out
        assert "QEMU 10.0.2, which this host has" in told.err
        assert HINT in told.err
    assert call("cmd", str(config), "--set", "cpu.count=16") == 0
    assert "QEMU version of the host of" in capsys.readouterr().err
    monkeypatch.setattr(places, "PVE", config.parent)
    assert call("cmd", str(config)) == 3
    assert "MAX 2 vcpus allowed per VM on this node" in capsys.readouterr().err


@pytest.mark.usefixtures("few_requests")
def test_node_is_what_its_pveversion_says_for_every_verb(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not what this host has, nor what its QEMU says."""
    folder = tmp_path / "nodes" / "n1" / "qemu-server"
    folder.mkdir(parents=True)
    config = folder / "100.conf"
    config.write_text(f"cores: 2\n{DISKS}")
    (folder.parent / "pveversion.txt").write_text("pve-qemu-kvm: 9.0.2-4\n")
    few = ("--requests", "200", "--seeds", "2", "--json")
    assert call("simulate", str(config), *few) == 0
    found = json.loads(capsys.readouterr().out)["data"]
    assert found["qemu_version"] == "9.0.2"
    assert not any("QEMU" in warning for warning in found["warnings"])
    assert call("plan", str(config), "--rank", "cpu", "--profile", "default", "--json") == 0
    layouts = json.loads(capsys.readouterr().out)["data"]["layouts"]
    assert {each["prediction"]["qemu_version"] for each in layouts} == {"9.0.2"}
    assert call("cmd", str(config)) == 0
    told = capsys.readouterr()
    assert "type=pc+pve" in told.out
    assert "nothing is known" not in told.err
    assert call("plan", str(config), "--policy", "vq-map:2") == 4
    assert "QEMU 9.0.2 cannot map the queues" in capsys.readouterr().err


def test_explain_makes_a_command_line_for_the_installed_qemu(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its rules go by the version of the guest's host, which is not known."""
    monkeypatch.setattr("vmio.qemu.binary.find_qemu", lambda: Path("/nowhere"))
    monkeypatch.setattr("vmio.qemu.binary.read_version", lambda _: parse_version("10.1.2"))
    assert call("explain", str(config), "scsi0", "--json") == 0
    (story,) = json.loads(capsys.readouterr().out)["data"]["disks"]
    assert any(text.startswith("-blockdev") for text in story["arguments"])
    assert story["findings"] == []


def test_message_about_an_unknown_host_stays_on_its_line(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file's name cannot begin a line as if vmio had printed it."""
    forged = config.with_name("x\nvmio: forged.conf")
    forged.write_text(config.read_text())
    assert call("cmd", str(forged), "--vmid", "7") == 0
    err = capsys.readouterr().err
    assert "nothing is known about the host of" in err
    assert not any(line.startswith("vmio: forged") for line in err.splitlines())
