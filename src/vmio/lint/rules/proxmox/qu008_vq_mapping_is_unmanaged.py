"""QU008."""

from __future__ import annotations

from collections.abc import Iterator

from vmio.formats.qemu.argv import read_mapping
from vmio.lint.devices import find_property, list_devices
from vmio.lint.diagnostic import Diagnostic, Severity
from vmio.lint.rule import Context
from vmio.lint.rules.proxmox.rule import ProxmoxRule

__all__ = ["VqMappingIsUnmanaged"]


class VqMappingIsUnmanaged(ProxmoxRule):
    """Finds mappings of virtqueues in `args`, which Proxmox VE does not manage.

    ## What it does

    Looks for `iothread-vq-mapping` in the `args` of a Proxmox VE config.

    ## Why is this bad

    Proxmox VE has no setting for it, so `args` is the only way. Its cost is that Proxmox VE does not
    know the device. A disk on it that is defined in `args` too is in no backup, snapshot,
    replication or move, and the web interface shows neither.

    ## Example

    ```
    args: -object iothread,id=a -object iothread,id=b -device '{"driver":"virtio-scsi-pci","iothread-vq-mapping":[{"iothread":"a"},{"iothread":"b"}]}'
    cores: 2
    ```

    ## Use instead

    ```
    scsi0: local-lvm:vm-100-disk-0,iothread=1,size=32G
    scsihw: virtio-scsi-single
    ```

    ## Fix safety

    There is no fix to apply: keep it if the guest needs more than one IOThread for a disk, and back
    that disk up in another way.

    ## References

    - qemu-server 9.2.6: `args` is passed to QEMU unchanged; no setting for `iothread-vq-mapping`
    - Proxmox forum, thread 154823, where users ask for one
    """  # noqa: E501 - a config has no way to break a line

    code = "QU008"
    name = "vq-mapping-is-unmanaged"
    severity = Severity.INFO
    elsewhere = "Only Proxmox VE manages disks and has no setting for the mapping."
    needs = "options"

    def check(self, context: Context) -> Iterator[Diagnostic]:
        """Yields a finding per device."""
        vm = context.vm
        for option in list_devices(vm):
            if not read_mapping(option):
                continue
            device = option.id or option.kind
            yield self.report(
                context,
                f"Proxmox VE does not know of {device} with its iothread-vq-mapping: check that"
                " its disks are backed up",
                subject=device,
                span=find_property(vm.source, option, "iothread-vq-mapping"),
            )
