"""TH009."""

from __future__ import annotations

from collections.abc import Iterator

from vmio.lint.devices import can_have_iothread, runs_in_iothread
from vmio.lint.diagnostic import Applicability, Diagnostic, Fix, Severity
from vmio.lint.rule import Context, Rule
from vmio.lint.words import instruct, name_setting
from vmio.model.disk import Backing
from vmio.model.plan import Change
from vmio.model.topology import AttachedDisk
from vmio.values import replace

__all__ = ["AioThreadsWithIothread"]

_CAREFUL = frozenset({"cifs", "thick-lvm"})
"""Kinds of storage on which Proxmox VE never chooses io_uring."""
_CAREFUL_BUFFERED = frozenset({"krbd", "lvm"})
"""Those on which it does not choose it, or may not, through the host's page cache."""


class AioThreadsWithIothread(Rule):
    """Finds disks on an IOThread that hands their requests to worker threads.

    ## What it does

    Looks for a written `aio=threads` on a disk that an IOThread serves: its own, or that of its
    virtio-scsi controller. It is silent where Proxmox VE itself avoids io_uring: on thick LVM and
    CIFS, and on Ceph's kernel client through the host's page cache. A path does not tell a thick
    logical volume from a thin one, so through the page cache it is silent for both. Nor does it
    report a storage that is not known.

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

    There is no fix to apply: threads are a fair choice for a storage on which another engine
    caused problems, and the configuration does not show the reason. Without the option Proxmox
    VE picks the engine, but QEMU itself uses threads: a command line has to name another engine.

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
            if not can_have_iothread(context.topology, attached):
                continue
            if not _has_better(backing, attached.cache_direct):
                continue
            has_thread = runs_in_iothread(context.topology, attached)
            saves = "its IOThread saves" if has_thread else "an IOThread would save"
            engine = name_setting(context, disk.id, "aio", "threads")
            yield self.report(
                context,
                f"{engine} of {disk.id} hands every request on to a worker thread,"
                f" which costs most of what {saves}",
                subject=disk.id,
                span=disk.spans.get("aio", disk.span),
                fix=Fix(
                    applicability=Applicability.MANUAL,
                    message=f"{_propose(context, attached, backing)}, unless another engine made"
                    " trouble here",
                ),
            )


def _has_better(backing: Backing, cache_direct: bool | None) -> bool:  # noqa: FBT001 - as is
    """Returns whether io_uring or native AIO is known to suit a disk."""
    if backing.error or backing.kind in _CAREFUL:
        return False
    return cache_direct is True or backing.kind not in _CAREFUL_BUFFERED


def _propose(context: Context, attached: AttachedDisk, backing: Backing) -> str:
    default = Change(subject=attached.disk.id, property="aio", old="threads")
    if backing.io_uring != "no":
        return instruct(context, default)
    proposed = instruct(context, replace(default, new="io_uring"))
    if not attached.cache_direct:
        return proposed
    return f"{proposed} or {name_setting(context, attached.disk.id, 'aio', 'native')}"
