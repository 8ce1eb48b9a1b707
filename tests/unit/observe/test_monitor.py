"""What a monitor is asked, and what becomes of its answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmio.errors import QmpError
from vmio.observe import monitor
from vmio.observe.disks import parse_group, parse_limits
from vmio.observe.monitor import MonitorReader, Told
from vmio.observe.sample import Limits, QueueSample
from vmio.qemu.qmp import CommandRefusedError
from vmio.qemu.questions import Question

VD0 = "/machine/peripheral/vd0/virtio-backend"
S0 = "/machine/peripheral/s0/virtio-backend"
FILTER = 'json:{"throttle-group": "tg0", "driver": "throttle", "file": {"driver": "null-co"}}'
BLOCKS = [
    {"qdev": VD0, "inserted": {"drv": "raw", "iops": 0, "bps": 0}},
    {
        "qdev": "sd0",
        "inserted": {
            "drv": "raw",
            "iops": 100,
            "iops_max": 300,
            "bps_wr": 5,
            "iops_size": 4096,
            "group": "gg",
        },
    },
    {"qdev": "sd1", "inserted": {"drv": "throttle", "file": FILTER}},
    {"qdev": "cd0"},
]
GROUP = {"iops-total": 55, "iops-total-max": 66, "bps-read": 7, "iops-size": 0}


class Monitor:
    """Answers as a QEMU with two virtio devices does, and notes what it was asked."""

    name = "the monitor"
    peer_pid: int | None = None

    def __init__(self, *refused: str) -> None:
        self.asked: list[Question] = []
        self.refused = refused
        self.queues = 2

    @asynccontextmanager
    async def conversation(self) -> AsyncIterator[None]:
        """Nothing to do."""
        yield

    async def execute_all(self, questions: Sequence[Question]) -> tuple[Any, ...]:
        """Answers."""
        self.asked += questions
        return tuple(self.answer(each) for each in questions)

    def answer(self, question: Question) -> object:
        """Returns the answer to one question."""
        if question.command in self.refused:
            return CommandRefusedError("refused", error_class="CommandNotFound")
        match question.command:
            case "query-blockstats":
                return [{"qdev": VD0}, {"qdev": "sd0"}, {"qdev": "sd1"}, {"qdev": "cd0"}]
            case "query-block":
                return BLOCKS
            case "qom-get":
                assert question.arguments == {"path": "/objects/tg0", "property": "limits"}
                return GROUP
            case "x-query-virtio":
                names = {VD0: "virtio-blk", S0: "virtio-scsi", "/machine/rng": "virtio-rng"}
                return [{"name": name, "path": path} for path, name in names.items()]
            case "x-query-virtio-status":
                return {"num-vqs": self.queues + (2 if question.arguments["path"] == S0 else 0)}
            case "x-query-virtio-queue-status":
                return {"inuse": question.arguments["queue"], "vring-num": 256}
            case _:
                return []


def read(asked: Monitor, *, limits: bool = False, queues: bool = False) -> Told:
    """Reads once."""
    return asyncio.run(MonitorReader(asked, limits=limits, queues=queues).read())


def test_only_what_is_wanted_is_asked() -> None:
    """Three questions, in which the counters come last."""
    asked = Monitor()
    read(asked)
    assert [each.command for each in asked.asked] == [
        "query-iothreads",
        "query-cpus-fast",
        "query-blockstats",
    ]


def test_disk_has_the_limits_that_it_or_its_filter_has() -> None:
    """None is known of a drive without a medium but that it has no limits."""
    limits = [each.limits for each in read(Monitor(), limits=True).disks]
    assert limits == [
        Limits(),
        Limits(iops=100, iops_burst=300, bytes_per_s_write=5, iops_size_bytes=4096, group="gg"),
        Limits(iops=55, iops_burst=66, bytes_per_s_read=7, group="tg0"),
        Limits(),
    ]


def test_queue_is_of_the_disk_or_of_the_controller() -> None:
    """Queues for control and events are not requests'."""
    told = read(Monitor(), queues=True)
    assert told.queues == (
        QueueSample(device="vd0", index=0, in_flight=0, size=256),
        QueueSample(device="vd0", index=1, in_flight=1, size=256),
        QueueSample(device="s0", index=0, in_flight=2, size=256),
        QueueSample(device="s0", index=1, in_flight=3, size=256),
    )
    assert [each.in_flight for each in told.disks] == [1, None, None, None]
    assert [each.limits for each in told.disks] == [None] * 4


@pytest.mark.parametrize("when", ["x-query-virtio", "query-iothreads"])
@pytest.mark.parametrize("wanted", [False, True])
def test_queues_can_be_chosen_while_an_answer_is_waited_for(when: str, *, wanted: bool) -> None:
    """A key on a screen is pressed at any time; the next sample is as it was chosen."""
    asked = Monitor()
    reader = MonitorReader(asked, limits=True, queues=not wanted)

    async def run() -> None:
        answer = asked.execute_all

        async def choose_meanwhile(questions: Sequence[Question]) -> tuple[Any, ...]:
            if any(each.command == when for each in questions):
                reader.ask_for_queues(wanted=wanted)
            return await answer(questions)

        asked.execute_all = choose_meanwhile  # type: ignore[method-assign]
        await reader.read()
        assert bool((await reader.read()).queues) == wanted

    asyncio.run(run())


def test_guest_with_too_many_queues_is_asked_for_none() -> None:
    """A part of them would be a wrong figure."""
    asked = Monitor()
    asked.queues = 129
    assert read(asked, queues=True).queues == ()


@pytest.mark.parametrize(
    "refused", ["query-block", "qom-get", "x-query-virtio", "x-query-virtio-queue-status"]
)
def test_what_qemu_refuses_is_unknown(refused: str) -> None:
    """An old QEMU has no list of virtio devices; the rest is told."""
    told = read(Monitor(refused), limits=True, queues=True)
    assert len(told.disks) == 4
    if refused == "query-block":
        assert [each.limits for each in told.disks] == [None] * 4
    if refused == "qom-get":
        assert told.disks[2].limits is None
    if refused.startswith("x-"):
        assert told.queues == ()
        assert told.disks[0].in_flight is None


def test_qemu_without_counters_is_an_error() -> None:
    """Without them there is no sample."""
    with pytest.raises(CommandRefusedError):
        read(Monitor("query-blockstats"))


@pytest.mark.parametrize(("kept_s", "times"), [(60.0, 1), (0.0, 3)])
def test_limits_are_asked_for_now_and_then(
    monkeypatch: pytest.MonkeyPatch, kept_s: float, times: int
) -> None:
    """They change seldom, and cost as much as the counters."""
    monkeypatch.setattr(monitor, "_SLOW_S", kept_s)
    asked = Monitor()
    reader = MonitorReader(asked, limits=True, queues=True)

    async def main() -> None:
        for _ in range(3):
            await reader.read()

    asyncio.run(main())
    assert sum(each.command == "query-block" for each in asked.asked) == times


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["qdev", "inserted", "iops", "iops_max", "iops_size", "group", "drv", "file"]
            ),
            inner | st.sampled_from(["throttle", "json:{", FILTER]),
            max_size=6,
        )
    ),
)


@given(JSON)
def test_hostile_limits_are_no_crash(reply: object) -> None:
    """Whatever they are, there are limits or an error about the monitor."""
    parse_group(reply, "x")
    try:
        parse_limits(reply, "m")
    except QmpError:
        return
