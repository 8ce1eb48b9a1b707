"""Starts the program: what `vmio` and `python -m vmio` call."""

from __future__ import annotations

import gc
import os
import sys

from vmio import __version__

__all__ = ["main"]

_GARBAGE = 50_000
"""So many values are made before Python looks for cycles among them."""


def main() -> None:
    """Runs vmio and exits; Ctrl-C during the imports also ends it without a traceback.

    What this module itself imports comes before that, so it is what Python has loaded anyway.
    """
    # What vmio makes holds hardly any cycles; looking for them is a fortieth of a short verb.
    gc.set_threshold(_GARBAGE)
    if sys.argv[1:] == ["--version"] and _write_version():
        return
    try:
        from vmio.cli.main import main as run

        run()
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        # Python looks for cycles among all that is left when it ends, a fifth of a short verb's
        # time, though the memory is given back anyway.
        gc.freeze()


def _write_version() -> bool:
    """Writes the version without what reads a command line, three quarters of that call's time.

    Returns:
        Whether all went well; if not, the program proper says what is wrong.
    """
    stdout = sys.stdout
    if stdout is None:
        return False
    text = f"vmio {__version__}\n".encode()
    try:
        return os.write(stdout.fileno(), text) == len(text)
    except OSError:
        return False


if __name__ == "__main__":
    main()
