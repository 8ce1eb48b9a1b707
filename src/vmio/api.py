"""What every face of vmio calls: files and sockets in, models out, models in, text out.

A function that a quick verb does not need is imported where it is used, since what is imported is
what a person waits for.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Generator, Sequence
from contextlib import asynccontextmanager
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

from vmio.errors import InputError, PlanError, UsageError, VmioError
from vmio.formats.proxmox.reader import Guest, read_guest
from vmio.formats.proxmox.storage import Storages, parse_storages
from vmio.formats.registry import recognise
from vmio.host.files import find_storage_cfg, read_source
from vmio.model.host import Host
from vmio.model.source import Source
from vmio.model.topology import AttachedDisk, Topology
from vmio.plan.planner import plan_topology

if TYPE_CHECKING:
    from vmio.apply.journal import Journal
    from vmio.apply.planned import Outcome, Work
    from vmio.apply.proxmox import Applied
    from vmio.apply.undo import Restore
    from vmio.fleet.inventory import Found
    from vmio.fleet.places import Places
    from vmio.formats.qemu_argv import Command
    from vmio.formats.qemu_diff import Difference
    from vmio.formats.qemu_vm import CommandGuest
    from vmio.lint.baseline import Baseline
    from vmio.lint.diagnostic import CheckedFile, Diagnostic, Severity
    from vmio.lint.house import House
    from vmio.lint.story import Argument, Origin, Story
    from vmio.model.capabilities import QemuVersion
    from vmio.model.plan import Plan
    from vmio.model.vm import Vm
    from vmio.qemu.boot import Boot, Volumes
    from vmio.qemu.process import QemuProcess
    from vmio.sim.polling import PollSettings
    from vmio.sim.profile import Profile
    from vmio.sim.replay import Agreement
    from vmio.sim.simulator import Prediction
    from vmio.sim.sweep import Sweep, SweepPoint
    from vmio.sim.trace import LoopTrace
    from vmio.sim.workload import Workload

__all__ = [
    "apply",
    "boot",
    "check",
    "check_all",
    "check_recording",
    "choose_baseline",
    "choose_boot",
    "diff",
    "emit",
    "explain",
    "find_house",
    "find_vms",
    "fix",
    "lint",
    "list_changed",
    "list_policies",
    "load",
    "load_config",
    "load_source",
    "make_plan",
    "observe",
    "plan",
    "prepare_apply",
    "prepare_undo",
    "preview_plan",
    "read_baseline",
    "read_host",
    "read_house",
    "read_places",
    "read_plan",
    "read_source",
    "read_trace",
    "render_qm",
    "save_host",
    "save_plan",
    "simulate",
    "simulate_sweep",
    "undo",
    "verify",
    "write_baseline",
]

_Result = TypeVar("_Result")

_PID = "pid:"
_QMP = "qmp:"
_STDIN = "<stdin>"
_HOUSE = "vmio.toml"
_BASELINE = "vmio-baseline.json"


def read_host(
    path: str | None,
    overrides: Sequence[str] = (),
    *,
    binary: bool = False,
    base: Host | None = None,
    qemu_version: str | None = None,
) -> Host:
    """Returns the host that a guest would run on.

    Args:
        path: A host description; None for the host that this runs on.
        overrides: `KEY=VALUE` texts, each of which replaces one fact.
        binary: Whether a command line is made, which needs the version of this host's QEMU and
            the next port for SPICE where nothing says them.
        base: What is known without a description, instead of this host.
        qemu_version: The version of its QEMU or of Proxmox VE's package of it, whatever else says.

    Raises:
        InputError: The description is none.
        UsageError: An override has no value, or the version is none.
        CapabilityError: No QEMU is installed and its version is needed.
    """
    pairs = []
    for override in overrides:
        key, equals, value = override.partition("=")
        if not equals or not key:
            raise UsageError(f"'{override}' is not of the form KEY=VALUE")
        pairs.append((key, value))
    host = base if base is not None else Host()
    if path is None and base is None:
        from vmio.host.local import read_local_host

        host = read_local_host(ports=binary)
    if path is not None or pairs:
        from vmio.formats.host_toml import parse_host

        host = parse_host(read_source(path) if path is not None else None, pairs, base=host)
    if qemu_version is not None:
        from vmio.formats.proxmox.versions import set_qemu_version

        host = set_qemu_version(host, qemu_version)
    if binary and not host.qemu_version:
        from attrs import evolve

        from vmio.qemu.binary import find_qemu, read_version

        host = evolve(host, qemu_version=str(read_version(find_qemu())))
    return host


def save_host(host: Host, path: str, *, force: bool = False) -> None:
    """Writes a host's description to a file, whole or not at all.

    Args:
        host: The host.
        path: The file's name.
        force: Whether a file that is there already is replaced.

    Raises:
        UsageError: There is such a file already.
        OutputError: The file cannot be written; what was there before is still there.
    """
    from vmio.formats.host_toml import render_host
    from vmio.host.save import write_file

    write_file(Path(path), render_host(host).encode(), force=force)


def find_vms(names: Sequence[str]) -> tuple[Found, ...]:
    """Returns the configs that files, folders and whole clusters' trees mean, each once."""
    from vmio.fleet.inventory import list_vms

    return list_vms(names)


