"""The table of defects. A new one also needs a line in the registry and cases in the tests."""

from __future__ import annotations

from vmio.lint.defects import Defect
from vmio.lint.diagnostic import Severity
from vmio.lint.rules.versions.conditions import (
    find_disks,
    find_shared_throttle_groups,
    find_tpm,
    is_ide_or_sata_with_io_uring,
    is_local_and_migrates,
    is_on_iothread,
    is_on_iothread_with_io_uring,
    is_qcow2_with_discard,
    is_virtio_blk_on_iothread,
    is_virtio_scsi_of_other_system,
    is_virtio_scsi_on_iothread,
    is_writable_sata,
)
from vmio.lint.versions import Versions

_SCSI = """\
scsi0: local-lvm:vm-100-disk-0,discard=on,iothread=1,size=32G,ssd=1
scsihw: virtio-scsi-single
"""
_VIRTIO = "virtio0: local-lvm:vm-100-disk-0,discard=on,iothread=1,size=32G\n"
_SATA = "sata0: local-lvm:vm-100-disk-0,discard=on,size=32G,ssd=1\n"

_LVMTHIN = """\
lvmthin: local-lvm
    thinpool data
    vgname pve
    content images
"""
_NAS = """\
nfs: nas
    path /mnt/pve/nas
    server 192.0.2.1
    export /vm
    content images
"""
_ZFS = """\
zfspool: tank
    pool tank
    content images
"""

VE001 = Defect(
    severity=Severity.ERROR,
    versions=Versions(since="8.1", before="8.2", pve_before="8.1.5-2"),
    find=find_disks(is_on_iothread),
    message=(
        "I/O of {disks} can hang for good after a backup, a mirror or a hotplug: QEMU 8.1"
        " loses the guest's notifications when it drains an IOThread's queues"
    ),
    affected="8.1.5-1",
    unaffected="8.1.5-2",
    config=_SCSI,
    page="""
    Finds disks on IOThreads whose I/O can hang for good after QEMU 8.1 has paused it.

    ## What it does

    Looks for disks that an IOThread serves while the host has QEMU 8.1.

    ## Why is this bad

    Backups, mirrors and hotplugs stop a disk's I/O for a moment (QEMU calls it draining). QEMU 8.1
    can come out of that with the guest's notifications switched off: the guest goes on queueing
    requests and QEMU never looks at them. The guest's disk hangs until the guest is paused and
    resumed, or stopped.

    ## References

    - Changelog of pve-qemu: a first work-around in 8.1.2-5 made IOThreads use too much processor
      time and was taken back in 8.1.2-6; the one of 8.1.5-2 stayed
    - RHEL-3934; forum.proxmox.com threads 137286 and 138140
    """,
)

VE002 = Defect(
    severity=Severity.ERROR,
    versions=Versions(since="8.1", before="8.1.4", pve_before="8.1.2-5"),
    find=find_disks(is_on_iothread),
    message=(
        "resizing {disks} while the guest runs can hang it for good: this QEMU may wait for"
        " itself when it resizes a disk on an IOThread"
    ),
    affected="8.1.2-4",
    unaffected="8.1.5-3",
    config=_SCSI,
    page="""
    Finds disks on IOThreads that hang the guest when they are resized under QEMU 8.1.

    ## What it does

    Looks for disks that an IOThread serves while the host has one of the first releases of QEMU
    8.1.

    ## Why is this bad

    To resize a disk, QEMU takes the lock of the disk's event loop, and these releases can take it
    twice. The main loop then waits for itself: the guest stops and its monitor answers no more.

    ## References

    - Changelog of pve-qemu 8.1.2-5: a potential deadlock of the QMP command that resizes a disk
      which uses an IOThread
    """,
)

VE003 = Defect(
    severity=Severity.ERROR,
    versions=Versions(since="8.1", before="8.2", pve_before="8.1.5-3"),
    find=find_disks(is_virtio_blk_on_iothread),
    message=(
        'pausing the guest, as a backup in mode "suspend" does, can hang it for good: QEMU'
        " 8.1 may deadlock with {disks} on an IOThread"
    ),
    affected="8.1.5-2",
    unaffected="8.1.5-3",
    config=_VIRTIO,
    page="""
    Finds virtio-blk disks on IOThreads that can hang QEMU 8.1 when the guest is paused.

    ## What it does

    Looks for `virtioN` disks that an IOThread serves while the host has QEMU 8.1.

    ## Why is this bad

    Backups in the mode "suspend" pause the guest first. With a virtio-blk disk on an IOThread the
    QMP command `stop` can wait for ever, so the guest stays paused and its monitor answers no
    more.

    ## References

    - Changelog of pve-qemu 8.1.5-3: a potential deadlock of the QMP command `stop` with VirtIO
      block and IO Thread
    - forum.proxmox.com thread 141320
    """,
)

