"""Writes docs/cli: the help of each verb, as `vmio VERB --help` prints it.

`python tools/document_cli.py FOLDER` writes the pages; a test compares them.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from vmio.cli.main import program

_COLUMNS = 80


def list_helps() -> Iterator[tuple[str, str]]:
    """Yields each verb and its help; the whole program's first, under no name."""
    with click.Context(
        program, info_name="vmio", terminal_width=_COLUMNS, help_option_names=["-h", "--help"]
    ) as root:
        yield "", program.get_help(root)
        for verb in program.list_commands(root):
            command = program.get_command(root, verb)
            if command is not None:
                yield verb, _render_help(command, root, verb)


def _render_help(command: click.Command, parent: click.Context, name: str) -> str:
    """Returns the help of a verb, and of the verbs below it."""
    context = click.Context(command, parent, name, terminal_width=_COLUMNS)
    below = command.commands if isinstance(command, click.Group) else {}
    more = (_render_help(each, context, each_name) for each_name, each in below.items())
    return "\n\n".join((context.get_help(), *more))


def render_pages() -> dict[str, str]:
    """Returns the text of every page by its file name."""
    pages = {}
    for verb, text in list_helps():
        title = f"vmio {verb}".strip()
        page = f"# {title}\n\n```text\n{text.rstrip()}\n```\n"
        pages[f"{verb or 'README'}.md"] = page
    index = "".join(f"- [vmio {verb}]({verb}.md)\n" for verb, _ in list_helps() if verb)
    pages["README.md"] += f"\nThis folder is generated from the code by `make docs`.\n\n{index}"
    return pages


def main(folder: str) -> None:
    """Writes every page into a folder."""
    for name, text in render_pages().items():
        Path(folder, name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
