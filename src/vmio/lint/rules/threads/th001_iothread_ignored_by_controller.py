"""TH001."""

from __future__ import annotations

from collections.abc import Iterator

from vmio.formats.registry import explain_controllers
from vmio.lint.diagnostic import Diagnostic, Severity
from vmio.lint.edits import separate_controllers
from vmio.lint.rule import Context, Rule

__all__ = ["IothreadIgnoredByController"]


class IothreadIgnoredByController(Rule):
    """Finds SCSI drives that ask for an IOThread that their controller does not have.

    ## What it does

    Compares every `scsiN` drive that has `iothread=1` with the thread that would serve it.

    ## Why is this bad

    An IOThread belongs to a controller, not to a drive. Proxmox VE makes a controller per drive,
    and so an IOThread per drive, only with `scsihw: virtio-scsi-single`. With any other `scsihw`
    the option is ignored, and the only sign is a warning in the log of the task that starts the
    guest. The main loop, which also runs the monitor and every other emulated device, still serves
    the drive's requests.

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

    From `virtio-scsi-pci` the fix sets `scsihw` for the whole guest and is unsafe, though the
    driver is the same: the guest finds its drives on other controllers at other PCI addresses.

    - References to a device by its path (`/dev/disk/by-path`) have to be changed.
    - Linux probes the controllers side by side, so `/dev/sdX` can change from boot to boot.
      Software that selects its disk by such a name, or uses the first one that it finds, stalls or
      uses the wrong disk; this was reported for Talos Linux and the scripts of cloud images. Mount
      by UUID or label, and name disks by `/dev/disk/by-id`, to which `serial=` gives a name of
      yours.
    - Windows detects them as new disks, and its SAN policy can leave those that it does not boot
      from offline, until Disk Management or `diskpart` brings them online.

    From any other `scsihw` there is no fix to apply. Only a disk that is on virtio-scsi shows that
    the guest has its driver, and without that the guest loses its disks: Linux needs `virtio_scsi`
    in the initramfs that it boots from, Windows vioscsi, and has to have seen such a controller
    once; macOS and ESXi have no driver at all. `vmio plan` says how to find out and what to
    install first. Nor is there one while `args` names SCSI controllers or disks, without which
    QEMU would not start.

    The change takes effect when the guest is stopped and started; a reboot from inside keeps the
    old controllers. The way back is the old `scsihw`: `vmio undo`, or `qm set VMID --scsihw`.

    ## References

    - qemu-server 9.2.6, the part that builds the command line of a SCSI drive
    - Proxmox VE Administration Guide, "IO Thread" in the chapter on hard disks
    - siderolabs/talos issue 11173: a Talos guest stalls with `virtio-scsi-single`;
      Telmate/terraform-provider-proxmox issue 1147 and bpg/terraform-provider-proxmox issue 1633:
      guests of one image find their disks in different orders
    - linux-kernel, 2019-10-03: since Linux 5.3 (f049cf1a7b67) the order of SCSI disks is left open
    - Microsoft, `diskpart`, command `san`: which new disks are offline
    - virtio-win-guest-tools-installer issue 61: an installed driver is not loaded at boot before
      Windows has had a device for it
    """

    code = "TH001"
    name = "iothread-ignored-by-controller"
    severity = Severity.WARNING
    blanks = (
        ("qemu", "QEMU refuses `iothread` on a SCSI disk (CF020)."),
        ("libvirt", "The daemon refuses `iothread` of a SCSI disk (CF020)."),
    )

    def check(self, context: Context) -> Iterator[Diagnostic]:
        """Yields a finding per drive that asks for an IOThread and gets none."""
        topology = context.topology
        for attached in topology.disks:
            disk = attached.disk
            asks = disk.bus == "scsi" and (disk.iothread or disk.iothread_id is not None)
            if not asks:
                continue
            controller = topology.controller_of(attached)
            if controller.iothread is not None or controller.iothread_vq_mapping:
                continue
            cause = explain_controllers(context.guest)
            sharing = [a.disk.id for a in topology.disks if a.controller == controller.id]
            yield self.report(
                context,
                f"iothread of {disk.id} does nothing: {cause}, so the main loop serves"
                f" its controller {controller.id} ({controller.model})",
                subject=disk.id,
                span=disk.spans.get("iothread", disk.span),
                notes=(f"{', '.join(sharing)} share {controller.id}",) if sharing[1:] else (),
                fix=separate_controllers(context),
            )
