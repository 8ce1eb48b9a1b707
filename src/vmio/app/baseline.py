"""Findings recorded in a baseline, so that only new ones are reported."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from vmio.app.check import choose_baseline, read_baseline
from vmio.app.inputs import CheckInputs
from vmio.errors import UsageError, VmioError

if TYPE_CHECKING:
    from vmio.lint.baseline import Baseline, Known
    from vmio.lint.diagnostic import CheckedFile

__all__ = ["Recorded", "record_baseline", "write_baseline"]


class Recorded(Struct, frozen=True, kw_only=True):
    """A baseline that was written."""

    path: str
    baseline: Baseline
    added: int
    """How many findings were not in the file before."""
    removed: int
    """How many are not in it any longer."""
    errors: tuple[VmioError, ...]
    """Why configs could not be checked; the entries of these configs are kept."""


def record_baseline(
    inputs: CheckInputs, path: str | None = None, *, update: bool = False
) -> Recorded:
    """Writes the current findings of configs to a baseline.

    Args:
        inputs: The configs, and the files and options that their findings depend on.
        path: The file; None for the one that the project configuration names.
        update: Whether to update an existing file; entries of other VMs and other rules are
            kept.

    Raises:
        UsageError: The file exists, and `update` is not given.
        InputError: A file that the call or the project configuration names cannot be read, or no
            config can.
        OutputError: The file cannot be written.
    """
    from vmio.lint.baseline import Baseline, compare_baselines, merge_baselines
    from vmio.lint.project import choose_rules

    inputs.read_project_config()
    target, _ = choose_baseline(inputs.project, path)
    old = (read_baseline(inputs.project, path) if update else None) or Baseline()
    inputs.read_vms()
    found: dict[str, Counter[Known]] = {}
    errors = []
    vms = (*inputs.places.errors, *inputs.vms)
    with closing(inputs.check(vms, _identify)) as results:
        for vm, known, error in results:
            if error is None:
                found.setdefault(vm, Counter()).update(known)
            else:
                errors.append(error)
    if errors and not found and not update:
        raise errors[0]  # a file that knows nothing would only be in the way of the next call
    codes = {entry.code for entry in choose_rules(inputs.project)}
    new = merge_baselines(old, found, codes=codes)
    try:
        write_baseline(new, target, force=update)
    except UsageError as error:
        raise UsageError(error.message, hint="--update brings it up to date") from error
    added, removed = compare_baselines(old, new)
    return Recorded(path=target, baseline=new, added=added, removed=removed, errors=tuple(errors))


def _identify(checked: CheckedFile) -> tuple[str, list[Known], VmioError | None]:
    from vmio.lint.baseline import identify

    known = [identify(diagnostic, checked.source) for diagnostic in checked.diagnostics]
    return checked.vm, known, checked.error


def write_baseline(baseline: Baseline, path: str, *, force: bool = False) -> None:
    """Writes a baseline file, whole or not at all.

    Raises:
        UsageError: The file exists already.
        OutputError: The file cannot be written; the old one is still there.
    """
    from vmio.host.save import write_file
    from vmio.lint.baseline import render_baseline

    write_file(Path(path), render_baseline(baseline).encode(), force=force)
