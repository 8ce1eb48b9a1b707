"""The light verbs stay light: what they import is checked, since their time cannot be."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = ("asyncio", "jinja2", "multiprocessing", "psutil", "qemu", "rich", "subprocess")
CONFIG = "scsi0: local-lvm:vm-100-disk-0,iothread=1,size=32G\nscsihw: virtio-scsi-pci\n"
SCRIPT = """
import json, sys
module, function, *sys.argv = sys.argv[1:]
try:
    status = getattr(__import__(module, fromlist=[function]), function)()
except SystemExit as end:
    status = end.code
json.dump([status or 0, sorted(sys.modules)], sys.stderr)
"""


def list_imports(*arguments: str) -> tuple[int, set[str]]:
    """Runs the console script's function in a new process.

    Returns:
        The exit status, and the top-level packages that were imported by then.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    module, _, function = project["project"]["scripts"]["vmio"].partition(":")
    done = subprocess.run(
        [sys.executable, "-I", "-c", SCRIPT, module, function, "vmio", *arguments],
        capture_output=True,
        text=True,
        check=True,
    )
    status, modules = json.loads(done.stderr.splitlines()[-1])
    return status, {name.partition(".")[0] for name in modules}


@pytest.mark.parametrize("verb", ["--version", "--help"])
def test_asking_about_vmio_imports_nothing_heavy(verb: str) -> None:
    """The version and the help need no terminal library, no event loop and no child process."""
    status, modules = list_imports(verb)

    assert status == 0
    assert modules.isdisjoint(HEAVY), modules & set(HEAVY)


def test_check_imports_nothing_heavy(tmp_path: Path) -> None:
    """Checking a file that has findings needs none of it either."""
    config = tmp_path / "100.conf"
    config.write_text(CONFIG)

    status, modules = list_imports("check", str(config))

    assert status == 1
    assert modules.isdisjoint(HEAVY), modules & set(HEAVY)
