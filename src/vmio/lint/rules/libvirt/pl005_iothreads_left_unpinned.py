"""PL005."""

from __future__ import annotations

from collections.abc import Iterator

from vmio.lint.devices import runs_in_iothread
from vmio.lint.diagnostic import Applicability, Diagnostic, Fix, Severity
from vmio.lint.rule import Context
from vmio.lint.rules.libvirt.rule import LibvirtRule, guest_of
from vmio.model.iothread import MAIN_LOOP

__all__ = ["IothreadsLeftUnpinned"]


class IothreadsLeftUnpinned(LibvirtRule):
    """Finds IOThreads that may run anywhere although all virtual processors are pinned.

    ## What it does

    Looks for domains each of whose virtual processors has a `<vcpupin>`, and for IOThreads in them
    that serve disks and have neither an `<iothreadpin>` nor a `<vcpu cpuset=…>` to keep to.

    ## Why is this bad

    Whoever pins every virtual processor wants to know what runs where. The scheduler is free to
    put an IOThread on one of their processors, where the two take time from each other.

    ## Example

    ```
    <domain type="kvm">
      <name>web</name>
      <vcpu>1</vcpu>
      <iothreads>1</iothreads>
      <cputune>
        <vcpupin vcpu="0" cpuset="2"/>
      </cputune>
      <devices>
        <disk type="block">
          <driver name="qemu" type="raw" cache="none" io="native" iothread="1"/>
          <source dev="/dev/vg0/web"/>
          <target dev="vda" bus="virtio"/>
        </disk>
      </devices>
    </domain>
    ```

    ## Use instead

    ```
    <domain type="kvm">
      <name>web</name>
      <vcpu>1</vcpu>
      <iothreads>1</iothreads>
      <cputune>
        <vcpupin vcpu="0" cpuset="2"/>
        <iothreadpin iothread="1" cpuset="4"/>
      </cputune>
      <devices>
        <disk type="block">
          <driver name="qemu" type="raw" cache="none" io="native" iothread="1"/>
          <source dev="/dev/vg0/web"/>
          <target dev="vda" bus="virtio"/>
        </disk>
      </devices>
    </domain>
    ```

    ## Fix safety

    There is no fix to apply: only a person knows which other processors are free.

    ## References

    - KubeVirt user guide, "IOThreads with Dedicated CPUs": where virtual processors are pinned,
      IOThreads should be, too
    - libvirt's description of the domain format: what has no pin of its own keeps to the `cpuset`
      of `<vcpu>`
    """

    code = "PL005"
    name = "iothreads-left-unpinned"
    severity = Severity.INFO
    elsewhere = "Only a domain pins single threads to processors."

    def check(self, context: Context) -> Iterator[Diagnostic]:
        """Yields one finding per domain, at the first of its IOThreads."""
        domain, topology = guest_of(context).domain, context.topology
        vcpu = domain.root.find("vcpu") if domain.root is not None else None
        pinned = {(pin.kind, pin.number) for pin in domain.pins}
        all_pinned = all(("vcpu", number) in pinned for number in range(domain.vcpus))
        if not all_pinned or (vcpu is not None and vcpu.get("cpuset") is not None):
            return
        served = {
            thread
            for attached in topology.disks
            if runs_in_iothread(topology, attached)
            for thread in topology.served_by(attached)
        } - {MAIN_LOOP}
        free = [
            thread
            for thread in domain.threads
            if thread.id in served
            and ("iothread", int(thread.id.removeprefix("iothread"))) not in pinned
        ]
        if free:
            numbers = ", ".join(thread.id.removeprefix("iothread") for thread in free)
            yield self.report(
                context,
                f"every virtual processor is pinned, and IOThread{'s' if free[1:] else ''}"
                f" {numbers} may run on the same processors",
                subject="iothreads",
                span=free[0].span,
                fix=Fix(
                    applicability=Applicability.MANUAL,
                    message="write an <iothreadpin> with other processors for each",
                ),
            )
