"""CA001."""

from __future__ import annotations

from collections.abc import Iterator

from vmio.lint.diagnostic import Diagnostic, Severity
from vmio.lint.rule import Context, Rule
from vmio.lint.words import instruct, name_setting
from vmio.model.disk import Disk
from vmio.model.plan import Change
from vmio.model.topology import AttachedDisk
from vmio.model.vm import Vm

__all__ = ["AioNativeWithoutDirect"]


class AioNativeWithoutDirect(Rule):
    """Finds drives with `aio=native` that do not bypass the host's page cache.

    ## What it does

    Determines whether a drive with `aio=native` is opened with O_DIRECT. `cache=none` and
    `cache=directsync` use it, other modes do not. Without a written mode Proxmox VE uses it too,
    except for cd-roms and on btrfs storage without `nocow`; QEMU itself does not. Network volumes
    that QEMU opens itself (rbd, iscsi) have no AIO engine and are not reported.

    ## Why is this bad

    Linux's native AIO is asynchronous only for direct I/O. QEMU refuses the combination, so the
    guest does not start.

    ## Example

    ```
    scsi0: local-lvm:vm-100-disk-0,aio=native,cache=writeback,size=32G
    scsihw: virtio-scsi-single
    ```

    ## Use instead

    ```
    scsi0: local-lvm:vm-100-disk-0,aio=native,cache=none,size=32G
    scsihw: virtio-scsi-single
    ```

    ## Fix safety

    The fix removes `aio=native` and is safe: the cache mode stays, and Proxmox VE picks the engine
    that the storage allows, io_uring or threads; QEMU itself uses threads. To keep
    native AIO, write `cache=none` instead, which is `cache.direct=on` of a `-blockdev`.

    ## References

    - QEMU 10.0.2 exits with status 1 and `aio=native was specified, but it requires
      cache.direct=on, which was not specified.` for writeback, writethrough, unsafe and a cd-rom,
      not for none and directsync
    - qemu-server 9.2.6, the default of the cache mode
    """

    code = "CA001"
    name = "aio-native-without-direct"
    severity = Severity.ERROR
    blanks = (("libvirt", "The daemon refuses such a domain itself (CF020)."),)

    def check(self, context: Context) -> Iterator[Diagnostic]:
        """Yields a finding per drive that QEMU would refuse."""
        vm = context.vm
        for attached in context.topology.disks:
            disk, backing = attached.disk, attached.disk.backing
            if backing is None or attached.cache_direct is not False:
                continue
            if _find_aio(attached) != "native":
                continue
            span = disk.spans.get("aio")
            change = Change(subject=disk.id, property="aio", old="native")
            direct = name_setting(context, disk.id, "cache", "none")
            yield self.report(
                context,
                f"QEMU refuses to start: aio=native of {disk.id} needs O_DIRECT,"
                f" and {_name_cause(attached, vm)}",
                subject=disk.id,
                span=span or disk.span,
                notes=(f"storage '{backing.storage}' is not known here: files are assumed",)
                if backing.storage and not backing.storage_type
                else (),
                fix=context.make_fix(f"{instruct(context, change)}, or write {direct}", change),
            )


def _find_aio(attached: AttachedDisk) -> str | None:
    """Returns the engine that a file is opened with, whether or not requests use it."""
    return attached.disk.aio if attached.passes_through else attached.aio


def _name_cause(attached: AttachedDisk, vm: Vm) -> str:
    disk = attached.disk
    if "cache=" in _read_cache(disk, vm):
        return f"cache={disk.cache} goes through the host's page cache"
    if disk.media == "cdrom":
        return "a cd-rom goes through the host's page cache unless cache=none is written"
    if disk.backing is not None and disk.backing.storage:
        return "this storage goes through the host's page cache unless cache=none is written"
    return "cache.direct is not on"


def _read_cache(disk: Disk, vm: Vm) -> str:
    span = disk.spans.get("cache")
    return vm.source.read_span(span) if span is not None else ""
