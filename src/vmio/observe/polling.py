"""How much of an event loop's processor time goes into polling, told from outside of QEMU.

A loop that polls spins in QEMU's own code: the user share of its time is high, and it takes more
time for a request than the same loop takes without polling. Neither needs QEMU's help.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from vmio.values import check_between

__all__ = ["PollingEstimate", "RequestCost"]


class RequestCost(Struct, frozen=True, kw_only=True):
    """What a request takes with polling off, as measured of this guest at one load."""

    depth: float
    """Requests under way at once, on average, by Little's law; batches make each cheaper."""
    cpu_ns: float
    """Processor time of the event loop for each request."""

    def __post_init__(self) -> None:
        check_between("depth", self.depth, 0)
        check_between("cpu_ns", self.cpu_ns, 0)


class PollingEstimate(Struct, frozen=True, kw_only=True):
    """What an event loop spends on polling; shares are of a processor, 1.0 is one all the time."""

    name: str
    """`MAIN_LOOP` or an IOThread's id."""
    poll_share: float | None
    """Best guess: seconds of polling in a second. None where nothing can be said."""
    poll_share_low: float | None
    """With `poll_share_high` about a 95 % interval."""
    poll_share_high: float | None
    method: Literal["request cost", "user share", "none"]
    """What it was worked out from: the cost of a request with polling off, or the user share alone
    where that cost is not known."""
    dominates: bool | None
    """Whether more goes into polling than into work: a user share above 0.75, and where the cost
    of a request is known, more than twice that for each. None where nothing can be said."""
    cpu_share: float
    """All that the loop's thread used."""
    requests_per_s: float | None
    """Of the disks that the loop serves alone; None if it shares one with other loops."""
    cpu_per_request_ns: float | None
    """None without requests, too."""
    user_share: float | None
    """Of its processor time, 0 to 1."""
    sleeps_per_request: float | None
    """About 2 without polling at depth 1; near 0 when polling finds the work."""
    contended: bool
    """Whether it waited for a processor for more than 5 % of the time: shares then say less."""
