"""Which processor takes a device's interrupts."""

from __future__ import annotations

from pathlib import Path

import pytest

from vmio.host.interrupts import compare_interrupts, read_interrupts

# The second processor is offline; the last row has no counts.
TOLD = """\
            CPU0       CPU2
  8:          1          2  IO-APIC   8-edge      rtc0
 36:         10  28906992  PCI-MSIX-0000:00:02.0   1-edge      virtio1-req.0
LOC:    7421783    8444741  Local timer interrupts
ERR:          0
MIS:          0
"""


def test_interrupts_of_devices_are_counted_by_processor(tmp_path: Path) -> None:
    """By its number, which is not its place where one is offline; timers are no device."""
    path = tmp_path / "interrupts"
    path.write_text(TOLD, encoding="ascii")
    assert read_interrupts(path) == {0: 11, 2: 28906994}


@pytest.mark.parametrize(
    "told",
    [b"", b"\n", b"CPUx\n 1: 2\n", b"\xff\xfe\x00", b"CPU0\n 1: x\n"],
    ids=["empty", "no processors", "no number", "binary", "no count"],
)
def test_what_is_no_table_tells_nothing(tmp_path: Path, told: bytes) -> None:
    """Whatever stands there."""
    path = tmp_path / "interrupts"
    path.write_bytes(told)
    assert read_interrupts(path) == {}
    assert read_interrupts(tmp_path / "missing") == {}


def test_row_that_is_cut_off_counts_as_far_as_it_goes(tmp_path: Path) -> None:
    """The table of a large host is read up to a limit."""
    path = tmp_path / "interrupts"
    path.write_text("CPU0 CPU1\n 1: 5 7 x\n 2: 5", encoding="ascii")
    assert read_interrupts(path) == {0: 10, 1: 7}


def test_shares_are_those_of_the_time_between() -> None:
    """A processor that was not there before counts nothing; without interrupts there is none."""
    assert compare_interrupts({0: 5, 1: 10}, {0: 5, 1: 20}) == {0: 0.0, 1: 1.0}
    assert compare_interrupts({0: 5, 1: 10}, {0: 15, 1: 40}) == {0: 0.25, 1: 0.75}
    assert compare_interrupts({0: 5}, {0: 5}) == {}
    assert compare_interrupts({0: 5}, {0: 6, 1: 1_000}) == {0: 1.0, 1: 0.0}
    assert compare_interrupts({}, {}) == {}
