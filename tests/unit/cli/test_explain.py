"""`vmio explain`: the story of one disk."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from vmio.cli import explain
from vmio.testing import call

ROOT = Path(__file__).parents[3]
SHARED = str(ROOT / "examples" / "701.conf")
SINGLE = str(ROOT / "examples" / "virtio-scsi-single" / "701.conf")
LIBVIRT = str(ROOT / "tests" / "golden" / "qemu" / "libvirt-web.args")
HOST = ("--set", "qemu_version=10.0.2", "--set", 'pve_qemu_version=""')


def run(*words: str) -> int:
    """Runs vmio in this process and returns its exit status."""
    return call("explain", *words, *HOST)


def read_json(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    """Returns the settings that a story tells, by name."""
    assert run(*words, "--json") == 0
    told = json.loads(capsys.readouterr().out)["data"]
    return {setting["name"]: setting for setting in told["disks"][0]["settings"]}


def test_setting_in_vain_says_who_drops_it_and_what_would_help(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """An IOThread that the controller cannot have is ignored, with the fix of its rule."""
    iothread = read_json(capsys, SHARED, "scsi0")["iothread"]
    assert (iothread["verdict"], iothread["by"], iothread["became"]) == (
        "ignored",
        "Proxmox VE",
        [],
    )
    assert iothread["written"] == "iothread=1"
    (remedy,) = iothread["remedies"]
    assert str(remedy).startswith("TH001: set scsihw: virtio-scsi-single")


def test_setting_that_counts_says_what_it_became(capsys: pytest.CaptureFixture[str]) -> None:
    """What is written and what Proxmox chooses both stand on the command line."""
    settings = read_json(capsys, SINGLE, "scsi1")
    assert settings["iothread"]["became"] == ["-device iothread=iothread-virtioscsi1"]
    assert settings["discard"]["became"] == ["-drive discard=on"]
    assert (settings["aio"]["verdict"], settings["aio"]["by"]) == ("default", "Proxmox VE")
    assert settings["aio"]["became"] == ["-drive aio=io_uring"]
    assert (settings["size"]["by"], settings["size"]["became"]) == ("Proxmox VE", [])


def test_old_spelling_of_a_limit_is_no_limit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`bps=` is read by Proxmox as no limit at all, `mbps=` ends on the command line."""
    config = tmp_path / "100.conf"
    config.write_text("virtio0: /a.raw,bps_rd=1000\nvirtio1: /b.raw,mbps=5\n")
    assert read_json(capsys, str(config), "virtio0")["bps_rd"]["verdict"] == "ignored"
    (word,) = read_json(capsys, str(config), "virtio1")["mbps"]["became"]
    assert "bps-total=5242880" in str(word)


