"""Configs checked again when they change: findings that are new or gone."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import closing
from functools import partial
from typing import NamedTuple, NoReturn

from vmio.app.inputs import CheckInputs
from vmio.characters import printable
from vmio.errors import VmioError
from vmio.fleet import watch as fleet
from vmio.fleet.watch import FileStates, ReportedFinding, WatchChange, WatchState, compare, settle
from vmio.lint.diagnostic import CheckedFile
from vmio.managers.proxmox.inventory import Found
from vmio.managers.proxmox.watch import ConfigWatcher
from vmio.report.findings.summary import Part, Report, make_part
from vmio.values import replace

__all__ = ["INTERVAL_S", "Verdict", "Watch", "WatchChange"]

INTERVAL_S = fleet.INTERVAL_S


class Verdict(NamedTuple):
    """The result of checking a config: its new findings as text, and those gone."""

    part: Part
    error: VmioError | None
    reported: tuple[ReportedFinding, ...]
    settled: tuple[str, ...]
    """One line each."""

    @property
    def changed(self) -> bool:
        """Whether there is anything to report."""
        return bool(self.part[0] or self.settled)


class Watch:
    """Configs that are checked once, and again whenever they or their inputs change."""

    def __init__(
        self,
        inputs: CheckInputs,
        report: Report,
        *,
        tell_new: Callable[[CheckInputs, Sequence[Found]], None],
        workers: int | None = None,
    ) -> None:
        """Reads the current state.

        Args:
            inputs: What is checked, and everything that findings depend on.
            report: How findings are written.
            tell_new: Called for configs in new folders, with the inputs read again.
            workers: How many processes check; None for one a processor.
        """
        self.inputs = inputs
        self._report = report
        self._tell_new = tell_new
        self._workers = workers
        self._memory = WatchState()
        self._watcher = ConfigWatcher(find=inputs.find_vms)
        self._view = settle(self._look, inputs.refresh)
        self.vms = (*inputs.places.errors, *self._view.vms)

    @property
    def files(self) -> int:
        """The number of configs."""
        return len(self._view.configs)

    def check_first(self) -> Generator[tuple[Part, VmioError | None], None, None]:
        """Yields the results of checking everything once."""
        with closing(self._check(self.vms)) as results:
            for vm, verdict in results:
                self._memory.note(vm.path, verdict)
                yield verdict.part, verdict.error

    def follow(self, wait: Callable[[], None]) -> Generator[WatchChange, None, NoReturn]:
        """Yields each change, forever.

        Args:
            wait: Waits for `INTERVAL_S`, and raises to end the watch.
        """
        return fleet.watch(
            self._view,
            self._memory,
            look=self._look,
            refresh=self._refresh,
            check=self._check,
            wait=wait,
        )

    def _look(self) -> FileStates:
        return self._watcher.look(self.inputs.list_files())

    def _refresh(self) -> None:
        """Reads the inputs again; keeps the old ones while one of them is being written.

        Raises:
            VmioError: Something that could be read before cannot be read now.
        """
        inputs = self.inputs
        fresh = replace(inputs)
        fresh.refresh()
        known = {error.path for error in inputs.places.errors}
        for found in fresh.places.errors:
            if found.path not in known and found.error is not None:
                raise found.error
        self._tell_new(fresh, [vm for vm in fresh.vms if vm.folder not in inputs.places.by_folder])
        inputs.project, inputs.known, inputs.places = fresh.project, fresh.known, fresh.places

    def _check(self, vms: Iterable[Found]) -> Generator[tuple[Found, Verdict], None, None]:
        # A folder created since the places were read waits for the next look.
        folders = self.inputs.places.by_folder
        within = [vm for vm in vms if vm.error is not None or vm.folder in folders]
        reported = self._memory.reported
        known = {vm.path: reported[vm.path] for vm in within if vm.path in reported}
        judge = partial(_judge, self._report, known)
        with closing(self.inputs.check(within, judge, workers=self._workers)) as results:
            yield from zip(within, results, strict=True)


def _judge(
    report: Report, known: Mapping[str, tuple[ReportedFinding, ...]], checked: CheckedFile
) -> Verdict:
    old = known.get(checked.name, ())
    if checked.error is not None:
        return Verdict(make_part(report, checked), checked.error, old, ())
    now, new, settled = compare(old, checked)
    text, _ = make_part(report, replace(checked, diagnostics=new))
    _, tally = make_part(report, checked)
    accepted = {(one.diagnostic.code, one.diagnostic.subject) for one in checked.suppressed}
    lines = tuple(
        _line(
            "accepted" if (one.code, one.subject) in accepted else "settled",
            checked.vm or checked.name,
            one.subject,
            one.code,
            one.name,
        )
        for one in settled
    )
    return Verdict((text, tally), None, now, lines)


def _line(event: str, *words: str) -> str:
    text = " ".join(word for word in words if word)
    return f"{event}: {printable(text)}\n"
