"""CF040."""

from __future__ import annotations

from collections.abc import Iterator

from vmio.formats.libvirt.parts import PARTS, find_unknown, list_parts
from vmio.formats.libvirt.versions import NEWEST
from vmio.formats.libvirt.xml import Element, find_attributes
from vmio.lint.diagnostic import Applicability, Diagnostic, Fix, Severity
from vmio.lint.rule import Context
from vmio.lint.rules.libvirt.rule import LibvirtRule, guest_of, name_owner

__all__ = ["DomainPartDropped"]

_SHOWN = 40


class DomainPartDropped(LibvirtRule):
    """Finds attributes and elements of a domain that libvirt does not know and drops.

    ## What it does

    Compares a domain's disks, controllers, IOThreads, pins and throttle groups, and its outermost
    elements, with what libvirt knows. Names in a namespace are left out: they belong to another
    program, and `qemu:commandline` to QEMU.

    ## Why is this bad

    libvirt says nothing: the domain is defined, and the text that it keeps lacks what was written.
    A disk with a misspelt `iothread` runs in the main loop. `virsh define --validate` and
    `virt-xml-validate` refuse such a text.

    ## Example

    ```
    <domain type="kvm">
      <name>web</name>
      <vcpu>2</vcpu>
      <iothreads>1</iothreads>
      <devices>
        <disk type="block">
          <driver name="qemu" type="raw" cache="none" io="native" iotrhead="1"/>
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

    There is no fix to apply: only a person knows what was meant.

    ## References

    - libvirt 11.3.0, run: `define` of such a text succeeds, and `dumpxml --inactive` lacks the
      attribute; its schema lists what it knows
    """

    code = "CF040"
    name = "domain-part-dropped"
    severity = Severity.WARNING
    elsewhere = "Only libvirt drops what it does not know and goes on."

    def check(self, context: Context) -> Iterator[Diagnostic]:
        """Yields a finding per attribute and per element."""
        guest = guest_of(context)
        root = guest.domain.root
        for path, element, way in list_parts(root) if root is not None else ():
            for name, child in find_unknown(path, element):
                close = _find_close(name, path, child)
                if guest.version > NEWEST and not close:
                    continue  # a later libvirt may know it
                kind = "element" if child is not None else "attribute"
                written = f"<{name[:_SHOWN]}>" if child is not None else name[:_SHOWN]
                spans = find_attributes(context.vm.source, element) if child is None else {}
                span = child.span if child is not None else spans.get(name, element.span)
                yield self.report(
                    context,
                    f"libvirt drops {written}{name_owner(way)} without a word: <{element.name}>"
                    f" has no such {kind}",
                    subject=name[:_SHOWN],
                    span=span,
                    fix=Fix(
                        applicability=Applicability.MANUAL,
                        message=f"write {close} if that is meant, or delete it"
                        if close
                        else "delete it",
                    ),
                )


def _find_close(name: str, path: str, child: Element | None) -> str:
    """Returns the known name that is most like another one, as it is written; empty for none."""
    from difflib import get_close_matches  # most domains have no such name

    written = f"<{name}>" if child is not None else name
    known = [each for each in PARTS[path] if each.startswith("<") == (child is not None)]
    return next(iter(get_close_matches(written[:_SHOWN], sorted(known), n=1, cutoff=0.7)), "")
