"""`vmio check --watch`: configs checked again when they change, and what is new or settled."""

from __future__ import annotations

import select
import sys
import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import closing
from functools import partial
from typing import NamedTuple, NoReturn

import click
from attrs import evolve

from vmio import api
from vmio.characters import printable
from vmio.cli.check_scene import Scene, print_report, say_problem, say_unknown
from vmio.cli.terminal import say
from vmio.errors import VmioError
from vmio.fleet import watch as fleet
from vmio.fleet.watch import Change, Memory, Told, View, compare, settle
from vmio.lint.diagnostic import CheckedFile
from vmio.managers.proxmox.inventory import Found
from vmio.report.findings.summary import Part, Report, count, make_part, render_summary

__all__ = ["follow"]


class _Verdict(NamedTuple):
    """What came of checking a config: its new findings as text, and those gone."""

    part: Part
    error: VmioError | None
    told: tuple[Told, ...]
    settled: tuple[str, ...]
    """A line each."""

    @property
    def changed(self) -> bool:
        """Whether there is anything to tell."""
        return bool(self.part[0] or self.settled)


def follow(scene: Scene, report: Report, *, workers: int | None) -> NoReturn:
    """Checks all, prints it, and then whatever changes, until a signal comes or nobody reads.

    Args:
        scene: What is checked, and what that goes by.
        report: How findings are printed.
        workers: How many processes check; None for one a processor.
    """
    from vmio.qemu.signals import unwind_on_signals

    with unwind_on_signals():
        lookout = api.watch_vms(scene.paths)

        def look() -> View:
            return lookout.look(scene.list_files())

        view = settle(look, scene.refresh)
        memory = Memory()

        def check(vms: Sequence[Found]) -> Generator[tuple[Found, _Verdict], None, None]:
            return _check(scene, report, memory.told, vms, workers)

        vms = (*scene.places.errors, *view.vms)

        def note() -> Generator[tuple[Part, VmioError | None], None, None]:
            with closing(check(vms)) as results:
                for vm, verdict in results:
                    memory.note(vm.path, verdict)
                    yield verdict.part, verdict.error

        summary = print_report(report, note(), len(vms))
        say_unknown(vms, scene.places)
        for line in render_summary(summary):
            click.echo(line, err=True)
        say(f"watching {count(len(view.configs), 'file')}; Ctrl-C ends it")
        for change in fleet.watch(
            view,
            memory,
            look=look,
            refresh=partial(_refresh, scene),
            check=check,
            wait=_make_wait(),
        ):
            _print_change(change)
    raise AssertionError("it watches for ever")


def _refresh(scene: Scene) -> None:
    """Reads what all goes by, but keeps what there is while a part of it is being written.

    Raises:
        VmioError: Something cannot be read that could be.
    """
    fresh = evolve(scene)
    fresh.refresh()
    known = {error.path for error in scene.places.errors}
    for found in fresh.places.errors:
        if found.path not in known and found.error is not None:
            raise found.error
    new = (vm for vm in fresh.vms if vm.folder not in scene.places.by_folder)
    say_unknown(tuple(new), fresh.places)
    scene.house, scene.known, scene.places = fresh.house, fresh.known, fresh.places


def _check(
    scene: Scene,
    report: Report,
    told: Mapping[str, tuple[Told, ...]],
    vms: Iterable[Found],
    workers: int | None,
) -> Generator[tuple[Found, _Verdict], None, None]:
    # A folder that came since the places were read waits for the next look.
    within = [vm for vm in vms if vm.error is not None or vm.folder in scene.places.by_folder]
    known = {vm.path: told[vm.path] for vm in within if vm.path in told}
    with closing(scene.check(within, partial(_judge, report, known), workers=workers)) as results:
        yield from zip(within, results, strict=True)


def _judge(
    report: Report, known: Mapping[str, tuple[Told, ...]], checked: CheckedFile
) -> _Verdict:
    old = known.get(checked.name, ())
    if checked.error is not None:
        return _Verdict(make_part(report, checked), checked.error, old, ())
    now, new, settled = compare(old, checked)
    text, _ = make_part(report, evolve(checked, diagnostics=new))
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
    return _Verdict((text, tally), None, now, lines)


def _line(event: str, *words: str) -> str:
    text = " ".join(word for word in words if word)
    return f"{event}: {printable(text)}\n"


def _print_change(change: Change) -> None:
    pieces: list[str] = []
    lines: list[str] = []
    if change.error is not None:
        say_problem(change.error)
    for vm, verdict in change.verdicts:
        assert isinstance(verdict, _Verdict)  # noqa: S101 - `_check` makes no others
        if verdict.error is not None:
            say_problem(verdict.error)
            continue
        if verdict.part[0]:
            pieces.append(verdict.part[0])
        lines += verdict.settled
        if not verdict.changed:
            lines.append(_line("readable again", vm.path))
    lines += [_line("gone", path) for path in change.gone]
    if pieces or lines:
        if lines:
            pieces.append("".join(lines))
        text = f"{time.strftime('%Y-%m-%d %H:%M:%S')}\n" + "\n".join(pieces)
        sys.stdout.buffer.write(f"\n{text}".encode("utf-8", "surrogateescape"))
        sys.stdout.buffer.flush()


def _make_wait() -> Callable[[], None]:
    """Returns what waits for the next look, and ends it all when nobody reads any more."""
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)

    def wait() -> None:
        if poll.poll(fleet.INTERVAL_S * 1000):
            raise BrokenPipeError

    return wait
