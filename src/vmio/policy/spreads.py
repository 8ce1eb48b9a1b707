"""Named ways to spread a guest's disks over IOThreads.

A policy decides which thread serves which disk, not how a config expresses it. Where a policy has
no document or measurement as its basis, it is an opinion and is marked as one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from msgspec import Struct

from vmio.errors import PlanError, UsageError
from vmio.model.disk import Disk
from vmio.model.host import Host, parse_processors
from vmio.model.plan import OWN
from vmio.model.vm import Vm

__all__ = [
    "COMPARED",
    "POLICIES",
    "PROPOSED",
    "SHARED_NAME",
    "Choice",
    "NamedPolicy",
    "Spread",
    "choose_policy",
    "count_cpus",
    "lacks_processors",
    "weigh_disk",
]

SHARED_NAME: Final = re.compile(r"vmio\d+", re.ASCII)
"""The name prefix of a thread that a policy assigns to several disks."""

_MAX_THREADS = 31
"""More than the disks of any bus."""
_MAX_MAPPED = 16


class Spread(Struct, frozen=True, kw_only=True):
    """An assignment of disks to IOThreads."""

    threads: Mapping[str, str]
    """By disk: `OWN`, or the name of a thread that others may have too. A disk that is missing
    here is not changed."""
    poll_max_ns: int | None = None
    """For threads that disks share; None leaves it to QEMU."""
    mapped: int = 0
    """The number of IOThreads for each disk, over its virtqueues; 0 for one."""


class NamedPolicy(Struct, frozen=True, kw_only=True):
    """A policy as a person chooses it."""

    name: str
    summary: str
    source: str
    """The source of the method."""
    spread: Callable[[Vm, Sequence[Disk], Host, int], Spread]
    """Takes the disks that can have an IOThread, and the number after the policy's name."""
    number: int | None = None
    """The number if none is given; None if the policy takes none."""
    needs_number: bool = False
    maximum: int = _MAX_THREADS

    @property
    def usage(self) -> str:
        """Returns its usage: `pool:N`."""
        if self.needs_number:
            return f"{self.name}:N"
        return self.name if self.number is None else f"{self.name}[:N]"


class Choice(Struct, frozen=True, kw_only=True):
    """A policy with its number."""

    policy: NamedPolicy
    number: int = 0

    @property
    def name(self) -> str:
        """Returns its name with the number: `pool:2`."""
        has_number = self.policy.needs_number or self.number != (self.policy.number or 0)
        return f"{self.policy.name}:{self.number}" if has_number else self.policy.name


def choose_policy(text: str) -> Choice:
    """Returns the policy that a text such as `pool:2` names.

    Raises:
        UsageError: There is no policy of that name, or its number is out of range.
    """
    name, colon, number = text.partition(":")
    policy = POLICIES.get(name)
    if policy is None:
        raise UsageError(
            f"there is no policy '{text}'",
            hint=f"there are {', '.join(each.usage for each in POLICIES.values())}",
        )
    if not colon:
        if policy.needs_number:
            raise UsageError(f"'{name}' requires a number", hint=f"as in {name}:4")
        return Choice(policy=policy, number=policy.number or 0)
    if policy.number is None and not policy.needs_number:
        raise UsageError(f"'{name}' takes no number")
    if not re.fullmatch(r"\d{1,4}", number, re.ASCII) or not 1 <= int(number) <= policy.maximum:
        raise UsageError(
            f"'{number}' is not a number of IOThreads", hint=f"it is from 1 to {policy.maximum}"
        )
    return Choice(policy=policy, number=int(number))


# Expected requests a second, to weigh disks against each other. An opinion: only the order of
# magnitude matters, and a limit or a measurement is always better.
_FAST = 100_000
_OTHER = 20_000
_REQUEST_BYTES = 4096

_PER_CPU = 2
"""The most of libvirt's "one or two" IOThreads a host CPU."""


