"""A libvirt domain, as vmio goes to it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from vmio.errors import UsageError
from vmio.formats.base import CommandLine, Guest, ReadContext, Setting, Words
from vmio.model.host import Host
from vmio.model.plan import Change, Obstacle, Plan, Step
from vmio.model.source import Edit, Problem, Source, Span
from vmio.model.topology import Topology
from vmio.values import replace

if TYPE_CHECKING:
    from vmio.formats.libvirt.guest import LibvirtGuest

__all__ = [
    "build_command",
    "describe_step",
    "edit",
    "explain_controllers",
    "find_editable",
    "find_obstacle",
    "lay_out",
    "list_dropped",
    "list_notes",
    "name_setting",
    "read",
    "recognise",
    "render_commands",
    "spell",
]

_BEGINNING = re.compile(rb"(?:\xef\xbb\xbf)?\s*+<|\xff\xfe<\0|\xfe\xff\0<")
_ELEMENT = re.compile(rb"<(?:domain|domainsnapshot|domstatus|network|pool|volume)\b")


def recognise(source: Source) -> bool:
    """Returns whether a text begins as XML does and has an element of libvirt's in it."""
    if _BEGINNING.match(source.data) is None:
        return False
    # In UTF-16 every other byte of such a name is a zero.
    return _ELEMENT.search(source.data.replace(b"\0", b"")) is not None


def read(source: Source, context: ReadContext) -> LibvirtGuest:
    """Reads a domain, going on past what libvirt refuses.

    Raises:
        InputError: The text is no domain.
        UsageError: A snapshot is asked for.
    """
    from vmio.formats.libvirt.guest import read_guest

    if context.snapshot is not None:
        raise UsageError(f"{source.name} is a libvirt domain, whose text has no snapshots")
    return read_guest(source, context)


def lay_out(guest: Guest) -> Topology:
    """Returns what libvirt makes of a domain, with QEMU's defaults where nothing is written."""
    from vmio.formats.libvirt.bridges import find_bridges
    from vmio.formats.libvirt.guest import list_dedicated
    from vmio.formats.qemu.layout import lay_out_command

    domain = cast("LibvirtGuest", guest)
    return replace(
        lay_out_command(guest.vm),
        bridges=find_bridges(domain.domain, guest.vm.controllers),
        dedicated=list_dedicated(domain),
    )


def build_command(guest: Guest, host: Host) -> CommandLine:  # noqa: ARG001 - nothing goes by it
    """Returns the storage half of the command that libvirt would run.

    Raises:
        UnsupportedError: The domain uses something that vmio cannot print yet.
        PlanError: libvirt would refuse the domain.
    """
    from vmio.formats.libvirt.argv import build_storage_half

    return build_storage_half(cast("LibvirtGuest", guest))


def find_obstacle(guest: Guest, change: Change) -> Obstacle:
    """Returns why a person has to make a change; empty if vmio can make it without harm."""
    from vmio.formats.libvirt.obstacles import find_obstacle as find

    return find(cast("LibvirtGuest", guest), change)


def edit(guest: Guest, changes: Sequence[Change]) -> tuple[Edit, ...]:
    """Returns the edits that make changes in a domain's text.

    Raises:
        PlanError: A domain has no setting for a change, or libvirt would refuse the result.
    """
    from vmio.formats.libvirt.edit import edit_domain

    return edit_domain(cast("LibvirtGuest", guest), changes)


def find_editable(source: Source) -> Span:
    """Returns the whole text: all of a domain is the person's."""
    return Span(0, len(source.data))


def spell(guest: Guest, changes: Sequence[Change]) -> tuple[Setting, ...]:
    """Returns the settings that `edit` writes.

    Raises:
        PlanError: A domain has no setting for a change.
    """
    from vmio.formats.libvirt.edit import list_settings

    return list_settings(cast("LibvirtGuest", guest), changes)


def render_commands(guest: Guest, changes: Sequence[Change]) -> str:
    """Returns the `virsh` commands that make changes.

    Raises:
        PlanError: A domain has no setting for a change.
    """
    from vmio.formats.libvirt.commands import render_virsh

    return render_virsh(cast("LibvirtGuest", guest), changes)


def name_setting(guest: Guest, subject: str, name: str, value: str | None = None) -> str:
    """Returns what a domain calls a setting: `io='native'`."""
    del guest, subject
    from vmio.formats.libvirt.naming import name_setting as find_name

    return find_name(name, value)


def describe_step(guest: Guest, plan: Plan, step: Step) -> Words:
    """Returns a step of a plan in words, for libvirt's users."""
    from vmio.formats.libvirt.advice import describe_step as describe

    return describe(cast("LibvirtGuest", guest), plan, step)


def explain_controllers(guest: Guest) -> str:  # noqa: ARG001 - it is so for every guest
    """Returns which element decides the IOThread of a SCSI disk."""
    return "libvirt takes the IOThread of a SCSI disk from its controller's <driver>"


def list_dropped(guest: Guest) -> tuple[tuple[Problem, str], ...]:  # noqa: ARG001 - it is so
    """Returns nothing: libvirt refuses a domain with a disk that it cannot take."""
    return ()


def list_notes(guest: Guest) -> tuple[str, ...]:
    """Returns what there is to know of a domain's disks that no step of a plan is about."""
    from vmio.formats.libvirt.advice import list_notes as list_all

    return list_all(cast("LibvirtGuest", guest))
