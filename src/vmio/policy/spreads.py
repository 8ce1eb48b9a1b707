"""Named ways to spread a guest's disks over IOThreads.

A policy says which thread serves which disk and nothing about how a config says so. Whatever a
policy goes by that no document or measurement backs is an opinion and stands here as one.
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
"""What a thread is called that a policy gives to several disks."""

_MAX_THREADS = 31
"""More than a bus has disks for."""
_MAX_MAPPED = 16


class Spread(Struct, frozen=True, kw_only=True):
    """Which IOThread serves which disk."""

    threads: Mapping[str, str]
    """By disk: `OWN`, or the name of a thread that others may have too. A disk that is not here
    stays as it is."""
    poll_max_ns: int | None = None
    """For the threads that disks share; None leaves it to QEMU."""
    mapped: int = 0
    """So many IOThreads for each disk, over its virtqueues; 0 for one."""


class NamedPolicy(Struct, frozen=True, kw_only=True):
    """A policy as a person chooses it."""

    name: str
    summary: str
    source: str
    """Where the way of spreading comes from."""
    spread: Callable[[Vm, Sequence[Disk], Host, int], Spread]
    """The disks are those that can have an IOThread; the number is the one behind the name."""
    number: int | None = None
    """What the number is if none is given; None where the name takes none."""
    needs_number: bool = False
    maximum: int = _MAX_THREADS

    @property
    def usage(self) -> str:
        """Returns how it is written: `pool:N`."""
        if self.needs_number:
            return f"{self.name}:N"
        return self.name if self.number is None else f"{self.name}[:N]"


class Choice(Struct, frozen=True, kw_only=True):
    """A policy with its number."""

    policy: NamedPolicy
    number: int = 0

    @property
    def name(self) -> str:
        """Returns it as it is written: `pool:2`."""
        has_number = self.policy.needs_number or self.number != (self.policy.number or 0)
        return f"{self.policy.name}:{self.number}" if has_number else self.policy.name


def choose_policy(text: str) -> Choice:
    """Returns the policy that a text such as `pool:2` names.

    Raises:
        UsageError: There is none of that name, or its number makes no sense.
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
            raise UsageError(f"'{name}' needs a number", hint=f"as in {name}:4")
        return Choice(policy=policy, number=policy.number or 0)
    if policy.number is None and not policy.needs_number:
        raise UsageError(f"'{name}' takes no number")
    if not re.fullmatch(r"\d{1,4}", number, re.ASCII) or not 1 <= int(number) <= policy.maximum:
        raise UsageError(
            f"'{number}' is not a number of IOThreads", hint=f"it is from 1 to {policy.maximum}"
        )
    return Choice(policy=policy, number=int(number))


# Expected requests a second, to weigh disks against each other. An opinion: only their order of
# magnitude matters, and a limit or a measurement says more than any of them.
_FAST = 100_000
_OTHER = 20_000
_REQUEST_BYTES = 4096

_PER_CPU = 2
"""The most of libvirt's "one or two" IOThreads a host CPU."""


def weigh_disk(disk: Disk, vcpus: int) -> int:
    """Returns how much of a thread a disk is taken to want, in requests a second.

    An SSD (as the config shows it to the guest) weighs five times another disk; a disk with fewer
    queues than the guest has processors weighs less by as much; its limits are an upper bound.
    """
    weight = _FAST if disk.ssd else _OTHER
    if disk.queues is not None and disk.queues < vcpus:
        weight = weight * disk.queues // vcpus
    limits = dict(disk.limits)
    # Of a disk with a limit for reads only the writes are unbounded, and so is their sum.
    for name, unit_bytes in (("iops", 1), ("bps", _REQUEST_BYTES)):
        both = [limits.get(f"{name}-{way}", 0) for way in ("read", "write")]
        total = limits.get(f"{name}-total", 0) or (sum(both) if all(both) else 0)
        if total:
            weight = min(weight, total // unit_bytes)
    return max(weight, 1)


def count_cpus(vm: Vm, host: Host) -> int:
    """Returns how many of the host's processors a guest's threads have; 0 if it is not known.

    Those of `affinity`; else, where the guest fits into a NUMA node, those of the largest node,
    since a thread on another node works on memory far away; else all.
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
    """Returns whether a policy comes to another spread on a host of few processors, and none says.

    A host has at least as many processors as its guest, or Proxmox VE does not start that.
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
    """Gives the heaviest disk first to the thread with the least on it.

    Source: R. L. Graham, "Bounds on Multiprocessing Timing Anomalies", 1969: the fullest thread
    has at most 4/3 of what the best of all ways would give it.
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
    """Returns the threads by name, numbered as the disks come."""
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
    """Gives each disk its own thread up to two a processor of the host; else pools them.

    An idle IOThread costs nothing, so there is no reason to save threads before that. Beyond it
    threads that spin while they wait take time from the virtual processors: they do not spin.
    """
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
            summary="an IOThread for each disk, by Proxmox VE's own settings",
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
"""The policy of `vmio plan`, where none is named."""
COMPARED: Final = ("auto", "per-disk", "shared", "pool:2", "vq-map:2", "kubevirt-auto", "ovirt")
"""What a guest's alternatives are, unless somebody names others."""
