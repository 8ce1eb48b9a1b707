"""`vmio completion`: prints the script that a shell needs to complete vmio's words."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

__all__ = ["command"]


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print the completion script of SHELL.

    For bash: eval "$(vmio completion bash)"
    """
    completion = get_completion_class(shell)
    if completion is None:
        raise AssertionError(shell)  # click has all three
    root = ctx.find_root().command
    click.echo(completion(root, {}, "vmio", "_VMIO_COMPLETE").source())
