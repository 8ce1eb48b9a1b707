"""Helpers for tests of programs that use vmio, and for vmio's own."""

from __future__ import annotations

from vmio.cli.main import main

__all__ = ["call"]


def call(*words: str) -> int:
    """Runs vmio in this process and returns its exit status.

    Args:
        words: The words after the program's name.
    """
    try:
        main(words)
    except SystemExit as end:
        status = end.code
    assert isinstance(status, int)  # noqa: S101 - main ends with a number whatever happens
    return status
