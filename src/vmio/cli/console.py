"""The consoles that verbs print tables and progress on."""

from __future__ import annotations

import codecs
import io
import sys
from collections.abc import Iterator
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from vmio.characters import printable, printable_lines
from vmio.cli.terminal import unguard

__all__ = ["make_console"]

_PIPE_COLUMNS = 1_000_000
"""Without a terminal, no line is broken, so that scripts need not join lines."""

_SPELL_OUT = "vmio.spell-out"


def _spell_out(error: UnicodeError) -> tuple[str, int]:
    """Replaces each character that the encoding lacks by one sign, so that tables stay aligned."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    return "".join("u" if sign == "µ" else "?" for sign in text), error.end


codecs.register_error(_SPELL_OUT, _spell_out)


class _GuardedConsole(Console):
    """A console whose texts cannot move the cursor; only drawing, as a progress bar, can.

    A `str` is one line or one cell. A `Text` may have several lines, and is made of texts that
    `printable` has escaped; anything it missed is escaped too, except where widths are measured.
    """

    def render_str(self, text: str, **how: Any) -> Text:  # noqa: ANN401 - rich's many
        """Returns a line or a cell as it is printed and measured."""
        return super().render_str(printable(text), **how)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterator[Segment]:
        """Yields the segments to print, with control characters escaped."""
        for segment in super().render(renderable, options):
            yield (
                segment
                if segment.control
                else segment._replace(text=printable_lines(segment.text))
            )


def make_console(*, stderr: bool = False) -> Console:
    """Returns a console on standard output or error, with colours only on a terminal."""
    stream = unguard(sys.stderr if stderr else sys.stdout)
    if isinstance(stream, io.TextIOWrapper) and not stream.encoding.lower().startswith("utf"):
        stream.reconfigure(errors=_SPELL_OUT)
    width = None if stream.isatty() else _PIPE_COLUMNS
    return _GuardedConsole(file=stream, width=width, highlight=False, markup=False, emoji=False)
