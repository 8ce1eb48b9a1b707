"""CF024."""

from __future__ import annotations

from vmio.lint.diagnostic import Severity
from vmio.lint.problems import ProblemRule
from vmio.model.source import Problem

__all__ = ["PartialCommand"]


class PartialCommand(ProblemRule):
    r"""Finds texts of which not all was read, or otherwise than a shell would run it.

    ## What it does

    Reports where a shell ends the command although options follow: at a comment between them, at a
    line without a backslash, at blanks after one. It reports variables of a script whose values
    are not known, words that a person left out, and which command or config was read where a text
    has several.

    ## Why is this bad

    A command that a comment or a missing backslash cuts starts a guest without the options after
    it, and so without its disks or its IOThreads; the shell then complains about a command
    `-device`, which is easily overlooked. What a variable holds is missing from what vmio shows.

    ## Example

    ```
    qemu-system-x86_64 -m 1G \
      # the disk
      -drive file=/srv/a.qcow2,if=virtio
    ```

    ## Use instead

    ```
    # the disk is on the fast pool
    qemu-system-x86_64 -m 1G \
      -drive file=/srv/a.qcow2,if=virtio
    ```

    ## Fix safety

    There is no fix to apply: whoever wrote the script knows what was meant. `vmio show pid:PID`
    shows what runs.

    ## References

    - POSIX.1-2024, Shell Command Language, 2.2.1 Escape Character and 2.3 Token Recognition: only
      a backslash right before the end of a line joins it to the next, and a comment lasts until
      the end of its line
    """

    code = "CF024"
    name = "partial-command"
    severity = Severity.INFO
    blanks = (
        ("proxmox", "A file of Proxmox VE's own is one config; only a longer text has several."),
        ("libvirt", "A domain's file is one domain; of any other text none is read."),
    )
    kind = "partial-command"

    def explain(self, problem: Problem) -> str:
        """Returns what is read otherwise."""
        return problem.message
