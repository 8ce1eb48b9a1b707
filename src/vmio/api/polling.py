"""Polling: recordings computed again, traces told, layouts simulated."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from vmio.api.changing import make_plan
from vmio.api.guests import plan
from vmio.formats.proxmox.reader import Guest
from vmio.host.files import read_source
from vmio.model.host import Host
from vmio.model.topology import Topology

if TYPE_CHECKING:
    from vmio.formats.qemu_vm import CommandGuest
    from vmio.model.capabilities import QemuVersion
    from vmio.sim.polling import PollSettings
    from vmio.sim.profile import Profile
    from vmio.sim.ranking import Criterion, Ranking
    from vmio.sim.replay import Agreement
    from vmio.sim.simulator import Prediction
    from vmio.sim.sweep import Sweep, SweepPoint
    from vmio.sim.trace import LoopTrace
    from vmio.sim.workload import Workload

__all__ = ["check_recording", "rank_plans", "read_trace", "simulate", "simulate_sweep"]


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
        profile: A file of costs; None for the default profile, which is not this host's.
        seeds: How many runs to average over.
        requests: How many requests count in each.
        workers: How many processes to use; None for one a processor.

    Raises:
        UsageError: The workload or the name of a policy makes no sense.
        InputError: The file of costs cannot be read, or is none.
        PlanError: There is no disk, or the guest is none of a manager's.
        CapabilityError: The QEMU's version, or how it polls, is not known.
    """
    from contextlib import closing

    from vmio.errors import CapabilityError, PlanError, UnsupportedError
    from vmio.fleet.runner import map_in_order
    from vmio.plan.policies import COMPARED, choose_policy
    from vmio.plan.proposal import lay_out
    from vmio.sim.ranking import join_layouts, predict_layouts, rank_layouts

    today, load, costs, version = _prepare_simulation(
        guest, host, workload, parameters=(), policy=None, profile=profile
    )
    named, left_out, notes = [("as it is", today)], [], []
    for name in policies or COMPARED:
        choice = choose_policy(name)
        try:
            layout, by_hand = lay_out(guest.vm, host, choice)
        except UnsupportedError:
            raise
        except (PlanError, CapabilityError) as error:
            left_out.append((name, error.message))
            continue
        named.append((name, layout))
        notes += [f"done by hand, and not in the predictions: {what}" for what in by_hand]
    layouts = join_layouts(named)
    mapped = (each.iothread_vq_mapping for _, layout in named for each in layout.controllers)
    if load.jobs == 1 and any(mapped):
        notes.append("one job asks one virtqueue of a disk, whatever others are mapped to")
    one = partial(
        predict_layouts, load, profile=costs, version=version, seeds=seeds, requests=requests
    )
    with closing(map_in_order(one, layouts, workers=workers, chunk_size=1)) as results:
        return rank_layouts(
            by,
            zip(layouts, results, strict=True),
            left_out=left_out,
            notes=dict.fromkeys(notes),
        )


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
