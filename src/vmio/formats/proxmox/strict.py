"""The faults that Proxmox finds when it reads a config, in every section and in its words.

Source: qemu-server 9.2.6. Reading for a command line skips a bad line; strict reading, which
Proxmox uses before it writes a config, ends at the first one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from vmio.errors import InputError
from vmio.formats.proxmox.config import Config, Entry, Section
from vmio.formats.proxmox.drives import parse_drive
from vmio.formats.proxmox.properties import check_property
from vmio.formats.proxmox.schema import DRIVE_KEY, check_setting
from vmio.model.disk import BusKind, Disk
from vmio.model.source import Problem, Source

__all__ = [
    "find_problems",
    "is_valid",
    "list_sections",
    "read_drive",
    "refuse_problems",
    "valid_entries",
]

_BUSES: Mapping[str, BusKind] = {"ide": "ide", "sata": "sata", "scsi": "scsi", "virtio": "virtio"}
_FLEECING_KEY = "fleecing-images"


def find_problems(config: Config) -> tuple[Problem, ...]:
    """Returns everything that Proxmox refuses, in the file's order."""
    found = list(config.problems)
    for section in list_sections(config):
        for entry in section.entries:
            problem = _check(config.source, section, entry)
            if problem is not None:
                found.append(problem)
    return tuple(sorted(found, key=lambda problem: problem.span))


def list_sections(config: Config) -> tuple[Section, ...]:
    """Returns every section that was read, in the order in which Proxmox writes them."""
    pending = () if config.pending is None else (config.pending,)
    special = sorted(config.special, key=lambda section: section.name)
    snapshots = sorted(config.snapshots, key=lambda section: section.name)
    return config.main, *pending, *special, *snapshots


def refuse_problems(config: Config, vmid: str) -> None:
    """Reads strictly: reading ends at the first fault.

    Raises:
        InputError: There is a fault; the message is Proxmox's own.
    """
    for problem in find_problems(config):
        raise InputError(
            f"vm {vmid} - {problem.message}",
            hint="without --strict such a line is left out, as Proxmox VE leaves it out",
            has_lines=True,
        )


def valid_entries(source: Source, section: Section) -> dict[str, Entry]:
    """Returns the line that is used for each key: the last one that Proxmox accepts."""
    return {
        entry.key: entry for entry in section.entries if _check(source, section, entry) is None
    }


def is_valid(source: Source, section: Section, entry: Entry) -> bool:
    """Returns whether Proxmox accepts a line of a section."""
    return _check(source, section, entry) is None


def read_drive(source: Source, entry: Entry) -> tuple[Disk | None, tuple[Problem, ...]]:
    """Returns the drive that a line describes, None if it describes none, and its faults."""
    match = DRIVE_KEY.fullmatch("ide2" if entry.key == "cdrom" else entry.key)
    if match is None:
        return None, ()
    return parse_drive(source, entry, _BUSES[match[1]], int(match[2]), lambda *_: None)


def _check(source: Source, section: Section, entry: Entry) -> Problem | None:
    return next(_check_entry(source, section, entry), None)


def _check_entry(source: Source, section: Section, entry: Entry) -> Iterator[Problem]:
    if section.kind == "special":
        # Values of [special:cloudinit] are not checked.
        known = section.name != "fleecing" or entry.key == _FLEECING_KEY
        reason = "" if known else f"unknown setting '{entry.key}'"
    else:
        reason = check_setting(entry.key, entry.value) or check_property(entry.key, entry.value)
    if reason:
        yield Problem(
            kind="bad-value",
            message=f"unable to parse value of '{entry.key}' - {reason}",
            span=entry.span,
            subject=entry.key,
        )
    elif section.kind != "special":
        _, problems = read_drive(source, entry)
        # A valid drive that is left out is not an error for Proxmox.
        yield from (problem for problem in problems if problem.kind != "drive-dropped")
