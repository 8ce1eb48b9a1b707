"""The table of a comparison."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest
from rich.console import Console

from vmio.bench.result import Comparison
from vmio.cli.console import make_console
from vmio.report.comparison.text import print_comparison


def render(comparison: Comparison) -> str:
    """Returns what is printed on a pipe."""
    stream = io.StringIO()
    print_comparison(comparison, Console(file=stream, width=80, highlight=False, markup=False))
    return stream.getvalue()


def test_print_comparison_says_who_serves_and_who_wins(comparison: Comparison) -> None:
    """Both layouts with the disk's thread, figures by side, and a verdict a job."""
    text = render(comparison)
    assert "A  701.conf: virtio-scsi-pci, scsi0 served by main loop" in text
    assert "scsi0 served by iothread-virtioscsi0" in text
    assert "randread-4k-qd32: B is faster, 1.64 times the IOPS of A (95% interval 1.50 to" in text
    assert "\n  p99 0.61 times (0.56 to 0.67), p99.9 0.61 times (0.56 to 0.67), CPU per" in text
    assert "CPU per request" in text
    assert "randread-4k-qd1: B is the same" in text
    assert "read-128k-qd8: cannot tell" in text
    assert "/dev/kvm opens but runs no guest" in text


def test_print_comparison_fits_a_terminal(comparison: Comparison) -> None:
    """The table's lines are not folded at eighty columns."""
    lines = render(comparison).splitlines()
    table = [line for line in lines if line.startswith("randread-4k-qd32 ")]
    assert len(table) == 1
    assert "…" not in "".join(lines)
    assert table[0].split() == [
        *("randread-4k-qd32", "A", "13.9k", "54", "2.07", "ms", "5.53", "ms"),
        *("0.43", "0.61", "0.00", "0.73", "0.00"),
    ]


def test_print_comparison_has_headings_of_two_lines(
    comparison: Comparison, capsys: pytest.CaptureFixture[str]
) -> None:
    """On the command line's own console, which spells out what moves a cursor."""
    print_comparison(comparison, make_console())
    lines = capsys.readouterr().out.splitlines()
    lower = next(at for at, line in enumerate(lines) if line.startswith("job "))
    assert lines[lower - 1].split() == ["guest", "main", "IO-"]
    assert lines[lower].split()[-5:] == ["CPU", "loop", "Threads", "vCPUs", "others"]


def test_print_comparison_shows_no_control_characters(
    make_comparison: Callable[..., Comparison],
) -> None:
    """A file's name cannot speak to the terminal."""
    assert "\x1b" not in render(make_comparison(name="\x1b]0;evil\x07[bold]x"))
