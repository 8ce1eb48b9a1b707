"""Histories for the tests of their reports: of a recorded guest, and made up."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from vmio import app
from vmio.host.running import QemuProcess
from vmio.managers.discovery import RunningGuest
from vmio.managers.owners import Manager
from vmio.model.disk import Disk
from vmio.model.topology import AttachedDisk, Topology
from vmio.observe.history import (
    DiskHistory,
    GuestHistory,
    History,
    Line,
    LoopPolling,
    QuantileLine,
    ThreadHistory,
    VerdictHistory,
)
from vmio.observe.percentiles import LatencyRange
from vmio.observe.sample import Role
from vmio.observe.verdicts.values import Verdict

RECORDED = Path(__file__).parents[3] / "data" / "guests" / "db.jsonl.gz"


@pytest.fixture(scope="session")
def recorded() -> History:
    """The history of a guest whose disks were loaded one after the other."""
    history, incomplete = app.read_history(str(RECORDED))
    assert not incomplete
    return history


def make_line(value: float | None, count: int) -> Line:
    """Returns a line that does not change."""
    return Line(values=(value,) * count, mean=value, peak=value)


def make_guest(
    pid: int,
    *,
    count: int,
    disks: int,
    name: str = "web",
    manager: Manager = "proxmox",
    verdicts: tuple[VerdictHistory, ...] = (),
) -> GuestHistory:
    """Returns a guest with threads and disks."""
    process = QemuProcess(
        pid=pid, started_ticks=0, inner_pid=pid, owner=0, stopped=False, cgroup=""
    )
    found = LatencyRange(low_ns=123_456, high_ns=234_567)
    quantile = QuantileLine(values=(found,) * count, overall=found)
    line = make_line(1234.5678 + pid, count)
    roles: tuple[Role, ...] = ("main loop", "iothread", "vcpu")
    return GuestHistory(
        guest=RunningGuest(process=process, manager=manager, id=str(pid), name=name, uptime_s=1.0),
        # A disk without its controller, as in a recording that somebody wrote by hand.
        layout=Topology(
            disks=(AttachedDisk(disk=Disk(id="vd0", bus="virtio", index=0), controller="x"),)
        ),
        first_s=0.0,
        last_s=3600.0,
        judged_s=3600.0,
        threads=tuple(
            ThreadHistory(
                name=f"{role} {at}",
                role=role,
                cpu_share=make_line(0.123456, count),
                run_delay_share=make_line(0.0123456, count),
            )
            for role, number in zip(roles, (1, disks, 2), strict=True)
            for at in range(number)
        ),
        polling=tuple(
            LoopPolling(
                name=f"iothread {at}",
                estimated_share=make_line(0.0123456, count),
                traced_share=make_line(None, count),
            )
            for at in range(disks)
        ),
        disks=tuple(
            DiskHistory(
                id=f"vd{at}",
                reads_per_s=line,
                writes_per_s=line,
                read_bytes_per_s=line,
                write_bytes_per_s=line,
                latency_mean_ns=line,
                latency_p50=quantile,
                latency_p99=quantile,
                depth_mean=line,
            )
            for at in range(disks)
        ),
        verdicts=verdicts,
        notes=(),
    )


def make_verdict(count: int, subject: str = "io0") -> VerdictHistory:
    """Returns a verdict that was in force a third of the time."""
    verdict = Verdict(
        kind="iothread-full", subject=subject, severity="warning", evidence=(), source=""
    )
    shares = tuple(float(at % 3 == 0) for at in range(count))
    return VerdictHistory(verdict=verdict, seconds=1200.0, shares=shares)


@pytest.fixture(scope="session")
def make_history() -> Callable[..., History]:
    """Returns what makes an hour of guests."""

    def make(
        guests: int = 2, *, count: int = 10, disks: int = 2, name: str = "web", shown: int = 40
    ) -> History:
        return History(
            wall_ns=1_767_323_045 * 10**9,
            duration_s=3600.0,
            look_count=3601,
            step_s=3600.0 / count,
            step_count=count,
            guests=tuple(
                make_guest(
                    100 + at,
                    count=count if at < shown else 0,
                    disks=disks,
                    name=name,
                    verdicts=() if at else (make_verdict(count, name),),
                )
                for at in range(guests)
            ),
            shown_count=min(guests, shown),
            host_processors=2,
        )

    return make
