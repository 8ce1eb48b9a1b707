#!/usr/bin/env python3
"""Plans a guest and prints the QEMU command line with the plan applied.

python examples/print_command.py examples/701.conf per-disk 10.0.2
"""

from __future__ import annotations

import sys

from vmio import app
from vmio.model.source import Source


def main(config: str, policy: str, qemu_version: str) -> None:
    """Prints the command line, one option on each line."""
    host = app.read_place(config, qemu_version=qemu_version).host
    guest = app.load(config, host=host)
    plan = app.make_plan(guest, host, policy)
    changed = Source(name=config, data=app.preview_plan(guest, plan))
    planned = app.load_source(changed, host=host)
    if not isinstance(planned, app.Guest):
        sys.exit(f"{config} is a command line already")
    text, warnings = app.emit(planned, host, pretty=True)
    for warning in warnings:
        print(warning, file=sys.stderr)
    print(text)


if __name__ == "__main__":
    main(*sys.argv[1:])
