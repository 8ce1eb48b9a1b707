"""Host descriptions."""

from __future__ import annotations

import pytest

from vmio.errors import InputError
from vmio.formats.host_toml import parse_host, render_host
from vmio.model.host import Host
from vmio.model.source import Source
from vmio.model.version import QemuVersion


def source(text: str) -> Source:
    """Makes a source of a text."""
    return Source(name="host.toml", data=text.encode())


def test_facts_are_read_with_their_types() -> None:
    """Tables become the host's parts, arrays tuples."""
    host = parse_host(
        source('qemu_version = "10.0.2"\n[cpu]\ncount = 8\nflags = ["a"]\n[bridges]\nvmbr0 = 9000')
    )
    assert host.qemu_version == QemuVersion(10, 0, 2)
    assert (host.cpu.count, host.cpu.flags) == (8, ("a",))
    assert host.bridges == {"vmbr0": 9000}


def test_overrides_replace_one_fact() -> None:
    """A dotted key sets a fact; what is not TOML is a string."""
    overrides = [("qemu_version", "9.2.0"), ("cpu.count", "3"), ("cpu.sev.sev", "true")]
    host = parse_host(source("[cpu]\nphys_bits = 46"), overrides)
    assert (str(host.qemu_version), host.cpu.count, host.cpu.phys_bits) == ("9.2.0", 3, 46)
    assert host.cpu.sev.sev


def test_overrides_alone_keep_the_rest_of_a_host() -> None:
    """Without a description the base's facts hold."""
    assert parse_host(None, [("node", "x")], base=Host(arch="aarch64")).arch == "aarch64"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("not toml", "is not a host description"),
        ('cpu = "x"', "'cpu'"),
        ('[cpu]\ncount = "8"', "'cpu.count': expected int, got str"),
        ("[cpu]\ncount = true", "'cpu.count': expected int, got bool"),
        ("[cpu]\ncount = -1", "'cpu': count must be at least 0, not -1"),
        ("[cpu]\ncount = 1000000000", "'cpu': count must be at most 8192, not 1000000000"),
        ("[cpu]\nphys_bits = -1", "'cpu': phys_bits must be at least 0, not -1"),
        ("[cpu]\nphys_bits = 1000000000", "'cpu': phys_bits must be at most 64, not 1000000000"),
        ("[cpu]\ncounts = 8", "a host has no key 'cpu.counts'"),
        ("colour = 1", "a host has no key 'colour'"),
        ('qemu_version = "new"', "'qemu_version': 'new' is not a QEMU version"),
        ("qemu_version = 10.2", "'qemu_version': expected str, got float"),
    ],
)
def test_wrong_description_names_the_key(text: str, why: str) -> None:
    """What is wrong is said in one line, with the key."""
    with pytest.raises(InputError) as caught:
        parse_host(source(text))
    assert why in caught.value.message
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    "text", ["", "10.0", "10.0.2", "10.1.2-7", "10.1.92", "8.2.2+ds-0~bpo12+1"]
)
def test_version_is_written_as_it_was_read(text: str) -> None:
    """A version keeps its own form, and one that is not known stays empty."""
    host = parse_host(source(f'qemu_version = "{text}"\npve_qemu_version = "{text}"'))
    lines = render_host(host).splitlines()
    assert f'qemu_version = "{text}"' in lines
    assert f'pve_qemu_version = "{text}"' in lines
    assert (host.qemu_version is None) is (text == "")


def test_override_below_a_plain_value_is_refused() -> None:
    """A fact that is no table has no keys."""
    with pytest.raises(InputError, match="has no keys"):
        parse_host(source('node = "x"'), [("node.y", "1")])


@pytest.mark.parametrize(
    "text",
    [
        f"schema = {'9' * 5000}",
        f"schema = 0x{'f' * 5000}",
        ".".join(["cpu_models"] * 40_000) + " = 1",
        f"node = {'[' * 500}{']' * 500}",
        f"{'x' * 100_000} = 1",
        f"[cpu]\ncount = '{'x' * 100_000}'",
    ],
    ids=["digits", "hex", "dots", "lists", "long key", "long value"],
)
def test_description_that_is_made_to_take_long_is_refused(text: str) -> None:
    """In one line of a length that a person reads."""
    with pytest.raises(InputError) as told:
        parse_host(Source(name="h", data=text.encode()))
    assert len(told.value.message) < 300


def test_override_nests_no_deeper_than_a_description() -> None:
    """`--set` with thousands of dots has no key, and what it says is no number of a host's."""
    with pytest.raises(InputError):
        parse_host(None, [(".".join(["a"] * 40_000), "1")])
    with pytest.raises(InputError):
        parse_host(None, [("cpu.count", "9" * 5000)])


def test_version_of_two_numbers_is_no_fraction() -> None:
    """What TOML would read as a number is a version where one is asked for."""
    host = parse_host(None, [("libvirt_version", "9.0"), ("qemu_version", "10.0")])
    assert host.libvirt_version == "9.0"
    assert str(host.qemu_version) == "10.0"
