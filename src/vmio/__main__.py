"""Starts the program: what `vmio` and `python -m vmio` call."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Runs vmio and exits; Ctrl-C during the imports also ends it without a traceback.

    Imports of this module itself happen before that, so it imports only `sys`, which is fast.
    """
    try:
        from vmio.cli.main import main as run

        run()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
