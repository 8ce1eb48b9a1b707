"""Proxmox VE's own command lines and recorded event loops, where they lie beside the checkout."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SHARED = Path(__file__).parents[2].parent / "shared"
SCORER = SHARED / "peers" / "cfg2cmd" / "score.py"

pytestmark = pytest.mark.skipif(
    not SCORER.is_file(), reason="Proxmox VE's own command lines do not lie beside the checkout"
)


def score(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Compares every config of a folder with its command line."""
    program = shlex.join((sys.executable, "-m", "vmio"))
    return subprocess.run(
        [sys.executable, str(SCORER), str(folder), "--vmio", program, *options],
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )


@pytest.mark.parametrize("name", ["extra", "upstream"])
def test_lines_equal_those_of_proxmox(name: str, tmp_path: Path) -> None:
    """Every whole line is Proxmox's, word for word, and so is every error."""
    folder = tmp_path / name
    shutil.copytree(SCORER.parent / name, folder)
    # The lines of this folder are for the usual host too, unless they say otherwise.
    if (folder / "aarch64").is_dir():
        (folder / "aarch64").rename(folder / "other-architectures")
    result = score(folder)
    assert result.returncode == 0, result.stdout


def test_lines_equal_those_of_the_reference_note() -> None:
    """The reference guests' lines come out word for word."""
    result = score(SHARED / "seed", "--storage", str(SHARED / "seed" / "storage.cfg"))
    assert result.returncode == 0, result.stdout
    assert re.search(r"whole lines equal 2/2", result.stdout)


@pytest.mark.parametrize("version", ["7.2", "10.0", "11.1"])
def test_recorded_loops_polled_as_computed(version: str) -> None:
    """Every change of a polling time and every budget of a real QEMU comes out."""
    recording = SHARED / "peers" / "polling" / f"replay-{version}.txt.xz"
    result = subprocess.run(
        [sys.executable, "-m", "vmio", "replay", "--check", str(recording), "--qemu", version],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    counts = re.fullmatch(r"events (\d+)/(\d+), budgets (\d+)/(\d+)\n", result.stdout)
    assert counts is not None, result.stderr
    assert int(counts[2]) > 2000
    assert (counts[1], counts[3], result.returncode) == (counts[2], counts[4], 0)


def test_recorded_loop_is_not_that_of_another_qemu() -> None:
    """The check can fail: the rule of 7.2 does not come to what 10.0 did."""
    recording = SHARED / "peers" / "polling" / "replay-10.0.txt.xz"
    result = subprocess.run(
        [sys.executable, "-m", "vmio", "replay", "--check", str(recording), "--qemu", "7.2"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 1
