"""CF023."""

from __future__ import annotations

from vmio.lint.diagnostic import Severity
from vmio.lint.problems import ProblemRule
from vmio.model.source import Problem

__all__ = ["UnreadConfig"]


class UnreadConfig(ProblemRule):
    """Finds files of options that a QEMU command line names and that cannot be read.

    ## What it does

    Looks for the file of every `-readconfig`: relative to the process's own folder for a running
    guest, to the current folder for a saved command line.

    ## Why is this bad

    vmio does not see what the file defines. Its devices are missing from the layout, and checks of
    the rest are right only if nothing in the file matters to them. On a Proxmox
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

    There is no fix to apply: run vmio where the file is, or bring the file along.

    ## References

    - QEMU's manual page, `-readconfig`
    """

    code = "CF023"
    name = "unread-config"
    severity = Severity.INFO
    notation = "qemu"
    elsewhere = "A Proxmox config needs no other file to be understood."
    kind = "unread-config"

    def explain(self, problem: Problem) -> str:
        """Returns which file is missing and why."""
        return f"options are missing: {problem.message}"
