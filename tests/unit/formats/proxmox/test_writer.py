"""Edits of a VM's config, its normal form, and strict reading."""

from __future__ import annotations

import pytest

from vmio.errors import InputError, UsageError
from vmio.formats.proxmox.config import Config, parse_config
from vmio.formats.proxmox.strict import find_problems, refuse_problems
from vmio.formats.proxmox.writer import (
    cut_option,
    remove_option,
    remove_setting,
    render_config,
    set_option,
    set_setting,
)
from vmio.model.source import Edit, Source, Span, apply_edits

TEXT = """\
#VM%3A 100%25
boot: order=scsi0
cores: 2
scsi0: local-lvm:vm-100-disk-0,discard=on,size=32G
scsihw: virtio-scsi-pci

[PENDING]
cores: 4
delete: onboot

[special:fleecing]
fleecing-images: local:100/vm-100-fleece-0.raw

[before]
cores: 1
snaptime: 1700000000
"""


def parse(text: str | bytes) -> Config:
    """Reads a config from text."""
    data = text.encode() if isinstance(text, str) else text
    return parse_config(Source(name="100.conf", data=data))


def edit(text: str, *edits: Edit) -> str:
    """Returns a text with edits made."""
    return apply_edits(parse(text).source, edits).decode()


def put(text: str, key: str, value: str, section: str = "main") -> str:
    """Returns a text with a setting set in its main section or in a snapshot."""
    config = parse(text)
    found = config.main if section == "main" else config.find_snapshot(section)
    assert found is not None
    return edit(text, set_setting(config, found, key, value))


def put_option(line: str, option: str, value: str) -> str:
    """Returns a line with an option set."""
    config = parse(line)
    return edit(line, set_option(config, config.main, line.partition(":")[0], option, value))


@pytest.mark.parametrize(
    ("before", "key", "value", "after"),
    [
        ("cores: 1\n", "cores", "8", "cores: 8\n"),
        ("cores:1 \r\nname: a\r\n", "cores", "8", "cores:8 \r\nname: a\r\n"),
        ("cores: 1\ncores: 2\n", "cores", "8", "cores: 1\ncores: 8\n"),
        ("boot: \n", "boot", "order=scsi0", "boot: order=scsi0\n"),
        ("boot: order=a\n", "boot", " ", "boot:  \n"),
        ("cdrom: none\n", "ide2", "cdrom", "cdrom: cdrom\n"),
        ("cdrom: none\nide2: none\n", "ide2", "cdrom", "cdrom: none\nide2: cdrom\n"),
        ("boot: c\nname: a\n", "cores", "2", "boot: c\ncores: 2\nname: a\n"),
        ("name: a\nboot: c\n", "cores", "2", "name: a\nboot: c\ncores: 2\n"),
        ("#about\nname: a\n", "cores", "2", "#about\ncores: 2\nname: a\n"),
        ("name: a\r\n", "cores", "2", "cores: 2\r\nname: a\r\n"),
        ("boot: c\r\n", "cores", "2", "boot: c\r\ncores: 2\r\n"),
        ("boot: c", "cores", "2", "boot: c\ncores: 2"),
        ("[snap]\ncores: 1\n", "cores", "2", "cores: 2\n[snap]\ncores: 1\n"),
        ("#a\n\n[snap]\ncores: 1\n", "cores", "2", "#a\ncores: 2\n\n[snap]\ncores: 1\n"),
    ],
)
def test_set_setting_writes_where_proxmox_would(
    before: str, key: str, value: str, after: str
) -> None:
    """The line that counts is changed, a new one stands among its neighbours by name."""
    assert put(before, key, value) == after


def test_set_setting_stays_in_its_section() -> None:
    """A snapshot's setting is the snapshot's alone."""
    assert put(TEXT, "cores", "3", "before") == TEXT.replace("cores: 1\n", "cores: 3\n")
    assert put(TEXT, "memory", "64", "before") == TEXT.replace("snaptime", "memory: 64\nsnaptime")
    assert put("name: a\n[empty]\n", "cores", "1", "empty") == "name: a\n[empty]\ncores: 1\n"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("cores", "many"),
        ("nonsense", "1"),
        ("Cores", "1"),
        ("name", ""),
        ("name", "a\nargs: -S"),
        ("name", " a"),
        ("name", "\0"),
        ("name", "\ud800"),
        ("scsi31", "none"),
    ],
)
def test_set_setting_refuses_what_proxmox_would(key: str, value: str) -> None:
    """Nothing is written that would not be read back, least of all a second line."""
    with pytest.raises(UsageError):
        put(TEXT, key, value)


