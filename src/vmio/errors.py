"""What vmio raises when it cannot continue.

A problem *in* a person's config is a finding, never one of these. The tree::

    VmioError               says what is wrong in one line, and with `hint` what to do about it
    ├── UsageError          the call does not make sense (no such disk, clashing options)
    ├── InputError          a file that cannot be read, or is not what it should be
    ├── PlanError           a valid config that no valid plan exists for
    │   └── UnsupportedError    a part of a config that vmio does not know how to print yet
    ├── CapabilityError     this QEMU or this host lacks something
    ├── ToolError           a program that failed; carries its argv, exit status and last words
    ├── QmpError            a monitor that does not answer, or not in QMP
    │   ├── CommandRefusedError     one that answered with an error (in `vmio.qemu.qmp`)
    │   ├── HeldMonitorError        one that another client has (in `vmio.qemu.brief`)
    │   └── SilentMonitorError      one that does not answer in time (in `vmio.qemu.brief`)
    ├── GuestError          a guest that does not boot, or whose agent does not answer
    ├── OutputError         a result that could not be written
    ├── ConflictError       a file that changed since it was read, or is locked
    └── MissingExtraError   an optional dependency that is not installed

Only `vmio.cli.main` turns them into text and into the exit status that each class names.
"""

from __future__ import annotations

__all__ = [
    "CapabilityError",
    "ConflictError",
    "GuestError",
    "InputError",
    "MissingExtraError",
    "OutputError",
    "PlanError",
    "QmpError",
    "ToolError",
    "UnsupportedError",
    "UsageError",
    "VmioError",
]


class VmioError(Exception):
    """Something that vmio cannot continue after, in words for the person who called it.

    Args:
        message: One line that names the thing that is wrong.
        hint: What the person can do about it; empty when there is nothing sensible to say.
        has_lines: Whether newlines in the message are its own, as in Proxmox VE's words about a
            config's line; otherwise one can only be in a name, and is spelled out.
    """

    exit_status = 1

    def __init__(self, message: str, *, hint: str = "", has_lines: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.has_lines = has_lines


class UsageError(VmioError):
    """The call does not make sense, whatever the files say."""

    exit_status = 2


class InputError(VmioError):
    """An input that cannot be read or is not what it should be."""

    exit_status = 3


class PlanError(VmioError):
    """A config that can be read and for which no valid plan exists."""

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
    """A QEMU monitor that does not answer in time or in kind, or that refuses a command."""

    exit_status = 4


class GuestError(VmioError):
    """A guest that does not boot, or whose agent does not answer or refuses."""

    exit_status = 4


class OutputError(VmioError):
    """A result that could not be written; nothing half-written is left behind."""

    exit_status = 4


class ConflictError(VmioError):
    """A file that somebody else changed or holds a lock on."""

    exit_status = 3


class MissingExtraError(VmioError):
    """An optional dependency that is not installed; the message says which extra to install."""

    exit_status = 4
