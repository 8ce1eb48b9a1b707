"""No bytes, and no XML, make the reader of domains fail in any way but its own."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vmio.errors import InputError, PlanError
from vmio.formats.base import ReadContext
from vmio.formats.libvirt.doors import build_command, lay_out, read
from vmio.lint.engine import run
from vmio.lint.rule import Context
from vmio.model.host import Host
from vmio.model.source import Source

NAMES = st.sampled_from(
    """
    domain devices disk controller driver iothreads iothread queue source target address alias
    boot backingStore format slices slice host iothreadids poll defaultiothread cputune
    iothreadpin iothreadsched throttlegroups throttlegroup throttlefilters throttlefilter iotune
    blockio hub total_iops_sec group_name serial wwn readonly shareable os type loader nvram
    name vcpu memory
    """.split()  # noqa: SIM905 - a list a line each would hide the words
)
ATTRIBUTES = st.sampled_from(
    """
    type device index model name dev bus id queues iothread iothreads cache io discard
    detect_zeroes file dir protocol port controller unit target slot function domain order
    offset size max min thread_pool_min thread_pool_max cpuset scheduler group socket transport
    namespace ports machine
    """.split()  # noqa: SIM905 - as above
)
VALUES = st.sampled_from(
    """
    file block network dir nvme vhostuser cdrom floppy lun vda vdb sda sdh hda fda sdzzz vda1
    virtio scsi sata ide usb fdc virtio-scsi lsilogic 0 1 2 7 4294967295 18446744073709551615 -1
    0x1f 1.2 none native unmap on off qcow2 raw 0-3,^2 0-999999999 rbd nbd https iscsi pci drive
    hd a/b q35
    """.split()  # noqa: SIM905 - as above
) | st.text(alphabet="ab/<&'\u00e9 %\n", max_size=4)


def escape(text: str) -> str:
    """Returns a text as XML has it in an attribute."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace("'", "&apos;")


def write(name: str, attributes: dict[str, str], inner: list[str]) -> str:
    """Returns an element."""
    words = "".join(f" {key}='{escape(value)}'" for key, value in attributes.items())
    return f"<{name}{words}>{''.join(inner)}</{name}>" if inner else f"<{name}{words}/>"


WORDS = st.dictionaries(ATTRIBUTES, VALUES, max_size=4)
ELEMENTS = st.recursive(
    st.builds(write, NAMES, WORDS, st.lists(VALUES.map(escape), max_size=1)),
    lambda below: st.builds(write, NAMES, WORDS, st.lists(below, max_size=4)),
    max_leaves=12,
)
TARGETS = st.sampled_from(["vda", "vdb", "sda", "sdb", "sdh", "hda", "fda"])
BUSES = st.sampled_from(["virtio", "scsi", "sata", "ide", "usb", "fdc"])


def write_disk(target: str, bus: str, driver: dict[str, str], inner: list[str]) -> str:
    """Returns a disk that is nearly right."""
    parts = (write("driver", driver, []), f"<target dev='{target}' bus='{bus}'/>", *inner)
    return f"<disk><source file='/a'/>{''.join(parts)}</disk>"


DISKS = st.builds(write_disk, TARGETS, BUSES, WORDS, st.lists(ELEMENTS, max_size=3))


def go_through(data: bytes) -> None:
    """Reads a text, lays it out, checks it and prints its command."""
    host = Host()
    try:
        guest = read(Source(name="vm.xml", data=data), ReadContext(host=host))
    except InputError:
        return
    topology = lay_out(guest)
    for problem in guest.vm.problems:
        assert 0 <= problem.span.start <= problem.span.end <= len(data)
    run(Context(guest=guest, topology=topology, host=host))
    try:
        build_command(guest, host)
    except PlanError:
        return


@given(st.binary(max_size=200) | st.binary(max_size=100).map(lambda data: b"<domain>" + data))
def test_any_bytes_are_a_domain_or_an_input_error(data: bytes) -> None:
    """No bytes make anything but a domain or an error that says what is wrong."""
    go_through(data)


@given(st.lists(DISKS | ELEMENTS, max_size=5), st.lists(ELEMENTS, max_size=4))
def test_any_xml_is_a_domain_or_an_input_error(devices: list[str], top: list[str]) -> None:
    """No elements in any order do, and what is read can be laid out, checked and printed."""
    text = f"<domain><name>a</name>{''.join(top)}<devices>{''.join(devices)}</devices></domain>"
    go_through(text.encode())
