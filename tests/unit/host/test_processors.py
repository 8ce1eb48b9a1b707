"""Lists of processors, and their nodes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from vmio.host.processors import parse_processors, read_processor_nodes


@pytest.mark.parametrize(
    ("text", "processors"),
    [(b"0-3,8\n", (0, 1, 2, 3, 8)), (b"5", (5,)), (b"\n", ()), (b"0,2-2", (0, 2))],
)
def test_list_has_its_processors(text: bytes, processors: tuple[int, ...]) -> None:
    """As the kernel writes it."""
    assert parse_processors(text) == processors


@pytest.mark.parametrize(
    "text", [b"x", b"0,", b"-1", b"3-2", b"0-8192", b",".join([b"0-8191"] * 9), b"\xff"]
)
def test_list_that_is_none_is_refused(text: bytes) -> None:
    """Nor does one take more room than a host's."""
    with pytest.raises(ValueError, match="processors"):
        parse_processors(text)


def test_processors_have_nodes(tmp_path: Path) -> None:
    """What cannot be read is left out."""
    for name, text in (("node0", "0-1\n"), ("node5", "2\n"), ("node6", "x"), ("nodex", "7")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "cpulist").write_text(text)
    (tmp_path / "node7").mkdir()
    assert read_processor_nodes(tmp_path) == {0: 0, 1: 0, 2: 5}
    assert read_processor_nodes(tmp_path / "none") == {}


def test_own_processors_have_a_node_where_the_host_tells() -> None:
    """Each one or none."""
    nodes = read_processor_nodes()
    assert not nodes or os.sched_getaffinity(0) <= nodes.keys()
