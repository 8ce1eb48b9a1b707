"""What the families of a command line refuse, warn of, and choose by version."""

# ruff: noqa: E501 - a table of expectations is read by its columns

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping

import pytest

from vmio.errors import PlanError, UnsupportedError
from vmio.formats.base import CommandLine, ReadContext
from vmio.formats.proxmox.argv import build_command
from vmio.formats.proxmox.reader import ProxmoxGuest, read_guest
from vmio.formats.proxmox.storage import Storage
from vmio.formats.shell import render_command
from vmio.model.host import Cpu, Files, Host, Memory, Pci, PciMapping, Sev, Usb
from vmio.model.source import Source
from vmio.model.version import parse_version
from vmio.values import replace

HOST = Host(
    qemu_version=parse_version("11.0.0"),
    node="pve1",
    cpu=Cpu(count=8, phys_bits=46),
    bridges={"vmbr9": 9000},
    memory=Memory(hugepages_mib=(2,), numa_nodes=(0,)),
    pci=Pci(
        functions=("0000:00:02.0", "0000:01:00.0", "0000:01:00.1", "0000:02:00.0"),
        mappings={
            "nic": PciMapping(functions=("0000:02:00.0",)),
            "pair": PciMapping(functions=("0000:01:00.0", "0000:01:00.1")),
            "none-left": PciMapping(),
        },
    ),
    usb=Usb(mappings={"stick": "2-3.1"}),
    cpu_models={
        "plain": {},
        "own": {"flags": "-kvm_pv_unhalt", "reported-model": "max"},
        "old": {"reported-model": "kvm32", "hidden": False},
    },
)
STORAGES: Mapping[str, Storage] = {
    "tank": Storage(id="tank", type="zfspool", options={"pool": "tank"}),
    "files": Storage(id="files", type="dir", options={"path": "/files", "content": "images,iso"}),
    "chain": Storage(
        id="chain", type="dir", options={"path": "/chain", "snapshot-as-volume-chain": "1"}
    ),
}


def read(text: str, host: Host = HOST) -> ProxmoxGuest:
    """Reads a config's text."""
    source = Source(name="100.conf", data=text.encode())
    return read_guest(source, ReadContext(storages=STORAGES, host=host))


def build(text: str, host: Host = HOST) -> CommandLine:
    """Reads, plans and prints a config's text."""
    guest = read(text, host)
    return build_command(guest, host)


def value_of(command: CommandLine, option: str, *, having: str = "") -> str:
    """Returns the value of the only such option with a text in it."""
    (value,) = (a[1] for a in command.argv if a[0] == option and having in a[1])
    return value


