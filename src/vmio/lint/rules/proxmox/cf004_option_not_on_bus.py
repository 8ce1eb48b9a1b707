"""CF004."""

from __future__ import annotations

from vmio.formats.proxmox.problems import explain_reasons
from vmio.lint.diagnostic import Severity
from vmio.lint.rules.proxmox.rule import ProxmoxProblemRule
from vmio.model.source import Problem

__all__ = ["OptionNotOnBus"]


class OptionNotOnBus(ProxmoxProblemRule):
    """Finds drives with an option that only drives on another bus have.

    ## What it does

    Reports `queues` on anything but `scsi`, `ssd` on `virtio` and the like. `iothread` on IDE and
    SATA has a rule of its own, TH003.

    ## Why is this bad

    Proxmox VE drops not the one option but the whole line: the guest starts without the disk. It
    happens when a disk is moved to another bus by renaming its line.

    ## Example

    ```
    virtio0: local-lvm:vm-100-disk-0,size=32G,ssd=1
    ```

    ## Use instead

    ```
    virtio0: local-lvm:vm-100-disk-0,size=32G
    ```

    ## Fix safety

    There is no fix to apply: only a person knows what the line was meant to say.

    ## References

    - qemu-server 9.2.6, the options of a drive by bus
    """

    code = "CF004"
    name = "option-not-on-bus"
    severity = Severity.ERROR
    kind = "option-not-on-bus"

    def explain(self, problem: Problem) -> str:
        """Returns what is wrong and what Proxmox VE makes of it."""
        reasons = explain_reasons(problem)
        return f"{problem.subject} vanishes from the guest: Proxmox VE drops the line ({reasons})"
