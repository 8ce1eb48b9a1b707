"""LI002."""

from __future__ import annotations

from collections.abc import Iterator

from vmio.lint.diagnostic import Applicability, Diagnostic, Fix, Severity
from vmio.lint.limits import list_bursts
from vmio.lint.rule import Context, Rule

__all__ = ["BurstWithoutLimit"]


class BurstWithoutLimit(Rule):
    """Finds bursts without the limit that they belong to.

    ## What it does

    Looks for disks with a burst (`iops_max`, `iops_rd_max`; `throttling.iops-total-max` of a
    drive, `x-iops-total-max` of a throttle group) whose limit of the same direction is missing
    or 0. In a Proxmox config, CF005 reports a burst in bytes without its limit.

    ## Why is this bad

    A burst says how far a disk may exceed its limit for a while. Without the limit QEMU refuses
    it, so the guest does not start. Proxmox VE checks this for bytes, but not for operations.

    ## Example

    ```
    scsi0: local-lvm:vm-100-disk-0,discard=on,iops_max=2000,iothread=1,size=32G,ssd=1
    scsihw: virtio-scsi-single
    ```

    ## Use instead

    ```
    scsi0: local-lvm:vm-100-disk-0,discard=on,iops=1000,iops_max=2000,iothread=1,size=32G,ssd=1
    scsihw: virtio-scsi-single
    ```

    ## Fix safety

    There is no fix to apply: only a person knows whether the limit is missing or the burst is left
    over.

    ## References

    - QEMU 10.0.2 exits with status 1 and `bps_max/iops_max require corresponding bps/iops values`
    - qemu-server 9.2.6, the checks on a drive's limits: what they look for is spelled `miops`
    """

    code = "LI002"
    name = "burst-without-limit"
    severity = Severity.ERROR

    def check(self, context: Context) -> Iterator[Diagnostic]:
        """Yields a finding per burst that QEMU would refuse."""
        if context.vm.template:
            return
        for burst in list_bursts(context):
            if not burst.limit:
                yield self.report(
                    context,
                    f"QEMU refuses to start: {burst.option} of {burst.disk.id} is a burst beyond a"
                    f" limit, and {burst.limit_option} sets none",
                    subject=burst.disk.id,
                    span=burst.span,
                    fix=Fix(
                        applicability=Applicability.MANUAL,
                        message=f"set {burst.limit_option}, or remove {burst.option}",
                    ),
                )
