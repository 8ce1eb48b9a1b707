"""CF006."""

from __future__ import annotations

from vmio.lint.diagnostic import Severity
from vmio.lint.rules.proxmox.rule import ProxmoxProblemRule
from vmio.model.source import Problem

__all__ = ["UnknownSection"]


class UnknownSection(ProxmoxProblemRule):
    """Finds sections that Proxmox VE does not know.

    ## What it does

    Reports headers that are neither `[PENDING]`, nor `[special:cloudinit]` or
    `[special:fleecing]`, nor the name of a snapshot (a letter, then letters, digits, `_` and `-`).

    ## Why is this bad

    Proxmox VE ignores every line up to the next header, and its next write to the file removes
    them for good. A snapshot among them can no longer be restored.

    ## Example

    ```
    scsi0: local-lvm:vm-100-disk-0,size=32G
    scsihw: virtio-scsi-single

    [1st-try]
    cores: 4
    ```

    ## Use instead

    ```
    scsi0: local-lvm:vm-100-disk-0,size=32G
    scsihw: virtio-scsi-single

    [first-try]
    cores: 4
    ```

    ## Fix safety

    There is no fix to apply: only a person knows what the line was meant to say.

    ## References

    - qemu-server 9.2.6, the reader of VM configs
    """

    code = "CF006"
    name = "unknown-section"
    severity = Severity.WARNING
    kind = "unknown-section"

    def explain(self, problem: Problem) -> str:
        """Returns what is wrong and what Proxmox VE makes of it."""
        name = problem.message.partition(": ")[2]
        return f"Proxmox VE knows no section {name} and ignores its lines"
