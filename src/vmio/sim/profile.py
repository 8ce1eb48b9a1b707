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
        wake_ns=27_746,
        crowded_wake_ns=58_155,
        sleep_ns=10_441,
        syscall_ns=1_042,
        poll_pass_ns=50,
        self_kick_ns=2_500,
        main_pass_ns=20_478,
        queue_run_ns=9_413,
        queue_request_ns=2_843,
        submit_ns=3_000,
        done_run_ns=5_782,
        done_request_ns=3_313,
        irq_ns=60_631,
        guest_wake_ns=6_876,
        guest_irq_ns=45_503,
        guest_switch_ns=7_959,
        guest_request_ns=20_123,
        guest_submit_ns=67_484,
        guest_kick_ns=14_549,
    ),
    service=(
        ServiceTimes(
            depth=1,
            quantiles_ns=(
                35_876,
                40_096,
                43_430,
                45_051,
                46_671,
                48_291,
                50_814,
                53_402,
                60_954,
                67_522,
                69_678,
                71_488,
                73_297,
                75_107,
                77_893,
                82_037,
                86_362,
                91_356,
                97_162,
                107_305,
                143_039,
            ),
        ),
        ServiceTimes(
            depth=8,
            quantiles_ns=(
                50_328,
                56_873,
                65_068,
                107_876,
                110_268,
                112_660,
                115_051,
                117_443,
                119_835,
                122_025,
                124_215,
                126_406,
                128_596,
                130_786,
                132_976,
                135_845,
                139_607,
                143_369,
                147_130,
                154_796,
                203_424,
            ),
        ),
        ServiceTimes(
            depth=32,
            quantiles_ns=(
                208_969,
                255_739,
                318_737,
                358_828,
                381_450,
                398_156,
                414_862,
                422_531,
                428_966,
                435_401,
                441_836,
                448_271,
                454_706,
                461_141,
                469_361,
                492_611,
                515_861,
                541_561,
                568_329,
                606_851,
                654_962,
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