NET = "net0: virtio=BC:24:11:00:00:01,bridge=vmbr0"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "machine: pc-q35-42.9",
            (
                "Installed QEMU version '11.0.0' is too old to run machine type"
                " 'pc-q35-42.9+pve0', please upgrade node 'pve1'"
            ),
        ),
        (
            "machine: pc-q35-9.0+pve77",
            (
                "Installed qemu-server (max feature level for 9.0 is pve0) is too old to run"
                " machine type 'pc-q35-9.0+pve77', please upgrade node 'pve1'"
            ),
        ),
        (
            "machine: pc,viommu=intel",
            "to use Intel vIOMMU please set the machine type to q35",
        ),
        ("machine: q35,aw-bits=39", "cannot set aw-bits if no vIOMMU is configured"),
        ("cores: 3\nsockets: 3", "MAX 8 vcpus allowed per VM on this node"),
        (
            "machine: pc-i440fx-4.1\nscsi14: tank:vm-100-disk-0",
            (
                "scsi14: machine version 4.1~pve2 or higher is required to use more than 14 SCSI"
                " disks"
            ),
        ),
        (f"{NET},mtu=400", "netdev net0: MTU '400' is smaller than the IP minimum MTU '576'"),
        (
            f"{NET},mtu=1501",
            (
                "netdev net0: MTU '1501' is bigger than the bridge MTU '1500' - adjust the MTU for"
                " the network device in the VM configuration, while ensuring that the bridge is"
                " configured as desired."
            ),
        ),
        (
            "usb5: spice\nostype: win7",
            "using usb5 is only possible with machine type >= 7.1 and ostype l26 or windows > 7",
        ),
        ("usb0: mapping=none-such", "USB device mapping not found for 'none-such'"),
        ("hostpci0: 00:02.0,pcie=1", "q35 machine model is not enabled"),
        ("hostpci0: 0a:00", "no PCI device found for '0a:00'"),
        (
            "hostpci0: 01:00\nhostpci1: 01:00.1",
            "device '0000:01:00.1' assigned more than once",
        ),
        ("hostpci0: mapping=gpu", "PCI device mapping not found for 'gpu'"),
        (
            "hostpci3: 02:00.0\nhostpci0: mapping=nic",
            "device '0000:02:00.0' assigned more than once",
        ),
        (
            "hostpci3: mapping=pair\nhostpci7: 01:00.0",
            "device '0000:01:00.0' assigned more than once",
        ),
        (
            "hostpci0: mapping=pair\nhostpci1: mapping=pair\nhostpci2: mapping=pair",
            "could not find a free device for 'hostpci2'",
        ),
        ("hostpci0: 02:00.0;02:00.0", "device '0000:02:00.0' assigned more than once"),
        ("hostpci0: 02:00.0,mapping=nic", "Cannot set both 'host' and 'mapping'."),
        ("hostpci0: pcie=0", "Either 'host' or 'mapping' must be set."),
        ("hostpci0: mapping=none-left", "PCI device mapping not found for 'none-left'"),
        (
            "hostpci0: 01:00,mdev=part",
            "cannot use mediated device with multifunction device",
        ),
        (
            "vga: none\nhostpci0: mapping=pair,legacy-igd=1",
            "legacy IGD assignment is not compatible with alternate devices",
        ),
        (
            "vga: none\nhostpci0: 00:02.0,legacy-igd=1\nhostpci1: 00:02.0,legacy-igd=1",
            "only one device can be assigned in legacy-igd mode",
        ),
        (
            "hostpci0: 00:02.0,legacy-igd=1",
            "legacy IGD assignment requires VGA mode to be 'none'",
        ),
        (
            "vga: none\nhostpci0: 00:02.0,legacy-igd=1,x-vga=1",
            "legacy IGD assignment is not compatible with x-vga",
        ),
        (
            "vga: none\nhostpci0: 02:00.0,legacy-igd=1,rombar=0",
            "legacy IGD assignment requires rombar to be enabled",
        ),
        (
            "vga: none\nmachine: q35\nhostpci0: 00:02.0,legacy-igd=1",
            "legacy IGD assignment is not compatible with q35",
        ),
        (
            "vga: none\nhostpci0: 01:00,legacy-igd=1",
            "legacy IGD assignment is not compatible with multifunction devices",
        ),
        (
            "vga: none\nhostpci0: 01:00.1,legacy-igd=1",
            "legacy IGD assignment only works for devices on host bus 00:02.0",
        ),
        ("vga: serial0,clipboard=vnc", "vga type serial0 is not compatible with VNC clipboard"),
        ("amd-sev: std\nbios: ovmf", "Your CPU does not support AMD SEV."),
        ("amd-sev: snp\nbios: ovmf", "Your CPU does not support AMD SEV."),
        ("hotplug: memory", "NUMA needs to be enabled for memory hotplug"),
        (
            "hotplug: memory\nnuma: 1\nmemory: 600000",
            "Total memory is bigger than 524288MB",
        ),
        (
            "hotplug: memory\nnuma: 1\nmemory: 2048\ncpu: host,phys-bits=31",
            "Total memory is bigger than 512MB",
        ),
        (
            "hotplug: memory\nnuma: 1\nmemory: 1024\nnuma0: cpus=0,memory=1024",
            "cannot enable memory hotplugging with custom NUMA topology",
        ),
        (
            "hotplug: memory\nnuma: 1\nmemory: 1024\nvirtiofs0: share",
            "Memory hotplug does not work in combination with virtio-fs.",
        ),
        (
            "ostype: win10\nvirtiofs3: share,expose-acl=1",
            (
                "Please disable ACLs for virtiofs on Windows VMs, otherwise the virtiofs shared"
                " directory cannot be mounted."
            ),
        ),
        ("hotplug: memory\nnuma: 1\nmemory: 512", "minimum memory must be 1024MB"),
        (
            "hotplug: memory\nnuma: 1\nmemory: 1600",
            "memory size (1600) must be aligned to 512 for hotplugging",
        ),
        ("hugepages: 2", "numa needs to be enabled to use hugepages"),
        (
            "hugepages: 1024\nnuma: 1\nmemory: 1024",
            "your system doesn't support hugepages of 1024 MB",
        ),
        (
            "hugepages: no\nnuma: 1\nmemory: 1024",
            "your system doesn't support hugepages of no MB",
        ),
        (
            "hugepages: any\nnuma: 1\nmemory: 1025",
            "memory size '1025' is not a positive even integer; cannot use for hugepages",
        ),
        ("hugepages: 2\nnuma: 1\nsockets: 2", "host NUMA node1 doesn't exist"),
        ("numa: 1\nnuma0: cpus=0", "missing NUMA node0 memory value"),
        (
            "numa: 1\nnuma0: cpus=0,memory=100",
            "total memory for NUMA nodes must be equal to vm static memory",
        ),
        ("numa: 1\nnuma0: cpus=5-3,memory=512", "invalid range: 5-3 (3 < 5)"),
        ("numa: 1\nnuma0: cpus=0,memory=0,hostnodes=1-0", "invalid range: 1-0 (0 < 1)"),
        (
            "numa: 1\nnuma0: cpus=0,memory=512,hostnodes=0-999999999,policy=bind",
            "host NUMA node1 doesn't exist",
        ),
        (
            "numa: 1\nnuma0: cpus=0,memory=512,hostnodes=0",
            "you need to define a policy for hostnode 0",
        ),
        (
            "numa: 1\nhugepages: 2\nnuma0: cpus=0,memory=512",
            "numa hostnodes need to be defined to use hugepages",
        ),
        ("bios: ovmf\nefidisk0: /dev/vars", "efidisk format must be specified"),
        (
            "machine: q35,viommu=intel,aw-bits=64",
            "Intel vIOMMU supports only 39 or 48 bits as address width",
        ),
        (
            "cpu: cortex-a57",
            "CPU model 'cortex-a57' does not exist for configured vCPU architecture 'x86_64'",
        ),
        (
            "cpu: x86-64-v3\narch: aarch64",
            "CPU model 'x86-64-v3' does not exist for configured vCPU architecture 'aarch64'",
        ),
        (
            "cpu: Icelake-Client\narch: aarch64",
            (
                "CPU model 'Icelake-Server' does not exist for configured vCPU architecture"
                " 'aarch64'"
            ),
        ),
        (
            "cpu: custom-plain\narch: aarch64",
            "CPU model 'kvm64' does not exist for configured vCPU architecture 'aarch64'",
        ),
        (
            "cpu: host\narch: aarch64\nkvm: 1",
            "CPU model 'host' does not exist for configured vCPU architecture 'aarch64'",
        ),
        (
            "bios: ovmf\ncpu: athlon\narch: aarch64",
            "CPU model 'athlon' does not exist for configured vCPU architecture 'aarch64'",
        ),
        (
            "cores: 2\nhotplug: cpu\narch: aarch64",
            "Hotplug of non x86_64 CPU not yet supported",
        ),
        ("bios: ovmf\ncpu: athlon", "OVMF (UEFI) BIOS is not supported on 32-bit CPU types"),
        ("bios: ovmf\ncpu: custom-old", "OVMF (UEFI) BIOS is not supported on 32-bit CPU types"),
        (
            "ide3: files:iso/a.iso",
            "ide3: explicit media parameter is required for iso images",
        ),
        (
            "scsi0: tank:vm-100-disk-0,snapshot=1",
            "'snapshot' option is not yet supported for '-blockdev'",
        ),
        (
            "machine: pc-i440fx-9.2\nscsi0: chain:100/vm-100-disk-0.qcow2",
            (
                "storage for 'chain:100/vm-100-disk-0.qcow2' is configured for snapshots as a"
                " volume chain - this requires QEMU machine version >= 10.0. See"
                " https://pve.proxmox.com/wiki/QEMU_Machine_Version_Upgrade"
            ),
        ),
        ("smbios1: base64=1,serial=abc", "smbios1: 'serial' is not base64: Incorrect padding"),
        ("tpmstate0: nowhere:vm-100-disk-0", "storage 'nowhere' does not exist"),
    ],
)
def test_config_that_proxmox_refuses(text: str, message: str) -> None:
    """What cannot run is refused in Proxmox's words."""
    with pytest.raises(PlanError) as caught:
        build(text)
    assert caught.value.message == message


def test_old_qemu_is_refused() -> None:
    """A QEMU below 6.0 is none that Proxmox would start."""
    with pytest.raises(PlanError, match=r"Detected old QEMU binary \('5\.0\.1', at least 6\.0"):
        build("cores: 1", replace(HOST, qemu_version=parse_version("5.0.1")))


def test_processors_without_end_are_refused() -> None:
    """Each that can be plugged is a device of the line, whatever the host has."""
    with pytest.raises(UnsupportedError, match=r"no more than 4096 sockets and vCPUs"):
        build(
            "cores: 10000\nsockets: 10000\nhotplug: cpu",
            replace(HOST, cpu=replace(HOST.cpu, count=0)),
        )


