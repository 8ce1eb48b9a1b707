"""VE012."""

from __future__ import annotations

from collections.abc import Iterator

from vmio.lint.defects import propose_upgrade
from vmio.lint.diagnostic import Diagnostic, Severity
from vmio.lint.rule import Context, Rule
from vmio.lint.versions import Versions

__all__ = ["TpmBackupHang"]


class TpmBackupHang(Rule):
    """Finds guests with a TPM whose backup can get stuck under pve-qemu 10.1.

    ## What it does

    Looks for `tpmstate0` while the host has pve-qemu 10.1 before 10.1.2-5. A TPM whose storage a
    disk of the guest shows to be one that Proxmox VE uses no io_uring on is left out.

    ## Why is this bad

    A backup of a running guest reads the TPM's volume through io_uring, and a mistake in these
    packages' io_uring can make that read wait for ever. The backup does not end, and until
    somebody ends it the guest stays locked.

    ## Example

    ```
    tpmstate0: local-lvm:vm-100-disk-1,size=4M,version=v2.0
    ```

    ```host
    qemu_version = "10.1.2"
    pve_qemu_version = "10.1.2-4"
    ```

    ## Use instead

    ```
    tpmstate0: local-lvm:vm-100-disk-1,size=4M,version=v2.0
    ```

    ```host
    qemu_version = "10.1.2"
    pve_qemu_version = "10.1.2-5"
    ```

    ## Fix safety

    There is no fix to apply: the configuration is right. Install the newer QEMU, then stop and
    start the guest or migrate it to a host that has it; a guest that runs on keeps the old one.

    ## References

    - Changelog of pve-qemu 10.1.2-5: a fix of io_uring for backups with a TPM disk that get stuck
    """

    code = "VE012"
    name = "tpm-backup-hang"
    severity = Severity.WARNING
    versions = Versions(since="10.1", pve_before="10.1.2-5", pve_only=True)

    def check(self, context: Context) -> Iterator[Diagnostic]:
        """Yields a finding if the guest has a TPM."""
        vm = context.vm
        volume = vm.settings.get("tpmstate0")
        if volume is None or vm.template:
            return
        storage = volume.removeprefix("file=").partition(":")[0]
        on_same = (
            disk.backing
            for disk in vm.disks
            if disk.backing is not None and disk.backing.storage == storage
        )
        if any(backing.io_uring == "no" and not backing.error for backing in on_same):
            return
        yield self.report(
            context,
            "a backup of the running guest can get stuck on its TPM's volume:"
            " QEMU 10.1 may wait for ever for what it reads there through io_uring",
            subject="tpmstate0",
            span=vm.spans.get("tpmstate0"),
            fix=propose_upgrade(self.versions, context.host),
        )