def read_places(
    vms: Sequence[Found],
    *,
    host: str | None = None,
    overrides: Sequence[str] = (),
    qemu_version: str | None = None,
    storage: str | None = None,
) -> Places:
    """Returns the host and the storages that each config goes by.

    Args:
        vms: The configs.
        host: A host description to go by for all, instead of what each node's is.
        overrides: `KEY=VALUE` texts, each of which replaces one fact of every host.
        qemu_version: The version of every host's QEMU.
        storage: The storage.cfg to go by for all.

    Raises:
        InputError: A file that the call names cannot be read; others become errors of the result.
        UsageError: An override has no value, or the version is none.
    """
    from vmio.fleet.places import read_places as read

    def describe(path: str | None, base: Host | None) -> Host:
        return read_host(path, overrides, base=base, qemu_version=qemu_version)

    describe(None, Host())  # so that what the call says wrong ends it, and not a node's part
    return read(
        vms,
        describe=describe,
        host=describe(host, None) if host is not None else None,
        storages=parse_storages(read_source(storage)) if storage is not None else None,
    )


def load(
    path: str,
    *,
    host: Host,
    storage: str | None = None,
    storages: Storages | Literal["look"] | None = "look",
    vmid: str | None = None,
    snapshot: str | None = None,
) -> Guest | CommandGuest:
    """Reads a VM's config, or a QEMU command line.

    Args:
        path: The file's path; `-` for standard input; `pid:NUMBER` for a running QEMU.
        host: The host that it would run on.
        storage: The storage.cfg to go by; None to look for one where Proxmox keeps it.
        storages: What is in it, where that is read already; None if nobody knows.
        vmid: The VM's number, where the file's name does not give it.
        snapshot: The snapshot to read instead of the VM itself.

    Raises:
        InputError: A file cannot be read or is not what it should be.
    """
    if path.startswith(_PID):
        from vmio.host.command import read_process

        return read_process(path, host=host)
    return load_source(
        read_source(path),
        host=host,
        storage=storage,
        storages=storages,
        vmid=vmid,
        snapshot=snapshot,
    )


def load_config(
    path: str,
    *,
    host: Host,
    storage: str | None = None,
    vmid: str | None = None,
    snapshot: str | None = None,
) -> Guest:
    """Reads a VM's config, for what a command line alone has too little for, as `load` does.

    Raises:
        InputError: It is a command line, or cannot be read.
    """
    guest = load(path, host=host, storage=storage, vmid=vmid, snapshot=snapshot)
    if not isinstance(guest, Guest):
        raise InputError(
            f"{path} is a QEMU command line, and a VM config is needed here",
            hint="`vmio show`, `check`, `explain` and `diff` take command lines",
        )
    return guest


def load_source(
    source: Source,
    *,
    host: Host,
    storage: str | None = None,
    storages: Storages | Literal["look"] | None = "look",
    vmid: str | None = None,
    snapshot: str | None = None,
) -> Guest | CommandGuest:
    """Reads a VM whose text is here already, as `load` does.

    The cluster's storages can be here already, too; None where they are not known.
    """
    if recognise(source) == "qemu":
        from vmio.host.command import read_command_source

        if snapshot is not None:
            raise UsageError(f"{source.name} is a QEMU command line, which has no snapshots")
        return read_command_source(source, host=host)
    if storages == "look":
        found = storage if storage is not None else find_storage_cfg(Path(source.name).parent)
        storages = parse_storages(read_source(str(found))) if found is not None else None
    return read_guest(source, storages=storages, host=host, vmid=vmid, snapshot=snapshot)