def test_address_bits_of_any_length_are_read_or_left() -> None:
    """A model of the cluster's own may say anything; Python takes no number of 5,000 digits."""
    models = {"own": {"phys-bits": "9" * 5000}}
    text = "cpu: custom-own\nhotplug: memory\nnuma: 1\nmemory: 1024"
    build(text, replace(HOST, cpu_models=models))


def test_missing_firmware_is_refused() -> None:
    """UEFI needs a file of the host."""
    with pytest.raises(PlanError, match=r"EFI base image '.*//OVMF_CODE\.fd' not found"):
        build("bios: ovmf", replace(HOST, files=Files(firmware_exists=False)))


def test_sev_needs_uefi() -> None:
    """Encrypted memory goes with the firmware that knows it only."""
    sev = Sev(sev=True, sev_es=True, sev_snp=True, cbitpos=51, reduced_phys_bits=1)
    with pytest.raises(PlanError, match="you need to change the BIOS to OVMF"):
        build("amd-sev: es", replace(HOST, cpu=replace(HOST.cpu, sev=sev)))


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("intel-tdx: type=tdx,attestation=1", "intel-tdx: type=tdx,attestation=1"),
        ("arch: riscv64", "arch: riscv64"),
        ("net0: virtio,bridge=vmbr0", "net0 has no MAC address"),
    ],
)
def test_unsupported_setting_is_named(text: str, part: str) -> None:
    """What vmio cannot print is refused by name."""
    with pytest.raises(UnsupportedError) as caught:
        build(text)
    assert part in caught.value.message


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        (
            "cpu: custom-own",
            (
                "warning: CPU flag/setting '-kvm_pv_unhalt' (set by custom CPU model) overwrites"
                " '+kvm_pv_unhalt' (set by PVE; to improve Linux guest spinlock performance)"
            ),
        ),
        ("bios: ovmf", "WARN: no efidisk configured! Using temporary efivars disk."),
        (
            "net0: e1000=BC:24:11:00:00:01,bridge=vmbr0,mtu=9000",
            "WARN: netdev net0: ignoring MTU '9000', not using VirtIO",
        ),
        (
            "net0: e1000=BC:24:11:00:00:01,mtu=9000",
            "WARN: netdev net0: ignoring MTU '9000', no bridge configured",
        ),
        (
            "bios: ovmf\nefidisk0: tank:vm-100-disk-1,efitype=4m\ncpu: kvm64,phys-bits=host",
            (
                "WARN: OVMF firmware might limit CPU 'phys-bits' to 40 - enable the 'pdpe1gb' CPU"
                " flag to avoid this"
            ),
        ),
        (
            "arch: aarch64\ncpu: max,level=5",
            "CPU 'level' property is ignored for architecture 'aarch64'",
        ),
        (
            "boot: order=usb0\nusb0: spice\nostype: l26",
            "warning: spice usb port set as bootdevice, ignoring",
        ),
        (
            "machine: q35,viommu=virtio,aw-bits=40",
            (
                "vIOMMU 'aw-bits' set to 40. Sometimes it is necessary to set the CPU's"
                " 'guest-phys-bits' to the same value."
            ),
        ),
        (
            "vmstate: tank:vm-100-state-x",
            "activating and using 'tank:vm-100-state-x' as vmstate",
        ),
    ],
)
def test_doubtful_setting_is_warned_of(text: str, warning: str) -> None:
    """What Proxmox says on the way is kept, once."""
    assert build(text).warnings == (warning,)


def test_custom_model_of_an_unknown_host_is_refused() -> None:
    """Where no models are known, one may be there: the line stays, and nothing is printed."""
    with pytest.raises(PlanError, match="Custom cputype 'nope' not found"):
        build("cpu: custom-nope", replace(HOST, cpu_models={}))


def test_release_candidate_runs_every_machine() -> None:
    """A QEMU before its release is warned of, and no machine is too new for it."""
    host = replace(HOST, qemu_version=parse_version("10.1.92"))
    command = build("machine: pc-q35-10.2+pve7", host)
    (warning,) = command.warnings
    assert warning == (
        "warning: Installed QEMU version (10.1.92) is a release candidate, ignoring version checks"
    )
    assert value_of(command, "-machine") == "type=pc-q35-10.2+pve0"
    with pytest.raises(PlanError, match="is too old to run machine type"):
        build("machine: pc-q35-10.2", replace(HOST, qemu_version=parse_version("10.1.2")))


@pytest.mark.parametrize(
    ("text", "key", "reason"),
    [
        ("net0: virtio=00:11,bridge=b", "net0", "does not look like a valid unicast MAC address"),
        ("net0: virtio=01:11:11:11:11:11", "net0", "macaddr: invalid format - value does not"),
        ("boot: order=scsi0;efidisk0", "boot", "order: invalid format - invalid boot device 'efi"),
        ("boot: legacy=x", "boot", "legacy: value does not match the regex pattern"),
        ("net0: bridge=b", "net0", "model: property is missing and it is not optional"),
        ("net0: virtio,mtu=70000", "net0", "mtu: value must have a maximum value of 65520"),
        ("vga: std,memory=1", "vga", "memory: value must have a minimum value of 4"),
        ("agent: maybe", "agent", "enabled: type check ('boolean') failed - got 'maybe'"),
        ("usb1: spice,foo=1", "usb1", "foo: property is not defined in schema and the schema"),
        (
            "rng0: source=/dev/random,source=/dev/hwrng",
            "rng0",
            "duplicate key in comma-separated list property: source",
        ),
        (
            "ivshmem: 16",
            "ivshmem",
            "value without key, but schema does not define a default key",
        ),
        (
            "watchdog: =reset",
            "watchdog",
            "missing key in comma-separated list property",
        ),
        ("hotplug: cpu,fan", "hotplug", "- invalid hotplug feature 'fan'"),
        ("numa3: memory=5", "numa3", "cpus: property is missing and it is not optional"),
    ],
)
def test_bad_option_list_is_dropped(text: str, key: str, reason: str) -> None:
    """A list of options with one bad option counts as not written, and the reason is told."""
    guest = read(f"cores: 1\n{text}")
    (problem,) = guest.vm.problems
    assert (problem.kind, problem.subject) == ("bad-value", key)
    assert reason in problem.message
    assert key not in guest.settings


