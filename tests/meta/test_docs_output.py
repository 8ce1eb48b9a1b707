"""What the pages show is what vmio prints.

A block marked `console` is run, each `$ vmio …` in the root of the checkout, and its output
compared line by line. What cannot come out the same twice, as a measurement, stands in a block of
another mark.
"""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from vmio.testing import call

ROOT = Path(__file__).parents[2]
_BLOCK = re.compile(r"^```console\n(.*?)^```", re.DOTALL | re.MULTILINE)


def list_calls() -> Iterator[tuple[str, str, list[str]]]:
    """Yields every call on a page: the page's name, the words, and the lines shown below it."""
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))):
        for block in _BLOCK.findall(page.read_text(encoding="utf-8")):
            for piece in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
                command, *lines = piece.splitlines()
                yield page.name, command, lines


pytestmark = pytest.mark.usefixtures("compiled_simulator")
CALLS = list(list_calls())


def test_readme_shows_calls() -> None:
    """The README has a session to check, so that the test below is not an empty one."""
    assert sum(page == "README.md" for page, _, _ in CALLS) >= 3


@pytest.mark.parametrize(
    ("command", "lines"),
    [call[1:] for call in CALLS],
    ids=[f"{page}: {command}" for page, command, _ in CALLS],
)
def test_page_shows_what_vmio_prints(command: str, lines: list[str], tmp_path: Path) -> None:
    """The lines below a call are the lines that the call prints, both of its streams in one file.

    It runs in this process, which has the simulator compiled.
    """
    program, *arguments = shlex.split(command)
    assert program == "vmio"
    printed = tmp_path / "printed"
    with pytest.MonkeyPatch.context() as patch, ExitStack() as stack:
        patch.chdir(ROOT)
        for name, buffering in (("stdout", -1), ("stderr", 1)):
            stream = printed.open("a", buffering=buffering, encoding="utf-8")
            patch.setattr(sys, name, stack.enter_context(stream))
        call(*arguments)
    assert [line.rstrip() for line in printed.read_text().splitlines()] == lines
