"""TH009."""

from __future__ import annotations

from collections.abc import Iterator

from vmio.lint.devices import asks_iothread
from vmio.lint.diagnostic import Applicability, Diagnostic, Fix, Severity
from vmio.lint.rule import Context, Rule
from vmio.model.disk import Backing

__all__ = ["AioThreadsWithIothread"]

_CAREFUL = frozenset({"lvm", "cifs"})


class AioThreadsWithIothread(Rule):
    """Finds disks that ask for an IOThread and for `aio=threads`.

    ## What it does

    Looks for `aio=threads` on a disk with an IOThread, where its storage and cache mode allow
    io_uring. It is silent where Proxmox VE itself avoids io_uring (thick LVM, CIFS, Ceph's kernel
    client with a host cache), and where the storage is not known.

    ## Why is this bad

    With `aio=threads` the IOThread hands every request to a worker thread and is woken again when
    that has finished. Both other engines submit from the IOThread itself. The IOThread still takes
    load off the main loop, but most of what it saves per request goes to the hand-over.

    ## Example

    ```
    virtio0: local-zfs:vm-100-disk-0,aio=threads,iothread=1,size=32G
    ```

    ```storage
    zfspool: local-zfs
        pool rpool/data
    ```

    ## Use instead

    ```
    virtio0: local-zfs:vm-100-disk-0,iothread=1,size=32G
    ```

    ```storage
    zfspool: local-zfs
        pool rpool/data
    ```

    ## Fix safety

    There is no fix to apply: threads are a fair choice for a storage with which another engine
    made trouble, and the configuration does not tell why it was made. Without the option Proxmox
    VE picks the engine.

    ## References

    - Ganeti, pull request 1953: refuses IOThreads together with `aio=threads`
    - QEMU 10.0.2, depth 64: 64 worker threads served one disk with `aio=threads`
    - qemu-server 9.2.6, the default engine by storage
    """

    code = "TH009"
    name = "aio-threads-with-iothread"
    severity = Severity.INFO

    def check(self, context: Context) -> Iterator[Diagnostic]:
        """Yields a finding per disk."""
        for attached in context.topology.disks:
            disk, backing = attached.disk, attached.disk.backing
            if disk.aio != "threads" or attached.aio != "threads" or backing is None:
                continue
            if not asks_iothread(disk) or not _allows_io_uring(backing, attached.cache_direct):
                continue
            yield self.report(
                context,
                f"aio=threads of {disk.id} hands every request on to a worker thread,"
                " which costs most of what its IOThread saves",
                subject=disk.id,
                span=disk.spans.get("aio", disk.span),
                fix=Fix(
                    applicability=Applicability.MANUAL,
                    message="remove aio=threads, unless another engine made trouble here",
                ),
            )


def _allows_io_uring(backing: Backing, cache_direct: bool | None) -> bool:  # noqa: FBT001 - as is
    if backing.error or backing.storage_type in _CAREFUL:
        return False
    return backing.io_uring == "yes" or (backing.io_uring == "direct" and cache_direct is True)
