"""Layouts simulated, alone or over a range of parameters, and plans ranked by prediction."""

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
    """Returns a connection to a Dask scheduler; its executor runs sweeps until it is closed.

    Args:
        address: Such as `tcp://HOST:PORT`.

    Raises:
        VmioError: On entering, as `vmio.fleet.cluster.connect_cluster` raises it.
    """
    from vmio.fleet.cluster import connect_cluster as connect

    return connect(address)


def split_settings(texts: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Splits settings into facts of a host and parameters of IOThreads.

    An IOThread can be named like a fact: `cpu.poll_max_ns=0` is a parameter.
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
    """Returns what a guest's layout would do under a load, given the cost of each step.

    Args:
        guest: The guest.
        host: The host, whose QEMU version applies.
        workload: Such as `qd=16,think=100us`.
        parameters: Such as `ID.poll_max_ns=0`; without `ID.` it applies to every IOThread.
        policy: The policy whose plan is simulated; None for the guest as it is.
        profile: A profile of costs, as `read_profile` takes it.
        seeds: How many runs to average over.
        requests: How many requests are measured in each run.

    Raises:
        UsageError: The workload, a parameter or the policy is not valid.
        InputError: The profile cannot be read or parsed.
        PlanError: The guest has no disk, or the policy has no plan for it.
        CapabilityError: The QEMU version or its polling algorithm is not known.
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
    """Returns the grid of swept values, and a prediction for each point, in order.

    The same call gives the same points on any executor.

    Args:
        guest: As for `simulate`, like the arguments that follow.
        host: The host.
        workload: The load.
        sweeps: Such as `poll_max_ns=0:1000000`, for every IOThread, or for one with `ID.` before
            it; or `qd=1:64`, `batch`, `jobs`, `work_ns`, `think_ns` or `rate_per_s` of the load.
            With several, every combination is simulated.
        parameters: Other parameters to replace.
        policy: The policy whose plan is simulated.
        profile: A profile of costs.
        seeds: How many runs for each point.
        requests: How many requests are measured in each run.
        workers: How many processes to use, or how many points an executor does at a time; None
            for one a processor.
        executor: Runs the points instead of this host's processes: any executor of
            `concurrent.futures`, or what `connect_cluster` returns.

    Raises:
        UsageError: A range is not valid, or there are too many points.
        ToolError: A worker process was killed.
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
        # Before the fork, so that the processes share it.
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
    """Returns a guest as it is and with each policy's layout, ordered by prediction.

    A layout that several policies produce is simulated once. A policy that has no plan for this
    guest is left out, with the reason.

    Args:
        guest: The guest.
        host: The host, whose QEMU version and processors apply.
        workload: Such as `qd=16,think=100us`.
        by: The figure to rank by.
        policies: Their names, such as `pool:2`; if empty, those of `vmio plan --compare`.
        profile: A profile of costs, as `read_profile` takes it.
        seeds: How many runs to average over.
        requests: How many requests are measured in each run.
        workers: How many processes to use; None for one a processor.

    Raises:
        UsageError: The workload or the name of a policy is not valid.
        InputError: The profile cannot be read or parsed.
        PlanError: The guest has no disk, or belongs to no manager.
        CapabilityError: No costs have been measured and no profile is named, or the QEMU version
            or its polling algorithm is not known.
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
            "no costs have been measured on this host, and a ranking by the default profile, which"
            " was measured under TCG on another host, would not apply to this guest",
            hint="vmio calibrate measures them in two minutes; --profile default ranks by the"
            " default profile",
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
    """The inputs of a simulation."""

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

    _keep_compiled()
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


def _keep_compiled() -> None:
    """Lets the simulator's compiled form be taken from this user's cache, where it is wanted."""
    from vmio.host.compiled import KeptCode
    from vmio.host.private import find_cache_folder
    from vmio.sim import kernel

    if kernel.is_available():
        code = KeptCode(find_cache_folder() / "sim", above=2)
        kernel.keep_in(code, is_there=code.is_there())


def _find_version(host: Host) -> tuple[QemuVersion, tuple[str, ...]]:
    """Returns a host's QEMU version, or with a warning the version installed here."""
    from vmio.errors import CapabilityError, ToolError

    version, doubt = host.qemu_version, ""
    if version is None:
        with suppress(CapabilityError, ToolError):
            version = complete_version(host).qemu_version
            doubt = (
                f"the QEMU version of the guest's host is not known: {version}, which is installed"
                " here, is assumed; --qemu-version sets another"
            )
    if version is None:
        raise CapabilityError(
            "the guest's QEMU version is not known", hint="--qemu-version 10.0.2 sets it"
        )
    return version.release, (doubt,) if doubt else ()
