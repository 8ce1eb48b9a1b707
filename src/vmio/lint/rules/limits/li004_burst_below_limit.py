"""LI004."""

from __future__ import annotations

from collections.abc import Iterator

from vmio.lint.diagnostic import Applicability, Diagnostic, Fix, Severity
from vmio.lint.limits import list_bursts
from vmio.lint.rule import Context, Rule

__all__ = ["BurstBelowLimit"]


class BurstBelowLimit(Rule):
    """Finds bursts that are lower than the limit that they belong to.

    ## What it does

    Compares each burst of a disk (`mbps_max`, `iops_rd_max` and the like) with the limit of the
    same kind and direction.

    ## Why is this bad

    QEMU refuses a burst that is lower than its limit, so the guest does not start. Proxmox VE does
    not compare the two.

    ## Example

    ```
    scsi0: local-lvm:vm-100-disk-0,discard=on,iothread=1,mbps=200,mbps_max=100,size=32G,ssd=1
    scsihw: virtio-scsi-single
    ```

    ## Use instead

    ```
    scsi0: local-lvm:vm-100-disk-0,discard=on,iothread=1,mbps=100,mbps_max=200,size=32G,ssd=1
    scsihw: virtio-scsi-single
    ```

    ## Fix safety

    There is no fix to apply: only a person knows which of the two numbers is wrong.

    ## References

    - QEMU 10.0.2 exits with status 1 and `bps_max/iops_max cannot be lower than bps/iops`; it
      accepts two equal numbers
    """

    code = "LI004"
    name = "burst-below-limit"
    severity = Severity.ERROR

    def check(self, context: Context) -> Iterator[Diagnostic]:
        """Yields a finding per burst that QEMU would refuse."""
        if context.vm.template:
            return
        for burst in list_bursts(context):
            if burst.value < burst.limit:
                yield self.report(
                    context,
                    f"QEMU refuses to start: {burst.option} of {burst.disk.id} is a burst beyond"
                    f" {burst.limit_option} and lower than it",
                    subject=burst.disk.id,
                    span=burst.span,
                    fix=Fix(
                        applicability=Applicability.MANUAL,
                        message=f"raise {burst.option}, or lower {burst.limit_option}",
                    ),
                )
