"""QEMU command lines as data."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmio.errors import InputError
from vmio.formats.qemu.argv import (
    Command,
    find_iothreads,
    is_command,
    parse_command,
    parse_words,
    read_options,
)
from vmio.model.source import Source

LIBVIRT = """\
LC_ALL=C \\
PATH=/bin \\
/usr/bin/qemu-system-x86_64 \\
-name guest=a,debug-threads=on \\
-object '{"qom-type":"iothread","id":"iothread1"}' \\
-S \\
-device '{"driver":"virtio-blk-pci","bus":"pci.0","addr":"0x2","id":"disk0"}'
"""
WORDS = st.sampled_from(
    """
    -object -device -drive --blockdev -machine -M -m -cpu -global -set -S -enable-kvm -numa -name
    iothread,id=a virtio-blk-pci,id=d,iothread=a {"driver":"x","id":"y"} {"a":[{"b":1},[]]} {} {
    a=b,,c,noserver q35,accel=kvm:tcg type=pc,kernel_irqchip=on host,+aes,-pcid - -- ,,,= A=B
    """.split()  # noqa: SIM905 - a list a line each would hide the words
)


def parse(text: str | bytes) -> Command:
    """Reads a saved command line."""
    data = text if isinstance(text, bytes) else text.encode()
    return parse_command(Source(name="x.args", data=data))


def read(*words: str) -> dict[str, str]:
    """Returns the properties of the last of a command line's options."""
    return dict(parse_words(words).options[-1].properties)


def test_objects_are_found_in_both_notations() -> None:
    """Key-value and JSON objects define the same."""
    defined, users = find_iothreads(
        read_options(
            [
                "-object",
                "iothread,id=a,poll-max-ns=5",
                "--object",
                '{"qom-type":"iothread","id":"b","aio-max-batch":8}',
                "-object",
                "memory-backend-ram,id=m,size=1G",
            ]
        )
    )
    assert [(thread.id, thread.poll_max_ns, thread.aio_max_batch) for thread in defined] == [
        ("a", 5, None),
        ("b", None, 8),
    ]
    assert users == frozenset()


def test_references_are_found_at_any_depth() -> None:
    """A device, a mapping, a `-set` and an export all count as users.

    Not so virtio-blk and virtio-scsi, of which the disks on them are the users.
    """
    _, users = find_iothreads(
        read_options(
            [
                "-device",
                "virtio-of-later,drive=d,own-iothread=a",
                "-device",
                '{"driver":"virtio-of-later","iothread-vq-mapping":[{"iothread":"b"},{"iothread":"c"}]}',
                "-set",
                "device.scsi0.iothread=d",
                "-export",
                "type=nbd,iothread=e",
                "-device",
                "virtio-blk-pci,drive=d,iothread=f",
            ]
        )
    )
    assert users == {"a", "b", "c", "d", "e"}


def test_comma_in_a_value_is_doubled() -> None:
    """A doubled comma belongs to the value."""
    defined, _ = find_iothreads(read_options(["-object", "iothread,poll-max-ns=1,,2,id=x"]))
    assert [thread.id for thread in defined] == ["x"]
    assert defined[0].poll_max_ns is None


def test_value_out_of_range_is_not_taken() -> None:
    """QEMU would refuse it; the thread counts as defined all the same."""
    defined, _ = find_iothreads(read_options(["-object", "iothread,id=x,thread-pool-max=0"]))
    assert defined[0].thread_pool_max is None


@pytest.mark.parametrize(
    ("option", "value", "properties"),
    [
        ("-device", "VGA,id=vga", {"driver": "VGA", "id": "vga"}),
        ("-device", '{"driver":"VGA","x":1,"y":true}', {"driver": "VGA", "x": "1", "y": "on"}),
        (
            "-device",
            '{"driver":"d","iothread-vq-mapping":[{"iothread":"a","vqs":[0,2]}]}',
            {
                "driver": "d",
                "iothread-vq-mapping.0.iothread": "a",
                "iothread-vq-mapping.0.vqs.0": "0",
                "iothread-vq-mapping.0.vqs.1": "2",
            },
        ),
        ("-drive", "file=a,,b,if=none", {"file": "a,b", "if": "none"}),
        ("-drive", "file=a,,,id=b", {"file": "a,", "id": "b"}),
        ("-blockdev", "raw,file.driver=file", {"driver": "raw", "file.driver": "file"}),
        (
            "-chardev",
            "socket,id=q,server,nowait",
            {"backend": "socket", "id": "q", "server": "on", "wait": "off"},
        ),
        (
            "-cpu",
            "host,+kvm_pv_eoi,-pcid,check,phys-bits=40",
            {"model": "host", "kvm-pv-eoi": "on", "pcid": "off", "check": "on", "phys-bits": "40"},
        ),
        ("-machine", "q35,kernel_irqchip=split", {"type": "q35", "kernel-irqchip": "split"}),
        ("-M", "pc", {"type": "pc"}),
        ("-smp", "4,sockets=2", {"cpus": "4", "sockets": "2"}),
        ("-append", "root=/dev/vda,quiet x=1", {"value": "root=/dev/vda,quiet x=1"}),
        ("-append", "-x", {"value": "-x"}),
        ("-unheard-of", "a,b=c", {"value": "a", "b": "c"}),
        ("-global", "driver=D,property=p,value=1", {"D.p": "1"}),
        ("-global", "PIIX4_PM.disable_s3=1", {"PIIX4_PM.disable_s3": "1"}),
        (
            "-netdev",
            "user,id=n,hostfwd=a,hostfwd=b",
            {"type": "user", "id": "n", "hostfwd": "a", "hostfwd.3": "b"},
        ),
        ("-object", "{not json", {"value": "{not json"}),
    ],
)
def test_value_is_taken_apart(option: str, value: str, properties: dict[str, str]) -> None:
    """Every notation of a value comes to the same flat keys."""
    assert read(option, value) == properties


def test_machine_and_its_accelerator_are_two_things() -> None:
    """All ways of choosing an accelerator come to the same options."""
    forms = (
        ("-machine", "type=pc,accel=kvm"),
        ("-M", "pc", "-enable-kvm"),
        ("-accel", "kvm", "-machine", "pc"),
    )
    for words in forms:
        options = {option.name: dict(option.properties) for option in parse_words(words).options}
        assert options == {"accel": {"accel": "kvm"}, "machine": {"type": "pc"}}


def test_options_that_qemu_merges_are_merged() -> None:
    """A later value counts, and what it does not say stays."""
    command = parse_words(("-machine", "pc,hpet=off", "-S", "-machine", "type=q35"))
    assert [option.name for option in command.options] == ["machine", "S"]
    assert command.options[0].properties == {"type": "q35", "hpet": "off"}


def test_flag_takes_no_value() -> None:
    """The word after a flag is an option or a disk image of its own."""
    command = parse_words(("qemu", "-nodefaults", "disk.img", "-unheard-of", "-S"))
    assert command.program == "qemu"
    names = [(option.name, dict(option.properties)) for option in command.options]
    assert names == [
        ("nodefaults", {}),
        ("hda", {"value": "disk.img"}),
        ("unheard-of", {}),
        ("S", {}),
    ]


@pytest.mark.parametrize(
    ("words", "identity", "kind"),
    [
        (("-device", "VGA,id=vga"), "vga", "VGA"),
        (("-blockdev", "driver=raw,node-name=n"), "n", "raw"),
        (("-mon", "chardev=qmp,mode=control"), "qmp", "qmp"),
        (("-device", "VGA"), "", "VGA"),
        (("-S",), "", ""),
    ],
)
def test_option_knows_what_it_is(words: tuple[str, ...], identity: str, kind: str) -> None:
    """An option has an id where others could refer to it, and a kind where there are several."""
    (option,) = parse_words(words).options
    assert (option.id, option.kind) == (identity, kind)


def test_libvirt_form_is_read() -> None:
    """Variables before the program and broken lines are those of libvirt's own files."""
    command = parse(LIBVIRT)
    assert command.program == "/usr/bin/qemu-system-x86_64"
    assert [option.name for option in command.options] == ["name", "object", "S", "device"]
    assert command.options[1].id == "iothread1"


@pytest.mark.parametrize(
    "text",
    [
        "qemu -m 64 -S",
        "qemu \\\n  -m 64 \\\n  -S\n",
        "#!/bin/sh\n# a script\nqemu -m 64\\\n -S",
        "qemu\0-m\0" + "64\0-S\0",
        "qemu '-m' \"64\" -S\r\n",
    ],
)
def test_saved_forms_are_the_same(text: str) -> None:
    """One line, many lines, a script, and the very bytes of /proc say the same."""
    assert parse(text) == parse_words(("qemu", "-m", "64", "-S"))


@pytest.mark.parametrize("text", ["", "qemu 'a", "hello world", "x" * (2 << 20) + " -S"])
def test_what_is_no_command_line_is_refused(text: str) -> None:
    """The error names the file."""
    with pytest.raises(InputError, match=r"x\.args"):
        parse(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("# VM\nboot: c\n", False),
        ("[PENDING]\ncores: 1\n", False),
        ("", False),
        ("# a script\nqemu -S\n", True),
        ("-device x", True),
        (LIBVIRT, True),
    ],
)
def test_command_line_is_told_from_a_config(text: str, expected: bool) -> None:  # noqa: FBT001
    """The first line that is not a comment decides."""
    assert is_command(Source(name="x", data=text.encode())) is expected


@given(
    st.lists(
        WORDS | st.text(max_size=40) | st.sampled_from(['{"a":' * 900, "[" * 5000, ",a" * 999])
    )
)
def test_no_words_at_all_raise(words: list[str]) -> None:
    """Whatever the words, the answer is an answer, of texts only."""
    find_iothreads(read_options(words))
    for option in parse_words(words).options:
        assert all(isinstance(value, str) for value in option.properties.values())


@given(st.binary() | st.lists(WORDS).map(lambda words: " ".join(words).encode()))
def test_any_bytes_are_a_command_line_or_refused(data: bytes) -> None:
    """No bytes at all raise anything but InputError."""
    source = Source(name="x", data=data)
    is_command(source)
    with contextlib.suppress(InputError):
        parse_command(source)
