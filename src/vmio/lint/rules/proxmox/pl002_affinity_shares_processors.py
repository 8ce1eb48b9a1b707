"""PL002."""

from __future__ import annotations

from collections.abc import Iterator

from vmio.lint.diagnostic import Applicability, Diagnostic, Fix, Severity
from vmio.lint.processors import count_asked_iothreads
from vmio.lint.rule import Context
from vmio.lint.rules.proxmox.rule import ProxmoxRule, guest_of
from vmio.model.host import parse_processors

__all__ = ["AffinitySharesProcessors"]


class AffinitySharesProcessors(ProxmoxRule):
    """Finds guests whose `affinity` leaves no processor to their IOThreads.

    ## What it does

    Compares the processors that `affinity` names with the guest's virtual processors, where disks
    ask for IOThreads. It reports the guest if there is not at least one more.

    ## Why is this bad

    Proxmox VE's `affinity` applies to the whole process: virtual processors, IOThreads and the
    main loop share the processors that it names. When the guest uses all of them, an IOThread can
    only run instead of a virtual processor, and one that polls does so for longer. A configuration
    does not show how busy the guest is, so this is advice and not a warning.

    ## Example

    ```
    affinity: 0-3
    cores: 4
    virtio0: local-lvm:vm-100-disk-0,iothread=1,size=32G
    ```

    ## Use instead

    ```
    affinity: 0-4
    cores: 4
    virtio0: local-lvm:vm-100-disk-0,iothread=1,size=32G
    ```

    ## Fix safety

    There is no fix to apply: only a person knows which other processors are free.

    ## References

    - qemu-server 9.2.6: `affinity` becomes `taskset --cpu-list --all-tasks` before QEMU
    - KubeVirt user guide, "SupplementalPool": processors for IOThreads beside those of the guest
    """

    code = "PL002"
    name = "affinity-shares-processors"
    severity = Severity.INFO
    elsewhere = "What binds a QEMU to processors, such as taskset, is not read."
    blanks = (("libvirt", "Pins of a domain have rules of their own (PL004, PL005)."),)

    def check(self, context: Context) -> Iterator[Diagnostic]:
        """Yields one finding per guest."""
        vm = context.vm
        if not vm.affinity:
            return
        processors = parse_processors(vm.affinity).bit_count()
        iothreads = count_asked_iothreads(context)
        if not processors or not iothreads or processors > vm.vcpus:
            return
        has_all = len({one.id for one in context.topology.iothreads}) >= iothreads
        asked = "" if has_all else f" that {'are' if iothreads > 1 else 'is'} asked for"
        yield self.report(
            context,
            f"affinity has {processors} of the host's processors for {vm.vcpus} virtual ones and"
            f" {iothreads} IOThread{'s' if iothreads > 1 else ''}{asked}",
            subject="affinity",
            span=guest_of(context).spans.get("affinity"),
            fix=Fix(
                applicability=Applicability.MANUAL,
                message="add a processor for the IOThreads, on the same NUMA node",
            ),
        )
