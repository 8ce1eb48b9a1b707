"""Logs of the autopilot: written while guests are steered, and read as what happened over time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from vmio.autopilot.log import create_log, open_log
from vmio.autopilot.pilot import AutopilotEvent
from vmio.autopilot.timeline import TimeLine, build_time_line
from vmio.errors import InputError

__all__ = ["MAX_LOG_BYTES", "log_steering", "read_steering"]

MAX_LOG_BYTES: Final = 64 << 20
"""Of a log, unless told otherwise: a week of a guest with one IOThread, looked at every 5 s."""


@contextmanager
def log_steering(
    path: Path, *, max_bytes: int = MAX_LOG_BYTES, force: bool = False
) -> Iterator[Callable[[AutopilotEvent, str], str]]:
    """Creates a log of what the autopilot sees and does.

    The body gets a function that takes each event that `steer_guests` reports, and its words. It
    returns an empty text; once, if the log has ended since it cannot be written or is full, a line
    that says so. Guests are steered whether or not there is room for a log.

    Args:
        path: The file.
        max_bytes: The most that it may hold.
        force: Whether to replace a file that exists already.

    Raises:
        UsageError: The file exists already.
        OutputError: It cannot be written.
    """
    with create_log(path, max_bytes=max_bytes, force=force) as writer:

        def write(event: AutopilotEvent, text: str) -> str:
            return writer.write(
                event.guest,
                event.iothreads,
                step=event.step,
                text=text if event.step is None else "",
            )

        yield write


def read_steering(path: str) -> tuple[TimeLine, str]:
    """Returns what the autopilot did over time by its log, and what is missing at its end.

    Args:
        path: The log.

    Returns:
        The time line, and a line on what is missing, empty if nothing is.

    Raises:
        InputError: The file cannot be read, is not a log, or has no looks.
    """
    with open_log(path) as log:
        found = build_time_line(log.header.wall_ns, log)
        if not found.loops:
            raise InputError(f"{path} has no looks at a guest with an IOThread", hint=log.note)
        return found, log.note
