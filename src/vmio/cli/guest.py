"""The benchmark guest, made when it is first needed, and how far a measurement is."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from vmio.characters import printable
from vmio.cli.terminal import say

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from vmio.bench.compare import Progress
    from vmio.guest.image import GuestImage

__all__ = ["ensure_image", "show_progress"]

_CALM_S = 10.0
"""How often progress is told where no terminal shows a bar."""


def ensure_image(
    controllers: set[str], *, kernel: str | None = None, initrd: str | None = None
) -> GuestImage:
    """Returns the benchmark guest, telling each step of its making once.

    Args:
        controllers: The models of controllers that its kernel must have drivers for.
        kernel: A kernel of the caller's own.
        initrd: And its initramfs.
    """
    from vmio.guest import image

    told: list[str] = []

    def tell(task: str, _share: float | None) -> None:
        if told[-1:] != [task]:
            told.append(task)
            say(task)

    return image.ensure_image(
        kernel=Path(kernel) if kernel is not None else None,
        initrd=Path(initrd) if initrd is not None else None,
        controllers=controllers,
        report=tell,
    )


@contextmanager
def show_progress() -> Iterator[Callable[[Progress], None]]:
    """Yields what to tell progress to: a bar on a terminal, else a line now and then."""
    if not sys.stderr.isatty():
        last_s = [-_CALM_S]

        def tell(progress: Progress) -> None:
            if time.monotonic() - last_s[0] >= _CALM_S or progress.share in {0.0, 1.0}:
                last_s[0] = time.monotonic()
                left = _format_left(progress)
                say(f"{progress.share:4.0%} {progress.words}{left}")

        yield tell
        return
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn
    from rich.progress import Progress as Bar

    from vmio.cli.console import make_console

    columns = (BarColumn(), TaskProgressColumn(), TextColumn("{task.description}", markup=False))
    with Bar(*columns, console=make_console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=1.0)
        yield lambda progress: bar.update(
            task,
            completed=progress.share,
            description=printable(progress.words) + _format_left(progress),
        )


def _format_left(progress: Progress) -> str:
    if progress.left_s is None or progress.share in {0.0, 1.0}:
        return ""
    minutes, seconds = divmod(round(progress.left_s), 60)
    return f", {minutes}:{seconds:02d} left"
