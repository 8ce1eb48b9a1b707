"""The thresholds of verdicts, each with its source.

Where there are two, the first begins a verdict and the second ends it, so that a figure near a
threshold does not make it come and go.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from vmio.model.version import QemuVersion
from vmio.observe.verdicts.values import VerdictKind

__all__ = [
    "DEEP",
    "DEFAULT_REQUEST_COST_NS",
    "FULL",
    "IDLE",
    "IO_URING_LOOP_SINCE",
    "LEAST_CPU",
    "LEAST_REQUESTS",
    "LEAST_USED_S",
    "LEAST_USER_WINDOW_S",
    "LEAST_WINDOW_S",
    "LIMIT_REACHED",
    "MOSTLY_USER",
    "NOTHING_UNDER_WAY",
    "NO_LONGER_MOSTLY_WORK",
    "PASSES_FOR_A_REQUEST",
    "POLLS_WITH_SCSI_SINCE",
    "PRESSED",
    "SLOW_NS",
    "SOURCES",
    "TIME_LEFT",
    "WAITS",
    "WASTED_FACTOR",
]

FULL: Final = (0.90, 0.80)
"""Processors that a thread uses or waits for. Source: queueing theory: at 0.9 a request waits nine
times as long as it is served, where both are random; SPDK's dynamic scheduler, whose limits are
0.80 for a full core and 0.95 for a busy one."""

IDLE: Final = 0.20
"""Processors; a thread that uses less is idle. Source: SPDK's dynamic scheduler."""

WAITS: Final = (0.05, 0.03)
"""Run delay as a share of time. Source: measured on QEMU 10.0.2: above 0.05 a guest's requests
per second differ by up to a factor of 5 from those without."""

MOSTLY_USER: Final = (0.75, 0.60)
"""Share of an event loop's processor time in QEMU's own code. Source: measured on QEMU 10.0.2:
0.77 to 1 where it polls for 1 ms, at most 0.71 at the default and 0.5 without polling."""

NO_LONGER_MOSTLY_WORK: Final = 0.50
"""Share as above; a loop below that does not mostly poll."""

WASTED_FACTOR: Final = (2.0, 1.5)
"""Processor time for a request, as a multiple of that without polling. Source: as above: 3.2 to
4.7 where polling is in vain, at most 1.4 at the default."""

DEFAULT_REQUEST_COST_NS: Final = 120_000.0
"""Without polling, where it was not measured: the most of any load on QEMU 10.0.2 under TCG, for
200 requests per second at depth 1."""

LEAST_CPU: Final = (0.05, 0.03)
"""Processors; less is not worth a verdict about polling."""

DEEP: Final = (4.0, 2.0)
"""Requests of a disk under way at once, on average."""

SLOW_NS: Final = (1_000_000.0, 700_000.0)
"""Mean latency. A queue is deep on a fast disk, too, without anybody waiting for long."""

TIME_LEFT: Final = (0.50, 0.70)
"""Processors; an event loop that uses less is not what a disk's requests wait for."""

LIMIT_REACHED: Final = 0.95
"""Of a limit; see `DiskRates.binding`, which decides."""

PASSES_FOR_A_REQUEST: Final = 4
"""At most, of an event loop, each of which can poll for the maximum. Source: QEMU 10.0.2, run, at
depth 1; the loop notifies itself of each completion."""

PRESSED: Final = (0.90, 0.80)
"""I/O pressure as a share of time."""

NOTHING_UNDER_WAY: Final = 0.1
"""Requests of all disks under way at once, on average."""

LEAST_WINDOW_S: Final = 1.0
"""Shorter windows say nothing of a guest."""

LEAST_USER_WINDOW_S: Final = 2.0
"""The kernel splits processor time by samples of its timer, 100 to 1000 in a second."""

LEAST_USED_S: Final = 0.1
"""Processor time, for the same reason."""

LEAST_REQUESTS: Final = 20
"""Completed in a window, for a figure that is a mean over requests."""

POLLS_WITH_SCSI_SINCE: Final = QemuVersion(10, 0)
"""Before, a virtio-scsi controller keeps its IOThread from polling. Source: QEMU 7.2.22, run: 3
phases of polling in 75,000 requests."""

IO_URING_LOOP_SINCE: Final = QemuVersion(10, 2)
"""Event loops wait in io_uring, which Linux before 6.15 counts as waiting for I/O.

Source: QEMU 10.2's release notes; the kernel's mailing list, April 2026.
"""

_UTILISATION: Final = (
    "queueing theory: at 0.9 a request waits nine times as long as it is served; the limits of"
    " SPDK's dynamic scheduler for a full and a busy core, 0.80 and 0.95"
)
SOURCES: Final[Mapping[VerdictKind, str]] = {
    "waits-for-processors": "schedstat of the threads; above 5 % of run delay a guest's requests"
    " per second differed by up to a factor of 5 (QEMU 10.0.2)",
    "main-loop-full": _UTILISATION,
    "iothread-full": _UTILISATION,
    "limit-binds": "the disk's own limits (query-block); 95 % of one is reached only by waiting",
    "storage-slow": "QEMU's latencies, which begin when it takes a request; Little's law",
    "vcpus-full": _UTILISATION,
    "polling-wasted": "measured on QEMU 10.0.2: user share and processor time for a request,"
    " with and without polling",
    "restart-pending": "the layout of the configuration and the one that QEMU reports",
    "polling-impossible": "QEMU 7.2.22 with virtio-scsi: 3 phases of polling in 75,000 requests;"
    " fixed in 10.0",
    "io-pressure-misleads": "QEMU 10.2 waits in io_uring, which Linux before 6.15 counts as"
    " waiting for I/O",
    "cannot-tell": "the figures named",
}
