"""CF012."""

from __future__ import annotations

from collections.abc import Iterator

from vmio.formats.proxmox.boot import list_boot_devices
from vmio.lint.diagnostic import Applicability, Diagnostic, Fix, Severity
from vmio.lint.rule import Context
from vmio.lint.rules.proxmox.rule import ProxmoxRule, guest_of

__all__ = ["BootDeviceMissing"]


class BootDeviceMissing(ProxmoxRule):
    """Finds boot orders that name devices which the config does not have.

    ## What it does

    Looks for names in `boot: order=…`, and for a `bootdisk`, that are no setting of the config.

    ## Why is this bad

    Proxmox VE passes over such a name without a word. If it is the only one, the firmware finds
    nothing to boot from, as happens after a disk was moved to another bus by hand. UEFI may still
    start the guest by an entry of its own.

    ## Example

    ```
    boot: order=ide0;ide2
    scsi0: local-lvm:vm-100-disk-0,iothread=1,size=32G
    scsihw: virtio-scsi-single
    ```

    ## Use instead

    ```
    boot: order=scsi0
    scsi0: local-lvm:vm-100-disk-0,iothread=1,size=32G
    scsihw: virtio-scsi-single
    ```

    ## Fix safety

    There is no fix to apply: only a person knows which disk the guest starts from.

    ## References

    - qemu-server 9.2.6: a device of the boot order that does not exist uses up a number, no more
    """

    code = "CF012"
    name = "boot-device-missing"
    severity = Severity.INFO
    elsewhere = "A command line says the order at each device, so it names none that is missing."
    blanks = (
        ("libvirt", "A domain names kinds of devices to boot from, or the order at each device."),
    )

    def check(self, context: Context) -> Iterator[Diagnostic]:
        """Yields a finding if the boot order names something that is not there."""
        guest = guest_of(context)
        written = guest.config.main.settings()
        key, devices = list_boot_devices(guest.settings)
        missing = [device for device in devices if device not in written]
        if not missing:
            return
        none_left = len(missing) == len(devices)
        names = ", ".join(dict.fromkeys(missing))
        yield self.report(
            context,
            f"{key} names only devices that the config does not have: {names}"
            if none_left
            else f"{key} names {names}, which the config does not have",
            subject=key,
            span=guest.spans.get(key),
            severity=Severity.WARNING if none_left else None,
            fix=Fix(
                applicability=Applicability.MANUAL,
                message="set boot: order= to the devices to boot from, or delete what is gone",
            ),
        )
