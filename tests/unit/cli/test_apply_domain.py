"""`vmio plan`, `apply`, `check --fix` and `undo` on the file of a libvirt domain."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.formats.libvirt.domains import SCSI, write_disk, write_domain
from vmio.testing import call

DOMAIN = write_domain(SCSI + write_disk("sda", "scsi") + write_disk()).replace("><", ">\n<")


@pytest.fixture(name="file")
def make_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Returns a domain's file in the current folder, with a place for backups of its own."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "7.xml"
    path.write_text(DOMAIN)
    return path


@pytest.mark.parametrize("policy", ["auto", "shared", "pool:2", "vq-map:2", "ovirt"])
def test_plan_is_applied_and_taken_back(
    file: Path, policy: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A plan's file changes the domain once, and an undo restores every byte."""
    assert call("plan", "7.xml", "--policy", policy, "-o", "plan.json") == 0
    assert "by hand" not in capsys.readouterr().out
    assert call("apply", "plan.json", "--yes") == 0
    assert "virsh define --validate 7.xml" in capsys.readouterr().err
    assert file.read_text() != DOMAIN
    assert call("apply", "7.xml", "--policy", policy, "--yes") == 0
    assert "nothing to change" in capsys.readouterr().err
    assert call("apply", "plan.json", "--yes") == 3
    assert "has changed since the plan was made" in capsys.readouterr().err
    assert call("undo", "7.xml", "--yes") == 0
    assert file.read_text() == DOMAIN


def test_commands_are_virsh_s(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What virsh can set has its command; the rest is to be written in virsh edit."""
    file.write_text(DOMAIN.replace("<name>p<", "<name>it's p<"))
    assert call("apply", "7.xml", "--policy", "per-disk", "--commands") == 0
    assert capsys.readouterr().out.splitlines() == [
        "virsh iothreadadd 'it'\"'\"'s p' 1 --config",
        "virsh iothreadadd 'it'\"'\"'s p' 2 --config",
        "# controller 0: iothread: '1'",
        "# vda: iothread: '2'",
        "virsh edit 'it'\"'\"'s p'",
    ]
    pool = ("apply", "7.xml", "--policy", "auto", "--set", "cpu.count=1", "--commands")
    file.write_text(DOMAIN.replace("</devices>", f"{write_disk('vdb')}</devices>"))
    assert call(*pool) == 0
    assert "virsh iothreadset p 1 --poll-max-ns 0 --config\n" in capsys.readouterr().out
    assert file.read_text().count("iothread") == 0


def test_thread_that_goes_is_removed_last(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Libvirt removes no thread that something uses."""
    assert call("apply", "7.xml", "--policy", "per-disk", "--yes") == 0
    capsys.readouterr()
    assert call("apply", "7.xml", "--policy", "shared", "--commands") == 0
    assert capsys.readouterr().out.splitlines()[-2:] == [
        "virsh edit p",
        "virsh iothreaddel p 2 --config",
    ]
    assert file.exists()


@pytest.mark.parametrize("folder", [".config/libvirt/qemu", "home/.config/libvirt"])
def test_libvirt_s_own_file_is_not_written(
    file: Path, folder: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A daemon would not see the change, and the file is named by its domain instead."""
    own = file.parent / folder / "web.xml"
    own.parent.mkdir(parents=True)
    own.write_text(DOMAIN)
    assert call("apply", str(own), "--policy", "shared", "--yes") == 3
    said = capsys.readouterr().err
    assert "web.xml is libvirt's own file" in said
    assert "name the domain instead: libvirt:web" in said
    assert own.read_text() == DOMAIN


def test_folders_of_the_environment_are_libvirt_s_too(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A session's daemon keeps its domains where XDG says, and a link to it is followed."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(file.parent / "etc"))
    own = file.parent / "etc" / "libvirt" / "qemu" / "web.xml"
    own.parent.mkdir(parents=True)
    own.write_text(DOMAIN)
    (file.parent / "link.xml").symlink_to(own)
    assert call("apply", "link.xml", "--policy", "shared", "--yes") == 3
    assert "libvirt's own file" in capsys.readouterr().err


def test_fix_is_written_and_taken_back(file: Path) -> None:
    """`check --fix` changes the attribute that is wrong, and nothing else."""
    risky = DOMAIN.replace("type='raw' ", "type='raw' cache='unsafe' ", 1)
    file.write_text(risky)
    call("check", "--fix", "7.xml")
    assert file.read_text() == risky.replace("unsafe", "writeback")
    assert call("undo", "7.xml", "--yes") == 0
    assert file.read_text() == risky


def test_plan_is_applied_as_its_libvirt_reads_the_domain(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An older libvirt has not seen a mapping of queues, whose threads then are idle ones."""
    listed = "<iothread id='2'/><iothread id='3'/>"
    disk = write_disk(listed=listed) + write_disk("vdb", driver="iothread='2'")
    file.write_text(write_domain(disk, top="<iothreads>3</iothreads>"))
    old = ("--libvirt-version", "9.0")
    assert call("plan", "7.xml", "--policy", "per-disk", "-o", "plan.json", *old) == 0
    assert "vda: iothread: not written -> 1" in capsys.readouterr().out
    assert call("apply", "plan.json", "--yes", *old) == 0
    assert "<driver name='qemu' type='raw' iothread='1'/>" in file.read_text()
    assert listed not in file.read_text()


def test_example_keeps_its_comments(capsys: pytest.CaptureFixture[str]) -> None:
    """The domain of the examples is planned without a change of what it says beside."""
    example = str(Path(__file__).parents[3] / "examples" / "shop.xml")
    assert call("plan", example, "--policy", "per-disk", "--diff") == 0
    changed = [line for line in capsys.readouterr().out.splitlines() if line.startswith("-")]
    assert len(changed) == 3
    assert "the busiest" not in "".join(changed)
