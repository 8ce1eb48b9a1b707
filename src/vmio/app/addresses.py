"""Addresses: how a person names guests. Every verb takes the same ones.

An address is a file, a folder or a whole tree; `-` for standard input; a VM of this host's cluster
by its number or its name; a libvirt domain by its name, or by `libvirt:[URI/]NAME`; `pid:NUMBER`
for a QEMU process; or `qmp:SOCKET` for a running QEMU by its monitor. `172` is the VM where there
is one, and `./172` the file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vmio.errors import InputError, UsageError, VmioError
from vmio.host.files import is_folder, is_there
from vmio.patterns import compile_late

if TYPE_CHECKING:
    from vmio.managers.proxmox.node import Node

__all__ = [
    "ADDRESSES",
    "LIBVIRT",
    "PID",
    "QMP",
    "find_guest",
    "find_guests",
    "find_processes",
    "find_running",
    "find_socket",
    "is_name",
]

LIBVIRT = "libvirt:"
PID = "pid:"
QMP = "qmp:"
ADDRESSES = (
    "a guest is named by its file or folder, the number or name of a VM of this Proxmox VE node,"
    " libvirt:NAME, pid:NUMBER or qmp:SOCKET"
)
"""What a person can type, in one line."""
_NAME = compile_late(r"[A-Za-z0-9][A-Za-z0-9._-]{0,251}", re.ASCII)
"""A VM's number or name. Source: Proxmox VE: a VM's name is a DNS name; those of libvirt's domains
may have an underscore too, and what else they may have is written behind `libvirt:`."""


def find_guests(
    addresses: Sequence[str],
    *,
    writes: bool = False,
    report: Callable[[str], None] = lambda _: None,
) -> tuple[str, ...]:
    """Returns the files, folders and processes that addresses name.

    Args:
        addresses: The addresses; without any, all guests of this host's cluster are meant, or
            where there is no cluster, all domains of its libvirt, or where there are none, every
            QEMU that runs on this host.
        writes: Whether the guests' configs are to be changed.
        report: Told once which processes of this host cannot be seen.

    Raises:
        UsageError: There is no guest here, or an address cannot be changed or is ambiguous.
        InputError: Several VMs have one name, or the process of a monitor is not on this host.
        QmpError: Nothing answers on a socket, or not in QMP.
        LibvirtError: A libvirt daemon that is named does not answer.
    """
    if addresses:
        return tuple(each for address in addresses for each in _find_each(address, writes=writes))
    from vmio.managers.proxmox.pmxcfs import PVE

    if is_folder(PVE):
        return (str(PVE),)
    if writes:
        raise UsageError(f"there is no {PVE} here, so name the configs", hint=ADDRESSES)
    domains = _list_domains(report)
    if domains:
        return domains
    from vmio.host.running import find_qemus

    running = find_qemus()
    if running.unseen:
        report(running.unseen)
    if not running.pids:
        raise UsageError(
            f"there is no {PVE} here and no QEMU is seen to run, so name the guests",
            hint=ADDRESSES,
        )
    return tuple(f"{PID}{pid}" for pid in running.pids)


def _list_domains(report: Callable[[str], None]) -> tuple[str, ...]:
    """Returns all domains of this host's libvirt; none where it has none, or does not answer."""
    from vmio.managers.libvirt.find import choose_uri, has_libvirt, list_domains

    if not has_libvirt():
        return ()
    try:
        return list_domains(choose_uri())
    except VmioError as error:
        report(error.message)
        return ()


def _find_each(address: str, *, writes: bool) -> tuple[str, ...]:
    """Returns what an address names, which is more than one for all domains of a daemon."""
    if address.startswith(LIBVIRT):
        from vmio.managers.libvirt.find import list_domains, parse_address

        found = parse_address(address)
        if not found.name:
            return list_domains(found.uri)
    return (_find(address, writes=writes),)


def find_processes() -> tuple[str, ...]:
    """Returns every QEMU that runs on this host now and can be seen, as `pid:NUMBER`."""
    from vmio.host.running import find_qemus

    return tuple(f"{PID}{pid}" for pid in find_qemus().pids)


def find_guest(address: str, *, writes: bool = False, monitor: bool = False) -> str:
    """Returns the file or the process that the address of one guest names.

    Args:
        address: The address.
        writes: Whether the guest's config will be changed.
        monitor: Whether `qmp:SOCKET` is returned as it is, because the monitor's report is enough.

    Raises:
        UsageError: The address is a folder, is ambiguous, or has no config to change.
        InputError: Several VMs have that name, or the monitor's process is not on this host.
        QmpError: Nothing answers on the socket, or what answers is not QMP.
    """
    if monitor and address.startswith(QMP):
        return address
    if address.startswith(LIBVIRT):
        from vmio.managers.libvirt.find import parse_address

        if not parse_address(address).name:
            raise UsageError(
                f"{address} is all domains of a libvirt, and this takes one guest",
                hint=f"as in {LIBVIRT}web1",
            )
    found = _find(address, writes=writes)
    if is_folder(found):
        raise UsageError(
            f"{address} is a folder, and this takes one guest",
            hint="name a config in it; vmio show and vmio check take folders",
        )
    return found