def plan(guest: Guest | CommandGuest) -> Topology:
    """Returns the layout that a config comes to, or that a command line has."""
    return plan_topology(guest.vm)


def list_policies() -> tuple[tuple[str, str], ...]:
    """Returns how each policy of `make_plan` is written, and what it is."""
    from vmio.plan.policies import POLICIES

    return tuple((policy.usage, policy.summary) for policy in POLICIES.values())


def make_plan(guest: Guest | CommandGuest, host: Host, policy: str = "auto") -> Plan:
    """Returns the steps to the layout that a policy wants, none where it is that already.

    Args:
        guest: The guest.
        host: The host that it runs on.
        policy: A policy with its number, such as `pool:2`.

    Raises:
        UsageError: There is no such policy.
        PlanError: It makes no sense for this guest, or the guest is none of a manager's.
        CapabilityError: The host's QEMU is too old for it.
    """
    from vmio.plan.policies import choose_policy
    from vmio.plan.proposal import propose

    return propose(guest.vm, host, choose_policy(policy))


def preview_plan(guest: Guest | CommandGuest, plan: Plan) -> bytes:
    """Returns the config's text with a plan's changes made; nothing is written.

    Raises:
        ConflictError: The config no longer says what the plan goes from.
    """
    from vmio.formats.proxmox.changes import apply_changes
    from vmio.plan.steps import list_changes

    return apply_changes(guest.vm.source, list_changes(plan.steps))


def save_plan(plan: Plan, path: str, *, force: bool = False) -> None:
    """Writes a plan to a file, whole or not at all.

    Raises:
        UsageError: There is such a file already, and it shall not be replaced.
        OutputError: The file cannot be written.
    """
    from vmio.formats.plan_file import render_plan
    from vmio.host.save import write_file

    write_file(Path(path), render_plan(plan).encode(), force=force)


