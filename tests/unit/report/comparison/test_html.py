"""The page of a comparison: one valid file that refers to nothing, and is whole or not there."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vmio.bench.jobs import DEFAULT_JOBS
from vmio.bench.result import Comparison, ThreadKind, ThreadLoad
from vmio.errors import OutputError, UsageError
from vmio.report.comparison.html import (
    render_command_lines,
    render_comparison_html,
    write_comparison_html,
)
from vmio.report.page import check_report_path
from vmio.values import replace

VOID = frozenset({"meta", "br", "hr", "img", "input", "link"})
LOADERS = frozenset({"script", "link", "img", "iframe", "object", "embed", "base", "form", "a"})


class Page(HTMLParser):
    """Reads a page, and objects to a tag that is closed wrongly or an id that comes twice."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.named: list[str] = []
        self.attributes: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open, f"left open: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Notes a tag."""
        self.tags.append(tag)
        self.attributes += [name for name, _ in attrs]
        self.ids += [value or "" for name, value in attrs if name == "id"]
        for name, value in attrs:
            if name == "aria-labelledby":
                self.named += (value or "").split()
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Notes an element that SVG closes in its own tag."""
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        """Takes a closing tag, which must be that of the innermost element."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Notes text."""
        if self.open and self.open[-1] != "style":
            self.words.append(data)


def test_render_comparison_html_is_valid(comparison: Comparison) -> None:
    """Every element is closed in order, ids come once, and what they are named by exists."""
    text = render_comparison_html(comparison)
    page = Page(text)
    assert text.startswith("<!DOCTYPE html>")
    assert len({*page.ids}) == len(page.ids)
    assert {*page.named} <= {*page.ids}
    assert {"html", "head", "title", "main", "table", "caption", "thead", "svg"} <= {*page.tags}
    # Without its doctype and entities of HTML's own the page is even well-formed XML.
    body = text.removeprefix("<!DOCTYPE html>").replace("&times;", "x")
    ET.fromstring(re.sub(r"<meta[^>]*>", "", body))  # noqa: S314  # our own output


def test_render_comparison_html_refers_to_nothing(comparison: Comparison) -> None:
    """No address, no element that loads anything, no script: it opens offline as it is."""
    text = render_comparison_html(comparison)
    page = Page(text)
    assert "http" not in text
    assert "//" not in text
    assert not LOADERS & {*page.tags}
    assert not {"src", "href", "onclick", "style"} & {*page.attributes}
    assert "url(" not in text
    assert "@import" not in text


def test_render_comparison_html_tells_everything(comparison: Comparison) -> None:
    """Layouts, verdicts, figures, commands, host and method are all there."""
    words = " ".join(Page(render_comparison_html(comparison)).words)
    for said in (
        "virtio-scsi-pci against virtio-scsi-single",
        "B is faster",
        "B is the same",
        "cannot tell",
        "p99.9",
        "CPU per request",
        "iothread-virtioscsi0",
        "/dev/sda in the guest",
        "/dev/kvm opens but runs no guest",
        "Example CPU @ 2.00GHz",
        "-append 'console=ttyS0 quiet panic=-1'",
        "stopped over QMP",
        "2026-01-02T03:04:05Z",
    ):
        assert said in words


def test_render_comparison_html_has_pictures_for_every_job(comparison: Comparison) -> None:
    """Two layouts and six charts a job, each with a title and a description."""
    page = Page(render_comparison_html(comparison))
    assert page.tags.count("svg") == 2 + 6 * len(comparison.jobs)
    assert page.tags.count("desc") == page.tags.count("svg")


def test_render_comparison_html_tells_first_what_the_person_came_for(
    comparison: Comparison,
) -> None:
    """Before the verdict of each job."""
    words = " ".join(" ".join(Page(render_comparison_html(comparison)).words).split())
    assert words.index("1.64 times as fast") < words.index("B is faster")
    assert "main loop: 0.61 processors with A, 0.09 with B" in words


def test_threads_of_disks_are_words_too(comparison: Comparison) -> None:
    """A narrow window has no room for the picture, and shows a table in its place."""
    text = render_comparison_html(comparison)
    tables = re.findall(r'<table class="narrow">.*?</table>', text, re.DOTALL)
    rows = [re.findall(r"<t[hd][^>]*>(?:<strong>)?([^<]+)", table)[-3:] for table in tables]
    assert rows == [
        ["scsi2", "scsihw0", "main loop"],
        ["scsi2", "virtioscsi2", "iothread-virtioscsi2"],
    ]


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.text(min_size=1, max_size=40))
def test_render_comparison_html_escapes_names(
    make_comparison: Callable[..., Comparison], name: str
) -> None:
    """A config can be called anything and the page stays what it is."""
    benign = Page(render_comparison_html(make_comparison()))
    page = Page(render_comparison_html(make_comparison(name=f"<script>{name}")))
    assert page.tags == benign.tags


