"""CF002."""

from __future__ import annotations

from vmio.formats.proxmox.problems import bus_of, is_drive
from vmio.formats.proxmox.schema import DRIVE_COUNTS
from vmio.lint.diagnostic import Severity
from vmio.lint.rules.proxmox.rule import ProxmoxProblemRule
from vmio.model.source import Problem

__all__ = ["UnknownSetting"]


class UnknownSetting(ProxmoxProblemRule):
    """Finds settings that Proxmox VE does not know.

    ## What it does

    Reports keys that no setting has, including drives whose number is beyond the last of their
    bus. Such a drive is an error, because the guest does not get it.

    ## Why is this bad

    Proxmox VE drops the line with a warning, and its next write to the file removes it for good.

    ## Example

    ```
    core: 4
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

    code = "CF002"
    name = "unknown-setting"
    severity = Severity.WARNING
    kind = "unknown-setting"

    def explain(self, problem: Problem) -> str:
        """Returns what is wrong and what Proxmox VE makes of it."""
        bus = bus_of(problem)
        for known, count in DRIVE_COUNTS.items():
            if bus == known and is_drive(problem):
                return (
                    f"{problem.subject} vanishes from the guest:"
                    f" Proxmox VE knows only {bus}0 to {bus}{count - 1}"
                )
        return f"Proxmox VE knows no setting '{problem.subject}' and drops the line"