@pytest.mark.parametrize(
    ("text", "machine"),
    [
        ("cores: 1", "type=pc+pve0"),
        ("machine: q35", "type=q35+pve0"),
        ("ostype: win10", "hpet=off,type=pc-i440fx-5.1+pve0"),
        ("ostype: w2k3\nmachine: q35", "type=pc-q35-5.1+pve0"),
        (
            "ostype: win11\nmeta: creation-qemu=9.0.2",
            "hpet=off,type=pc-i440fx-5.1+pve0",
        ),
        (
            "ostype: win11\nmeta: creation-qemu=9.1.0,ctime=1",
            "hpet=off,type=pc-i440fx-9.1+pve0",
        ),
        (
            "ostype: win11\nmeta: creation-qemu=12.0.0",
            "hpet=off,type=pc-i440fx-11.0+pve2",
        ),
        ("ostype: win12\nmachine: pc-q35-9.1", "hpet=off,type=pc-q35-9.1+pve0"),
        ("ostype: win10\nmachine: virt+pve1\narch: aarch64", "accel=tcg,type=virt+pve0"),
        (
            "ostype: win11\nmachine: pc-q35-11.0+pve2\ncpu: EPYC",
            "hpet=off,type=pc-q35-11.0+pve2",
        ),
        (
            "ostype: win10\nmachine: pc-q35-11.0+pve2\ncpu: host",
            "hpet=off,type=pc-q35-11.0+pve0",
        ),
        ("machine: virt-9.2+pve1\narch: aarch64", "accel=tcg,type=virt-9.2+pve0"),
        (
            f"machine: virt-10.0+pve1\narch: aarch64\n{NET}",
            "accel=tcg,type=virt-10.0+pve1",
        ),
        (
            "kvm: 0\nvga: none\nvirtiofs0: share",
            "memory-backend=virtiofs-mem,accel=tcg,smm=off,type=pc+pve0",
        ),
        ("ostype: l26\nmachine: pc-i440fx-10.0", "type=pc-i440fx-10.0+pve0"),
        ("ostype: l26\nmachine: pc-i440fx-10.1.2", "hpet=off,type=pc-i440fx-10.1.2+pve0"),
        (f"machine: pc-i440fx-10.0+pve1\n{NET}", "type=pc-i440fx-10.0+pve1"),
        (f"machine: pc-i440fx-10.0\n{NET}", "type=pc-i440fx-10.0+pve0"),
        ("machine: pc-i440fx-9.2+pve1", "type=pc-i440fx-9.2+pve1"),
        ("machine: pc-i440fx-4.1+pve1\nrng0: /dev/urandom", "type=pc-i440fx-4.1+pve0"),
        (
            "machine: pc-i440fx-4.1+pve2\nscsi20: tank:vm-100-disk-0",
            "type=pc-i440fx-4.1+pve2",
        ),
    ],
)
def test_machine_type_names_what_it_needs(text: str, machine: str) -> None:
    """A type has the version that the guest is held at and the revision that its parts ask for."""
    assert value_of(build(text), "-machine") == machine


@pytest.mark.parametrize(
    ("text", "clock"),
    [
        ("ostype: l26", ()),
        ("ostype: l26\nlocaltime: 1", ("base=localtime",)),
        ("ostype: l26\ntdf: 1", ("driftfix=slew",)),
        ("ostype: wxp", ("driftfix=slew,base=localtime",)),
        ("ostype: win10\ntdf: 0", ("base=localtime",)),
        ("ostype: win10\nacpi: 0", ("base=localtime",)),
        ("ostype: win10\nlocaltime: 0", ("driftfix=slew",)),
        ("ostype: win10\nstartdate: now", ("driftfix=slew,base=localtime",)),
        ("ostype: win10\nstartdate: 2006-06-17", ("driftfix=slew,base=2006-06-17",)),
    ],
)
def test_clock_is_as_the_guest_expects_it(text: str, clock: tuple[str, ...]) -> None:
    """Windows keeps local time and loses ticks; others are asked for what they want."""
    assert tuple(a[1] for a in build(text).argv if a[0] == "-rtc") == clock


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("cores: 1", "VGA"),
        ("ostype: w2k", "cirrus-vga"),
        ("ostype: w2k3", "cirrus-vga"),
        ("ostype: wxp\nmachine: pc-i440fx-10.0", "cirrus-vga"),
        ("ostype: w2k8", "VGA"),
        ("ostype: l26\nmachine: pc-i440fx-2.8", "cirrus-vga"),
        ("ostype: wvista\nmachine: pc-i440fx-2.8", "VGA"),
        ("ostype: wxp\nvga: std", "VGA"),
        ("ostype: wxp\narch: aarch64", "virtio-gpu"),
    ],
)
def test_display_is_one_that_the_guest_has_a_driver_for(text: str, kind: str) -> None:
    """Where none is written, Windows before Vista and machines before 2.9 get a Cirrus."""
    assert value_of(build(text), "-device", having=",id=vga,").startswith(f"{kind},")


@pytest.mark.parametrize(
    ("text", "disabled"),
    [
        ("cores: 1", "s3 s4"),
        ("machine: pc,enable-s3=1", "s4"),
        ("machine: pc-i440fx-9.2", ""),
        ("machine: pc-i440fx-9.2+pve1", "s3 s4"),
        ("machine: pc-i440fx-9.1,enable-s3=0", "s3"),
        ("machine: pc-q35-5.1,enable-s3=1,enable-s4=0", "s4"),
        ("machine: virt-11.0,enable-s3=0\narch: aarch64", ""),
    ],
)
def test_sleep_is_offered_as_the_machine_and_the_config_say(text: str, disabled: str) -> None:
    """Machines before 9.2+pve1 offer both kinds of sleep, unless the config says otherwise."""
    found = [a[1] for a in build(text).argv if a[0] == "-global" and "disable_s" in a[1]]
    assert [name.rpartition("disable_")[2] for name in found] == [
        f"{state}=1" for state in disabled.split()
    ]


@pytest.mark.parametrize(
    ("text", "has_it"),
    [
        ("machine: pc-i440fx-4.1+pve2", True),
        ("machine: pc-i440fx-4.1+pve1", False),
        ("machine: pc-q35-4.0", False),
        ("machine: pc-q35-4.2", True),
    ],
)
def test_random_numbers_are_for_machines_since_4_1(text: str, *, has_it: bool) -> None:
    """A machine before 4.1+pve2 goes without its generator, and its type asks for no more."""
    words = " ".join(word for a in build(f"{text}\nrng0: /dev/urandom").argv for word in a)
    assert ("virtio-rng-pci" in words and "rng-random" in words) is has_it
    assert ("rng" in words) is has_it


def test_sound_is_for_machines_since_4_0() -> None:
    """A machine before 4.0 goes without its sound card."""
    audio = "audio0: device=AC97,driver=none"
    assert "audio" not in str(build(f"machine: pc-i440fx-3.1\n{audio}").argv)
    assert value_of(build(f"machine: pc-i440fx-4.0\n{audio}"), "-audiodev")


