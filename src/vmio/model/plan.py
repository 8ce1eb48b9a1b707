"""A better layout for one guest: what to change, step by step, and why.

A plan is read from files too, and its words are put into shell commands, journals and reports. So
whatever is not one line of text cannot be part of one.
"""

from __future__ import annotations

from typing import Final, Literal

from attrs import field, frozen
from attrs.validators import and_, deep_iterable, ge, lt, max_len, min_len, optional

from vmio.model.lines import be_line, be_name, be_path, be_value, be_words
from vmio.model.topology import Topology

__all__ = [
    "OWN",
    "PER_DISK",
    "SEPARATE",
    "SHARED",
    "Change",
    "LiveChange",
    "Obstacle",
    "Plan",
    "Property",
    "Step",
    "StepKind",
    "TakesEffect",
]

_MOST_STEPS = 100
_MOST_CHANGES = 256
"""More than all options that a plan changes of all disks that a guest can have."""


TakesEffect = Literal["live", "restart"]
"""live: at once, over QMP; restart: after a full stop and start, a reboot inside is not enough."""

Property = Literal[
    "affinity",
    "aio",
    "bus",
    "cache",
    "controllers",
    "detect_zeroes",
    "discard",
    "iothread",
    "iothread_vq_mapping",
    "poll_max_ns",
    "queues",
    "serial",
    "ssd",
    "werror",
]
"""What can be changed: of the guest (affinity), of a bus (controllers), of an IOThread
(poll_max_ns), and of a disk (the others)."""

Obstacle = Literal["", "args", "choice", "driver", "macos", "unsayable"]
"""Why a person has to make a change; empty where vmio can.

args: options of QEMU's own name what would not be there any more; choice: only a person knows
which value; driver: the guest is not known to have the driver that it would need; macos: it is
known to have none; unsayable: the notation has no words for it.
"""

StepKind = Literal[
    "choose-queues",
    "drop-threads",
    "give-threads",
    "keep-held",
    "map-queues",
    "move-disks",
    "separate-controllers",
    "share-threads",
    "widen-affinity",
]


@frozen(kw_only=True)
class Change:
    """One change of a guest, in the words of the model and not of one manager's file.

    Of `iothread` a value is `OWN` or the name of an IOThread, of `controllers` it is `PER_DISK` or
    `SHARED`, of `iothread_vq_mapping` IOThreads with commas between them; of every other property
    it is written as QEMU writes it.
    """

    subject: str = field(default="", validator=be_line)
    """A disk's id, an IOThread's id, or a bus; empty for the guest as a whole."""
    property: Property
    old: str | None = field(default=None, validator=optional(be_value))
    """What it is now; None if nothing is written."""
    new: str | None = field(default=None, validator=optional(be_value))
    """What it shall be; None leaves it to the manager."""


OWN: Final = "own"
"""An IOThread of the disk's own, the one that its manager makes when it is asked."""
PER_DISK: Final = "per-disk"
"""A controller for each disk of a bus."""
SHARED: Final = "shared"
"""One controller for all disks of a bus."""
SEPARATE: Final = Change(subject="scsi", property="controllers", old=SHARED, new=PER_DISK)
"""A controller for each SCSI disk, where one was for all."""


@frozen(kw_only=True)
class LiveChange:
    """One property of a running QEMU's object, set with `qom-set` and read back."""

    path: str = field(validator=be_words)
    """The object's place, such as `/objects/iothread-virtioscsi0`."""
    property: str = field(validator=be_words)
    """QEMU's name, such as `poll-max-ns`."""
    new: int = field(validator=and_(ge(0), lt(1 << 63)))


@frozen(kw_only=True)
class Step:
    """One thing to do; all its changes are made or none."""

    kind: StepKind
    disks: tuple[str, ...] = field(
        default=(), validator=and_(max_len(_MOST_CHANGES), deep_iterable(be_words))
    )
    """The disks that it is about."""
    changes: tuple[Change, ...] = field(default=(), validator=max_len(_MOST_CHANGES))
    obstacle: Obstacle = ""
    """Why a person has to make the changes; empty where vmio can."""
    takes_effect: TakesEffect = "restart"
    live: tuple[LiveChange, ...] = field(default=(), validator=max_len(_MOST_CHANGES))
    """What a running guest can be given at once; empty where it has to wait for a restart."""


@frozen(kw_only=True)
class Plan:
    """All steps for one guest under one policy, and the layouts before and after."""

    vm: str = field(validator=and_(min_len(1), be_name))
    """What its manager calls the guest."""
    notation: str = field(validator=be_words)
    config: str = field(validator=and_(min_len(1), be_path))
    """The name of the file that it was made from."""
    digest: str = field(validator=be_words)
    """Of that file's bytes (SHA-1, as Proxmox VE's own), so that a later change is noticed."""
    policy: str = field(validator=be_words)
    notes: tuple[str, ...] = field(
        default=(), validator=and_(max_len(_MOST_CHANGES), deep_iterable(be_line))
    )
    """What there is to know of the guest's disks that no step is about."""
    steps: tuple[Step, ...] = field(default=(), validator=max_len(_MOST_STEPS))
    before: Topology
    after: Topology

    @property
    def changes(self) -> tuple[Change, ...]:
        """The changes of those steps that need no person."""
        return tuple(change for step in self.steps if not step.obstacle for change in step.changes)

    @property
    def by_hand(self) -> tuple[Step, ...]:
        """The steps that only a person can take."""
        return tuple(step for step in self.steps if step.obstacle)
