"""DI005."""

from __future__ import annotations

from collections.abc import Iterator

from vmio.lint.diagnostic import Applicability, Diagnostic, Fix, Severity
from vmio.lint.drives import list_disks
from vmio.lint.rule import Context
from vmio.lint.rules.proxmox.rule import ProxmoxRule
from vmio.units import MIB

__all__ = ["Qcow2L2CacheTooSmall"]

_CACHE_BYTES = 32 * MIB
_DATA_PER_ENTRY_BYTES = 8192
"""For 64 KiB clusters with entries of 8 bytes, and for 128 KiB clusters with extended 16 bytes."""


class Qcow2L2CacheTooSmall(ProxmoxRule):
    """Finds qcow2 disks that are larger than QEMU's cache of their L2 tables covers.

    ## What it does

    Looks for qcow2 volumes of more than 256 GiB. That is what the 32 MiB of QEMU's L2 cache cover,
    with the default clusters of 64 KiB, and with the 128 KiB clusters and extended entries that
    Proxmox VE uses for volume chains. An image with larger clusters needs less.

    ## Why is this bad

    Each request outside of that range has to read a table first. In QEMU's own test,
    random writes to an image just one table larger than its cache went from 16,000 to 500 a
    second. A guest that only uses a part of its disk at a time does not notice.

    ## Example

    ```
    virtio0: files:100/vm-100-disk-0.qcow2,size=1T
    ```

    ```storage
    dir: files
        path /srv/files
    ```

    ## Use instead

    ```
    virtio0: files:100/vm-100-disk-0.raw,size=1T
    ```

    ```storage
    dir: files
        path /srv/files
    ```

    ## Fix safety

    There is no fix to apply: the image has to be converted.

    ## References

    - QEMU, docs/qcow2-cache.txt
    - QEMU, commit b70d0820: the figures
    - pve-storage 9.1.7: chained images are made with extended L2 entries and 128 KiB clusters
    """

    code = "DI005"
    name = "qcow2-l2-cache-too-small"
    severity = Severity.INFO
    elsewhere = "Only a Proxmox config shows how large an image is."
    blanks = (("libvirt", "A domain does not show how large an image is."),)

    def check(self, context: Context) -> Iterator[Diagnostic]:
        """Yields a finding per disk."""
        for attached in list_disks(context):
            disk, backing = attached.disk, attached.disk.backing
            if backing is None or backing.format != "qcow2" or disk.size_bytes is None:
                continue
            needed = disk.size_bytes // _DATA_PER_ENTRY_BYTES
            if needed <= _CACHE_BYTES:
                continue
            yield self.report(
                context,
                f"{disk.id} outgrows QEMU's L2 cache: random I/O on all of its qcow2 image needs"
                f" {needed // MIB} MiB, the cache has {_CACHE_BYTES // MIB}",
                subject=disk.id,
                span=disk.spans.get("size", disk.span),
                fix=Fix(
                    applicability=Applicability.MANUAL,
                    message="use a raw volume, or an image with larger clusters",
                ),
            )
