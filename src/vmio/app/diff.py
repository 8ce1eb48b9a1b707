"""The command lines of two guests compared."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from vmio.app.addresses import PID, find_guest, find_running
from vmio.app.guests import load, read_place
from vmio.app.host import complete_version
from vmio.app.missing import describe_missing
from vmio.errors import UsageError
from vmio.model.host import Host

if TYPE_CHECKING:
    from vmio.formats.qemu.argv import Command
    from vmio.formats.qemu.diff import Difference

__all__ = ["Sides", "diff"]


class Sides(Struct, frozen=True, kw_only=True):
    """Two guests compared."""

    a: str
    """What the side is: a path, `-` or `pid:NUMBER`."""
    b: str
    differences: tuple[Difference, ...]

    @property
    def running(self) -> Literal["a", "b"] | None:
        """The side that is a running guest, if the other one is a config."""
        match self.a.startswith(PID), self.b.startswith(PID):
            case True, False:
                return "a"
            case False, True:
                return "b"
            case _:
                return None


def diff(
    a: str,
    b: str | None = None,
    *,
    host: str | None = None,
    overrides: Sequence[str] = (),
    qemu_version: str | None = None,
    storage: str | None = None,
    vmid: str | None = None,
) -> Sides:
    """Returns where two command lines differ.

    Args:
        a: A guest's address: a config, a saved command line, a VM or a running QEMU.
        b: The other side; None for the process of the VM whose config is `a`.
        host: The host description for a config; None for the host that `read_place` finds, or
            this host if the other side runs here.
        overrides: `KEY=VALUE` texts, each of which replaces one fact of the host.
        qemu_version: The version of its QEMU.
        storage: The storage.cfg to use.
        vmid: The VM's number, if a config's file name does not contain it.

    Raises:
        UsageError: A side is not a valid address.
        InputError: A side cannot be read or is not a guest, or the VM of a single side is not
            running.
        ConflictError: A single side belongs to another node.
        QmpError: Nothing answers on a socket, or what answers is not QMP.
        PlanError: A config has no command line.
    """
    from vmio.formats.qemu.diff import compare_commands, leave_out_process, leave_out_rest

    if a == b == "-":
        raise UsageError("standard input can be one side only")

    a = find_guest(a)
    missing = describe_missing(a) if b is None else None
    if missing is not None:
        raise missing
    b = find_guest(b) if b is not None else find_running(a)
    runs = next((side for side in (a, b) if side.startswith(PID)), None)

    def facts(side: str) -> Host:
        # A config that is compared with a guest of this host is taken to run on it.
        place = read_place(
            runs or side,
            host=host,
            overrides=overrides,
            qemu_version=qemu_version,
            ports=True,
        )
        return complete_version(place.host)

    (one, one_is_half), (other, other_is_half) = (
        _read_side(side, facts, storage=storage, vmid=vmid) for side in (a, b)
    )
    if runs is not None or one_is_half or other_is_half:
        one, other = leave_out_process(one), leave_out_process(other)
    if other_is_half and not one_is_half:
        one = leave_out_rest(one, other)
    elif one_is_half and not other_is_half:
        other = leave_out_rest(other, one)
    return Sides(a=a, b=b, differences=compare_commands(one, other))


def _read_side(
    side: str, facts: Callable[[str], Host], *, storage: str | None, vmid: str | None
) -> tuple[Command, bool]:
    """Returns a side's command line, and whether it is its storage half alone."""
    from vmio.formats.qemu.argv import parse_words
    from vmio.formats.registry import build_command

    host = facts(side)
    command = build_command(load(side, host=host, storage=storage, vmid=vmid), host)
    words = [word for argument in command.argv for word in argument]
    return parse_words(words), command.is_storage_half
