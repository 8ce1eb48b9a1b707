"""The recorded devices, and what is stated of devices elsewhere, held against them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from vmio.formats.qemu.catalogue import (
    DATA_FILE,
    Catalogue,
    expand_range,
    load_catalogue,
    order_releases,
)
from vmio.lint.registry import find_rule, load_rule
from vmio.model.capabilities import parse_capabilities
from vmio.model.controller import IOTHREAD_DEVICES, MAPPED_SINCE, Controller
from vmio.model.iothread import IOThread
from vmio.model.version import parse_version
from vmio.sim.polling import choose_generation

CATALOGUE = load_catalogue()
DOCUMENT = json.loads(DATA_FILE.read_bytes())
SMALL = Catalogue(
    {
        "releases": {
            "9.2.1": {"targets": ["x86_64"]},
            "10.0.2": {"targets": ["s390x", "x86_64"]},
            "10.2.0": {"targets": ["x86_64"]},
            "7.2.0": {"targets": ["x86_64"]},
        },
        "iothread": {"..": ["poll-max-ns"], "10.0.2..": ["new"]},
        "aliases": {"disk": {"x86_64": "disk-pci", "s390x": "disk-ccw"}},
        "devices": {
            "disk-pci": {
                "targets": {"x86_64": ["9.2.1.."]},
                "properties": {"..": ["drive", "switch"], "..10.0.2": ["old"]},
            },
            "disk-ccw": {"targets": {"s390x": [".."]}, "properties": {"..": ["drive"]}},
            "rare": {"targets": {"x86_64": ["..7.2.0", "10.0.2.."]}, "properties": {}},
            "virtio-net-pci": {"targets": {"x86_64": [".."]}, "properties": {"..": ["mac"]}},
        },
        "others": ["cirrus-vga"],
    }
)


@pytest.mark.parametrize(
    ("version", "releases"),
    [
        (None, ("7.2.0", "9.2.1", "10.0.2", "10.2.0")),
        ("7.2.0", ("7.2.0",)),
        ("10.0.13", ("10.0.2",)),
        ("10.1.0", ("10.0.2", "10.2.0")),
        ("10.1.91", ("10.0.2", "10.2.0")),
        ("10.1.2-7", ("10.0.2", "10.2.0")),
        ("7.1.0", ()),
        ("10.3.0", ()),
        ("10.2.92", ()),
    ],
)
def test_version_goes_by_its_series_or_its_neighbours(
    version: str | None, releases: tuple[str, ...]
) -> None:
    """A version between two that are recorded is known by both; beyond the ends nothing is."""
    parsed = None if version is None else parse_version(version)
    assert SMALL.find_releases(parsed) == releases


def test_device_is_known_by_release_and_architecture() -> None:
    """A device of one target is not one of another, and an alias means each target's own."""
    assert not SMALL.has_device("disk-pci", "7.2.0", "x86_64")
    assert SMALL.has_device("disk-pci", "9.2.1", "i386")
    assert not SMALL.has_device("disk-pci", "10.0.2", "s390x")
    assert SMALL.list_targets("disk-ccw", "10.0.2") == ("s390x",)
    assert SMALL.list_targets("disk-ccw", "10.2.0") == ()
    assert SMALL.list_devices("x86_64", "9.2.1") == {"disk", "disk-pci"}
    assert SMALL.list_devices("s390x", "10.0.2") == {"disk", "disk-ccw"}
    assert SMALL.resolve("disk", "s390x") == "disk-ccw"
    assert SMALL.resolve("disk", "riscv64") == "disk"
    assert not SMALL.knows_target("s390x", "9.2.1")


def test_device_that_comes_and_goes_is_left_to_who_builds_qemu() -> None:
    """What is missing between two releases is no device that QEMU removed."""
    assert SMALL.is_optional("rare", "x86_64")
    assert not SMALL.is_optional("disk-pci", "x86_64")
    assert not SMALL.is_optional("nothing", "x86_64")


def test_properties_are_those_of_the_release() -> None:
    """A range holds at both its ends, and where the device is."""
    assert SMALL.list_properties("disk-pci", "10.0.2") == {"drive", "switch", "old"}
    assert SMALL.list_properties("disk-pci", "10.2.0") == {"drive", "switch"}
    assert SMALL.list_properties("disk-pci", "7.2.0") == frozenset()
    assert SMALL.list_iothread_properties("9.2.1") == {"poll-max-ns"}


