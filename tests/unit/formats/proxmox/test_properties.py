"""What Proxmox drops of a config's settings, and what it keeps."""

# ruff: noqa: E501 - a table of expectations is read by its columns

from __future__ import annotations

import pytest

from vmio.formats.proxmox.properties import check_property, read_properties
from vmio.formats.proxmox.schema import check_setting, normalize

UNDEFINED = "property is not defined in schema and the schema does not allow additional properties"
NO_MATCH = "value does not match the regex pattern"


def check(line: str) -> str:
    """Returns why a line is dropped, empty if it is kept."""
    key, _, value = line.partition(": ")
    return check_setting(key, value) or check_property(key, value)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("cores: -1", "type check ('integer') failed - got '-1'"),
        ("cores: +1", "type check ('integer') failed - got '+1'"),
        ("cpulimit: .5", "type check ('number') failed - got '.5'"),
        ("cpulimit: 1e2", "type check ('number') failed - got '1e2'"),
        ("kvm: 2", "type check ('boolean') failed - got '2'"),
        ("keyboard: d\re", "property contains a line feed"),
        ("scsi01: none", "unknown setting 'scsi01'"),
        ("net32: virtio", "unknown setting 'net32'"),
        ("affinity: 3-1", "unable to parse cpuset option"),
        ("affinity: 0,,1", "unable to parse cpuset option"),
        ("bootdisk: net0", "invalid boot disk 'net0'"),
        ("hookscript: x", "unable to parse volume ID 'x'"),
        ("hotplug: disk;fan", "invalid hotplug feature 'fan'"),
        ("hotplug: 0,1", "invalid hotplug feature '0'"),
        ("name: a..b", "value does not look like a valid DNS name"),
        ("name: a_b", "value does not look like a valid DNS name"),
        ("parent: 1", "invalid configuration ID '1'"),
        ("sshkeys: a b", "invalid urlencoded string: a b"),
        ("startup: order=x", "unable to parse startup options"),
        ("tags: a;b!", "invalid characters in tag"),
        ("vmstate: x", "unable to parse volume ID 'x'"),
        ("vmstatestorage: x", "storage ID 'x' contains illegal characters"),
        ("cpu: HOST,flags=+aes", "Built-in cputype 'HOST' is not defined (missing 'custom-' prefix?)"),
        ("cpu: Host", "Built-in cputype 'Host' is not defined (missing 'custom-' prefix?)"),
        ("cpu: flags=+aes", "CPU is missing cputype"),
        ("cpu: hidden=1", "CPU is missing cputype"),
        ("cpu: host,reported-model=Penryn", "Property 'reported-model' not allowed in VM-specific CPU config."),
        ("cpu: host,flags=+nx", "VM-specific CPU flags must be a subset of: aes, amd-no-ssb, amd-ssbd, hv-evmcs, hv-tlbflush, ibpb, md-clear, nested-virt, pcid, pdpe1gb, spec-ctrl, ssbd, virt-ssbd"),
        ("cpu: host,flags=aes", f"format error\nflags: {NO_MATCH}"),
        ("cpu: host,phys-bits=7", "format error\nphys-bits: invalid format - value must be an integer between 8 and 64 or 'host'"),
        ("cpu: host,phys-bits=65", "format error\nphys-bits: invalid format - value must be an integer between 8 and 64 or 'host'"),
        ("cpu: host,guest-phys-bits=31", "format error\nguest-phys-bits: value must have a minimum value of 32"),
        ("cpu: host,hv-vendor-id=thirteenchars", f"format error\nhv-vendor-id: {NO_MATCH}"),
        ("hostpci0: 0000:F0:43.0", f"format error\nhost: {NO_MATCH}"),
        ("hostpci0: 01:00,romfile=a;b", f"format error\nromfile: {NO_MATCH}"),
        ("hostpci0: mapping=1", "format error\nmapping: invalid format - invalid configuration ID '1'"),
        ("smbios1: serial=a;b", f"format error\nserial: {NO_MATCH}"),
        ("smbios1: family=a b", f"format error\nfamily: {NO_MATCH}"),
        ("smbios1: serial=a==b", f"format error\nserial: {NO_MATCH}"),
        ("smbios1: serial==", f"format error\nserial: {NO_MATCH}"),
        ("boot: order=", "missing key in comma-separated list property"),
        ("boot: order=ide4", "format error\norder: invalid format - invalid boot device 'ide4'"),
        ("boot: order=scsi0;unused0", "format error\norder: invalid format - invalid boot device 'unused0'"),
        ("boot: cd,dc", "duplicate key in comma-separated list property: legacy"),
        ("net0: virtio,bridge=a b", "format error\nbridge: invalid format - invalid bridge ID 'a b'"),
        ("net0: virtio,rate=-1", "format error\nrate: value must have a minimum value of 0"),
        ("net0: virtio=AA:AA:AA:AA:AA:AA,e1000=AA:AA:AA:AA:AA:AA", "key alias 'model' is already defined"),
        ("net0: virtio, firewall=1", f"format error\n firewall: {UNDEFINED}"),
        ("agent: on", "format error\nenabled: type check ('boolean') failed - got 'on'"),
        ("agent: 1,type=", "missing key in comma-separated list property"),
        ("agent: type=virtio", "format error\nenabled: property is missing and it is not optional"),
        ("agent: 1,enabled=1", "duplicate key in comma-separated list property: enabled"),
        ("agent: enabled=1,1", "duplicate key in comma-separated list property: enabled"),
        ("machine: q35+pve1", f"format error\ntype: {NO_MATCH}"),
        (f"machine: pc-q35-{'1.' * 20}1", "format error\ntype: value may only be 40 characters long"),
        ("memory: 15", "format error\ncurrent: value must have a minimum value of 16"),
        ("numa0: cpus=0,memory=x", "format error\nmemory: type check ('number') failed - got 'x'"),
        ("usb0: spice,mapping=x!", "format error\nmapping: invalid format - invalid configuration ID 'x!'"),
        ("vga: none,memory=4.5", "format error\nmemory: type check ('integer') failed - got '4.5'"),
        ("rng0: source=/dev/null", "format error\nsource: value '/dev/null' does not have a value in the enumeration '/dev/urandom, /dev/random, /dev/hwrng'"),
        ("rng0: /dev/urandom,max_bytes=1.5", "format error\nmax_bytes: type check ('integer') failed - got '1.5'"),
        ("ivshmem: size=0", "format error\nsize: value must have a minimum value of 1"),
        ("audio0: driver=none", "format error\ndevice: property is missing and it is not optional"),
        ("meta: creation-qemu=9", f"format error\ncreation-qemu: {NO_MATCH}"),
        ("virtiofs0: 1", "format error\ndirid: invalid format - invalid configuration ID '1'"),
        ("efidisk0: x", "format error\nfile: invalid format - unable to parse volume ID 'x'"),
        ("tpmstate0: st:v,format=qed", "format error\nformat: value 'qed' does not have a value in the enumeration 'raw, qcow2, vmdk'"),
        ("ipconfig0: ip=10.0.0.1", "format error\nip: invalid format - value does not look like a valid ipv4 network configuration"),
        ("ipconfig0: ip=10.0.0.1/7", "format error\nip: invalid format - value does not look like a valid ipv4 network configuration"),
        ("ipconfig0: ip6=fe80::1%eth0/64", "format error\nip6: invalid format - value does not look like a valid ipv6 network configuration"),
        ("ipconfig0: gw=10.0.0.1", "format error\nip: missing property - 'gw' requires this property"),
        ("ipconfig0: ip=dhcp,gw=010.0.0.1", "format error\ngw: invalid format - value does not look like a valid IPv4 address"),
        ("nameserver: 1.1.1.1 a_b", "value does not look like a valid address: a_b"),
        ("cicustom: user=x", "format error\nuser: invalid format - unable to parse volume ID 'x'"),
        ("intel-tdx: tdx", "format error\nattestation: property is missing and it is not optional"),
        ("unused0: none", "format error\nfile: invalid format - unable to parse volume ID 'none'"),
    ],
)  # fmt: skip
def test_setting_that_is_dropped(line: str, reason: str) -> None:
    """A line that Proxmox cannot take is dropped, and the reason is told in its words."""
    assert check(line) == reason


