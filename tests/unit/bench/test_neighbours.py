"""Neighbours of a measured disk: what names them, what they send, and how they end."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import pytest

from vmio.bench.neighbours import (
    NEIGHBOURS,
    PROXMOX_QUERIES,
    Neighbour,
    find_checksum,
    make_arp_request,
    make_ping,
    neighbour_argv,
    open_neighbour,
    parse_neighbour,
)
from vmio.errors import QmpError, ToolError, UsageError
from vmio.qemu.qmp import CommandRefusedError, QmpConnection

_ENOUGH = 12
"""Commands after which each neighbour has done something."""


class Monitor:
    """A monitor that notes what it is asked."""

    name = "monitor"

    def __init__(self, *, fails: str = "", refuses: str = "", progress: int = 1 << 20) -> None:
        self.asked: list[str] = []
        self.fails = fails
        self.refuses = refuses
        self.jobs: list[dict[str, object]] = []
        self.progress = progress
        self.enough = asyncio.Event()
        """Set once a neighbour has worked, or failed."""

    async def execute(self, command: str, arguments: Mapping[str, object] | None = None) -> object:
        """Answers."""
        await asyncio.sleep(0)
        self.asked.append(command)
        if len(self.asked) >= _ENOUGH or command == self.fails:
            self.enough.set()
        if command == self.fails:
            raise QmpError("monitor broke off")
        if command == self.refuses:
            raise CommandRefusedError("monitor refused it", error_class="DeviceNotActive")
        if command in {"blockdev-backup", "blockdev-mirror"}:
            assert arguments is not None
            self.jobs = [{"device": arguments["job-id"], "offset": 0, "ready": False}]
        elif command == "block-job-cancel":
            self.jobs = []
        elif command == "query-block-jobs":
            for job in self.jobs:
                job["offset"] = cast("int", job["offset"]) + self.progress
            return [dict(job) for job in self.jobs]
        return {}


def run(neighbour: Neighbour, monitor: Monitor, folder: Path) -> float:
    """Keeps a guest busy for some turns of the event loop; returns what was done."""

    async def work() -> float:
        qmp = cast("QmpConnection", monitor)
        async with open_neighbour(neighbour, qmp, folder, folder) as running:
            async with running.busy() as turn:
                await monitor.enough.wait()
            return turn.done

    return asyncio.run(asyncio.wait_for(work(), 60))


@pytest.mark.parametrize("kind", NEIGHBOURS)
def test_neighbour_is_written_as_it_is_read(kind: str) -> None:
    """A kind alone, or with a rate."""
    assert parse_neighbour(kind).name == kind
    if kind not in {"backup", "mirror"}:
        assert parse_neighbour(f"{kind}=2.5").rate_per_s == 2.5
        assert parse_neighbour(f"{kind}=2.5").name == f"{kind}=2.5"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "noise",
        "monitor=",
        "monitor=x",
        "monitor=nan",
        "monitor=0",
        "monitor=1e9",
        "backup=3",
        "Monitor",
        "monitor=-1",
    ],
)
def test_what_is_no_neighbour_is_refused(text: str) -> None:
    """With what can be written."""
    with pytest.raises(UsageError, match="--neighbour") as caught:
        parse_neighbour(text)
    assert "float" not in caught.value.message  # Python's own words say nothing to a person
    assert caught.value.hint


def test_monitor_is_asked_as_proxmox_asks_though_it_refuses_a_query(tmp_path: Path) -> None:
    """A guest without a balloon refuses one of them, there as here."""
    monitor = Monitor(refuses="query-balloon")
    done = run(parse_neighbour("monitor"), monitor, tmp_path)
    assert done >= 1
    assert monitor.asked[: len(PROXMOX_QUERIES)] == list(PROXMOX_QUERIES)


@pytest.mark.parametrize("kind", ["backup", "mirror"])
def test_copy_is_counted_and_leaves_nothing(kind: str, tmp_path: Path) -> None:
    """The job is cancelled when the run ends, and its disks are removed from QEMU."""
    monitor = Monitor()
    assert run(parse_neighbour(kind), monitor, tmp_path) >= 1
    assert monitor.asked[:3] == ["blockdev-add", "blockdev-add", f"blockdev-{kind}"]
    assert "block-job-cancel" in monitor.asked
    assert monitor.jobs == []
    assert monitor.asked[-2:] == ["blockdev-del", "blockdev-del"]


def test_neighbour_that_fails_ends_the_run(tmp_path: Path) -> None:
    """Its error is the run's: figures beside half a neighbour are worth nothing."""
    with pytest.raises(QmpError, match="broke off"):
        run(parse_neighbour("monitor"), Monitor(fails="query-version"), tmp_path)


def test_neighbour_that_does_nothing_is_an_error(tmp_path: Path) -> None:
    """A copy that never gets anywhere is no neighbour."""

    async def work() -> None:
        qmp = cast("QmpConnection", Monitor(progress=0))
        neighbour = parse_neighbour("backup")
        async with open_neighbour(neighbour, qmp, tmp_path, tmp_path) as running, running.busy():
            await asyncio.sleep(0)

    with pytest.raises(ToolError, match="did nothing"):
        asyncio.run(asyncio.wait_for(work(), 60))


def test_failed_run_ends_its_neighbour_too(tmp_path: Path) -> None:
    """The run's own error is told, and the copy is gone."""
    monitor = Monitor()

    async def work() -> None:
        qmp = cast("QmpConnection", monitor)
        neighbour = parse_neighbour("mirror")
        async with open_neighbour(neighbour, qmp, tmp_path, tmp_path) as running, running.busy():
            await monitor.enough.wait()
            raise ToolError("fio failed")

    with pytest.raises(ToolError, match="fio failed"):
        asyncio.run(asyncio.wait_for(work(), 60))
    assert monitor.jobs == []


def test_only_screen_and_network_need_devices(tmp_path: Path) -> None:
    """A copied disk has no device, so that it stays in the main loop."""
    needed = {kind for kind in NEIGHBOURS if neighbour_argv(Neighbour(kind=kind), tmp_path)}
    assert needed == {"screen", "network"}


def test_frames_are_what_a_network_takes() -> None:
    """The lengths of the headers are right, and the checksums add up to nothing left."""
    assert len(make_arp_request()) == 42
    frame = make_ping()
    header, echo = frame[14:34], frame[34:]
    assert int.from_bytes(header[2:4]) == len(header) + len(echo)
    assert find_checksum(header) == 0
    assert find_checksum(echo) == 0
    # The example of RFC 1071, 3.
    assert find_checksum(bytes.fromhex("0001f203f4f5f6f7")) == 0xFFFF - 0xDDF2
