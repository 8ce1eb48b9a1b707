"""CF007."""

from __future__ import annotations

from vmio.lint.diagnostic import Severity
from vmio.lint.rules.proxmox.rule import ProxmoxProblemRule
from vmio.model.source import Problem

__all__ = ["DuplicateSection"]


class DuplicateSection(ProxmoxProblemRule):
    """Finds sections that have the name of an earlier one.

    ## What it does

    Reports the second and every later header of one name.

    ## Why is this bad

    Only the last one is used. Proxmox VE warns, and its next write to the file removes the others.

    ## Example

    ```
    scsi0: local-lvm:vm-100-disk-0,size=32G
    scsihw: virtio-scsi-single

    [before]
    cores: 2

    [before]
    cores: 4
    ```

    ## Use instead

    ```
    scsi0: local-lvm:vm-100-disk-0,size=32G
    scsihw: virtio-scsi-single

    [before]
    cores: 2

    [after]
    cores: 4
    ```

    ## Fix safety

    There is no fix to apply: only a person knows what the line was meant to say.

    ## References

    - qemu-server 9.2.6, the reader of VM configs
    """

    code = "CF007"
    name = "duplicate-section"
    severity = Severity.WARNING
    kind = "duplicate-section"

    def explain(self, problem: Problem) -> str:
        """Returns what is wrong and what Proxmox VE makes of it."""
        return f"{problem.message}; only the last one is used"