@pytest.mark.parametrize(
    "line",
    [
        "affinity: 0-3",
        "affinity:  1 , 5-5,",
        "agent: enabled=0,1",
        "agent: enabled=Yes,guest-fsfreeze=off",
        "boot: order=;",
        "boot: order=scsi30;net31;usb13;hostpci15",
        "boot: ,",
        "bootdisk: efidisk0",
        "cpu: custom-own",
        "cpu: cortex-a57",
        "cpu: cputype=host,hidden=off,phys-bits=64,flags=+aes;-pcid",
        "cpulimit: 1.50",
        "hostpci0: 0000:f0:43.0,romfile=../x.rom",
        "hostpci0: mapping=Gpu_1,x-vga=on",
        "hotplug: cpu; disk,usb",
        "cicustom: user=local:snippets/u.yml",
        "intel-tdx: tdx,attestation=off,vsock-cid=2",
        "ipconfig0: ip=dhcp,ip6=auto",
        "ipconfig31: ip=10.0.0.1/24,gw=10.0.0.254,ip6=fd00::1/64,gw6=fe80::1",
        "ivshmem: size=+5,name=a-b",
        "nameserver: 1.1.1.1,2606:4700::1111 dns.example",
        "lock: bogus",
        "machine: q35,aw-bits=39.5,viommu=virtio",
        "machine: virt+pve0",
        "memory: +512",
        "name: a.b-c",
        "net0: macaddr=AA:AA:AA:AA:AA:AA,virtio=AA:AA:AA:AA:AA:AB,rate=.5",
        "numa0: cpus=5-3;1,memory=1e3,hostnodes=1;3",
        "rng0: source=/dev/urandom,max_bytes=-1,period=+5",
        "scsihw: anything",
        "smbios1: serial=YWJj,base64=1,uuid=11111111-2222-3333-4444-555555555555",
        "sockets: 007",
        "startup: order=1,up=5,down=6",
        "tags: a;b c,d+e",
        "usb0: SpIcE",
        "vcpus: 0",
        "vga: memory=016",
    ],
)
def test_setting_that_is_kept(line: str) -> None:
    """What Proxmox does not look at, or reads more broadly than one might think, is kept."""
    assert check(line) == ""


@pytest.mark.parametrize(
    ("key", "written", "kept"),
    [
        ("kvm", "No", "0"),
        ("onboot", "yes", "1"),
        ("cores", "007", "7"),
        ("scsihw", '"virtio-scsi-single"', "virtio-scsi-single"),
        ("serial0", '"socket"', "socket"),
        ("ostype", '"l26', '"l26'),
        ("args", '"-S"', '"-S"'),
        ("memory", "+512", "+512"),
        ("cpulimit", "1.50", "1.50"),
    ],
)
def test_value_is_kept_as_proxmox_keeps_it(key: str, written: str, kept: str) -> None:
    """Words for booleans, whole numbers and quoted words come in one form; the rest stays."""
    assert normalize(key, written) == kept


def test_last_alias_of_an_option_counts() -> None:
    """A network model with an address sets both, over an address before it."""
    read = read_properties("net0", "macaddr=AA:AA:AA:AA:AA:AA,virtio=AA:AA:AA:AA:AA:AB")
    assert read == {"model": "virtio", "macaddr": "AA:AA:AA:AA:AA:AB"}
    assert read_properties("agent", "1,guest-fsfreeze=off") == {"enabled": "1", "freeze-fs": "0"}
