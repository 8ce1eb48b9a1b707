#!/usr/bin/env python3
"""Compares by simulation the layouts that policies give a guest.

python examples/compare_layouts.py examples/701.conf 10.0.2
"""

from __future__ import annotations

import sys

from vmio import app


def main(config: str, qemu_version: str) -> None:
    """Prints the prediction for the guest as it is, and with an IOThread for each disk."""
    host = app.read_place(config, qemu_version=qemu_version).host
    guest = app.load(config, host=host)
    for policy in (None, "shared", "per-disk"):
        found = app.simulate(
            guest, host, "qd=8", policy=policy, profile="default", seeds=3, requests=1000
        )
        print(f"{policy or 'as it is':10} {found.iops.mean:10.0f} requests/s")


if __name__ == "__main__":
    main(*sys.argv[1:])
