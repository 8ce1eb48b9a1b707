"""Verdicts of recorded guests: each situation is told, and its harmless twin is not."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
from msgspec import Struct

from vmio.model.capabilities import parse_version_text
from vmio.model.plan import Change, StepKind
from vmio.model.topology import Topology
from vmio.observe.rates import compare_samples
from vmio.observe.sample import Sample
from vmio.observe.verdicts.decide import State, decide
from vmio.observe.verdicts.values import GUEST, IoPressure, Verdict, Window, make_window
from vmio.values import replace

DATA = Path(__file__).parents[3] / "data" / "situations"


class Recorded(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file that the recorder writes."""

    qemu_version: str
    layout: Topology
    situations: Mapping[str, tuple[Sample, ...]]


class Derived(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A situation made from a recorded one."""

    from_: str = msgspec.field(name="from")
    why: str
    qemu_version: str
    io_pressure: IoPressure | None = None
    models: Mapping[str, str] = {}
    """Other devices for controllers, by id."""
    configured: Mapping[str, str] | None = None
    """IOThreads of controllers as configured, by id."""


@cache
def read_recorded() -> Recorded:
    """Returns what was recorded."""
    return msgspec.json.decode((DATA / "recorded.json").read_bytes(), type=Recorded)


@cache
def read_derived() -> dict[str, Derived]:
    """Returns what was derived from it."""
    data = (DATA / "derived.json").read_bytes()
    return msgspec.json.decode(data, type=dict[str, Derived])


def list_windows(name: str) -> list[Window]:
    """Returns the windows of a situation."""
    recorded = read_recorded()
    derived = read_derived().get(name)
    layout = recorded.layout
    configured = None
    if derived is not None:
        layout = replace(
            layout,
            controllers=tuple(
                replace(each, model=derived.models.get(each.id, each.model))
                for each in layout.controllers
            ),
        )
        if derived.configured is not None:
            configured = replace(
                layout,
                controllers=tuple(
                    replace(each, iothread=derived.configured.get(each.id, each.iothread))
                    for each in layout.controllers
                ),
            )
    version = recorded.qemu_version if derived is None else derived.qemu_version
    return [
        make_window(
            before,
            after,
            layout,
            configured=configured,
            qemu_version=parse_version_text(f"QEMU emulator version {version}"),
            host_processors=2,
            io_pressure=None if derived is None else derived.io_pressure,
        )
        for before, after in pairwise(
            recorded.situations[name if derived is None else derived.from_]
        )
    ]


def conclude(name: str) -> list[Verdict]:
    """Returns the verdicts in force after all windows of a situation."""
    state = State()
    found: tuple[Verdict, ...] = ()
    for window in list_windows(name):
        state, found = decide(state, window)
    return list(found)


@pytest.mark.parametrize(
    ("name", "kind", "subject", "severity", "step"),
    [
        ("main-loop-full", "main-loop-full", "main loop", "warning", "give-threads"),
        ("main-loop-exports", "main-loop-full", "main loop", "info", None),
        ("iothread-full", "iothread-full", "io3", "warning", "map-queues"),
        ("iothread-exports", "iothread-full", "io1", "warning", "map-queues"),
        ("polling-wasted", "polling-wasted", "io0", "warning", None),
        ("limit-binds", "limit-binds", "vd1", "warning", None),
        ("storage-slow", "storage-slow", "vd2", "warning", None),
        ("vcpu-full", "vcpus-full", GUEST, "info", None),
        ("processors-taken", "waits-for-processors", GUEST, "warning", "widen-affinity"),
        ("no-monitor", "cannot-tell", GUEST, "info", None),
        ("io-pressure-idle", "io-pressure-misleads", GUEST, "info", None),
        ("scsi-before-10", "polling-impossible", "io0", "info", None),
        ("thread-configured", "restart-pending", "vd4", "info", None),
    ],
)
def test_situation_is_told(
    name: str, kind: str, subject: str, severity: str, step: StepKind | None
) -> None:
    """By one verdict alone, with the step that would change it."""
    (found,) = conclude(name)

    assert (found.kind, found.subject) == (kind, subject)
    assert (found.severity, found.step) == (severity, step)
    assert found.evidence
    assert not found.in_doubt


@pytest.mark.parametrize(
    "name",
    [
        "idle",
        "main-loop-light",
        "iothread-light",
        "polling-off",
        "polling-default",
        "limit-far",
        "storage-one-by-one",
        "disk-busy",
        "io-pressure-busy",
        "scsi-since-10",
        "nothing-configured",
    ],
)
def test_harmless_twin_is_silent(name: str) -> None:
    """The same disk and thread, with a load that nothing holds back."""
    assert conclude(name) == []


def test_busy_polling_is_neither_full_nor_wasted() -> None:
    """A thread that polls at a high rate takes a processor, and the guest wants the others."""
    kinds = {each.kind for each in conclude("polling-pays")}

    assert kinds <= {"waits-for-processors", "cannot-tell"}


def test_polling_that_a_client_of_an_export_prevents_is_not_wasted() -> None:
    """At the setting and the rate of the situation in which it is, with a quarter of its time."""
    (wasted,) = conclude("polling-wasted")
    windows = [list_windows(name)[-1] for name in ("polling-wasted", "polling-blocked")]
    rates = [compare_samples(each.before, each.after) for each in windows]

    assert conclude("polling-blocked") == []
    for window in windows:
        polls = {each.id: each.poll_max_ns for each in window.after.iothreads}
        assert polls[wasted.subject] == 1_000_000
    polled, blocked = (
        next(thread.cpu_share for thread in each.threads if thread.name == wasted.subject)
        for each in rates
    )
    assert blocked < polled / 4
    for each in rates:
        disk = next(disk for disk in each.disks if disk.id == "vd0")
        assert disk.reads.operations_per_s == pytest.approx(200, rel=0.02)


def test_wasted_polling_ends_at_the_default_time() -> None:
    """The change that the verdict names is the setting of its silent twin."""
    (found,) = conclude("polling-wasted")

    assert found.change == Change(
        subject="io0", property="poll_max_ns", old="1000000", new="32768"
    )
    twin = list_windows("polling-default")[-1]
    assert {each.id: each.poll_max_ns for each in twin.after.iothreads}["io0"] == 32768


@pytest.mark.parametrize("name", sorted(json.loads((DATA / "derived.json").read_text())))
def test_derived_situation_says_why(name: str) -> None:
    """Nobody takes it for a measurement."""
    assert read_derived()[name].why
