"""A comparison in Markdown: a row a job, and what is needed to repeat it."""

from __future__ import annotations

from collections.abc import Callable

from vmio.bench.result import Comparison
from vmio.report.comparison.markdown import render_comparison_markdown


def test_markdown_has_a_row_for_each_job(comparison: Comparison) -> None:
    """After the main result; the facts about host and QEMU follow."""
    text = render_comparison_markdown(comparison)
    assert text.startswith("**virtio-scsi-single is 1.64 times as fast in randread-4k-qd32")
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert len(rows) == 2 + 3
    assert {row.count("|") for row in rows} == {13}
    assert rows[3].startswith("| randread-4k-qd32 | B is faster | 13.9k | 22.7k | 1.64 (1.50 to 1")
    assert "- A: `701.conf: virtio-scsi-pci`\n" in text
    assert "- Measured: `2026-01-02T03:04:05Z, 71 s in total`\n" in text
    assert "Frequency governor" in text


def test_name_of_a_config_breaks_nothing(make_comparison: Callable[..., Comparison]) -> None:
    """Whatever it is called, it stays one code span on its line."""
    name = "`a|b*\n# head\n<img src=x>\x1b[31m"
    text = render_comparison_markdown(make_comparison(name=name))
    lines = [line for line in text.splitlines() if line.startswith("- A: ")]
    assert lines == [r"- A: `` `a\|b*\n# head\n<img src=x>\x1b[31m: virtio-scsi-pci ``"]
    assert "\x1b" not in text
