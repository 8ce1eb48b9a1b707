"""CF020."""

from __future__ import annotations

from vmio.lint.diagnostic import Applicability, Fix, Severity
from vmio.lint.problems import ProblemRule
from vmio.model.source import Problem

__all__ = ["RefusedOption"]


class RefusedOption(ProblemRule):
    r"""Finds options of QEMU's own that QEMU refuses, and domains that libvirt or QEMU does.

    ## What it does

    Reads a command line, or the `args` of a Proxmox config, as QEMU does. It reports invalid JSON,
    unknown cache modes and AIO engines, places on a bus that are taken, drives for which the
    machine creates no device, `iothread` where only the controller has that property, and drives
    that another device uses already. Only one device can use a `-drive`; a drive of `if=ide`,
    `if=virtio` or Proxmox VE has its device. Several devices can use a node of a `-blockdev`, or a
    file, if none of them writes to it or all others have `share-rw=on`.

    Reads a domain as libvirt does and reports, in its words, why it refuses the domain: as it
    defines it, or only as it starts it. `virsh update-device --config`, for one, takes an IOThread
    that is not defined; after that neither `start` nor `define` takes the domain. It reports also
    what libvirt takes and QEMU then refuses: `ioeventfd='off'` with an IOThread, a `queue_size`
    that is no power of 2, a polling time of more than 63 bits.

    ## Why is this bad

    QEMU ends with an error before the guest starts. A guest that runs was started from another
    command line.

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

    There is no fix to apply: only a person knows what was meant. Of a domain the finding says what
    would help, where libvirt's reason shows it.

    ## References

    - libvirt 11.3.0 and 9.0.0, run with domains that each have one fault
    - QEMU 10.0.2: `ioeventfd is required for iothread`, `invalid queue-size property (1000), must
      be a power of 2 (max 1024)`, `poll-max-ns value must be in range [0, 9223372036854775807]`
    - QEMU 10.0.2: `invalid aio option`, `Property 'scsi-hd.iothread' not found`, `Drive 'd' is
      already in use by another device`, `Permission conflict on node 'd'` and their like
    """

    code = "CF020"
    name = "refused-option"
    severity = Severity.ERROR
    kind = "refused-option"

    def explain(self, problem: Problem) -> str:
        """Returns what QEMU refuses and why."""
        if problem.message.startswith("libvirt "):
            return problem.message  # it never reaches QEMU
        return f"QEMU refuses {problem.subject}: {problem.message}"

    def propose(self, problem: Problem) -> Fix | None:
        """Returns what a person can do, if that is known."""
        if not problem.advice:
            return None
        return Fix(applicability=Applicability.MANUAL, message=problem.advice)
