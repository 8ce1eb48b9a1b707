"""Findings: made for one VM or for many, fixed, and compared with a baseline."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

from vmio.app.addresses import LIBVIRT
from vmio.app.guests import Guest, Storages, lay_out, load, load_source
from vmio.errors import UsageError, VmioError
from vmio.host.files import is_file, read_source
from vmio.model.host import Host
from vmio.model.source import Source

if TYPE_CHECKING:
    from vmio.lint.baseline import Baseline
    from vmio.lint.diagnostic import CheckedFile, Diagnostic, Severity
    from vmio.lint.fixing import Fixed
    from vmio.lint.project import ProjectConfig
    from vmio.managers.proxmox.inventory import Found
    from vmio.managers.proxmox.places import Places

__all__ = [
    "check",
    "check_all",
    "choose_baseline",
    "find_project_config",
    "fix",
    "lint",
    "read_baseline",
    "read_project_config",
]

_Result = TypeVar("_Result")
_STDIN = "<stdin>"
_PROJECT_FILE = "vmio.toml"
_BASELINE = "vmio-baseline.json"


def lint(
    guest: Guest,
    host: Host,
    *,
    select: Sequence[str] = (),
    ignore: Sequence[str] = (),
) -> tuple[Diagnostic, ...]:
    """Returns what the rules find in a config, the most harmful first.

    Args:
        guest: The config.
        host: The host that it would run on.
        select: Codes, names or families of the rules to run; all if empty.
        ignore: Codes, names or families of the rules to leave out.

    Raises:
        UsageError: There is no such rule.
    """
    from vmio.lint.engine import run
    from vmio.lint.rule import Context

    context = Context(guest=guest, topology=lay_out(guest), host=host)
    return run(context, select=select, ignore=ignore)


def check(
    guest: Guest,
    host: Host,
    *,
    project: ProjectConfig,
    baseline: Baseline | None = None,
    node: str = "",
) -> CheckedFile:
    """Returns a config's findings: the reported and the suppressed ones."""
    from vmio.lint.checking import check_context
    from vmio.lint.rule import Context

    context = Context(guest=guest, topology=lay_out(guest), host=host)
    return check_context(context, project=project, baseline=baseline, node=node)


def check_all(
    vms: Sequence[Found],
    places: Places,
    convert: Callable[[CheckedFile], _Result],
    *,
    project: ProjectConfig,
    baseline: Baseline | None = None,
    fixing: bool = False,
    unsafe: bool = False,
    write: bool = False,
    workers: int | None = None,
) -> Generator[_Result, None, None]:
    """Yields the result of checking each of many configs, in their order, on all processors.

    A config that cannot be read, planned or written has the error in its `CheckedFile`, and the
    others are checked. All files that one call writes belong to one run, which one undo reverts.

    Args:
        vms: The configs.
        places: Where they are from.
        convert: Makes of each result what is small to send between processes; a module's own
            function, or a partial of one.
        project: Which findings count.
        baseline: Those that are known.
        fixing: Whether fixes are made first, as `fix` makes them.
        unsafe: Whether to make also fixes that the guest may notice.
        write: Whether fixes are written to the files.
        workers: How many processes to use; None for one a processor.

    Raises:
        ToolError: A worker process was killed.
    """
    from vmio.fleet.runner import CHUNK, map_in_order

    if len(vms) > CHUNK:
        from vmio.lint.project import load_rules

        load_rules(project)  # so that not every process has to
    run = ""
    if write:
        from vmio.managers.journal import make_run

        run = make_run()
    if write or any(vm.path == "-" for vm in vms):
        workers = 1  # no interrupt while files are written; only this process has standard input
    one = partial(
        _check_found,
        places=places,
        project=project,
        baseline=baseline,
        fixing=fixing,
        unsafe=unsafe,
        write=write,
        run=run,
    )
    return map_in_order(partial(_check_chunk, one, convert), vms, workers=workers)


