"""What each step of event loops and guests takes: every cost, declared here alone."""

from __future__ import annotations

from typing import Annotated, Final, get_args, get_type_hints

from msgspec import Meta, Struct

from vmio.values import check_between

__all__ = ["DEFAULT_COSTS", "MAX_NS", "Costs"]

MAX_NS: Final = 10**10


def _cost(default_ns: int) -> Meta:
    """Declares what a cost is in the default profile."""
    return Meta(extra={"default_ns": default_ns})


class Costs(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What each step takes, the same for all loops and all vCPUs.

    Units: nanoseconds, of a processor's time unless said otherwise.
    """

    wake_ns: Annotated[int, _cost(21_789)]
    """Time from an event until the sleeping loop runs."""
    crowded_wake_ns: Annotated[int, _cost(78_225)]
    """And more where no processor is free."""
    sleep_ns: Annotated[int, _cost(7_952)]
    """Falling asleep and waking up."""
    syscall_ns: Annotated[int, _cost(1_090)]
    """A wait that returns at once."""
    poll_pass_ns: Annotated[int, _cost(50)]
    """Asking every handler once."""
    self_kick_ns: Annotated[int, _cost(2_500)]
    """A wait that the loop's own notification ends."""
    main_pass_ns: Annotated[int, _cost(22_720)]
    """And more for each wait of QEMU's main loop, which looks through all its sources."""
    queue_run_ns: Annotated[int, _cost(6_357)]
    """Looking through a queue, whatever is in it."""
    queue_request_ns: Annotated[int, _cost(3_376)]
    """And for each request in it, until the device has it."""
    submit_ns: Annotated[int, _cost(3_000)]
    """Each submission to the device after the first of a queue run."""
    done_run_ns: Annotated[int, _cost(9_415)]
    """Reaping completions, however many."""
    done_request_ns: Annotated[int, _cost(6_040)]
    """And for each of them, until the guest can see it."""
    irq_ns: Annotated[int, _cost(24_278)]
    """Of the main loop, which injects an IOThread's interrupts; 0 where the kernel does it."""
    guest_wake_ns: Annotated[int, _cost(3_915)]
    """Time that an idle vCPU needs to wake up."""
    guest_irq_ns: Annotated[int, _cost(34_461)]
    """Of a vCPU: an interrupt, however many completions are behind it."""
    guest_switch_ns: Annotated[int, _cost(8_492)]
    """And for waking a program that sleeps, or going from one to another."""
    guest_request_ns: Annotated[int, _cost(19_989)]
    """And for each completion, in the block layer and in its program."""
    guest_submit_ns: Annotated[int, _cost(29_992)]
    """And for a program to go on and to submit its next requests, however many."""
    guest_kick_ns: Annotated[int, _cost(3_248)]
    """And for a kick, which wakes up a loop that sleeps."""
    guest_softirq_ns: Annotated[int, _cost(59_352)] = 0
    """Of a vCPU: what an interrupt leaves to be done when others can come again."""
    disk_irq_ns: Annotated[int, _cost(35_151)] = 0
    """Of the host's processor to which interrupts of disks come, for one of them."""

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            check_between(name, getattr(self, name), 0, MAX_NS)


DEFAULT_COSTS: Final = Costs(
    **{
        name: get_args(hint)[1].extra["default_ns"]
        for name, hint in get_type_hints(Costs, include_extras=True).items()
    }
)
"""Measured on the host of `vmio.sim.profile.DEFAULT_PROFILE`."""
