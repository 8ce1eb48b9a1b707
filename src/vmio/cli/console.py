"""The consoles that verbs print tables and progress on."""

from __future__ import annotations

import sys

from rich.console import Console

__all__ = ["make_console"]

_PIPE_COLUMNS = 200
"""Where nothing is a terminal, no table is folded that a script would have to unfold."""


def make_console(*, stderr: bool = False) -> Console:
    """Returns a console on standard output or error, with colours only on a terminal."""
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else _PIPE_COLUMNS
    return Console(file=stream, width=width, highlight=False, markup=False, emoji=False)
