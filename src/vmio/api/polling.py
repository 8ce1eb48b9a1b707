"""Polling: recordings computed again, traces told, layouts simulated."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import suppress
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING

from attrs import frozen

from vmio.api.calibrating import find_profile, read_profile
from vmio.api.changing import make_plan
from vmio.api.guests import plan
from vmio.api.hosts import complete_version
from vmio.formats.proxmox.reader import Guest
from vmio.model.host import Host
from vmio.model.topology import Topology

if TYPE_CHECKING:
    from concurrent.futures import Executor
    from contextlib import AbstractContextManager

    from vmio.fleet.cluster import Cluster
    from vmio.formats.qemu.reader import CommandGuest
    from vmio.model.capabilities import QemuVersion
    from vmio.sim.polling import PollSettings
    from vmio.sim.profile import Accelerator, Profile
    from vmio.sim.ranking import Criterion, Ranking
    from vmio.sim.replay import Agreement
    from vmio.sim.simulator import Prediction
    from vmio.sim.sweep import Grid, SweepPoint
    from vmio.sim.trace import LoopTrace
    from vmio.sim.workload import Workload

__all__ = [
    "check_recording",
    "connect_cluster",
    "rank_plans",
    "read_trace",
    "simulate",
    "simulate_sweep",
]


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
    from vmio.formats.qemu.trace import parse_recording
    from vmio.host.trace_file import read_lines
    from vmio.sim.polling import choose_generation
    from vmio.sim.replay import check_recording as check

    generation = choose_generation(version)
    return check(parse_recording(path, read_lines(path)), generation, settings)


def connect_cluster(address: str) -> AbstractContextManager[Cluster]:
    """Returns a connection to a Dask scheduler, whose executor runs sweeps until it is closed.

    Args:
        address: As `tcp://HOST:PORT`.

    Raises:
        VmioError: When it is entered, as `vmio.fleet.cluster.connect_cluster` raises it.
    """
    from vmio.fleet.cluster import connect_cluster as connect

    return connect(address)


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
        profile: A file of costs, as `read_profile` takes it.
        seeds: How many runs to average over.
        requests: How many requests count in each.

    Raises:
        UsageError: The workload, a parameter or the policy makes no sense.
        InputError: The file of costs cannot be read, or is none.
        PlanError: There is no disk, or no such plan.
        CapabilityError: The QEMU's version, or how it polls, is not known.
    """
    from vmio.sim.simulator import predict

    task = _prepare_simulation(
        guest, host, workload, parameters=parameters, policy=policy, profile=profile
    )
    return predict(
        task.topology,
        task.load,
        profile=task.profile,
        version=task.version,
        seeds=seeds,
        requests=requests,
        warnings=task.warnings,
    )


def simulate_sweep(
    guest: Guest | CommandGuest,
    host: Host,
    workload: str,
    sweeps: Sequence[str],
    *,
    parameters: Sequence[str] = (),
    policy: str | None = None,
    profile: str | None = None,
    seeds: int = 5,
    requests: int = 5_000,
    workers: int | None = None,
    executor: Executor | None = None,
) -> tuple[Grid, Generator[SweepPoint, None, None]]:
    """Returns the values that parameters take, and what comes of each, in their order.

    Wherever it runs, the same call gives the same points.

    Args:
        guest: As `simulate` takes it, and what follows.
        host: The host.
        workload: The load.
        sweeps: Such as `poll_max_ns=0:1000000`, of one IOThread with `ID.` before it, else of all;
            or `qd=1:64`, `batch`, `jobs`, `work_ns`, `think_ns` or `rate_per_s` of the load. Of
            several, every combination is simulated.
        parameters: What is replaced besides.
        policy: The policy whose plan is simulated.
        profile: A file of costs.
        seeds: How many runs for each point.
        requests: How many requests count in each.
        workers: How many processes to use, or how many points an executor does at a time; None
            for one a processor.
        executor: What to run it on instead of processes of this host: any of
            `concurrent.futures`, or what `connect_cluster` gives.

    Raises:
        UsageError: A range makes no sense, or there are too many points.
        ToolError: One of the processes was killed.
        VmioError: As `simulate` raises it.
    """
    from vmio.fleet.runner import map_in_order
    from vmio.sim.simulator import pays_to_compile
    from vmio.sim.sweep import parse_grid, simulate_points

    task = _prepare_simulation(
        guest, host, workload, parameters=parameters, policy=policy, profile=profile
    )
    grid = parse_grid(sweeps, task.topology, task.load)
    compiled = pays_to_compile(2 * grid.size * seeds * requests)
    one = partial(
        simulate_points,
        task.topology,
        grid,
        task.load,
        profile=task.profile,
        version=task.version,
        seeds=seeds,
        requests=requests,
        compiled=compiled,
        warnings=task.warnings,
    )
    points = grid.list_points()
    if compiled and executor is None:
        # Once, for all the processes that are forked of this one.
        one([next(grid.list_points())], seeds=2, requests=100)
    return grid, map_in_order(one, points, workers=workers, chunk_size=1, executor=executor)


