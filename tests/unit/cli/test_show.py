"""`vmio show` and `vmio cmd` on configs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vmio.formats.shell import split_words
from vmio.testing import call

ROOT = Path(__file__).parents[3]
SHARED = str(ROOT / "examples" / "701.conf")
SINGLE = str(ROOT / "examples" / "virtio-scsi-single" / "701.conf")


def test_table_says_what_serves_each_disk_and_what_is_ignored(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The reference guest's disks are in the main loop, and the reason stands below once."""
    assert call("show", SHARED) == 0
    out = capsys.readouterr().out
    rows = [line.split() for line in out.splitlines()]
    assert ["scsi0", "nvmpool-data:vm-701-disk-1", "scsi", "scsihw0", "(virtio-scsi-pci)", "pci.0:0x5", "main", "loop", "none", "io_uring", "discard", "iothread"] in rows  # fmt: skip # noqa: E501
    assert all(line == line.rstrip() for line in out.splitlines())
    assert out.count("scsi0, scsi1, scsi2: iothread is ignored: ") == 1


def test_json_tells_the_whole_topology(capsys: pytest.CaptureFixture[str]) -> None:
    """Disks, controllers with their queues, IOThreads and effects are all there."""
    assert call("show", SINGLE, "--json") == 0
    told = json.loads(capsys.readouterr().out)["data"]
    assert (told["vm"], told["origin"]) == ("701 storage-a", "plan")
    assert [thread["id"] for thread in told["iothreads"]] == [
        "iothread-virtioscsi0",
        "iothread-virtioscsi1",
        "iothread-virtioscsi2",
    ]
    assert told["controllers"][1]["pci_address"] == "pci.3:0x2"
    assert [queue["served_by"] for queue in told["controllers"][1]["virtqueues"]] == [
        "iothread-virtioscsi1"
    ] * 2
    disk = told["disks"][0]
    assert disk["file"] == "/dev/zvol/nvmpool/data/vm-701-disk-1"
    assert disk["address"] == {"bus": "virtioscsi0.0", "channel": 0, "scsi-id": 0, "lun": 0}
    assert not disk["in_main_loop"]
    assert {s["setting"]: s["effect"] for s in disk["settings"]}["iothread"] == "used"


def test_svg_is_a_picture_of_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    """The picture names the disks and what serves them."""
    assert call("show", SINGLE, "--svg") == 0
    out = capsys.readouterr().out
    assert out.startswith("<svg")
    assert "scsi2" in out


def test_problem_of_the_config_is_told_on_standard_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A disk that Proxmox drops is not in the table, and why is said."""
    config = tmp_path / "100.conf"
    config.write_text("ide0: local:100/a.raw,iothread=1\nscsi0: local:100/b.raw\n")
    assert call("show", str(config)) == 0
    captured = capsys.readouterr()
    assert "ide0" not in captured.out
    assert "unable to parse value of 'ide0'" in captured.err
    assert "iothread: property is not defined" in captured.err


def test_words_of_a_config_cannot_drive_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Escape sequences and markup in a name come out spelled, not obeyed."""
    config = tmp_path / "\x1b[31m[bold]x.conf"
    config.write_text("scsi0: local:100/b.raw\n")
    assert call("show", str(config)) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "\\x1b[31m[bold]x" in out


def test_config_without_disks_is_no_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A guest may have no disk at all."""
    config = tmp_path / "100.conf"
    config.write_text("cores: 1\n")
    assert call("show", str(config)) == 0
    assert "no disks" in capsys.readouterr().out


def test_cmd_warns_like_proxmox(capsys: pytest.CaptureFixture[str]) -> None:
    """Each ignored iothread is one warning in Proxmox's words; the command comes all the same."""
    assert call("cmd", SHARED, "--pretty", "--set", "qemu_version=11.0.0") == 0
    captured = capsys.readouterr()
    warning = "WARN: iothread is only valid with virtio disk or virtio-scsi-single controller, ignoring\n"  # noqa: E501
    assert captured.err == warning * 3
    assert captured.out.startswith("/usr/bin/kvm \\\n  -id 701 \\\n")


def test_cmd_prints_a_snapshot(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--snapshot` prints what the snapshot says, and it alone."""
    config = tmp_path / "100.conf"
    config.write_text(
        "machine: pc-i440fx-8.1\nmemory: 4096\n[old]\nmachine: pc-i440fx-8.1\nmemory: 1024\n"
    )
    assert (
        call(
            "cmd",
            str(config),
            "--snapshot",
            "old",
            "--set",
            "qemu_version=10.0.0",
        )
        == 0
    )
    assert " -m 1024 " in capsys.readouterr().out


LINE = "qemu-system-x86_64 -drive file=/a,if=virtio,cache=none -id 7 -name web"


def test_command_line_is_shown_as_it_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A saved command line has a table of its own, and what QEMU chooses is said to be so."""
    saved = tmp_path / "saved.args"
    saved.write_text(LINE)
    assert call("show", str(saved)) == 0
    out = capsys.readouterr().out
    assert out.startswith("7 web, as its command line says\n")
    assert "QEMU's choice" in out
    assert call("show", str(saved), "--json") == 0
    assert json.loads(capsys.readouterr().out)["data"]["origin"] == "command"


def test_command_line_has_no_snapshots(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What only a manager's config has is refused of a command line."""
    saved = tmp_path / "saved.args"
    saved.write_text(LINE)
    assert call("show", "--snapshot", "x", str(saved)) == 2
    assert "has no snapshots" in capsys.readouterr().err


def test_command_line_is_its_own_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What `cmd` prints of a command line is the same one."""
    saved = tmp_path / "saved.args"
    saved.write_text(LINE)
    assert call("cmd", "--vmid", "7", str(saved)) == 0
    assert split_words(capsys.readouterr().out) == split_words(LINE)


def test_message_with_a_long_value_is_cut(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A value can be as long as a config, and a terminal is flooded by less."""
    path = tmp_path / "6.conf"
    path.write_text(f"cores: {'9' * 100_000}\nscsi0: local:vm-6-disk-0\n")
    assert call("show", str(path)) == 0
    err = capsys.readouterr().err
    assert "unable to parse value of 'cores'" in err
    assert len(err) < 3000


@pytest.mark.parametrize("options", [["--stored"], ["--snapshot", "old"]], ids=" ".join)
def test_what_runs_is_not_what_is_kept(
    options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """QEMU itself knows of no stored domain and no snapshot."""
    assert call("show", "libvirt:web", "--passthrough", *options) == 2
    assert "--passthrough excludes --stored and --snapshot" in capsys.readouterr().err


def test_only_libvirt_passes_questions_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A config has no QEMU."""
    config = tmp_path / "100.conf"
    config.write_text("name: web\n")
    assert call("show", str(config), "--passthrough") == 2
    assert "is no domain of libvirt" in capsys.readouterr().err
