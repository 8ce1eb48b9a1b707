"""Domains for tests, of few words."""

from __future__ import annotations

from vmio.formats import registry
from vmio.formats.base import Guest, ReadContext
from vmio.formats.libvirt.guest import LibvirtGuest
from vmio.model.host import Host
from vmio.model.source import Source

SCSI = "<controller type='scsi' index='0' model='virtio-scsi'/>"


def write_disk(
    target: str = "vda",
    bus: str = "virtio",
    driver: str = "",
    *,
    inner: str = "",
    listed: str = "",
    source: str = "<source file='/srv/a.raw'/>",
    kind: str = "file",
    device: str = "disk",
    form: str = "raw",
    more: str = "",
    attributes: str = "",
) -> str:
    """Returns the XML of a disk."""
    threads = f"<iothreads>{listed}</iothreads>" if listed else ""
    return (
        f"<disk type='{kind}' device='{device}' {attributes}>"
        f"<driver name='qemu' type='{form}' {driver}>{threads}</driver>{source}"
        f"<target dev='{target}' bus='{bus}' {more}/>{inner}</disk>"
    )


def write_domain(
    devices: str = "", *, top: str = "", system: str = "", machine: str = "q35"
) -> str:
    """Returns the XML of a domain."""
    return (
        f"<domain type='qemu'><name>p</name><memory unit='MiB'>512</memory><vcpu>4</vcpu>{top}"
        f"<os><type arch='x86_64' machine='{machine}'>hvm</type>{system}</os>"
        f"<devices>{devices}</devices></domain>"
    )


def read(text: str, libvirt: str = "") -> LibvirtGuest:
    """Reads a domain."""
    guest: Guest = registry.read(
        Source(name="vm.xml", data=text.encode()),
        ReadContext(host=Host(libvirt_version=libvirt)),
    )
    assert isinstance(guest, LibvirtGuest)
    return guest
