"""The simulator's machine code, kept between processes in a folder that nobody else can write.

To compile it takes a quarter of a minute of a processor. It is kept as numba keeps it, under a
name that all of its inputs decide: numba's own cache goes by one file's age. What cannot be read
or written is compiled, without an error.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import sys
import tempfile
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

from vmio import sim
from vmio.errors import OutputError
from vmio.host.private import find_stranger, make_private_folder, read_private_file

__all__ = ["KeptCode"]

_NEWEST = 3
"""So many are kept."""
_MAX_BYTES = 64 << 20
_DIGEST_BYTES = 32


class KeptCode:
    """What numba asks before it compiles, and tells when it has."""

    def __init__(self, folder: Path, *, above: int = 0) -> None:
        """Reads and writes nothing yet.

        Args:
            folder: Where it is kept; what is in there is run.
            above: How many of the folders above it must not be writable by others either.
        """
        self._folder = folder
        self._above = above
        self._path = folder
        self._prefix = f"sim-{_hash_inputs()}-"

    def is_there(self) -> bool:
        """Tells whether something was compiled of these sources by these versions."""
        return any(self._folder.glob(f"{self._prefix}*"))

    def load_overload(self, signature: object, context: Any) -> object:  # noqa: ANN401 - numba's
        """Returns what was compiled of these sources by these versions for this processor."""
        from numba.core.compiler import CompileResult

        context.refresh()
        # The processor and its features.
        about = repr((signature, context.codegen().magic_tuple())).encode()
        self._path = self._folder / f"{self._prefix}{hashlib.sha256(about).hexdigest()[:16]}"
        if find_stranger(self._folder, above=self._above):
            return None
        try:
            data = read_private_file(self._path, _MAX_BYTES)
        except OSError:
            return None
        digest, code = data[:_DIGEST_BYTES], data[_DIGEST_BYTES:]
        if hashlib.sha256(code).digest() != digest:
            return None
        with suppress(OSError):
            os.utime(self._path)
        rebuild: Any = CompileResult._rebuild  # noqa: SLF001 - as numba does it
        return rebuild(context, *pickle.loads(code))  # noqa: S301 - this very account wrote it

    def save_overload(self, _signature: object, result: Any) -> None:  # noqa: ANN401 - numba's
        """Keeps what was compiled, whole or not at all."""
        from numba.core import serialize

        dump: Any = serialize.dumps
        code: bytes = dump(result._reduce())  # noqa: SLF001 - as numba does it
        with suppress(OSError, OutputError):
            make_private_folder(self._folder, above=self._above)
            descriptor, name = tempfile.mkstemp(prefix=".", dir=self._folder)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(hashlib.sha256(code).digest() + code)
                Path(name).replace(self._path)
            except BaseException:
                Path(name).unlink(missing_ok=True)
                raise
            kept = sorted(self._folder.glob("sim-*"), key=lambda path: path.stat().st_mtime)
            for path in kept[:-_NEWEST]:
                path.unlink(missing_ok=True)


def _hash_inputs() -> str:
    """Returns what is another one whenever the machine code could be, whatever the processor."""
    digest = hashlib.sha256()
    sources = sorted(Path(*sim.__path__).glob("*.py"))
    versions = [version(name) for name in ("llvmlite", "numba", "numpy")]
    for part in (
        *(path.read_bytes() for path in (*sources, Path(__file__))),
        repr((versions, sys.version, os.uname().machine)).encode(),
    ):
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()[:32]