def lint(
    guest: Guest | CommandGuest,
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
        ignore: Those to leave out.

    Raises:
        UsageError: There is no such rule.
    """
    from vmio.lint.engine import run
    from vmio.lint.rule import Context

    context = Context(vm=guest.vm, topology=plan(guest), host=host)
    return run(context, select=select, ignore=ignore)


def check(
    guest: Guest | CommandGuest,
    host: Host,
    *,
    house: House,
    baseline: Baseline | None = None,
    node: str = "",
) -> CheckedFile:
    """Returns a config's findings: those that count in a house, and those that are accepted."""
    from vmio.lint.checking import check_context
    from vmio.lint.rule import Context

    context = Context(vm=guest.vm, topology=plan(guest), host=host)
    return check_context(context, house=house, baseline=baseline, node=node)


def check_all(
    vms: Sequence[Found],
    places: Places,
    convert: Callable[[CheckedFile], _Result],
    *,
    house: House,
    baseline: Baseline | None = None,
    fixing: bool = False,
    unsafe: bool = False,
    write: bool = False,
    workers: int | None = None,
) -> Generator[_Result, None, None]:
    """Yields what comes of checking each of many configs, in their order, on all processors.

    What cannot be read, planned or written is told by the `CheckedFile` of it, and the rest goes
    on.

    Args:
        vms: The configs.
        places: Where they are from.
        convert: Makes of each result what is small to send between processes; a module's own
            function, or a partial of one.
        house: Which findings count.
        baseline: Those that are known.
        fixing: Whether fixes are made first, as `fix` makes them.
        unsafe: Whether those that the guest may notice, too.
        write: Whether they are written to the files.
        workers: How many processes to use; None for one a processor.

    Raises:
        ToolError: A process that did a part of it was killed.
    """
    from vmio.fleet.runner import map_in_order
    from vmio.lint.house import load_rules

    load_rules(house)  # so that not every process has to
    if write or any(vm.path == "-" for vm in vms):
        workers = 1  # what is being written is not interrupted; only this process has the input
    one = partial(
        _check_found,
        places=places,
        house=house,
        baseline=baseline,
        fixing=fixing,
        unsafe=unsafe,
        write=write,
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
    house: House,
    baseline: Baseline | None,
    fixing: bool,
    unsafe: bool,
    write: bool,
) -> CheckedFile:
    try:
        if vm.error is not None:
            raise vm.error
        place = places.by_folder[vm.folder]
        guest = load(vm.path, host=place.host, storages=place.storages)
        if not fixing:
            return check(guest, place.host, house=house, baseline=baseline, node=vm.node)
        return fix(
            guest,
            place.host,
            house=house,
            baseline=baseline,
            node=vm.node,
            storages=place.storages,
            unsafe=unsafe,
            write=write,
        )
    except VmioError as error:
        from vmio.lint.diagnostic import CheckedFile

        return CheckedFile(name=vm.path, error=error, node=vm.node)


def read_house(
    config: str | None,
    *,
    select: tuple[str, ...] = (),
    ignore: tuple[str, ...] = (),
    severity: Severity | None = None,
) -> House:
    """Returns the house rules with what a call says besides, its paths as they open from here.

    Args:
        config: Their file; None for vmio.toml in the current folder or the nearest above it.
        select: Rules to run instead of those that the house selects.
        ignore: Rules to leave out besides those that the house ignores.
        severity: The least severity to go by instead of the house's.

    Raises:
        UsageError: There is no such rule.
        InputError: The file cannot be read, or says something that no house rule is.
    """
    from attrs import evolve

    from vmio.lint.house import House, override_house, parse_house

    path = config if config is not None else find_house()
    house = House()
    if path is not None:
        house = parse_house(read_source(path))
        house = evolve(
            house,
            baseline=_join(path, house.baseline),
            storage=_join(path, house.storage),
            host=_join(path, house.host),
        )
    return override_house(house, select=select, ignore=ignore, severity=severity)


def _join(house: str, written: str) -> str:
    return str(Path(house).parent / written) if written else ""


def find_house() -> str | None:
    """Returns the vmio.toml of the current folder, or of the nearest one above that has one."""
    folder = Path.cwd()
    for candidate in (folder, *folder.parents):
        path = candidate / _HOUSE
        if path.is_file():
            return _HOUSE if candidate == folder else str(path)
    return None


def choose_baseline(house: House, path: str | None = None) -> tuple[str, bool]:
    """Returns where the baseline is kept, and whether it must be there.

    That is what the call names, or else the house, or else `vmio-baseline.json` beside vmio.toml,
    or in the current folder where there is none.
    """
    named = path or house.baseline
    return named or str(Path(house.name).parent / _BASELINE), bool(named)


def read_baseline(house: House, path: str | None = None) -> Baseline | None:
    """Returns the findings that are known, None where no file is named and none is there.

    Raises:
        InputError: The file cannot be read, or is no baseline.
    """
    found, needed = choose_baseline(house, path)
    if not (needed or Path(found).is_file()):
        return None
    from vmio.lint.baseline import parse_baseline

    return parse_baseline(read_source(found))


def write_baseline(baseline: Baseline, path: str, *, force: bool = False) -> None:
    """Writes a baseline's file, whole or not at all.

    Raises:
        UsageError: There is such a file already.
        OutputError: The file cannot be written; what was there before is still there.
    """
    from vmio.host.save import write_file
    from vmio.lint.baseline import render_baseline

    write_file(Path(path), render_baseline(baseline).encode(), force=force)


def fix(
    guest: Guest | CommandGuest,
    host: Host,
    *,
    house: House,
    baseline: Baseline | None = None,
    node: str = "",
    storage: str | None = None,
    storages: Storages | Literal["look"] | None = "look",
    unsafe: bool = False,
    write: bool = False,
) -> CheckedFile:
    """Fixes a config's findings, and returns those that it has afterwards.

    Findings that are accepted are left alone, and so is every section but the VM's own.

    Args:
        guest: The config.
        host: The host that the VM would run on.
        house: Which findings count.
        baseline: Those that are known.
        node: The host that the VM belongs to, for reports.
        storage: The storage.cfg to go by, as for `load`.
        storages: What is in it, as for `load`.
        unsafe: Whether to make fixes that the guest may notice, too.
        write: Whether the file is changed, or only the result.

    Raises:
        UsageError: What came from standard input cannot be written.
        ConflictError: The file changed since it was read.
        OutputError: It cannot be written; what was there before is still there.
    """
    from attrs import evolve

    from vmio.formats.proxmox.config import parse_config
    from vmio.lint.fixing import fix_source
    from vmio.model.source import Span

    before = guest.vm.source
    if guest.vm.notation != "proxmox":
        checked = check(guest, host, house=house, baseline=baseline, node=node)
        return evolve(checked, before=before)

    def check_text(text: Source) -> CheckedFile:
        again = load_source(text, host=host, storage=storage, storages=storages, vmid=guest.vm.id)
        return check(again, host, house=house, baseline=baseline, node=node)

    def find_editable(text: Source) -> Span:
        return parse_config(text).main.span

    fixed = fix_source(
        before,
        lambda text: check_text(text).diagnostics,
        unsafe=unsafe,
        find_editable=find_editable,
    )
    if write and fixed.changed:
        _write_config(before, fixed.data)
    return evolve(check_text(fixed.after), before=before, fixed=fixed.applied)


def _write_config(before: Source, data: bytes) -> None:
    """Replaces a config that is still what it was, and that may be changed now."""
    if before.name == _STDIN:
        raise UsageError("standard input cannot be fixed", hint="--diff shows the change")
    from vmio.apply.proxmox import replace_config

    replace_config(Path(before.name), before.data, data, what="vmio check --fix")


def emit(guest: Guest, host: Host, *, pretty: bool = False) -> tuple[str, tuple[str, ...]]:
    """Returns the command line that the guest's manager would run, and what it would warn of.

    Raises:
        UnsupportedError: The config uses something that vmio cannot print yet.
        PlanError: The manager itself would refuse.
    """
    from vmio.formats.proxmox.argv import build_command, render_command

    command = build_command(guest, plan_topology(guest.vm, with_args=False), host)
    return render_command(command.argv, pretty=pretty), command.warnings


def explain(
    path: str,
    disk: str | None = None,
    *,
    host: Host,
    storage: str | None = None,
    snapshot: str | None = None,
) -> tuple[str, Origin, tuple[Story, ...]]:
    """Returns what a guest is called, where that is from, and the story of one disk or of all.

    Args:
        path: A config, a command line or `pid:NUMBER` as for `load`, or `qmp:SOCKET`.
        disk: The disk's name; None for all.
        host: The host that the guest runs on.
        storage: The storage.cfg to go by.
        snapshot: The snapshot to read instead of the VM itself.

    Raises:
        UsageError: The guest has no such disk.
        InputError: A file cannot be read or is not what it should be.
        QmpError: Nothing answers on the socket, or not in QMP.
    """
    from vmio.lint.story import tell_story

    if path.startswith(_QMP):
        topology = observe(path.removeprefix(_QMP))
        chosen = _choose_disks(topology, disk, None)
        stories = (
            tell_story(each, topology, vm=None, name=path, origin="running") for each in chosen
        )
        return path, "running", tuple(stories)
    guest = load(path, host=host, storage=storage, snapshot=snapshot)
    topology = plan(guest)
    chosen = _choose_disks(topology, disk, guest.vm)
    name = f"{guest.vm.id} {guest.vm.name}".strip()
    origin: Origin = "command" if guest.vm.notation == "qemu" else "plan"
    arguments, findings = _list_arguments(guest, host), lint(guest, host)
    return (
        name,
        origin,
        tuple(
            tell_story(
                each,
                topology,
                vm=guest.vm,
                name=name,
                origin=origin,
                arguments=arguments,
                findings=findings,
            )
            for each in chosen
        ),
    )


def _choose_disks(topology: Topology, disk: str | None, vm: Vm | None) -> tuple[AttachedDisk, ...]:
    if disk is None:
        return topology.disks
    found = topology.find_disk(disk)
    if found is not None:
        return (found,)
    reasons = [each.message for each in vm.problems if each.subject == disk] if vm else []
    said = f": {reasons[0].splitlines()[-1]}" if reasons else ""
    names = ", ".join(attached.disk.id for attached in topology.disks)
    raise UsageError(
        f"there is no disk '{disk[:60]}'{said}",
        hint=f"the disks are {names}" if names else "the guest has no disks",
    )


def _list_arguments(guest: Guest | CommandGuest, host: Host) -> tuple[Argument, ...]:
    """Returns a guest's command line, an option at a time; nothing where it cannot be made."""
    from vmio.formats.qemu_argv import read_options
    from vmio.lint.story import Argument

    if not isinstance(guest, Guest):
        source = guest.vm.source
        return tuple(
            Argument(text=source.read_span(option.span), option=option)
            for option in guest.vm.options
            if option.span is not None
        )
    from vmio.formats.proxmox.argv import render_argv, render_command

    try:
        argv = render_argv(guest, plan_topology(guest.vm, with_args=False), host)
    except PlanError:
        return ()
    return tuple(
        Argument(text=render_command((words,)), option=option)
        for words in argv[1:]
        for option in read_options(words)
    )


def read_plan(path: str) -> Plan:
    """Reads a plan that `vmio plan -o` wrote.

    Raises:
        InputError: The file cannot be read, or is no plan.
    """
    from vmio.formats.plan_file import parse_plan

    return parse_plan(read_source(path))


def prepare_apply(
    plan: Plan,
    config: str | None = None,
    *,
    qmp: str | None = None,
    live: bool | None = None,
    check: bool = True,
) -> Work:
    """Returns what a plan comes to for a config as it is now; nothing is changed.

    Args:
        plan: The plan.
        config: The config; None for the one that the plan was made from.
        qmp: The running guest's QMP socket; None to look where Proxmox VE has it.
        live: Whether to set what can be set at once; None where a running guest is found.
        check: Whether to refuse a config that must not be changed now.

    Raises:
        UsageError: The plan is for another guest, or the running guest is not found.
        InputError: The config cannot be read.
        ConflictError: It is not what the plan was made for, or must not be changed now.
    """
    from vmio.apply.planned import prepare_plan

    source = read_source(plan.config if config is None else config)
    if source.name == _STDIN:
        raise UsageError("standard input cannot be changed", hint="name the config as a file")
    return prepare_plan(plan, source, qmp=qmp, live=live, check=check)


def apply(work: Work) -> Outcome:
    """Carries out a plan: writes the config, and sets what a running guest can be given.

    Raises:
        ConflictError: The config changed meanwhile, or must not be changed now.
        OutputError: It cannot be written; what was there before is still there.
        QmpError: The running guest does not take it; it has its old values then.
    """
    from vmio.apply.planned import carry_out

    return carry_out(work)


def render_qm(work: Work) -> str:
    """Returns the command of Proxmox VE that makes a plan's changes; empty if there are none."""
    from vmio.apply.commands import render_command
    from vmio.plan.steps import list_changes

    return render_command(work.plan.vm, work.source, list_changes(work.plan.steps))


def list_changed(vm: str = "") -> tuple[Journal, ...]:
    """Returns what vmio has changed of a guest, or of all.

    Raises:
        UsageError: It has changed nothing of that guest.
    """
    from vmio.apply.proxmox import Places
    from vmio.apply.undo import find_journals

    return find_journals(vm, Places())


def prepare_undo(vm: str = "", *, number: int | None = None, force: bool = False) -> Restore:
    """Returns what taking a change back would do, of the config that vmio changed last if none.

    Raises:
        UsageError: There is nothing to take back.
        InputError: The config or its backup cannot be read.
        ConflictError: The config is not what vmio wrote, or must not be changed now.
    """
    from vmio.apply.undo import prepare_undo as prepare

    return prepare(vm, number=number, force=force)


def undo(restore: Restore) -> Applied:
    """Puts back what a config was; this is a change of its own, which can be taken back.

    Raises:
        ConflictError: The config changed meanwhile, or must not be changed now.
        OutputError: It cannot be written; what was there before is still there.
    """
    from vmio.apply.undo import undo as put_back

    return put_back(restore)


def observe(socket: str) -> Topology:
    """Returns the layout that a running QEMU reports on its QMP socket.

    Raises:
        QmpError: Nothing answers there, or not in QMP.
    """
    from vmio.qemu.live import read_live
    from vmio.qemu.qmp import QmpConnection
    from vmio.qemu.signals import run_async

    async def ask() -> Topology:
        async with QmpConnection.connect(Path(socket)) as connection:
            return await read_live(connection)

    return run_async(ask())


def choose_boot(
    *,
    accelerator: Literal["auto", "kvm", "tcg"] = "auto",
    kernel: str | None = None,
    initrd: str | None = None,
    append: str = "",
    memory_mib: int | None = None,
    arch: str = "x86_64",
) -> tuple[Boot, str]:
    """Returns how guests are booted on this host, and why not with KVM where that is so.

    Args:
        accelerator: kvm, tcg, or auto to try.
        kernel: A kernel to boot instead of what is on the disks.
        initrd: Its initramfs.
        append: Its command line.
        memory_mib: Memory of the guest; None for what its config says.
        arch: The guest's architecture.

    Raises:
        CapabilityError: There is no QEMU, or the accelerator asked for does not work here.
    """
    from vmio.qemu.accel import choose_accelerator
    from vmio.qemu.binary import find_qemu, read_capabilities
    from vmio.qemu.boot import Boot

    binary = find_qemu(arch)
    chosen = choose_accelerator(binary, ask=accelerator)
    boot = Boot(
        binary=str(binary),
        accelerator=chosen.name,
        machine_types=tuple(read_capabilities(binary).machine_names),
        kernel=kernel,
        initrd=initrd,
        append=append,
        memory_mib=memory_mib,
    )
    return boot, chosen.reason if chosen.fell_back else ""


@asynccontextmanager
async def boot(
    guest: Guest, how: Boot, volumes: Volumes, *, qmp_socket: Path | None = None
) -> AsyncIterator[tuple[QemuProcess, Topology]]:
    """Boots a guest on this host and ends it with everything that was made for it.

    Yields:
        The running QEMU, and the plan over the files of this host.

    Raises:
        InputError: A volume is neither here nor replaced.
        ToolError: QEMU refused.
    """
    from vmio.qemu.boot import place_volumes, render_boot
    from vmio.qemu.process import QemuProcess

    with place_volumes(plan(guest), volumes) as placed:
        argv = render_boot(guest, placed, how)
        async with QemuProcess.start(argv, qmp_socket=qmp_socket) as process:
            yield process, placed


async def verify(process: QemuProcess, planned: Topology) -> tuple[Topology, tuple[str, ...]]:
    """Returns what a running QEMU reports, and in words where that differs from the plan."""
    from vmio.qemu.live import compare, read_live

    live = await read_live(process.qmp)
    return live, compare(planned, live)


def check_recording(path: str, version: QemuVersion, settings: PollSettings) -> Agreement:
    """Computes an event loop's polling from a recording's inputs and compares it with QEMU's own.

    Args:
        path: The recording, as it is or compressed with xz; `-` is standard input.
        version: The QEMU that it was made of.
        settings: The parameters that its IOThread had.

    Raises:
        InputError: The file cannot be read, is no recording, or is cut off.
        CapabilityError: How that QEMU polls is not known.
    """
    from vmio.formats.qemu_trace import decompress, parse_recording
    from vmio.sim.polling import choose_generation
    from vmio.sim.replay import check_recording as check

    generation = choose_generation(version)
    return check(parse_recording(decompress(read_source(path))), generation, settings)


def simulate(
    guest: Guest | CommandGuest,
    host: Host,
    workload: str,
    *,
    parameters: Sequence[str] = (),
    policy: str | None = None,
    profile: str | None = None,
    seeds: int = 5,
    requests: int = 5_000,
) -> Prediction:
    """Returns what a guest's layout would do under a load, by what each step costs.

    Args:
        guest: The guest.
        host: The host, for the version of its QEMU.
        workload: Such as `qd=16,think=100us`.
        parameters: As `ID.poll_max_ns=0`; without `ID.` it is set on every IOThread.
        policy: The policy whose plan is simulated; None for the guest as it is.
        profile: A file of costs; None for the default profile, which is not this host's.
        seeds: How many runs to average over.
        requests: How many requests count in each.

    Raises:
        UsageError: The workload, a parameter or the policy makes no sense.
        InputError: The file of costs cannot be read, or is none.
        PlanError: There is no disk, or no such plan.
        CapabilityError: The QEMU's version, or how it polls, is not known.
    """
    from vmio.sim.simulator import predict

    topology, load, costs, version = _prepare_simulation(
        guest, host, workload, parameters=parameters, policy=policy, profile=profile
    )
    return predict(topology, load, profile=costs, version=version, seeds=seeds, requests=requests)


def simulate_sweep(
    guest: Guest | CommandGuest,
    host: Host,
    workload: str,
    sweep: str,
    *,
    parameters: Sequence[str] = (),
    policy: str | None = None,
    profile: str | None = None,
    seeds: int = 5,
    requests: int = 5_000,
    workers: int | None = None,
) -> tuple[Sweep, Generator[SweepPoint, None, None]]:
    """Returns the values that a parameter takes, and what comes of each, in their order.

    Args:
        guest: As `simulate` takes it, and what follows.
        host: The host.
        workload: The load.
        sweep: Such as `poll_max_ns=0:1000000`, of one IOThread with `ID.` before it, else of all.
        parameters: What is replaced besides.
        policy: The policy whose plan is simulated.
        profile: A file of costs.
        seeds: How many runs for each value.
        requests: How many requests count in each.
        workers: How many processes to use; None for one a processor.

    Raises:
        UsageError: The range makes no sense.
        VmioError: As `simulate` raises it.
    """
    from vmio.fleet.runner import map_in_order
    from vmio.sim.sweep import parse_sweep, simulate_values

    topology, load, costs, version = _prepare_simulation(
        guest, host, workload, parameters=parameters, policy=policy, profile=profile
    )
    swept = parse_sweep(sweep, topology)
    one = partial(
        simulate_values,
        topology,
        swept,
        load,
        profile=costs,
        version=version,
        seeds=seeds,
        requests=requests,
    )
    return swept, map_in_order(one, swept.values, workers=workers, chunk_size=1)


def _prepare_simulation(
    guest: Guest | CommandGuest,
    host: Host,
    workload: str,
    *,
    parameters: Sequence[str],
    policy: str | None,
    profile: str | None,
) -> tuple[Topology, Workload, Profile, QemuVersion]:
    from vmio.errors import CapabilityError
    from vmio.model.capabilities import QemuVersion
    from vmio.sim.profile import DEFAULT_PROFILE
    from vmio.sim.profile_toml import parse_profile
    from vmio.sim.simulator import set_parameters
    from vmio.sim.workload import parse_workload

    numbers = host.qemu_version.split(".")
    if not 2 <= len(numbers) <= 3 or not all(each.isdecimal() for each in numbers):  # noqa: PLR2004 - as versions are written
        raise CapabilityError(
            "which QEMU it runs on is not known", hint="--qemu-version 10.0.2 says it"
        )
    load = parse_workload(workload)
    topology = plan(guest) if policy is None else make_plan(guest, host, policy).after
    return (
        set_parameters(topology, parameters),
        load,
        DEFAULT_PROFILE if profile is None else parse_profile(read_source(profile)),
        QemuVersion(*map(int, numbers)),
    )


def read_trace(
    path: str, version: QemuVersion, settings: PollSettings, *, zeros: int = 0
) -> tuple[LoopTrace, ...]:
    """Returns the event loops of a trace, the busiest first, read line by line.

    Raises:
        InputError: The file cannot be read, is cut off, or has no polling in it.
        CapabilityError: How that QEMU polls is not known.
    """
    from vmio.formats.qemu_trace import parse_trace_lines
    from vmio.host.trace_file import read_lines
    from vmio.sim.polling import choose_generation
    from vmio.sim.trace import summarize_trace

    events = parse_trace_lines(path, read_lines(path))
    return summarize_trace(events, choose_generation(version), settings, zeros=zeros)


def diff(
    a: str,
    b: str,
    *,
    host: str | None = None,
    overrides: Sequence[str] = (),
    storage: str | None = None,
    vmid: str | None = None,
) -> tuple[Difference, ...]:
    """Returns where two command lines differ.

    Args:
        a: A config, a saved command line, or `pid:NUMBER`; `-` is standard input.
        b: The other side.
        host: The host description that a config goes by; None for this host.
        overrides: `KEY=VALUE` texts, each of which replaces one fact of the host.
        storage: The storage.cfg to go by.
        vmid: The number of a config's VM, where its file's name does not give it.

    Raises:
        UsageError: A side makes no sense.
        InputError: A side cannot be read, or is neither of these.
        PlanError: A config has no command line.
    """
    from vmio.formats.qemu_diff import compare_commands, leave_out_process

    if a == b == "-":
        raise UsageError("standard input can be one side only")

    @cache
    def facts() -> Host:
        return read_host(host, overrides, binary=True)

    one, other = (_read_side(side, facts, storage=storage, vmid=vmid) for side in (a, b))
    if a.startswith(_PID) or b.startswith(_PID):
        one, other = leave_out_process(one), leave_out_process(other)
    return compare_commands(one, other)


def _read_side(
    side: str, facts: Callable[[], Host], *, storage: str | None, vmid: str | None
) -> Command:
    from vmio.formats.qemu_argv import parse_command, parse_words

    if side.startswith(_PID):
        from vmio.host.command import read_qemu_words

        return parse_words(read_qemu_words(side))
    source = read_source(side)
    if recognise(source) == "qemu":
        return parse_command(source)
    from vmio.formats.proxmox.argv import render_argv

    guest = load_source(source, host=facts(), storage=storage, vmid=vmid)
    assert isinstance(guest, Guest)  # noqa: S101 - its notation is known
    argv = render_argv(guest, plan_topology(guest.vm, with_args=False), facts())
    return parse_words([word for argument in argv for word in argument])
