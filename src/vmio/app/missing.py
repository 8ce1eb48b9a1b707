"""What is said of an address that leads to nothing: which addresses there are, and the nearest."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import islice

from vmio.app.addresses import ADDRESSES, LIBVIRT, PID, is_name
from vmio.errors import InputError, VmioError
from vmio.host.files import is_file, is_folder, is_there, read_source
from vmio.model.source import Source
from vmio.patterns import compile_late

__all__ = ["describe_missing", "read_named"]

_MOST_CANDIDATES = 5000
"""So many VMs are looked at for a name that is like the one that was typed."""
_MOST_SHOWN = 3
_LIKENESS = 0.6
_PREFIX = compile_late(r"[A-Za-z]{1,20}:[^/]*\Z", re.ASCII)
"""How an address begins that is no file's: `pid:7`, and what somebody takes for one."""
_DISK = re.compile(r"(?:efidisk|ide|sata|scsi|tpmstate|virtio)\d{1,3}", re.ASCII)
_ALL_SHOWN = 10
"""So many running guests are named where none is like the one that was typed."""


def describe_missing(address: str) -> InputError | None:
    """Returns what is wrong with an address that cannot be opened; None where that says itself.

    A path says it itself: who writes a slash, or `.conf` at the end, means a file.
    """
    if is_there(address) or address.startswith(LIBVIRT):
        return None
    if is_file(f"{address}.conf"):
        return InputError(
            f"cannot read {address}: there is no such VM or file here",
            hint=f"{address}.conf is a file here",
        )
    if _PREFIX.match(address):
        return InputError(f"cannot read {address}: there is no such file here", hint=ADDRESSES)
    if not is_name(address):
        return None
    if _DISK.fullmatch(address):
        return InputError(
            f"cannot read {address}: there is no such VM or file here, and it is a disk's name",
            hint=f"the guest comes first, as in: vmio explain VM {address}",
        )
    from vmio.managers.proxmox.pmxcfs import PVE

    if is_folder(PVE / "nodes"):
        near = _list_near(address, _list_vms())
        message = f"cannot read {address}: there is no such VM or file here"
    else:
        running = list(_list_running())
        near = _list_near(address, [*_list_domains(), *running])
        if not near and len(running) <= _ALL_SHOWN:
            near = [label for _, label in running]
        message = f"cannot read {address}: there is no such file here"
    nearest = f"{', '.join(near)}; " if near else ""
    return InputError(message, hint=f"{nearest}{ADDRESSES}")


def read_named(address: str) -> Source:
    """Returns the file or the libvirt domain that a person named; `-` is standard input.

    Raises:
        InputError: It cannot be read; where there is nothing of that name, the hint says what
            there is.
        CapabilityError: A libvirt daemon refuses this account.
        LibvirtError: A libvirt daemon does not answer.
        MissingExtraError: A domain requires libvirt-python, which is not installed.
    """
    if address.startswith(LIBVIRT):
        from vmio.managers.libvirt.find import read_text

        return read_text(address)
    try:
        return read_source(address)
    except InputError as error:
        raise describe_missing(address) or error from error


def _list_near(address: str, candidates: Iterable[tuple[str, str]]) -> list[str]:
    """Returns the labels of those whose names are most like an address."""
    from difflib import get_close_matches

    labels: dict[str, list[str]] = {}
    for name, label in candidates:
        labels.setdefault(name.lower(), []).append(label)
    names = get_close_matches(address.lower(), labels, n=_MOST_SHOWN, cutoff=_LIKENESS)
    found = (label for name in names for label in labels[name])
    return list(islice(dict.fromkeys(found), _MOST_SHOWN))


def _list_vms() -> Iterator[tuple[str, str]]:
    """Yields the numbers and names of the cluster's VMs, each with a label of its VM."""
    from vmio.managers.proxmox.find import find_vms
    from vmio.managers.proxmox.pmxcfs import PVE

    for vm in islice(find_vms(PVE), _MOST_CANDIDATES):
        name = vm.read_name()
        label = f"{vm.number} {name}".strip()
        yield str(vm.number), label
        if is_name(name):
            yield name, label


def _list_running() -> Iterator[tuple[str, str]]:
    """Yields the name and the address of each QEMU of this host that has one."""
    from vmio.formats.qemu.argv import parse_words
    from vmio.host.command import read_qemu_words
    from vmio.host.running import find_qemus

    for pid in islice(find_qemus().pids, _MOST_CANDIDATES):
        with suppress(InputError):
            options = parse_words(read_qemu_words(f"{PID}{pid}")).options
            names = [each.properties.get("guest", "") for each in options if each.name == "name"]
            if names and is_name(names[-1]):
                yield names[-1], f"{PID}{pid} {names[-1]} runs here"


def _list_domains() -> Iterator[tuple[str, str]]:
    """Yields the name of each domain of this host's libvirt, with what tells it."""
    from vmio.managers.libvirt.find import choose_uri, has_libvirt, list_domains

    if not has_libvirt():
        return
    with suppress(VmioError):
        for domain in list_domains(choose_uri()):
            name = domain.rpartition("/")[2].removesuffix(".xml")
            yield name, f"{name} is a domain of libvirt"
