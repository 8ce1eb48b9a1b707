"""PL003."""

from __future__ import annotations

from collections.abc import Iterator

from vmio.lint.diagnostic import Applicability, Diagnostic, Fix, Severity
from vmio.lint.processors import count_asked_iothreads, read_nodes
from vmio.lint.rule import Context
from vmio.lint.rules.proxmox.rule import ProxmoxRule, guest_of
from vmio.model.host import parse_processors

__all__ = ["AffinityAcrossNodes"]


class AffinityAcrossNodes(ProxmoxRule):
    """Finds guests that are bound to processors of several NUMA nodes and would fit on one.

    ## What it does

    Compares the processors that `affinity` names with the host's NUMA nodes. It reports the guest
    if they are on more than one node although one of these has enough for the guest's virtual
    processors and IOThreads together. Guests with NUMA nodes of their own are not reported, and
    neither is an `affinity` that names every processor of the host.

    ## Why is this bad

    The guest's memory is on the node where it was touched first. An IOThread or a virtual
    processor on another node reaches it, and often the disk, over the link between the nodes,
    which takes longer for each access. vmio does not know whether the guest's memory fits
    on one node, so this is advice and not a warning.

    ## Example

    ```
    affinity: 6-9
    cores: 3
    virtio0: local-lvm:vm-100-disk-0,iothread=1,size=32G
    ```

    ```host
    [cpu]
    count = 16
    nodes = { "0" = "0-7", "1" = "8-15" }
    ```

    ## Use instead

    ```
    affinity: 4-7
    cores: 3
    virtio0: local-lvm:vm-100-disk-0,iothread=1,size=32G
    ```

    ```host
    [cpu]
    count = 16
    nodes = { "0" = "0-7", "1" = "8-15" }
    ```

    ## Fix safety

    There is no fix to apply: only a person knows which processors other guests use.

    ## References

    - KVM Forum 2020, tuning of virtio-blk for NVMe disks: NUMA comes first
    - qemu-server 9.2.6: `affinity` becomes `taskset --cpu-list --all-tasks` before QEMU
    """

    code = "PL003"
    name = "affinity-across-nodes"
    severity = Severity.INFO
    elsewhere = "What binds a QEMU to processors, such as taskset, is not read."
    blanks = (("libvirt", "Pins of a domain have rules of their own (PL004, PL005)."),)

    def check(self, context: Context) -> Iterator[Diagnostic]:
        """Yields one finding per guest."""
        vm, guest = context.vm, guest_of(context)
        if not vm.affinity or guest.is_on("numa") or "numa0" in guest.settings:
            return
        processors, nodes = parse_processors(vm.affinity), read_nodes(context.host)
        touched = {node: bits for node, bits in nodes.items() if bits & processors}
        threads = vm.vcpus + count_asked_iothreads(context)
        fits = [node for node, bits in touched.items() if bits.bit_count() >= threads]
        is_all = all(bits & processors == bits for bits in nodes.values())
        if len(touched) <= 1 or not fits or is_all:
            return
        yield self.report(
            context,
            f"affinity has processors of NUMA nodes {', '.join(touched)}, though node {fits[0]}"
            " alone has enough",
            subject="affinity",
            span=guest.spans.get("affinity"),
            fix=Fix(
                applicability=Applicability.MANUAL,
                message=f"choose from the processors {context.host.cpu.nodes[fits[0]]}",
            ),
        )
