"""Layouts simulated, of one guest or over a range of parameters, and plans ranked by it."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from msgspec import Struct

from vmio.app.calibrate import find_profile, read_profile
from vmio.app.guests import Guest, lay_out
from vmio.app.host import complete_version
from vmio.app.plan import make_plan
from vmio.model.host import Host
from vmio.model.topology import Topology

if TYPE_CHECKING:
    from concurrent.futures import Executor
    from contextlib import AbstractContextManager

    from vmio.fleet.cluster import Cluster
    from vmio.model.version import QemuVersion
    from vmio.sim.profile import Profile
    from vmio.sim.ranking import Criterion, Ranking
    from vmio.sim.simulator import Prediction
    from vmio.sim.sweep import Grid, SweepPoint
    from vmio.sim.workload import Workload

__all__ = [
    "connect_cluster",
    "rank_plans",
    "simulate",
    "simulate_sweep",
    "split_settings",
]


def connect_cluster(address: str) -> AbstractContextManager[Cluster]:
    """Returns a connection to a Dask scheduler, whose executor runs sweeps until it is closed.

    Args:
        address: As `tcp://HOST:PORT`.

    Raises:
        VmioError: When it is entered, as `vmio.fleet.cluster.connect_cluster` raises it.
    """
    from vmio.fleet.cluster import connect_cluster as connect

    return connect(address)


def split_settings(texts: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Returns those settings that are facts of a host, and those that are IOThreads' parameters.

    An IOThread can have the name of a fact: `cpu.poll_max_ns=0` is a parameter.
    """
    from vmio.sim.simulator import PARAMETERS

    names = set(Host.__struct_fields__)

    def is_fact(text: str) -> bool:
        key = text.partition("=")[0]
        return key.rpartition(".")[2] not in PARAMETERS and key.partition(".")[0] in names

    facts = tuple(text for text in texts if is_fact(text))
    return facts, tuple(text for text in texts if text not in facts)


def simulate(
    guest: Guest,
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
    guest: Guest,
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
    from vmio.sim import kernel
    from vmio.sim.simulator import pays_to_compile
    from vmio.sim.sweep import parse_grid, simulate_points

    task = _prepare_simulation(
        guest, host, workload, parameters=parameters, policy=policy, profile=profile
    )
    grid = parse_grid(sweeps, task.topology, task.load)
    is_here = executor is None and kernel.is_compiled()
    compiled = is_here or pays_to_compile(2 * grid.size * seeds * requests)
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
    guest: Guest,
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
    from vmio.policy.planner import make_layout
    from vmio.policy.spreads import COMPARED, PROPOSED, choose_policy
    from vmio.report.plan.words import describe_plan
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
            layout, plan = make_layout(guest, host, choice)
        except UnsupportedError:
            raise
        except (PlanError, CapabilityError) as error:
            left_out.append((name, error.message))
            continue
        named.append((name, layout))
        by_hand = describe_plan(guest, plan).by_hand
        notes += [
            f"done by hand, and not in the predictions: {each.words.what}" for each in by_hand
        ]
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


class _Simulation(Struct, frozen=True, kw_only=True):
    """What is simulated, and by what."""

    topology: Topology
    load: Workload
    profile: Profile
    version: QemuVersion
    warnings: tuple[str, ...]


def _prepare_simulation(
    guest: Guest,
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
    topology = lay_out(guest) if policy is None else make_plan(guest, host, policy).after
    costs, warnings = place_profile(
        read_profile(profile), guest.vm, host, accelerator=guest.vm.accelerator
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

    version, doubt = host.qemu_version, ""
    if version is None:
        with suppress(CapabilityError, ToolError):
            version = complete_version(host).qemu_version
            doubt = (
                f"the QEMU of the guest's host is not known: it is taken to be {version}, which is"
                " installed here; --qemu-version gives another"
            )
    if version is None:
        raise CapabilityError(
            "which QEMU it runs on is not known", hint="--qemu-version 10.0.2 says it"
        )
    return version.release, (doubt,) if doubt else ()
