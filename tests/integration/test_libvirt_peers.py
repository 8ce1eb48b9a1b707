"""libvirt's own answers to domains, where they lie beside the checkout."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

SCORER = Path(__file__).parents[2].parent / "shared" / "peers" / "libvirt" / "score.py"


@pytest.mark.skipif(
    not SCORER.is_file(), reason="libvirt's own answers do not lie beside the checkout"
)
@pytest.mark.parametrize("options", [[], ["--stored"], ["--libvirt", "9.0"]], ids=" ".join)
def test_domains_come_to_what_libvirt_makes_of_them(options: list[str]) -> None:
    """Every domain has libvirt's storage half, name by name, or its refusal."""
    program = shlex.join([sys.executable, "-m", "vmio"])
    scored = subprocess.run(
        [sys.executable, str(SCORER), "--vmio", program, *options],
        capture_output=True,
        text=True,
        check=False,
    )
    assert scored.returncode == 0, scored.stdout + scored.stderr
