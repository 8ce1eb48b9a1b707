"""`vmio cmd` on folders and several configs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vmio.testing import call

ROOT = Path(__file__).parents[3]
VERSION = ("--set", "qemu_version=10.0.2")


def run(*arguments: str) -> int:
    """Runs vmio in this process and returns its exit status."""
    return call("cmd", *arguments, *VERSION)


def write(folder: Path, names: list[str]) -> None:
    """Writes the reference guest under several names."""
    for name in (*names, "storage.cfg"):
        example = "storage.cfg" if name == "storage.cfg" else "701.conf"
        (folder / name).write_bytes((ROOT / "examples" / example).read_bytes())


def test_folder_is_printed_in_the_order_of_the_numbers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each config of a folder comes under its name, 99 before 100, and other files not at all."""
    write(tmp_path, [f"{number}.conf" for number in (100, 99, 1000)])
    assert run(str(tmp_path)) == 0
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    assert lines[::2] == [f"# {tmp_path}/{number}.conf" for number in (99, 100, 1000)]
    assert [line.split()[2] for line in lines[1::2]] == ["99", "100", "1000"]
    assert captured.err.count(f"{tmp_path}/99.conf: WARN: iothread is only valid") == 3


def test_many_configs_come_out_as_each_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """More configs than one process takes make no difference to any of them."""
    write(tmp_path, [f"{number}.conf" for number in range(200, 400)])
    assert run(str(tmp_path)) == 0
    together = capsys.readouterr().out.splitlines()[1::2]
    assert len(together) == 200
    assert run(str(tmp_path / "311.conf")) == 0
    assert together[111] == capsys.readouterr().out.strip()


def test_config_that_cannot_be_printed_does_not_stop_the_rest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is wrong is said with the file's name, and the worst status is the call's."""
    write(tmp_path, ["1.conf", "3.conf"])
    (tmp_path / "2.conf").write_bytes(b"\0")
    assert run(str(tmp_path)) == 3
    captured = capsys.readouterr()
    assert captured.out.count("# ") == 2
    assert f"vmio: error: {tmp_path}/2.conf: " in captured.err


def test_folder_is_the_guests_that_every_verb_finds_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Domains beside configs are printed too, and so are the configs of folders below."""
    write(tmp_path, ["1.conf"])
    (tmp_path / "old").mkdir()
    write(tmp_path / "old", ["2.conf"])
    (tmp_path / "web.xml").write_text(
        "<domain type='kvm'><name>web</name><devices><disk type='file'><source file='/a'/>"
        "<target dev='vda' bus='virtio'/></disk></devices></domain>"
    )
    assert run(str(tmp_path)) == 0
    lines = capsys.readouterr().out.splitlines()
    names = [line for line in lines if line.startswith("# ")]
    assert names == [f"# {tmp_path}/{name}" for name in ("1.conf", "old/2.conf", "web.xml")]
    assert call("show", str(tmp_path), "--json") == 0
    assert len(json.loads(capsys.readouterr().out)["data"]["guests"]) == len(names)


def test_wrong_calls_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A number for many configs, and a folder without any."""
    write(tmp_path, [])
    assert run(str(tmp_path)) == 3
    assert "there is no VM config in" in capsys.readouterr().err
    write(tmp_path, ["1.conf"])
    assert run(str(tmp_path), "--vmid", "5") == 2
    assert "--vmid requires a single config" in capsys.readouterr().err
