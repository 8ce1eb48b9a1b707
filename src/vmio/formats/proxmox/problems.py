"""Problems that Proxmox VE finds in a config, in words for people."""

from __future__ import annotations

from collections.abc import Iterator

from vmio.characters import printable
from vmio.formats.proxmox.schema import DRIVE_KEY
from vmio.model.source import Problem
from vmio.model.vm import Vm

__all__ = [
    "OF_QEMU",
    "bus_of",
    "explain_reasons",
    "find_dropped",
    "is_drive",
    "list_host_dependent",
]

_DRIVES = frozenset({"ide", "sata", "scsi", "virtio", "efidisk", "tpmstate"})


OF_QEMU = frozenset({"duplicate-id", "missing-reference", "partial-command", "refused-option"})
"""Kinds of problems that are QEMU's, or of the text around: Proxmox VE does not look for them."""


def bus_of(problem: Problem) -> str:
    """Returns a problem's subject without its number: `scsi` for `scsi0`."""
    return problem.subject.rstrip("0123456789")


def is_drive(problem: Problem) -> bool:
    """Returns whether a problem is about a drive, which is then lost."""
    return problem.subject != bus_of(problem) and bus_of(problem) in _DRIVES


def _list_reasons(problem: Problem) -> tuple[str, ...]:
    """Returns why the reader refused something, one line per reason, without the preamble."""
    lines = problem.message.splitlines()
    first = lines[0].partition(" - ")[2] or lines[0]
    return (*(() if first == "format error" else (first,)), *lines[1:])


def explain_reasons(problem: Problem) -> str:
    """Returns why the reader refused something, in one line."""
    undefined = ": property is not defined in schema"
    return "; ".join(
        f"no {bus_of(problem)} drive has the option {reason.partition(undefined)[0]}"
        if undefined in reason
        else reason
        for reason in _list_reasons(problem)
    )


def find_dropped(vm: Vm) -> Iterator[Problem]:
    """Yields why the guest starts without a configured drive, once for each drive."""
    known = {disk.id for disk in vm.disks}
    for problem in vm.problems:
        if problem.kind in OF_QEMU:
            continue
        if problem.subject not in known and DRIVE_KEY.fullmatch(problem.subject):
            known.add(problem.subject)
            yield problem


def list_host_dependent(vm: Vm) -> tuple[str, ...]:
    """Returns which disks are another device if their path is a SCSI device of the host.

    Source: `qm showcmd` of Proxmox VE 9, run: it sends the path an INQUIRY for `scsiblock=1`.
    """
    return tuple(
        f"{disk.id} is a scsi-block if {printable(disk.volume)} is a SCSI disk of the host, which"
        " is not looked at here: cache and aio have no effect on it then"
        for disk in vm.disks
        if disk.scsiblock and disk.bus == "scsi" and disk.volume.startswith("/dev/")
    )
