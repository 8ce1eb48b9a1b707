"""What a search can choose from: what this QEMU runs, and the guest's notation can express; pure.

The layouts are those of the policies, each with and without other queues, engines and cache modes
of the measured disk. Their live settings are parameters of the IOThreads that serve it. `unsafe`
is no cache mode here: it loses data.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Final, Literal, get_args

import msgspec
from msgspec import Struct

from vmio.bench.compare import ComparedLayout
from vmio.errors import CapabilityError, ConflictError, PlanError, UsageError
from vmio.formats.base import Guest
from vmio.formats.registry import edit, find_obstacle, lay_out, name_setting, read_again
from vmio.model.disk import AioEngine, CacheMode, Disk
from vmio.model.host import Host
from vmio.model.iothread import MAIN_LOOP
from vmio.model.plan import Change, Plan, Property
from vmio.model.source import NOWHERE, apply_edits
from vmio.model.topology import AttachedDisk, Topology
from vmio.model.vm import Vm
from vmio.policy.planner import make_plan
from vmio.policy.spreads import SHARED_NAME, Choice, Spread, choose_policy
from vmio.values import check_between, replace

__all__ = [
    "AS_BOOTED",
    "MAX_LAYOUTS",
    "PARTS",
    "USUAL",
    "Candidate",
    "LiveSetting",
    "TunePart",
    "digest_space",
    "keep_setting",
    "list_candidates",
    "list_left",
    "list_settings",
]

TunePart = Literal["threads", "queues", "aio", "cache", "polling", "batch", "pinning"]
PARTS: Final[tuple[TunePart, ...]] = get_args(TunePart)
USUAL: Final[tuple[TunePart, ...]] = ("threads", "queues", "polling", "batch")
"""Without `aio` and `cache`, which depend on the storage, and a search measures a scratch file;
and without `pinning`, which depends on what else runs on the host."""
MAX_LAYOUTS: Final = 64

_REFUSALS: Final = (PlanError, CapabilityError, ConflictError, UsageError)
"""Why a notation or a policy cannot make a change of a guest."""
_POLICIES: Final = ("per-disk", "shared", "pool:2", "pool:4", "vq-map:2", "vq-map:4")
_QUEUES: Final = (1, 2, 4)
_ENGINES: Final[tuple[AioEngine, ...]] = get_args(AioEngine)
_SAFE_MODES: Final[tuple[CacheMode, ...]] = ("none", "directsync", "writethrough", "writeback")
"""Those in which a flush of the guest reaches the disk."""
_POLLS_NS: Final = (0, 8192, 32768, 131_072, 1_000_000)
"""Off, and a logarithmic scale around QEMU's default of 32768: the effect is a step near the time
that the loop waits for its next event."""
_DEFAULT_POLL_NS: Final = 32768
"""QEMU's `poll-max-ns` if not set. Source: QEMU 10.0.2, `qom-get`."""
_FACTORS: Final = ((4, None), (None, 2))
"""`poll-grow` and `poll-shrink`: steeper up than by the default of 2, and down by half instead of
to zero."""
_BATCHES: Final = (1, 128)
"""`aio-max-batch`: submitting each request at once, and more than the default of 32."""


class LiveSetting(Struct, frozen=True, kw_only=True):
    """Parameters of the IOThreads that serve a disk; None is the value that they booted with."""

    poll_max_ns: int | None = None
    poll_grow: int | None = None
    poll_shrink: int | None = None
    aio_max_batch: int | None = None
    pinned: bool = False
    """Whether each IOThread has a host processor of its own, the last ones first."""

    def __post_init__(self) -> None:
        for name in ("poll_max_ns", "poll_grow", "poll_shrink", "aio_max_batch"):
            check_between(name, getattr(self, name), 0)

    @property
    def parameters(self) -> Mapping[str, int]:
        """Returns what is set, by the names of `IOThread`'s fields."""
        values = {name: getattr(self, name) for name in self.__struct_fields__ if name != "pinned"}
        return {name: value for name, value in values.items() if value is not None}

    @property
    def name(self) -> str:
        """Returns what it sets, such as `poll_max_ns=0`; empty for `AS_BOOTED`."""
        words = [f"{name}={value}" for name, value in self.parameters.items()]
        return ", ".join((*words, *(("pinned",) if self.pinned else ())))


AS_BOOTED: Final = LiveSetting()


class Candidate(Struct, frozen=True, kw_only=True):
    """A layout that can be booted, with the live settings that it can have."""

    policy: str = ""
    """Empty for the guest's own spread of disks over threads."""
    changes: tuple[Change, ...] = ()
    """Changes besides the policy's."""
    layout: ComparedLayout
    settings: tuple[LiveSetting, ...] = (AS_BOOTED,)
    """The first is `AS_BOOTED`."""

    @property
    def name(self) -> str:
        """Returns its name, such as `pool:2, scsi0 aio=native`."""
        return self.layout.name


