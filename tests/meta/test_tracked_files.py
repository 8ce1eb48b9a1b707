"""What is under version control is the project's own and fits any machine."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# In pieces, so that this file is not a hit of its own.
FOREIGN = re.compile(
    "|".join(
        [
            r"(?<![\w.])/(?:work|root)" + "/",
            "bash" + "_jobs",
            "/opt/py" + "pi",
            r"py" + r"pi\.org",
            "python" + "hosted",
            r"deb\." + "debian",
            "npm" + "js",
        ]
    )
)


def list_tracked() -> list[Path]:
    """Returns the files that git tracks and that are there, or skips outside of a checkout."""
    listing = subprocess.run(
        # The owner of a mounted checkout is often another user; listing its files is harmless.
        ["git", "-c", "safe.directory=*", "ls-files", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if listing.returncode:
        pytest.skip("not a git checkout")
    paths = (ROOT / os.fsdecode(name) for name in listing.stdout.split(b"\0") if name)
    return [path for path in paths if path.is_file()]


def test_tracked_files_name_no_machine_and_no_package_index() -> None:
    """No file holds a path of somebody's machine or the address of a package index."""
    hits = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in list_tracked()
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if FOREIGN.search(line)
    ]

    assert hits == []


@pytest.mark.parametrize(
    "line", ["cd /work" + "/main", "--index-url https://py" + "pi.org/simple", "(/root" + "/x)"]
)
def test_foreign_lines_are_found(line: str) -> None:
    """The pattern finds what it is there for."""
    assert FOREIGN.search(line)


def test_scripts_are_executable() -> None:
    """A file that names its interpreter can be run as it is."""
    scripts = [path for path in list_tracked() if path.read_bytes().startswith(b"#!/usr/bin/env")]

    assert ROOT / "tools" / "setup" in scripts
    assert [path for path in scripts if not os.access(path, os.X_OK)] == []
