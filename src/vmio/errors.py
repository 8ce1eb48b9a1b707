"""The exceptions that vmio raises when it cannot continue.

A problem *in* a person's config is a finding, never one of these. The tree::

    VmioError               one line on what is wrong, and in `hint` what to do about it
    ├── UsageError          an invalid call (no such disk, conflicting options)
    ├── InputError          a file that cannot be read or parsed
    ├── PlanError           a valid config without a valid plan
    │   └── UnsupportedError    a part of a config that vmio cannot print yet
    ├── CapabilityError     this QEMU or this host lacks something
    ├── ToolError           a program that failed; has its argv, exit status and last output
    ├── QmpError            a monitor that does not answer, or not with QMP
    │   ├── AbsentError             a parameter that a guest lacks (in `vmio.managers.live`)
    │   ├── CommandRefusedError     one that answered with an error (in `vmio.qemu.qmp`)
    │   ├── HeldMonitorError        one that another client has (in `vmio.qemu.brief`)
    │   └── SilentMonitorError      one that does not answer in time (in `vmio.qemu.brief`)
    ├── LibvirtError        a libvirt daemon that does not answer, or that refuses a call
    ├── GuestError          a guest that does not boot, or whose agent does not answer
    ├── OutputError         a result that could not be written
    ├── ConflictError       a file that changed since it was read, or is locked
    └── MissingExtraError   an optional dependency that is not installed

Only `vmio.cli.main` turns them into text and into the exit status of each class.
"""

from __future__ import annotations

__all__ = [
    "CapabilityError",
    "ConflictError",
    "GuestError",
    "InputError",
    "LibvirtError",
    "MissingExtraError",
    "OutputError",
    "PlanError",
    "QmpError",
    "ToolError",
    "UnsupportedError",
    "UsageError",
    "VmioError",
    "describe_bug",
]

_MAX_CHARACTERS = 400
"""Of an error that nobody worded for a line."""


class VmioError(Exception):
    """An error after which vmio cannot continue, worded for the person who called it.

    Args:
        message: One line that names what is wrong.
        hint: What the person can do about it; empty if there is nothing useful to say.
        has_lines: Whether newlines in the message are intended, as in Proxmox VE's messages about
            a
            config's line; otherwise one can only be part of a name, and is escaped.
    """

    exit_status = 1

    def __init__(self, message: str, *, hint: str = "", has_lines: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.has_lines = has_lines


class UsageError(VmioError):
    """An invalid call, regardless of the files."""

    exit_status = 2


class InputError(VmioError):
    """An input that cannot be read or parsed."""

    exit_status = 3


class PlanError(VmioError):
    """A config that can be read, but for which no valid plan exists."""

    exit_status = 3


class UnsupportedError(PlanError):
    """A part of a config that vmio cannot turn into a command line yet; the message names it."""


class CapabilityError(VmioError):
    """Something that this QEMU, this host or this account lacks."""

    exit_status = 4


class ToolError(VmioError):
    """A program that vmio started and that failed.

    Args:
        message: One line that names the program and what it was asked to do.
        argv: The command as it was run.
        status: Its exit status; negative for a signal, None when it was still running.
        output: The last lines that it printed.
        hint: What the person can do about it.
    """

    exit_status = 4

    def __init__(
        self,
        message: str,
        *,
        argv: tuple[str, ...] = (),
        status: int | None = None,
        output: str = "",
        hint: str = "",
    ) -> None:
        super().__init__(message, hint=hint)
        self.argv = argv
        self.status = status
        self.output = output


class QmpError(VmioError):
    """A QEMU monitor that does not answer in time or with QMP, or that refuses a command."""

    exit_status = 4


class LibvirtError(VmioError):
    """A libvirt daemon that is not there, does not answer in time, or refuses a call."""

    exit_status = 4


class GuestError(VmioError):
    """A guest that does not boot, or whose agent does not answer or refuses."""

    exit_status = 4


class OutputError(VmioError):
    """A result that could not be written; no partial file is left."""

    exit_status = 4


class ConflictError(VmioError):
    """A file that somebody else changed, or holds a lock on."""

    exit_status = 3


class MissingExtraError(VmioError):
    """An optional dependency that is not installed; the message says which extra to install."""

    exit_status = 4


def describe_bug(error: Exception) -> str:
    """Returns what to say of an error that no code foresaw: a clause that ends a line."""
    return f"a bug in vmio: {type(error).__name__}: {error}"[:_MAX_CHARACTERS]