def weigh_disk(disk: Disk, vcpus: int) -> int:
    """Returns the estimated load of a disk on its thread, in requests a second.

    An SSD (as shown to the guest) weighs five times another disk; a disk with fewer queues than
    the guest has vCPUs weighs proportionally less; its limits are an upper bound.
    """
    weight = _FAST if disk.ssd else _OTHER
    if disk.queues is not None and disk.queues < vcpus:
        weight = weight * disk.queues // vcpus
    limits = dict(disk.limits)
    # If only reads are limited, writes are unbounded, and so is the sum.
    for name, unit_bytes in (("iops", 1), ("bps", _REQUEST_BYTES)):
        both = [limits.get(f"{name}-{way}", 0) for way in ("read", "write")]
        total = limits.get(f"{name}-total", 0) or (sum(both) if all(both) else 0)
        if total:
            weight = min(weight, total // unit_bytes)
    return max(weight, 1)


def count_cpus(vm: Vm, host: Host) -> int:
    """Returns how many of the host's processors a guest's threads can use; 0 if not known.

    These are the processors of `affinity`; else, if the guest fits into a NUMA node, those of the
    largest node, because a thread on another node works on remote memory; else all.
    """
    pinned = parse_processors(vm.affinity)
    if pinned:
        return pinned.bit_count()
    nodes = [parse_processors(cpus).bit_count() for cpus in host.cpu.nodes.values()]
    largest = max(nodes, default=0)
    if len(nodes) > 1 and vm.vcpus <= largest:
        return largest
    return host.cpu.count


def lacks_processors(vm: Vm, disks: Sequence[Disk], host: Host, choice: Choice) -> bool:
    """Returns whether a policy depends on the host's number of processors, which is not known.

    A host has at least as many processors as its guest; otherwise Proxmox VE does not start it.
    """
    return (
        choice.policy.name == PROPOSED
        and not count_cpus(vm, host)
        and len(disks) > _PER_CPU * vm.vcpus
    )


def _name_thread(number: int) -> str:
    # Short: QEMU shows a thread's name on the host only if its id has at most 12 characters.
    return f"vmio{number}"


def _spread_per_disk(vm: Vm, disks: Sequence[Disk], host: Host, number: int) -> Spread:  # noqa: ARG001
    return Spread(threads={disk.id: OWN for disk in disks})


def _spread_shared(vm: Vm, disks: Sequence[Disk], host: Host, number: int) -> Spread:  # noqa: ARG001
    return _spread_pool(vm, disks, host, 1)


def _spread_pool(vm: Vm, disks: Sequence[Disk], host: Host, number: int) -> Spread:
    """Assigns the heaviest disk first, each to the thread with the least load.

    Source: R. L. Graham, "Bounds on Multiprocessing Timing Anomalies", 1969: the load of the
    fullest thread is at most 4/3 of the optimum.
    """
    if number >= len(disks):
        return _spread_per_disk(vm, disks, host, 0)
    loads = [0] * number
    chosen: dict[str, int] = {}
    weights = {disk.id: weigh_disk(disk, vm.vcpus) for disk in disks}
    order = [disk.id for disk in disks]
    for disk in sorted(
        disks, key=lambda d: (-weights[d.id], -(d.size_bytes or 0), order.index(d.id))
    ):
        thread = loads.index(min(loads))
        loads[thread] += weights[disk.id]
        chosen[disk.id] = thread
    return Spread(threads=_number(order, chosen))


def _spread_in_turn(vm: Vm, disks: Sequence[Disk], host: Host, number: int) -> Spread:
    if number >= len(disks):
        return _spread_per_disk(vm, disks, host, 0)
    order = [disk.id for disk in disks]
    return Spread(threads=_number(order, {name: at % number for at, name in enumerate(order)}))


def _number(order: Sequence[str], chosen: Mapping[str, int]) -> Mapping[str, str]:
    """Returns threads by name, numbered in the order of the disks."""
    numbers: dict[int, int] = {}
    return {name: _name_thread(numbers.setdefault(chosen[name], len(numbers))) for name in order}


def _spread_mapped(vm: Vm, disks: Sequence[Disk], host: Host, number: int) -> Spread:  # noqa: ARG001
    if vm.vcpus == 1:
        raise PlanError(
            "a guest with one processor has one queue for each disk, which one IOThread serves",
            hint="vq-map is for guests with several processors; per-disk is for this one",
        )
    return Spread(threads={disk.id: OWN for disk in disks}, mapped=min(number, vm.vcpus))


def _spread_auto(vm: Vm, disks: Sequence[Disk], host: Host, number: int) -> Spread:  # noqa: ARG001
    """Gives each disk its own thread, up to two per host processor; else pools them.

    An idle IOThread costs nothing, so there is no reason to save threads before that. With more
    threads, polling would take time from the vCPUs, so they do not poll. Disks whose virtqueues
    are mapped have several threads already, by somebody's choice, and keep them.
    """
    mapped = {each.id for each in vm.controllers if each.iothread_vq_mapping}
    kept = {each.disk.id for each in vm.attached if each.controller in mapped}
    disks = [disk for disk in disks if disk.id not in kept]
    cpus = count_cpus(vm, host)
    if not cpus or len(disks) <= _PER_CPU * cpus:
        return _spread_per_disk(vm, disks, host, 0)
    return Spread(threads=_spread_pool(vm, disks, host, cpus).threads, poll_max_ns=0)


def _spread_kubevirt(vm: Vm, disks: Sequence[Disk], host: Host, number: int) -> Spread:  # noqa: ARG001
    return _spread_in_turn(vm, disks, host, 2 * vm.vcpus)


POLICIES: Mapping[str, NamedPolicy] = {
    policy.name: policy
    for policy in (
        NamedPolicy(
            name="auto",
            summary="own threads, up to two a host processor; else a pool",
            source="libvirt, domain format: one or two IOThreads a host CPU",
            spread=_spread_auto,
        ),
        NamedPolicy(
            name="per-disk",
            summary="an IOThread for each disk, by its manager's own settings",
            source="Proxmox VE Administration Guide, 'IO Thread'",
            spread=_spread_per_disk,
        ),
        NamedPolicy(
            name="shared",
            summary="one IOThread for all disks",
            source="KubeVirt user guide, ioThreadsPolicy: shared",
            spread=_spread_shared,
        ),
        NamedPolicy(
            name="pool",
            summary="N IOThreads, the heaviest disks spread first",
            source="R. L. Graham 1969, longest processing time first",
            spread=_spread_pool,
            needs_number=True,
        ),
        NamedPolicy(
            name="vq-map",
            summary="N IOThreads for each disk, over its virtqueues",
            source="QEMU 10.0.2, iothread-vq-mapping",
            spread=_spread_mapped,
            needs_number=True,
            maximum=_MAX_MAPPED,
        ),
        NamedPolicy(
            name="kubevirt-auto",
            summary="as KubeVirt: at most two IOThreads a vCPU, in turn",
            source="KubeVirt user guide, ioThreadsPolicy: auto",
            spread=_spread_kubevirt,
        ),
        NamedPolicy(
            name="ovirt",
            summary="as oVirt: one IOThread unless more are asked for, in turn",
            source="oVirt, feature page 'IOThreads Support' (3.6)",
            spread=_spread_in_turn,
            number=1,
        ),
    )
}

PROPOSED: Final = "auto"
"""The policy of `vmio plan` if none is named."""
COMPARED: Final = ("auto", "per-disk", "shared", "pool:2", "vq-map:2", "kubevirt-auto", "ovirt")
"""The policies that are compared by default."""
