"""TH005."""

from __future__ import annotations

from collections.abc import Iterator

from vmio.lint.diagnostic import Applicability, Diagnostic, Fix, Severity
from vmio.lint.rule import Context, Rule
from vmio.model.disk import Disk
from vmio.model.source import Span

__all__ = ["WindowsOnIde"]


class WindowsOnIde(Rule):
    """Finds disks of Windows guests that are on IDE.

    ## What it does

    Looks for `ideN` disks in a guest whose `ostype` is one of Windows. Cd-roms and cloud-init
    drives are not reported.

    ## Why is this bad

    IDE is what Proxmox VE's wizard offers for Windows, because its installer has a driver for it.
    It is emulated register by register, does one request at a time and has no IOThread, so the
    main loop, which also runs the monitor and every other emulated device, serves the disk. On a
    q35 machine `ideN` disks are on AHCI, as `sataN` disks are, which does 32 requests at a time
    but has no IOThread either.

    ## Example

    ```
    ide0: local-lvm:vm-100-disk-0,size=64G
    ostype: win11
    ```

    ## Use instead

    ```
    ostype: win11
    scsi0: local-lvm:vm-100-disk-0,iothread=1,size=64G
    scsihw: virtio-scsi-single
    ```

    ## Fix safety

    There is no fix to apply: Windows does not boot from a controller that it has no driver for.
    Install the virtio drivers, add a small second disk on `scsi` with `scsihw:
    virtio-scsi-single` and start once, so that Windows sets the driver up; then detach the disk
    and attach it as `scsi0`, and correct the boot order.

    ## References

    - pve-manager, the wizard's defaults by guest system: bus IDE for everything but Linux
    - qemu-server 9.2.6: no option `iothread` on IDE drives; `ideN` disks of a q35 machine go to
      its built-in AHCI
    """

    code = "TH005"
    name = "windows-on-ide"
    severity = Severity.WARNING
    blanks = (("qemu", "A command line does not show which system the guest has."),)

    def check(self, context: Context) -> Iterator[Diagnostic]:
        """Yields a finding per disk."""
        vm = context.vm
        if vm.os != "windows":
            return
        for attached in context.topology.disks:
            disk = attached.disk
            if disk.bus != "ide" or not disk.keeps_data:
                continue
            is_ahci = context.topology.controller_of(attached).model.endswith("ahci")
            bus = "AHCI" if is_ahci else "IDE, the slowest bus of all,"
            yield self.report(
                context,
                f"{disk.id} is on emulated {bus} and can have no IOThread",
                subject=disk.id,
                span=_find_id(context, disk),
                fix=Fix(
                    applicability=Applicability.MANUAL,
                    message="install the virtio drivers in the guest, then move the disk to a"
                    " virtio-scsi controller of its own",
                ),
            )


def _find_id(context: Context, disk: Disk) -> Span | None:
    """Returns where a disk's text begins with its id, or all of its text."""
    span = disk.span
    if span is None or not context.vm.source.read_span(span).startswith(disk.id):
        return span
    return Span(start=span.start, end=span.start + len(disk.id))
