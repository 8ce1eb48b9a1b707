"""TH002."""

from __future__ import annotations

from collections.abc import Iterator

from vmio.lint.diagnostic import Diagnostic, Severity
from vmio.lint.edits import separate_controllers
from vmio.lint.rule import Context
from vmio.lint.rules.proxmox.rule import ProxmoxRule, guest_of
from vmio.model.source import Span

__all__ = ["ScsihwDefaultsToLsi"]


class ScsihwDefaultsToLsi(ProxmoxRule):
    """Finds SCSI disks on an emulated LSI controller that is only the default.

    ## What it does

    Looks for `scsiN` disks in a config without a `scsihw` line. A written `scsihw: lsi` counts as
    intended. Guests whose only SCSI drives are cd-roms, cloud-init drives or installer images are
    not reported.

    ## Why is this bad

    Without the line, Proxmox VE uses `lsi`: an emulated LSI 53C895A from the nineties. The
    guest's every request goes through register accesses that QEMU has to emulate, `iothread` and
    `queues` do nothing, and a controller holds seven disks. The web interface's wizard writes a
    better `scsihw`; guests made by the API, by a script or by Terraform get none unless they set
    it.

    ## Example

    ```
    scsi0: local-lvm:vm-100-disk-0,size=32G
    ```

    ## Use instead

    ```
    scsi0: local-lvm:vm-100-disk-0,size=32G
    scsihw: virtio-scsi-single
    ```

    ## Fix safety

    There is no fix to apply: nothing shows that the guest has the driver of virtio-scsi, and
    without it the guest loses its disks. Linux has had the driver for long, though an initramfs
    made for this machine alone may lack it; Windows needs vioscsi, and has to have seen such a
    controller once; macOS and ESXi have no driver at all. `vmio plan` says how to find out and
    what to install first. To keep the controller without the finding, write `scsihw: lsi`.

    ## References

    - qemu-server 9.2.6: the default in the schema of `scsihw`, and the drives per kind of
      controller
    """

    code = "TH002"
    name = "scsihw-defaults-to-lsi"
    severity = Severity.WARNING
    elsewhere = "Only Proxmox VE chooses a SCSI controller that is not configured."
    blanks = (("libvirt", "An LSI controller that libvirt adds has a rule of its own (TH020)."),)

    def check(self, context: Context) -> Iterator[Diagnostic]:
        """Yields one finding per guest, at its first SCSI disk."""
        vm = context.vm
        disks = [disk for disk in vm.disks if disk.bus == "scsi" and disk.keeps_data]
        if guest_of(context).scsihw is not None or not disks:
            return
        first = min(disks, key=lambda disk: disk.index)
        span = first.span
        names = ", ".join(disk.id for disk in disks)
        verb = "is" if len(disks) == 1 else "are"
        yield self.report(
            context,
            f"scsihw is not set, so {names} {verb} on an emulated LSI 53C895A",
            subject=first.id,
            span=span and Span(start=span.start, end=span.start + len(first.id)),
            fix=separate_controllers(context),
        )
