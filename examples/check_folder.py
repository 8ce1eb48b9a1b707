#!/usr/bin/env python3
"""Checks the VM configs of a folder and counts the findings of each rule.

python examples/check_folder.py examples
"""

from __future__ import annotations

import sys
from collections import Counter
from contextlib import closing

from vmio import app


def list_codes(checked: app.CheckedFile) -> list[str]:
    """Returns the codes of a config's findings, or why it could not be checked."""
    if checked.error is not None:
        return [f"not checked: {checked.error.message}"]
    return [finding.code for finding in checked.diagnostics]


def main(folder: str) -> None:
    """Prints how often each rule finds something."""
    inputs = app.CheckInputs(paths=[folder])
    inputs.refresh()
    counts: Counter[str] = Counter()
    with closing(inputs.check(inputs.vms, list_codes)) as results:
        for codes in results:
            counts.update(codes)
    for code, count in sorted(counts.items()):
        print(f"{count:4}  {code}")


if __name__ == "__main__":
    main(*sys.argv[1:])
