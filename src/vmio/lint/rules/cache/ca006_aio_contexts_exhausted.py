"""CA006."""

from __future__ import annotations

from collections.abc import Iterator

from vmio.lint.diagnostic import Applicability, Diagnostic, Fix, Severity
from vmio.lint.drives import list_disks
from vmio.lint.rule import Context, Rule
from vmio.lint.versions import Versions
from vmio.lint.words import name_setting

__all__ = ["AioContextsExhausted"]

_REQUESTS_PER_CONTEXT = 1024
"""Source: QEMU 10.0, block/linux-aio.c: a context for each event loop that has a native disk."""


class AioContextsExhausted(Rule):
    """Finds guests with native AIO for which the host has no AIO contexts left.

    ## What it does

    Counts the event loops (IOThreads, and the main loop) that serve disks with `aio=native`. QEMU
    sets up a context of 1024 requests in each. The rule reports the guest if these and the host's
    `fs.aio-nr` add up to more than its `fs.aio-max-nr`.

    If the host's facts were captured while this guest ran, its own contexts are among `aio-nr`
    already and are counted twice.

    ## Why is this bad

    An event loop that gets no context hands its disks' I/O to worker threads, which is slower.
    Only QEMU's log shows it. Which guest is affected depends on the order in which they start.

    ## Example

    ```
    virtio0: /dev/vg/vm-100-disk-0,aio=native,iothread=1,size=32G
    virtio1: /dev/vg/vm-100-disk-1,aio=native,iothread=1,size=32G
    ```

    ```host
    qemu_version = "10.0.2"
    kernel = {aio_nr = 64512, aio_max_nr = 65536}
    ```

    ## Use instead

    ```
    virtio0: /dev/vg/vm-100-disk-0,aio=native,iothread=1,size=32G
    virtio1: /dev/vg/vm-100-disk-1,aio=native,iothread=1,size=32G
    ```

    ```host
    qemu_version = "10.0.2"
    kernel = {aio_nr = 64512, aio_max_nr = 1048576}
    ```

    ## Fix safety

    There is no fix to apply: the limit is the host's.

    ## References

    - Linux, fs/aio.c and Documentation/admin-guide/sysctl/fs.rst, aio-nr and aio-max-nr
    - QEMU 10.0.2, run without contexts to be had: `Unable to use Linux AIO, falling back to thread
      pool: failed to create linux AIO context: Resource temporarily unavailable`
    """

    code = "CA006"
    name = "aio-contexts-exhausted"
    severity = Severity.WARNING
    versions = Versions(since="9.0")

    def check(self, context: Context) -> Iterator[Diagnostic]:
        """Yields one finding for the guest, at its first disk with native AIO."""
        kernel = context.host.kernel
        if kernel.aio_nr < 0 or kernel.aio_max_nr < 0:
            return
        native = [attached for attached in list_disks(context) if attached.aio == "native"]
        loops = {loop for attached in native for loop in context.topology.served_by(attached)}
        needed = len(loops) * _REQUESTS_PER_CONTEXT
        if not native or kernel.aio_nr + needed <= kernel.aio_max_nr:
            return
        disk = native[0].disk
        native_aio = name_setting(context, disk.id, "aio", "native")
        yield self.report(
            context,
            f"{native_aio} may fall back to worker threads: this guest needs {needed} requests of"
            f" fs.aio-max-nr={kernel.aio_max_nr}, and {kernel.aio_nr} are in use",
            subject=disk.id,
            span=disk.spans.get("aio", disk.span),
            fix=Fix(
                applicability=Applicability.MANUAL,
                message="raise fs.aio-max-nr on the host to 1048576",
            ),
        )
