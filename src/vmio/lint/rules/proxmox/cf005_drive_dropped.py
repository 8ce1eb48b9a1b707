"""CF005."""

from __future__ import annotations

from vmio.lint.diagnostic import Severity
from vmio.lint.rules.proxmox.rule import ProxmoxProblemRule
from vmio.model.source import Problem

__all__ = ["DriveDropped"]


class DriveDropped(ProxmoxProblemRule):
    """Finds drives that are left out because of options that exclude each other.

    ## What it does

    Reports a limit for both directions next to one for a single direction, a burst without its
    limit, limits in two spellings, and cd-rom drives with options that only disks have.

    ## Why is this bad

    Each option is valid and so is the line, but when the guest starts Proxmox VE leaves the whole
    drive out, for some combinations without any warning.

    ## Example

    ```
    scsi0: local-lvm:vm-100-disk-0,mbps=100,mbps_rd=50,size=32G
    scsihw: virtio-scsi-single
    ```

    ## Use instead

    ```
    scsi0: local-lvm:vm-100-disk-0,mbps_rd=50,mbps_wr=100,size=32G
    scsihw: virtio-scsi-single
    ```

    ## Fix safety

    There is no fix to apply: only a person knows what the line was meant to say.

    ## References

    - qemu-server 9.2.6, the checks on a drive beyond those of each option
    """

    code = "CF005"
    name = "drive-dropped"
    severity = Severity.ERROR
    kind = "drive-dropped"

    def explain(self, problem: Problem) -> str:
        """Returns what is wrong and what Proxmox VE makes of it."""
        return f"{problem.subject} vanishes from the guest: {problem.message}"
