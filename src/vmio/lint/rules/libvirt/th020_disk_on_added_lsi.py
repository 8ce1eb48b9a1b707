"""TH020."""

from __future__ import annotations

from collections.abc import Iterator

from vmio.lint.diagnostic import Applicability, Diagnostic, Fix, Severity
from vmio.lint.rule import Context
from vmio.lint.rules.libvirt.rule import LibvirtRule, guest_of

__all__ = ["DiskOnAddedLsi"]


class DiskOnAddedLsi(LibvirtRule):
    """Finds SCSI disks on an LSI controller that nobody wrote.

    ## What it does

    Follows each SCSI disk to its controller. Where no `<address>` is written, the target decides:
    seven disks a controller, so that `sdh` is on the second one. libvirt adds what is missing, and
    on x86 as an LSI 53C895A, whatever the other controllers are.

    ## Why is this bad

    The LSI controller is emulated register by register in the main loop: it has no IOThread, no
    queues and no multiqueue, and many guests have no driver for it. QEMU's developers advise
    against it.

    ## Example

    ```
    <domain type="kvm">
      <name>web</name>
      <devices>
        <disk type="block">
          <driver name="qemu" type="raw" cache="none" io="native"/>
          <source dev="/dev/vg0/web"/>
          <target dev="sda" bus="scsi"/>
        </disk>
      </devices>
    </domain>
    ```

    ## Use instead

    ```
    <domain type="kvm">
      <name>web</name>
      <iothreads>1</iothreads>
      <devices>
        <controller type="scsi" index="0" model="virtio-scsi">
          <driver iothread="1"/>
        </controller>
        <disk type="block">
          <driver name="qemu" type="raw" cache="none" io="native"/>
          <source dev="/dev/vg0/web"/>
          <target dev="sda" bus="scsi"/>
        </disk>
      </devices>
    </domain>
    ```

    ## Fix safety

    There is no fix to apply: a guest that has only the LSI driver would not find its disk.

    ## References

    - libvirt 11.3.0, run: `sdh` without an address is on `scsi1`, for which it adds a
      `<controller type='scsi' index='1' model='lsilogic'>`
    - QEMU 10.0.2: `lsi53c895a` has no property `iothread`
    """

    code = "TH020"
    name = "disk-on-added-lsi"
    severity = Severity.WARNING
    elsewhere = "Only libvirt adds an LSI controller for a disk that needs one."

    def check(self, context: Context) -> Iterator[Diagnostic]:
        """Yields a finding per disk."""
        guest = guest_of(context)
        for place in guest.placed.places:
            disk, drive = place.disk, place.drive
            if disk.bus != "scsi" or drive is None:
                continue
            controller = guest.placed.find_controller("scsi", drive.controller)
            if controller is None or controller.span or controller.model != "lsilogic":
                continue
            written = f"<controller type='scsi' index='{controller.index}' model='virtio-scsi'/>"
            yield self.report(
                context,
                f"{disk.target} is on scsi{controller.index}, which is not written: libvirt adds"
                " an LSI controller, and no IOThread can serve it",
                subject=disk.target,
                span=disk.spans.get("target", disk.span),
                fix=Fix(
                    applicability=Applicability.MANUAL,
                    message=f"write {written}, once the guest has the driver of virtio-scsi",
                ),
            )
