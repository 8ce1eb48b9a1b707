"""CF021."""

from __future__ import annotations

from vmio.lint.diagnostic import Severity
from vmio.lint.problems import ProblemRule
from vmio.model.source import Problem

__all__ = ["MissingReference"]


class MissingReference(ProblemRule):
    r"""Finds references in QEMU's own options to things that do not exist.

    ## What it does

    Looks up what every disk of a command line, or of the `args` of a Proxmox config, names: its
    drive or node, and its bus; and what `-set` changes. In a Proxmox config the drives, buses and
    controllers that Proxmox VE creates exist, too.

    ## Why is this bad

    QEMU ends with an error before the guest starts.

    ## Example

    ```
    qemu-system-x86_64 -drive file=/srv/a.qcow2,if=none,id=disk0 \
      -device virtio-blk-pci,drive=disk1
    ```

    ## Use instead

    ```
    qemu-system-x86_64 -drive file=/srv/a.qcow2,if=none,id=disk1,cache=none \
      -device virtio-blk-pci,drive=disk1
    ```

    ## Fix safety

    There is no fix to apply: only a person knows what was meant. IOThreads that are missing have a
    rule of their own, TH006.

    ## References

    - QEMU 10.0.2: `Property 'virtio-blk-device.drive' can't find value 'disk1'`, `Bus 's.0' not
      found`
    """

    code = "CF021"
    name = "missing-reference"
    severity = Severity.ERROR
    blanks = (("libvirt", "The daemon refuses such a domain itself (CF020)."),)
    kind = "missing-reference"

    def explain(self, problem: Problem) -> str:
        """Returns the reference and what it lacks."""
        return f"QEMU refuses {problem.subject}: {problem.message}"
