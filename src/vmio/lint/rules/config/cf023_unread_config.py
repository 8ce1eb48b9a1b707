"""CF023."""

from __future__ import annotations

from vmio.lint.diagnostic import Severity
from vmio.lint.problems import ProblemRule
from vmio.model.source import Problem

__all__ = ["UnreadConfig"]


class UnreadConfig(ProblemRule):
    """Finds what a guest's text names or has and vmio does not read.

    ## What it does

    Looks for the file of every `-readconfig` of a QEMU command line: relative to the process's own
    folder for a running guest, to the current folder for a saved command line. In a domain it
    reports `<qemu:commandline>`, `<qemu:override>` and SCSI devices of the host.

    ## Why is this bad

    vmio does not see what is defined there. Its devices are missing from the layout, and checks of
    the rest are right only if nothing in it matters to them. On a Proxmox
    host the file of a q35 machine holds bridges and USB controllers, and no disk.

    ## Example

    ```
    qemu-system-x86_64 -machine q35 -readconfig /nonexistent/extra.cfg
    ```

    ## Use instead

    ```
    qemu-system-x86_64 -machine q35 -nodefaults
    ```

    ## Fix safety

    There is no fix to apply: run vmio where the file is, or bring the file along. `vmio show` of
    the running guest shows all that QEMU has.

    ## References

    - QEMU's manual page, `-readconfig`
    """

    code = "CF023"
    name = "unread-config"
    severity = Severity.INFO
    blanks = (("proxmox", "A Proxmox config needs no other file to be understood."),)
    kind = "unread-config"

    def explain(self, problem: Problem) -> str:
        """Returns what is missing and why."""
        return f"not all is read: {problem.message}"
