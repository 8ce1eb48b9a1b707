"""What a step costs on a host, as numbers that were measured there."""

from __future__ import annotations

from typing import Final

from attrs import field, frozen
from attrs.validators import and_, ge, le, min_len

__all__ = ["DEFAULT_PROFILE", "LoopCosts", "Profile", "ServiceTimes"]

_MAX_NS: Final = 10**10


def _ns() -> int:
    value: int = field(validator=and_(ge(0), le(_MAX_NS)))
    return value


@frozen(kw_only=True)
class LoopCosts:
    """What the steps of an event loop cost; see `vmio.sim.reference.Loops`.

    Units: nanoseconds.
    """

    wake_ns: int = _ns()
    sleep_ns: int = _ns()
    queue_run_ns: int = _ns()
    queue_request_ns: int = _ns()
    done_run_ns: int = _ns()
    done_request_ns: int = _ns()


@frozen(kw_only=True)
class ServiceTimes:
    """How long a disk takes for a request while so many are under way."""

    depth: int = field(validator=and_(ge(1), le(1024)))
    quantiles_ns: tuple[int, ...] = field(validator=min_len(2))
    """The shortest, the longest, and what lies between at even steps of probability."""

    @quantiles_ns.validator
    def _check_order(self, _: object, value: tuple[int, ...]) -> None:
        if list(value) != sorted(value) or not 1 <= value[0] <= value[-1] <= _MAX_NS:
            raise ValueError("quantiles must ascend, from 1 ns to 10 s")


@frozen(kw_only=True)
class Profile:
    """A host and the guest on it, as far as a prediction goes by them."""

    name: str
    is_this_host: bool
    loop: LoopCosts
    """Of an IOThread and of the main loop alike."""
    service: tuple[ServiceTimes, ...] = field(validator=min_len(1))
    """By depth, ascending; between two depths the one below holds."""
    guest_run_ns: int = _ns()
    """From a completion that the guest can see to its next request in the queue."""
    guest_request_ns: int = _ns()
    """And more for each further request that goes along."""
    syscall_ns: int = _ns()
    poll_pass_ns: int = _ns()
    self_kick_ns: int = _ns()
    processors: int = field(validator=and_(ge(1), le(4096)))
    sources: tuple[tuple[str, str], ...] = ()
    """Where a number comes from, by its name."""

    @service.validator
    def _check_depths(self, _: object, value: tuple[ServiceTimes, ...]) -> None:
        depths = [table.depth for table in value]
        if depths[0] != 1 or depths != sorted(set(depths)):
            raise ValueError("tables of service times must ascend from depth 1")


# Quantiles of a log-normal distribution through p10 27 µs and p90 63 µs, in steps of a tenth, its
# ends cut at 1 % and 99 %: its mean is 44 µs, as measured.
_DEPTH_1_NS = (19_100, 27_000, 31_200, 34_700, 37_900, 41_200, 44_900, 49_000, 54_500, 63_000,
               89_000)  # fmt: skip

DEFAULT_PROFILE: Final = Profile(
    name="default profile",
    is_this_host=False,
    loop=LoopCosts(
        wake_ns=22_000,
        sleep_ns=15_000,
        queue_run_ns=12_000,
        queue_request_ns=5_000,
        done_run_ns=7_000,
        done_request_ns=3_000,
    ),
    service=(ServiceTimes(depth=1, quantiles_ns=_DEPTH_1_NS),),
    guest_run_ns=145_000,
    guest_request_ns=30_000,
    syscall_ns=3_000,
    poll_pass_ns=50,
    self_kick_ns=2_500,
    processors=2,
    sources=(
        ("service", "traced on QEMU 10.0.2 at depth 1: mean 44 us, p10 27, p90 63"),
        ("wake_ns", "a cycle without polling less one with long polling, halved: 22 us"),
        ("sleep_ns", "processor time without polling less that of dispatch, halved: 15 us"),
        ("queue_run_ns, queue_request_ns", "17 us for one request together; split by assumption"),
        ("done_run_ns, done_request_ns", "10 us for one request together; split by assumption"),
        ("guest_run_ns", "traced: 138 to 153 us, of a guest under TCG"),
        ("guest_request_ns", "chosen so that 16 requests at once take the 845 us that were seen"),
        ("syscall_ns, self_kick_ns, poll_pass_ns", "traced: 3 us, 2 to 3 us, 34 to 75 ns"),
        ("processors", "of the host that was measured"),
    ),
)
"""A guest under TCG on a host of two processors; no host of the reader's."""
