"""Options that several verbs have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

__all__ = ["host_options", "storage_option"]

_Function = TypeVar("_Function", bound=Callable[..., Any])

storage_option = click.option(
    "--storage",
    metavar="FILE",
    help="The storage.cfg to go by; else the one beside or above the config, or this host's.",
)


def host_options(function: _Function) -> _Function:
    """Adds `--host FILE` and `--set KEY=VALUE`."""
    function = click.option(
        "--set",
        "overrides",
        metavar="KEY=VALUE",
        multiple=True,
        help="Replace one fact of the host, such as qemu_version=9.2.0.",
    )(function)
    return click.option(
        "--host", metavar="FILE", help="Host facts to go by, instead of this host's."
    )(function)
