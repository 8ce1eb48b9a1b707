"""What a binary can do, from what it says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmio.model.capabilities import (
    Capabilities,
    QemuVersion,
    parse_capabilities,
    parse_device_names,
    parse_qmp_version,
    parse_version_text,
)

DATA = Path(__file__).parents[2] / "data" / "qmp"

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["id", "return", "name", "QMP", "error", "alias", "qemu", "major"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


def read_recorded(version: str) -> str:
    """Returns the answers that were recorded from a QEMU."""
    return (DATA / version / "capabilities.jsonl").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("QEMU emulator version 10.0.2 (Debian 1:10.0.2+ds-2)\nCopyright", (10, 0, 2)),
        ("QEMU emulator version 7.2.22", (7, 2, 22)),
        ("QEMU emulator version 11.1\n", (11, 1, 0)),
        ("QEMU emulator version 8.2.91 (v9.0.0-rc1)", (8, 2, 91)),
    ],
)
def test_version_text_is_read(text: str, version: tuple[int, int, int]) -> None:
    """The version is that of the first line, with a micro of 0 where there is none."""
    assert parse_version_text(text) == QemuVersion(*version)


@pytest.mark.parametrize(
    "text", ["", "GNU bash, version 5.2.15(1)-release", "QEMU", "QEMU\nx 1.2"]
)
def test_version_text_of_another_program_is_refused(text: str) -> None:
    """A program that is no QEMU has no version of one."""
    with pytest.raises(ValueError, match="not a QEMU version"):
        parse_version_text(text)


def test_versions_order_by_number() -> None:
    """Version 10 is newer than version 9, which text would not say."""
    assert QemuVersion(9, 2, 4) < QemuVersion(10, 0) < QemuVersion(10, 0, 2)
    assert str(QemuVersion(10, 0, 2)) == "10.0.2"


@pytest.mark.parametrize("reply", [None, [], {}, {"qemu": 7}, {"qemu": {"major": "7"}}])
def test_qmp_version_refuses_what_is_none(reply: object) -> None:
    """A greeting without numbers has no version."""
    with pytest.raises(ValueError, match="not a QEMU version"):
        parse_qmp_version(reply)


def test_capabilities_of_10_0_know_virtqueue_mapping() -> None:
    """QEMU 10.0 maps the virtqueues of virtio-blk and of virtio-scsi, by its own account."""
    capabilities = parse_capabilities(read_recorded("10.0.2"))

    assert capabilities.version == QemuVersion(10, 0, 2)
    assert capabilities.package.startswith("Debian 1:10.0.2")
    assert capabilities.iothread_devices == ("virtio-blk-pci", "virtio-scsi-pci")
    assert capabilities.vq_mapping_devices == ("virtio-blk-pci", "virtio-scsi-pci")
    assert "poll-max-ns" in capabilities.iothread_parameters
    assert "poll-weight" not in capabilities.iothread_parameters
    assert capabilities.accelerators == ("kvm", "tcg")
    assert {"pc", "q35", "pc-i440fx-10.0", "pc-q35-10.0"} <= capabilities.machine_names


def test_capabilities_of_7_2_lack_virtqueue_mapping() -> None:
    """QEMU 7.2 gives a device one IOThread and no more."""
    capabilities = parse_capabilities(read_recorded("7.2.22"))

    assert capabilities.version == QemuVersion(7, 2, 22)
    assert capabilities.iothread_devices == ("virtio-blk-pci", "virtio-scsi-pci")
    assert capabilities.vq_mapping_devices == ()
    assert capabilities.accelerators == ("kvm", "tcg")


def test_device_names_are_sorted() -> None:
    """The device types are listed in an order that does not change from run to run."""
    names = parse_device_names(read_recorded("10.0.2"))

    assert "scsi-hd" in names
    assert list(names) == sorted(names)


def test_capabilities_take_an_error_for_nothing() -> None:
    """A command that a version does not know leaves its part empty."""
    transcript = "\n".join(
        json.dumps(line)
        for line in (
            {"id": "version", "return": {"qemu": {"major": 6, "minor": 0, "micro": 0}}},
            {"id": "machines", "error": {"class": "CommandNotFound", "desc": "no"}},
        )
    )

    assert parse_capabilities(transcript) == Capabilities(version=QemuVersion(6, 0, 0))


@given(st.lists(JSON, max_size=4))
def test_capabilities_refuse_any_other_talk(messages: list[object]) -> None:
    """Whatever JSON comes, it is understood or refused as no transcript."""
    transcript = "\n".join(json.dumps(message) for message in messages)
    with pytest.raises(ValueError, match=r"not a (QEMU version|reply of a monitor)"):
        parse_capabilities(transcript)


@pytest.mark.parametrize("transcript", ["not json", "[" * 100_000, '{"id": 1}'])
def test_capabilities_refuse_junk(transcript: str) -> None:
    """Text that is no transcript is refused, however deep it nests."""
    with pytest.raises(ValueError, match=r"not a (QEMU version|reply of a monitor)"):
        parse_capabilities(transcript)
