"""What libvirt made of a text, compared with what was written."""

from __future__ import annotations

import pytest

from vmio.managers.libvirt.compare import digest_domain, find_losses, hide_passwords
from vmio.model.source import Source

WRITTEN = """
<domain type='kvm'>
  <name>a</name> <!-- mine -->
  <vcpu cpuset='0,1,2'>2</vcpu>
  <devices>
    <disk type='file'><target dev='vdb'/><driver iothread='2'/></disk>
    <disk type='file'><target dev='vda'/><driver iothread='1'/></disk>
    <controller type='scsi' index='0'/>
  </devices>
</domain>
"""
STORED = """<domain type="kvm">
  <name>a</name>
  <vcpu cpuset="0-2">2</vcpu>
  <devices>
    <controller index="0" type="scsi"><address type="pci" bus="0x03"/></controller>
    <controller type="pci" index="1" model="pcie-root-port"/>
    <disk type="file"><driver iothread="1"/><target dev="vda"/></disk>
    <disk type="file"><driver iothread="2"/><target dev="vdb"/></disk>
  </devices>
</domain>
"""


def make_source(text: str) -> Source:
    """Returns a text as libvirt's."""
    return Source(name="libvirt:a", data=text.encode())


def test_same_domain_in_libvirts_form_has_lost_nothing() -> None:
    """Quotes, comments, order, ranges and addresses on PCI are no loss."""
    written, stored = make_source(WRITTEN), make_source(STORED)
    assert find_losses(written, stored) == ""
    assert digest_domain(written) == digest_domain(stored)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (
            'iothread="1"',
            "",
            "domain/devices/disk[vda]/driver/@iothread was '1' and is gone",
        ),
        ('cpuset="0-2"', 'cpuset="0-3"', "domain/vcpu/@cpuset was '7' and is 'f'"),
        ("<name>a", "<name>b", "domain/name was 'a' and is 'b'"),
        (
            "</devices>",
            "<panic/></devices>",
            "domain/devices/panic is new: ''",
        ),
        (
            'index="0" type="scsi"',
            'index="1" type="scsi"',
            "domain/devices/controller[scsi 0] was '' and is gone",
        ),
    ],
)
def test_difference_is_told_with_its_place(old: str, new: str, told: str) -> None:
    """Of a disk, by its target; the digests differ too."""
    assert old in STORED
    stored = make_source(STORED.replace(old, new))
    assert told in find_losses(make_source(WRITTEN), stored)
    assert digest_domain(make_source(WRITTEN)) != digest_domain(stored)


def test_swapped_threads_are_a_difference() -> None:
    """Each disk has its own, whatever the order."""
    swapped = STORED.replace('"1"/><target dev="vda"', '"2"/><target dev="vda"').replace(
        '"2"/><target dev="vdb"', '"1"/><target dev="vdb"'
    )
    assert "disk[vda]" in find_losses(make_source(WRITTEN), make_source(swapped))


def test_many_differences_are_counted() -> None:
    """The message stays one line."""
    bare = make_source("<domain type='kvm'/>")
    told = find_losses(make_source(WRITTEN), bare)
    assert told.endswith("more")
    assert "\n" not in told


def test_passwords_are_not_told() -> None:
    """Neither in what is lost, nor in a text that is printed."""
    text = "<domain><graphics type='vnc' passwd={}/></domain>"
    one, other = make_source(text.format("'se>cret'")), make_source(text.format('"oth\'er"'))
    assert find_losses(one, other) == "domain/graphics/@passwd was '*****' and is '*****'"
    assert hide_passwords(one.data) == text.format("'*****'").encode()
    assert hide_passwords(other.data) == text.format("'*****'").encode()
