"""What becomes of a monitor's block statistics, whatever they are."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmio.errors import QmpError
from vmio.observe.disks import parse_disks
from vmio.observe.sample import DiskSample, Histogram, Operations

VIRTIO = {
    "device": "drive-virtio0",
    "node-name": "#block130",
    "qdev": "/machine/peripheral/virtio0/virtio-backend",
    "stats": {
        "rd_operations": 3,
        "rd_bytes": 12288,
        "rd_total_time_ns": 900,
        "failed_rd_operations": 1,
        "invalid_rd_operations": 2,
        "rd_merged": 4,
        "rd_latency_histogram": {"boundaries": [10, 20], "bins": [1, 0, 2]},
        "flush_operations": 5,
        "flush_total_time_ns": 6,
        "wr_operations": 1 << 64,
        "wr_bytes": -1,
        "wr_total_time_ns": True,
        "unmap_operations": "1",
        "unmap_bytes": 1.5,
    },
}


def test_disk_has_what_it_did_of_each_kind() -> None:
    """A value that no QEMU says is unknown, and so is a key that is missing."""
    assert parse_disks([VIRTIO], "m") == (
        DiskSample(
            id="virtio0",
            device="drive-virtio0",
            node="#block130",
            qdev="/machine/peripheral/virtio0/virtio-backend",
            reads=Operations(
                count=3,
                transferred_bytes=12288,
                time_ns=900,
                failed=1,
                invalid=2,
                merged=4,
                histogram=Histogram(boundaries_ns=(10, 20), counts=(1, 0, 2)),
            ),
            flushes=Operations(count=5, time_ns=6),
        ),
    )


@pytest.mark.parametrize(
    ("entry", "name"),
    [
        ({"qdev": "sata0", "device": "", "node-name": "n0"}, "sata0"),
        ({"qdev": "/machine/peripheral-anon/device[0]"}, "peripheral-anon/device[0]"),
        ({"device": "spare", "node-name": "n0"}, "spare"),
        ({"device": [], "qdev": 5, "node-name": "n0", "stats": []}, "n0"),
    ],
)
def test_disk_goes_by_its_device_or_by_what_names_it(entry: dict[str, Any], name: str) -> None:
    """As `vmio show` calls it, where a device has it."""
    (disk,) = parse_disks([entry], "m")
    assert disk.id == name
    assert disk.reads == Operations()


def test_disk_that_takes_the_place_of_another_is_the_one() -> None:
    """QEMU 10.0.2 lists both for a moment, if one is plugged under the id of the other."""
    entries: list[dict[str, Any]] = [{"qdev": "sd0", "node-name": each} for each in ("n0", "n1")]

    assert [(each.id, each.node) for each in parse_disks(entries, "m")] == [("sd0", "n1")]


def test_what_nothing_names_is_left_out() -> None:
    """Nobody could say of what its figures are."""
    assert parse_disks([{"stats": {}}], "m") == ()


@pytest.mark.parametrize(
    "histogram",
    [
        None,
        [],
        {},
        {"boundaries": [], "bins": []},
        {"boundaries": [10], "bins": [1]},
        {"boundaries": [10, 10], "bins": [1, 2, 3]},
        {"boundaries": [10, "20"], "bins": [1, 2, 3]},
        {"boundaries": [10, 20], "bins": [1, -2, 3]},
        {"boundaries": list(range(1, 5000)), "bins": [0] * 5000},
    ],
)
def test_histogram_that_is_none_is_unknown(histogram: object) -> None:
    """Counts and boundaries have to fit each other, and end somewhere."""
    entry = {"qdev": "x", "stats": {"rd_latency_histogram": histogram}}
    (disk,) = parse_disks([entry], "m")
    assert disk.reads.histogram is None


@pytest.mark.parametrize("reply", [None, {}, "x", [1], [{}, []], [{"qdev": "x"}] * 5000])
def test_answer_that_is_no_list_of_disks_is_refused(reply: object) -> None:
    """In one line that names the monitor."""
    with pytest.raises(QmpError, match=r"^the monitor ") as caught:
        parse_disks(reply, "the monitor")
    assert "\n" not in caught.value.message


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["qdev", "device", "stats", "rd_operations", "rd_latency_histogram", "bins"]
            ),
            inner,
            max_size=4,
        )
    ),
)


@given(JSON)
def test_hostile_answer_is_no_crash(reply: object) -> None:
    """Whatever it is, there are disks or an error about the monitor."""
    try:
        disks = parse_disks(reply, "m")
    except QmpError:
        return
    assert all(each.id for each in disks)
