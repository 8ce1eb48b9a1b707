"""No command line, and no file of options, makes the reader fail in any way but its own."""

from __future__ import annotations

import shlex
from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from vmio.errors import InputError
from vmio.formats.base import ReadContext
from vmio.formats.qemu.readconfig import parse_config_file
from vmio.formats.qemu.reader import read_command_vm
from vmio.formats.registry import lay_out, recognise
from vmio.lint.engine import run
from vmio.lint.rule import Context
from vmio.model.host import Host
from vmio.model.source import Source, Span
from vmio.model.version import parse_version

WORDS = st.sampled_from(
    """
    -device -drive -blockdev -object -global -set -readconfig -machine -M -m -smp -name -hda -cdrom
    -id -nodefaults disk.img virtio-scsi-pci virtio-scsi-pci,id=s,iothread=a virtio-blk-pci,drive=d
    virtio-blk-pci,drive=d,addr=0x5.1,num-queues=2,write-cache=off scsi-hd,drive=d,bus=s.0
    scsi-hd,drive=e,scsi-id=99999999999,lun=0x ide-hd,drive=d,unit=9 ide-cd ahci,id=s lsi nvme
    nvme,drive=d nvme-ns,drive=e,bus=s usb-storage,drive=d scsi-cd,bus=,id=,drive=
    file=a,if=none,id=d,cache=unsafe,aio=native file=b,if=virtio file=c,if=scsi,index=7
    file=json:{"driver":"qcow2","file":{"driver":"file","filename":"x"}},id=d
    file=json:[],if=none file=json:{,if=none,id=e driver=throttle,node-name=d,file=e
    driver=file,filename=/x,node-name=e driver=raw,node-name=d,file=d,backing=d if=none,id=e
    {"driver":"raw","node-name":"e","file":{"driver":"file","filename":[1,{}]}}
    {"driver":"virtio-blk-pci","drive":"e","iothread-vq-mapping":[{"iothread":"a","vqs":[0,"x"]}]}
    throttle-group,id=g,limits.bps-total=1,x-iops-read=x iothread,id=a,poll-max-ns=1 a=b,,c ,,,
    virtio-blk-device.num-queues=2 driver=lsi,property=id,value=x device.s.id=t drive.d.file=q x.y
    ide-drive,drive=d virtio-blk-pcx,drive=d virtio-blk-pci,drive=d,iothreads=a,x.y=1,noscsi -set
    device.s.nosuch=1 virtio-blk-pci.scsi=off {"driver":"virtio-net-pci","iothread":{"a":[1]}}
    q35 pc-i440fx-0.0 cpus=0 sockets=99999,cores=99999,threads=99999 4G 99999999999999T guest=x
    """.split()  # noqa: SIM905 - a list a line each would hide the words
)
LINES = st.lists(WORDS, min_size=1, max_size=14).map(lambda words: shlex.join(("qemu", *words)))
FILES = st.lists(
    st.sampled_from(
        ['[device "s"]', "[object]", '[drive "d"]', "[", 'driver = "lsi"', 'if="none"', "#", "x=1"]
    )
).map("\n".join)


def read(data: bytes, file: str = "") -> None:
    """Reads, plans and checks a command line; every place that it tells of is in it."""
    source = Source(name="x.args", data=data)
    try:
        named = Source(name="x.cfg", data=file.encode(errors="replace"))
        host = Host(qemu_version=parse_version("10.0.2"))
        guest = read_command_vm(source, ReadContext(host=host, read_file=lambda _: named))
    except InputError:
        return
    vm, topology = guest.vm, lay_out(guest)
    assert len({attached.disk.id for attached in topology.disks}) == len(topology.disks)
    for attached in topology.disks:
        assert topology.served_by(attached)
    for option in vm.options:
        for span in (option.span, *option.spans.values()):
            assert span is None or 0 <= span.start <= span.end <= len(data)
    run(Context(guest=guest, topology=topology, host=Host(qemu_version=parse_version("10.0.2"))))


@given(LINES, FILES)
def test_any_command_line_has_a_layout(line: str, file: str) -> None:
    """Whatever options come together, each disk has one name and something that serves it."""
    read(line.encode(), file)


@given(st.binary() | st.text().map(str.encode))
def test_any_bytes_are_a_command_line_or_refused(data: bytes) -> None:
    """Bytes that are no command line end in InputError, and in nothing else."""
    with suppress(InputError):
        recognise(Source(name="x", data=data))
    read(data)
    read(b"qemu -device " + data)


@given(st.text() | FILES)
def test_any_text_is_a_file_of_options(text: str) -> None:
    """Every line of a file of options is a section, a setting, nothing at all, or refused."""
    source = Source(name="x.cfg", data=text.encode(errors="replace"))
    options, refused = parse_config_file(source, Span(start=0, end=0))
    lines = [line for line in text.split("\n") if line.strip() and not line.startswith("#")]
    assert len(options) + len(refused) <= len(lines)
    assert bool(options or refused) == bool(lines)
