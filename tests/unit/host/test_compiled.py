"""The simulator's machine code, kept between processes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vmio.host.compiled import KeptCode

numba = pytest.importorskip("numba")


def compile_in(folder: Path, more: int) -> int:
    """Returns what a function makes of 40, as a new process with this cache has it."""
    compiled: Any = numba.njit(lambda address: address + more)
    compiled._cache = KeptCode(folder, above=1)
    compiled.compile((numba.int64,))
    return int(compiled(40))


def test_code_is_there_for_the_next_process(tmp_path: Path) -> None:
    """The folder is made for this account alone, and holds one file."""
    folder = tmp_path / "sim"
    assert not KeptCode(folder).is_there()
    assert compile_in(folder, 2) == 42
    assert KeptCode(folder).is_there()
    assert compile_in(folder, 3) == 42
    assert folder.stat().st_mode & 0o777 == 0o700
    assert len(list(folder.iterdir())) == 1


@pytest.mark.parametrize("cut", [0, 10, 100, -1])
def test_damaged_code_is_not_run(cut: int, tmp_path: Path) -> None:
    """A file that is not whole, or not what was written, is compiled again."""
    folder = tmp_path / "sim"
    compile_in(folder, 2)
    (path,) = folder.iterdir()
    path.write_bytes(path.read_bytes()[:cut])
    assert compile_in(folder, 3) == 43
    assert compile_in(folder, 4) == 43


@pytest.mark.parametrize("mode", [0o777, 0o770])
def test_code_that_others_could_have_written_is_not_run(mode: int, tmp_path: Path) -> None:
    """It is neither read nor replaced, and that is no error."""
    folder = tmp_path / "sim"
    compile_in(folder, 2)
    folder.chmod(mode)
    assert compile_in(folder, 3) == 43
    folder.chmod(0o700)
    assert compile_in(folder, 4) == 42


def test_code_of_somebody_else_is_not_run(
    tmp_path: Path, give_away: Callable[[Path], None]
) -> None:
    """Nor is that in a file which another account owns."""
    folder = tmp_path / "sim"
    compile_in(folder, 2)
    (path,) = folder.iterdir()
    give_away(path)
    assert compile_in(folder, 3) == 43


def test_folder_that_cannot_be_made_is_no_error(tmp_path: Path) -> None:
    """Every process compiles then."""
    (tmp_path / "sim").write_text("a file")
    assert compile_in(tmp_path / "sim" / "x", 2) == 42
    assert compile_in(tmp_path / "sim" / "x", 3) == 43
