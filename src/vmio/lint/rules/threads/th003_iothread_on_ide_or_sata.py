"""TH003."""

from __future__ import annotations

from collections.abc import Iterator

from vmio.lint.diagnostic import Applicability, Diagnostic, Fix, Severity
from vmio.lint.problems import ProblemRule
from vmio.lint.rule import Context
from vmio.model.source import Problem

__all__ = ["IothreadOnIdeOrSata"]


_FIX = Fix(
    applicability=Applicability.MANUAL,
    message="remove iothread, or move the disk to virtio or scsi to give it one",
)


class IothreadOnIdeOrSata(ProblemRule):
    """Finds IDE and SATA drives that have the option `iothread`.

    ## What it does

    Looks for `iothread=`, on or off, in an `ideN` or `sataN` line of a Proxmox config, and on an
    IDE device of a command line.

    ## Why is this bad

    QEMU's IDE and AHCI controllers cannot run in an IOThread. QEMU refuses the property and does
    not start. Proxmox VE does not ignore the option either: it treats the whole line as invalid
    and leaves the drive out. The guest starts without the disk, after a warning that few will see.

    ## Example

    ```
    sata0: local-lvm:vm-100-disk-0,iothread=1,size=32G
    ```

    ## Use instead

    ```
    virtio0: local-lvm:vm-100-disk-0,iothread=1,size=32G
    ```

    ## Fix safety

    There is no fix to apply, for there are two ways and only a person can choose. Without the
    option the disk is back on its old bus. On `virtio` or `scsi` it gets an IOThread too, if the
    guest has the driver; the boot order has to be changed with it.

    ## References

    - qemu-server 9.2.6, the options of a drive by bus
    - QEMU 10.0.2: `-device ide-hd,iothread=…` ends in `Property 'ide-hd.iothread' not found`
    """

    code = "TH003"
    name = "iothread-on-ide-or-sata"
    severity = Severity.ERROR
    blanks = (("libvirt", "The daemon refuses such a domain itself (CF020)."),)
    kind = "iothread-not-on-bus"
    needs = ""

    def check(self, context: Context) -> Iterator[Diagnostic]:
        """Yields a finding per line that Proxmox VE drops, or per device that QEMU refuses."""
        yield from super().check(context)
        for disk in context.vm.disks:
            if disk.bus in {"ide", "sata"} and (disk.iothread or disk.iothread_id is not None):
                yield self.report(
                    context,
                    f"QEMU refuses {disk.id}: devices on {disk.bus} cannot run in an IOThread",
                    subject=disk.id,
                    span=disk.spans.get("iothread", disk.span),
                    fix=_FIX,
                )

    def explain(self, problem: Problem) -> str:
        """Returns what becomes of the drive."""
        bus = problem.subject.rstrip("0123456789")
        return (
            f"{problem.subject} vanishes from the guest: iothread is no option of {bus} drives,"
            " and Proxmox VE drops the whole line"
        )

    def propose(self, problem: Problem) -> Fix:  # noqa: ARG002 - it is the same for every drive
        """Returns the two ways."""
        return _FIX