VE004 = Defect(
    severity=Severity.ERROR,
    versions=Versions(since="9.0", pve_before="9.0.0-4", pve_only=True),
    find=find_disks(is_virtio_blk_on_iothread),
    message=(
        "a snapshot without memory can crash the guest: this QEMU fails with"
        " {disks} on an IOThread"
    ),
    affected="9.0.0-3",
    unaffected="9.0.2-4",
    config=_VIRTIO,
    page="""
    Finds virtio-blk disks on IOThreads that crash pve-qemu 9.0.0 after a snapshot.

    ## What it does

    Looks for `virtioN` disks that an IOThread serves while the host has pve-qemu 9.0.0 before
    9.0.0-4.

    ## Why is this bad

    After a snapshot that leaves the guest's memory out, QEMU crashes, and with it the guest.

    ## References

    - Changelog of pve-qemu 9.0.0-4; forum.proxmox.com thread 149883
    """,
)

VE005 = Defect(
    severity=Severity.ERROR,
    versions=Versions(since="10.0", pve_before="10.1.2-1", pve_only=True),
    find=find_disks(is_virtio_scsi_of_other_system, option="file"),
    message=(
        "the guest stops for good when it aborts a request to {disks}, as FreeBSD does with"
        " slow ones: this QEMU deadlocks in virtio-scsi"
    ),
    affected="10.1.0-1",
    unaffected="10.1.2-1",
    config=f"ostype: other\n{_SCSI}",
    blanks=(("qemu", "A command line does not show which system the guest has."),),
    page="""
    Finds virtio-scsi disks of FreeBSD guests that hang QEMU when the guest aborts a request.

    ## What it does

    Looks for disks on a virtio-scsi controller, with an IOThread or without, of guests with
    `ostype: other`, which is what FreeBSD and what is built on it (OPNsense, pfSense, TrueNAS
    CORE) have. Guests whose system is Linux or Windows, or is not said, are left out.

    ## Why is this bad

    A FreeBSD guest aborts a request that takes too long, as on a busy or failing storage. QEMU
    10.0 then takes a lock that it already holds, and the whole guest stops for good.

    ## References

    - bugzilla.proxmox.com bug 6810; forum.proxmox.com threads 171557 and 173914
    - QEMU commit 7d80d6d82d, which mends da6eebb33b of QEMU 10.0: seen with FreeBSD 13, 14 and 15;
      changelog of pve-qemu 10.1.2-1
    """,
)

VE006 = Defect(
    severity=Severity.WARNING,
    versions=Versions(since="10.2", before="10.2.2", pve_before="10.2.1-1"),
    find=find_disks(is_ide_or_sata_with_io_uring, option="aio"),
    message=(
        "requests to {disks} can wait up to half a second each: QEMU 10.2 does not wake its"
        " main loop for io_uring requests of IDE and SATA disks"
    ),
    affected="10.2.0-1",
    unaffected="10.2.1-1",
    config=_SATA,
    storage=_LVMTHIN,
    page="""
    Finds IDE and SATA disks with `aio=io_uring` on QEMU 10.2, whose requests are delayed.

    ## What it does

    Looks for `ideN` and `sataN` disks for which io_uring is the engine in force, written or by
    default, while the host has QEMU 10.2.0 or 10.2.1.

    ## Why is this bad

    In these releases a request that a vCPU's thread hands to io_uring does not wake the main loop,
    so it waits for the next event there, up to half a second. A test that took 1.25 s on a virtio
    disk took 25.8 s on AHCI, and 1.30 s with the fix.

    ## References

    - Two patches by Jens Axboe that pve-qemu carries since 10.2.1-1, with the measurements above
    """,
)

