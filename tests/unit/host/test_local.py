"""What is read of a host, from folders that stand for its `/`."""

from __future__ import annotations

import json
import platform
from pathlib import Path

import pytest

from vmio.formats.host_toml import parse_host, render_host
from vmio.host.local import identify_host, read_cpu_model, read_local_host
from vmio.model.host import Host, Kernel, Memory, PciMapping, Sev
from vmio.model.source import Source

NODE = platform.node().partition(".")[0]
CPUINFO = """\
processor\t: 0
vendor_id\t: AuthenticAMD
flags\t\t: fpu svm aes
address sizes\t: 48 bits physical, 48 bits virtual

"""
PCI_CFG = f"""\
# made by hand
gpu
\tdescription two of them
\tmap id=10de:2231,iommugroup=7,node={NODE},path=0000:01:00.0;0000:01:00.1
\tmap id=10de:2231,iommugroup=8,node={NODE},path=0000:02:00.0
\tmap id=10de:2231,node=elsewhere,path=0000:09:00.0
\tmdev 1

far
\tmap id=8086:1520,node=elsewhere,path=0000:07:00.0
"""
CPU_MODELS = """\
cpu-model: plain

cpu-model: mine
    flags +aes;+avx
    phys-bits 40
    reported-model athlon
"""
TCP = "  sl  local_address rem_address   st\n   0: 0100007F:EE48 00000000:0000 0A 0\n"


