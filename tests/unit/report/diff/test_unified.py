"""What changes is shown as a diff that `patch` takes, whatever bytes a config has."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from vmio.lint.diagnostic import CheckedFile
from vmio.model.source import Source
from vmio.report.diff.unified import render_unified_diff
from vmio.report.findings.diff import DiffReport


def test_diff_shows_the_lines_that_differ() -> None:
    """Hunks have three lines around them, and carriage returns belong to the lines."""
    before = Source(name="1.conf", data=b"a\r\nb\r\nc\r\nd\r\ne\r\nf\r\n")
    assert render_unified_diff(before, before.data.replace(b"e", b"E")) == (
        "--- 1.conf\n+++ 1.conf\n@@ -2,5 +2,5 @@\n b\r\n c\r\n d\r\n-e\r\n+E\r\n f\r\n"
    )


def test_diff_tells_of_a_missing_last_newline() -> None:
    """A last line without its newline differs from one with it."""
    assert render_unified_diff(Source(name="1", data=b"a"), b"a\n").splitlines()[3:] == [
        "-a",
        "\\ No newline at end of file",
        "+a",
    ]


def test_diff_of_no_change_is_empty() -> None:
    """A file that stays as it is is not mentioned."""
    source = Source(name="1", data=b"a\n")
    assert render_unified_diff(source, b"a\n") == ""
    assert DiffReport().render_file(CheckedFile(name="1", source=source, before=source)) == ""


def test_diff_obeys_nothing_on_a_terminal() -> None:
    """Where it is coloured, control characters and foreign bytes are spelled out."""
    text = render_unified_diff(Source(name="a\nb", data=b"\x1b[2J\xff\n"), b"x\n", colour=True)
    assert '--- "a\\nb"' in text
    assert "\x1b[31m-\\x1b[2J\\xff\x1b[0m\n" in text


LINES = st.lists(st.sampled_from([b"a", b"b", b"\xff", b"c\r", b"-- x", b""]), max_size=12)


@pytest.mark.skipif(shutil.which("patch") is None, reason="needs patch on PATH")
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(old=LINES, new=LINES, ends=st.tuples(st.booleans(), st.booleans()))
@example(
    old=[b"a", b"b", b"c", b"a", b"c", b"c", b"c", b"a", b"a", b"a"],
    new=[b"a", b"b", b"c", b"c", b"c", b"c", b"c", b"a", b"a", b"a"],
    ends=(False, False),
)
def test_diff_is_taken_by_patch(
    tmp_path: Path, old: list[bytes], new: list[bytes], ends: tuple[bool, bool]
) -> None:
    """`patch` makes the new bytes of the old ones."""
    before, after = (
        b"\n".join(lines) + (b"\n" if end and lines else b"")
        for lines, end in zip((old, new), ends, strict=True)
    )
    if before == after or not before or not after:
        return
    file = tmp_path / "1.conf"
    file.write_bytes(before)
    text = render_unified_diff(Source(name="1.conf", data=before), after)
    subprocess.run(
        ["patch", "--binary", "--silent", "1.conf"],
        input=text.encode("utf-8", "surrogateescape"),
        cwd=tmp_path,
        check=True,
    )
    assert file.read_bytes() == after
