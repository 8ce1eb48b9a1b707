"""What a step costs on a host, as numbers that were measured there."""

from __future__ import annotations

from typing import Final

from attrs import field, frozen
from attrs.validators import and_, ge, le, min_len

__all__ = ["DEFAULT_PROFILE", "Profile", "ServiceTimes", "StepCosts"]

_MAX_NS: Final = 10**10


def _ns() -> int:
    value: int = field(validator=and_(ge(0), le(_MAX_NS)))
    return value


@frozen(kw_only=True)
class StepCosts:
    """What each step of event loops and guests takes; see `vmio.sim.reference.Costs`.

    Units: nanoseconds.
    """

    wake_ns: int = _ns()
    crowded_wake_ns: int = _ns()
    sleep_ns: int = _ns()
    syscall_ns: int = _ns()
    poll_pass_ns: int = _ns()
    self_kick_ns: int = _ns()
    main_pass_ns: int = _ns()
    queue_run_ns: int = _ns()
    queue_request_ns: int = _ns()
    submit_ns: int = _ns()
    done_run_ns: int = _ns()
    done_request_ns: int = _ns()
    irq_ns: int = _ns()
    guest_wake_ns: int = _ns()
    guest_irq_ns: int = _ns()
    guest_switch_ns: int = _ns()
    guest_request_ns: int = _ns()
    guest_submit_ns: int = _ns()
    guest_kick_ns: int = _ns()


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
    costs: StepCosts
    service: tuple[ServiceTimes, ...] = field(validator=min_len(1))
    """By depth, ascending; between two depths it is taken to grow evenly."""
    processors: int = field(validator=and_(ge(1), le(4096)))
    host: str = ""
    """What tells the host from others."""
    sources: tuple[tuple[str, str], ...] = ()
    """Where a number comes from, by its name."""

    @service.validator
    def _check_depths(self, _: object, value: tuple[ServiceTimes, ...]) -> None:
        depths = [table.depth for table in value]
        if depths[0] != 1 or depths != sorted(set(depths)):
            raise ValueError("tables of service times must ascend from depth 1")


DEFAULT_PROFILE: Final = Profile(
    name="default profile",
    is_this_host=False,
    costs=StepCosts(
        wake_ns=23_855,
        crowded_wake_ns=26_704,
        sleep_ns=10_619,
        syscall_ns=2_500,
        poll_pass_ns=50,
        self_kick_ns=2_500,
        main_pass_ns=5_000,
        queue_run_ns=6_779,
        queue_request_ns=4_000,
        submit_ns=3_000,
        done_run_ns=10_373,
        done_request_ns=4_000,
        irq_ns=23_560,
        guest_wake_ns=9_945,
        guest_irq_ns=30_683,
        guest_switch_ns=34_191,
        guest_request_ns=19_658,
        guest_submit_ns=43_030,
        guest_kick_ns=26_022,
    ),
    service=(
        ServiceTimes(
            depth=1,
            quantiles_ns=(
                37_498,
                44_323,
                47_332,
                54_002,
                58_811,
                62_219,
                64_744,
                67_268,
                73_617,
                85_901,
                114_587,
            ),
        ),
        ServiceTimes(
            depth=8,
            quantiles_ns=(
                45_171,
                79_304,
                109_043,
                111_485,
                113_927,
                116_369,
                118_811,
                124_031,
                131_274,
                144_651,
                202_897,
            ),
        ),
        ServiceTimes(
            depth=32,
            quantiles_ns=(
                244_073,
                365_681,
                396_764,
                420_503,
                435_417,
                450_331,
                465_245,
                489_475,
                514_862,
                552_420,
                648_645,
            ),
        ),
    ),
    processors=2,
    sources=(
        ("all", "vmio calibrate on QEMU 10.0.2 under TCG, two shared processors, aio=io_uring"),
        ("queue_request_ns, done_request_ns, submit_ns", "split off by assumption: 3 to 4 us"),
        ("self_kick_ns, poll_pass_ns", "traced on QEMU 10.0.2: 2 to 3 us, 34 to 75 ns"),
        ("main_pass_ns", "assumed"),
    ),
)
"""A guest under TCG on a host of two processors; no host of the reader's."""