def _check_chunk(
    check_one: Callable[[Found], CheckedFile],
    convert: Callable[[CheckedFile], _Result],
    vms: list[Found],
) -> list[_Result]:
    return [convert(check_one(vm)) for vm in vms]


def _check_found(
    vm: Found,
    *,
    places: Places,
    project: ProjectConfig,
    baseline: Baseline | None,
    fixing: bool,
    unsafe: bool,
    write: bool,
    run: str,
) -> CheckedFile:
    try:
        if vm.error is not None:
            raise vm.error
        place = places.by_folder[vm.folder]
        guest = load(vm.path, host=place.host, storages=place.storages, copies=True)
        if not fixing:
            return check(guest, place.host, project=project, baseline=baseline, node=vm.node)
        return fix(
            guest,
            place.host,
            project=project,
            baseline=baseline,
            node=vm.node,
            storages=place.storages,
            unsafe=unsafe,
            write=write,
            run=run,
        )
    except VmioError as error:
        from vmio.lint.diagnostic import CheckedFile

        return CheckedFile(name=vm.path, error=error, node=vm.node)


def read_project_config(
    config: str | None,
    *,
    select: tuple[str, ...] = (),
    ignore: tuple[str, ...] = (),
    severity: Severity | None = None,
) -> ProjectConfig:
    """Returns the project configuration with a call's own settings, its paths relative to here.

    Args:
        config: Their file; None for vmio.toml in the current folder or the nearest above it.
        select: Rules to run instead of those that it selects.
        ignore: Rules to leave out besides those that it ignores.
        severity: The least severity to report instead of its own.

    Raises:
        UsageError: There is no such rule.
        InputError: The file cannot be read, or has a key or value that is not valid.
    """
    from vmio.lint.project import ProjectConfig, override_project_config, parse_project_config
    from vmio.values import replace

    path = config if config is not None else find_project_config()
    project = ProjectConfig()
    if path is not None:
        project = parse_project_config(read_source(path))
        project = replace(
            project,
            baseline=_join(path, project.baseline),
            storage=_join(path, project.storage),
            host=_join(path, project.host),
        )
    return override_project_config(project, select=select, ignore=ignore, severity=severity)


def _join(project: str, written: str) -> str:
    return str(Path(project).parent / written) if written else ""


def find_project_config() -> str | None:
    """Returns the vmio.toml of the current folder, or of the nearest folder above that has one."""
    folder = Path.cwd()
    for candidate in (folder, *folder.parents):
        path = candidate / _PROJECT_FILE
        if is_file(path):
            return _PROJECT_FILE if candidate == folder else str(path)
    return None


def choose_baseline(project: ProjectConfig, path: str | None = None) -> tuple[str, bool]:
    """Returns the path of the baseline, and whether it must exist.

    That is the one that the call or else the project configuration names, or else
    `vmio-baseline.json` beside vmio.toml, or in the current folder where there is none.
    """
    named = path or project.baseline
    return named or str(Path(project.name).parent / _BASELINE), bool(named)


def read_baseline(project: ProjectConfig, path: str | None = None) -> Baseline | None:
    """Returns the known findings; None if no file is named and the default one does not exist.

    Raises:
        InputError: The file cannot be read, or is not a baseline.
    """
    found, needed = choose_baseline(project, path)
    if not (needed or is_file(found)):
        return None
    from vmio.lint.baseline import parse_baseline

    return parse_baseline(read_source(found))


