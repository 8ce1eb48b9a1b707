"""CF041."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from vmio.formats.libvirt.parts import list_parts
from vmio.formats.libvirt.versions import SINCE, Feature, has_feature
from vmio.formats.libvirt.xml import Element
from vmio.lint.diagnostic import Applicability, Diagnostic, Fix, Severity
from vmio.lint.rule import Context
from vmio.lint.rules.libvirt.rule import LibvirtRule, guest_of, name_owner, name_version

__all__ = ["DomainPartTooNew"]


class _Part(NamedTuple):
    """A part of a domain that not every libvirt knows."""

    feature: Feature
    effect: str
    """What becomes of the guest without it."""


_DISK = "domain/devices/disk"
_ELEMENTS: Mapping[str, _Part] = {
    "domain/devices/controller/driver/iothreads": _Part(
        "scsi-mapping", "the main loop serves its queues"
    ),
    f"{_DISK}/driver/iothreads": _Part("blk-mapping", "the main loop serves its queues"),
    f"{_DISK}/throttlefilters": _Part("throttle-groups", "nothing limits the disk"),
    "domain/iothreadids/iothread/poll": _Part("poll", "the loop polls as QEMU does by default"),
    "domain/throttlegroups": _Part("throttle-groups", "no disk is limited by a group"),
}
_ATTRIBUTES: Mapping[tuple[str, str], _Part] = {
    (f"{_DISK}/driver", "discard_no_unref"): _Part(
        "discard-no-unref", "discards leave holes in the image"
    ),
    (f"{_DISK}/blockio", "discard_granularity"): _Part(
        "granularity", "the guest sees QEMU's default"
    ),
}


class DomainPartTooNew(LibvirtRule):
    """Finds parts of a domain that the host's libvirt is too old for and drops.

    ## What it does

    Compares a domain with the libvirt that reads it: the host's, or `--libvirt-version`. It looks
    for the mapping of queues to IOThreads of a disk (10.0) and of a controller (11.2), `<poll>` of
    an IOThread (9.4), throttle groups (11.2), `discard_no_unref` (9.5) and `discard_granularity`
    (9.1). Where no version is known it finds nothing.

    ## Why is this bad

    An older libvirt does not refuse what it does not know: it drops it without a word. A disk
    whose queues were to be spread over IOThreads runs in the main loop.

    ## Example

    ```host
    libvirt_version = "9.0.0"
    ```

    ```
    <domain type="kvm">
      <name>web</name>
      <vcpu>2</vcpu>
      <iothreads>2</iothreads>
      <devices>
        <disk type="block">
          <driver name="qemu" type="raw" cache="none" io="native">
            <iothreads>
              <iothread id="1"/>
              <iothread id="2"/>
            </iothreads>
          </driver>
          <source dev="/dev/vg0/web"/>
          <target dev="vda" bus="virtio"/>
        </disk>
      </devices>
    </domain>
    ```

    ## Use instead

    ```host
    libvirt_version = "9.0.0"
    ```

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

    There is no fix to apply: upgrade libvirt, or write what the old one knows.

    ## References

    - libvirt 9.0.0 and 11.3.0, run with the same domains
    - libvirt's description of the domain format, which says since when it has each element
    """

    code = "CF041"
    name = "domain-part-too-new"
    severity = Severity.WARNING
    elsewhere = "Only libvirt drops what it does not know and goes on."

    def check(self, context: Context) -> Iterator[Diagnostic]:
        """Yields a finding per part."""
        guest = guest_of(context)
        root = guest.domain.root
        if root is None or all(has_feature(guest.version, feature) for feature in SINCE):
            return
        for path, element, way in list_parts(root):
            part = _ELEMENTS.get(path)
            if part is not None:
                yield from self._explain(context, f"<{element.name}>", way, part)
            for name in element.attributes:
                part = _ATTRIBUTES.get((path, name))
                if part is not None:
                    yield from self._explain(context, name, way, part)

    def _explain(
        self, context: Context, name: str, way: tuple[Element, ...], part: _Part
    ) -> Iterator[Diagnostic]:
        if has_feature(guest_of(context).version, part.feature):
            return
        since = ".".join(map(str, SINCE[part.feature]))
        owner = name_owner(way)
        yield self.report(
            context,
            f"{name_version(context)} drops {name}{owner} without a word, and {part.effect}",
            subject=owner.removeprefix(" of ") or name,
            span=way[-1].span,
            fix=Fix(
                applicability=Applicability.MANUAL,
                message=f"upgrade libvirt to {since} or later, or delete it",
            ),
        )
