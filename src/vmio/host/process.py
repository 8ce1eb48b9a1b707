"""The command line of a running process."""

from __future__ import annotations

from pathlib import Path

from vmio.errors import InputError

__all__ = ["read_command_line"]

_MAX_BYTES = 4 * 1024 * 1024


def read_command_line(pid: int, *, root: Path = Path("/")) -> tuple[str, ...]:
    """Returns the words that a process was started with.

    Raises:
        InputError: There is no such process, it has no words, or this user may not see them.
    """
    try:
        with (root / "proc" / str(pid) / "cmdline").open("rb") as file:
            data = file.read(_MAX_BYTES)
    except (FileNotFoundError, ProcessLookupError) as error:
        raise InputError(f"there is no process {pid}") from error
    except OSError as error:
        raise InputError(f"cannot look at process {pid}: {error.strerror}") from error
    if not data:
        raise InputError(
            f"process {pid} has no command line", hint="it has ended, or is a part of the kernel"
        )
    return tuple(data.decode("utf-8", "replace").removesuffix("\0").split("\0"))
