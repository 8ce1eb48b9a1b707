"""libvirt's refusals, in its words. Source: libvirt 11.3.0, run with each of these domains."""

from __future__ import annotations

import pytest

from tests.unit.formats.libvirt.domains import SCSI, read, write_disk, write_domain
from vmio.errors import PlanError
from vmio.formats.registry import build_command
from vmio.model.host import Host

TWO = "<iothreads>2</iothreads>"


def thread(number: int, *queues: int) -> str:
    """Returns an entry of a mapping."""
    inner = "".join(f"<queue id='{queue}'/>" for queue in queues)
    return f"<iothread id='{number}'>{inner}</iothread>"


def write_controller(driver: str = "", listed: str = "", model: str = "virtio-scsi") -> str:
    """Returns a SCSI controller with a disk on it."""
    threads = f"<iothreads>{listed}</iothreads>" if listed else ""
    return (
        f"<controller type='scsi' index='0' model='{model}'>"
        f"<driver {driver}>{threads}</driver></controller>" + write_disk("sda", "scsi")
    )


def place(controller: int, bus: int, target: int, unit: int) -> str:
    """Returns an address on a controller."""
    return (
        f"<address type='drive' controller='{controller}' bus='{bus}' target='{target}'"
        f" unit='{unit}'/>"
    )