@pytest.mark.parametrize(
    ("text", "model"),
    [
        ("cpu: host\nmachine: pc-q35-10.1", "host,+kvm_pv_eoi,+kvm_pv_unhalt,-vmx-mbec"),
        ("cpu: host\nmachine: pc-q35-11.0", "host,+kvm_pv_eoi,+kvm_pv_unhalt"),
        ("cpu: max\nmachine: pc-q35-8.0", "max,enforce,+kvm_pv_eoi,+kvm_pv_unhalt"),
        (
            "cpu: host,flags=+md-clear\nostype: solaris\nmachine: pc-i440fx-6.0",
            "host,+kvm_pv_eoi,+kvm_pv_unhalt,+md-clear,-vmx-mbec,-x2apic",
        ),
        (
            "cpu: host,phys-bits=host,guest-phys-bits=39",
            "host,+kvm_pv_eoi,+kvm_pv_unhalt,guest-phys-bits=39,host-phys-bits=true",
        ),
        ("arch: aarch64", "max"),
        ("arch: aarch64\nkvm: 1\ncpu: cortex-a57,hidden=1", "cortex-a57"),
        ("arch: aarch64\nostype: solaris\ncpu: neoverse-n1", "neoverse-n1,-x2apic"),
        ("arch: aarch64\ncpu: max,level=30", "max"),
        ("cpu: max,level=30", "max,level=30,enforce,+kvm_pv_eoi,+kvm_pv_unhalt"),
    ],
)
def test_model_has_the_features_that_proxmox_adds(text: str, model: str) -> None:
    """What is added depends on the model, the machine, the architecture and the guest."""
    assert value_of(build(text), "-cpu") == model


@pytest.mark.parametrize("text", ["cpu: host,hidden=1", "cores: 1", "ostype: win11"])
def test_arm_host_passes_its_own_model(text: str) -> None:
    """On a host of its architecture an Arm guest has the host's model, with nothing added."""
    assert value_of(build(text, replace(HOST, arch="aarch64")), "-cpu") == "host"


def test_host_model_keeps_its_features_on_an_older_qemu() -> None:
    """A QEMU before 11.0 knows nothing of what is taken from the host's model since."""
    host = replace(HOST, qemu_version=parse_version("10.1.2"))
    assert value_of(build("cpu: host\nmachine: pc-q35-9.0", host), "-cpu").endswith("_unhalt")


@pytest.mark.parametrize(
    ("text", "vendor", "has_it"),
    [
        ("machine: pc-q35-11.0+pve2", "GenuineIntel", True),
        ("machine: pc-q35-11.0+pve2\ncpu: EPYC", "GenuineIntel", True),
        ("machine: pc-q35-11.0+pve2", "AuthenticAMD", False),
        ("machine: pc-q35-11.0+pve1", "GenuineIntel", False),
        ("machine: pc-q35-11.0+pve2\nkvm: 0", "GenuineIntel", False),
    ],
)
def test_windows_11_nests_on_intel(text: str, vendor: str, *, has_it: bool) -> None:
    """Windows 11 on an Intel host gets Hyper-V's way to nest machines, whatever its model."""
    host = replace(HOST, cpu=replace(HOST.cpu, vendor=vendor))
    command = build(f"ostype: win11\n{text}", host)
    assert ("hv_evmcs" in value_of(command, "-cpu")) is has_it
    assert value_of(command, "-machine").endswith("+pve2" if has_it else "+pve0")


@pytest.mark.parametrize(
    ("hidden", "is_hidden"),
    [("", True), (",hidden=0", False), (",hidden=1", True)],
)
def test_passed_card_hides_kvm_unless_told_otherwise(hidden: str, *, is_hidden: bool) -> None:
    """A card's drivers see no KVM, but what the config says of that goes first."""
    command = build(f"cpu: host{hidden}\nhostpci0: 02:00.0,x-vga=1\nostype: win10")
    assert ("kvm=off" in value_of(command, "-cpu")) is is_hidden
    assert "hv_vendor_id=proxmox" in value_of(command, "-cpu")


def test_every_vcpu_is_plugged_even_above_the_cores() -> None:
    """With CPU hotplug each vCPU but the first is a device, those beyond the last socket too."""
    command = build("cores: 2\nvcpus: 3\nhotplug: cpu")
    assert value_of(command, "-smp") == "1,sockets=1,cores=2,maxcpus=2"
    assert [a[1] for a in command.argv if "x86_64-cpu" in a[-1]] == [
        "kvm64-x86_64-cpu,id=cpu2,socket-id=0,core-id=1,thread-id=0",
        "kvm64-x86_64-cpu,id=cpu3,socket-id=1,core-id=0,thread-id=0",
    ]
    old = build("cores: 2\nhotplug: cpu\nmachine: pc-i440fx-2.6")
    assert value_of(old, "-smp") == "2,sockets=1,cores=2,maxcpus=2"


def test_more_vcpus_than_a_machine_has_are_not_printed() -> None:
    """A number alone makes no command of millions of devices."""
    with pytest.raises(UnsupportedError, match="and this config has 999999999"):
        build("vcpus: 999999999\nhotplug: cpu")
    host = replace(HOST, cpu=replace(HOST.cpu, count=0))
    with pytest.raises(UnsupportedError, match="and this config has 1000000000"):
        build("sockets: 1000000000\nnuma: 1", host)


@pytest.mark.parametrize(
    ("text", "sockets"),
    [("smp: 4", 4), ("smp: 4\nsockets: 2", 2), ("smp: 4\nsockets: 0", 4), ("sockets: 0", 1)],
)
def test_sockets_of_0_are_as_good_as_none(text: str, sockets: int) -> None:
    """Without sockets the old setting's number of processors is taken, or one."""
    assert f"sockets={sockets}," in value_of(build(text), "-smp")


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("cpu: host", 4194304),
        ("cpu: host,phys-bits=39", 131072),
        ("cpu: custom-own", 524288),
        ("cpu: kvm64,phys-bits=host", 4194304),
        ("arch: aarch64", 524288),
    ],
)
def test_memory_can_be_plugged_as_far_as_addresses_go(text: str, limit: int) -> None:
    """Only the line's own words say how far addresses go, an odd number of bits one less."""
    command = build(f"hotplug: memory\nnuma: 1\nmemory: 1024\n{text}")
    assert value_of(command, "-m") == f"size=1024,slots=255,maxmem={limit}M"


def test_nodes_of_a_numa_list_are_joined() -> None:
    """Several ranges of the host's nodes are one list, those of the guest's CPUs one part each."""
    host = replace(HOST, memory=Memory(numa_nodes=(0, 1, 2, 3)))
    text = "numa: 1\nmemory: 512\nnuma0: cpus=0;2-3,memory=512.0,hostnodes=1;3,policy=bind"
    command = build(text, host)
    backend = value_of(command, "-object")
    assert backend == "memory-backend-ram,id=ram-node0,size=512.0M,host-nodes=1,3,policy=bind"
    assert value_of(command, "-numa") == "node,nodeid=0,cpus=0,cpus=2-3,memdev=ram-node0"


