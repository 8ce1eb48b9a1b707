"""`vmio top`: what it prints without a screen, and what it refuses."""

from __future__ import annotations

import builtins
import io
import json
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import pytest

from vmio import app
from vmio.app.ps import Listed
from vmio.errors import InputError
from vmio.report.live.rows import GuestRow, HostRows
from vmio.testing import call
from vmio.values import replace

GUEST = GuestRow(
    address="pid:100",
    started_ticks=1,
    label="172 web",
    id="172",
    name="web",
    manager="proxmox",
    uptime_s=1.0,
    is_judged=True,
    notes=("its monitor is its manager's alone",),
)
ROWS = HostRows(
    wall_ns=0, duration_s=0.01, host_processors=4, guests=(GUEST,), unseen=("/proc hides some",)
)


class Guests:
    """Gives looks, and stands for Ctrl-C when there are no more."""

    def __init__(self, *looks: HostRows) -> None:
        self.looks = [*looks]
        self.given: list[Mapping[str, object]] = []

    async def look(self) -> HostRows:
        """Returns the next look."""
        if not self.looks:
            raise KeyboardInterrupt
        return self.looks.pop(0)


@pytest.fixture(name="guests")
def _guests(monkeypatch: pytest.MonkeyPatch) -> Guests:
    """Has three looks be what there is to see, without waiting between them."""
    guests = Guests(replace(ROWS, wall_ns=10**9), replace(ROWS, wall_ns=2 * 10**9), ROWS)

    @asynccontextmanager
    async def open_top(addresses: Sequence[str], **options: object) -> AsyncIterator[Guests]:
        guests.given.append({"addresses": tuple(addresses), **options})
        yield guests

    async def sleep(_seconds: float) -> None:
        pass

    monkeypatch.setattr(app, "open_top", open_top)
    monkeypatch.setattr("asyncio.sleep", sleep)
    monkeypatch.setattr(app, "list_running", lambda *_: Listed(guests=()))
    return guests


def test_guest_that_does_not_run_is_an_error_for_one_look(
    guests: Guests, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The others are printed; a stream goes on, since the guest can come later."""
    missing = Listed(guests=(), errors=(InputError("no guest is called 'x'", hint="look"),))
    monkeypatch.setattr(app, "list_running", lambda *_: missing)
    assert call("top", "--once", "172", "x") == 3
    out, err = capsys.readouterr()
    assert "172 web" in out
    assert err.endswith("vmio: error: no guest is called 'x'\nvmio: hint: look\n")
    guests.looks = [replace(ROWS, guests=())] * 2
    assert call("top", "--once", "x") == 3
    assert "no QEMU" not in capsys.readouterr().err
    guests.looks = [ROWS] * 2
    assert call("top", "--json", "x") == 130
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 1
    assert err.startswith("vmio: no guest is called 'x'\n")


def test_once_prints_the_second_look_as_a_table(
    guests: Guests, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first has no rates; one window is enough for a verdict."""
    assert call("top", "--once", "172") == 0
    out, err = capsys.readouterr()
    assert "172 web" in out
    assert "nothing limits it" in out
    assert err == "vmio: 172 web: its monitor is its manager's alone\nvmio: /proc hides some\n"
    assert guests.given == [{"addresses": ("172",), "latencies": False, "confirm": False}]


def test_once_as_json_is_one_document(guests: Guests, capsys: pytest.CaptureFixture[str]) -> None:
    """As of every other verb."""
    assert call("top", "--once", "--json", "--latencies") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["kind"] == "top"
    assert document["data"]["time_seconds"] == 2
    assert document["data"]["guests"][0]["id"] == "172"
    assert guests.given[0]["latencies"] is True


def test_json_is_a_line_for_each_look_until_it_is_interrupted(
    guests: Guests, capsys: pytest.CaptureFixture[str]
) -> None:
    """From the second look on; verdicts are those of a screen."""
    assert call("top", "--json") == 130
    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(line)["data"]["time_seconds"] for line in lines] == [2, 0]
    assert guests.given[0]["confirm"] is True


def test_host_without_guests_is_said(guests: Guests, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is no error."""
    guests.looks = [replace(ROWS, guests=())] * 2
    assert call("top", "--once") == 0
    out, err = capsys.readouterr()
    assert not out
    assert "no QEMU is seen to run on this host" in err


@pytest.mark.parametrize(
    "words",
    [
        ("--interval", "0.1"),
        ("--interval", "nan"),
        ("--once", "--interval", "1"),
        ("--view", "cpus"),
        ("--replay", "x", "172"),
        ("--replay", "x", "--once"),
    ],
)
def test_wrong_call_is_refused(words: Sequence[str], capsys: pytest.CaptureFixture[str]) -> None:
    """With the option in the message."""
    assert call("top", *words) == 2
    assert words[0] in capsys.readouterr().err


def test_screen_needs_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """A pipe gets a hint on what it can have."""
    assert call("top") == 2
    assert "--once" in capsys.readouterr().err


def test_missing_extra_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says what to install, and what works without."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    imported = builtins.__import__

    def refuse(name: str, *rest: object) -> object:
        if name.partition(".")[0] == "textual":
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)
        return imported(name, *rest)  # type: ignore[arg-type]

    for name in [each for each in sys.modules if each.startswith("vmio.tui")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", refuse)
    monkeypatch.setattr(sys, "stdin", Terminal())
    monkeypatch.setattr(sys, "stdout", Terminal())
    assert call("top") == 4
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert "requires textual" in lines[0]
    assert "pip install 'vmio[tui]'" in lines[1]
