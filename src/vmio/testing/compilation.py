"""The simulator compiled once for many processes.

To compile it takes a quarter of a minute of a processor, which every process of a test run that
simulates would spend again on the same sources. What was compiled is machine code and is kept as
numba keeps it, under a name that all of its inputs decide.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from vmio.host.compiled import KeptCode
from vmio.sim import kernel

__all__ = ["share_compilation"]


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
            compiled._cache = KeptCode(folder)  # noqa: SLF001 - as vmio.sim.kernel does it
            compiled.compile((numba.int64,))
        return compiled, block_of

    kernel._compile = cache(compile_or_load)  # noqa: SLF001 - as above
    try:
        yield
    finally:
        kernel._compile = compile_one  # noqa: SLF001 - as above