@pytest.mark.parametrize(
    ("text", "backend"),
    [
        ("cores: 1", "memory-backend-memfd,id=virtiofs-mem,size=M,share=on"),
        ("memory: 768", "memory-backend-memfd,id=virtiofs-mem,size=768M,share=on"),
        ("memory: current=768", "memory-backend-memfd,id=virtiofs-mem,size=current=768M,share=on"),
        ("numa: 1", "memory-backend-memfd,id=virtiofs-mem0,size=512M,share=on"),
        (
            "numa: 1\nhugepages: 2",
            (
                "memory-backend-file,id=virtiofs-mem0,size=512M,"
                "mem-path=/run/hugepages/kvm/2048kB,share=on,prealloc=yes"
            ),
        ),
    ],
)
def test_shared_folders_share_memory(text: str, backend: str) -> None:
    """The guest's memory is shared under a name of its own, its size as it is written."""
    assert value_of(build(f"{text}\nvirtiofs0: home"), "-object") == backend


@pytest.mark.parametrize(
    "text", ["affinity: 0", "args: 0", "name: 0", "serial0: 0", "hugepages: 0", "vmgenid: 0"]
)
def test_setting_of_0_is_as_good_as_none(text: str) -> None:
    """A text that is `0` is false to Perl, so that Proxmox takes the setting for unwritten."""
    assert build(f"{text}\nnuma: 0").argv == build("numa: 0").argv


def test_windows_on_arm_is_told_of_a_timer() -> None:
    """The ticks of a timer are for all Windows since Vista; virt machines have no other flag."""
    command = build("arch: aarch64\nostype: win10\ntpmstate0: tank:vm-100-disk-1")
    assert value_of(command, "-global") == "kvm-pit.lost_tick_policy=discard"
    assert value_of(command, "-machine") == "accel=tcg,type=virt-5.1+pve0"
    assert value_of(command, "-device", having="tpmdev") == "tpm-tis,tpmdev=tpmdev"


def test_medium_of_a_mapping_is_shared() -> None:
    """Two lines may take parts of one device, and a third the device itself."""
    text = "hostpci0: 02:00.0,mdev=a\nhostpci1: mapping=nic,mdev=a\nhostpci2: 02:00.0"
    devices = [a[1] for a in build(text).argv if "vfio-pci" in a[-1]]
    assert ["sysfsdev=" in device for device in devices] == [True, True, False]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hostpci0: 00:02.0,pcie=1\nhostpci1: 00:02.0", "q35 machine model is not enabled"),
        ("cores: 9\nhostpci0: 0a:00", "no PCI device found for '0a:00'"),
        ("cores: 9\ncpu: cortex-a57", "MAX 8 vcpus allowed per VM on this node"),
        ("hugepages: 2\ncpu: cortex-a57", "CPU model 'cortex-a57' does not exist for"),
        (
            f"hugepages: 2\n{NET},mtu=400\nmachine: q35,aw-bits=39",
            "numa needs to be enabled to use hugepages",
        ),
        (
            "vga: serial0,clipboard=vnc\nscsi0: tank:vm-100-disk-0,format=qcow2",
            "vga type serial0 is not compatible with VNC clipboard",
        ),
        (
            f"scsi0: tank:vm-100-disk-0,format=qcow2\n{NET},mtu=400",
            "drive 'scsi0' - volume 'tank:vm-100-disk-0' - 'format=qcow2' option different",
        ),
        (
            "ide0: tank:vm-100-disk-1,snapshot=1\nide1: tank:vm-100-disk-0,format=qcow2",
            "'snapshot' option is not yet supported for '-blockdev'",
        ),
        (f"{NET},mtu=400\nmachine: q35,aw-bits=39", "netdev net0: MTU '400' is smaller than"),
        ("machine: q35,aw-bits=39\namd-sev: std", "cannot set aw-bits if no vIOMMU is"),
        ("hugepages: 2\nscsi0: nowhere:x", "storage 'nowhere' does not exist"),
    ],
)
def test_first_of_several_faults_is_told(text: str, message: str) -> None:
    """Of several faults that one is told which Proxmox comes upon first."""
    with pytest.raises(PlanError) as caught:
        build(text)
    assert caught.value.message.startswith(message)


def test_volume_that_is_not_opened_is_no_fault() -> None:
    """The format of the TPM's state is checked when it is started, not in the command."""
    assert build("tpmstate0: tank:vm-100-disk-1,format=qcow2").warnings == ()


def test_guest_made_since_6_1_needs_no_hotplug_fix() -> None:
    """Only Linux on a q35 machine without a version, made before 6.1, keeps its old names."""

    def is_fixed(text: str) -> bool:
        return any("acpi-pci-hotplug" in a[-1] for a in build(f"machine: q35\n{text}").argv)

    assert is_fixed("ostype: l26")
    assert is_fixed("ostype: l26\nmeta: creation-qemu=6.0.1")
    assert not is_fixed("ostype: l26\nmeta: creation-qemu=6.1.0")
    assert not is_fixed("ostype: other")


@pytest.mark.parametrize(
    ("running", "is_fixed"),
    [("pc-q35-8.1+pve0", True), ("pc-q35-6.1+pve0", True), ("pc-q35-6.0+pve0", False)],
)
def test_snapshot_keeps_the_hotplug_fix_that_it_ran_with(running: str, *, is_fixed: bool) -> None:
    """What counts is that the config gives no version, and which one the snapshot ran on."""
    text = f"cores: 1\n[now]\nmachine: q35\nostype: l26\nrunningmachine: {running}\n"
    source = Source(name="100.conf", data=text.encode())
    guest = read_guest(source, ReadContext(storages=STORAGES, host=HOST, snapshot="now"))
    command = build_command(guest, HOST)
    assert any("acpi-pci-hotplug" in a[-1] for a in command.argv) is is_fixed
    assert value_of(command, "-machine").endswith(f"type={running}")


def test_custom_model_without_anything_is_the_default() -> None:
    """A custom model that says nothing is kvm64 with all that Proxmox adds."""
    assert build("cpu: custom-plain").argv == build("cores: 1").argv


@pytest.mark.parametrize("flags", ["-nested-virt;+vmx", "+vmx;-nested-virt"])
def test_nested_virtualisation_goes_before_the_flag_that_it_stands_for(flags: str) -> None:
    """Of the host's own flag and the word for it the word is taken, wherever it stands."""
    host = replace(HOST, cpu_models={"two": {"reported-model": "Haswell", "flags": flags}})
    assert ",-vmx" in value_of(build("cpu: custom-two", host), "-cpu")


def test_flag_that_is_set_already_is_no_warning() -> None:
    """Saying the same twice changes nothing."""
    command = build("cpu: x86-64-v2-AES,flags=+aes")
    assert command.warnings == ()
    assert "+aes" in value_of(command, "-cpu")


