"""Starts the program: what `vmio` and `python -m vmio` call."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Runs vmio and exits; Ctrl-C ends it without a traceback while it is being imported, too.

    What this module itself imports comes before that, so it is `sys` alone, which costs no time.
    """
    try:
        from vmio.cli.main import main as run

        run()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
