"""The pinned requirements are complete, agree with each other and name no index."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
FILES = ("run", "dev", "libvirt", "lock")
PIN = re.compile(
    r"(?P<name>[a-z0-9-]+)==(?P<version>[\w.+]+)(?P<marker> ; [^\n\\]+)?"
    r"(?: \\\n    --hash=sha256:[0-9a-f]{64})+\n"
)


def read_pins(name: str) -> dict[str, str]:
    """Reads the packages of a requirements file with their versions, leaving out no line."""
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    pins = list(PIN.finditer(text))
    assert "".join(match.group() for match in pins) == text
    return {match["name"]: match["version"] for match in pins}


def list_names(requirements: list[str | dict[str, str]]) -> set[str]:
    """Returns the normalised package names of a list out of pyproject.toml."""
    words = [re.match(r"[\w.-]+", entry) for entry in requirements if isinstance(entry, str)]
    return {re.sub(r"[-_.]+", "-", word.group()).lower() for word in words if word}


@pytest.mark.parametrize("name", FILES)
def test_requirements_are_pinned_with_hashes(name: str) -> None:
    """Every line is a pin with its hashes, so there is no room for an index or a path."""
    assert read_pins(name)


@pytest.mark.parametrize(
    ("name", "group"), [("run", "build"), ("dev", "dev"), ("libvirt", "libvirt"), ("lock", "lock")]
)
def test_requirements_hold_what_the_project_asks_for(name: str, group: str) -> None:
    """A dependency that was added to pyproject.toml was locked too."""
    wanted = list_names(PROJECT["project"]["dependencies"])
    wanted |= list_names(PROJECT["dependency-groups"][group])

    assert wanted <= read_pins(name).keys()


@pytest.mark.parametrize("name", ["dev", "libvirt", "lock"])
def test_requirements_agree(name: str) -> None:
    """All sets go into one environment, so each holds the pins of the smallest one."""
    assert read_pins("run").items() <= read_pins(name).items()