@pytest.mark.parametrize(
    ("machine", "model", "rom"),
    [
        ("pc-i440fx-2.3", "e1000", ",romfile=pxe-e1000.rom"),
        ("pc-i440fx-2.4", "e1000", ""),
        ("pc-i440fx-4.1.pxe", "virtio", ",romfile=pxe-virtio.rom"),
        ("pc-i440fx-4.1.pxe", "ne2k_pci", ""),
    ],
)
def test_old_machines_boot_from_roms_of_their_own(machine: str, model: str, rom: str) -> None:
    """A machine of the old kind keeps its ROM, as far as Proxmox knows the model's."""
    text = f"machine: {machine}\nnet0: {model}=BC:24:11:00:00:01,bridge=vmbr0"
    device = value_of(build(text), "-device", having="netdev=net0")
    assert device.endswith(rom) if rom else "romfile" not in device


@pytest.mark.parametrize(
    ("written", "told"),
    [("+1400", "+1400"), ("01400", "01400"), ("+1", "9000"), ("+1500", "+1500")],
)
def test_mtu_keeps_the_text_that_it_is_written_as(written: str, told: str) -> None:
    """Perl prints a text that it has only compared as a number; 1 is the bridge's own."""
    command = build(f"net0: virtio=BC:24:11:00:00:01,bridge=vmbr9,mtu={written}")
    device = value_of(command, "-device", having="virtio-net-pci")
    assert f",host_mtu={told}," in f"{device},"
    with pytest.raises(PlanError, match=r"MTU '\+9001' is bigger than the bridge MTU '9000'"):
        build("net0: virtio=BC:24:11:00:00:01,bridge=vmbr9,mtu=+9001")
    with pytest.raises(PlanError, match="MTU '0400' is smaller"):
        build("net0: virtio=BC:24:11:00:00:01,bridge=vmbr9,mtu=0400")


def test_mtu_of_1_is_the_bridges() -> None:
    """An MTU of 1 stands for that of the bridge."""
    command = build("net0: virtio=BC:24:11:00:00:01,bridge=vmbr9,mtu=1")
    assert "host_mtu=9000" in value_of(command, "-device", having="virtio-net-pci")


def test_snapshot_runs_on_the_machine_that_it_was_taken_on() -> None:
    """A snapshot's machine and processor are those that were running."""
    text = "cores: 1\n[now]\nrunningmachine: pc-q35-8.1+pve0\nrunningcpu: host,-x\nmachine: pc\n"
    source = Source(name="100.conf", data=text.encode())
    guest = read_guest(source, ReadContext(storages=STORAGES, host=HOST, snapshot="now"))
    command = build_command(guest, HOST)
    assert value_of(command, "-machine") == "type=pc-q35-8.1+pve0"
    assert value_of(command, "-cpu") == "host,-x"


@pytest.mark.parametrize(
    ("kept", "shown"),
    [
        ("net0=1400,net1=9000", ",host_mtu=1400"),
        ("net0=0", ""),
        ("net1=9000", ",host_mtu=1500"),
        ("net0=1", ",host_mtu=1500"),
    ],
)
def test_snapshot_keeps_the_mtu_that_was_told(kept: str, shown: str) -> None:
    """A device is told the MTU that it had, none if it had none, else the bridge's."""
    text = f"cores: 1\n[now]\nrunning-nets-host-mtu: {kept}\n{NET}\n"
    source = Source(name="100.conf", data=text.encode())
    guest = read_guest(source, ReadContext(storages=STORAGES, host=HOST, snapshot="now"))
    command = build_command(guest, HOST)
    device = value_of(command, "-device", having="virtio-net-pci")
    assert f",bootindex=300{shown},host_tunnel=off" in device


def test_snapshot_needs_no_more_than_it_ran_with() -> None:
    """A processor that is kept as it ran asks for no revision of the machine."""
    text = (
        "cores: 1\n[now]\nmachine: pc-q35-11.0+pve2\nostype: win11\nbios: ovmf\ncpu: athlon\n"
        "runningmachine: pc-q35-11.0+pve2\nrunningcpu: host,hv_time\n"
        "efidisk0: tank:vm-100-disk-1,efitype=4m\n"
    )
    source = Source(name="100.conf", data=text.encode())
    guest = read_guest(source, ReadContext(storages=STORAGES, host=HOST, snapshot="now"))
    command = build_command(guest, HOST)
    assert value_of(command, "-cpu") == "host,hv_time"
    assert value_of(command, "-machine").endswith("type=pc-q35-11.0+pve0")


def test_snapshot_on_an_old_machine_is_told_the_mtu_that_it_had() -> None:
    """An MTU that is kept is told even where a machine of that age would not be told it."""
    text = "cores: 1\n[now]\nmachine: pc-i440fx-8.1\nrunning-nets-host-mtu: net0=1500\n" + NET
    source = Source(name="100.conf", data=text.encode())
    guest = read_guest(source, ReadContext(storages=STORAGES, host=HOST, snapshot="now"))
    command = build_command(guest, HOST)
    assert value_of(command, "-device", having="net0").endswith(",host_mtu=1500")


def test_plugged_model_of_the_cluster_is_named_as_proxmox_reads_it() -> None:
    """A cluster's own model is found for a plugged vCPU where the line begins with it."""
    text = "cores: 2\nhotplug: cpu\ncpu: "
    for line, name in (
        ("custom-own", "max"),
        ("custom-own,hidden=1", "max"),
        ("cputype=custom-own", "custom-own"),
        ("cputype=x86-64-v3", "qemu64"),
        ("Icelake-Client", "Icelake-Server"),
    ):
        device = value_of(build(f"{text}{line}"), "-device", having="-x86_64-cpu,")
        assert device.startswith(f"{name}-x86_64-cpu,id=cpu2,")


def test_template_is_looked_at_on_the_host_itself() -> None:
    """What architecture a template's guests have is no matter where its disks are looked at."""
    command = build("template: 1\narch: aarch64\nscsi0: tank:base-100-disk-0")
    assert command.argv == build("template: 1\nscsi0: tank:base-100-disk-0").argv
    assert command.argv[0] == ("/usr/bin/kvm",)


def test_disk_of_firmware_variables_is_ignored_with_encrypted_state() -> None:
    """With SEV-SNP the firmware keeps no variables, and that is said where there is a disk."""
    sev = Sev(sev=True, sev_es=True, sev_snp=True, cbitpos=51, reduced_phys_bits=1)
    host = replace(HOST, cpu=replace(HOST.cpu, sev=sev))
    efidisk = "efidisk0: tank:vm-100-disk-1,efitype=4m"
    command = build(f"amd-sev: snp\nbios: ovmf\n{efidisk}", host)
    assert command.warnings == (
        "WARN: EFI disks are not supported with Confidential Virtual Machines and will be ignored",
    )
    assert not any("efidisk0" in word for argument in command.argv for word in argument)


