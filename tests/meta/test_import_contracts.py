"""The layers import only downwards, and the contracts know every package."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
CORE = (
    "bounds",
    "characters",
    "errors",
    "formats",
    "lint",
    "model",
    "policy",
    "sim",
    "units",
)


def test_import_contracts_are_kept() -> None:
    """import-linter finds no import that a contract forbids."""
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([linter], cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


def test_core_contract_covers_every_core_package() -> None:
    """A core package that was added is also kept from processes, sockets and terminals."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    contracts = {each["id"]: each for each in project["tool"]["importlinter"]["contracts"]}
    package = ROOT / "src" / "vmio"
    there = {f"vmio.{p.stem}" for p in package.iterdir() if p.stem in CORE}

    assert set(contracts["core"]["source_modules"]) == there
