"""CF022."""

from __future__ import annotations

from vmio.lint.diagnostic import Severity
from vmio.lint.problems import ProblemRule
from vmio.model.source import Problem

__all__ = ["DuplicateId"]


class DuplicateId(ProblemRule):
    r"""Finds names that QEMU's own options define twice.

    ## What it does

    Compares the ids of devices, of objects, and of drives and block nodes, each among themselves.
    In the `args` of a Proxmox config, it also compares them with the disks, drives, controllers
    and IOThreads that Proxmox VE creates.

    ## Why is this bad

    QEMU ends with an error before the guest starts.

    ## Example

    ```
    qemu-system-x86_64 -object iothread,id=io0 -object iothread,id=io0 \
      -blockdev driver=file,filename=/srv/a.raw,node-name=d,aio=io_uring,cache.direct=on \
      -device virtio-blk-pci,drive=d,iothread=io0
    ```

    ## Use instead

    ```
    qemu-system-x86_64 -object iothread,id=io0 \
      -blockdev driver=file,filename=/srv/a.raw,node-name=d,aio=io_uring,cache.direct=on \
      -device virtio-blk-pci,drive=d,iothread=io0
    ```

    ## Fix safety

    There is no fix to apply: only a person knows which of them was meant.

    ## References

    - QEMU 10.0.2: `Duplicate ID 'io0' for object`, `Duplicate device ID`
    """

    code = "CF022"
    name = "duplicate-id"
    severity = Severity.ERROR
    blanks = (("libvirt", "The daemon refuses such a domain itself (CF020)."),)
    kind = "duplicate-id"

    def explain(self, problem: Problem) -> str:
        """Returns which name is defined twice."""
        return f"QEMU refuses to start: {problem.message}"