def list_candidates(
    guest: Guest, host: Host, disk: str, parts: Sequence[TunePart] = USUAL
) -> tuple[Candidate, ...]:
    """Returns the guest as it is, and every other layout that can be had without a person's help.

    Layouts that come to the same are listed once. A policy that does not apply to the guest is
    left out, and so is a change that the notation cannot express.

    Args:
        guest: The guest.
        host: The host that it would run on.
        disk: The disk that is measured.
        parts: What is varied.

    Raises:
        UsageError: QEMU would not open the disk as it is, or there are more than `MAX_LAYOUTS`.
    """
    found: dict[bytes, Candidate] = {}
    for changes in _list_changes(guest, disk, parts):
        changed = _change(guest, changes)
        if changed is None:
            continue
        policies = ("", *_POLICIES) if "threads" in parts else ("",)
        for policy in policies:
            topology = _lay_out(changed, host, policy)
            attached = topology.find_disk(disk) if topology is not None else None
            if topology is None or attached is None or not _can_open(attached):
                continue
            candidate = Candidate(
                policy=policy,
                changes=changes,
                layout=_describe(guest, topology, _name_layout(policy, changes)),
                settings=tuple(_list_settings(topology, attached, parts)),
            )
            found.setdefault(msgspec.json.encode(_keep_what_runs(topology)), candidate)
    first = next(iter(found.values()), None)
    if first is None or first.policy or first.changes:
        raise UsageError(
            f"QEMU would not open {disk} as it is, so that nothing can be compared with it",
            hint=f"vmio check {guest.vm.source.name} says what is wrong",
        )
    if len(found) > MAX_LAYOUTS:
        raise UsageError(
            f"{len(found)} layouts are more than the {MAX_LAYOUTS} that are searched",
            hint="vary less, as in --vary threads --vary polling",
        )
    return tuple(found.values())


def keep_setting(
    guest: Guest, host: Host, candidate: Candidate, setting: LiveSetting
) -> Plan | None:
    """Returns the plan to a candidate's policy, with its polling where a plan can set it.

    Args:
        guest: The guest.
        host: The host that it runs on.
        candidate: The layout.
        setting: Its live setting.

    Returns:
        The plan; None if there is none, as for the threads of a guest that no manager has.
    """
    choice = choose_policy(candidate.policy) if candidate.policy else _keep_threads(guest, setting)
    policy = choice.policy

    def spread(vm: Vm, disks: Sequence[Disk], host: Host, number: int) -> Spread:
        return replace(policy.spread(vm, disks, host, number), poll_max_ns=setting.poll_max_ns)

    if setting.poll_max_ns is not None:
        polling = replace(choice, policy=replace(policy, spread=spread))
        with suppress(*_REFUSALS):
            return make_plan(guest, host, polling)
    with suppress(*_REFUSALS):
        return make_plan(guest, host, choice)
    return None


def list_left(
    guest: Guest, plan: Plan | None, disk: str, candidate: Candidate, setting: LiveSetting
) -> tuple[str, ...]:
    """Returns what a plan does not set of a candidate and its setting, for a person to set.

    Args:
        guest: The guest.
        plan: As `keep_setting` returns it; None if there is none.
        disk: The measured disk.
        candidate: The layout.
        setting: Its live setting.
    """
    left = [
        f"{each.subject}: {name_setting(guest, each.subject, each.property, each.new)}"
        for each in candidate.changes
    ]
    after = candidate.layout.topology if plan is None else plan.after
    attached = after.find_disk(disk)
    served = after.served_by(attached) if attached is not None else ()
    threads = {each.id: each for each in after.iothreads if each.id in served}
    for name, value in setting.parameters.items():
        left += [
            f"{thread.id}: {name.replace('_', '-')}={value}"
            for thread in threads.values()
            if getattr(thread, name) != value
        ]
    if setting.pinned:
        left += [f"{thread}: a host processor of its own" for thread in threads]
    return tuple(left)


def digest_space(candidates: Sequence[Candidate], *others: object) -> str:
    """Returns a digest of everything that decides a search's trials, 64 hexadecimal digits."""
    space = [
        (each.name, each.settings, _keep_what_runs(each.layout.topology), each.layout.machine)
        for each in candidates
    ]
    return hashlib.sha256(msgspec.json.encode((space, others))).hexdigest()