VE007 = Defect(
    severity=Severity.INFO,
    versions=Versions(since="10.2", before="10.2.2", pve_before="10.2.1-2"),
    find=find_disks(is_on_iothread),
    message=(
        "I/O pressure and iowait of this guest mean nothing: QEMU 10.2 makes the idle"
        " IOThreads of {disks} count as waiting for I/O"
    ),
    affected="10.2.1-1",
    unaffected="10.2.1-2",
    config=_SCSI,
    page="""
    Finds IOThreads that make an idle guest look busy under QEMU 10.2.

    ## What it does

    Looks for disks that an IOThread serves while the host has QEMU 10.2.0 or 10.2.1 without
    Proxmox VE's patch.

    ## Why is this bad

    QEMU 10.2 waits for events with io_uring, and Linux counts a thread that waits there as waiting
    for I/O. Every idle IOThread then shows up as I/O pressure and iowait of nearly 100 %. Nothing
    is slower for it, but graphs and alarms mislead, and so may tools that place guests by
    pressure.

    ## References

    - pve-qemu 10.2.1-2, whose patch tells the kernel not to count such waits
    """,
)

VE008 = Defect(
    severity=Severity.ERROR,
    versions=Versions(since="9.0", before="10.2.2", pve_before="10.2.1-1"),
    find=find_shared_throttle_groups,
    message=(
        "I/O of {disks} can lock up for good at its limit: {threads} serve one throttle"
        " group, and this QEMU deadlocks there"
    ),
    affected="10.1.2",
    unaffected="10.1.2",
    config="""\
qemu-system-x86_64 -smp 4 -m 4G \\
 -object iothread,id=a -object iothread,id=b -object throttle-group,id=t,x-iops-total=500 \\
 -blockdev throttle,node-name=d,throttle-group=t,file.driver=host_device,file.filename=/dev/sdb \\
 -device '{"driver":"virtio-blk-pci","id":"v","drive":"d","iothread-vq-mapping":[{"iothread":"a"},{"iothread":"b"}]}'
""",  # noqa: E501 - a property cannot be broken
    config_instead="""\
qemu-system-x86_64 -smp 4 -m 4G \\
 -object iothread,id=a -object throttle-group,id=t,x-iops-total=500 \\
 -blockdev throttle,node-name=d,throttle-group=t,file.driver=host_device,file.filename=/dev/sdb \\
 -device virtio-blk-pci,id=v,drive=d,iothread=a
""",
    blanks=(("proxmox", "Proxmox VE gives each disk a throttle group that one thread serves."),),
    page="""
    Finds throttle groups that several threads share, which can lock up before QEMU 10.2.2.

    ## What it does

    Collects the threads that serve the disks of each throttle group: one disk whose queues are
    spread over IOThreads by `iothread-vq-mapping`, or several disks with a group in common. What
    Proxmox VE itself writes has a group per disk and one thread per group.

    ## Why is this bad

    When a request has to wait for its turn, QEMU 9.0 to 10.2.1 hand two locks over in a way that
    ends in a deadlock as soon as a second thread comes along. All I/O of the group stops for good.
    Random writes at the limit bring it about reliably.

    ## Fix safety

    There is no fix to apply. Until the newer QEMU is there, give each throttle group one thread,
    or limit the guest on the host, by `io.max` of its cgroup.

    ## References

    - gitlab.com/qemu-project/qemu issue 3144, seen with QEMU 9.1 and 10.0
    - qemu-devel, Dmitry Guryanov, 8 December 2025: a patch for the deadlock of limits and several
      IOThreads; pve-qemu carries it since 10.2.1-1
    """,
)

VE009 = Defect(
    severity=Severity.ERROR,
    versions=Versions(since="10.0", pve_before="11.0.0-1", pve_only=True),
    find=find_disks(is_qcow2_with_discard, option="discard"),
    message=(
        "a discard can corrupt the qcow2 image of {disks} when it meets a write to the same"
        " cluster"
    ),
    affected="10.1.2-7",
    unaffected="11.0.0-1",
    config="""\
scsi0: nas:100/vm-100-disk-0.qcow2,discard=on,iothread=1,size=32G,ssd=1
scsihw: virtio-scsi-single
""",
    storage=f"{_NAS}\n{_LVMTHIN}",
    page="""
    Finds qcow2 images that a discard at the wrong moment can corrupt before pve-qemu 11.0.0.

    ## What it does

    Looks for disks with `discard=on` whose image is qcow2 while the host has pve-qemu 10 without
    the fix. Older packages are left out, as nothing is known of them.

    ## Why is this bad

    A discard that meets a write to the same cluster, while that write still copies old data into a
    new cluster, can leave wrong reference counts behind. The image is then inconsistent, and later
    writes may land on each other.

    ## Fix safety

    There is no fix to apply: turning discards off would make the image grow. Install the newer
    QEMU, then stop and start the guest. `qemu-img check` shows whether the
    image of a stopped guest is consistent.

    ## References

    - A patch that pve-qemu carries on top of QEMU 11.0.0 since 11.0.0-1; the patches of 10.2.1-1
      do not have it
    """,
)

