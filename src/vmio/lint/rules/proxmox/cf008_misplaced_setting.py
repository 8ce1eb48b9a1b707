"""CF008."""

from __future__ import annotations

from vmio.lint.diagnostic import Severity
from vmio.lint.rules.proxmox.rule import ProxmoxProblemRule
from vmio.model.source import Problem

__all__ = ["MisplacedSetting"]


class MisplacedSetting(ProxmoxProblemRule):
    """Finds settings in a section that may not hold them.

    ## What it does

    Reports `delete` outside of `[PENDING]`.

    ## Why is this bad

    `delete` names the settings that go away at the next start. Anywhere else Proxmox VE drops the
    line with a warning, and those settings stay.

    ## Example

    ```
    delete: balloon
    scsi0: local-lvm:vm-100-disk-0,size=32G
    scsihw: virtio-scsi-single
    ```

    ## Use instead

    ```
    scsi0: local-lvm:vm-100-disk-0,size=32G
    scsihw: virtio-scsi-single

    [PENDING]
    delete: balloon
    ```

    ## Fix safety

    There is no fix to apply: only a person knows what the line was meant to say.

    ## References

    - qemu-server 9.2.6, the reader of VM configs
    """

    code = "CF008"
    name = "misplaced-setting"
    severity = Severity.WARNING
    kind = "misplaced-setting"

    def explain(self, problem: Problem) -> str:
        """Returns what is wrong and what Proxmox VE makes of it."""
        return f"'{problem.subject}' is allowed only in [PENDING], so Proxmox VE drops the line"
