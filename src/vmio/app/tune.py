"""The best layout and parameters of a guest, found by measuring."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vmio.app.bench import parse_duration, parse_jobs, parse_scratch
from vmio.errors import UsageError

if TYPE_CHECKING:
    from vmio.app.guests import Guest
    from vmio.model.host import Host
    from vmio.qemu.boot import Boot
    from vmio.tune.space import TunePart
    from vmio.tune.tuner import Tuner, TuneTask

__all__ = ["make_tuner", "prepare_tune"]

_LARGEST_SEED = 2**32 - 1


def prepare_tune(
    guest: Guest,
    host: Host,
    *,
    vary: Sequence[TunePart] = (),
    disk: str | None = None,
    jobs: Sequence[str] = (),
    runtime_s: float | None = None,
    objective: str = "iops",
    time: str | None = None,
    seed: int = 0,
    scratch: str = "1G",
    journal: str | None = None,
    output: str | None = None,
    force: bool = False,
) -> TuneTask:
    """Returns what is to be searched, and how; nothing is booted.

    Args:
        guest: The guest.
        host: The host that it runs on.
        vary: What is varied, of `vmio.tune.space.PARTS`; if empty, what depends neither on the
            storage nor on what else runs on the host.
        disk: The disk to measure; None for the first one that keeps data.
        jobs: Such as `rw=randread,bs=4k,iodepth=32`; if empty, the default jobs.
        runtime_s: How long each run is measured, in seconds; None for the default.
        objective: What is to be better: `iops`, `p99`, `cpu`, or two with weights, `iops:2,cpu:1`.
        time: How long the search may take, such as `10m`; None for two pairs of each candidate in
            the first round.
        seed: Decides the order of trials.
        scratch: Size of the empty files that replace all disks.
        journal: The file that keeps the results, and from which an ended search goes on; None
            keeps them in memory only.
        output: Where the plan will be written; None for nowhere.
        force: Whether it may replace a file.

    Raises:
        UsageError: An option makes no sense, there is nothing to choose from, or the plan's file
            exists.
        OutputError: The plan's file or the journal cannot be written.
        InputError: The guest cannot be laid out.
    """
    from vmio.host.save import check_writable
    from vmio.tune.objective import parse_objective
    from vmio.tune.search import Effort
    from vmio.tune.space import USUAL, list_candidates
    from vmio.tune.tuner import TuneTask, choose_effort

    if output is not None:
        check_writable(Path(output), force=force)
    if journal is not None:
        check_writable(Path(journal), force=True)
    if not 0 <= seed <= _LARGEST_SEED:
        raise UsageError(f"--seed {seed}: 0 to {_LARGEST_SEED} are seeds")
    parsed = parse_jobs(jobs, runtime_s=runtime_s)
    disk = _choose_disk(guest, disk)
    candidates = list_candidates(guest, host, disk, tuple(vary) or USUAL)
    if sum(len(each.settings) for each in candidates) == 1:
        raise UsageError(
            f"there is nothing to choose from for {disk}",
            hint="it cannot have an IOThread here; vmio plan says why",
        )
    effort = Effort()
    if time is not None:
        effort = choose_effort(candidates, parsed, parse_duration(time))
    return TuneTask(
        guest=guest,
        host=host,
        candidates=candidates,
        disk=disk,
        jobs=parsed,
        objective=parse_objective(objective),
        effort=effort,
        seed=seed,
        scratch_bytes=parse_scratch(scratch),
        journal=None if journal is None else Path(journal),
    )


def make_tuner(task: TuneTask, how: Boot, *, accelerator_reason: str = "") -> Tuner:
    """Returns the search, to be awaited with `run()`; `summarise()` has its results at any time.

    Every guest and everything that belongs to it is gone when `run` returns, however it ends.

    Args:
        task: What is searched.
        how: How guests are booted, with the benchmark guest's kernel.
        accelerator_reason: Why `how` has its accelerator, for the report.
    """
    from vmio.tune.tuner import Tuner

    return Tuner(task, how, accelerator_reason=accelerator_reason)


def _choose_disk(guest: Guest, disk: str | None) -> str:
    """Returns the disk that is measured.

    Raises:
        UsageError: There is no such disk, or none at all.
    """
    from vmio.app.guests import lay_out

    known = [each.disk.id for each in lay_out(guest).disks if each.disk.keeps_data]
    if disk is None and known:
        return known[0]
    if disk is None or disk not in known:
        raise UsageError(
            f"{guest.vm.source.name} has no disk '{disk}'"
            if disk is not None
            else f"{guest.vm.source.name} has no disk to measure",
            hint=f"it has {', '.join(known[:20])}; choose with --disk" if known else "",
        )
    return disk
