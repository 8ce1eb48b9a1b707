"""The simulator compiled once for many processes.

To compile it takes a quarter of a minute of a processor, which every process of a test run that
simulates would spend again on the same sources. What was compiled is machine code and is kept as
numba keeps it, under a name that all of its inputs decide.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import pickle
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from vmio import sim
from vmio.sim import kernel

__all__ = ["share_compilation"]

_NEWEST = 3
"""So many are kept."""


@contextmanager
def share_compilation(folder: Path) -> Iterator[None]:
    """Makes this process, and whatever it forks, compile the simulator only if no other one has.

    Nothing is compiled or imported before something is to be simulated so.

    Args:
        folder: Where it is kept, whose owner is trusted: what is in there is run.
    """
    compile_one = kernel._compile  # noqa: SLF001 - there is no other place between both

    def compile_or_load() -> tuple[Any, Any]:
        import numba

        compiled, block_of = compile_one()
        # The others wait for the first one, which has as much to do as they would have.
        with (folder / "lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            compiled._cache = _Kept(folder)  # noqa: SLF001 - numba's own goes by one file's age
            compiled.compile((numba.int64,))
        return compiled, block_of

    kernel._compile = cache(compile_or_load)  # noqa: SLF001 - as above
    try:
        yield
    finally:
        kernel._compile = compile_one  # noqa: SLF001 - as above


class _Kept:
    """What numba asks before it compiles, and tells when it has."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def load_overload(self, signature: object, context: Any) -> object:  # noqa: ANN401 - numba's
        """Returns what was compiled of these sources by these versions for this processor."""
        from numba.core.compiler import CompileResult

        context.refresh()
        self._path = self._folder / _name_inputs(signature, context.codegen().magic_tuple())
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            return None
        rebuild: Any = CompileResult._rebuild  # noqa: SLF001 - as numba does it
        return rebuild(context, *pickle.loads(data))  # noqa: S301 - this very account wrote it

    def save_overload(self, _signature: object, result: Any) -> None:  # noqa: ANN401 - numba's
        """Keeps what was compiled, whole or not at all."""
        from numba.core import serialize

        dump: Any = serialize.dumps
        with tempfile.NamedTemporaryFile(dir=self._folder, delete=False) as file:
            file.write(dump(result._reduce()))  # noqa: SLF001 - as numba does it
        Path(file.name).replace(self._path)
        kept = sorted(self._folder.glob("sim-*"), key=lambda path: path.stat().st_mtime)
        for path in kept[:-_NEWEST]:
            with suppress(FileNotFoundError):
                path.unlink()


def _name_inputs(*more: object) -> str:
    """Returns a name that is another one whenever the machine code could be another one."""
    digest = hashlib.sha256()
    sources = sorted(Path(*sim.__path__).glob("*.py"))
    versions = [version(name) for name in ("llvmlite", "numba", "numpy")]
    for part in (
        *(path.read_bytes() for path in (*sources, Path(__file__))),
        repr((versions, sys.version, os.uname().machine, *more)).encode(),
    ):
        digest.update(len(part).to_bytes(8, "big") + part)
    return f"sim-{digest.hexdigest()[:32]}"
