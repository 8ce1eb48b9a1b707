"""What users install is complete."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import vmio

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Builds the wheel, offline and with the pinned hatchling."""
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, capture_output=True, check=True)
    (built,) = folder.glob("*.whl")
    return built


def test_wheel_holds_every_file_of_the_package(wheel: Path) -> None:
    """Modules, the typing marker and the data files beside them all reach the user."""
    sources = ROOT / "src"
    expected = {
        str(path.relative_to(sources))
        for path in (sources / "vmio").rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }

    held = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("vmio/")}

    assert held == expected
    assert "vmio/py.typed" in held


def test_installed_wheel_imports(wheel: Path, tmp_path: Path) -> None:
    """The installed package is the one that is imported, and has the version of the source."""
    install = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-index", "--quiet"]
    subprocess.run([*install, "--target", tmp_path, wheel], capture_output=True, check=True)
    script = (
        "import sys; sys.path.insert(0, sys.argv[1]); import vmio; "
        "print(vmio.__file__, vmio.__version__)"
    )

    shown = subprocess.run(
        [sys.executable, "-I", "-c", script, tmp_path], capture_output=True, text=True, check=True
    ).stdout

    assert shown.split() == [str(tmp_path / "vmio" / "__init__.py"), vmio.__version__]
