"""Domains that run here, as their daemon has them: which one a guest is, and its layouts.

Source: libvirt 11.3.0, run.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct

from vmio.errors import LibvirtError
from vmio.formats.base import ReadContext
from vmio.formats.registry import lay_out, read
from vmio.managers.discovery import RunningGuest
from vmio.managers.libvirt.connection import is_installed, share_connection
from vmio.managers.libvirt.find import choose_uri, has_libvirt, parse_address
from vmio.model.host import Host
from vmio.model.iothread import IOThread
from vmio.model.source import Source
from vmio.model.topology import Topology
from vmio.values import replace

__all__ = ["RunningLayouts", "find_daemon", "lay_out_text", "read_layouts"]

_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
_POLLING: Final = ("poll_max_ns", "poll_grow", "poll_shrink", "poll_weight")


class RunningLayouts(Struct, frozen=True, kw_only=True):
    """The layouts of a running domain."""

    running: Topology
    """As it runs, with the polling parameters that QEMU reports."""
    stored: Topology | None
    """As it starts next; None if nothing is kept when it stops."""
    note: str = ""
    """What could not be asked, in one line."""


def find_daemon(guest: RunningGuest) -> tuple[str, str]:
    """Returns the URI of the daemon that may know a running guest; else empty, and why.

    Nothing is asked: only the daemon knows whether the guest is its own.
    """
    if guest.manager != "libvirt":
        return "", "its monitor is its manager's alone"
    if not _UUID.fullmatch(guest.uuid) or not guest.id.isdecimal():
        return "", "its monitor is libvirt's alone, and which domain it is is not known"
    if not has_libvirt():
        return "", "its monitor is libvirt's alone, and no daemon of it is found here"
    if not is_installed():
        return "", "its monitor is libvirt's alone; pip install 'vmio[libvirt]' asks that"
    return choose_uri(), ""


def lay_out_text(text: bytes, name: str, *, libvirt_version: str = "") -> Topology:
    """Returns the layout of a domain's XML.

    Args:
        text: The XML.
        name: What errors call it.
        libvirt_version: The libvirt that reads it; empty for the newest.

    Raises:
        InputError: It is no domain.
    """
    context = ReadContext(host=Host(libvirt_version=libvirt_version))
    return lay_out(read(Source(name=name, data=text), context))


def read_layouts(address: str) -> RunningLayouts | None:
    """Returns the layouts of a domain, with its disks called as libvirt does; None if it is off.

    Raises:
        InputError: There is no such domain.
        CapabilityError: The daemon refuses this account.
        LibvirtError: The daemon does not answer.
        MissingExtraError: libvirt-python is not installed.
    """
    found = parse_address(address)
    connection = share_connection(found.uri)
    domain = connection.read_domain(found.name)
    if not domain.running:
        return None
    version = connection.read_libvirt_version()
    running, stored = connection.read_running(domain.uuid, domain.number)
    layout, note = lay_out_text(running, address, libvirt_version=version), ""
    threads: Mapping[int, Mapping[str, int]] = {}
    if layout.iothreads:
        try:
            threads = connection.read_threads(found.name)
        except LibvirtError as error:
            note = error.message
    return RunningLayouts(
        running=replace(
            layout, iothreads=tuple(_set_polling(each, threads) for each in layout.iothreads)
        ),
        stored=lay_out_text(stored, address, libvirt_version=version) if stored else None,
        note=note,
    )


def _set_polling(thread: IOThread, reported: Mapping[int, Mapping[str, int]]) -> IOThread:
    values = reported.get(int(thread.id.removeprefix("iothread")), {})
    found: dict[str, Any] = {
        name: values[key] for name in _POLLING if (key := name.replace("_", "-")) in values
    }
    return replace(thread, **found)