def test_remove_setting_takes_every_line_of_it() -> None:
    """An earlier line of the same key does not come back to life."""
    text = "cores: 1\nname: a\ncores: 2"
    config = parse(text)
    assert edit(text, *remove_setting(config, config.main, "cores")) == "name: a\n"
    assert remove_setting(config, config.main, "memory") == ()


@pytest.mark.parametrize(
    ("before", "option", "value", "after"),
    [
        ("scsi0: st:b,size=1G", "size", "2G", "scsi0: st:b,size=2G"),
        (
            "scsi0: st:b,discard=on,size=1G",
            "iothread",
            "1",
            "scsi0: st:b,discard=on,iothread=1,size=1G",
        ),
        ("scsi0: st:b,ssd=1", "aio", "native", "scsi0: st:b,aio=native,ssd=1"),
        ("scsi0: st:b", "aio", "native", "scsi0: st:b,aio=native"),
        ("scsi0: st:b,size=1G", "file", "st:d", "scsi0: st:d,size=1G"),
        ("scsi0: size=1G,volume=st:b", "file", "st:d", "scsi0: size=1G,volume=st:d"),
        ("scsi0: ssd=1", "aio", "native", "scsi0: aio=native,ssd=1"),
        ("scsi0: st:b,bps_rd_length=1", "bps_rd_max_length", "2", "scsi0: st:b,bps_rd_length=2"),
        ("agent: 1", "enabled", "0", "agent: 0"),
        ("agent: 1", "fstrim_cloned_disks", "1", "agent: 1,fstrim_cloned_disks=1"),
        ("net0: virtio=AA,bridge=b", "queues", "2", "net0: virtio=AA,bridge=b,queues=2"),
        ("hostpci0: 01:00,pcie=1", "host", "02:00", "hostpci0: 02:00,pcie=1"),
    ],
)
def test_set_option_keeps_proxmox_order(before: str, option: str, value: str, after: str) -> None:
    """A new option stands behind the bare value and sorted; an old one changes in its place."""
    assert put_option(before, option, value) == after


@pytest.mark.parametrize(
    ("line", "option", "value"),
    [
        ("scsi0: st:b", "iothread", "2"),
        ("scsi0: st:b", "nonsense", "1"),
        ("sata0: st:b", "iothread", "1"),
        ("scsi0: st:b", "serial", "1,ssd=1"),
        ("agent: 1", "a=b,c", "1"),
        ("agent: 1", "type", " "),
    ],
)
def test_set_option_refuses_what_proxmox_would(line: str, option: str, value: str) -> None:
    """One bad option would make Proxmox drop the whole line."""
    with pytest.raises(UsageError):
        put_option(line, option, value)


def test_options_of_a_missing_setting_are_refused() -> None:
    """There is no property string to change."""
    config = parse(TEXT)
    with pytest.raises(UsageError, match="no setting 'scsi1'"):
        set_option(config, config.main, "scsi1", "ssd", "1")
    with pytest.raises(UsageError, match="no option 'ssd'"):
        remove_option(config, config.main, "scsi0", "ssd")
    with pytest.raises(UsageError, match="nothing would be left of scsihw"):
        remove_option(config, config.main, "scsihw", "")


@pytest.mark.parametrize(
    ("option", "after"),
    [("b", "a=1,c=3"), ("a", "b=2,c=3"), ("c", "a=1,b=2")],
)
def test_remove_option_takes_one_comma_along(option: str, after: str) -> None:
    """An option goes with the comma before it, or after it if it is the first."""
    text = "numa0: a=1,b=2,c=3"
    config = parse(text)
    assert edit(text, remove_option(config, config.main, "numa0", option)) == f"numa0: {after}"


def test_cut_option_at_the_start_of_a_file() -> None:
    """There is no byte before the first one."""
    source = Source(name="x", data=b"a=1,b=2")
    assert apply_edits(source, [cut_option(source, Span(start=0, end=3))]) == b"b=2"


def test_apply_edits_refuses_a_clash() -> None:
    """Two edits of one place are a slip of the caller's, not a result."""
    source = Source(name="x", data=b"abc")
    one, two = (Edit(span=Span(start=a, end=a + 2), text="") for a in (0, 1))
    with pytest.raises(ValueError, match="overlaps"):
        apply_edits(source, [two, one])
    with pytest.raises(ValueError, match="overlaps"):
        apply_edits(source, [Edit(span=Span(start=2, end=4), text="")])


