"""A progress bar in the last line of a terminal."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from rich.progress import Progress

__all__ = ["ProgressLine"]

_PATIENCE_S = 0.5
"""Shorter work needs no bar; importing the library for it takes long."""
_PERIOD_S = 0.1


class ProgressLine:
    """A bar on standard error if that is a terminal; otherwise nothing.

    It is drawn only when progress is reported, never by a thread of its own, because processes are
    forked meanwhile. `hide` makes room for output on the same terminal.

    Args:
        total: How many there are; None if only a share is known.
        what: What is done to them.
    """

    def __init__(self, total: int | None, what: str) -> None:
        self._total = total
        self._what = what
        self._done = 0.0
        self._wanted = sys.stderr.isatty()
        self._next_s = time.monotonic() + _PATIENCE_S
        self._bar: Progress | None = None
        self._shown = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.hide()

    def advance(self) -> None:
        """Counts one more, and draws now and then."""
        self._advance_to(self._done + 1)

    def tell_share(self, share: float) -> None:
        """Takes the share that is done, 0 to 1, and draws now and then."""
        self._advance_to(share)

    def _advance_to(self, done: float) -> None:
        self._done = done
        if self._wanted and time.monotonic() >= self._next_s:
            self._draw()

    def hide(self) -> None:
        """Removes the line until it is drawn again."""
        if self._shown and self._bar is not None:
            self._bar.stop()
            self._shown = False

    def _draw(self) -> None:
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TaskProgressColumn,
            TextColumn,
        )

        from vmio.cli.console import make_console

        if self._bar is None:
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                TaskProgressColumn() if self._total is None else MofNCompleteColumn(),
                console=make_console(stderr=True),
                auto_refresh=False,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._bar.add_task(self._what, total=1.0 if self._total is None else self._total)
        if not self._shown:
            self._bar.start()
            self._shown = True
        self._bar.update(self._bar.task_ids[0], completed=self._done)
        self._bar.refresh()
        self._next_s = time.monotonic() + _PERIOD_S
