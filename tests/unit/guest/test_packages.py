"""Packages as a source of files, with stand-ins for apt and dpkg."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from vmio.errors import CapabilityError, OutputError, ToolError, VmioError
from vmio.guest.packages import (
    Package,
    download_packages,
    parse_stanzas,
    read_candidates,
    read_files,
    select_libraries,
)

if TYPE_CHECKING:
    from tests.unit.guest.conftest import Archive

SHOWN = """\
Package: fio
Version: 3.33-3
Section: utils
Depends: libaio1 (>= 0.3.93) | libaio1t64, zlib1g:any (>= 1:1.2.0),python3
Pre-Depends: init-system-helpers (>= 1.54~)
Size: 537684
Description-en: flexible I/O tester
 fio is a tool that will spawn a number of threads.
 .
 Depends: not a field

Package: fio
Version: 3.1
Section: utils
Size: 1

Package: libicu72
Version: 72.1-3+deb12u1
Section: non-free/libs
Size: much
"""


def make_package(name: str, section: str = "libs", depends: tuple[str, ...] = ()) -> Package:
    """Makes a package of which only the name, the shelf and the needs matter."""
    return Package(name=name, version="1", section=section, size_bytes=1, depends=depends)


def test_stanzas_give_name_version_and_needs() -> None:
    """The first of several alternatives counts, versions and architectures are left out."""
    fio = parse_stanzas(SHOWN)["fio"]
    assert str(fio) == "fio=3.33-3"
    assert fio.size_bytes == 537684
    assert fio.depends == ("init-system-helpers", "libaio1", "zlib1g", "python3")


def test_stanzas_do_without_what_is_odd() -> None:
    """A size that is no number counts as none, and the archive's area is no part of a section."""
    libicu = parse_stanzas(SHOWN)["libicu72"]
    assert (libicu.size_bytes, libicu.section) == (0, "libs")
    assert parse_stanzas("junk\n\nPackage: x\n") == {}


def test_libraries_are_selected_and_interpreters_left_out() -> None:
    """What is needed is followed through libraries only, and circles end."""
    known = {
        package.name: package
        for package in (
            make_package("fio", "utils", ("libb", "python3")),
            make_package("libb", depends=("libc6",)),
            make_package("libc6", depends=("libb", "gone")),
            make_package("python3", "python", ("libexpat1",)),
            make_package("libexpat1"),
        )
    }
    names = [package.name for package in select_libraries(("fio",), known)]
    assert names == ["fio", "libb", "libc6"]


@pytest.mark.usefixtures("archive")
def test_candidates_are_read_from_apt() -> None:
    """The packages named and those that they depend on come with their versions."""
    known = read_candidates(("fio",))
    assert known["libc6"].version == "1"


def test_candidates_are_asked_again_only_after_a_change(archive: Archive, tmp_path: Path) -> None:
    """Its answer is kept until its lists are others, for each set of names."""
    first = read_candidates(("fio",))
    assert archive.count_questions() == 2
    assert read_candidates(("fio",)) == first
    assert archive.count_questions() == 2
    read_candidates(("kmod",))
    assert archive.count_questions() == 4
    archive.write_lists("2")
    assert read_candidates(("fio",))["fio"].version == "2"
    assert archive.count_questions() == 6
    kept = list((tmp_path / "cache" / "vmio").glob("packages-*.json"))
    for path in kept:
        path.write_text(path.read_text().replace('"version"', '"virsion"'))
    assert read_candidates(("fio",))["fio"].version == "2"
    assert archive.count_questions() == 8
    with pytest.raises(CapabilityError):
        read_candidates(("gone",))
    assert len(list((tmp_path / "cache" / "vmio").glob("packages-*.json"))) == len(kept)


@pytest.mark.usefixtures("archive")
def test_candidates_that_apt_does_not_know_are_named() -> None:
    """Empty or old lists end in a line that says how to get new ones."""
    with pytest.raises(CapabilityError, match="no package gone") as caught:
        read_candidates(("gone",))
    assert "apt-get update" in caught.value.hint


def test_candidates_need_apt(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A host without apt is told what to do instead."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CapabilityError, match="no apt-cache") as caught:
        read_candidates(("fio",))
    assert "--kernel and --initrd" in caught.value.hint


def test_download_reports_its_progress(archive: Archive, tmp_path: Path) -> None:
    """What apt says of its progress is passed on, from none to all."""
    told: list[float | None] = []
    paths = download_packages(
        (make_package("fio"),), tmp_path, lambda _task, share: told.append(share)
    )
    assert told == [0.0, 0.5, 1.0]
    assert len(paths) == len(list((archive.folder / "debs").iterdir()))


@pytest.mark.parametrize(
    ("words", "kind", "hint"),
    [
        ("E: Failed to fetch http://x/fio.deb  404  Not Found [IP: ::1 80]", ToolError, "update"),
        ("E: Failed to fetch x  Temporary failure resolving 'x'", ToolError, "network"),
        ("E: Failed to fetch x  Could not connect to x:80, timed out", ToolError, "network"),
        ("E: Can't find a source to download version '1' of 'fio'", ToolError, "update"),
        ("E: You don't have enough free space in /x.", OutputError, "free some space"),
        ("W: a\nE: write (28: No space left on device)", OutputError, "free some space"),
        ("E: Some packages are Unauthenticated", ToolError, "keys"),
        ("E: of a new kind", ToolError, "apt-get update"),
        ("", ToolError, "apt-get update"),
    ],
)
def test_download_says_what_apt_means(
    archive: Archive,
    tmp_path: Path,
    words: str,
    kind: type[VmioError],
    hint: str,
) -> None:
    """Each way in which a download fails has a hint of its own."""
    archive.refuse(words)
    with pytest.raises(kind, match="apt-get cannot download") as caught:
        download_packages((make_package("fio"),), tmp_path, lambda _task, _share: None)
    assert hint in caught.value.hint
    assert "\n" not in caught.value.message


def test_files_are_read_by_pattern(archive: Archive) -> None:
    """Only what is asked for is kept, links with their targets."""
    files = read_files(archive.folder / "debs" / "libc6_1_amd64.deb", re.compile(".*ld-linux.*"))
    assert files.contents.keys() == {"lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"}
    assert files.find("ld-linux-x86-64.so.2") is not None
    assert files.find("libc.so.6") is None


@pytest.mark.parametrize("size_bytes", [0, 100, 700])
def test_files_of_a_broken_package_are_refused(
    archive: Archive,
    size_bytes: int,
) -> None:
    """A package that is no archive, or ends too early, is an error that names it."""
    deb = archive.folder / "debs" / "libc6_1_amd64.deb"
    deb.write_bytes(deb.read_bytes()[:size_bytes])
    with pytest.raises(ToolError, match="libc6_1_amd64"):
        read_files(deb, re.compile(".*"))