def rank_plans(
    guest: Guest | CommandGuest,
    host: Host,
    workload: str,
    *,
    by: Criterion = "iops",
    policies: Sequence[str] = (),
    profile: str | None = None,
    seeds: int = 5,
    requests: int = 5_000,
    workers: int | None = None,
) -> Ranking:
    """Returns a guest as it is and as policies would make it, in order of what is predicted.

    A layout that several policies come to is simulated once. A policy that has no plan for this
    guest is left out, with the reason.

    Args:
        guest: The guest.
        host: The host, for the version of its QEMU and for the policies.
        workload: Such as `qd=16,think=100us`.
        by: What they are ranked by.
        policies: Their names, such as `pool:2`; those that `vmio plan --compare` shows if none.
        profile: A file of costs, as `read_profile` takes it.
        seeds: How many runs to average over.
        requests: How many requests count in each.
        workers: How many processes to use; None for one a processor.

    Raises:
        UsageError: The workload or the name of a policy makes no sense.
        InputError: The file of costs cannot be read, or is none.
        PlanError: There is no disk, or the guest is none of a manager's.
        CapabilityError: No costs have been measured and none are named, or the QEMU's version, or
            how it polls, is not known.
    """
    from contextlib import closing

    from vmio.errors import CapabilityError, PlanError, UnsupportedError
    from vmio.fleet.runner import map_in_order
    from vmio.host.files import is_file
    from vmio.plan.policies import COMPARED, PROPOSED, choose_policy
    from vmio.plan.proposal import propose_layout
    from vmio.sim.ranking import join_layouts, predict_layouts, rank_layouts

    task = _prepare_simulation(guest, host, workload, parameters=(), policy=None, profile=profile)
    if profile is None and not is_file(find_profile()):
        raise CapabilityError(
            "no costs have been measured on this host, and the default profile's are of a guest"
            " under TCG on another one, so that no order by them is this guest's",
            hint="vmio calibrate measures them in two minutes; --profile default ranks by those of"
            " the other host",
        )
    named, left_out, notes = [("as it is", task.topology)], [], []
    for name in policies or COMPARED:
        choice = choose_policy(name)
        try:
            layout, by_hand = propose_layout(guest.vm, host, choice)
        except UnsupportedError:
            raise
        except (PlanError, CapabilityError) as error:
            left_out.append((name, error.message))
            continue
        named.append((name, layout))
        notes += [f"done by hand, and not in the predictions: {what}" for what in by_hand]
    layouts = join_layouts(named)
    mapped = (each.iothread_vq_mapping for _, layout in named for each in layout.controllers)
    if task.load.jobs == 1 and any(mapped):
        notes.append("one job asks one virtqueue of a disk, whatever others are mapped to")
    one = partial(
        predict_layouts,
        task.load,
        profile=task.profile,
        version=task.version,
        seeds=seeds,
        requests=requests,
        warnings=task.warnings,
    )
    with closing(map_in_order(one, layouts, workers=workers, chunk_size=1)) as results:
        return rank_layouts(
            by,
            zip(layouts, results, strict=True),
            left_out=left_out,
            notes=dict.fromkeys(notes),
            proposed=PROPOSED,
        )


