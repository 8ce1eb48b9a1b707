"""What holds for any text that the Proxmox readers are given."""

from __future__ import annotations

import contextlib

from hypothesis import given
from hypothesis import strategies as st

from vmio.errors import InputError, PlanError
from vmio.formats.base import ReadContext
from vmio.formats.proxmox.reader import read_guest
from vmio.formats.proxmox.storage import parse_storages
from vmio.formats.registry import build_command, lay_out
from vmio.formats.shell import render_command
from vmio.model.host import Cpu, Host, Pci, PciMapping, Sev
from vmio.model.source import Source
from vmio.model.version import parse_version

HOST = Host(
    qemu_version=parse_version("11.0.0"),
    cpu=Cpu(count=64, sev=Sev(sev=True, sev_es=True, sev_snp=True)),
    pci=Pci(
        functions=("0000:01:00.0", "0000:01:00.1"),
        mappings={
            "none": PciMapping(),
            "two": PciMapping(functions=("0000:01:00.0", "0000:01:00.1")),
        },
    ),
    cpu_models={"own": {"flags": "+a;-b;", "phys-bits": "x"}},
)

_WORDS = st.sampled_from(
    """
    scsi0 scsi30 scsi31 virtio0 ide2 sata5 scsihw args boot machine cores sockets memory vcpus
    smp [snap] [PENDING] # local:1/a.raw none cdrom /dev/sda iothread=1 media=cdrom cache=none
    size=1G , : = order=scsi0;net0 virtio-scsi-single lsi q35 pc-i440fx-8.1+pve0 0 1 999999999
    mbps=1 serial=%2C - '  -object iothread,id=x
    """.split()  # noqa: SIM905 - a list a line each would hide the words
)
CONFIGS = st.lists(
    st.tuples(st.sampled_from(["scsi0", "virtio0", "ide0", "args", "x1"]), st.lists(_WORDS)).map(
        lambda pair: f"{pair[0]}: {','.join(pair[1])}"
    )
    | st.lists(_WORDS).map(" ".join),
).map(lambda lines: "\n".join(lines).encode())

LINES = tuple(
    f"{key}: {value}"
    for key, values in {
        "agent": "1 0 enabled=1,type=isa",
        "affinity": "0-3 1,5",
        "amd-sev": "std es type=snp,no-debug=1 snp,allow-smt=0",
        "arch": "x86_64 aarch64 riscv64",
        "args": "'",
        "audio0": "device=AC97 device=intel-hda,driver=none",
        "balloon": "0 +0 -1 17",
        "bios": "ovmf seabios x",
        "boot": "order=net0;hostpci0 cdn order= legacy=c",
        "cores": "0 1 -1 3 99999999999999999",
        "cpu": "host kvm64 custom-own custom- x EPYC,hidden=1 max,phys-bits=host x86-64-v3 athlon"
        " cortex-a57 cputype=custom-own max,level=3",
        "efidisk0": "/x,format=raw,efitype=4m a:b /y",
        "hostpci0": "01:00 01:00.1,x-vga=1 mapping=x host=1:2 00:02.0,legacy-igd=1,mdev=x"
        " 01:00.0;01:00.0 mapping=none 01:00,mapping=two mapping=two mapping=two,mdev=0",
        "hostpci15": "01:00.0,pcie=1 mdev=x",
        "hotplug": "1 0 cpu,memory memory cpu;usb cpu",
        "hugepages": "any 2 1024 x 99999999999",
        "ivshmem": "size=1 size=99999999999999999,name=x",
        "machine": "q35 pc,viommu=virtio q35,viommu=intel virt pc-q35-3.1 pc-i440fx-4.1+pve2.pxe"
        " q35,aw-bits=39 q35,viommu=intel,aw-bits=40 pc-i440fx-2.2,enable-s3=0",
        "memory": "16 1024 current=4096 99999999999999999 x",
        "meta": "creation-qemu=9.2.0 creation-qemu=. x",
        "net0": "virtio=00:11:22:33:44:55,bridge=b e1000 model=virtio,queues=64,mtu=1",
        "numa": "1 0",
        "name": "0 a",
        "numa0": "cpus=5-3 cpus=0,memory=0 cpus=0-1,memory=512"
        " cpus=0;3,memory=0.5,hostnodes=9-1;0-999999999,policy=bind",
        "ostype": "l26 win11 win7 w2k solaris l24 x",
        "rng0": "/dev/urandom source=/dev/hwrng,max_bytes=0",
        "scsi20": "/dev/sda a:b,iothread=1",
        "serial0": "socket /dev/x",
        "smbios1": "base64=1,serial=QQ base64=1,serial=QQ== uuid=x",
        "sockets": "0 1 2 -1",
        "startdate": "now 2006-06-17",
        "template": "0 1",
        "usb13": "spice host=1-1 mapping=x usb3=1 host=1:2",
        "vcpus": "0 1 -5 99999999999999999",
        "vga": "qxl4 none serial0 virtio-gl,memory=8 clipboard=vnc std,clipboard=vnc x",
        "virtiofs0": "a dirid=a x=y ab,expose-acl=1",
        "vmstate": "a:b /x none cdrom",
        "watchdog": "ib700 action=reset",
    }.items()
    for value in values.split()
)
GUESTS = st.lists(st.sampled_from(LINES), min_size=1, max_size=12)
"""Configs of plausible settings of every family, in any combination."""


def run(data: bytes) -> None:
    """Reads, plans and prints a config."""
    source = Source(name="100.conf", data=data)
    guest = read_guest(source, ReadContext(storages=None, host=HOST))
    topology = lay_out(guest)
    for attached in topology.disks:
        assert topology.served_by(attached)
    for problem in guest.vm.problems:
        assert 0 <= problem.span.start <= problem.span.end <= len(data)
        source.locate(problem.span)
    with contextlib.suppress(PlanError):
        render_command(build_command(guest, HOST).argv, pretty=True)


@given(st.binary())
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    """No bytes at all make the reader raise anything but InputError."""
    with contextlib.suppress(InputError):
        run(data)


@given(CONFIGS)
def test_any_likely_config_is_read_or_refused(data: bytes) -> None:
    """Nor do texts made of what configs are made of."""
    with contextlib.suppress(InputError):
        run(data)


@given(GUESTS)
def test_any_guest_is_printed_or_refused(lines: list[str]) -> None:
    """Whatever settings come together, there is a line or a reason why there is none."""
    run("\n".join(lines).encode())


@given(st.binary() | st.text().map(str.encode))
def test_any_bytes_are_storages_or_refused(data: bytes) -> None:
    """The same holds for storage.cfg."""
    with contextlib.suppress(InputError):
        parse_storages(Source(name="storage.cfg", data=data))


@given(CONFIGS)
def test_spans_lie_where_the_text_is(data: bytes) -> None:
    """The span of every option, cut out of the source, is that option's text."""
    with contextlib.suppress(InputError):
        guest = read_guest(Source(name="1.conf", data=data), ReadContext(storages=None, host=HOST))
        for disk in guest.vm.disks:
            for name, span in disk.spans.items():
                text = guest.vm.source.read_span(span)
                assert text == disk.volume or name in text or "volume=" in text
