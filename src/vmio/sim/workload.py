"""The load that a guest puts on each of its disks."""

from __future__ import annotations

import re
from typing import Final

from msgspec import Struct

from vmio.errors import UsageError
from vmio.values import check_between

__all__ = ["Workload", "parse_workload"]

_HINT: Final = (
    "the form is qd=16,batch=4,jobs=2,work=50us,think=100us, rate=5000, or a name such as"
    " 4k-randread-qd32"
)
_UNITS_NS: Final = {"ns": 1, "us": 1_000, "ms": 1_000_000, "s": 1_000_000_000}
_MAX_DEPTH: Final = 1024
_MAX_BATCH: Final = 32
"""The largest plug of Linux. Source: Linux 6.1, `block/blk.h`, BLK_MAX_REQUEST_COUNT."""
_MAX_JOBS: Final = 64
_MAX_PAUSE_NS: Final = 10**9
_MAX_RATE: Final = 10_000_000


class Workload(Struct, frozen=True, kw_only=True):
    """Random reads of 4 KiB on every disk at once, in a closed or an open loop."""

    name: str
    depth: int = 1
    """Requests in flight of each job; not used in an open loop."""
    batch: int = 1
    """A job waits for this many completions before it submits as many requests at once. The
    guest's block layer plugs them: they reach the queue together, with one kick."""
    jobs: int = 1
    """Programs on each disk, spread over the guest's vCPUs, each of which has its virtqueue."""
    work_ns: int = 0
    """A program's computing time before it submits more, on its guest's processor."""
    think_ns: int = 0
    """Its think time after that."""
    rate_per_s: int = 0
    """Requests a second for each disk that arrive independently; 0 for a closed loop."""

    def __post_init__(self) -> None:
        check_between("depth", self.depth, 1, _MAX_DEPTH)
        check_between("batch", self.batch, 1, _MAX_BATCH)
        check_between("jobs", self.jobs, 1, _MAX_JOBS)
        check_between("work_ns", self.work_ns, 0, _MAX_PAUSE_NS)
        check_between("think_ns", self.think_ns, 0, _MAX_PAUSE_NS)
        check_between("rate_per_s", self.rate_per_s, 0, _MAX_RATE)


def parse_workload(text: str) -> Workload:
    """Parses a load such as `qd=16,think=100us`.

    Raises:
        UsageError: It cannot be parsed, or is not possible.
    """
    text = text.strip()
    named = re.fullmatch(r"(?:4k-randread|randread-4k)-qd(\d{1,6})", text, re.ASCII)
    pairs = [f"qd={named[1]}"] if named else text.split(",")
    values: dict[str, int] = {}
    for pair in pairs:
        key, _, value = (piece.strip() for piece in pair.partition("="))
        number = _parse_value(key, value)
        if number is None or key in values:
            raise UsageError(f"--workload {text[:80]!r}: cannot take {pair[:40]!r}", hint=_HINT)
        values[key] = number
    if "rate" in values and len(values) > 1:
        raise UsageError(
            f"--workload {text[:80]!r}: a rate cannot be combined with anything else",
            hint="requests of an open loop arrive regardless of completions",
        )
    if values.get("rate") == 0:
        raise UsageError(f"--workload {text[:80]!r}: a rate of 0 has no requests", hint=_HINT)
    if values.get("batch", 1) > values.get("qd", 1):
        raise UsageError(f"--workload {text[:80]!r}: a batch cannot have more than qd requests")
    try:
        return Workload(
            name=text,
            depth=values.get("qd", 1),
            batch=values.get("batch", 1),
            jobs=values.get("jobs", 1),
            work_ns=values.get("work", 0),
            think_ns=values.get("think", 0),
            rate_per_s=values.get("rate", 0),
        )
    except ValueError as error:
        raise UsageError(f"--workload {text[:80]!r}: {error.args[0]}", hint=_HINT) from error


def _parse_value(key: str, text: str) -> int | None:
    match = re.fullmatch(r"(\d{1,9})(ns|us|ms|s)?", text, re.ASCII)
    if match is None or key not in ("qd", "batch", "jobs", "work", "think", "rate"):
        return None
    if (key in ("work", "think")) != (match[2] is not None):
        return None
    return int(match[1]) * _UNITS_NS[match[2] or "ns"]
