"""The cost of each step on a host, as measured there; in memory and as TOML.

A profile's file is kept beside a host's description.
"""

from __future__ import annotations

from typing import Final, Literal

from msgspec import Struct, ValidationError, convert, to_builtins

from vmio.bounds import load_toml
from vmio.errors import InputError
from vmio.model.source import Source
from vmio.sim.costs import DEFAULT_COSTS, MAX_NS, Costs
from vmio.values import check_between, explain

__all__ = [
    "DEFAULT_PROFILE",
    "MAX_PROCESSORS",
    "Accelerator",
    "Profile",
    "ServiceTimes",
    "parse_profile",
    "render_profile",
]

Accelerator = Literal["", "kvm", "tcg"]
"""The accelerator that runs a guest; empty if not known."""

MAX_PROCESSORS: Final = 4096
_MAX_BYTES: Final = 1024 * 1024


class ServiceTimes(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The service times of a disk with a given number of requests in flight."""

    depth: int
    quantiles_ns: tuple[int, ...]
    """The shortest, the longest, and quantiles at even steps of probability between them."""

    def __post_init__(self) -> None:
        check_between("depth", self.depth, 1, 1024)
        check_between("the number of quantiles", len(self.quantiles_ns), 2)
        times = self.quantiles_ns
        if list(times) != sorted(times) or not 1 <= times[0] <= times[-1] <= MAX_NS:
            raise ValueError("quantiles must ascend, from 1 ns to 10 s")


class Profile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A host and the guest on it, as far as predictions depend on them."""

    name: str
    is_this_host: bool
    costs: Costs
    service: tuple[ServiceTimes, ...]
    """In ascending order of depth; interpolated between two depths."""
    processors: int
    host: str = ""
    """Identifies the host."""
    accelerator: Accelerator = ""
    """The accelerator of the guest."""
    sources: tuple[tuple[str, str], ...] = ()
    """The source of a number, by its name."""

    def __post_init__(self) -> None:
        check_between("processors", self.processors, 1, MAX_PROCESSORS)
        depths = [table.depth for table in self.service]
        if not depths or depths[0] != 1 or depths != sorted(set(depths)):
            raise ValueError("tables of service times must ascend from depth 1")


def parse_profile(source: Source) -> Profile:
    """Reads a profile.

    Raises:
        InputError: It is not TOML, or one of its numbers is missing, unknown or out of range.
    """
    name = source.name
    if len(source.data) > _MAX_BYTES:
        raise InputError(f"{name} is too large for a profile")
    try:
        table = load_toml(source.data)
    except ValueError as error:
        raise InputError(f"{name} is not a profile: {error}") from error
    try:
        return convert(table, Profile)
    except ValidationError as error:
        raise InputError(f"{name}: {explain(error, 'a profile')}") from error


def render_profile(profile: Profile) -> str:
    """Returns a profile as TOML, which `parse_profile` reads as the same profile."""
    from vmio.formats.toml_text import render_toml

    return render_toml(to_builtins(profile))


DEFAULT_PROFILE: Final = Profile(
    name="default profile",
    is_this_host=False,
    costs=DEFAULT_COSTS,
    service=(
        ServiceTimes(
            depth=1,
            quantiles_ns=(
                35_263,
                37_606,
                39_856,
                42_676,
                47_662,
                51_934,
                54_460,
                56_741,
                58_962,
                61_586,
                65_206,
                69_130,
                72_554,
                76_084,
                79_607,
                83_133,
                86_666,
                90_964,
                97_019,
                106_247,
                138_664,
            ),
        ),
        ServiceTimes(
            depth=8,
            quantiles_ns=(
                50_892,
                66_398,
                92_312,
                110_665,
                114_117,
                117_367,
                120_066,
                122_390,
                124_672,
                127_028,
                129_710,
                132_845,
                136_578,
                140_357,
                144_319,
                149_136,
                156_028,
                164_844,
                174_767,
                192_117,
                242_337,
            ),
        ),
        ServiceTimes(
            depth=32,
            quantiles_ns=(
                236_816,
                322_328,
                371_414,
                396_136,
                410_636,
                424_383,
                433_059,
                441_428,
                450_011,
                458_903,
                468_119,
                477_322,
                487_354,
                499_765,
                512_293,
                525_587,
                541_866,
                565_054,
                594_769,
                646_601,
                822_651,
            ),
        ),
    ),
    processors=2,
    accelerator="tcg",
    sources=(
        ("all", "vmio calibrate on QEMU 10.0.2 under TCG, two shared processors, aio=io_uring"),
        ("costs", "fitted to the means of six calibrations within 70 minutes"),
        ("submit_ns", "assumed"),
        ("self_kick_ns, poll_pass_ns", "traced on QEMU 10.0.2: 2 to 3 us, 34 to 75 ns"),
    ),
)
"""A guest under TCG on a host with two processors; not the reader's host."""