VE010 = Defect(
    severity=Severity.ERROR,
    versions=Versions(since="7.1", before="7.1.1", pve_before="7.1.0-1"),
    find=find_disks(is_on_iothread_with_io_uring, option="aio"),
    message="I/O of {disks} can hang: QEMU 7.1.0 loses io_uring requests of IOThreads",
    affected="7.1.0",
    unaffected="7.1.0-4",
    config=_VIRTIO,
    storage=_LVMTHIN,
    page="""
    Finds disks on IOThreads whose io_uring requests QEMU 7.1.0 can lose.

    ## What it does

    Looks for disks that an IOThread serves and for which io_uring is the engine in force, written
    or by default, while the host has QEMU 7.1.0.

    ## Why is this bad

    QEMU 7.1.0 registers the ring with the kernel for one thread and then uses it from another.
    Requests of a disk on an IOThread can fail or never end, and the guest hangs.

    ## References

    - gitlab.com/qemu-project/qemu issue 1193, a regression of 7.1.0
    - Changelog of pve-qemu 7.1.0-1, the first package of that release, which has the fix
    """,
)

VE011 = Defect(
    severity=Severity.WARNING,
    versions=Versions(since="7.0", before="7.1"),
    find=find_disks(is_virtio_scsi_on_iothread),
    message=(
        "the IOThread of {disks} uses a whole processor even when idle: QEMU 7.0 polls the"
        " event queue of a virtio-scsi controller without end"
    ),
    affected="7.0.0-4",
    unaffected="7.1.0-4",
    config=_SCSI,
    page="""
    Finds virtio-scsi controllers on IOThreads that use a whole processor under QEMU 7.0.

    ## What it does

    Looks for disks on a virtio-scsi controller that an IOThread serves while the host has QEMU
    7.0.

    ## Why is this bad

    QEMU 7.0 polls the controller's event queue, on which a guest leaves empty buffers that nobody
    takes. There always seems to be something to do, so the IOThread never sleeps and uses 100 % of
    a processor for an idle guest.

    ## References

    - qemu-devel, Stefan Hajnoczi, 27 April 2022: the series that ends the polling of the event
      queue, in QEMU 7.1
    """,
)

VE012 = Defect(
    severity=Severity.WARNING,
    versions=Versions(since="10.1", pve_before="10.1.2-5", pve_only=True),
    find=find_tpm,
    message=(
        "a backup of the running guest can get stuck on its TPM's volume: QEMU 10.1 may wait"
        " for ever for what it reads there through io_uring"
    ),
    affected="10.1.2-4",
    unaffected="10.1.2-5",
    config="tpmstate0: local-lvm:vm-100-disk-1,size=4M,version=v2.0\n",
    blanks=(("qemu", "A command line does not name the volume of a TPM."),),
    page="""
    Finds guests with a TPM whose backup can get stuck under pve-qemu 10.1.

    ## What it does

    Looks for `tpmstate0` while the host has pve-qemu 10.1 before 10.1.2-5. A TPM whose storage a
    disk of the guest shows to be one that Proxmox VE uses no io_uring on is left out.

    ## Why is this bad

    A backup of a running guest reads the TPM's volume through io_uring, and a mistake in these
    packages' io_uring can make that read wait for ever. The backup does not end, and until
    somebody ends it the guest stays locked.

    ## References

    - Changelog of pve-qemu 10.1.2-5: a fix of io_uring for backups with a TPM disk that get stuck
    """,
)