@pytest.mark.parametrize(
    ("text", "bus"),
    [
        ("cores: 1", "pci.0"),
        ("machine: virt", "pci.0"),
        ("arch: aarch64", "pcie.0"),
        ("arch: aarch64\nmachine: pc-i440fx-9.2+pve1", "pcie.0"),
    ],
)
def test_root_bus_is_named_after_the_architecture(text: str, bus: str) -> None:
    """The root bus has its name from the architecture, whatever the machine."""
    drives = "scsi0: tank:vm-100-disk-0\nvirtio1: tank:vm-100-disk-1"
    command = build(f"{text}\n{drives}")
    for device in ("id=balloon0", "id=scsihw0", "id=virtio1,", "id=pci.1,"):
        assert f",bus={bus}," in value_of(command, "-device", having=device)


def test_arm_has_displays_without_vga() -> None:
    """A display that has VGA on x86 goes without it on Arm."""
    for kind, device in (("virtio", "virtio-gpu"), ("virtio-gl", "virtio-gpu-gl")):
        command = build(f"arch: aarch64\nvga: {kind}")
        assert value_of(command, "-device", having="id=vga").startswith(f"{device},")


@pytest.mark.parametrize(
    ("word", "quoted"),
    [
        ("a-b_c!%+,./:@^9", "a-b_c!%+,./:@^9"),
        ("", "''"),
        ("a=b", "'a=b'"),
        ("it's", r"'it'\''s'"),
        ("'x", r"\''x'"),
        ("a''b", "'a'\"''\"'b'"),
        ("é", "'é'"),
    ],
)
def test_word_is_quoted_for_a_shell(word: str, quoted: str) -> None:
    """A word is bare only if a shell can do nothing to it, and comes back from one as it was."""
    assert render_command((("x", word),)) == f"x {quoted}"
    assert shlex.split(quoted) == [word]


def test_unbalanced_args_add_nothing() -> None:
    """Words that a shell cannot split are left out, and the reader has said so."""
    assert build("args: -foo 'bar").argv == build("cores: 1").argv
    assert [p.subject for p in read("args: -foo 'bar").vm.problems] == ["args"]


SINGLE = "scsihw: virtio-scsi-single"


@pytest.mark.parametrize(
    ("text", "option", "values"),
    [
        (
            "machine: pc-i440fx-9.2\nvirtio0: tank:vm-100-disk-0,iops=+5,mbps=+5,iops_max_length=09,iops_max=1",
            "-drive",
            (
                "file=/dev/zvol/tank/vm-100-disk-0,if=none,id=drive-virtio0,throttling.bps-total=5242880,throttling.iops-total=+5,throttling.iops-total-max=1,throttling.iops-total-max-length=09,format=raw,cache=none,aio=io_uring,detect-zeroes=on",
            ),
        ),
        (
            "machine: pc-i440fx-9.2\ncdrom: none\nide0: none,media=cdrom\nsata0: cdrom\nvirtio0: none,format=qcow2",
            "-drive",
            (
                "if=none,id=drive-ide0,media=cdrom,aio=io_uring",
                "file=none,if=none,id=drive-ide2,format=raw,cache=none,aio=io_uring,detect-zeroes=on",
                "file=none,if=none,id=drive-virtio0,format=qcow2,cache=none,aio=io_uring,detect-zeroes=on",
                "file=cdrom,if=none,id=drive-sata0,format=raw,cache=none,aio=io_uring,detect-zeroes=on",
            ),
        ),
        (
            f"{SINGLE}\nscsi0: tank:vm-100-disk-0,queues=+4",
            "-device",
            (
                "pci-bridge,id=pci.3,chassis_nr=3,bus=pci.0,addr=0x5",
                "virtio-scsi-pci,id=virtioscsi0,bus=pci.3,addr=0x1,num_queues=+4",
                "scsi-hd,bus=virtioscsi0.0,channel=0,scsi-id=0,lun=0,drive=drive-scsi0,id=scsi0,device_id=drive-scsi0,write-cache=on",
            ),
        ),
        (
            f"{SINGLE},x\nscsi3: tank:vm-100-disk-0,queues=4",
            "-device",
            (
                "pci-bridge,id=pci.3,chassis_nr=3,bus=pci.0,addr=0x5",
                "virtio-scsi-pci,id=scsihw0,bus=pci.0,addr=0x5",
                "scsi-hd,bus=scsihw0.0,channel=0,scsi-id=0,lun=3,drive=drive-scsi3,id=scsi3,device_id=drive-scsi3,write-cache=on",
            ),
        ),
        (
            "scsihw: pvscsi2\nscsi8: tank:vm-100-disk-0",
            "-device",
            (
                "pvscsi2,id=scsihw0,bus=pci.0,addr=0x5",
                "scsi-hd,bus=scsihw0.0,channel=0,scsi-id=0,lun=8,drive=drive-scsi8,id=scsi8,device_id=drive-scsi8,write-cache=on",
            ),
        ),
        (
            "scsihw: 0\nscsi8: tank:vm-100-disk-0",
            "-device",
            (
                "0,id=scsihw1,bus=pci.0,addr=0x6",
                "scsi-hd,bus=scsihw1.0,scsi-id=1,drive=drive-scsi8,id=scsi8,device_id=drive-scsi8,write-cache=on",
            ),
        ),
        ("ide2: none", "-device", ("ide-hd,bus=ide.1,unit=0,id=ide2,write-cache=on",)),
    ],
)  # fmt: skip
def test_odd_drive_comes_to_proxmox_words(text: str, option: str, values: tuple[str, ...]) -> None:
    """What QEMU may refuse stands in the command nevertheless, as Proxmox writes it."""
    printed = [argument[1] for argument in build(text).argv if argument[0] == option]
    kept = [value for value in printed if re.search(r"scsi|drive-|ide2|pci\.3", value)]
    assert tuple(kept) == values


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("memory: +512", "+512"),
        ("memory: current=0512", "0512"),
        ("vga: std,memory=+16", "vgamem_mb=+16,"),
        ("vga: qxl,memory=016", "vgamem_mb=016,ram_size_mb=64,vram_size_mb=32,"),
        ("ivshmem: size=+5", "size=+5M"),
        ("rng0: source=/dev/urandom,max_bytes=00,period=+9", "max-bytes=00,period=+9,"),
        (f"{NET},queues=+4", ",queues=+4"),
        (f"{NET},queues=+4", ",vectors=10,mq=on,"),
        (f"{NET},queues=00", ",queues=00"),
    ],
)
def test_number_that_is_not_computed_with_stands_as_it_is_written(text: str, printed: str) -> None:
    """A sign and zeros before a number stay, and `00` is true."""
    assert any(printed in argument[-1] for argument in build(text).argv)


@pytest.mark.parametrize("word", ["none", "cdrom"])
def test_scsi_disk_is_a_volume(word: str) -> None:
    """A SCSI drive that is no cd-rom cannot be empty, nor the host's own."""
    with pytest.raises(PlanError, match=f"unable to parse volume ID '{word}'"):
        build(f"scsi0: {word}")