@frozen(kw_only=True)
class _Simulation:
    """What is simulated, and by what."""

    topology: Topology
    load: Workload
    profile: Profile
    version: QemuVersion
    warnings: tuple[str, ...]


def _prepare_simulation(
    guest: Guest | CommandGuest,
    host: Host,
    workload: str,
    *,
    parameters: Sequence[str],
    policy: str | None,
    profile: str | None,
) -> _Simulation:
    from vmio.sim.placing import place_profile
    from vmio.sim.simulator import set_parameters
    from vmio.sim.workload import parse_workload

    version, doubts = _find_version(host)
    load = parse_workload(workload)
    topology = plan(guest) if policy is None else make_plan(guest, host, policy).after
    costs, warnings = place_profile(
        read_profile(profile), guest.vm, host, accelerator=_find_accelerator(guest, host)
    )
    return _Simulation(
        topology=set_parameters(topology, parameters),
        load=load,
        profile=costs,
        version=version,
        warnings=(*warnings, *doubts),
    )


def _find_version(host: Host) -> tuple[QemuVersion, tuple[str, ...]]:
    """Returns a host's QEMU, or with a warning the one that is installed here."""
    from vmio.errors import CapabilityError, ToolError
    from vmio.model.capabilities import QemuVersion

    text, doubt = host.qemu_version, ""
    if not text:
        with suppress(CapabilityError, ToolError):
            text = complete_version(host).qemu_version
            doubt = (
                f"the QEMU of the guest's host is not known: it is taken to be {text}, which is"
                " installed here; --qemu-version gives another"
            )
    numbers = text.split(".")
    if not 2 <= len(numbers) <= 3 or not all(n.isdecimal() and len(n) < 5 for n in numbers):  # noqa: PLR2004 - as versions are written
        raise CapabilityError(
            "which QEMU it runs on is not known", hint="--qemu-version 10.0.2 says it"
        )
    return QemuVersion(*map(int, numbers)), (doubt,) if doubt else ()


def _find_accelerator(guest: Guest | CommandGuest, host: Host) -> Accelerator:
    """Returns what runs a guest on its host, empty where a command line does not say it."""
    if isinstance(guest, Guest):
        native = guest.vm.arch == host.arch and not guest.vm.template
        return "kvm" if host.kvm and guest.is_on("kvm", default=native) else "tcg"
    first = next((option.kind for option in guest.vm.options if option.name == "accel"), "")
    named: dict[str, Accelerator] = {"kvm": "kvm", "tcg": "tcg"}
    return named.get(first, "")


def read_trace(
    path: str,
    version: QemuVersion,
    settings: PollSettings,
    *,
    zeros: int = 0,
    tries: Sequence[str] = (),
    suggests: bool = False,
) -> tuple[LoopTrace, ...]:
    """Returns the event loops of a trace, the busiest first, read line by line.

    Args:
        path: The trace; `-` is standard input.
        version: The QEMU that wrote it.
        settings: The parameters that its IOThreads had.
        zeros: How many handlers each loop had before it, as for `summarize_trace`.
        tries: Other parameters to try on its waits, such as `poll_max_ns=65536`.
        suggests: Whether to try longer polling if there is nothing in `tries`, and the trace has
            times.

    Raises:
        InputError: The file cannot be read, is cut off, or has no polling in it; or nothing can be
            tried, since it has no times.
        UsageError: What is to be tried is no setting.
        CapabilityError: How that QEMU polls is not known.
    """
    from vmio.formats.qemu.trace import parse_trace
    from vmio.host.trace_file import read_lines
    from vmio.sim.polling import choose_generation
    from vmio.sim.trace import summarize_trace
    from vmio.sim.what_if import parse_setting, suggest_settings

    events = parse_trace(path, read_lines(path))
    wanted = [parse_setting(text, settings) for text in tries]
    if suggests and not wanted and (first := next(events, None)) is not None:
        events = chain([first], events)
        wanted += suggest_settings(settings) if first.time_ns is not None else ()
    return summarize_trace(events, choose_generation(version), settings, zeros=zeros, tries=wanted)
