"""Options that several verbs share."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from math import isnan
from typing import Any, TypeVar, cast

import click

__all__ = [
    "NumberRange",
    "RenamedOption",
    "accel_option",
    "benchmark_options",
    "boot_options",
    "host_options",
    "qemu_version_option",
    "storage_option",
]

_Function = TypeVar("_Function", bound=Callable[..., Any])


class RenamedOption(click.Option):
    """An option whose old spelling is still accepted, but not shown."""

    def __init__(self, *words: Any, old: str, **how: Any) -> None:  # noqa: ANN401 - click's many
        super().__init__(*words, **how)
        self._old = old

    def add_to_parser(self, parser: Any, ctx: click.Context) -> None:  # noqa: ANN401 - click hides its class
        """Makes a call accept either spelling."""
        shown, self.opts = self.opts, [*self.opts, self._old]
        try:
            super().add_to_parser(parser, ctx)
        finally:
            self.opts = shown


class NumberRange(click.FloatRange):
    """A range of numbers without NaN, which click's own range lets pass."""

    def convert(
        self, value: float, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Returns the number that a text is."""
        number: float = super().convert(value, param, ctx)
        if isnan(number):
            self.fail("nan is not a number", param, ctx)
        return number


storage_option = click.option(
    "--storage",
    metavar="FILE",
    help="The storage.cfg to use; by default the one beside or above the config, or this host's.",
)

accel_option = click.option(
    "--accel",
    type=click.Choice(["auto", "kvm", "tcg"]),
    default="auto",
    show_default=True,
    help="auto tests KVM with a tiny guest, and falls back to TCG with a message.",
)

qemu_version_option = click.option(
    "--qemu-version",
    metavar="VERSION",
    help="Assume this QEMU: a Proxmox package such as 10.1.2-7, or a release such as 9.2.0.",
)


def host_options(function: _Function) -> _Function:
    """Adds `--host FILE`, `--set KEY=VALUE` and `--libvirt-version VERSION`.

    The last one is short for a fact of the host, and a command finds it among these.
    """

    @wraps(function)
    def call(*, overrides: tuple[str, ...], libvirt_version: str | None, **options: object) -> int:
        if libvirt_version is not None:
            overrides = (*overrides, f"libvirt_version={libvirt_version}")
        return cast("int", function(overrides=overrides, **options))

    wrapped = click.option(
        "--libvirt-version",
        metavar="VERSION",
        help="Read a domain as this libvirt does, such as 9.0.0.",
    )(call)
    wrapped = click.option(
        "--set",
        "overrides",
        metavar="KEY=VALUE",
        multiple=True,
        help="Replace one fact of the host, such as qemu_version=9.2.0.",
    )(wrapped)
    return cast(
        "_Function",
        click.option(
            "--host",
            metavar="FILE",
            help="The facts of the guest's host, as written by vmio host -o.",
        )(wrapped),
    )


def boot_options(function: _Function) -> _Function:
    """Adds options for the source of a guest's disks and for running it."""
    return _add(
        function,
        click.option("--scratch", metavar="SIZE", help="Use empty temporary disks of this size."),
        click.option(
            "--disk",
            "disks",
            metavar="DISK=PATH",
            multiple=True,
            help="Use a file or block device, read-write, as in scsi0=test.raw.",
        ),
        click.option(
            "--own-volumes",
            is_flag=True,
            help="Open the volumes that the config names, read-write, if they exist.",
        ),
        accel_option,
        click.option("--kernel", metavar="FILE", help="Boot this kernel."),
        click.option("--initrd", metavar="FILE", help="The initramfs for --kernel."),
        click.option("--append", metavar="TEXT", help="The command line for --kernel."),
    )


def benchmark_options(function: _Function) -> _Function:
    """Adds options for a benchmark guest, its disks and for running it."""
    return _add(
        function,
        click.option(
            "--scratch",
            metavar="SIZE",
            default="1G",
            show_default=True,
            help="Size of the empty temporary files that replace all disks.",
        ),
        accel_option,
        click.option(
            "--kernel", metavar="FILE", help="The kernel of a benchmark guest of your own."
        ),
        click.option(
            "--initrd", metavar="FILE", help="Its initramfs, with a guest agent and fio."
        ),
    )


def _add(function: _Function, *options: Callable[[_Function], _Function]) -> _Function:
    for option in reversed(options):
        function = option(function)
    return function