def fix(
    guest: Guest,
    host: Host,
    *,
    project: ProjectConfig,
    baseline: Baseline | None = None,
    node: str = "",
    storage: str | None = None,
    storages: Storages | Literal["look"] | None = "look",
    unsafe: bool = False,
    write: bool = False,
    run: str = "",
) -> CheckedFile:
    """Fixes a config's findings, and returns those that remain.

    Findings in the baseline are not fixed, and neither is any section but the VM's own. A file
    that cannot or must not be changed now keeps its findings, and the result has the reason, with
    `write` or without, so that both promise the same.

    Args:
        guest: The config.
        host: The host that the VM would run on.
        project: Which findings count.
        baseline: Those that are known.
        node: The host that the VM belongs to, for reports.
        storage: The storage.cfg to use, as for `load`.
        storages: The parsed storages, as for `load`.
        unsafe: Whether to make also fixes that the guest may notice.
        write: Whether to change the file, not only the result.
        run: The id of the run whose changes one undo reverts together; empty for a run of its own.

    Raises:
        UsageError: The config came from standard input, which cannot be written.
    """
    from vmio.formats.registry import find_doors
    from vmio.lint.fixing import fix_source
    from vmio.values import replace

    before, find_editable = guest.vm.source, find_doors(guest.vm.notation).find_editable
    if find_editable(before) is None:
        checked = check(guest, host, project=project, baseline=baseline, node=node)
        return _leave_excerpt(checked, before, unsafe=unsafe)

    def check_text(text: Source) -> CheckedFile:
        again = load_source(
            text,
            host=host,
            storage=storage,
            storages=storages,
            vmid=guest.vm.id,
            kept=guest.context.kept,
        )
        return check(again, host, project=project, baseline=baseline, node=node)

    def fix_text(text: Source) -> Fixed:
        return fix_source(
            text,
            lambda each: check_text(each).diagnostics,
            unsafe=unsafe,
            find_editable=find_editable,
        )

    fixed = fix_text(before)
    refusal = None
    if fixed.changed and before.name.startswith(LIBVIRT):
        refusal = _define(before, lambda secret: fix_text(secret).data, write=write, run=run)
    elif fixed.changed:
        refusal = _write_config(before, fixed.data, write=write, run=run)
    if refusal is not None:
        left = check_text(before)
        return replace(left, before=before, unfixed=fixed.applied, refusal=refusal)
    return replace(check_text(fixed.after), before=before, fixed=fixed.applied)


def _leave_excerpt(checked: CheckedFile, before: Source, *, unsafe: bool) -> CheckedFile:
    """Returns the findings of a text that is not vmio's to write, and why its fixes are not made.

    Who saved a command line knows that; of a config that is part of something it has to be said.
    """
    from vmio.lint.diagnostic import may_apply
    from vmio.values import replace

    left = tuple(each for each in checked.diagnostics if may_apply(each.fix, unsafe=unsafe))
    if not before.excerpt or not left:
        return replace(checked, before=before)
    refusal = UsageError(
        f"the config was taken out of {before.excerpt}, which is not written",
        hint="name the VM or its config, or copy the config into a file of its own",
    )
    return replace(checked, before=before, unfixed=left, refusal=refusal)


def _define(
    before: Source, edit: Callable[[Source], bytes], *, write: bool, run: str
) -> VmioError | None:
    """Defines a libvirt domain, or only checks whether it could; returns why it cannot.

    What is checked has no passwords, and what is defined has them: so it is fixed again.
    """
    from vmio.managers.libvirt.write import read_domain, write_domain

    try:
        if write:
            what, digest = "vmio check --fix", before.digest
            write_domain(before.name, edit, what=what, digest=digest, run=run)
        else:
            read_domain(before.name)
    except VmioError as error:
        return error
    return None


def _write_config(before: Source, data: bytes, *, write: bool, run: str) -> VmioError | None:
    """Replaces a config, or only checks whether it could; returns why it cannot."""
    if before.name == _STDIN:
        if write:
            raise UsageError("standard input cannot be fixed", hint="--diff shows the change")
        return None
    from vmio.managers.write import check_replaceable, replace_config

    path = Path(before.name)
    try:
        if write:
            replace_config(path, before.data, data, what="vmio check --fix", run=run)
        else:
            check_replaceable(path, before.data)
    except VmioError as error:
        return error
    return None
