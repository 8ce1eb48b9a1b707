"""CF003."""

from __future__ import annotations

from vmio.formats.proxmox.problems import explain_reasons, is_drive
from vmio.lint.diagnostic import Severity
from vmio.lint.rules.proxmox.rule import ProxmoxProblemRule
from vmio.model.source import Problem

__all__ = ["BadValue"]


class BadValue(ProxmoxProblemRule):
    """Finds settings whose value Proxmox VE does not accept.

    ## What it does

    Reports values of the wrong type, and options of a drive that are unknown, out of range or not
    one of the allowed words. If the setting is a drive, it is an error, because the guest does
    not get it.

    ## Why is this bad

    Proxmox VE drops not the one option but the whole line, with a warning that few will see. A
    slip in one option of a disk takes the disk away.

    ## Example

    ```
    scsi0: local-lvm:vm-100-disk-0,cache=wirteback,size=32G
    scsihw: virtio-scsi-single
    ```

    ## Use instead

    ```
    scsi0: local-lvm:vm-100-disk-0,cache=writeback,size=32G
    scsihw: virtio-scsi-single
    ```

    ## Fix safety

    There is no fix to apply: only a person knows what the line was meant to say.

    ## References

    - qemu-server 9.2.6, the reader of VM configs
    - qemu-server 9.2.6, the options of a drive
    """

    code = "CF003"
    name = "bad-value"
    severity = Severity.WARNING
    kind = "bad-value"

    def explain(self, problem: Problem) -> str:
        """Returns what is wrong and what Proxmox VE makes of it."""
        reasons = explain_reasons(problem)
        if is_drive(problem):
            return (
                f"{problem.subject} vanishes from the guest: Proxmox VE drops the line ({reasons})"
            )
        return f"Proxmox VE drops the line '{problem.subject}' ({reasons})"
