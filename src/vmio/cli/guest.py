"""The benchmark guest, built on first use, and the progress of measurements."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

from vmio import app
from vmio.characters import printable
from vmio.cli.terminal import say

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

__all__ = ["choose_image_boot", "ensure_image", "show_progress"]

_CALM_S = 10.0
"""How often progress is printed if no terminal shows a bar."""


def ensure_image(
    controllers: Collection[str], *, kernel: str | None = None, initrd: str | None = None
) -> app.GuestImage:
    """Returns the benchmark guest, and prints each step of building it once.

    Args:
        controllers: The models of controllers that its kernel needs drivers for.
        kernel: The caller's own kernel.
        initrd: The initramfs for it.
    """
    return app.ensure_image(controllers, kernel=kernel, initrd=initrd, report=say)


def choose_image_boot(
    image: app.GuestImage, accelerator: Literal["auto", "kvm", "tcg"]
) -> tuple[app.Boot, str]:
    """Returns how the benchmark guest is booted, and why without KVM if so, which it prints."""
    how, reason = app.choose_boot(
        accelerator=accelerator,
        kernel=str(image.kernel),
        initrd=str(image.initrd),
        append=image.append,
        memory_mib=app.BENCH_MEMORY_MIB,
    )
    if reason:
        say(reason)
    return how, reason


@contextmanager
def show_progress() -> Iterator[Callable[[app.Progress], None]]:
    """Yields a function that shows progress: a bar on a terminal, else a line now and then."""
    if not sys.stderr.isatty():
        last_s = [-_CALM_S]

        def tell(progress: app.Progress) -> None:
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


def _format_left(progress: app.Progress) -> str:
    if progress.left_s is None or progress.share in {0.0, 1.0}:
        return ""
    minutes, seconds = divmod(round(progress.left_s), 60)
    return f", {minutes}:{seconds:02d} left"
