"""What the families of a command line refuse, warn of, and choose by version."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

import pytest
from attrs import evolve

from vmio.errors import PlanError, UnsupportedError
from vmio.formats.proxmox.argv import CommandLine, build_command, render_command
from vmio.formats.proxmox.reader import Guest, read_guest
from vmio.formats.proxmox.storage import Storage
from vmio.model.host import Cpu, Files, Host, Memory, Pci, PciMapping, Sev, Usb
from vmio.model.source import Source
from vmio.plan.planner import plan_topology

HOST = Host(
    qemu_version="11.0.0",
    node="pve1",
    cpu=Cpu(count=8, phys_bits=46),
    bridges={"vmbr9": 9000},
    memory=Memory(hugepages_mib=(2,), numa_nodes=(0,)),
    pci=Pci(
        functions=("0000:00:02.0", "0000:01:00.0", "0000:01:00.1", "0000:02:00.0"),
        mappings={"nic": PciMapping(functions=("0000:02:00.0",))},
    ),
    usb=Usb(mappings={"stick": "2-3.1"}),
    cpu_models={"plain": {}, "own": {"flags": "-kvm_pv_unhalt", "reported-model": "max"}},
)
STORAGES: Mapping[str, Storage] = {
    "tank": Storage(id="tank", type="zfspool", options={"pool": "tank"}),
    "files": Storage(id="files", type="dir", options={"path": "/files", "content": "images,iso"}),
    "chain": Storage(
        id="chain", type="dir", options={"path": "/chain", "snapshot-as-volume-chain": "1"}
    ),
}


def read(text: str, host: Host = HOST) -> Guest:
    """Reads a config's text."""
    source = Source(name="100.conf", data=text.encode())
    return read_guest(source, storages=STORAGES, host=host)


