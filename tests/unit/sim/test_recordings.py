"""Recordings of real QEMUs, computed again; and what a check must not take for one."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from vmio.formats.qemu.trace import Record, parse_recording
from vmio.host.trace_file import read_lines
from vmio.sim import polling
from vmio.sim.polling import Generation, PollSettings
from vmio.sim.replay import Agreement, check_recording

FOLDER = Path(__file__).parents[2] / "data" / "recordings"
DEFAULT = PollSettings()
FACTORS = PollSettings(max_ns=200000, grow=3, shrink=4)
RECORDINGS: dict[str, tuple[Generation, PollSettings, int, int]] = {
    "blk-10.0.2": ("handler", DEFAULT, 722, 1362),
    "blk-io_uring-two-10.0.2": ("handler", FACTORS, 571, 1471),
    "scsi-threads-10.0.2": ("handler", PollSettings(max_ns=1000000, shrink=2), 83, 2144),
    "blk-drained-10.0.2": ("handler", DEFAULT, 1057, 846),
    "blk-7.2.22": ("loop", DEFAULT, 1332, 1037),
    "blk-threads-7.2.22": ("loop", FACTORS, 876, 1182),
}


@cache
def read(name: str) -> tuple[str, ...]:
    """Returns a recording's lines."""
    return tuple(line.decode() for line in read_lines(str(FOLDER / f"{name}.txt.xz")))


@cache
def parse_line(line: str) -> tuple[Record, ...]:
    """Returns what a line holds, which lines around it do not change."""
    return tuple(parse_recording("r", (line.encode(),)))


def check(lines: tuple[str, ...], generation: Generation, settings: PollSettings) -> Agreement:
    """Returns what checking lines comes to, most of which were parsed for another check."""
    records = (record for line in lines for record in parse_line(line))
    return check_recording(records, generation, settings)


def share(found: Agreement) -> float:
    """Returns how much of what QEMU and the algorithm decided is decided by both."""
    decided = found.events + found.events_missing + found.budgets
    return (found.events_agreed + found.budgets_agreed) / decided


@pytest.mark.parametrize("name", RECORDINGS)
def test_recorded_loop_decided_as_computed(name: str) -> None:
    """Every change of a polling time and every budget of a real loop comes out."""
    generation, settings, events, budgets = RECORDINGS[name]
    records = parse_recording("r", (line.encode() for line in read(name)))
    assert check_recording(records, generation, settings) == Agreement(
        events=events, events_agreed=events, budgets=budgets, budgets_agreed=budgets
    )


def test_every_recording_is_checked() -> None:
    """No recording lies there unused."""
    found = {path.name.removesuffix(".txt.xz") for path in FOLDER.glob("*.xz")}
    assert found == set(RECORDINGS)


@pytest.mark.parametrize(
    ("name", "generation", "settings"),
    [
        ("blk-10.0.2", "loop", DEFAULT),
        ("blk-7.2.22", "handler", DEFAULT),
        ("blk-10.0.2", "handler", PollSettings(shrink=2)),
        ("blk-7.2.22", "loop", PollSettings(grow=3)),
        ("scsi-threads-10.0.2", "handler", DEFAULT),
        ("blk-io_uring-two-10.0.2", "handler", PollSettings(max_ns=200000, grow=3)),
        ("blk-drained-10.0.2", "handler", PollSettings(shrink=2)),
    ],
)
def test_other_rule_or_parameter_agrees_far_less(
    name: str, generation: Generation, settings: PollSettings
) -> None:
    """Keeping every reading that fits does not make everything fit."""
    assert share(check(read(name), generation, settings)) < 0.75


@pytest.mark.parametrize("name", ["blk-10.0.2", "blk-drained-10.0.2", "blk-7.2.22"])
def test_other_first_time_agrees_far_less(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """That a time begins at 4 µs is seen in a recording."""
    generation, settings, *_ = RECORDINGS[name]
    monkeypatch.setattr(polling, "FIRST_NS", 2000)
    assert share(check(read(name), generation, settings)) < 0.75


def spoil(name: str, kind: str, change: Callable[[str], str]) -> list[Agreement]:
    """Returns what checks come to where one line of a kind is changed, here and there."""
    lines, (generation, settings, *_) = read(name), RECORDINGS[name]
    places = [number for number, line in enumerate(lines) if line.startswith(kind)]
    found = []
    for place in places[len(places) // 4 :: len(places) // 4]:
        spoilt = (*lines[:place], change(lines[place]), *lines[place + 1 :])
        found.append(check(tuple(line for line in spoilt if line), generation, settings))
    return found


@pytest.mark.parametrize("name", RECORDINGS)
@pytest.mark.parametrize(
    ("kind", "pattern", "new"),
    [
        ("T poll_grow", r"new \d+", "new 5"),
        ("T poll_shrink", r"old \d+", "old 5"),
        ("T run_poll_handlers_begin", r"max_ns \d+", "max_ns 5"),
        ("T poll_grow", r".*\n", ""),
    ],
)
def test_decision_that_is_not_qemus_is_noticed(
    name: str, kind: str, pattern: str, new: str
) -> None:
    """A single change that is doctored or left out, or a single budget, is a difference."""
    found = spoil(name, kind, lambda line: re.sub(pattern, new, line))
    assert found
    assert not any(one.is_complete for one in found)


# Where a device is drained another thread may have taken the handler away just before: not there.
@pytest.mark.parametrize("name", [name for name in RECORDINGS if "drained" not in name])
def test_shrinking_that_is_left_out_is_noticed(name: str) -> None:
    """A single missing drop of a polling time is a difference."""
    found = spoil(name, "T poll_shrink", lambda _: "")
    assert found
    assert not any(one.is_complete for one in found)
