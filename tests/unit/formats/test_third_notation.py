"""A notation that lives here alone goes through show, check, plan and edit."""

from __future__ import annotations

import json
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

from vmio import app
from vmio.formats import registry
from vmio.formats.base import Doors
from vmio.model.host import Host
from vmio.model.source import apply_edits
from vmio.testing import call

TEXT = "tiny\ncpus 4\ndisk a /dev/a\ndisk b /dev/b thread\ndisk c /dev/c\n"
EDITED = TEXT.replace("/dev/a", "/dev/a thread").replace("/dev/c", "/dev/c thread")


@pytest.fixture(autouse=True)
def guest_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Registers the notation, which is one line, and gives a file in it."""
    spec = spec_from_file_location("tiny_doors", Path(__file__).parent / "tiny" / "doors.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setitem(sys.modules, "tiny_doors", module)
    monkeypatch.setattr(registry, "NOTATIONS", {"tiny": "tiny_doors", **registry.NOTATIONS})
    path = tmp_path / "guest.tiny"
    path.write_text(TEXT)
    return path


def test_doors_are_all_that_vmio_asks_for() -> None:
    """Every notation's module has each door; a new door is missed here first."""
    doors = {name for name in vars(Doors) if not name.startswith("_")}
    for name in registry.NOTATIONS:
        assert doors <= set(dir(registry.find_doors(name))), name


def test_guest_is_shown_and_checked(guest_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its layout is that of its own door, and general rules hold for it."""
    assert call("show", str(guest_file), "--json") == 0
    shown = json.loads(capsys.readouterr().out)["data"]
    assert [disk["served_by"] for disk in shown["disks"]] == [
        ["main loop"],
        ["thread-b"],
        ["main loop"],
    ]
    assert call("check", str(guest_file)) == 0
    assert "no findings in 1 file" in capsys.readouterr().err
    guest_file.write_text(TEXT.replace("/dev/a", "/dev/a unsafe"))
    assert call("check", str(guest_file)) == 1
    assert "SA001" in capsys.readouterr().out


def test_guest_is_planned_and_edited(guest_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A plan changes the model, and the notation's door writes it; a second plan is empty."""
    assert call("plan", str(guest_file), "--policy", "per-disk") == 0
    out = capsys.readouterr().out
    assert "1. Write thread: a c" in out
    assert "disk a: not written -> thread" in out
    guest = app.load(str(guest_file), host=Host())
    plan = app.make_plan(guest, Host(), "per-disk")
    data = apply_edits(guest.vm.source, registry.edit(guest, plan.changes))
    assert data.decode() == EDITED
    again = registry.read_again(guest, data)
    assert app.make_plan(again, Host(), "per-disk").steps == ()
    assert app.emit(guest, Host()) == ("tiny -name tiny", ())
