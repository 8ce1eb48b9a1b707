"""PL001."""

from __future__ import annotations

from collections.abc import Iterator

from vmio.lint.devices import runs_in_iothread
from vmio.lint.diagnostic import Applicability, Diagnostic, Fix, Severity
from vmio.lint.rule import Context, Rule

__all__ = ["TooManyIothreads"]

_PER_PROCESSOR = 2
"""libvirt's advice is one or two."""


class TooManyIothreads(Rule):
    """Finds guests with more than two IOThreads for each processor of their host.

    ## What it does

    Compares the number of the guest's IOThreads with twice the host's processors. If the host's
    processors are not known, it reports nothing.

    ## Why is this bad

    An idle IOThread sleeps and costs nothing. But when the disks are busy at the same time,
    IOThreads that poll take processors from each other and from the guest, and more of them bring
    no gain. A configuration does not show how busy the disks are, so this is advice and not a
    warning.

    ## Example

    ```
    virtio0: local-lvm:vm-100-disk-0,iothread=1,size=32G
    virtio1: local-lvm:vm-100-disk-1,iothread=1,size=32G
    virtio2: local-lvm:vm-100-disk-2,iothread=1,size=32G
    virtio3: local-lvm:vm-100-disk-3,iothread=1,size=32G
    virtio4: local-lvm:vm-100-disk-4,iothread=1,size=32G
    ```

    ```host
    [cpu]
    count = 2
    ```

    ## Use instead

    ```
    virtio0: local-lvm:vm-100-disk-0,iothread=1,size=32G
    virtio1: local-lvm:vm-100-disk-1,iothread=1,size=32G
    virtio2: local-lvm:vm-100-disk-2,iothread=1,size=32G
    virtio3: local-lvm:vm-100-disk-3,iothread=1,size=32G
    virtio4: local-lvm:vm-100-disk-4,size=32G
    ```

    ```host
    [cpu]
    count = 2
    ```

    ## Fix safety

    There is no fix to apply: only a person knows which disks can do without an IOThread.

    ## References

    - libvirt's domain format, IOThreads: one or two per processor of the host
    - IBM, Linux on KVM, I/O threads: not more than the host's processors, nor than block devices
    - QEMU 10.0.2: 0.000 processors for an idle IOThread, with and without polling
    """

    code = "PL001"
    name = "too-many-iothreads"
    severity = Severity.INFO

    def check(self, context: Context) -> Iterator[Diagnostic]:
        """Yields one finding per guest."""
        vm, processors = context.vm, context.host.cpu.count
        count = len({iothread.id for iothread in context.topology.iothreads})
        if not processors or count <= _PER_PROCESSOR * processors:
            return
        topology = context.topology
        served = (one.disk for one in topology.disks if runs_in_iothread(topology, one))
        span = vm.iothreads[0].span if vm.iothreads else None
        if (first := next(served, None)) is not None:
            span = first.spans.get("iothread", first.span)
        yield self.report(
            context,
            f"{count} IOThreads for a host of {processors} processors,"
            f" where more than {_PER_PROCESSOR * processors} rarely help",
            subject="iothreads",
            span=span,
            fix=Fix(
                applicability=Applicability.MANUAL,
                message="leave IOThreads to the disks that are busy",
            ),
        )
