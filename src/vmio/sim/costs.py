"""The cost of each step of event loops and guests; the only place that declares costs."""

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
    """The cost of each step, the same for all loops and all vCPUs.

    Units: nanoseconds, of a processor's time unless said otherwise.
    """

    wake_ns: Annotated[int, _cost(21_789)]
    """Time from an event until the sleeping loop runs."""
    crowded_wake_ns: Annotated[int, _cost(78_225)]
    """Additional time if no processor is free."""
    sleep_ns: Annotated[int, _cost(7_952)]
    """Falling asleep and waking up."""
    syscall_ns: Annotated[int, _cost(1_090)]
    """A wait that returns at once."""
    poll_pass_ns: Annotated[int, _cost(50)]
    """Checking every handler once."""
    self_kick_ns: Annotated[int, _cost(2_500)]
    """A wait that the loop's own notification ends."""
    main_pass_ns: Annotated[int, _cost(22_720)]
    """Additional cost of each wait of QEMU's main loop, which goes through all its sources."""
    queue_run_ns: Annotated[int, _cost(6_357)]
    """Going through a queue, with any number of requests in it."""
    queue_request_ns: Annotated[int, _cost(3_376)]
    """For each request in the queue, until the device has it."""
    submit_ns: Annotated[int, _cost(3_000)]
    """Each submission to the device after the first of a queue run."""
    done_run_ns: Annotated[int, _cost(9_415)]
    """Reaping completions, any number of them."""
    done_request_ns: Annotated[int, _cost(6_040)]
    """For each completion, until the guest can see it."""
    irq_ns: Annotated[int, _cost(24_278)]
    """Of the main loop, which injects an IOThread's interrupts; 0 if the kernel injects them."""
    guest_wake_ns: Annotated[int, _cost(3_915)]
    """Time that an idle vCPU needs to wake up."""
    guest_irq_ns: Annotated[int, _cost(34_461)]
    """Of a vCPU: an interrupt, with any number of completions."""
    guest_switch_ns: Annotated[int, _cost(8_492)]
    """Waking a program that sleeps, or switching to another one."""
    guest_request_ns: Annotated[int, _cost(19_989)]
    """For each completion, in the block layer and in its program."""
    guest_submit_ns: Annotated[int, _cost(29_992)]
    """For a program to continue and submit its next requests, any number of them."""
    guest_kick_ns: Annotated[int, _cost(3_248)]
    """For a kick, which wakes a sleeping loop."""
    guest_softirq_ns: Annotated[int, _cost(59_352)] = 0
    """Of a vCPU: the deferred work of an interrupt, during which others can arrive."""
    disk_irq_ns: Annotated[int, _cost(35_151)] = 0
    """Of the host's processor that handles the disks' interrupts, for each interrupt."""

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
