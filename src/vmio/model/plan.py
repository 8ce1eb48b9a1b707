"""A better layout for one guest: what to change, step by step, and why.

A plan is also read from files, and its words are used in shell commands, journals and reports.
Therefore each of its texts has to be a single line.
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
"""More than all changes of a plan for the most disks that a guest can have."""


TakesEffect = Literal["live", "restart"]
"""live: at once, over QMP; restart: after a full stop and start; a reboot inside is not enough."""

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
"""The properties that can change: of the guest (affinity), of a bus (controllers), of an IOThread
(poll_max_ns), and of a disk (the others)."""

Obstacle = Literal["", "args", "choice", "driver", "macos", "unsayable"]
"""Why a person has to make a change; empty if vmio can make it.

args: QEMU's own options refer to something that would be gone; choice: only a person knows the
value; driver: the guest is not known to have the required driver; macos: it is known not to have
it; unsayable: the notation cannot express the change.
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
    """One change of a guest, in terms of the model and not of a manager's file.

    Values of `iothread` are `OWN` or the name of an IOThread, of `controllers` `PER_DISK` or
    `SHARED`, of `iothread_vq_mapping` IOThreads separated by commas; values of every other
    property are written as QEMU writes them.
    """

    subject: str = field(default="", validator=be_line)
    """A disk's id, an IOThread's id, or a bus; empty for the guest as a whole."""
    property: Property
    old: str | None = field(default=None, validator=optional(be_value))
    """The current value; None if not set."""
    new: str | None = field(default=None, validator=optional(be_value))
    """The new value; None leaves it to the manager."""


OWN: Final = "own"
"""An IOThread of the disk's own, which its manager creates on request."""
PER_DISK: Final = "per-disk"
"""A controller for each disk of a bus."""
SHARED: Final = "shared"
"""One controller for all disks of a bus."""
SEPARATE: Final = Change(subject="scsi", property="controllers", old=SHARED, new=PER_DISK)
"""The change from one controller for all SCSI disks to one for each."""


@frozen(kw_only=True)
class LiveChange:
    """One property of a running QEMU's object, set with `qom-set` and read back."""

    path: str = field(validator=be_words)
    """The object's path, such as `/objects/iothread-virtioscsi0`."""
    property: str = field(validator=be_words)
    """QEMU's name, such as `poll-max-ns`."""
    new: int = field(validator=and_(ge(0), lt(1 << 63)))


@frozen(kw_only=True)
class Step:
    """One step; all its changes are made, or none."""

    kind: StepKind
    disks: tuple[str, ...] = field(
        default=(), validator=and_(max_len(_MOST_CHANGES), deep_iterable(be_words))
    )
    """The disks that it concerns."""
    changes: tuple[Change, ...] = field(default=(), validator=max_len(_MOST_CHANGES))
    obstacle: Obstacle = ""
    """Why a person has to make the changes; empty if vmio can make them."""
    takes_effect: TakesEffect = "restart"
    live: tuple[LiveChange, ...] = field(default=(), validator=max_len(_MOST_CHANGES))
    """The changes that a running guest can get at once; empty if it has to be restarted."""


@frozen(kw_only=True)
class Plan:
    """All steps for one guest under one policy, and the layouts before and after."""

    vm: str = field(validator=and_(min_len(1), be_name))
    """The manager's id of the guest."""
    notation: str = field(validator=be_words)
    config: str = field(validator=and_(min_len(1), be_path))
    """The name of the file that it was made from."""
    digest: str = field(validator=be_words)
    """SHA-1 of that file's bytes, like Proxmox VE's own digest, to notice a later change."""
    policy: str = field(validator=be_words)
    notes: tuple[str, ...] = field(
        default=(), validator=and_(max_len(_MOST_CHANGES), deep_iterable(be_line))
    )
    """Notes about the guest's disks that no step is about."""
    steps: tuple[Step, ...] = field(default=(), validator=max_len(_MOST_STEPS))
    before: Topology
    after: Topology

    @property
    def changes(self) -> tuple[Change, ...]:
        """The changes of the steps that vmio can make."""
        return tuple(change for step in self.steps if not step.obstacle for change in step.changes)

    @property
    def by_hand(self) -> tuple[Step, ...]:
        """The steps that only a person can take."""
        return tuple(step for step in self.steps if step.obstacle)
