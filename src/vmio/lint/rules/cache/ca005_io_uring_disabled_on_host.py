"""CA005."""

from __future__ import annotations

from collections.abc import Iterator

from vmio.lint.diagnostic import Applicability, Diagnostic, Fix, Severity
from vmio.lint.rule import Context, Rule
from vmio.lint.versions import Versions
from vmio.lint.words import instruct, name_setting
from vmio.model.plan import Change
from vmio.model.topology import AttachedDisk

__all__ = ["IoUringDisabledOnHost"]

_FALLS_BACK = Versions(since="9.0", before="10.2")
"""QEMU opens the ring at the first request, and uses its thread pool if it gets no ring."""
_REFUSES = Versions(since="10.2")


class IoUringDisabledOnHost(Rule):
    """Finds drives that use io_uring on a host that forbids it.

    ## What it does

    Looks for drives with io_uring, written or picked by their manager, when the host's
    `kernel.io_uring_disabled` is 2, which forbids io_uring to everybody. With 1 it depends on the
    user, and the rule is silent.

    ## Why is this bad

    QEMU 10.2 and later do not start. QEMU 9.0 to 10.1 say so on the first request and hand all of
    the drive's I/O to worker threads, which is slower. The rule is silent about older ones.

    ## Example

    ```
    virtio0: /dev/vg/vm-100-disk-0,size=32G
    ```

    ```host
    qemu_version = "10.0.2"
    kernel = {io_uring_disabled = 2}
    ```

    ## Use instead

    ```
    virtio0: /dev/vg/vm-100-disk-0,aio=native,size=32G
    ```

    ```host
    qemu_version = "10.0.2"
    kernel = {io_uring_disabled = 2}
    ```

    ## Fix safety

    The fix writes `aio=native` for drives that bypass the host's page cache and is safe: the guest
    sees the same device. For other drives QEMU would refuse native AIO; what is left for them is
    `aio=threads` or another cache mode, which only a person can choose between.

    ## References

    - Linux, Documentation/admin-guide/sysctl/kernel.rst, io_uring_disabled
    - QEMU 10.0.2, run with a ring that cannot be made: `Unable to use linux io_uring, falling back
      to thread pool`
    - QEMU 10.2, block/file-posix.c: refuses `aio=io_uring` if its event loop has no ring
    """

    code = "CA005"
    name = "io-uring-disabled-on-host"
    severity = Severity.ERROR

    def check(self, context: Context) -> Iterator[Diagnostic]:
        """Yields a finding per drive."""
        vm, host = context.vm, context.host
        if host.kernel.io_uring_disabled != 2 or vm.template:  # noqa: PLR2004 - the sysctl's value
            return
        if _REFUSES.hold(host):
            severity, effect = Severity.ERROR, "QEMU refuses to start"
        elif _FALLS_BACK.hold(host):
            severity, effect = Severity.WARNING, "QEMU falls back to worker threads"
        else:
            return
        for attached in context.topology.disks:
            disk, backing = attached.disk, attached.disk.backing
            if attached.aio != "io_uring" or backing is None or backing.error:
                continue
            yield self.report(
                context,
                f"{effect}: {disk.id} uses io_uring, which kernel.io_uring_disabled=2 forbids"
                " on this host",
                subject=disk.id,
                span=disk.spans.get("aio", disk.span),
                severity=severity,
                fix=_make_fix(context, attached),
            )


def _make_fix(context: Context, attached: AttachedDisk) -> Fix:
    disk = attached.disk
    if not attached.cache_direct:
        direct = name_setting(context, disk.id, "cache", "none")
        threads, native = (
            name_setting(context, disk.id, "aio", engine) for engine in ("threads", "native")
        )
        message = f"write {threads}, or {direct} and {native}"
        return Fix(applicability=Applicability.MANUAL, message=message)
    change = Change(subject=disk.id, property="aio", old=disk.aio, new="native")
    return context.make_fix(instruct(context, change), change)
