"""SA005."""

from __future__ import annotations

from collections.abc import Iterator

from vmio.formats.proxmox.machine import BLOCKDEV_SINCE
from vmio.lint.diagnostic import Applicability, Diagnostic, Fix, Severity
from vmio.lint.drives import list_disks
from vmio.lint.rule import Context
from vmio.lint.rules.proxmox.rule import ProxmoxRule, guest_of

__all__ = ["VolumeChainNeedsNewMachine"]


class VolumeChainNeedsNewMachine(ProxmoxRule):
    """Finds qcow2 disks on storage with volume chains whose machine version is too old.

    ## What it does

    Looks for qcow2 volumes on storage with `snapshot-as-volume-chain` when the guest's machine is
    older than version 10.0.

    ## Why is this bad

    The guest does not start. Such storage keeps every snapshot as a volume of its own, which
    Proxmox VE describes to QEMU in a way that only machines of version 10.0 and later get. It
    happens when the option is set on a storage that already has guests with a pinned machine, as
    Windows guests are.

    ## Example

    ```
    machine: pc-i440fx-9.2
    virtio0: san:vm-100-disk-0.qcow2,size=32G
    ```

    ```storage
    lvm: san
        vgname san
        snapshot-as-volume-chain 1
    ```

    ## Use instead

    ```
    machine: pc-i440fx-10.0
    virtio0: san:vm-100-disk-0.qcow2,size=32G
    ```

    ```storage
    lvm: san
        vgname san
        snapshot-as-volume-chain 1
    ```

    ## Fix safety

    There is no fix to apply: a newer machine has other devices, to which a guest may have to
    adapt.

    ## References

    - qemu-server 9.2.6, run: `this requires QEMU machine version >= 10.0`
    """

    code = "SA005"
    name = "volume-chain-needs-new-machine"
    severity = Severity.ERROR
    elsewhere = "Only Proxmox VE requires a machine version for such a storage."

    def check(self, context: Context) -> Iterator[Diagnostic]:
        """Yields a finding per disk."""
        vm = context.vm
        if not (0, 0) < vm.machine_version < BLOCKDEV_SINCE:
            return
        version = ".".join(map(str, vm.machine_version))
        for attached in list_disks(context):
            disk, backing = attached.disk, attached.disk.backing
            if backing is None or not backing.discard_no_unref:
                continue
            yield self.report(
                context,
                f"Proxmox VE refuses to start the guest: {disk.id} is on storage with"
                f" snapshot-as-volume-chain, which machine version {version} is too old for",
                subject=disk.id,
                span=guest_of(context).spans.get("machine", disk.span),
                fix=Fix(
                    applicability=Applicability.MANUAL,
                    message="set a machine of version 10.0 or later",
                ),
            )
