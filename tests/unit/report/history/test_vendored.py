"""The charts' library is the one that was published."""

from __future__ import annotations

from hashlib import sha256
from importlib.resources import files

import pytest

CHECKSUMS = {
    "uPlot.iife.min.js": "19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f",
    "uPlot.min.css": "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04",
    "LICENSE": "8f989229699b4fe2f1a0432d0e9edc338a8a911e250e2d1b01ecd770a5f5b1bd",
}


@pytest.mark.parametrize("name", CHECKSUMS)
def test_vendored_file_is_unchanged(name: str) -> None:
    """Another version comes with another checksum here, and in the README its number."""
    data = files("vmio.report").joinpath("vendor", "uplot", name).read_bytes()
    assert sha256(data).hexdigest() == CHECKSUMS[name]


def test_readme_says_which_version_it_is() -> None:
    """The script says it in its first line."""
    folder = files("vmio.report").joinpath("vendor", "uplot")
    first = folder.joinpath("uPlot.iife.min.js").read_text(encoding="utf-8").splitlines()[0]
    readme = folder.joinpath("README.md").read_text(encoding="utf-8")
    assert "(v1.6.32)" in first
    assert readme.startswith("uPlot 1.6.32")
