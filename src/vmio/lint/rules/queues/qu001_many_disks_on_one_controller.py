"""QU001."""

from __future__ import annotations

from collections.abc import Iterator

from vmio.lint.devices import asks_iothread
from vmio.lint.diagnostic import Diagnostic, Severity
from vmio.lint.edits import separate_controllers
from vmio.lint.rule import Context, Rule

__all__ = ["ManyDisksOnOneController"]


class ManyDisksOnOneController(Rule):
    """Finds virtio-scsi controllers that several disks share.

    ## What it does

    Counts the disks on each virtio-scsi controller. Cd-roms and cloud-init drives do not count,
    nor does a controller whose queues are spread over several IOThreads. Where a disk asks for an
    IOThread and gets none, TH001 reports it instead.

    ## Why is this bad

    One controller has one set of queues and, unless its queues are mapped to several IOThreads,
    one thread, so its disks wait for each other. It matters when two of them are busy at the same
    time, which a configuration does not show, so this is advice and not a warning.

    ## Example

    ```
    scsi0: local-lvm:vm-100-disk-0,size=32G
    scsi1: local-lvm:vm-100-disk-1,size=500G
    scsihw: virtio-scsi-pci
    ```

    ## Use instead

    ```
    scsi0: local-lvm:vm-100-disk-0,iothread=1,size=32G
    scsi1: local-lvm:vm-100-disk-1,iothread=1,size=500G
    scsihw: virtio-scsi-single
    ```

    ## Fix safety

    The fix sets `scsihw: virtio-scsi-single` and is unsafe: the guest finds its disks on other
    controllers at other PCI addresses, so references to a device by its path must be changed, and
    Linux can give `/dev/sdX` in another order from boot to boot (see TH001). The driver is the
    same. The change takes effect when the guest is stopped and started. There is no fix to apply
    while `args` names SCSI controllers or disks, without which QEMU would not start.

    ## References

    - qemu-server 9.2.6: up to 256 disks on a `virtio-scsi-pci` controller, one on a
      `virtio-scsi-single`
    - QEMU's guide to configuring virtio-blk and virtio-scsi, 2021-01-19
    """

    code = "QU001"
    name = "many-disks-on-one-controller"
    severity = Severity.INFO

    def check(self, context: Context) -> Iterator[Diagnostic]:
        """Yields a finding per controller."""
        vm, topology = context.vm, context.topology
        for controller in topology.controllers:
            if not controller.model.startswith("virtio-scsi") or controller.iothread_vq_mapping:
                continue
            sharing = [
                attached.disk
                for attached in topology.disks
                if attached.controller == controller.id and attached.disk.keeps_data
            ]
            ignored = controller.iothread is None and any(map(asks_iothread, sharing))
            if len(sharing) < 2 or ignored:  # noqa: PLR2004 - a second one makes it shared
                continue
            yield self.report(
                context,
                f"{', '.join(disk.id for disk in sharing)} share the controller {controller.id},"
                " its queues and its thread",
                subject=controller.id,
                span=vm.spans.get("controllers", sharing[0].span),
                fix=separate_controllers(context),
            )
