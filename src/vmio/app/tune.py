"""The best layout and parameters of a guest, found by measuring."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vmio.app.bench import find_live_guest, parse_duration, parse_jobs, parse_scratch
from vmio.errors import UsageError

if TYPE_CHECKING:
    from vmio.app.guests import Guest
    from vmio.model.host import Host
    from vmio.qemu.boot import Boot
    from vmio.tune.booted import TuneTask
    from vmio.tune.in_guest import LiveTask
    from vmio.tune.space import TunePart
    from vmio.tune.tuner import Tuner

__all__ = ["make_live_tuner", "make_tuner", "prepare_live_tune", "prepare_tune"]

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
    from vmio.tune.booted import BOOT_S, TuneTask
    from vmio.tune.objective import parse_objective
    from vmio.tune.search import Effort
    from vmio.tune.space import USUAL, list_candidates
    from vmio.tune.tuner import choose_effort

    if output is not None:
        check_writable(Path(output), force=force)
    _check_search(seed, journal)
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
        effort = choose_effort(candidates, parsed, parse_duration(time), boot_s=BOOT_S)
    return TuneTask(
        name=f"{guest.vm.id} {guest.vm.name}".strip(),
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
    from vmio.tune.booted import BootedTrials
    from vmio.tune.tuner import Tuner

    return Tuner(task, BootedTrials(task, how, accelerator_reason=accelerator_reason))


def prepare_live_tune(
    address: str,
    *,
    vary: Sequence[TunePart] = (),
    disk: str | None = None,
    jobs: Sequence[str] = (),
    runtime_s: float | None = None,
    objective: str = "iops",
    time: str | None = None,
    seed: int = 0,
    writable_file: str | None = None,
    journal: str | None = None,
) -> LiveTask:
    """Returns what is to be searched in a running guest; it is not touched yet.

    Args:
        address: The guest: a VM's number or name, `pid:NUMBER` or `qmp:SOCKET`.
        vary: `polling`, `batch` or both; if empty, what can be set from here.
        disk: The disk whose IOThreads are varied, and that is measured; None for the first one.
        jobs: As for `prepare_tune`.
        runtime_s: How long each run is measured, in seconds; None for the default.
        objective: As for `prepare_tune`.
        time: As for `prepare_tune`.
        seed: Decides the order of pairs.
        writable_file: A file in the guest that may be overwritten; None to only read its disk.
        journal: As for `prepare_tune`; it goes on as long as the guest runs.

    Raises:
        CapabilityError: Its monitor or its agent is its manager's alone, and that is not libvirt;
            or it has none.
        InputError: No such guest runs here, or its layout cannot be read.
        OutputError: The journal cannot be written.
        UsageError: An option makes no sense, or there is nothing to choose from.
    """
    from vmio.observe.watching import choose_monitor
    from vmio.tune.in_guest import LIVE_PARTS, LiveTask, list_live_candidate
    from vmio.tune.objective import parse_objective
    from vmio.tune.search import Effort
    from vmio.tune.tuner import choose_effort

    _check_search(seed, journal)
    fixed = [part for part in vary if part not in LIVE_PARTS]
    if fixed:
        raise UsageError(
            f"--vary {fixed[0]} cannot be changed in a running guest",
            hint=f"{' and '.join(LIVE_PARTS)} can; the others are measured without --in-guest",
        )
    parsed = parse_jobs(jobs, runtime_s=runtime_s)
    live, disk, note = find_live_guest(
        address, disk=disk, jobs=parsed, writable_file=writable_file
    )
    parts = tuple(vary) or LIVE_PARTS
    if choose_monitor(live.guest)[0] is None:
        if "batch" in vary:
            raise UsageError(f"--vary batch: libvirt does not set that for {live.name}")
        parts = ("polling",)
    candidate = list_live_candidate(live, disk, parts)
    if len(candidate.settings) == 1:
        raise UsageError(
            f"there is nothing to choose from for {disk} of {live.name}",
            hint="no IOThread serves it, or none of what is varied applies to it",
        )
    effort = Effort()
    if time is not None:
        effort = choose_effort((candidate,), parsed, parse_duration(time), boot_s=0.0)
    return LiveTask(
        name=live.name,
        live=live,
        note=note,
        candidates=(candidate,),
        disk=disk,
        jobs=parsed,
        objective=parse_objective(objective),
        effort=effort,
        seed=seed,
        journal=None if journal is None else Path(journal),
    )


def make_live_tuner(task: LiveTask, *, folder: Path | None = None) -> Tuner:
    """Returns the search in a running guest, as `make_tuner` does.

    The guest's parameters are as before when `run` returns, however it ends. If vmio is killed,
    the next run on the guest, an autopilot or `restore_polling` puts them back.

    Args:
        task: What is searched.
        folder: Where the guest's own parameters are kept meanwhile; None for this user's own.
    """
    from vmio.managers.live_records import find_records_folder
    from vmio.tune.in_guest import LiveTrials
    from vmio.tune.tuner import Tuner

    return Tuner(task, LiveTrials(task, folder or find_records_folder()))


def _check_search(seed: int, journal: str | None) -> None:
    from vmio.host.save import check_writable

    if journal is not None:
        check_writable(Path(journal), force=True)
    if not 0 <= seed <= _LARGEST_SEED:
        raise UsageError(f"--seed {seed}: 0 to {_LARGEST_SEED} are seeds")


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
