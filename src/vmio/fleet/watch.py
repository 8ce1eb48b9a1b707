"""Configs that are checked again when they change, and what is new or settled in them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Iterable, Sequence
from typing import NamedTuple, NoReturn, Protocol

from msgspec import Struct, field

from vmio.errors import VmioError
from vmio.lint.diagnostic import CheckedFile, Diagnostic, Severity
from vmio.managers.proxmox.inventory import Found
from vmio.managers.proxmox.watch import View

__all__ = [
    "INTERVAL_S",
    "Change",
    "Memory",
    "Told",
    "Verdict",
    "View",
    "compare",
    "settle",
    "watch",
]

INTERVAL_S = 1.0
"""pmxcfs keeps times in whole seconds, so looking more often would see little more."""

_TRIES = 3


class Told(NamedTuple):
    """What is kept of a finding that was told."""

    code: str
    name: str
    subject: str
    severity: Severity
    message: str


class Verdict(Protocol):
    """What came of checking a config."""

    @property
    def told(self) -> tuple[Told, ...]:
        """Every finding that it has now."""

    @property
    def changed(self) -> bool:
        """Whether there is a finding that it had not, or one gone."""

    @property
    def error(self) -> VmioError | None:
        """Why it could not be checked."""


class Memory(Struct):
    """What was told so far."""

    told: dict[str, tuple[Told, ...]] = field(default_factory=dict)
    """The findings of each config when it could last be read, by path."""
    broken: dict[str, str] = field(default_factory=dict)
    """Why the others cannot be read now."""

    def note(self, path: str, verdict: Verdict) -> bool:
        """Keeps what came of a config, and returns whether that is any news."""
        if verdict.error is not None:
            before, self.broken[path] = self.broken.get(path), verdict.error.message
            return before != verdict.error.message
        was_broken = self.broken.pop(path, None) is not None
        self.told[path] = verdict.told
        return verdict.changed or was_broken


class Change(Struct, frozen=True, kw_only=True):
    """What is to be told after a look; never nothing."""

    verdicts: tuple[tuple[Found, Verdict], ...] = ()
    """Those that are news."""
    gone: tuple[str, ...] = ()
    """The paths of configs that are not there any more."""
    error: VmioError | None = None
    """Why what all results go by could not be read; it is as it was before."""


def compare(
    old: Sequence[Told], file: CheckedFile
) -> tuple[tuple[Told, ...], tuple[Diagnostic, ...], tuple[Told, ...]]:
    """Returns a config's findings as they are kept, those that are new, and those settled.

    One whose words have changed is new, and not settled besides.
    """
    now = [(_keep(diagnostic), diagnostic) for diagnostic in file.diagnostics]
    left = Counter(old)
    new: list[Diagnostic] = []
    for told, diagnostic in now:
        if left[told] > 0:
            left[told] -= 1
        else:
            new.append(diagnostic)
    reworded = Counter((one.code, one.subject) for one in new)
    settled: list[Told] = []
    for told in left.elements():
        about = (told.code, told.subject)
        if reworded[about] > 0:
            reworded[about] -= 1
        else:
            settled.append(told)
    return tuple(told for told, _ in now), tuple(new), tuple(settled)


def _keep(diagnostic: Diagnostic) -> Told:
    return Told(
        diagnostic.code,
        diagnostic.name,
        diagnostic.subject,
        diagnostic.severity,
        diagnostic.message,
    )


def settle(look: Callable[[], View], refresh: Callable[[], None]) -> View:
    """Reads what all results go by, and returns what there was to see before.

    It is read again if it changed meanwhile. What changes after that differs from what is
    returned, so that the next look notices it.
    """
    after = look()
    for _ in range(_TRIES):
        before = after
        refresh()
        after = look()
        if after.shared == before.shared:
            break
    return before


def _look_again(look: Callable[[], View], known: Iterable[str]) -> View:
    """Looks, and looks a second time if a known config is missing.

    A config in /etc/pve has no name for a moment while it is replaced.
    """
    view = look()
    return view if all(path in view.configs for path in known) else look()


def watch(
    view: View,
    memory: Memory,
    *,
    look: Callable[[], View],
    refresh: Callable[[], None],
    check: Callable[[Sequence[Found]], Iterable[tuple[Found, Verdict]]],
    wait: Callable[[], None],
) -> Generator[Change, None, NoReturn]:
    """Yields what changes, for ever.

    What cannot be read is told once, tried again at each look, and stands as it was until then.

    Args:
        view: What there was to see before everything was checked.
        memory: What came of that; it is kept up to date.
        look: Returns what there is to see.
        refresh: Reads again what all results go by, or leaves it and raises a VmioError.
        check: Checks configs, and returns what came of those that it could.
        wait: Returns when it is time for the next look.
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
        told = []
        for path in gone:
            del states[path]
            memory.broken.pop(path, None)
            if memory.told.pop(path, None) is not None:
                told.append(path)
        if verdicts or told or error is not None:
            yield Change(verdicts=tuple(verdicts), gone=tuple(told), error=error)
