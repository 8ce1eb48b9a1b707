"""Parts of command lines. Source: libvirt 11.3.0, run with each of these domains."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.unit.formats.libvirt.domains import SCSI, read, write_disk, write_domain
from vmio.errors import InputError, UnsupportedError, UsageError
from vmio.formats import registry
from vmio.formats.base import ReadContext
from vmio.formats.libvirt.versions import parse_libvirt_version
from vmio.formats.registry import build_command, lay_out
from vmio.model.host import Host
from vmio.model.source import Source

LUKS = "<encryption format='luks'><secret type='passphrase' usage='x'/></encryption>"
AUTH = "<auth username='bob'><secret type='ceph' usage='x'/></auth>"
HOST = "<host name='h'/>"


def list_options(text: str, option: str, libvirt: str = "") -> list[dict[str, Any]]:
    """Returns the values of one option of a domain's command line."""
    argv = build_command(read(text, libvirt), Host()).argv
    return [json.loads(words[1]) for words in argv if words[0] == option]


def write_network(source: str, **more: str) -> str:
    """Returns a domain with a disk at a server."""
    return write_domain(write_disk(kind="network", source=source, **more))


@pytest.mark.parametrize(
    ("text", "nodes"),
    [
        (
            write_domain(write_disk(source=f"<source file='/a'>{LUKS}</source>")),
            [
                {"driver": "file", "auto-read-only": True, "discard": "unmap"},
                {"driver": "luks", "key-secret": "libvirt-1-format-encryption-secret0"},
            ],
        ),
        (
            write_domain(write_disk(form="qcow2", inner=LUKS)),
            [
                {"driver": "file"},
                {
                    "driver": "qcow2",
                    "encrypt": {
                        "format": "luks",
                        "key-secret": "libvirt-1-format-encryption-secret0",
                    },
                },
            ],
        ),
        (
            write_network(
                f"<source protocol='rbd' name='p/i'>{HOST}"
                f"{LUKS.replace('>', ' engine=' + chr(39) + 'librbd' + chr(39) + '>', 1)}</source>"
            ),
            [
                {
                    "driver": "rbd",
                    "encrypt": {
                        "format": "luks",
                        "key-secret": "libvirt-1-storage-encryption-secret0",
                    },
                    "read-only": False,
                }
            ],
        ),
        (
            write_network(f"<source protocol='rbd' name='p/i'>{HOST}{AUTH}</source>"),
            [
                {
                    "auth-client-required": ["cephx", "none"],
                    "key-secret": "libvirt-1-storage-auth-secret0",
                    "server": [{"host": "h", "port": "0"}],
                    "user": "bob",
                }
            ],
        ),
        (
            write_network(f"<source protocol='https' name='a'>{HOST}</source>", inner=AUTH),
            [
                {
                    "password-secret": "libvirt-1-storage-auth-secret0",
                    "url": "https://h:443/a",
                    "username": "bob",
                }
            ],
        ),
        (
            write_network(f"<source protocol='nbd' name='a' tls='yes'>{HOST}</source>"),
            [{"export": "a", "tls-creds": "objlibvirt-1-storage_tls0"}],
        ),
        (
            write_domain(write_disk(inner="<shareable/>")),
            [{"cache": {"direct": True, "no-flush": False}}],
        ),
    ],
    ids=range(7),
)
def test_nodes_of_a_disk(text: str, nodes: list[dict[str, Any]]) -> None:
    """A disk's nodes have what libvirt gives them."""
    told = list_options(text, "-blockdev")
    assert len(told) == len(nodes)
    for node, expected in zip(told, nodes, strict=True):
        assert {key: node.get(key) for key in expected} == expected


def test_disk_beside_a_controller_with_a_thread_can_miss_it() -> None:
    """The eighth SCSI disk is on a controller that libvirt adds: an LSI, which has no thread."""
    controller = SCSI.replace("/>", "><driver iothread='1'/></controller>")
    text = write_domain(
        controller + write_disk("sda", "scsi") + write_disk("sdh", "scsi"),
        top="<iothreads>1</iothreads>",
    )
    guest = read(text)
    topology = lay_out(guest)
    served = {each.disk.id: topology.served_by(each) for each in topology.disks}
    assert served == {"sda": ("iothread1",), "sdh": ("main loop",)}
    assert topology.controllers[1].model == "lsi"