def _list_changes(
    guest: Guest, disk: str, parts: Sequence[TunePart]
) -> Iterator[tuple[Change, ...]]:
    """Yields no change, then each single change of the disk that vmio could write."""
    yield ()
    values: dict[Property, tuple[object, ...]] = {
        "queues": tuple(count for count in _QUEUES if count <= guest.vm.vcpus),
        "aio": _ENGINES,
        "cache": _SAFE_MODES,
    }
    for name, choices in values.items():
        for value in choices if name in parts else ():
            change = Change(subject=disk, property=name, new=str(value))
            if not find_obstacle(guest, change):
                yield (change,)


def _change(guest: Guest, changes: Sequence[Change]) -> Guest | None:
    """Returns a guest with changes; None if its text has no place for them."""
    if not changes:
        return guest
    try:
        return read_again(guest, apply_edits(guest.vm.source, edit(guest, changes)))
    except _REFUSALS:
        return None


def _lay_out(guest: Guest, host: Host, policy: str) -> Topology | None:
    """Returns the layout of a policy's plan, or the guest's own; None if there is none."""
    if not policy:
        return lay_out(guest)
    try:
        return make_plan(guest, host, choose_policy(policy)).after
    except _REFUSALS:
        return None


def _can_open(attached: AttachedDisk) -> bool:
    """Returns whether QEMU opens a disk as it is configured.

    Source: QEMU 10.0.2, run: `aio=native was specified, but it requires cache.direct=on`.
    """
    return attached.aio != "native" or attached.cache_direct is not False


def _list_settings(
    topology: Topology, attached: AttachedDisk, parts: Sequence[TunePart]
) -> Iterator[LiveSetting]:
    """Yields the live settings of a layout, first the one that it boots with."""
    served = topology.served_by(attached)
    booted = {
        _DEFAULT_POLL_NS if each.poll_max_ns is None else each.poll_max_ns
        for each in topology.iothreads
        if each.id in served
    }
    for setting in list_settings(topology, attached, parts):
        if setting.parameters.keys() != {"poll_max_ns"} or booted != {setting.poll_max_ns}:
            yield setting


def list_settings(
    topology: Topology, attached: AttachedDisk, parts: Sequence[TunePart]
) -> Iterator[LiveSetting]:
    """Yields `AS_BOOTED`, then what the IOThreads that serve a disk can be set to.

    Args:
        topology: The layout.
        attached: The disk.
        parts: What is varied.
    """
    yield AS_BOOTED
    served = topology.served_by(attached)
    threads = [each for each in topology.iothreads if each.id in served]
    if not threads or MAIN_LOOP in served:
        return
    if "polling" in parts:
        for poll_max_ns in _POLLS_NS:
            yield LiveSetting(poll_max_ns=poll_max_ns)
        for grow, shrink in _FACTORS:
            yield LiveSetting(poll_max_ns=_POLLS_NS[-1], poll_grow=grow, poll_shrink=shrink)
    if "batch" in parts and attached.aio == "native":
        for count in _BATCHES:
            yield LiveSetting(aio_max_batch=count)
    if "pinning" in parts:
        yield LiveSetting(pinned=True)


def _keep_threads(guest: Guest, setting: LiveSetting) -> Choice:
    """Returns a policy that leaves every disk to the thread that serves it.

    It names the threads only if their polling is to change; else it would be reset to QEMU's.
    """
    topology = lay_out(guest)
    threads = {
        attached.disk.id: thread
        for attached in topology.disks
        for thread in topology.served_by(attached)
        if setting.poll_max_ns is not None
        if SHARED_NAME.fullmatch(thread)
    }
    choice = choose_policy("per-disk")

    def spread(_vm: Vm, _disks: Sequence[Disk], _host: Host, _number: int) -> Spread:
        return Spread(threads=threads)

    return replace(choice, policy=replace(choice.policy, name="as-it-is", spread=spread))


def _describe(guest: Guest, topology: Topology, name: str) -> ComparedLayout:
    served = {
        "+".join(topology.served_by(each)): None for each in topology.disks if each.disk.keeps_data
    }
    return ComparedLayout(
        name=name,
        title=f"served by {', '.join(served)}",
        machine=guest.vm.machine,
        topology=topology,
    )


def _name_layout(policy: str, changes: Sequence[Change]) -> str:
    words = [f"{each.subject} {each.property}={each.new}" for each in changes]
    return ", ".join(filter(None, (policy, *words))) or "as it is"


def _keep_what_runs(topology: Topology) -> Topology:
    """Returns a layout without how it is written, so that two that run alike are equal."""
    return replace(
        topology,
        controllers=tuple(
            replace(each, num_queues=topology.count_queues(each), where=NOWHERE)
            for each in topology.controllers
        ),
        iothreads=tuple(replace(each, where=NOWHERE) for each in topology.iothreads),
        disks=tuple(
            replace(
                each,
                effects=(),
                disk=replace(
                    each.disk, aio=None, cache=None, iothread=None, queues=None, where=NOWHERE
                ),
            )
            for each in topology.disks
        ),
    )
