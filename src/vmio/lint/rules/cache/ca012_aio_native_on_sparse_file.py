"""CA012."""

from __future__ import annotations

from collections.abc import Iterator

from vmio.lint.diagnostic import Diagnostic, Severity
from vmio.lint.drives import list_writable_disks
from vmio.lint.rule import Context, Rule
from vmio.lint.words import instruct
from vmio.model.plan import Change

__all__ = ["AioNativeOnSparseFile"]

_STORAGES = frozenset({"dir", "nfs"})
_WITH_ROOM = frozenset({"falloc", "full"})


class AioNativeOnSparseFile(Rule):
    """Finds image files that may have to grow, with an engine that waits for it.

    ## What it does

    Looks for `aio=native` on image files on storage of the types `dir` and `nfs`, unless that
    storage allocates all space of new images (`preallocation full` or `falloc`).

    ## Why is this bad

    With linux-aio a request is submitted by a system call that should return at once. When the
    file system has to allocate the block first, as in a sparse file, the call waits for that. The
    thread that serves the disk waits with it, and so do its other disks and requests. An image
    does not grow any more once every block was written. A configuration does not show that,
    so this is advice and not a warning.

    ## Example

    ```
    scsi0: files:100/vm-100-disk-0.raw,aio=native,discard=on,size=32G
    scsihw: virtio-scsi-single
    ```

    ```storage
    dir: files
        path /srv/files
    ```

    ## Use instead

    ```
    scsi0: files:100/vm-100-disk-0.raw,discard=on,size=32G
    scsihw: virtio-scsi-single
    ```

    ```storage
    dir: files
        path /srv/files
    ```

    ## Fix safety

    The fix is safe: it removes `aio=native`, which leaves `io_uring`. The guest sees the same
    device, and the kernel's own workers do what would block.

    ## References

    - KubeVirt, the choice of the I/O mode: native for block devices and preallocated images only
    - OpenStack Nova, the specification on libvirt's AIO mode: native for preallocated images
    - qemu-server 9.2.6, the default of the engine
    """

    code = "CA012"
    name = "aio-native-on-sparse-file"
    severity = Severity.INFO
    blanks = (
        ("qemu", "A path does not show whether an image is preallocated."),
        ("libvirt", "A path does not show whether an image is preallocated."),
    )

    def check(self, context: Context) -> Iterator[Diagnostic]:
        """Yields a finding per disk."""
        for attached in list_writable_disks(context):
            disk, backing = attached.disk, attached.disk.backing
            if disk.aio != "native" or not attached.cache_direct or backing is None:
                continue
            if backing.driver != "file" or backing.kind not in _STORAGES:
                continue
            if backing.preallocation in _WITH_ROOM:
                continue
            change = Change(subject=disk.id, property="aio", old=disk.aio)
            yield self.report(
                context,
                f"aio=native of {disk.id} waits whenever its image file has to grow, and holds up"
                " the thread that serves it",
                subject=disk.id,
                span=disk.spans.get("aio", disk.span),
                fix=context.make_fix(instruct(context, change), change),
            )
