"""A better layout for one guest: what to change, step by step, and why.

A plan is read from files too, and its words are put into shell commands, journals and reports. So
whatever is not one line of text cannot be part of one.
"""

from __future__ import annotations

from typing import Final, Literal

from msgspec import Struct

from vmio.model.lines import check_line, check_name, check_path, check_value, check_words
from vmio.model.topology import Topology
from vmio.values import check_between

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

_MAX_INT64 = 2**63 - 1
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


class Change(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One change of a guest, in the words of the model and not of one manager's file.

    Of `iothread` a value is `OWN` or the name of an IOThread, of `controllers` it is `PER_DISK` or
    `SHARED`, of `iothread_vq_mapping` IOThreads with commas between them; of every other property
    it is written as QEMU writes it.
    """

    subject: str = ""
    """A disk's id, an IOThread's id, or a bus; empty for the guest as a whole."""
    property: Property
    old: str | None = None
    """What it is now; None if nothing is written."""
    new: str | None = None
    """What it shall be; None leaves it to the manager."""

    def __post_init__(self) -> None:
        check_line(self.subject, "subject")
        for name in ("old", "new"):
            if (value := getattr(self, name)) is not None:
                check_value(value, name)


OWN: Final = "own"
"""An IOThread of the disk's own, the one that its manager makes when it is asked."""
PER_DISK: Final = "per-disk"
"""A controller for each disk of a bus."""
SHARED: Final = "shared"
"""One controller for all disks of a bus."""
SEPARATE: Final = Change(subject="scsi", property="controllers", old=SHARED, new=PER_DISK)
"""A controller for each SCSI disk, where one was for all."""


class LiveChange(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One property of a running QEMU's object, set with `qom-set` and read back."""

    path: str
    """The object's place, such as `/objects/iothread-virtioscsi0`."""
    property: str
    """QEMU's name, such as `poll-max-ns`."""
    new: int

    def __post_init__(self) -> None:
        check_words(self.path, "path")
        check_words(self.property, "property")
        check_between("new", self.new, 0, _MAX_INT64)


class Step(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One thing to do; all its changes are made or none."""

    kind: StepKind
    disks: tuple[str, ...] = ()
    """The disks that it is about."""
    changes: tuple[Change, ...] = ()
    obstacle: Obstacle = ""
    """Why a person has to make the changes; empty where vmio can."""
    takes_effect: TakesEffect = "restart"
    live: tuple[LiveChange, ...] = ()
    """What a running guest can be given at once; empty where it has to wait for a restart."""

    def __post_init__(self) -> None:
        for name in ("disks", "changes", "live"):
            check_between(f"the number of {name}", len(getattr(self, name)), 0, _MOST_CHANGES)
        for disk in self.disks:
            check_words(disk, "disks")


class Plan(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All steps for one guest under one policy, and the layouts before and after."""

    vm: str
    """What its manager calls the guest."""
    notation: str
    config: str
    """The name of the file that it was made from."""
    digest: str
    """Of that file's bytes (SHA-1, as Proxmox VE's own), so that a later change is noticed."""
    policy: str
    notes: tuple[str, ...] = ()
    """What there is to know of the guest's disks that no step is about."""
    steps: tuple[Step, ...] = ()
    before: Topology
    after: Topology

    def __post_init__(self) -> None:
        check_name(self.vm, "vm")
        check_path(self.config, "config")
        for name in ("notation", "digest", "policy"):
            check_words(getattr(self, name), name)
        check_between("the number of notes", len(self.notes), 0, _MOST_CHANGES)
        check_between("the number of steps", len(self.steps), 0, _MOST_STEPS)
        for note in self.notes:
            check_line(note, "notes")

    @property
    def changes(self) -> tuple[Change, ...]:
        """The changes of those steps that need no person."""
        return tuple(change for step in self.steps if not step.obstacle for change in step.changes)

    @property
    def by_hand(self) -> tuple[Step, ...]:
        """The steps that only a person can take."""
        return tuple(step for step in self.steps if step.obstacle)
