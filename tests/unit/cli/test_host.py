"""`vmio host` as a person calls it."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from vmio.testing import call

SET = ("--set", "qemu_version=10.0.2")


def test_toml_and_json_say_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    """Both forms hold every fact, overrides among them."""
    assert call("host", *SET, "--set", "node=n1") == 0
    table = tomllib.loads(capsys.readouterr().out)
    assert call("host", "--json", *SET, "--set", "node=n1") == 0
    assert json.loads(capsys.readouterr().out)["data"] | {"schema": 1} == table
    assert (table["schema"], table["node"], table["qemu_version"]) == (1, "n1", "10.0.2")


def test_saved_host_is_taken_elsewhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What --save writes, --host reads; a second time it must be forced."""
    path = str(tmp_path / "host.toml")
    assert call("host", "--save", path, *SET, "--set", 'bridges={"a b"=9000}') == 0
    assert capsys.readouterr() == ("", f"vmio: wrote {path}\n")
    assert call("host", "--host", path) == 0
    out = capsys.readouterr().out
    assert out == Path(path).read_text(encoding="utf-8")
    assert '"a b" = 9000' in out
    assert call("host", "--save", path, *SET) == 2
    assert "exists already" in capsys.readouterr().err
    assert call("host", "--save", path, "--force", *SET) == 0
    assert call("host", "--save", str(tmp_path / "no" / "host.toml"), *SET) == 4
    assert "cannot write" in capsys.readouterr().err


def test_host_without_qemu_is_told_nevertheless(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The one fact that only QEMU knows is left empty, and said so."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("shutil.which", lambda _: None)
    assert call("host") == 0
    out, err = capsys.readouterr()
    assert tomllib.loads(out)["qemu_version"] == ""
    assert "QEMU is not installed" in err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--force",), "--force requires --output"),
        (("--json", "--save", "x"), "--output writes TOML"),
        (("--set", "node"), "'node' is not of the form KEY=VALUE"),
    ],
)
def test_call_that_makes_no_sense_is_refused(
    words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Options that exclude or need each other are told apart from facts."""
    assert call("host", *words) == 2
    assert said in capsys.readouterr().err
