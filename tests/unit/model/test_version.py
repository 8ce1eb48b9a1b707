"""Versions of QEMU."""

from __future__ import annotations

import contextlib
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmio.model.version import QemuVersion, parse_version


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("10.1.2-7", QemuVersion(10, 1, 2, revision=(7,))),
        ("10.0", QemuVersion(10, 0)),
        ("10.0.2+ds-2+deb13u1", QemuVersion(10, 0, 2)),
        ("10.1.2-7.1~bpo12+1", QemuVersion(10, 1, 2, revision=(7, 1, 12))),
        ("2.5-19", QemuVersion(2, 5, revision=(19,))),
    ],
)
def test_version_is_its_numbers_and_keeps_its_text(text: str, version: QemuVersion) -> None:
    """A version is compared number by number and printed as it was written."""
    assert parse_version(text) == version
    assert str(parse_version(text)) == text


@pytest.mark.parametrize(
    "text", ["", "9", "x1.2", "9" * 5000 + ".1", "1.1.1.1", "10.1.2-", "10.1\n", "٣.٣", "10.1 (x)"]
)
def test_text_that_is_no_version_is_refused(text: str) -> None:
    """No text at all raises anything else, and the message quotes little of it."""
    with pytest.raises(ValueError, match="is not a QEMU version") as caught:
        parse_version(text)
    assert len(str(caught.value)) < 150


def test_versions_order_as_releases_and_packages_do() -> None:
    """A package comes after its release and before the next one; 10 comes after 9."""
    texts = ["8.1.5", "8.1.5-2", "8.1.5-10", "8.2", "9.2.4", "10.0.2", "10.0.2-1"]
    versions = [parse_version(text) for text in texts]
    assert all(a < b for a, b in pairwise(versions))
    assert parse_version("10.0") == parse_version("10.0.0")


def test_candidate_is_counted_before_its_release() -> None:
    """QEMU numbers its candidates from 90 on."""
    assert parse_version("10.1.92").is_candidate
    assert not parse_version("10.1.2-92").is_candidate
    assert parse_version("10.1.92").series == (10, 1)


def test_release_of_a_package_is_qemus_own() -> None:
    """What asks for behaviour of QEMU itself does not see the packager."""
    assert str(parse_version("10.1.2-7").release) == "10.1.2"


WRITTEN = st.from_regex(r"[0-9]{1,4}\.[0-9]{1,4}(\.[0-9]{1,4})?(-[0-9]{1,3})?", fullmatch=True)


@given(WRITTEN | st.text())
def test_any_text_is_a_version_that_keeps_it_or_refused(text: str) -> None:
    """No text at all raises anything but ValueError."""
    with contextlib.suppress(ValueError):
        assert str(parse_version(text)) == text


@given(WRITTEN, WRITTEN)
def test_order_of_versions_is_total(one: str, other: str) -> None:
    """Of two versions one is older, or they are the same."""
    first, second = parse_version(one), parse_version(other)
    assert (first < second) + (first == second) + (first > second) == 1