def build(text: str, host: Host = HOST) -> CommandLine:
    """Reads, plans and prints a config's text."""
    guest = read(text, host)
    return build_command(guest, plan_topology(guest.vm), host)


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
        (f"{NET},mtu=1501", "netdev net0: MTU '1501' is bigger than the bridge MTU '1500'"),
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
            "could not find a free device for 'hostpci0'",
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
        ("cpu: custom-nope", "Custom cputype 'nope' not found"),
        (
            "cpu: plain",
            "Built-in cputype 'plain' is not defined (missing 'custom-' prefix?)",
        ),
        ("amd-sev: std\nbios: ovmf", "Your CPU does not support AMD SEV."),
        ("amd-sev: snp\nbios: ovmf", "Your CPU does not support AMD SEV-SNP."),
        ("hotplug: memory", "numa needs to be enabled for memory hotplug"),
        ("hotplug: memory\nnuma: 1\nmemory: 512", "minimum memory must be 1024MB"),
        (
            "hotplug: memory\nnuma: 1\nmemory: 1600",
            "memory size (1600) must be aligned to 512 for hotplugging",
        ),
        ("hugepages: 2", "numa needs to be enabled to use hugepages"),
        (
            "hugepages: 1024\nnuma: 1\nmemory: 1024",
            "your system doesn't support hugepages of 1024MB",
        ),
        (
            "hugepages: 2\nnuma: 1\nmemory: 1025",
            "Memory size 1025 is not a multiple of the requested hugepages size 2",
        ),
        ("hugepages: 2\nnuma: 1\nsockets: 2", "host NUMA node1 doesn't exist"),
        ("numa: 1\nnuma0: cpus=0", "missing NUMA node0 memory value"),
        (
            "numa: 1\nnuma0: cpus=0,memory=100",
            "total memory for NUMA nodes must be equal to vm static memory",
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
        build("cores: 1", evolve(HOST, qemu_version="5.0.1"))


def test_processors_without_end_are_refused() -> None:
    """Each that can be plugged is a device of the line, whatever the host is said to have."""
    with pytest.raises(PlanError, match=r"no machine of QEMU has 100000000 virtual processors"):
        build(
            "cores: 10000\nsockets: 10000\nhotplug: cpu",
            evolve(HOST, cpu=evolve(HOST.cpu, count=10**9)),
        )


def test_address_bits_of_any_length_are_read_or_left() -> None:
    """A model of the cluster's own may say anything; Python takes no number of 5,000 digits."""
    models = {"own": {"phys-bits": "9" * 5000}}
    text = "cpu: custom-own\nhotplug: memory\nnuma: 1\nmemory: 1024"
    build(text, evolve(HOST, cpu_models=models))


def test_missing_firmware_is_refused() -> None:
    """UEFI needs a file of the host."""
    with pytest.raises(PlanError, match=r"EFI base image '.*//OVMF_CODE\.fd' not found"):
        build("bios: ovmf", evolve(HOST, files=Files(firmware_exists=False)))


def test_sev_needs_uefi() -> None:
    """Encrypted memory goes with the firmware that knows it only."""
    sev = Sev(sev=True, sev_es=True, sev_snp=True, cbitpos=51, reduced_phys_bits=1)
    with pytest.raises(PlanError, match="please change bios to OVMF"):
        build("amd-sev: es", evolve(HOST, cpu=evolve(HOST.cpu, sev=sev)))


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("intel-tdx: type=tdx", "intel-tdx: type=tdx"),
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
            "WARN: netdev net0: ignoring MTU '9000', not using VirtIO or no bridge configured.",
        ),
        (
            "boot: order=usb0\nusb0: spice\nostype: l26",
            "warning: spice usb port set as bootdevice, ignoring",
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


@pytest.mark.parametrize(
    ("text", "key", "reason"),
    [
        ("net0: virtio=00:11,bridge=b", "net0", "does not look like a valid unicast MAC address"),
        ("net0: virtio=01:11:11:11:11:11", "net0", "macaddr: invalid format - value does not"),
        ("boot: order=scsi0;efidisk0", "boot", "order: invalid format - invalid boot device 'efi"),
        ("boot: legacy=x", "boot", "legacy: value does not match the regex pattern"),
        ("net0: bridge=b", "net0", "model: property is missing and it is not optional"),
        ("net0: virtio,mtu=70000", "net0", "mtu: value must have a maximum value of 65520"),
        ("cpu: host,flags=+nx", "cpu", "flags: value does not match the regex pattern"),
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
        ("hotplug: cpu,fan", "hotplug", "value does not match the regex pattern"),
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
        ("machine: q35+pve1", "type=q35+pve0"),
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
            "hpet=off,type=pc-i440fx-11.0+pve0",
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


def test_guest_made_since_6_1_needs_no_hotplug_fix() -> None:
    """Only Linux on a q35 machine without a version, made before 6.1, keeps its old names."""

    def is_fixed(text: str) -> bool:
        return any("acpi-pci-hotplug" in a[-1] for a in build(f"machine: q35\n{text}").argv)

    assert is_fixed("ostype: l26")
    assert is_fixed("ostype: l26\nmeta: creation-qemu=6.0.1")
    assert not is_fixed("ostype: l26\nmeta: creation-qemu=6.1.0")
    assert not is_fixed("ostype: other")


def test_custom_model_without_anything_is_the_default() -> None:
    """A custom model that says nothing is kvm64 with all that Proxmox adds."""
    assert build("cpu: custom-plain").argv == build("cores: 1").argv


def test_flag_that_is_set_already_is_no_warning() -> None:
    """Saying the same twice changes nothing."""
    command = build("cpu: x86-64-v2-AES,flags=+aes")
    assert command.warnings == ()
    assert "+aes" in value_of(command, "-cpu")


def test_mtu_of_1_is_the_bridges() -> None:
    """An MTU of 1 stands for that of the bridge."""
    command = build("net0: virtio=BC:24:11:00:00:01,bridge=vmbr9,mtu=1")
    assert "host_mtu=9000" in value_of(command, "-device", having="virtio-net-pci")


def test_snapshot_runs_on_the_machine_that_it_was_taken_on() -> None:
    """A snapshot's machine and processor are those that were running."""
    text = "cores: 1\n[now]\nrunningmachine: pc-q35-8.1+pve0\nrunningcpu: host,-x\nmachine: pc\n"
    source = Source(name="100.conf", data=text.encode())
    guest = read_guest(source, storages=STORAGES, host=HOST, snapshot="now")
    command = build_command(guest, plan_topology(guest.vm), HOST)
    assert value_of(command, "-machine") == "type=pc-q35-8.1+pve0"
    assert value_of(command, "-cpu") == "host,-x"


@pytest.mark.parametrize(
    ("kept", "shown"),
    [("net0=1400,net1=9000", ",host_mtu=1400"), ("net0=0", ""), ("net1=9000", ",host_mtu=1500")],
)
def test_snapshot_keeps_the_mtu_that_was_told(kept: str, shown: str) -> None:
    """A device is told the MTU that it had, none if it had none, else the bridge's."""
    text = f"cores: 1\n[now]\nrunning-nets-host-mtu: {kept}\n{NET}\n"
    source = Source(name="100.conf", data=text.encode())
    guest = read_guest(source, storages=STORAGES, host=HOST, snapshot="now")
    command = build_command(guest, plan_topology(guest.vm), HOST)
    device = value_of(command, "-device", having="virtio-net-pci")
    assert f",bootindex=300{shown},host_tunnel=off" in device


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
