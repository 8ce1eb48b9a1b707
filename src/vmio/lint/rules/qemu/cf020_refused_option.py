"""CF020."""

from __future__ import annotations

from vmio.lint.diagnostic import Severity
from vmio.lint.problems import ProblemRule
from vmio.model.source import Problem

__all__ = ["RefusedOption"]


class RefusedOption(ProblemRule):
    r"""Finds options of a QEMU command line that QEMU refuses.

    ## What it does

    Reads a command line as QEMU does, and reports JSON that is none, values that are no cache mode
    or AIO engine, places on a bus that are taken, drives for which the machine makes no device,
    and `iothread` where only the controller has that property.

    ## Why is this bad

    QEMU ends with an error before the guest starts. One that runs with such a line was started
    from another one.

    ## Example

    ```
    qemu-system-x86_64 -drive file=/srv/a.qcow2,if=none,id=d,aio=uring \
      -device virtio-blk-pci,drive=d
    ```

    ## Use instead

    ```
    qemu-system-x86_64 -drive file=/srv/a.qcow2,if=none,id=d,aio=io_uring \
      -device virtio-blk-pci,drive=d
    ```

    ## Fix safety

    There is no fix to apply: only a person knows what was meant.

    ## References

    - QEMU 10.0.2: `invalid aio option`, `Property 'scsi-hd.iothread' not found` and their like
    """

    code = "CF020"
    name = "refused-option"
    severity = Severity.ERROR
    notation = "qemu"
    elsewhere = "Proxmox VE writes the options; CF001 to CF005 report what it skips."
    kind = "refused-option"

    def explain(self, problem: Problem) -> str:
        """Returns what QEMU refuses and why."""
        return f"QEMU refuses {problem.subject}: {problem.message}"
