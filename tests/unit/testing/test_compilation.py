"""The simulator compiled once for many processes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from vmio import sim
from vmio.sim import kernel
from vmio.testing.compilation import share_compilation

numba = pytest.importorskip("numba")


def compile_in(folder: Path, more: int, monkeypatch: pytest.MonkeyPatch) -> int:
    """Returns what a function in the simulator's place makes of 40, as a new process has it."""
    compiled = numba.njit(lambda address: address + more)
    with monkeypatch.context() as patch:
        patch.setattr(kernel, "_compile", lambda: (compiled, None))
        with share_compilation(folder):
            found: Any = kernel._compile()
            assert kernel._compile() is found
    return int(found[0](40))


def test_what_was_compiled_is_not_compiled_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes by the sources in the folder of the simulator, which are the same here."""
    assert compile_in(tmp_path, 2, monkeypatch) == 42
    assert compile_in(tmp_path, 3, monkeypatch) == 42
    (tmp_path / "other").mkdir()
    assert compile_in(tmp_path / "other", 3, monkeypatch) == 43


def test_other_sources_are_compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is another one in the simulator's folder; of old ones few are kept."""
    sources = tmp_path / "sources"
    kept = tmp_path / "kept"
    sources.mkdir()
    kept.mkdir()
    monkeypatch.setattr(sim, "__path__", [str(sources)])
    for number in range(6):
        (sources / "events.py").write_text(f"X = {number}\n")
        assert compile_in(kept, number, monkeypatch) == 40 + number
    assert len(list(kept.glob("sim-*"))) == 3


def test_compilation_that_fails_keeps_nobody_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next one compiles, and gets no half of it."""
    with monkeypatch.context() as patch:
        patch.setattr(kernel, "_compile", lambda: (numba.njit(lambda address: address.x), None))
        with share_compilation(tmp_path), pytest.raises(numba.TypingError):
            kernel._compile()
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]
    assert compile_in(tmp_path, 2, monkeypatch) == 42