LUKS2 = "<encryption format='luks2'><secret type='passphrase' usage='x'/></encryption>"
INVALID = "Invalid value for attribute"
REFUSED: dict[str, str] = {
    # Threads of disks.
    write_domain(write_disk(driver="iothread='1'", listed=thread(1)), top=TWO): (
        "disk driver 'iothread' attribute can't be used together with 'iothreads' subelement"
    ),
    write_domain(write_disk(listed=thread(9)), top=TWO): (
        "iothread '9' not defined in iothreadid"
    ),
    write_domain(write_disk(listed=thread(1) * 2), top=TWO): (
        "duplicate mapping for iothread '1'"
    ),
    write_domain(write_disk(listed=thread(1, 0)), top=TWO): (
        "'queue' count must be configured for explicit iothread to queue mapping"
    ),
    write_domain(write_disk(driver="queues='2'", listed=thread(1) + thread(2, 0)), top=TWO): (
        "iothread to queue mapping must be provided for all iothreads or for none"
    ),
    write_domain(
        write_disk(driver="queues='2'", listed=thread(1, 0, 1) + thread(2, 2)), top=TWO
    ): ("iothread queue '2' mapping out of range"),
    write_domain(write_disk(driver="queues='2'", listed=thread(1, 0) + thread(2, 0)), top=TWO): (
        "iothread queue '0' is already assigned"
    ),
    write_domain(write_disk(driver="queues='3'", listed=thread(1, 0) + thread(2, 2)), top=TWO): (
        "missing iothread mapping for queue '1'"
    ),
    write_domain(write_disk("sda", "usb", "iothread='1'"), top=TWO): (
        "IOThreads not available for bus usb target sda"
    ),
    write_domain(SCSI + write_disk("sda", "scsi", listed=thread(1)), top=TWO): (
        "IOThreads not available for bus scsi target sda"
    ),
    write_domain(write_disk(driver="iothread='0'"), top=TWO): (
        f"{INVALID} 'iothread' in element 'driver': Zero is not permitted"
    ),
    write_domain(write_disk(driver="iothread='one'"), top=TWO): (
        f"{INVALID} 'iothread' in element 'driver': 'one'. Expected non-negative integer value"
    ),
    write_domain(write_disk(driver="iothread='1'")): "Disk iothread '1' not defined in iothreadid",
    # Controllers.
    write_domain(write_controller("iothread='7'"), top=TWO): (
        "controller iothread '7' not defined in iothreadid"
    ),
    write_domain(write_controller("iothread='1'", thread(1)), top=TWO): (
        "controller driver 'iothread' attribute can't be used together with 'iothreads' subelement"
    ),
    write_domain(write_controller("", thread(1), "lsilogic"), top=TWO): (
        "iothreads are supported only by 'virtio-scsi' controllers"
    ),
    write_domain(write_controller("iothread='1'", model="auto"), top=TWO): (
        "'iothread' attribute only supported for virtio scsi controllers"
    ),
    write_domain(write_controller("queues='2'", model="lsilogic")): (
        "'queues' is only supported by virtio-scsi controller"
    ),
    write_domain(write_controller(model="nonsense")): "Unknown model type 'nonsense'",
    write_domain(write_controller(model="buslogic")): "Unsupported controller model: buslogic",
    write_domain(SCSI + SCSI): "Multiple 'scsi' controllers with index '0'",
    write_domain("<controller type='ide' index='0'/>"): (
        "IDE controllers are unsupported for this QEMU binary or machine type"
    ),
    # The threads themselves.
    write_domain(top="<iothreads>many</iothreads>"): "invalid iothreads count 'many'",
    write_domain(top="<iothreadids><iothread id='1'/><iothread id='1'/></iothreadids>"): (
        "duplicate iothread id '1' found"
    ),
    write_domain(top="<iothreadids><iothread/></iothreadids>"): (
        "Missing required attribute 'id' in element 'iothread'"
    ),
    write_domain(top="<iothreadids><iothread id='1' thread_pool_max='0'/></iothreadids>"): (
        "thread_pool_max must be a positive integer"
    ),
    write_domain(top="<defaultiothread thread_pool_min='9'/>"): (
        "thread_pool_min must be smaller or equal to thread_pool_max"
    ),
    write_domain(top="<iothreadids><iothread id='1'><poll max='x'/></iothread></iothreadids>"): (
        f"{INVALID} 'max' in element 'poll': 'x'. Expected non-negative integer value"
    ),
    write_domain(top=TWO + "<cputune><iothreadpin iothread='4' cpuset='0'/></cputune>"): (
        "Cannot find 'iothread' : 4"
    ),
    write_domain(top=TWO + "<cputune><iothreadpin iothread='1'/></cputune>"): (
        "missing cpuset for iothreadpin"
    ),
    write_domain(top=TWO + "<cputune><iothreadpin iothread='1' cpuset='x'/></cputune>"): (
        "Failed to parse bitmap 'x'"
    ),
    write_domain(
        top=TWO + "<cputune><iothreadsched iothreads='1-4' scheduler='batch'/></cputune>"
    ): "Cannot find 'iothread' : 3",
    write_domain(top=TWO + "<cputune><iothreadsched iothreads='1' scheduler='rr'/></cputune>"): (
        "Missing required attribute 'priority' in element 'iothreadsched'"
    ),
    write_domain(top="<cputune><iothread_period>10</iothread_period></cputune>"): (
        "Value of cputune 'iothread_period' must be in range [1000, 1000000]"
    ),
    # What a disk is.
    write_domain(
        write_disk(driver="cache='full'")
    ): f"{INVALID} 'cache' in element 'driver': 'full'.",
    write_domain(write_disk(driver="io='uring'")): f"{INVALID} 'io' in element 'driver': 'uring'.",
    write_domain(write_disk(bus="isa")): f"{INVALID} 'bus' in element 'target': 'isa'.",
    write_domain(write_disk(kind="http")): f"{INVALID} 'type' in element 'disk': 'http'.",
    write_domain(write_disk(form="vhdx")): "unknown driver format value 'vhdx'",
    write_domain(write_disk(form="iso")): (
        "storage format 'iso' is not directly supported by QEMU, use 'raw' instead"
    ),
    write_domain("<disk type='file'><source file='/a'/></disk>"): (
        "missing target information for device /a"
    ),
    write_domain(write_disk("cdrom")): "Unknown disk name 'cdrom' and no address specified",
    write_domain(write_disk("vda1")): (
        "invalid disk target 'vda1', partitions can't appear in disk targets"
    ),
    write_domain(write_disk(source="")): "missing source information for device vda",
    write_domain(
        write_disk(device="cdrom")
    ): "disk type of 'vda' does not support ejectable media",
    write_domain(write_disk("sda", "sata", device="floppy")): (
        "Invalid bus type 'sata' for floppy disk"
    ),
    write_domain(write_disk("hda", "ide")): (
        "IDE controllers are unsupported for this QEMU binary or machine type"
    ),
    write_domain(write_disk("sda", "scsi", device="lun")): (
        "disk device='lun' is only valid for block type disk source"
    ),
    write_domain(write_disk(inner="<wwn>5000c500a1b2c3d4</wwn>")): (
        "Only ide and scsi disk support wwn"
    ),
    write_domain(write_disk("sda", "scsi", inner="<wwn>5000</wwn>")): "Malformed wwn: 5000",
    write_domain(write_disk(inner="<serial>a:b</serial>")): (
        "driver serial 'a:b' contains unsafe characters"
    ),
    write_domain(write_disk("sda", "scsi", inner="<vendor>too long a</vendor>")): (
        "disk vendor is more than 8 characters"
    ),
    write_domain(write_disk("sda", "sata", "queues='2'")): (
        "queues attribute in disk driver element is only supported for virtio bus"
    ),
    write_domain(write_disk("sda", "sata", "event_idx='on'")): (
        "disk event_idx mode supported only for virtio bus"
    ),
    write_domain(write_disk("sda", "sata", "packed='on'")): (
        "packed driver option is only supported for virtio devices"
    ),
    write_domain(write_disk(more="rotation_rate='1'")): (
        "rotation rate is only valid for SCSI/IDE/SATA bus"
    ),
    write_domain(write_disk(driver="io='native'")): (
        "io='native' needs either no disk cache or directsync cache mode"
    ),
    write_domain(write_disk(driver="copy_on_read='on'", inner="<readonly/>")): (
        "copy_on_read is not compatible with read-only disk 'vda'"
    ),
    write_domain(write_disk(form="qcow2", inner="<shareable/>")): (
        "shared access for disk 'vda' requires use of supported storage format"
    ),
    write_domain(write_disk("sda", "sata", inner="<readonly/>")): (
        "readonly sata disks are not supported"
    ),
    write_domain(write_disk(driver="rerror_policy='enospace'")): (
        "Invalid disk read error policy: 'enospace'"
    ),
    write_domain(
        write_disk(
            form="qcow2", inner="<backingStore type='file'><source file='/b'/></backingStore>"
        )
    ): "missing disk backing store format",
    # Places, names and boot.
    write_domain(write_disk() + write_disk()): (
        "target 'vda' duplicated for disk sources '/srv/a.raw' and '/srv/a.raw'"
    ),
    write_domain(
        SCSI + write_disk("sda", "scsi", inner=place(0, 0, 0, 1)) + write_disk("sdb", "scsi")
    ): (
        "Found duplicate drive address for disk with target name 'sda' controller='0' bus='0'"
        " target='0' unit='1'"
    ),
    write_domain(SCSI + write_disk("sda", "scsi", inner=place(0, 1, 0, 1))): (
        "SCSI controller only supports 1 bus"
    ),
    write_domain(write_disk("sda", "scsi", inner=place(0, 0, 1, 1))): (
        "target must be 0 for controller model 'lsilogic'"
    ),
    write_domain(write_disk("sda", "sata", inner=place(0, 0, 1, 1))): (
        "target must be 0 for sata controller"
    ),
    write_domain(write_disk("sda", "usb", inner="<address type='usb' bus='0' port='99'/>")): (
        "requested USB port 99 not present on USB bus 0"
    ),
    write_domain(
        "".join(
            write_disk(name, "usb", inner="<address type='usb' bus='0' port='2'/>")
            for name in ("sda", "sdb")
        )
    ): "Duplicate USB address bus 0 port 2",
    write_domain(write_disk("sda", "usb", source="", device="cdrom")): (
        "'usb' disk must not be empty"
    ),
    write_domain(write_disk(source=f"<source file='/a'>{LUKS2}</source>")): (
        "'luks2' is currently not supported by the qemu encryption engine"
    ),
    write_domain("<controller type='usb' model='none'/>" + write_disk("sda", "usb")): (
        "USB is disabled for this domain, but USB devices are present in the domain XML"
    ),
    write_domain(write_disk(inner="<boot order='1'/>"), system="<boot dev='hd'/>"): (
        "per-device boot elements cannot be used together with os/boot elements"
    ),
    write_domain(
        write_disk(inner="<boot order='1'/>") + write_disk("vdb", inner="<boot order='1'/>")
    ): "boot order '1' used for more than one device",
    write_domain(
        write_disk(inner="<alias name='ua-x'/>") + write_disk("vdb", inner="<alias name='ua-x'/>")
    ): "non unique alias detected: ua-x",
    # Limits and servers.
    write_domain(
        write_disk(inner="<throttlefilters><throttlefilter group='x'/></throttlefilters>")
    ): ("throttle group 'x' not found"),
    write_domain(top="<throttlegroups><throttlegroup/></throttlegroups>"): "missing group name",
    write_domain(
        write_disk(
            inner="<iotune><total_iops_sec>1</total_iops_sec>"
            "<read_iops_sec>1</read_iops_sec></iotune>"
        )
    ): "total and read/write iops_sec cannot be set at the same time",
    write_domain(
        write_disk(
            kind="network",
            source="<source protocol='rbd' name='image'><host name='h'/></source>",
        )
    ): "can't split path 'image' into pool name and image name",
    write_domain(write_disk(kind="network", source="<source protocol='nbd' name='x'/>")): (
        "nbd protocol accepts only one host"
    ),
    write_domain(write_disk(kind="network", source="<source name='x'/>")): (
        "Missing required attribute 'protocol' in element 'source'"
    ),
}


@pytest.mark.parametrize(("text", "message"), REFUSED.items(), ids=range(len(REFUSED)))
def test_domain_is_refused_in_libvirts_words(text: str, message: str) -> None:
    """What libvirt refuses has no command line, and its message is the reason."""
    with pytest.raises(PlanError) as caught:
        build_command(read(text), Host())
    assert caught.value.message.endswith(f": {message}")


def test_refusals_are_problems_at_their_place() -> None:
    """A domain that is refused is read all the same, and each fault is told where it stands."""
    text = write_domain(
        write_disk(driver="iothread='5' cache='full'") + write_disk("sda", "sata", "ats='on'")
    )
    guest = read(text)
    assert [disk.id for disk in guest.vm.disks] == ["vda", "sda"]
    assert [problem.subject for problem in guest.vm.problems] == ["vda", "vda", "sda"]
    for problem in guest.vm.problems:
        assert problem.kind == "refused-option"
        written = guest.vm.source.read_span(problem.span)
        assert written.startswith(("<disk", "<driver", "iothread='5'"))
