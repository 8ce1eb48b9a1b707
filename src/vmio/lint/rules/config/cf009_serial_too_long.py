"""CF009."""

from __future__ import annotations

from collections.abc import Iterator

from vmio.lint.diagnostic import Applicability, Diagnostic, Fix, Severity
from vmio.lint.rule import Context, Rule
from vmio.model.disk import Disk
from vmio.model.plan import Change

__all__ = ["SerialTooLong"]

_SEEN_BYTES = 20
"""The length limit of ATA and virtio-blk."""
_SCSI_BYTES = 36


class SerialTooLong(Rule):
    """Finds serial numbers that are longer than the device supports.

    ## What it does

    Compares the length of `serial=` with the device's limit: 36 bytes on SCSI, 20 on IDE, SATA
    and virtio-blk.

    ## Why is this bad

    QEMU refuses a longer one on SCSI, so the guest does not start. On the other buses it cuts the
    number without a warning: the expected name under `/dev/disk/by-id` does not exist, and disks
    whose numbers differ only at the end look like one disk, for example to multipath.

    ## Example

    ```
    virtio0: local-lvm:vm-100-disk-0,discard=on,iothread=1,serial=database-primary-data-1,size=32G
    ```

    ## Use instead

    ```
    virtio0: local-lvm:vm-100-disk-0,discard=on,iothread=1,serial=db-primary-data-1,size=32G
    ```

    ## Fix safety

    On IDE, SATA and virtio-blk the fix writes what the guest sees already, and is safe. On SCSI it
    writes the first 36 bytes of a number that no guest has seen yet, and is unsafe. There is none
    for a number with escapes or with letters beyond ASCII.

    ## References

    - QEMU 10.0.2 exits with status 1 and `The serial number can't be longer than 36 characters`
      for a scsi-hd; run, an ide-hd with 28 bytes answers IDENTIFY DEVICE with the first 20
    - VIRTIO 1.2, "Block Device": VIRTIO_BLK_T_GET_ID gives 20 bytes
    - qemu-server 9.2.6 takes up to 60 characters, percent-encoded
    """

    code = "CF009"
    name = "serial-too-long"
    severity = Severity.WARNING

    def check(self, context: Context) -> Iterator[Diagnostic]:
        """Yields a finding per disk whose serial number is refused or cut."""
        if context.vm.template:
            return
        for attached in context.topology.disks:
            disk = attached.disk
            if disk.serial is None or disk.media != "disk":
                continue
            if disk.bus == "scsi" and not attached.driver.startswith("scsi-hd"):
                continue
            is_scsi = disk.bus == "scsi"
            room = _SCSI_BYTES if is_scsi else _SEEN_BYTES
            length = len(disk.serial.encode())
            if length <= room:
                continue
            yield self.report(
                context,
                f"QEMU refuses to start: the serial number of {disk.id} has {length} bytes, and"
                f" SCSI accepts {room}"
                if is_scsi
                else f"the guest sees the first {room} of the {length} bytes of the serial number"
                f" of {disk.id}",
                subject=disk.id,
                span=disk.spans.get("serial", disk.span),
                fix=_cut(context, disk, room),
                severity=Severity.ERROR if is_scsi else None,
            )


def _cut(context: Context, disk: Disk, room: int) -> Fix | None:
    source, span = context.vm.source, disk.spans.get("serial")
    if span is None:
        return None
    written = source.data[span.start : span.end].partition(b"=")[2]
    if not written.isascii() or written.decode() != disk.serial:
        return None
    cut = written[:room].decode()
    return context.make_fix(
        f"write serial={cut}",
        Change(subject=disk.id, property="serial", old=disk.serial, new=cut),
        applicability=Applicability.UNSAFE if disk.bus == "scsi" else Applicability.SAFE,
    )
