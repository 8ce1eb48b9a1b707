"""What each step of event loops and guests takes: every cost, declared here alone."""

from __future__ import annotations

from typing import Any, Final

from attrs import NOTHING, field, fields, frozen
from attrs.validators import and_, ge, le

__all__ = ["DEFAULT_COSTS", "MAX_NS", "Costs"]

MAX_NS: Final = 10**10


def _cost(default_ns: int, *, absent: int | None = None) -> Any:  # noqa: ANN401 - a field of attrs
    """Declares a cost.

    Args:
        default_ns: What it is in the default profile.
        absent: What it is in a profile that does not have it; None where a profile has to.
    """
    return field(
        default=NOTHING if absent is None else absent,
        validator=and_(ge(0), le(MAX_NS)),
        metadata={"default_ns": default_ns},
    )


@frozen(kw_only=True)
class Costs:
    """What each step takes, the same for all loops and all vCPUs.

    Units: nanoseconds, of a processor's time unless said otherwise.
    """

    wake_ns: int = _cost(21_789)
    """Time from an event until the sleeping loop runs."""
    crowded_wake_ns: int = _cost(78_225)
    """And more where no processor is free."""
    sleep_ns: int = _cost(7_952)
    """Falling asleep and waking up."""
    syscall_ns: int = _cost(1_090)
    """A wait that returns at once."""
    poll_pass_ns: int = _cost(50)
    """Asking every handler once."""
    self_kick_ns: int = _cost(2_500)
    """A wait that the loop's own notification ends."""
    main_pass_ns: int = _cost(22_720)
    """And more for each wait of QEMU's main loop, which looks through all its sources."""
    queue_run_ns: int = _cost(6_357)
    """Looking through a queue, whatever is in it."""
    queue_request_ns: int = _cost(3_376)
    """And for each request in it, until the device has it."""
    submit_ns: int = _cost(3_000)
    """Each submission to the device after the first of a queue run."""
    done_run_ns: int = _cost(9_415)
    """Reaping completions, however many."""
    done_request_ns: int = _cost(6_040)
    """And for each of them, until the guest can see it."""
    irq_ns: int = _cost(24_278)
    """Of the main loop, which injects an IOThread's interrupts; 0 where the kernel does it."""
    guest_wake_ns: int = _cost(3_915)
    """Time that an idle vCPU needs to wake up."""
    guest_irq_ns: int = _cost(34_461)
    """Of a vCPU: an interrupt, however many completions are behind it."""
    guest_switch_ns: int = _cost(8_492)
    """And for waking a program that sleeps, or going from one to another."""
    guest_request_ns: int = _cost(19_989)
    """And for each completion, in the block layer and in its program."""
    guest_submit_ns: int = _cost(29_992)
    """And for a program to go on and to submit its next requests, however many."""
    guest_kick_ns: int = _cost(3_248)
    """And for a kick, which wakes up a loop that sleeps."""
    guest_softirq_ns: int = _cost(59_352, absent=0)
    """Of a vCPU: what an interrupt leaves to be done when others can come again."""
    disk_irq_ns: int = _cost(35_151, absent=0)
    """Of the host's processor to which interrupts of disks come, for one of them."""


DEFAULT_COSTS: Final = Costs(**{cost.name: cost.metadata["default_ns"] for cost in fields(Costs)})
"""Measured on the host of `vmio.sim.profile.DEFAULT_PROFILE`."""
