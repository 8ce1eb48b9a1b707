"""The time that a control group waited for I/O."""

from __future__ import annotations

from pathlib import Path

import pytest

from vmio.host.pressure import IoWaits, read_io_waits

TEXT = """\
some avg10=1.00 avg60=0.50 avg300=0.10 total=1234567
full avg10=0.00 avg60=0.00 avg300=0.00 total=765432
"""


def write_group(root: Path, text: str) -> None:
    """Writes the file of a group `/qemu.slice/100.scope`."""
    folder = root / "qemu.slice/100.scope"
    folder.mkdir(parents=True)
    (folder / "io.pressure").write_text(text, encoding="ascii")


def test_waits_are_the_totals(tmp_path: Path) -> None:
    """Shares of an interval of one's own are exact; the kernel's averages are not."""
    write_group(tmp_path, TEXT)
    found = read_io_waits("/qemu.slice/100.scope", root=tmp_path)
    assert found == IoWaits(some_us=1234567, full_us=765432)


@pytest.mark.parametrize("text", ["", "some total=1", "some avg10=0 total=x\nfull total=1\n"])
def test_text_that_is_not_the_kernels_is_not_known(tmp_path: Path, text: str) -> None:
    """A host without pressure information, or with another form of it."""
    write_group(tmp_path, text)
    assert read_io_waits("/qemu.slice/100.scope", root=tmp_path) is None


@pytest.mark.parametrize("group", ["", "relative", "/../etc", "/qemu.slice/../../x", "/none"])
def test_group_leads_nowhere_else(tmp_path: Path, group: str) -> None:
    """A group's name is a path below the hierarchy, or nothing."""
    write_group(tmp_path, TEXT)
    assert read_io_waits(group, root=tmp_path) is None