def test_way_of_a_disk_is_told_from_its_file_to_its_threads(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mapping of virtqueues has a thread for each part of the queues."""
    # A file's name is never broken, and where the checkout is may be a long one.
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(explain, "measure_terminal", lambda: 100)
    assert run(str(Path(LIBVIRT).relative_to(ROOT)), "virtio-disk0") == 0
    out = capsys.readouterr().out
    assert "opened      /var/lib/libvirt/images/web.qcow2 as qcow2, by the driver file" in out
    assert "over        /var/lib/libvirt/images/base.qcow2" in out
    assert "thread      the IOThread iothread1, for this disk alone, on queue 0 and 2" in out
    assert '"iothread-vq-mapping":[{"iothread":"iothread1"' in out
    assert "What the guest sees" in out
    assert max(map(len, out.splitlines())) <= 100


@pytest.mark.parametrize("columns", [40, 80, 160])
@pytest.mark.parametrize("words", [(SHARED, "scsi0"), (SINGLE,), (LIBVIRT, "virtio-disk0")])
def test_lines_are_as_long_as_the_terminal_is_wide(
    words: tuple[str, ...],
    columns: int,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No word is broken but behind a comma; in a pipe no line is, so that a search finds it."""
    monkeypatch.chdir(ROOT)
    names = [str(Path(word).relative_to(ROOT)) if "/" in word else word for word in words]
    run(*names)
    whole = capsys.readouterr().out
    monkeypatch.setattr(explain, "measure_terminal", lambda: columns)
    run(*names)
    out = capsys.readouterr().out

    assert out.split() == whole.split() or re.split(r"[\s,]+", out) == re.split(r"[\s,]+", whole)
    for line in out.splitlines():
        assert len(line) <= columns or len(line.split()) <= 2  # a label and a long name
    assert max(map(len, whole.splitlines())) > 100


def test_word_of_a_json_option_is_told_by_itself(capsys: pytest.CaptureFixture[str]) -> None:
    """What JSON says is told as key and value, not as the whole option."""
    settings = read_json(capsys, LIBVIRT, "scsi0-0-0-0")
    assert settings["aio"]["written"] == "aio=io_uring"
    assert settings["discard"]["verdict"] == "ignored"
    assert settings["discard"]["why"] == "the node libvirt-2-filter has no discard=unmap"


def test_without_a_disk_every_disk_has_its_way(capsys: pytest.CaptureFixture[str]) -> None:
    """The overview names every disk and what is ignored of it."""
    assert run(SHARED) == 0
    out = capsys.readouterr().out
    for disk in ("scsi0", "scsi1", "scsi2"):
        assert f"{disk}  " in out
    assert out.count("iothread is ignored: scsihw is virtio-scsi-pci") == 3


def test_disk_that_is_not_there_names_those_that_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An unknown disk is a wrong call; of one that is dropped the reason is said."""
    assert run(SHARED, "scsi9") == 2
    err = capsys.readouterr().err
    assert "there is no disk 'scsi9'" in err
    assert "the disks are scsi0, scsi1, scsi2" in err
    config = tmp_path / "100.conf"
    config.write_text("ide0: /a.raw,iothread=1\n")
    assert run(str(config), "ide0") == 2
    assert "iothread: property is not defined" in capsys.readouterr().err


def test_guest_without_disks_is_no_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """There may be nothing to explain."""
    config = tmp_path / "100.conf"
    config.write_text("cores: 1\n")
    assert run(str(config)) == 0
    assert capsys.readouterr().out == "no disks\n"


def test_disk_that_is_dropped_is_among_all(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The overview says which disks the guest starts without, and why."""
    config = tmp_path / "100.conf"
    config.write_text("ide0: /a.raw,iothread=1\n")
    assert run(str(config)) == 0
    why = "the guest starts without it: no ide drive has the option iothread"
    assert capsys.readouterr().out == f"ide0  dropped by Proxmox VE, so {why}\nno disks\n"
    config.write_text("ide0: /a.raw,iothread=1\nvirtio0: /b.raw\n")
    assert run(str(config)) == 0
    out = capsys.readouterr().out
    assert out.startswith("ide0  dropped by Proxmox VE")
    assert "\nvirtio0  " in out
    assert run(str(config), "--json") == 0
    lost, kept = json.loads(capsys.readouterr().out)["data"]["disks"]
    assert (lost["disk"], lost["dropped"]) == ("ide0", "no ide drive has the option iothread")
    assert [finding["code"] for finding in lost["findings"]] == ["TH003"]
    assert kept["dropped"] is None


def test_letters_of_disks_on_several_controllers_are_told_to_change(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Linux counts /dev/sdX over all controllers as it finds them, and those side by side."""
    letters = "/dev/sdX that can have another letter from boot to boot"
    config = tmp_path / "100.conf"
    config.write_text("scsi0: /a.raw\nscsi1: /b.raw\nscsihw: virtio-scsi-single\n")
    assert run(str(config), "scsi0") == 0
    assert letters in capsys.readouterr().out
    config.write_text("scsi0: /a.raw\nscsi1: /b.raw\nscsihw: virtio-scsi-pci\n")
    assert run(str(config), "scsi0") == 0
    assert letters not in capsys.readouterr().out
    config.write_text(
        "scsi0: /a.raw\nscsi1: none,media=cdrom\nscsihw: virtio-scsi-single\nvirtio0: /b.raw\n"
    )
    assert run(str(config), "scsi0") == 0
    assert letters not in capsys.readouterr().out


def test_words_of_a_config_cannot_drive_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Escape sequences come out spelled, not obeyed."""
    config = tmp_path / "x.args"
    config.write_text("qemu -drive 'file=/\x1b[31m,if=virtio'")
    assert run(str(config), "virtio0") == 0
    assert "\x1b" not in capsys.readouterr().out


def test_explaining_many_disks_of_one_thread_is_linear(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each disk names some of the others; all of them would be a text for every two disks."""
    disks = (
        f"-device virtio-blk-pci,id=d{at},drive=n{at},iothread=i -blockdev null-co,node-name=n{at}"
        for at in range(400)
    )
    path = tmp_path / "line.txt"
    path.write_text(f"kvm -object iothread,id=i {' '.join(disks)}\n")

    assert call("explain", str(path), "--json") == 0

    told = capsys.readouterr().out
    assert len(told) < 400 * 4000
    assert told.count("and 336 more") == 400
