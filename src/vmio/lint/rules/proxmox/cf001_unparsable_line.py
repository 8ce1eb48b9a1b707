"""CF001."""

from __future__ import annotations

from vmio.lint.diagnostic import Severity
from vmio.lint.rules.proxmox.rule import ProxmoxProblemRule
from vmio.model.source import Problem

__all__ = ["UnparsableLine"]


class UnparsableLine(ProxmoxProblemRule):
    """Finds lines that are neither a setting nor a section header nor a description.

    ## What it does

    Reports every line that does not have the form `key: value`.

    ## Why is this bad

    Proxmox VE skips the line with a warning, and the next change made by its tools writes the file
    without it. Whatever the line was meant to set is not set.

    ## Example

    ```
    cores = 4
    scsi0: local-lvm:vm-100-disk-0,size=32G
    scsihw: virtio-scsi-single
    ```

    ## Use instead

    ```
    cores: 4
    scsi0: local-lvm:vm-100-disk-0,size=32G
    scsihw: virtio-scsi-single
    ```

    ## Fix safety

    There is no fix to apply: only a person knows what the line was meant to say.

    ## References

    - qemu-server 9.2.6, the reader of VM configs
    """

    code = "CF001"
    name = "unparsable-line"
    severity = Severity.WARNING
    kind = "unparsable-line"

    def explain(self, problem: Problem) -> str:  # noqa: ARG002 - the line itself is shown
        """Returns what is wrong and what Proxmox VE makes of it."""
        return "this is not a 'key: value' line, so Proxmox VE skips it"
