"""`vmio calibrate` as a person calls it, up to where a guest would boot."""

from __future__ import annotations

from pathlib import Path

import pytest

from vmio.bench import calibrate
from vmio.cli import guest
from vmio.errors import GuestError
from vmio.testing import call


@pytest.fixture(autouse=True)
def busy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Others use the host, and a guest that is asked for does not boot."""

    def fail(_: set[str]) -> None:
        raise GuestError("reached the guest")

    monkeypatch.setattr(calibrate, "measure_busy", lambda: 1.4)
    monkeypatch.setattr(guest, "ensure_image", fail)


def test_replacing_a_file_takes_no_busy_host(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """--force is about the file; what is said of the host names its own flag."""
    path = tmp_path / "profile.toml"
    path.write_text("old")
    assert call("calibrate", "-o", str(path), "--force") == 4
    error = capsys.readouterr().err
    assert "error: this host is busy" in error
    assert "--even-if-busy" in error
    assert "--force" not in error
    assert path.read_text() == "old"


def test_measuring_a_busy_host_replaces_no_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """--even-if-busy is about the host: a file that is there stays until it is forced."""
    path = tmp_path / "profile.toml"
    path.write_text("old")
    assert call("calibrate", "-o", str(path), "--even-if-busy") == 2
    error = capsys.readouterr().err
    assert "profile.toml exists already\nvmio: hint: --force replaces it" in error
    assert path.read_text() == "old"


@pytest.mark.parametrize("name", ["new.toml", "old.toml"])
def test_busy_host_is_measured_when_told_to(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each flag lets its own matter pass."""
    (tmp_path / "old.toml").touch()
    force = ("--force",) if name == "old.toml" else ()
    assert call("calibrate", "-o", str(tmp_path / name), "--even-if-busy", *force) == 4
    assert "error: reached the guest" in capsys.readouterr().err


def test_force_without_a_file_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """The profile that vmio keeps is always replaced; who means the host is told its flag."""
    assert call("calibrate", "--force") == 2
    error = capsys.readouterr().err
    assert "--force requires --output FILE" in error
    assert "--even-if-busy" in error
