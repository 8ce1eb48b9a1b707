"""TH018."""

from __future__ import annotations

from collections.abc import Iterator

from vmio.lint.devices import find_parameter
from vmio.lint.diagnostic import Applicability, Diagnostic, Fix, Severity
from vmio.lint.rule import Context, Rule
from vmio.lint.words import name_parameter

__all__ = ["PollTimeUnusual"]

_SHORT_NS = 1_000
"""Less than one system call; the shortest waits measured took 2,000 to 3,000 ns."""
_DEFAULT_NS = 32_768
"""Source: QEMU 7.2 to 11.1, `qom-get`."""
_LONG_NS = 1_000_000
"""Where an IOThread used 0.98 of a processor at queue depth 1, and no longer gained by it."""


class PollTimeUnusual(Rule):
    r"""Finds polling times so short that they do nothing, or so long that they burn a processor.

    ## What it does

    Looks for a `poll-max-ns` below 1,000 (but not 0, which switches polling off) or from 1,000,000
    on, on IOThreads of QEMU's own options.

    ## Why is this bad

    The unit is the nanosecond. In fewer than 1,000 of them an IOThread looks at its queues a few
    times: one pass over a single disk takes 34 to 75 ns. No request is that fast, so the thread
    sleeps as it would without polling. Whoever writes 20 or 50 mostly means microseconds.

    From a millisecond on, an IOThread busy-waits through nearly every wait for the storage. It
    uses a whole processor as long as there is any load, however small, and takes it from the
    guest's virtual processors and from other guests. An idle IOThread uses none.

    ## Example

    ```
    qemu-system-x86_64 -object iothread,id=io0,poll-max-ns=20 \
      -blockdev null-co,node-name=n0 -device virtio-blk-pci,drive=n0,iothread=io0
    ```

    ## Use instead

    ```
    qemu-system-x86_64 -object iothread,id=io0,poll-max-ns=20000 \
      -blockdev null-co,node-name=n0 -device virtio-blk-pci,drive=n0,iothread=io0
    ```

    ## Fix safety

    There is no fix to apply: only a person knows which time was meant, and a processor for a disk
    may be worth it. `vmio bench` measures what a setting brings on this host.

    ## References

    - QEMU 10.0.2, a disk of 49 us at queue depth 1: with 1,000,000 ns the IOThread used 0.98
      processors for 5,600 requests a second, with 200,000 ns 0.94 for 5,700, with 32,768 ns (the
      default) 0.29 for 3,900, with 0 ns 0.22 for 4,100; 0.000 when idle, with any of them
    - QEMU 10.0.2, traces: 34 to 75 ns for a pass over the three handlers of a disk, 2 to 3 us for
      the shortest sleep
    """

    code = "TH018"
    name = "poll-time-unusual"
    severity = Severity.INFO
    needs = "iothreads"

    def check(self, context: Context) -> Iterator[Diagnostic]:
        """Yields a finding per IOThread."""
        vm = context.vm
        for iothread in vm.iothreads:
            poll_ns = iothread.poll_max_ns
            if not poll_ns or _SHORT_NS <= poll_ns < _LONG_NS:
                continue
            if poll_ns < _SHORT_NS:
                effect = f"{poll_ns} ns are too short to catch any request"
                advice = f"write nanoseconds, such as {poll_ns * 1000} if microseconds were meant"
            else:
                effect = f"{poll_ns} ns keep a processor busy under any load"
                advice = f"write less, such as QEMU's default of {_DEFAULT_NS}"
            yield self.report(
                context,
                f"{name_parameter(context, 'poll_max_ns')} of {iothread.id[:80]} is unusual:"
                f" {effect}",
                subject=iothread.id,
                span=find_parameter(vm, iothread, "poll_max_ns"),
                fix=Fix(applicability=Applicability.MANUAL, message=advice),
            )
