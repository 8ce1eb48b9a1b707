"""What a notation is: a guest as it is read, and the doors through which vmio goes to it.

A notation is a folder of `vmio.formats` whose module `doors` has what `Doors` lists. All of it is
pure: text and facts in, values out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, Literal, NamedTuple, Protocol

from msgspec import Struct

from vmio.model.disk import BusKind
from vmio.model.host import Host
from vmio.model.lines import check_line, check_words
from vmio.model.plan import Change, Obstacle, Plan, Step
from vmio.model.source import Edit, Problem, Source, Span
from vmio.model.topology import Topology
from vmio.model.vm import Vm

__all__ = ["CommandLine", "Doors", "Guest", "ReadContext", "Setting", "Words"]


class ReadContext(Struct, frozen=True, kw_only=True):
    """What a guest's text alone does not say."""

    host: Host
    """The host that the guest runs on, or would."""
    storages: object = None
    """The storages of its manager, as the notation's own reader of them gives them; None where
    they are not known."""
    vmid: str | None = None
    """What its manager calls the guest, where the file's name does not give it."""
    snapshot: str | None = None
    """The snapshot to read instead of the guest itself."""
    strict: bool = False
    """Whether to refuse a text that its manager refuses when it is about to write it."""
    read_file: Callable[[str], Source | str] | None = None
    """Returns a file that the text names, or why it cannot be read; None reads none."""


class Guest(Struct, frozen=True, kw_only=True):
    """A guest as its notation reads it.

    Each notation has a class of its own below this one, with what only its own folder asks for.
    """

    origin: ClassVar[Literal["plan", "command"]] = "plan"
    """Where its layout is from: what its manager makes of it, or what it says itself."""

    drive_counts: ClassVar[Mapping[BusKind, int]] = {}
    """How many drives of each bus the notation has names for; any number where it does not say."""

    vm: Vm
    context: ReadContext
    """By what it was read, so that a text of it with edits made can be read alike."""


class CommandLine(Struct, frozen=True, kw_only=True):
    """The command that runs a guest, and what its manager says while it builds it."""

    argv: tuple[tuple[str, ...], ...]
    """An option with its value at a time; the first is the program."""
    warnings: tuple[str, ...] = ()


class Setting(NamedTuple):
    """One setting of a guest's text, as its notation writes it, and what becomes of it."""

    key: str
    option: str
    """The option of a setting that is a list of them; empty for the setting itself."""
    old: str | None
    """What is written now; None if nothing is."""
    new: str | None
    """What shall be written; None removes it."""

    @property
    def name(self) -> str:
        """What it is called: `scsihw`, or `scsi0: iothread`."""
        return f"{self.key}: {self.option}" if self.option else self.key


class Words(Struct, frozen=True, kw_only=True):
    """A step of a plan in words, each one line, since they are put into commands too.

    Raises:
        PlanError: One is not.
    """

    what: str
    """In the imperative, no full stop."""
    why: str
    """What is wrong without it."""
    source: str
    """The document, source file and version, or measurement that the reason comes from."""
    effect: str = ""
    """What to expect of it."""
    guest_notices: str = ""
    """What the guest sees: another device path, a driver it needs; empty if nothing."""
    how: str = ""
    """What a person does where vmio cannot."""

    def __post_init__(self) -> None:
        for name in ("what", "why", "source"):
            check_words(getattr(self, name), name)
        for name in ("effect", "guest_notices", "how"):
            check_line(getattr(self, name), name)


class Doors(Protocol):
    """What vmio asks of a notation."""

    def recognise(self, source: Source, /) -> bool:
        """Returns whether a text is in this notation."""

    def read(self, source: Source, context: ReadContext, /) -> Guest:
        """Reads a guest, going on past what its manager would also go on past.

        Raises:
            InputError: The text is no guest, or has no such snapshot.
            UsageError: The context asks for what this notation does not have.
        """

    def lay_out(self, guest: Guest, /) -> Topology:
        """Returns what the guest's manager makes of it: its controllers, threads and addresses."""

    def build_command(self, guest: Guest, host: Host, /) -> CommandLine:
        """Returns the command that runs the guest.

        Raises:
            UnsupportedError: The guest uses something that vmio cannot print yet.
            PlanError: Its manager would refuse.
        """

    def find_obstacle(self, guest: Guest, change: Change, /) -> Obstacle:
        """Returns why a person has to make a change, empty where vmio can without harm."""

    def edit(self, guest: Guest, changes: Sequence[Change], /) -> tuple[Edit, ...]:
        """Returns the edits of the guest's text that make changes.

        A change with an obstacle is made too where there are words for it, so that a plan can try
        what a person will do.

        Raises:
            PlanError: The text cannot take them.
            ConflictError: A line that is to be changed is none that its manager can take.
            UsageError: Its manager would not take what it would come to.
        """

    def find_editable(self, source: Source, /) -> Span | None:
        """Returns the part of a text that fixes may change; None if it is not vmio's to write.

        Raises:
            InputError: The text is no guest.
        """

    def spell(self, guest: Guest, changes: Sequence[Change], /) -> tuple[Setting, ...]:
        """Returns what `edit` writes, as people who know the notation say it."""

    def name_setting(
        self, guest: Guest, subject: str, name: str, value: str | None = None, /
    ) -> str:
        """Returns what a setting of the model is called, with a value if one is given.

        It is for messages and fixes, and need not be one that `edit` can write: `discard=on`.

        Args:
            guest: The guest.
            subject: The disk that it is a setting of; empty for the guest as a whole.
            name: A property of a `Change`, a limit by QEMU's name, `write_cache`,
                `shared_memory`, or `qemu_options` for where QEMU's own options are.
            value: The value as the model has it, None for the name alone.
        """

    def describe_step(self, guest: Guest, plan: Plan, step: Step, /) -> Words:
        """Returns a step of a guest's plan in words, as its manager's users have to take it."""

    def explain_controllers(self, guest: Guest, /) -> str:
        """Returns what decides which controllers SCSI disks have, and so their IOThreads."""

    def list_dropped(self, guest: Guest, /) -> tuple[tuple[Problem, str], ...]:
        """Returns the disks that are written and that the guest does not get, each with why."""

    def list_notes(self, guest: Guest, /) -> tuple[str, ...]:
        """Returns what there is to know of a guest's disks that no step of a plan is about."""
