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
    """What each step of event loops and guests takes; see `vmio.sim.records.Costs`.

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
        wake_ns=18_418,
        crowded_wake_ns=78_225,
        sleep_ns=5_663,
        syscall_ns=1_074,
        poll_pass_ns=50,
        self_kick_ns=2_500,
        main_pass_ns=21_068,
        queue_run_ns=6_954,
        queue_request_ns=2_716,
        submit_ns=3_000,
        done_run_ns=11_172,
        done_request_ns=3_998,
        irq_ns=70_066,
        guest_wake_ns=5_746,
        guest_irq_ns=45_403,
        guest_switch_ns=6_591,
        guest_request_ns=18_517,
        guest_submit_ns=58_957,
        guest_kick_ns=10_853,
    ),
    service=(
        ServiceTimes(
            depth=1,
            quantiles_ns=(
                36_528,
                44_965,
                60_171,
                62_193,
                63_764,
                65_335,
                66_906,
                68_372,
                69_594,
                70_817,
                72_039,
                73_262,
                74_485,
                75_707,
                77_492,
                79_608,
                81_723,
                83_838,
                87_678,
                95_375,
                128_847,
            ),
        ),
        ServiceTimes(
            depth=8,
            quantiles_ns=(
                45_660,
                53_601,
                74_391,
                107_382,
                108_542,
                109_702,
                110_862,
                112_022,
                113_182,
                114_342,
                115_502,
                116_662,
                117_822,
                118_982,
                121_524,
                127_999,
                134_659,
                145_845,
                155_924,
                165_263,
                195_909,
            ),
        ),
        ServiceTimes(
            depth=32,
            quantiles_ns=(
                238_192,
                277_407,
                338_589,
                369_071,
                378_078,
                384_626,
                391_173,
                397_720,
                404_267,
                410_815,
                417_370,
                424_022,
                430_675,
                437_328,
                443_980,
                450_633,
                457_285,
                463_938,
                484_882,
                517_248,
                694_410,
            ),
        ),
    ),
    processors=2,
    sources=(
        ("all", "vmio calibrate on QEMU 10.0.2 under TCG, two shared processors, aio=io_uring"),
        ("submit_ns", "assumed"),
        ("self_kick_ns, poll_pass_ns", "traced on QEMU 10.0.2: 2 to 3 us, 34 to 75 ns"),
    ),
)
"""A guest under TCG on a host of two processors; no host of the reader's."""
