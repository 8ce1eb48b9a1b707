"""Steers the polling of running guests, lists the changed ones, and restores them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from vmio.app.live import watch_guests
from vmio.app.ps import list_running
from vmio.autopilot.pilot import AutopilotEvent, fly, open_steered
from vmio.autopilot.values import PollingGoal
from vmio.errors import ConflictError, VmioError
from vmio.managers.discovery import RunningGuest
from vmio.managers.live_records import (
    FoundRecord,
    find_records_folder,
    list_records,
    open_record,
)
from vmio.managers.live_setter import Setter, take_over
from vmio.observe.watching import WatchOptions, choose_monitor
from vmio.values import check_between

__all__ = [
    "DEFAULT_INTERVAL_S",
    "list_steered",
    "restore_polling",
    "steer_guests",
]

DEFAULT_INTERVAL_S: Final = 5.0
_LEAST_INTERVAL_S: Final = 1.0
_MOST_INTERVAL_S: Final = 60.0
_WORKERS: Final = {"autopilot": "an autopilot", "bench": "a benchmark"}


async def steer_guests(
    addresses: Sequence[str] = (),
    goal: PollingGoal | None = None,
    *,
    interval_s: float = DEFAULT_INTERVAL_S,
    dry_run: bool = False,
    folder: Path | None = None,
    report: Callable[[AutopilotEvent], None] = lambda _: None,
) -> None:
    """Keeps the polling of running guests at the least processor time that holds their latency.

    It goes on until it is cancelled, also with guests that start meanwhile; then each guest has
    its own polling again. What a killed autopilot left in any guest is put back first.

    Args:
        addresses: Which guests, as for `list_running`; all without any.
        goal: What is wanted of each; None for the defaults.
        interval_s: Seconds from look to look, 1 to 60, of which a trial takes two. Every change
            makes an event loop forget how long polling has paid, so that 5 to 10 are good.
        dry_run: Whether nothing is set, and what would be is reported.
        folder: Where guests' own settings are kept; None for this user's own folder.
        report: Called with each look (`step`), each change and its reason, and what could not be
            done.

    Raises:
        CapabilityError: An address is a guest whose monitor is its manager's alone, and libvirt
            does not set its polling for this account; the hint says how its manager sets it.
        ConflictError: An address is the config of another node.
        OutputError: This account has no folder to keep guests' own settings in.
        ValueError: The interval is out of range.
    """
    check_between("interval_s", interval_s, _LEAST_INTERVAL_S, _MOST_INTERVAL_S)
    folder = folder or find_records_folder()
    listed = list_running(addresses) if addresses else None
    for guest in listed.guests if listed is not None else ():
        await _open_setter(guest)
    for error in listed.errors if listed is not None else ():
        report(AutopilotEvent(guest="", problem=error))
    if not dry_run:
        await restore_polling(folder=folder, report=report, active=False)
    # Limits, because requests that one makes wait show nothing of polling.
    async with watch_guests(addresses, options=WatchOptions(limits=True)) as watcher:
        await fly(
            watcher,
            goal or PollingGoal(),
            interval_s=interval_s,
            dry_run=dry_run,
            folder=folder,
            report=report,
        )


def list_steered(*, folder: Path | None = None) -> tuple[FoundRecord, ...]:
    """Returns the guests whose parameters a vmio of this user changes, or did until it was killed.

    Args:
        folder: As for `steer_guests`.

    Raises:
        OutputError: Others can write to the folder.
    """
    return list_records(folder or find_records_folder())


async def restore_polling(
    addresses: Sequence[str] = (),
    *,
    folder: Path | None = None,
    active: bool = True,
    report: Callable[[AutopilotEvent], None] = lambda _: None,
) -> bool:
    """Puts back the parameters of guests whose autopilot or benchmark was killed.

    What somebody else has set since is left as it is.

    Args:
        addresses: Which guests, as for `list_running`; all without any.
        folder: As for `steer_guests`.
        active: Whether a guest that somebody is at work on is reported as a problem.
        report: Called with each parameter and what became of it, and with what could not be done.

    Returns:
        Whether everything was done.

    Raises:
        ConflictError: An address is the config of another node.
        OutputError: Others can write to the folder.
        VmioError: An address means no guest that runs here.
    """
    folder = folder or find_records_folder()
    listed = list_running(addresses)
    for error in listed.errors:
        raise error
    running = {each.key: each for each in listed.guests}
    done = True
    for found in list_records(folder):
        guest = running.get(found.key)
        if guest is None or (found.is_active and not active):
            continue
        try:
            if found.is_active:
                who = _WORKERS[found.record.by]
                raise ConflictError(
                    f"{found.record.label}: {who} is at work, which restores it in the end"
                )
            await _restore(guest, folder, report)
        except VmioError as error:
            done = False
            report(AutopilotEvent(guest=found.record.label, problem=error))
    return done


async def _restore(
    guest: RunningGuest, folder: Path, report: Callable[[AutopilotEvent], None]
) -> None:
    with open_record(guest.key, folder=folder) as file:
        if file.read() is None:
            return
        setter = await _open_setter(guest)
        for each in await take_over(setter, file):
            report(AutopilotEvent(guest=guest.label, iothreads=(each.iothread,), restored=each))
        file.remove()


async def _open_setter(guest: RunningGuest) -> Setter:
    return await open_steered(guest, *choose_monitor(guest))
