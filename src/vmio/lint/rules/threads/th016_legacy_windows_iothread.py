"""TH016."""

from __future__ import annotations

from collections.abc import Iterator

from vmio.lint.devices import can_have_iothread, runs_in_iothread
from vmio.lint.diagnostic import Applicability, Diagnostic, Fix, Severity
from vmio.lint.rule import Context, Rule

__all__ = ["LegacyWindowsIothread"]

_LEGACY = frozenset({"Windows 2000", "Windows Server 2003", "Windows XP"})


class LegacyWindowsIothread(Rule):
    """Finds IOThreads of Windows guests as old as XP.

    ## What it does

    Looks for disks with `iothread=1` in a guest whose `ostype` is `w2k`, `wxp` or `w2k3`.

    ## Why is this bad

    It works for many. But a project that packages QEMU for such guests has switched IOThreads off
    for legacy Windows, whose virtio drivers are years older than today's IOThreads. Guests this
    old rarely have a load that needs one.

    ## Example

    ```
    ostype: wxp
    virtio0: local-lvm:vm-100-disk-0,iothread=1,size=32G
    ```

    ## Use instead

    ```
    ostype: wxp
    virtio0: local-lvm:vm-100-disk-0,size=32G
    ```

    ## Fix safety

    There is no fix to apply: if the guest runs well there is nothing to fix. Without
    `iothread=1` it sees the same devices.

    ## References

    - qemus/qemu, pull request 1299: no IOThread for legacy Windows
    """

    code = "TH016"
    name = "legacy-windows-iothread"
    severity = Severity.INFO
    blanks = (("qemu", "A command line does not show which system the guest has."),)

    def check(self, context: Context) -> Iterator[Diagnostic]:
        """Yields a finding per disk."""
        vm = context.vm
        if vm.system not in _LEGACY:
            return
        for attached in context.topology.disks:
            disk = attached.disk
            if not can_have_iothread(context.topology, attached):
                continue
            has = "has" if runs_in_iothread(context.topology, attached) else "asks for"
            yield self.report(
                context,
                f"{disk.id} {has} an IOThread, which the old drivers of {vm.system} may not cope"
                " with",
                subject=disk.id,
                span=disk.spans.get("iothread", disk.span),
                fix=Fix(
                    applicability=Applicability.MANUAL,
                    message="remove iothread if the guest hangs or loses its disk",
                ),
            )
