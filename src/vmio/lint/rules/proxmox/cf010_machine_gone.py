"""CF010."""

from __future__ import annotations

import re
from collections.abc import Iterator

from vmio.lint.diagnostic import Applicability, Diagnostic, Fix, Severity
from vmio.lint.rule import Context
from vmio.lint.rules.proxmox.rule import ProxmoxRule, guest_of
from vmio.lint.versions import Versions
from vmio.patterns import compile_late

__all__ = ["MachineGone"]

_VERSION = compile_late(r"pc-(?:i440fx|q35)-(\d{1,3})\.\d{1,3}", re.ASCII)
_OLDEST = 6


class MachineGone(ProxmoxRule):
    """Finds machine versions that the host's QEMU no longer has.

    ## What it does

    Looks for a `machine` with a version before 6.0 while the host has pve-qemu 11.0 or later. A
    machine without a version is left out: it is QEMU's newest.

    ## Why is this bad

    QEMU drops old machine versions, and Proxmox VE 9 runs none before 6.0. The guest does not
    start on this host, and cannot be migrated to it.

    ## Example

    ```
    machine: pc-i440fx-5.1
    virtio0: local-lvm:vm-100-disk-0,discard=on,iothread=1,size=32G
    ```

    ```host
    qemu_version = "11.0.0"
    pve_qemu_version = "11.0.0-2"
    ```

    ## Use instead

    ```
    machine: pc-i440fx-10.0
    virtio0: local-lvm:vm-100-disk-0,discard=on,iothread=1,size=32G
    ```

    ```host
    qemu_version = "11.0.0"
    pve_qemu_version = "11.0.0-2"
    ```

    ## Fix safety

    There is no fix to apply: a newer version changes the guest's hardware in small ways. Linux
    usually adapts; Windows may detect its network card as new and lose its address.

    ## References

    - Changelog of pve-qemu 11.0.0-1
    """

    code = "CF010"
    name = "machine-gone"
    severity = Severity.ERROR
    elsewhere = "A command line is written for the QEMU that it starts."
    blanks = (("libvirt", "The daemon refuses a machine type that its QEMU does not have."),)
    versions = Versions(since="11.0", pve_since="11.0.0-1", pve_only=True)

    def check(self, context: Context) -> Iterator[Diagnostic]:
        """Yields a finding if the guest names such a machine."""
        guest = guest_of(context)
        match = _VERSION.search(guest.settings.get("machine", ""))
        if match is None or int(match[1]) >= _OLDEST or guest.vm.template:
            return
        yield self.report(
            context,
            f"the guest does not start: this host's QEMU has no machine {match[0]}",
            subject="machine",
            span=guest.spans.get("machine"),
            fix=Fix(
                applicability=Applicability.MANUAL,
                message=f"set a machine version of {_OLDEST}.0 or later, or none",
            ),
        )
