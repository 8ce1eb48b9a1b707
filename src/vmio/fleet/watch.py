"""Checks configs again when they change, and reports new findings and those that are gone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Iterable, Sequence
from typing import NamedTuple, NoReturn, Protocol

from msgspec import Struct, field

from vmio.errors import VmioError
from vmio.lint.diagnostic import CheckedFile, Diagnostic, Severity
from vmio.managers.proxmox.inventory import Found
from vmio.managers.proxmox.watch import FileStates

__all__ = [
    "INTERVAL_S",
    "FileStates",
    "ReportedFinding",
    "Verdict",
    "WatchChange",
    "WatchState",
    "compare",
    "settle",
    "watch",
]

INTERVAL_S = 1.0
"""pmxcfs keeps times in whole seconds, so looking more often would show little more."""

_TRIES = 3


class ReportedFinding(NamedTuple):
    """The part of a reported finding that is kept."""

    code: str
    name: str
    subject: str
    severity: Severity
    message: str


class Verdict(Protocol):
    """The result of checking a config."""

    @property
    def reported(self) -> tuple[ReportedFinding, ...]:
        """All current findings."""

    @property
    def changed(self) -> bool:
        """Whether there is a new finding, or one is gone."""

    @property
    def error(self) -> VmioError | None:
        """Why it could not be checked."""


class WatchState(Struct):
    """What has been reported so far."""

    reported: dict[str, tuple[ReportedFinding, ...]] = field(default_factory=dict)
    """The findings of each config when it could last be read, by path."""
    broken: dict[str, str] = field(default_factory=dict)
    """Why the other configs cannot be read now."""

    def note(self, path: str, verdict: Verdict) -> bool:
        """Keeps the result for a config, and returns whether it is different from before."""
        if verdict.error is not None:
            before, self.broken[path] = self.broken.get(path), verdict.error.message
            return before != verdict.error.message
        was_broken = self.broken.pop(path, None) is not None
        self.reported[path] = verdict.reported
        return verdict.changed or was_broken


class WatchChange(Struct, frozen=True, kw_only=True):
    """What to report after a look; never empty."""

    verdicts: tuple[tuple[Found, Verdict], ...] = ()
    """The configs with differences."""
    gone: tuple[str, ...] = ()
    """The paths of configs that no longer exist."""
    error: VmioError | None = None
    """Why the shared inputs could not be read; the previous ones are kept."""


def compare(
    old: Sequence[ReportedFinding], file: CheckedFile
) -> tuple[tuple[ReportedFinding, ...], tuple[Diagnostic, ...], tuple[ReportedFinding, ...]]:
    """Returns a config's findings in the form that is kept, the new ones, and those that are gone.

    A finding with a changed message is new, and the old one is not reported as gone.
    """
    now = [(_keep(diagnostic), diagnostic) for diagnostic in file.diagnostics]
    left = Counter(old)
    new: list[Diagnostic] = []
    for finding, diagnostic in now:
        if left[finding] > 0:
            left[finding] -= 1
        else:
            new.append(diagnostic)
    reworded = Counter((one.code, one.subject) for one in new)
    settled: list[ReportedFinding] = []
    for finding in left.elements():
        about = (finding.code, finding.subject)
        if reworded[about] > 0:
            reworded[about] -= 1
        else:
            settled.append(finding)
    return tuple(finding for finding, _ in now), tuple(new), tuple(settled)


def _keep(diagnostic: Diagnostic) -> ReportedFinding:
    return ReportedFinding(
        diagnostic.code,
        diagnostic.name,
        diagnostic.subject,
        diagnostic.severity,
        diagnostic.message,
    )


def settle(look: Callable[[], FileStates], refresh: Callable[[], None]) -> FileStates:
    """Reads the shared inputs, and returns the state of the files before that.

    They are read again if files changed meanwhile. A later change differs from the returned state,
    so the next look notices it.
    """
    after = look()
    for _ in range(_TRIES):
        before = after
        refresh()
        after = look()
        if after.shared == before.shared:
            break
    return before


def _look_again(look: Callable[[], FileStates], known: Iterable[str]) -> FileStates:
    """Looks, and looks again if a known config is missing.

    A config in /etc/pve is missing for a moment while it is replaced.
    """
    view = look()
    return view if all(path in view.configs for path in known) else look()


def watch(
    view: FileStates,
    memory: WatchState,
    *,
    look: Callable[[], FileStates],
    refresh: Callable[[], None],
    check: Callable[[Sequence[Found]], Iterable[tuple[Found, Verdict]]],
    wait: Callable[[], None],
) -> Generator[WatchChange, None, NoReturn]:
    """Yields each change, forever.

    An error is reported once, the file is tried again at each look, and its old state is kept.

    Args:
        view: The state of the files before everything was checked.
        memory: The result of that check; it is updated.
        look: Returns the state of the files.
        refresh: Reads the shared inputs again; keeps the old ones and raises a VmioError if not.
        check: Checks configs, and returns the results of those that it could read.
        wait: Returns at the time of the next look.
    """
    shared = view.shared
    states = {path: state for path, (_, state) in view.configs.items()}
    complaint = ""
    while True:
        wait()
        view = _look_again(look, states)
        error: VmioError | None = None
        everything = False
        if view.shared != shared:
            try:
                view = settle(look, refresh)
            except VmioError as caught:
                error = caught if caught.message != complaint else None
                complaint = caught.message
            else:
                shared, complaint, everything = view.shared, "", True
        else:
            complaint = ""
        gone = [path for path in states if path not in view.configs]
        due = [
            vm
            for path, (vm, state) in view.configs.items()
            if everything or path in memory.broken or path not in states or states[path] != state
        ]
        verdicts = []
        for vm, verdict in check(due) if due else ():
            states[vm.path] = view.configs[vm.path][1]
            if memory.note(vm.path, verdict):
                verdicts.append((vm, verdict))
        vanished = []
        for path in gone:
            del states[path]
            memory.broken.pop(path, None)
            if memory.reported.pop(path, None) is not None:
                vanished.append(path)
        if verdicts or vanished or error is not None:
            yield WatchChange(verdicts=tuple(verdicts), gone=tuple(vanished), error=error)
