"""What a notation is: a guest as it is read, and the doors by which vmio uses it.

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

__all__ = ["CommandLine", "Doors", "Guest", "KeptConfig", "ReadContext", "Setting", "Words"]


class KeptConfig(Struct, frozen=True, kw_only=True):
    """A copy of a guest's config that its manager can bring back."""

    snapshot: str = ""
    """The snapshot that has it; empty for the saved guest that the next start restores."""
    source: Source


class ReadContext(Struct, frozen=True, kw_only=True):
    """What a guest's text alone does not say."""

    host: Host
    """The host that the guest runs on, or would."""
    storages: object = None
    """The storages of its manager, as the notation's reader returns them; None if they are not
    known."""
    vmid: str | None = None
    """The manager's name of the guest, if the file's name does not give it."""
    snapshot: str | None = None
    """The snapshot to read instead of the guest itself."""
    restarted: bool = False
    """Whether to read the guest as it will be after a restart, with the changes that its manager
    keeps until then."""
    strict: bool = False
    """Whether to refuse a text that its manager would refuse to write."""
    kept: tuple[KeptConfig, ...] = ()
    """Copies of the guest's config outside of its text, as far as they are known."""
    read_file: Callable[[str], Source | str] | None = None
    """Returns a file that the text names, or why it cannot be read; if None, no file is read."""


class Guest(Struct, frozen=True, kw_only=True):
    """A guest as its notation reads it.

    Each notation has a subclass with the values that only its own folder uses.
    """

    origin: ClassVar[Literal["plan", "command"]] = "plan"
    """The origin of its layout: its manager creates it, or the text itself configures it."""

    numbers_threads: ClassVar[bool] = False
    """Whether its IOThreads have numbers: a name such as `vmio0` then is that of no thread, and
    the one that it stands for is known by the disks that it serves."""

    drive_counts: ClassVar[Mapping[BusKind, int]] = {}
    """The number of drives that the notation can name on each bus; any number if not given."""

    vm: Vm
    context: ReadContext
    """The context of its reading, so that an edited text can be read in the same way."""

    @property
    def remark(self) -> str:
        """What a person should know of the text itself, in one line; empty for nothing."""
        return ""


class CommandLine(Struct, frozen=True, kw_only=True):
    """The command that runs a guest, and the manager's messages while it builds it."""

    argv: tuple[tuple[str, ...], ...]
    """Each option with its value; the first entry is the program."""
    warnings: tuple[str, ...] = ()
    is_storage_half: bool = False
    """Whether it has only the IOThreads, the disks and their controllers of the whole command."""


class Setting(NamedTuple):
    """One setting of a guest's text, in its notation's form, before and after a change."""

    key: str
    option: str
    """The option in a setting that is a list of options; empty for the setting itself."""
    old: str | None
    """The current value; None if there is none."""
    new: str | None
    """The new value; None removes the setting."""

    @property
    def name(self) -> str:
        """Its name: `scsihw`, or `scsi0: iothread`."""
        return f"{self.key}: {self.option}" if self.option else self.key


class Words(Struct, frozen=True, kw_only=True):
    """A step of a plan in words; each text is one line, since commands contain them too.

    Raises:
        PlanError: One of them is not one line.
    """

    what: str
    """In the imperative, without a full stop."""
    why: str
    """The problem without it."""
    source: str
    """The document, source file and version, or measurement that the reason comes from."""
    effect: str = ""
    """The expected result."""
    guest_notices: str = ""
    """What changes for the guest: a device path, a driver it needs; empty if nothing."""
    how: str = ""
    """What a person does if vmio cannot."""

    def __post_init__(self) -> None:
        for name in ("what", "why", "source"):
            check_words(getattr(self, name), name)
        for name in ("effect", "guest_notices", "how"):
            check_line(getattr(self, name), name)


class Doors(Protocol):
    """The functions that each notation has."""

    def recognise(self, source: Source, /) -> bool:
        """Returns whether a text is in this notation."""

    def read(self, source: Source, context: ReadContext, /) -> Guest:
        """Reads a guest; lines that its manager would skip are skipped.

        Raises:
            InputError: The text is not a guest, or has no such snapshot.
            UsageError: The context requests something that this notation does not have.
        """

    def lay_out(self, guest: Guest, /) -> Topology:
        """Returns the layout that the guest's manager creates: controllers, threads, addresses."""

    def build_command(self, guest: Guest, host: Host, /) -> CommandLine:
        """Returns the command that runs the guest.

        Raises:
            UnsupportedError: The guest uses something that vmio cannot print yet.
            PlanError: Its manager would refuse it.
        """

    def find_obstacle(self, guest: Guest, change: Change, /) -> Obstacle:
        """Returns why a person has to make a change; empty if vmio can make it without harm."""

    def edit(self, guest: Guest, changes: Sequence[Change], /) -> tuple[Edit, ...]:
        """Returns the edits of the guest's text that make changes.

        A change with an obstacle is made too if the notation has words for it, so that a plan can
        try what a person will do.

        Raises:
            PlanError: The text has no place for them.
            ConflictError: Its manager does not accept a line that has to be changed.
            UsageError: Its manager would not accept the result.
        """

    def find_editable(self, source: Source, /) -> Span | None:
        """Returns the part of a text that fixes may change; None if vmio writes no such text.

        Raises:
            InputError: The text is not a guest.
        """

    def spell(self, guest: Guest, changes: Sequence[Change], /) -> tuple[Setting, ...]:
        """Returns the settings that `edit` writes, in the notation's own words."""

    def render_commands(self, guest: Guest, changes: Sequence[Change], /) -> str:
        """Returns the manager's own commands for changes, a line each; empty if it has none.

        Raises:
            PlanError: The text has no place for the changes.
            UsageError: Its manager would not accept the result.
        """

    def name_setting(
        self, guest: Guest, subject: str, name: str, value: str | None = None, /
    ) -> str:
        """Returns the notation's name of a setting of the model, with a value if one is given.

        It is for messages and fixes; `edit` need not be able to write it: `discard=on`.

        Args:
            guest: The guest.
            subject: The disk that has the setting; empty for the guest as a whole.
            name: A property of a `Change`, a limit by QEMU's name, `write_cache`,
                `shared_memory`, or `qemu_options` for the place of QEMU's own options.
            value: The value in the model's form, None for the name alone.
        """

    def describe_step(self, guest: Guest, plan: Plan, step: Step, /) -> Words:
        """Returns a step of a guest's plan in words, for the manager's users."""

    def explain_controllers(self, guest: Guest, /) -> str:
        """Returns the setting that decides the controllers and IOThreads of SCSI disks."""

    def list_dropped(self, guest: Guest, /) -> tuple[tuple[Problem, str], ...]:
        """Returns the configured disks that the guest does not get, each with the reason."""

    def list_notes(self, guest: Guest, /) -> tuple[str, ...]:
        """Returns notes about a guest's disks that no step of a plan is about."""
