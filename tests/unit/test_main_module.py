"""The program from its first line on, while most of it is still being imported."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

# In the order in which they are imported. Before the first, Python is still starting itself.
MODULES = ("vmio.cli", "typing", "click._compat", "click.core", "vmio.errors", "vmio.cli.main")


@pytest.mark.parametrize("module", MODULES)
def test_ctrl_c_during_the_imports_shows_no_traceback(module: str) -> None:
    """Whatever is imported when Ctrl-C comes, vmio ends with 130 and says no more."""
    with subprocess.Popen(
        [sys.executable, "-X", "importtime", "-m", "vmio", "check", "-"],
        stdin=subprocess.PIPE,  # stays open, so that the verb itself would wait for ever
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.decode().rpartition("|")[2].strip() == module:
                break
        process.send_signal(signal.SIGINT)
        # click ends the terminal's line of ^C, if it has begun.
        said = [each for each in process.stderr if not each.startswith((b"import time:", b"\n"))]
        assert process.wait() == 130
    assert said in ([], [b"vmio: interrupted\n"])