def test_render_comparison_html_takes_two_pairs(
    make_comparison: Callable[..., Comparison],
) -> None:
    """An interval that is far wider than the figures stays inside its picture."""
    text = render_comparison_html(make_comparison(drop=3))
    assert "nan" not in text
    assert "inf" not in text.replace("info", "")


def test_page_has_the_command_of_fio_once_for_jobs_that_ran_at_the_same_time(
    comparison: Comparison,
) -> None:
    """With the devices that are known, and the id of any other disk."""
    other = replace(DEFAULT_JOBS[0], name="other", disk="scsi1")
    job = replace(DEFAULT_JOBS[1], name="mine", disk="scsi0", beside=(other,))
    both = (job, replace(other, beside=(replace(job, beside=()),)))
    results = tuple(
        replace(result, job=each) for result, each in zip(comparison.jobs, both, strict=False)
    )
    page = render_comparison_html(replace(comparison, jobs=results))
    assert page.count("<summary>mine, other</summary>") == 1
    assert "<summary>other, mine</summary>" not in page
    command = page[page.index("<summary>mine, other") :].partition("</pre>")[0]
    assert "--filename=/dev/sda" in command
    assert "--filename=scsi1" in command


def test_render_command_lines_can_be_pasted() -> None:
    """Each option stands on a line with its value, quoted for a shell."""
    assert render_command_lines(("qemu", "-S", "-name", "a b", "-m", "1")) == (
        "qemu \\\n  -S \\\n  -name 'a b' \\\n  -m 1"
    )


def test_write_comparison_html_writes_the_page(comparison: Comparison, tmp_path: Path) -> None:
    """The file holds the page, others can read it, and nothing else is in its folder."""
    path = tmp_path / "report.html"
    path.write_text("<!DOCTYPE html>old", encoding="utf-8")
    write_comparison_html(comparison, path)
    assert path.read_text(encoding="utf-8") == render_comparison_html(comparison)
    assert [*tmp_path.iterdir()] == [path]
    assert path.stat().st_mode & 0o400


def test_write_comparison_html_leaves_nothing_half_written(
    comparison: Comparison, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a full disk the old report is still there, and no temporary file."""
    path = tmp_path / "report.html"
    old = "<!doctype HTML>old"
    path.write_text(old, encoding="utf-8")

    def fail(_descriptor: int) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OutputError, match=r"report\.html: No space left on device") as caught:
        write_comparison_html(comparison, path)
    assert caught.value.hint
    assert [one.read_text(encoding="utf-8") for one in tmp_path.iterdir()] == [old]


def test_write_comparison_html_cleans_up_when_interrupted(
    comparison: Comparison, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C in the middle of writing leaves no file."""

    def interrupt(_descriptor: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_comparison_html(comparison, tmp_path / "report.html")
    assert not [*tmp_path.iterdir()]


def test_check_report_path_refuses_what_cannot_be_written(tmp_path: Path) -> None:
    """A folder that is not there is said before anything is measured, not after."""
    check_report_path(tmp_path / "report.html")
    assert not [*tmp_path.iterdir()]
    with pytest.raises(OutputError, match="No such file or directory"):
        check_report_path(tmp_path / "missing" / "report.html")
    with pytest.raises(OutputError, match="it is a folder"):
        check_report_path(tmp_path)


def test_page_replaces_no_other_file(comparison: Comparison, tmp_path: Path) -> None:
    """A slip of the shell's completion does not cost the config; an empty file is nobody's."""
    path = tmp_path / "100.conf"
    path.write_text("name: precious\n", encoding="utf-8")
    for act in (check_report_path, lambda path: write_comparison_html(comparison, path)):
        with pytest.raises(UsageError, match="exists and is not a page, so it is not") as caught:
            act(path)
        assert caught.value.hint
    assert path.read_text(encoding="utf-8") == "name: precious\n"
    path.write_text("", encoding="utf-8")
    write_comparison_html(comparison, path)
    assert path.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_threads_stand_as_people_count(comparison: Comparison) -> None:
    """By their kinds, and vCPU 2 before vCPU 10, whichever side or run had one first."""
    names = ["workers", "vCPU 10", "vCPU 2", "iothread-virtioscsi10", "iothread-virtioscsi9"]
    kinds: tuple[ThreadKind, ...] = ("other", "vcpu", "vcpu", "iothread", "iothread")
    loads = tuple(
        ThreadLoad(name=name, kind=kind, cpu_share=0.1)
        for name, kind in zip(names, kinds, strict=True)
    )
    job = comparison.jobs[0]
    pairs = tuple(replace(pair, b=replace(pair.b, threads=loads)) for pair in job.pairs)
    page = render_comparison_html(replace(comparison, jobs=(replace(job, pairs=pairs),)))
    rows = re.findall(r'<th scope="row">([^<]*)</th><td>', page.replace("\n", ""))

    assert rows[-8:] == [
        *("main loop", "iothread-virtioscsi9", "iothread-virtioscsi10"),
        *("vCPU 0", "vCPU 1", "vCPU 2", "vCPU 10", "workers"),
    ]