def write(root: Path, files: dict[str, str]) -> None:
    """Makes files with their folders."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


@pytest.fixture
def node(tmp_path: Path) -> Path:
    """Returns the root of what looks like a Proxmox VE node."""
    write(
        tmp_path,
        {
            "proc/cpuinfo": CPUINFO,
            "proc/net/tcp": TCP,
            "dev/vhost-net": "",
            "dev/kvm": "",
            "dev/cdrom1": "",
            "etc/iscsi/initiatorname.iscsi": "# made once\nInitiatorName=iqn.1993-08.org:01:a\n",
            "etc/pve/ceph.conf": "[global]\n\t fsid = fc4181a6-56eb-4f68-b452-8ba1f381ca2a\n",
            "etc/pve/mapping/pci.cfg": PCI_CFG,
            "etc/pve/mapping/usb.cfg": (
                f"stick\n\tmap id=1234:5678,node={NODE}\n\n"
                f"port\n\tmap id=1234:5678,node={NODE},path=1-2\n"
            ),
            "etc/pve/virtual-guest/cpu-models.conf": CPU_MODELS,
            "run/qemu-server/host-hw-capabilities.json": json.dumps(
                {"amd-sev": {"cbitpos": 51, "reduced-phys-bits": 6, "sev-support": True}}
            ),
            "sys/class/net/vmbr0/bridge/bridge_id": "8000",
            "sys/class/net/vmbr0/mtu": "9000\n",
            "sys/class/net/vxlan/bridge/bridge_id": "8000",
            "sys/class/net/vxlan/mtu": "1450\n",
            "sys/class/net/eth0/mtu": "1500\n",
            "sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages": "0",
            "sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages": "0",
            "sys/kernel/mm/hugepages/hugepages-64kB/nr_hugepages": "0",
            "sys/devices/system/node/node0/cpulist": "0-1",
            "sys/devices/system/node/node1/cpulist": "2-3",
            "sys/devices/system/node/has_cpu": "0-1",
            "sys/bus/pci/devices/0000:00:1f.2/class": "0x010601",
            "sys/bus/pci/devices/10000:e0:06.0/class": "0x060400",
            "usr/share/qemu-server/bootsplash.jpg": "",
        },
    )
    return tmp_path


def test_node_is_read(node: Path) -> None:
    """Every fact that a command line depends on is found where a node keeps it."""
    host = read_local_host(node)
    assert (host.node, host.arch) == (NODE, platform.machine())
    assert (host.kvm, host.vhost_net, host.cdrom) == (True, True, "/dev/cdrom1")
    assert host.iscsi_initiator == "iqn.1993-08.org:01:a"
    assert host.ceph == {"fsid": "fc4181a6-56eb-4f68-b452-8ba1f381ca2a"}
    assert (host.cpu.vendor, host.cpu.phys_bits) == ("AuthenticAMD", 48)
    assert host.cpu.flags == ("fpu", "svm", "aes")
    assert host.cpu.sev == Sev(sev=True, cbitpos=51, reduced_phys_bits=6)
    assert host.bridges == {"vmbr0": 9000, "vxlan": 1450}
    assert host.memory == Memory(hugepages_mib=(2, 1024), numa_nodes=(0, 1))
    assert host.pci.functions == ("0000:00:1f.2", "10000:e0:06.0")
    assert host.cpu_models == {
        "plain": {},
        "mine": {"flags": "+aes;+avx", "phys-bits": 40, "reported-model": "athlon"},
    }


def test_mappings_are_those_of_this_node(node: Path) -> None:
    """A name stands for what the cluster says of this node, and for nothing on another."""
    host = read_local_host(node)
    assert host.pci.mappings == {
        "gpu": PciMapping(
            functions=("0000:01:00.0;0000:01:00.1", "0000:02:00.0"),
            mdev=True,
            id="10de:2231",
            iommu_group=7,
        )
    }
    assert host.usb.mappings == {"stick": "1234:5678", "port": "1-2"}


def test_spice_port_is_the_first_free_one(node: Path) -> None:
    """A port that somebody listens on is passed over, a connection from it is not."""
    assert read_local_host(node, ports=True).spice_port == 61001
    assert read_local_host(node).spice_port == 61000
    write(node, {"proc/net/tcp": TCP.replace(" 0A ", " 01 ")})
    assert read_local_host(node, ports=True).spice_port == 61000


def test_firmware_is_missed_only_beside_proxmox(node: Path) -> None:
    """Where Proxmox is not installed, its firmware is no question."""
    assert not read_local_host(node).files.firmware_exists
    (node / "usr/share/pve-edk2-firmware").mkdir()
    assert read_local_host(node).files.firmware_exists


def test_empty_root_gives_what_a_host_has_by_default(tmp_path: Path) -> None:
    """A host without /sys, /proc and /etc is read without a complaint."""
    host = read_local_host(tmp_path)
    assert (host.kvm, host.vhost_net, host.cpu.vendor, host.cpu.phys_bits) == (
        False,
        False,
        "",
        40,
    )
    assert (host.bridges, host.pci.functions, host.memory) == ({}, (), Memory())
    assert host.files.firmware_exists


@pytest.mark.parametrize(
    "text", ["", "[]", '{"amd-sev": 1}', '{"amd-sev":{"cbitpos":[]}}', "[" * 9999]
)
def test_odd_capabilities_are_no_sev(node: Path, text: str) -> None:
    """What does not look as Proxmox writes it says nothing."""
    write(node, {"run/qemu-server/host-hw-capabilities.json": text})
    assert read_local_host(node).cpu.sev == Sev()


def test_junk_is_passed_over(node: Path) -> None:
    """Bytes that make no sense in any of the files are no crash."""
    for path in [path for path in node.rglob("*") if path.is_file()]:
        path.write_bytes(b"\xff\xfe: ,=;\n\t\x80map node\n" * 3)
    host = read_local_host(node)
    assert host.bridges == {}
    assert host.cpu.flags == ()


@pytest.mark.parametrize("root", [None, "node"])
def test_host_that_was_read_is_written_and_read_again(
    root: str | None, request: pytest.FixtureRequest
) -> None:
    """A description holds everything: of a node, and of the host that the tests run on."""
    folder = Path("/") if root is None else request.getfixturevalue(root)
    host = read_local_host(folder)
    source = Source(name="host.toml", data=render_host(host).encode())
    assert parse_host(source) == host
    assert parse_host(source) != Host()


def test_kernel_tells_its_limits(tmp_path: Path) -> None:
    """Limits are read; one that is not there, as on an older kernel, is not known."""
    write(
        tmp_path,
        {
            "proc/sys/kernel/osrelease": "6.8.12-4-pve\n",
            "proc/sys/kernel/io_uring_disabled": "2\n",
            "proc/sys/fs/aio-nr": "1024\n",
            "proc/sys/vm/dirty_ratio": "junk\n",
        },
    )
    kernel = read_local_host(tmp_path).kernel
    assert kernel == Kernel(release="6.8.12-4-pve", io_uring_disabled=2, aio_nr=1024)


def test_package_of_proxmox_tells_the_version(tmp_path: Path) -> None:
    """Where Proxmox is installed its package says which QEMU it is, fixes and all."""
    status = (
        "Package: other\nStatus: install ok installed\nVersion: 1\n\n"
        "Package: pve-qemu-kvm\nStatus: install ok installed\nDepends: a,\n b\n"
        "Version: 10.1.2-7\n\n"
    )
    write(tmp_path, {"var/lib/dpkg/status": status})
    assert read_local_host(tmp_path).pve_qemu_version is None
    write(tmp_path, {"usr/share/qemu-server/x": ""})
    host = read_local_host(tmp_path)
    assert (str(host.qemu_version), str(host.pve_qemu_version)) == ("10.1.2", "10.1.2-7")


def test_numa_nodes_have_processors(tmp_path: Path) -> None:
    """Each node's processors are kept as the kernel writes them."""
    write(
        tmp_path,
        {
            "sys/devices/system/node/node0/cpulist": "0-3,8\n",
            "sys/devices/system/node/node1/cpulist": "4-7\n",
        },
    )
    assert read_local_host(tmp_path).cpu.nodes == {"0": "0-3,8", "1": "4-7"}


def test_processor_has_its_name_or_that_of_its_architecture(tmp_path: Path) -> None:
    """ARM kernels name none."""
    assert read_cpu_model(tmp_path) == platform.machine()
    write(tmp_path, {"proc/cpuinfo": CPUINFO})
    assert read_cpu_model(tmp_path) == platform.machine()
    write(
        tmp_path, {"proc/cpuinfo": f"{CPUINFO}model name\t: AMD EPYC 9354 \n\nmodel name\t: x\n"}
    )
    assert read_cpu_model(tmp_path) == "AMD EPYC 9354"


def test_host_is_told_from_others_by_its_name_and_processor() -> None:
    """The whole name, with its domain: profiles are compared by it."""
    assert identify_host() == f"{platform.node()}, {read_cpu_model()}"
