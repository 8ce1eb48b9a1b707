"""PL004."""

from __future__ import annotations

from collections.abc import Iterator

from vmio.lint.diagnostic import Applicability, Diagnostic, Fix, Severity
from vmio.lint.rule import Context
from vmio.lint.rules.libvirt.rule import LibvirtRule, guest_of

__all__ = ["IothreadPinnedWithVcpu"]


class IothreadPinnedWithVcpu(LibvirtRule):
    """Finds IOThreads that are pinned to processors that virtual processors are pinned to.

    ## What it does

    Compares the `cpuset` of each `<iothreadpin>` with those of every `<vcpupin>`. It reports an
    IOThread all of whose processors belong to virtual processors.

    ## Why is this bad

    An IOThread that polls keeps its processor busy, and a virtual processor that computes does so,
    too. On the same one they stop each other: I/O waits for the guest's computing, and the
    guest for its I/O.

    ## Example

    ```
    <domain type="kvm">
      <name>web</name>
      <vcpu>2</vcpu>
      <iothreads>1</iothreads>
      <cputune>
        <vcpupin vcpu="0" cpuset="2"/>
        <vcpupin vcpu="1" cpuset="3"/>
        <iothreadpin iothread="1" cpuset="3"/>
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
      <vcpu>2</vcpu>
      <iothreads>1</iothreads>
      <cputune>
        <vcpupin vcpu="0" cpuset="2"/>
        <vcpupin vcpu="1" cpuset="3"/>
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

    - KubeVirt user guide, "SupplementalPool": processors for IOThreads beside those of the guest
    - libvirt's description of the domain format, `iothreadpin`
    """

    code = "PL004"
    name = "iothread-pinned-with-vcpu"
    severity = Severity.WARNING
    elsewhere = "Only a domain pins single threads to processors."

    def check(self, context: Context) -> Iterator[Diagnostic]:
        """Yields a finding per IOThread."""
        pins = guest_of(context).domain.pins
        taken = frozenset().union(*(pin.processors for pin in pins if pin.kind == "vcpu"))
        for pin in pins:
            if pin.kind != "iothread" or not pin.processors <= taken:
                continue
            sharing = [
                str(other.number)
                for other in pins
                if other.kind == "vcpu" and other.processors & pin.processors
            ]
            yield self.report(
                context,
                f"IOThread {pin.number} has no processor of its own: virtual processor"
                f"{'s' if sharing[1:] else ''} {', '.join(sharing[:8])} run"
                f"{'' if sharing[1:] else 's'} on the same",
                subject=f"iothread{pin.number}",
                span=pin.span,
                fix=Fix(
                    applicability=Applicability.MANUAL,
                    message="pin it to a processor of the same NUMA node that is left",
                ),
            )