def test_history_is_told_by_the_nearest_release() -> None:
    """What was removed has a last release, what comes later a first one, a slip has neither."""
    assert SMALL.describe(("10.2.0",), ("7.2.0", "9.2.1")) == "QEMU 9.2.1 has it, 10.0.2 no longer"
    assert SMALL.describe(("7.2.0", "9.2.1"), ("10.2.0",)) == "QEMU 10.2.0 has it, 10.0.2 not yet"
    assert SMALL.describe(("10.2.0",), ()) == ""


def test_data_is_whole() -> None:
    """Every range and every alias is of what is recorded, and no list says a name twice."""
    releases = order_releases(DOCUMENT["releases"])
    assert tuple(DOCUMENT["releases"]) == releases
    assert list(DOCUMENT["devices"]) == sorted(DOCUMENT["devices"])
    for name, entry in DOCUMENT["devices"].items():
        assert entry["targets"], name
        for spans in entry["targets"].values():
            assert all(expand_range(span, releases) for span in spans)
        for release in releases:
            written = [
                each
                for span, names in entry["properties"].items()
                if release in expand_range(span, releases)
                for each in names
            ]
            assert len(written) == len(set(written)), name
    for meant in DOCUMENT["aliases"].values():
        assert set(meant.values()) <= set(DOCUMENT["devices"])
    assert not set(DOCUMENT["others"]) & set(DOCUMENT["devices"])


def test_iothread_devices_are_those_that_take_one() -> None:
    """The model's statement is the data's; a disk of Xen is made by no command line here."""
    for name in DOCUMENT["devices"]:
        for release in CATALOGUE.releases:
            takes_one = "iothread" in CATALOGUE.list_properties(name, release)
            model = Controller(id="c", model=name, bus="scsi")
            if CATALOGUE.has_device(name, release) and not name.startswith("xen-"):
                assert takes_one == model.takes_iothread, (name, release)
    assert IOTHREAD_DEVICES == ("virtio-blk", "virtio-scsi")


@pytest.mark.parametrize(("bus", "device"), [("virtio", "virtio-blk"), ("scsi", "virtio-scsi")])
def test_mapping_is_there_since_the_release_that_the_model_names(bus: str, device: str) -> None:
    """No recorded release before it has the property, and each from it on does."""
    since = {str(key): value for key, value in MAPPED_SINCE.items()}[bus]
    for release in CATALOGUE.releases:
        names = CATALOGUE.list_properties(f"{device}-pci", release)
        assert ("iothread-vq-mapping" in names) == (parse_version(release).series >= since)


def test_poll_weight_is_there_since_the_release_that_th017_names() -> None:
    """No recorded release before 11.1 has the parameter, and the simulator goes by the same."""
    for release in CATALOGUE.releases:
        names = CATALOGUE.list_iothread_properties(release)
        version = parse_version(release)
        assert ("poll-weight" in names) == (version.series >= (11, 1))
        if version.series >= (7, 2):
            assert ("poll-weight" in names) == (choose_generation(version) == "weighted")
        assert ("thread-pool-max" in names) == (version.series >= (7, 1))
        assert all(hasattr(IOThread(id="io0"), name.replace("-", "_")) for name in names)


@pytest.mark.parametrize("version", ["7.2.22", "10.0.2"])
def test_replies_of_a_monitor_say_the_same(version: str) -> None:
    """Devices that took an IOThread or a mapping when a QEMU was asked do so in the data."""
    folder = Path(__file__).parents[3] / "data" / "qmp" / version
    transcript = (folder / "capabilities.jsonl").read_text(encoding="utf-8")
    said = parse_capabilities(transcript)
    asked = set(re.findall(r'"id": "device ([^"]+)"', transcript))
    (release,) = CATALOGUE.find_releases(said.version)
    recorded = {name: CATALOGUE.list_properties(name, release) for name in asked}
    assert asked & set(said.iothread_devices)
    for name in asked:
        assert ("iothread" in recorded[name]) == (name in said.iothread_devices), name
        has_mapping = "iothread-vq-mapping" in recorded[name]
        assert has_mapping == (name in said.vq_mapping_devices), name
    assert set(said.iothread_parameters) == CATALOGUE.list_iothread_properties(release)


@pytest.mark.parametrize("code", ["CF030", "CF031"])
def test_pages_of_the_rules_name_every_recorded_release(code: str) -> None:
    """A release that is added to the data is added to what the rules' pages refer to."""
    page = load_rule(find_rule(code)).describe()
    first, last = (".".join(CATALOGUE.releases[n].split(".")[:2]) for n in (0, -1))
    assert f"from {first} to {last}" in " ".join(page.split())
    assert all(release in page for release in CATALOGUE.releases)