def find_running(config: str, node: Node | None = None) -> str:
    """Returns the process, as `pid:NUMBER`, that runs the guest of a config or a domain.

    Raises:
        UsageError: It is neither one of this node's configs nor a domain of this host, so no
            process belongs to it.
        InputError: The guest is not running.
        ConflictError: The config belongs to another node.
    """
    if config.startswith(LIBVIRT):
        return f"{PID}{_find_domain_pid(config)}"
    from vmio.managers.proxmox.node import Node, find_pid, find_vmid

    node = node if node is not None else Node()
    number = "" if config == "-" or config.startswith(PID) else find_vmid(Path(config), node)
    if not number:
        raise UsageError(
            f"name what to compare {config} with",
            hint="only a VM or a domain of this host is compared with its own process by default",
        )
    pid = find_pid(number, node)
    if pid is None:
        raise InputError(f"VM {number} is not running: its config has no process to compare with")
    return f"{PID}{pid}"


def find_socket(socket: str) -> Path:
    """Returns the path that is written behind `qmp:`.

    Raises:
        UsageError: There is none.
    """
    if not socket:
        raise UsageError(f"{QMP} names no socket", hint=f"as in {QMP}/run/web1.qmp")
    return Path(socket)


def is_name(text: str) -> bool:
    """Tells whether a VM can have a text as its number or name.

    A name that ends in .conf or .xml is that of a file: no manager is asked for it.
    """
    return _NAME.fullmatch(text) is not None and not text.endswith((".conf", ".xml"))


def _find(address: str, *, writes: bool) -> str:
    if not address:
        raise UsageError("'' names no guest", hint=ADDRESSES)
    if address.startswith((PID, QMP)):
        if writes:
            raise UsageError(
                f"{address} is a running guest, which has no config of its own to change",
                hint="name its config, or the VM by its number",
            )
        return _find_process(address) if address.startswith(QMP) else address
    if address.startswith(LIBVIRT):
        from vmio.managers.libvirt.find import parse_address

        return str(parse_address(address))
    if not is_name(address):
        return address
    config = _find_config(address)
    domain = _find_domain(address, needed=config is None) if config is None or writes else None
    found = config or domain
    if found is None:
        return address
    if writes and config is not None and domain is not None:
        raise UsageError(
            f"'{address}' is both a VM of Proxmox VE and a domain of libvirt here",
            hint=f"{config} is the VM, and {domain} the domain",
        )
    if writes and is_there(address):
        raise UsageError(
            f"'{address}' is both a VM and a file here",
            hint=f"./{address} is the file, and {found} the VM",
        )
    return found


def _find_config(address: str) -> str | None:
    """Returns the config of a VM of this host's cluster; None where no VM has that name."""
    from vmio.managers.proxmox.pmxcfs import PVE

    if not is_folder(PVE / "nodes"):
        return None
    from vmio.managers.proxmox.find import find_vm

    vm = find_vm(PVE, address)
    return str(vm.path) if vm is not None else None


def _find_domain(name: str, *, needed: bool) -> str | None:
    """Returns a domain of this host's libvirt; None where it has none of that name.

    Args:
        name: The name.
        needed: Whether it is told that libvirt does not answer.
    """
    from vmio.managers.libvirt.find import find_domain, has_libvirt

    if not has_libvirt():
        return None
    try:
        return find_domain(name)
    except VmioError:
        if needed and not is_there(name):
            raise
        return None


def _find_process(address: str) -> str:
    """Returns the process on this host that a monitor belongs to."""
    from vmio.qemu.qmp import QmpConnection
    from vmio.qemu.signals import run_async
    from vmio.qemu.threads import ask_threads, find_process

    socket = find_socket(address.removeprefix(QMP))

    async def ask() -> int | None:
        async with QmpConnection.connect(socket) as connection:
            reported = await ask_threads(connection)
            return find_process(connection.peer_pid, reported.thread_ids)

    pid = run_async(ask())
    if pid is None:
        raise InputError(
            f"the QEMU behind {address} is not a process of this host, so its command line is not"
            " known",
            hint="vmio show and vmio explain take what the monitor reports",
        )
    return f"{PID}{pid}"


def _find_domain_pid(address: str) -> int:
    """Returns the process on this host that runs a domain."""
    from vmio.managers.discovery import discover
    from vmio.managers.libvirt.connection import is_local
    from vmio.managers.libvirt.find import parse_address

    domain = parse_address(address)
    if not is_local(domain.uri):
        raise UsageError(f"name what to compare {address} with: it does not run on this host")
    pids = [
        each.process.pid
        for each in discover().guests
        if each.manager == "libvirt" and each.name == domain.name
    ]
    if not pids:
        raise InputError(f"{address} is not running, or its process cannot be seen")
    if len(pids) > 1:
        raise UsageError(
            f"several domains that run here have the name '{domain.name}'",
            hint=f"name the process: {', '.join(f'{PID}{pid}' for pid in pids)}",
        )
    return pids[0]
