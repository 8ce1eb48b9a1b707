"""LI001."""

from __future__ import annotations

from collections.abc import Iterator

from vmio.lint.diagnostic import Applicability, Diagnostic, Fix, Severity
from vmio.lint.rule import Context
from vmio.lint.rules.proxmox.rule import ProxmoxRule
from vmio.model.disk import Disk
from vmio.model.source import Edit, Source, Span
from vmio.units import MIB

__all__ = ["ByteLimitBecomesNone"]


class ByteLimitBecomesNone(ProxmoxRule):
    """Finds limits in bytes, an old spelling that Proxmox VE turns into no limit.

    ## What it does

    Looks for `bps`, `bps_rd` and `bps_wr` on disks, which set a limit in bytes per second.

    ## Why is this bad

    The options are valid, and Proxmox VE converts them to `mbps`, `mbps_rd` and `mbps_wr`, in MiB
    per second. The conversion loses the number: the result is a limit of 0, which means none. The
    disk runs unlimited, without a warning.

    ## Example

    ```
    scsi0: local-lvm:vm-100-disk-0,bps_wr=104857600,discard=on,iothread=1,size=32G,ssd=1
    scsihw: virtio-scsi-single
    ```

    ## Use instead

    ```
    scsi0: local-lvm:vm-100-disk-0,discard=on,iothread=1,mbps_wr=100,size=32G,ssd=1
    scsihw: virtio-scsi-single
    ```

    ## Fix safety

    The fix writes the same limit as `mbps`, in MiB per second. It is unsafe only in that the limit
    comes into force: the guest gets slower than it has been. If limits for both directions
    together and for one of them are set, which cannot be combined, there is no fix to apply.

    ## References

    - qemu-server 9.2.6, run: `bps_rd=10485760` becomes `throttling.bps-read=0`, and `mbps_rd=10`
      becomes `throttling.bps-read=10485760`
    """

    code = "LI001"
    name = "byte-limit-becomes-none"
    severity = Severity.WARNING
    elsewhere = "Only Proxmox VE has a spelling of a limit that results in none."

    def check(self, context: Context) -> Iterator[Diagnostic]:
        """Yields a finding per limit that is lost."""
        source = context.vm.source
        if context.vm.template:
            return
        for disk in context.vm.disks:
            for option, span in _list_limits(disk):
                limit = _read_limit(source, span)
                if limit:
                    text = f"m{option}={limit / MIB:.6f}".rstrip("0").rstrip(".")
                    yield self.report(
                        context,
                        f"{option} of {disk.id} limits nothing: Proxmox VE turns a limit in bytes"
                        " into no limit",
                        subject=disk.id,
                        span=span,
                        fix=Fix(
                            applicability=Applicability.UNSAFE,
                            message=f"write {text}",
                            edits=(Edit(span=span, text=text),),
                        ),
                    )


def _list_limits(disk: Disk) -> Iterator[tuple[str, Span]]:
    if disk.limits and disk.media == "disk":
        for direction in ("", "_rd", "_wr"):
            option = f"bps{direction}"
            if option in disk.spans:
                yield option, disk.spans[option]


def _read_limit(source: Source, span: Span) -> int:
    digits = source.data[span.start : span.end].partition(b"=")[2]
    return int(digits) if digits.isdigit() else 0
