"""What the autopilot says of each event, and of the guests that it steers."""

from __future__ import annotations

import io
import json
from typing import get_args

import pytest
from rich.console import Console

from vmio.autopilot.pilot import AutopilotEvent
from vmio.autopilot.values import Decision, DecisionKind
from vmio.errors import CapabilityError, QmpError
from vmio.managers.live_records import FoundRecord, GuestRecord, OwnValue
from vmio.managers.live_setter import Restored
from vmio.report.autopilot.json import render_steered_json
from vmio.report.autopilot.text import print_steered
from vmio.report.autopilot.words import REASONS, describe_event

FOUND = (
    FoundRecord(
        key=(20, 7),
        record=GuestRecord(
            label="701 web\x1b",
            values=(
                OwnValue(iothread="io0", own=1_000_000, ours=(0, 8_192), why="settle"),
                OwnValue(iothread="io1", own=5),
            ),
        ),
        is_active=True,
    ),
    FoundRecord(
        key=(21, 8),
        record=GuestRecord(
            label="db",
            by="bench",
            values=(OwnValue(iothread="io0", parameter="poll-grow", own=0, ours=(2,)),),
        ),
        is_active=False,
    ),
)


def test_every_decision_has_a_reason() -> None:
    """In words."""
    assert set(REASONS) == set(get_args(DecisionKind))


@pytest.mark.parametrize(
    ("event", "said"),
    [
        (
            AutopilotEvent(
                guest="701 web",
                iothreads=("io0", "io1"),
                old_ns=8,
                decision=Decision(kind="settle", poll_max_ns=0, cpu_ratio=0.5, latency_ratio=1.04),
            ),
            (
                "701 web: io0, io1: poll-max-ns is now 0 instead of 8: the best for this load;"
                " trials took 0.50 of the processor time and 1.04 of the latency of a request"
            ),
        ),
        (
            AutopilotEvent(
                guest="db",
                iothreads=("io0",),
                old_ns=8,
                is_dry=True,
                decision=Decision(kind="try", poll_max_ns=0),
            ),
            "db: io0: poll-max-ns would become 0 instead of 8: a trial",
        ),
        (
            AutopilotEvent(
                guest="db",
                iothreads=("io0",),
                old_ns=8,
                decision=Decision(kind="slower", poll_max_ns=9, latency_ratio=1.3),
            ),
            (
                "db: io0: poll-max-ns is now 9 instead of 8: requests became slower, and the"
                " guest's own setting is measured again; one took 1.30 times as long as there"
            ),
        ),
        (
            AutopilotEvent(
                guest="db",
                iothreads=("io0",),
                old_ns=8,
                decision=Decision(kind="left", poll_max_ns=8),
            ),
            "db: io0: poll-max-ns is 8: somebody else has set it, and has the say from now on",
        ),
        (
            AutopilotEvent(
                guest="db",
                iothreads=("io0",),
                restored=Restored(iothread="io0", outcome="restored", value=8),
            ),
            "db: io0: poll-max-ns is 8 again, its own",
        ),
        (
            AutopilotEvent(
                guest="db",
                iothreads=("io0",),
                restored=Restored(
                    iothread="io0", parameter="poll-grow", outcome="somebody else's", value=4
                ),
            ),
            "db: io0: poll-grow is left at 4, which somebody else has set",
        ),
        (
            AutopilotEvent(guest="db", problem=QmpError("/run/x is held by another client")),
            "db: /run/x is held by another client",
        ),
        (
            AutopilotEvent(guest="db", problem=CapabilityError("db cannot", hint="virsh x")),
            "db cannot (virsh x)",
        ),
    ],
)
def test_event_is_a_line(event: AutopilotEvent, said: str) -> None:
    """With the setting before and after, and the reason."""
    assert describe_event(event) == said


def test_steered_guests_are_a_table() -> None:
    """A line for each IOThread that was changed; foreign text does nothing to the terminal."""
    file = io.StringIO()
    print_steered(FOUND, Console(file=file, width=140, color_system=None))
    text = file.getvalue()
    assert "\x1b" not in text
    lines = [line.split() for line in text.splitlines()]
    assert lines[-2][:1] == ["pid:20"]
    assert {"io0", "1000000", "8192"} <= set(lines[-2])
    assert lines[-1][:2] == ["pid:21", "db"]
    assert {"bench,", "killed", "poll-grow", "measured"} <= set(lines[-1])


def test_steered_guests_are_json() -> None:
    """With the last value that was set."""
    data = json.loads(render_steered_json(FOUND))["data"]["guests"]
    assert [each["is_active"] for each in data] == [True, False]
    assert [(each["by"], each["iothreads"][0]["set"]) for each in data] == [
        ("autopilot", 8_192),
        ("bench", 2),
    ]