VE013 = Defect(
    severity=Severity.INFO,
    versions=Versions(since="10.1", pve_before="10.1.2-7", pve_only=True),
    find=find_disks(is_local_and_migrates, option="file"),
    message=(
        "migrating the running guest together with {disks} can crash it: QEMU 10.1 fails an"
        " assertion when a short write of zeroes meets the mirror"
    ),
    affected="10.1.2-6",
    unaffected="10.1.2-7",
    config=_SCSI.replace("local-lvm", "tank"),
    storage=f"{_ZFS}\n{_NAS}",
    blanks=(("qemu", "A command line does not show whether another host can reach a path."),),
    page="""
    Finds local disks that can crash the guest when it is migrated under pve-qemu 10.1.

    ## What it does

    Looks for disks on storage that no other host can reach (ZFS pools, LVM-thin, btrfs) while the
    host has pve-qemu 10.1 without the fix. Storage that can be shared is left out, and so are
    guests that cannot be migrated while they run: those with a PCI or USB device, a port or a bare
    disk of the host.

    ## Why is this bad

    To migrate a running guest with a local disk, QEMU mirrors the disk, and in the end mirrors
    every write at once. A write of zeroes that is shorter than the unit the mirror counts in then
    fails an assertion, and QEMU ends, taking the guest with it.

    ## References

    - bugzilla.proxmox.com bug 7222; forum.proxmox.com thread 177981
    - Changelog of pve-qemu 10.1.2-7; QEMU commit 4a7b1bd18d, which mends one of QEMU 10.1
    """,
)

VE014 = Defect(
    severity=Severity.WARNING,
    versions=Versions(before="4.0.1", pve_only=True),
    find=find_disks(is_on_iothread),
    message=(
        "backups of the running guest fail: pve-qemu before 4.0.1 cannot back up {disks} on"
        " an IOThread"
    ),
    affected="4.0.0-7",
    unaffected="9.2.0-5",
    config=_SCSI,
    page="""
    Finds disks on IOThreads that Proxmox VE 5 could not back up.

    ## What it does

    Looks for disks that an IOThread serves while the host has pve-qemu before 4.0.1, of 2019.

    ## Why is this bad

    Backups of a running guest fail or are refused as soon as one of its disks is on an IOThread.
    It is the origin of the advice to leave IOThreads off for the sake of backups, which has had no
    reason since then.

    ## References

    - Changelog of pve-qemu 4.0.1; bugzilla.proxmox.com bug 1071
    """,
)

VE015 = Defect(
    severity=Severity.ERROR,
    versions=Versions(since="8.0", pve_before="8.0.2-4", pve_only=True),
    find=find_disks(is_on_iothread),
    message=(
        "a snapshot with memory, or a hibernation, may not resume: this QEMU cannot load the"
        " dirty bitmaps that backups leave on {disks}, on an IOThread"
    ),
    affected="8.0.2-3",
    unaffected="8.0.2-7",
    config=_SCSI,
    page="""
    Finds disks on IOThreads with which pve-qemu 8.0.2 cannot resume a guest.

    ## What it does

    Looks for disks that an IOThread serves while the host has pve-qemu 8.0 before 8.0.2-4.

    ## Why is this bad

    A guest that is backed up to a Proxmox Backup Server has dirty bitmaps, and a snapshot with
    memory or a hibernation saves them. These packages cannot load them back when the disk is on an
    IOThread: QEMU fails, and the guest neither resumes nor rolls back.

    ## References

    - Changelog of pve-qemu 8.0.2-4; forum.proxmox.com thread 129899
    """,
)

VE016 = Defect(
    severity=Severity.ERROR,
    versions=Versions(since="8.1", before="8.1.3", pve_since="5.0", pve_before="8.0.2-7"),
    find=find_disks(is_writable_sata, option="file"),
    message=(
        "a reset while {disks} is being written can overwrite its first sector, the partition"
        " table"
    ),
    affected="8.0.2-6",
    unaffected="8.0.2-7",
    config=_SATA,
    page="""
    Finds SATA disks whose first sector a reset at the wrong moment can overwrite.

    ## What it does

    Looks for `sataN` disks, and `ideN` disks of q35 machines, which are on AHCI too, while the
    host has QEMU 8.1.0 to 8.1.2, or pve-qemu from 5.0 on before 8.0.2-7. Other releases before
    8.1.3 may have the defect too and are left out, as distributions mended many of them.

    ## Why is this bad

    When the guest or a user resets a SATA disk while a write of it has begun, QEMU can carry the
    write out without its address and put it on sector 0. The partition table is gone, and the
    guest does not boot.

    ## References

    - Changelog of pve-qemu 8.0.2-7; bugzilla.proxmox.com bug 2874, filed in the days of QEMU 5.0
    - CVE-2023-5088; QEMU commit 7d7512019f, in 8.2.0 and 8.1.3
    """,
)
