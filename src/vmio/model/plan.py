"""A better layout for one guest: what to change, step by step, and why.

A plan is also read from files, and its words are used in shell commands, journals and reports.
Therefore each of its texts has to be a single line.
"""

from __future__ import annotations

from typing import Final, Literal

from msgspec import Struct

from vmio.model.lines import check_line, check_name, check_path, check_value, check_words
from vmio.model.topology import Topology
from vmio.values import check_between

__all__ = [
    "MOST_CHANGES",
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

_MAX_INT64 = 2**63 - 1
_MOST_STEPS = 100
MOST_CHANGES: Final = 256
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


class Change(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One change of a guest, in terms of the model and not of a manager's file.

    Values of `iothread` are `OWN` or the name of an IOThread, of `controllers` `PER_DISK` or
    `SHARED`, of `iothread_vq_mapping` IOThreads separated by commas; values of every other
    property are written as QEMU writes them.
    """

    subject: str = ""
    """A disk's id, an IOThread's id, or a bus; empty for the guest as a whole."""
    property: Property
    old: str | None = None
    """The current value; None if not set."""
    new: str | None = None
    """The new value; None leaves it to the manager."""

    def __post_init__(self) -> None:
        check_line(self.subject, "subject")
        for name in ("old", "new"):
            if (value := getattr(self, name)) is not None:
                check_value(value, name)


OWN: Final = "own"
"""An IOThread of the disk's own, which its manager creates on request."""
PER_DISK: Final = "per-disk"
"""A controller for each disk of a bus."""
SHARED: Final = "shared"
"""One controller for all disks of a bus."""
SEPARATE: Final = Change(subject="scsi", property="controllers", old=SHARED, new=PER_DISK)
"""The change from one controller for all SCSI disks to one for each."""


class LiveChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One property of a running QEMU's object, set with `qom-set` and read back."""

    path: str
    """The object's path, such as `/objects/iothread-virtioscsi0`."""
    property: str
    """QEMU's name, such as `poll-max-ns`."""
    new: int

    def __post_init__(self) -> None:
        check_words(self.path, "path")
        check_words(self.property, "property")
        check_between("new", self.new, 0, _MAX_INT64)


class Step(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One step; all its changes are made, or none."""

    kind: StepKind
    disks: tuple[str, ...] = ()
    """The disks that it concerns."""
    changes: tuple[Change, ...] = ()
    obstacle: Obstacle = ""
    """Why a person has to make the changes; empty if vmio can make them."""
    takes_effect: TakesEffect = "restart"
    live: tuple[LiveChange, ...] = ()
    """The changes that a running guest can get at once; empty if it has to be restarted."""

    def __post_init__(self) -> None:
        for name in ("disks", "changes", "live"):
            check_between(f"the number of {name}", len(getattr(self, name)), 0, MOST_CHANGES)
        for disk in self.disks:
            check_words(disk, "disks")


class Plan(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All steps for one guest under one policy, and the layouts before and after."""

    vm: str
    """The manager's id of the guest."""
    notation: str
    config: str
    """The name of the file that it was made from."""
    digest: str
    """SHA-1 of that file's bytes, like Proxmox VE's own digest, to notice a later change."""
    policy: str
    notes: tuple[str, ...] = ()
    """Notes about the guest's disks that no step is about."""
    steps: tuple[Step, ...] = ()
    before: Topology
    after: Topology

    def __post_init__(self) -> None:
        check_name(self.vm, "vm")
        check_path(self.config, "config")
        for name in ("notation", "digest", "policy"):
            check_words(getattr(self, name), name)
        check_between("the number of notes", len(self.notes), 0, MOST_CHANGES)
        check_between("the number of steps", len(self.steps), 0, _MOST_STEPS)
        for note in self.notes:
            check_line(note, "notes")

    @property
    def changes(self) -> tuple[Change, ...]:
        """The changes of the steps that vmio can make."""
        return tuple(change for step in self.steps if not step.obstacle for change in step.changes)

    @property
    def by_hand(self) -> tuple[Step, ...]:
        """The steps that only a person can take."""
        return tuple(step for step in self.steps if step.obstacle)