def test_older_libvirt_drops_what_it_does_not_know() -> None:
    """What libvirt 9.0 does not know does nothing there: the disk runs in the main loop."""
    text = write_domain(
        write_disk(driver="queues='2'", listed="<iothread id='1'/>"),
        top="<iothreadids><iothread id='1'><poll max='5'/></iothread></iothreadids>",
    )
    new, old = (list_options(text, "-object", libvirt)[0] for libvirt in ("", "9.0.0"))
    assert (new.get("poll-max-ns"), old.get("poll-max-ns")) == (5, None)
    (device,) = list_options(text, "-device", "9.0.0")
    assert "iothread-vq-mapping" not in device
    assert [each["driver"] for each in list_options(text, "-blockdev", "9.0.0")] == ["file", "raw"]
    warnings = build_command(read(text, "10.4.0"), Host()).warnings
    assert any("libvirt 10.4 was not tried" in warning for warning in warnings)


def test_versions_are_versions() -> None:
    """A libvirt's version is two numbers and what a distribution adds."""
    assert parse_libvirt_version("11.3.0-2~bpo12+1") == (11, 3)
    with pytest.raises(ValueError, match="no version of libvirt"):
        parse_libvirt_version("new")
    with pytest.raises(InputError, match="libvirt_version"):
        read(write_domain(), "new")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            write_domain(write_disk(kind="volume", source="<source pool='p'/>")),
            "a volume of a pool",
        ),
        (write_domain(write_disk(inner="<address type='ccw'/>")), "disks on PCI only"),
        (write_domain(machine="microvm"), "only PCs are known"),
        (write_domain().replace("'qemu'", "'xen'", 1), "type='xen'"),
        (write_domain().replace("<os>", "<os firmware='efi'>"), "chooses the firmware"),
    ],
)
def test_what_is_not_printed_is_said(text: str, reason: str) -> None:
    """No line is printed where a part of it would be a guess."""
    with pytest.raises(UnsupportedError, match=reason):
        build_command(read(text), Host())


def test_command_says_that_it_is_a_half() -> None:
    """The line warns of what it leaves out, and of what is set when the guest runs."""
    text = write_domain(write_disk(inner="<iotune><total_iops_sec>9</total_iops_sec></iotune>"))
    text = text.replace("</domain>", "<qemu:commandline xmlns:qemu='q'/></domain>")
    warnings = build_command(read(text), Host()).warnings
    assert "storage half" in warnings[0]
    assert any("<iotune>" in warning for warning in warnings)
    assert any("<qemu:commandline>" in warning for warning in warnings)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("<network><name>x</name></network>", "it is a network"),
        ("<domstatus><domain/></domstatus>", "the state of a running domain"),
        ("<domains><domain/><domain/></domains>", "domains in a <domains>"),
        ("<domain/>", "neither a name nor devices"),
        (write_domain(write_disk("sdzzzz", "scsi")), "more than any QEMU"),
        (write_domain("<controller type='scsi' index='99999'/>"), "more than any QEMU"),
        (write_domain(top="<iothreads>4000000000</iothreads>"), "more than any QEMU"),
        (write_domain("<disk/>" * 10_001), "more disks"),
        (write_domain("<hub type='usb'/>" * 1001), "more USB devices"),
    ],
)
def test_what_is_no_domain_is_told_in_one_line(text: str, reason: str) -> None:
    """Other texts of libvirt, and domains beyond all bounds, are refused."""
    with pytest.raises(InputError, match=reason) as caught:
        read(text)
    assert "\n" not in caught.value.message


def test_hubs_are_not_behind_each_other_without_end() -> None:
    """A port has four numbers at most, however many hubs there are."""
    text = write_domain("<hub type='usb'/>" * 900 + write_disk("sda", "usb"))
    (device,) = list_options(text, "-device")
    assert device["port"].count(".") <= 3


def test_snapshot_of_a_domain_is_refused() -> None:
    """A domain's text has no snapshots."""
    source = Source(name="vm.xml", data=write_domain().encode())
    with pytest.raises(UsageError, match="no snapshots"):
        registry.read(source, ReadContext(host=Host(), snapshot="monday"))


def test_usb_controller_of_the_model_none_is_none() -> None:
    """It is how a domain says that it has no USB."""
    text = write_domain("<controller type='usb' index='0' model='none'/>")
    assert lay_out(read(text)).controllers == ()
