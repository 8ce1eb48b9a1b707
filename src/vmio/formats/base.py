"""What a notation is: a guest as it is read, and the doors through which vmio goes to it.

A notation is a folder of `vmio.formats` whose module `doors` has what `Doors` lists. All of it is
pure: text and facts in, values out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from attrs import field, frozen

from vmio.model.host import Host
from vmio.model.source import Source
from vmio.model.topology import Topology
from vmio.model.vm import Vm

__all__ = ["CommandLine", "Doors", "Guest", "ReadContext"]


@frozen(kw_only=True)
class ReadContext:
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


@frozen(kw_only=True)
class Guest:
    """A guest as its notation reads it.

    Each notation has a class of its own below this one, with what only its own folder asks for.
    """

    vm: Vm
    context: ReadContext = field(eq=False, repr=False)
    """By what it was read, so that a text of it with edits made can be read alike."""


@frozen(kw_only=True)
class CommandLine:
    """The command that runs a guest, and what its manager says while it builds it."""

    argv: tuple[tuple[str, ...], ...]
    """An option with its value at a time; the first is the program."""
    warnings: tuple[str, ...] = ()


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
