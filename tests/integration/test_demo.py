"""The demo, as a person runs it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.usefixtures("guest_image")
def test_demo_tells_the_whole_story(tmp_path: Path) -> None:
    """Why the option is ignored, what serves each disk, both layouts measured, and a report."""
    report = tmp_path / "report.html"
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / "demo.py", "--quick", "--report", report],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        cwd=ROOT,
        timeout=280,
    )
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("TH001 warning: iothread of scsi") == 3
    assert done.stdout.count("as planned: 3 disks, each served as planned") == 2
    assert len(re.findall(r"iothread-virtioscsi[012] +\d+ ", done.stdout)) == 3
    for job in ("randread-4k-qd1", "randread-4k-qd32", "read-128k-qd8"):
        assert re.search(rf"{job}: .*[\d.]+ times the IOPS of A", done.stdout)
    page = report.read_text(encoding="utf-8")
    assert page.count("<svg") >= 5
    assert "http" not in page
