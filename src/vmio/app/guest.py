"""The benchmark guest, built on first use."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vmio.guest.image import GuestImage

__all__ = ["ensure_image"]


def ensure_image(
    controllers: Collection[str],
    *,
    kernel: str | None = None,
    initrd: str | None = None,
    report: Callable[[str], None] = lambda _: None,
) -> GuestImage:
    """Returns the benchmark guest, which is built on first use.

    A signal that ends the process leaves no partial build.

    Args:
        controllers: The models of controllers that its kernel needs drivers for.
        kernel: The caller's own kernel.
        initrd: The initramfs for it.
        report: Called once for each step.

    Raises:
        CapabilityError: This host cannot build it.
        InputError: The given kernel or initramfs cannot be read.
        OutputError: The cache cannot be written, or other users can write to it.
        ToolError: A package could not be downloaded or read.
        UsageError: Only one of kernel and initramfs was given.
    """
    from vmio.guest import image
    from vmio.qemu.signals import unwind_on_signals

    told: list[str] = []

    def report_step(task: str, _share: float | None) -> None:
        if told[-1:] != [task]:
            told.append(task)
            report(task)

    with unwind_on_signals():
        return image.ensure_image(
            kernel=Path(kernel) if kernel is not None else None,
            initrd=Path(initrd) if initrd is not None else None,
            controllers=controllers,
            report=report_step,
        )
