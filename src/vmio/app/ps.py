"""The guests that run on this host, and which of them an address means."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from msgspec import Struct

from vmio.app.addresses import ADDRESSES, PID, QMP
from vmio.errors import InputError, UsageError, VmioError
from vmio.host.command import read_qemu_words
from vmio.managers.discovery import RunningGuest, discover

__all__ = ["Listed", "list_running", "make_filter"]


class Listed(Struct, frozen=True, kw_only=True):
    """The guests of a call that run here."""

    guests: tuple[RunningGuest, ...]
    """In the order of their processes' numbers, each once."""
    unseen: tuple[str, ...] = ()
    """What cannot be seen, a line each."""
    errors: tuple[VmioError, ...] = ()
    """One for each address that means none of them."""


def list_running(addresses: Sequence[str] = ()) -> Listed:
    """Returns the guests that run on this host. No monitor is connected to.

    Args:
        addresses: Which of them: the number, id or name that a guest's manager calls it by, its
            config on this node of Proxmox VE, `pid:NUMBER`, or `qmp:SOCKET`. All without any.
    """
    found = discover()
    if not addresses:
        return Listed(guests=found.guests, unseen=found.unseen)
    chosen: set[int] = set()
    errors = []
    for address in dict.fromkeys(addresses):
        try:
            matches = make_filter(address)
            pids = {each.process.pid for each in found.guests if matches(each)}
            if not pids:
                raise _explain_missing(address)
            chosen |= pids
        except VmioError as error:
            errors.append(error)
    return Listed(
        guests=tuple(each for each in found.guests if each.process.pid in chosen),
        unseen=found.unseen,
        errors=tuple(errors),
    )


def make_filter(address: str) -> Callable[[RunningGuest], bool]:
    """Returns what tells whether an address means a guest.

    Raises:
        ConflictError: It is the config of another node.
    """
    if address.startswith(PID):
        return lambda guest: guest.address == address
    if address.startswith(QMP):
        path = _find_real(address.removeprefix(QMP))
        return lambda guest: any(
            _find_real(each.address) == path
            for each in guest.monitors
            if each.transport in {"unix", "fd"} and each.address
        )
    if "/" in address or address.endswith(".conf"):
        from vmio.managers.proxmox.node import Node, find_vmid

        number = find_vmid(Path(address), Node())
        return lambda guest: (
            (bool(number) and (guest.manager, guest.id) == ("proxmox", number))
            or guest.id == address
        )
    return lambda guest: address != "" and address in {guest.id, guest.name, guest.uuid}


def _find_real(path: str) -> str:
    # A file that -readconfig names can hold a NUL, which no path can.
    return path if "\0" in path else os.path.realpath(path)


def _explain_missing(address: str) -> VmioError:
    if address.startswith(PID):
        try:
            read_qemu_words(address)
        except (InputError, UsageError) as error:
            return error
        number = address.removeprefix(PID)
        return InputError(f"process {number} is a part of a QEMU, and no guest of its own")
    if address.startswith(QMP):
        path = address.removeprefix(QMP)
        return InputError(f"no QEMU that is seen to run here was started with the monitor {path}")
    return InputError(f"no guest that is seen to run here is called '{address}'", hint=ADDRESSES)