def test_render_config_of_a_normal_file_is_the_file() -> None:
    """What Proxmox wrote comes back byte for byte."""
    assert render_config(parse(TEXT)) == TEXT.encode()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("name: a\ncores: 2\n", "cores: 2\nname: a\n"),
        ("cores: 1\ncores: 2\ncores: x\n", "cores: 2\n"),
        ("cores:   2  \nbogus: 1\nrubbish\n", "cores: 2\n"),
        ("onboot: yes\nname: yes\n", "name: yes\nonboot: 1\n"),
        ("smp: 4\n", "sockets: 4\n"),
        ("smp: 4\nsockets: 2\n", "sockets: 2\n"),
        ("cdrom: none\n", "ide2: none\n"),
        ("cdrom: none\nide2: cdrom\n", "ide2: cdrom\n"),
        ("name: a\n#b: \u00e9%25\n#  c  \n#d\n", "#b%3A %C3%A9%25\n#  c  \n#d\nname: a\n"),
        ("#a\ndescription: b\n#c\nname: a\n", "#a\n#bc\nname: a\n"),
        (
            "scsi0: st:v,ssd=1\nunused0: st:v\nunused1: st:w\n",
            "scsi0: st:v,ssd=1\nunused1: st:w\n",
        ),
        ("unused0: st:v\n[snap]\nefidisk0: file=st:v\n", "\n[snap]\nefidisk0: file=st:v\n"),
        ("scsi0: st:v,iothread=2\nname: a\n", "name: a\n"),
        ("name: a\n[b1]\n[a1]\n[PENDING]\n", "name: a\n\n[a1]\n\n[b1]\n"),
        ("name: a\n[pending]\n#\n", "name: a\n\n[PENDING]\n#\n"),
        ("name: a\n[special:cloudinit]\nname: b\n", "name: a\n"),
        (
            "cdrom: st:vm-1-cloudinit,media=cdrom\n[special:cloudinit]\nscsi0: x,y=1\n",
            "ide2: st:vm-1-cloudinit,media=cdrom\n\n[special:cloudinit]\nscsi0: x,y=1\n",
        ),
        ("name: a\n[:3]\ncores: 1\n", "name: a\n"),
        ("name: a\n[special:fleecing]\nname: b\n", "name: a\n\n[special:fleecing]\n"),
    ],
)
def test_render_config_is_what_proxmox_writes(before: str, after: str) -> None:
    """Sorted keys, sorted sections, encoded descriptions, and nothing that cannot be read."""
    assert render_config(parse(before)).decode() == after


def test_render_config_keeps_bytes_of_values() -> None:
    """A value that is not UTF-8 is written as it was read."""
    assert render_config(parse(b"args: \xff\n")) == b"args: \xff\n"


def test_digest_is_of_the_raw_bytes() -> None:
    """The digest is SHA-1 in hexadecimal."""
    digest = Source(name="x", data=b"abc").digest
    assert digest == "a9993e364706816aba3e25717850c26c9cd0d89d"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: a\nrubbish\n", "unable to parse config: rubbish"),
        ("cores: x\nrubbish\n", "unable to parse value of 'cores' - type check ('integer')"),
        ("name: a\n[:3]\n", "skipping unknown section: ':3'"),
        ("name: a\n[PENDING]\n[pending]\n", "duplicate section: pending"),
        ("name: a\n[snap]\nnuma: verify meee~ :)\n", "unable to parse value of 'numa' - type"),
        ("scsi0: st:b,foo=1\n", "unable to parse value of 'scsi0' - format error\nfoo: property"),
        ("net0: virtio,rate=fast\n", "unable to parse value of 'net0' - format error\nrate: type"),
        ("efidisk0: st:b,efitype=9m\n", "unable to parse value of 'efidisk0' - format error"),
        ("name: a\n[special:fleecing]\nname: b\n", "of 'name' - unknown setting 'name'"),
        ("name: a\ndelete: b\n", "property 'delete' is only allowed in [PENDING]"),
    ],
)
def test_strict_reading_ends_at_the_first_problem(text: str, message: str) -> None:
    """The error is Proxmox's own line about the first thing it cannot take, in any section."""
    with pytest.raises(InputError) as caught:
        refuse_problems(parse(text), "8006")
    assert caught.value.message.startswith("vm 8006 - ")
    assert message in caught.value.message


@pytest.mark.parametrize(
    "text",
    [
        TEXT,
        "scsi0: st:b,mbps=1,bps=2\n",
        "name: a\n[special:cloudinit]\nbogus: 1\n",
        "cdrom: none\n",
    ],
)
def test_strict_reading_takes_what_proxmox_takes(text: str) -> None:
    """A drive that is left out for what it asks, and cloud-init's own values, are no errors."""
    assert find_problems(parse(text)) == ()
    refuse_problems(parse(text), "100")
