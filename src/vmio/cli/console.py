"""The consoles that verbs print tables and progress on."""

from __future__ import annotations

import codecs
import io
import sys

from rich.console import Console

__all__ = ["make_console"]

_PIPE_COLUMNS = 200
"""Where nothing is a terminal, no table is folded that a script would have to unfold."""

_SPELL_OUT = "vmio.spell-out"


def _spell_out(error: UnicodeError) -> tuple[str, int]:
    """Stands in for what a terminal's encoding does not have, sign for sign: tables stay even."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    return "".join("u" if sign == "µ" else "?" for sign in text), error.end


codecs.register_error(_SPELL_OUT, _spell_out)


def make_console(*, stderr: bool = False) -> Console:
    """Returns a console on standard output or error, with colours only on a terminal."""
    stream = sys.stderr if stderr else sys.stdout
    if isinstance(stream, io.TextIOWrapper) and not stream.encoding.lower().startswith("utf"):
        stream.reconfigure(errors=_SPELL_OUT)
    width = None if stream.isatty() else _PIPE_COLUMNS
    return Console(file=stream, width=width, highlight=False, markup=False, emoji=False)
