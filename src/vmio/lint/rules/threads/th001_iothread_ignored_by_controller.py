"""TH001."""

from __future__ import annotations

from collections.abc import Iterator

from vmio.lint.diagnostic import Applicability, Diagnostic, Fix, Severity
from vmio.lint.edits import set_scsihw
from vmio.lint.rule import Context, Rule
from vmio.model.vm import Vm

__all__ = ["IothreadIgnoredByController"]


class IothreadIgnoredByController(Rule):
    """Finds SCSI drives that ask for an IOThread which their controller does not have.

    ## What it does

    Compares every `scsiN` drive that has `iothread=1` with the thread that would serve it.

    ## Why is this bad

    An IOThread belongs to a controller, not to a drive. Proxmox VE makes a controller per drive,
    and so an IOThread per drive, only with `scsihw: virtio-scsi-single`. With any other `scsihw`
    the option is ignored, and all that tells of it is one warning in the log of the task that
    starts the guest. The main loop, which also runs the monitor and every other emulated device,
    goes on serving the drive's requests.

    ## Example

    ```
    scsi0: local-lvm:vm-100-disk-0,iothread=1,size=32G
    scsihw: virtio-scsi-pci
    ```

    ## Use instead

    ```
    scsi0: local-lvm:vm-100-disk-0,iothread=1,size=32G
    scsihw: virtio-scsi-single
    ```

    ## Fix safety

    The fix sets `scsihw` for the whole guest and is unsafe: the guest finds its drives on other
    controllers at other PCI addresses, so what refers to a device by its path has to follow. A
    Windows guest that never had a virtio-scsi controller needs its driver (vioscsi) installed
    first, or it does not boot. The change takes hold when the guest is stopped and started; a
    reboot from inside keeps the old controllers.

    ## References

    - qemu-server 9.2.6, the part that builds the command line of a SCSI drive
    - Proxmox VE Administration Guide, "IO Thread" in the chapter on hard disks
    """

    code = "TH001"
    name = "iothread-ignored-by-controller"
    severity = Severity.WARNING

    def check(self, context: Context) -> Iterator[Diagnostic]:
        """Yields a finding per drive that asks in vain."""
        vm, topology = context.vm, context.topology
        for attached in topology.disks:
            disk = attached.disk
            asks = disk.bus == "scsi" and (disk.iothread or disk.iothread_id is not None)
            if not asks:
                continue
            controller = topology.controller_of(attached)
            if controller.iothread is not None or controller.iothread_vq_mapping:
                continue
            sharing = [a.disk.id for a in topology.disks if a.controller == controller.id]
            yield self.report(
                context,
                f"iothread of {disk.id} does nothing: {_name_cause(vm)}, so the main loop serves"
                f" its controller {controller.id} ({controller.model})",
                subject=disk.id,
                span=disk.spans.get("iothread", disk.span),
                notes=(f"{', '.join(sharing)} share {controller.id}",) if sharing[1:] else (),
                fix=Fix(
                    applicability=Applicability.UNSAFE,
                    message="set scsihw: virtio-scsi-single, then stop and start the guest;"
                    " it will see other controllers (Windows: install vioscsi first)",
                    edits=set_scsihw(vm, "virtio-scsi-single"),
                )
                if vm.notation == "proxmox"
                else None,
            )


def _name_cause(vm: Vm) -> str:
    if vm.notation != "proxmox":
        return "a SCSI disk's IOThread is that of its controller"
    return f"scsihw is {vm.scsihw or 'not set (lsi by default)'}"
