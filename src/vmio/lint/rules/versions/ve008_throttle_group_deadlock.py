"""VE008."""

from __future__ import annotations

from collections.abc import Iterator

from vmio.lint.defects import propose_upgrade
from vmio.lint.diagnostic import Diagnostic, Severity
from vmio.lint.rule import Context, Rule
from vmio.lint.versions import Versions
from vmio.model.topology import AttachedDisk
from vmio.model.vm import Vm

__all__ = ["ThrottleGroupDeadlock"]

_LIMITS = tuple(f"{kind}{way}" for kind in ("mbps", "iops") for way in ("", "_rd", "_wr"))
"""Proxmox's names of the options to point at."""


class ThrottleGroupDeadlock(Rule):
    r"""Finds throttling that several threads go through, which can lock up before QEMU 10.2.2.

    ## What it does

    Collects the threads that serve the disks of each throttle group: one disk whose queues are
    spread over IOThreads by `iothread-vq-mapping`, or several disks with a group in common. What
    Proxmox VE itself writes has a group per disk and one thread per group.

    ## Why is this bad

    When a request has to wait for its turn, QEMU 9.0 to 10.2.1 hand two locks over in a way that
    ends in a deadlock as soon as a second thread comes along. All I/O of the group stops for good.
    Random writes at the limit bring it about reliably.

    ## Example

    ```
    qemu-system-x86_64 -smp 4 -m 4G \
     -object iothread,id=a -object iothread,id=b -object throttle-group,id=t,x-iops-total=500 \
     -blockdev throttle,node-name=d,throttle-group=t,file.driver=host_device,file.filename=/dev/sdb \
     -device '{"driver":"virtio-blk-pci","id":"v","drive":"d","iothread-vq-mapping":[{"iothread":"a"},{"iothread":"b"}]}'
    ```

    ```host
    qemu_version = "10.1.2"
    ```

    ## Use instead

    ```
    qemu-system-x86_64 -smp 4 -m 4G \
     -object iothread,id=a -object throttle-group,id=t,x-iops-total=500 \
     -blockdev throttle,node-name=d,throttle-group=t,file.driver=host_device,file.filename=/dev/sdb \
     -device virtio-blk-pci,id=v,drive=d,iothread=a
    ```

    ```host
    qemu_version = "10.1.2"
    ```

    ## Fix safety

    There is no fix to apply. Until the newer QEMU is there, give each throttle group one thread,
    or limit the guest on the host, by `io.max` of its cgroup.

    ## References

    - gitlab.com/qemu-project/qemu issue 3144, seen with QEMU 9.1 and 10.0
    - qemu-devel, Dmitry Guryanov, 8 December 2025: a patch for the deadlock of limits and several
      IOThreads; pve-qemu carries it since 10.2.1-1
    """  # noqa: E501 - a property cannot be broken

    code = "VE008"
    name = "throttle-group-deadlock"
    severity = Severity.ERROR
    versions = Versions(since="9.0", before="10.2.2", pve_before="10.2.1-1")

    def check(self, context: Context) -> Iterator[Diagnostic]:
        """Yields a finding per group that more than one thread serves."""
        if context.vm.template:
            return
        for disks in _group_disks(context):
            threads = {thread for one in disks for thread in context.topology.served_by(one)}
            if len(threads) < 2:  # noqa: PLR2004 - it takes two
                continue
            first = disks[0].disk
            names = ", ".join(sorted(attached.disk.id for attached in disks))
            yield self.report(
                context,
                f"I/O of {names} can lock up for good at its limit: {', '.join(sorted(threads))}"
                " serve one throttle group, and this QEMU deadlocks there",
                subject=first.id,
                span=next(filter(None, map(first.spans.get, _LIMITS)), first.span),
                fix=propose_upgrade(self.versions, context.host),
            )


def _group_disks(context: Context) -> list[list[AttachedDisk]]:
    """Returns the limited disks, those with a throttle group in common together."""
    drives = _find_groups(context.vm)
    devices = {
        option.id: drives.get(option.properties.get("drive", ""), "")
        for option in context.vm.options
        if option.name == "device" and option.id
    }
    groups: dict[tuple[str, str], list[AttachedDisk]] = {}
    for attached in context.topology.disks:
        disk = attached.disk
        if disk.limits and disk.media == "disk":
            group = devices.get(disk.id)
            key = ("group", group) if group else ("disk", disk.id)
            groups.setdefault(key, []).append(attached)
    return list(groups.values())


def _find_groups(vm: Vm) -> dict[str, str]:
    """Returns the throttle group by node or drive; that of a drive is its own unless it says."""
    groups = {}
    for option in vm.options:
        if option.name == "blockdev" and option.kind == "throttle":
            node = option.properties.get("node-name", "")
            groups[node] = option.properties.get("throttle-group", "")
        elif option.name == "drive":
            groups[option.id] = option.properties.get("throttling.group", option.id)
    return groups
