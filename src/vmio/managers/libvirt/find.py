"""Finds domains by their addresses: `libvirt:[URI/]NAME`, or a bare name on a host with libvirt.

Where there is no daemon or no libvirt-python, root can read a system daemon's domains in its own
folder, as they start next. vmio never writes there: a daemon does not see it.

Source: libvirt 11.3.0, run.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from vmio.errors import InputError, LibvirtError, MissingExtraError, UsageError, VmioError
from vmio.host.files import is_file, is_there
from vmio.managers.libvirt.connection import share_connection
from vmio.model.source import Source

if TYPE_CHECKING:
    from vmio.formats.base import KeptConfig

__all__ = [
    "LIBVIRT",
    "DomainAddress",
    "choose_uri",
    "find_domain",
    "has_libvirt",
    "is_domain",
    "list_domains",
    "name_path",
    "parse_address",
    "read_copies",
    "read_state",
    "read_text",
]

LIBVIRT: Final = "libvirt:"
SYSTEM: Final = "qemu:///system"
STORED: Final = Path("/etc/libvirt/qemu")
"""Where a system daemon keeps its domains; only root can read it."""

_SOCKETS: Final = tuple(
    Path(f"/run/libvirt/{name}")
    for name in ("virtqemud-sock-ro", "libvirt-sock-ro", "virtqemud-sock", "libvirt-sock")
)
_URI = re.compile(
    r"(?P<scheme>[a-z][a-z0-9]{0,20}(?:\+[a-z0-9]{1,20})?):"
    r"(?://(?P<host>[^/?\s]{0,400}))?(?P<path>/[^?\s]{0,1000})(?P<query>\?\S{0,1000})?",
    re.ASCII,
)
_PATHS: Final = ("/embed", "/session", "/system")
"""How a path of QEMU's driver begins, and no host's name does."""


class DomainAddress(Struct, frozen=True, kw_only=True):
    """A daemon, and a domain of it."""

    uri: str
    name: str
    """Empty for all domains."""

    def __str__(self) -> str:
        return f"{LIBVIRT}{self.uri}/{self.name}"


def choose_uri() -> str:
    """Returns the daemon that is meant where none is named: LIBVIRT_DEFAULT_URI, or the system's.

    Unlike libvirt's own tools, vmio does not start a session's daemon unless it is named.
    """
    return os.environ.get("LIBVIRT_DEFAULT_URI", "") or SYSTEM


def parse_address(address: str) -> DomainAddress:
    """Parses `libvirt:[URI/]NAME`.

    A URI may have one slash for three, as it has once it was taken for a path.

    Raises:
        UsageError: The URI is none.
    """
    uri, _, name = address.removeprefix(LIBVIRT).rpartition("/")
    if not uri:
        return DomainAddress(uri=choose_uri(), name=name)
    match = _URI.fullmatch(uri)
    if match is None:
        raise UsageError(
            f"'{address}' names no libvirt daemon",
            hint=f"as in {LIBVIRT}web1, {LIBVIRT}{SYSTEM}/web1 or"
            f" {LIBVIRT}qemu+ssh://root@host/system/web1",
        )
    scheme, host, path, query = match.group("scheme", "host", "path", "query")
    if host is None and "+" in scheme and not path.startswith(_PATHS):
        _, host, rest = path.split("/", 2) if path.count("/") > 1 else ("", "", path[1:])
        path = f"/{rest}"
    return DomainAddress(uri=f"{scheme}://{host or ''}{path}{query or ''}", name=name)


def is_domain(path: Path) -> bool:
    """Returns whether what stands for a path is a domain's address, with one slash for three."""
    return str(path).startswith(LIBVIRT)


def name_path(path: Path) -> str:
    """Returns a config's path, or a domain's address with the slashes that a path has lost."""
    return str(parse_address(str(path))) if is_domain(path) else str(path)


def has_libvirt() -> bool:
    """Returns whether this host has a libvirt daemon, or a person has named one; it is not asked.

    A name is looked up there only if so, since libvirt-python takes time to import.
    """
    return bool(os.environ.get("LIBVIRT_DEFAULT_URI")) or _has_socket() or bool(_list_stored())


def find_domain(name: str) -> str | None:
    """Returns the address of a domain of this host, or its file where the daemon is not there.

    Raises:
        CapabilityError: The daemon refuses this account.
        LibvirtError: The daemon does not answer.
        MissingExtraError: A daemon has to be asked, and libvirt-python is not installed.
    """
    uri = choose_uri()
    stored = STORED / f"{name}.xml"
    is_stored = uri == SYSTEM and "/" not in name and is_file(stored)
    if uri == SYSTEM and not _has_socket():
        return str(stored) if is_stored else None
    try:
        there = share_connection(uri).has_domain(name)
    except (LibvirtError, MissingExtraError):
        if is_stored:
            return str(stored)
        raise
    return str(DomainAddress(uri=uri, name=name)) if there else None


def list_domains(uri: str) -> tuple[str, ...]:
    """Returns the addresses of all domains of a daemon, or their files where it is not there.

    Raises:
        CapabilityError: The daemon refuses this account.
        LibvirtError: The daemon does not answer.
        MissingExtraError: libvirt-python is not installed.
    """
    try:
        names = share_connection(uri).list_names()
    except (LibvirtError, MissingExtraError):
        stored = _list_stored() if uri == SYSTEM else ()
        if not stored:
            raise
        return stored
    return tuple(str(DomainAddress(uri=uri, name=name)) for name in names)


def read_text(address: str) -> Source:
    """Returns the XML with which a domain starts next, without passwords, named by its address.

    Raises:
        UsageError: The address names no daemon, or no domain.
        InputError: There is no such domain.
        CapabilityError: The daemon refuses this account.
        LibvirtError: The daemon does not answer.
        MissingExtraError: libvirt-python is not installed.
    """
    found = parse_address(address)
    if not found.name:
        raise UsageError(f"{address} names no domain", hint=f"as in {LIBVIRT}{found.uri}/web1")
    domain = share_connection(found.uri).read_domain(found.name)
    return Source(name=str(found), data=domain.text)


def read_copies(address: str) -> tuple[KeptConfig, ...]:
    """Returns the copies of a domain that its daemon keeps: a managed save, and snapshots.

    Raises:
        InputError: There is no such domain.
        CapabilityError: The daemon refuses this account.
        LibvirtError: The daemon does not answer.
        MissingExtraError: libvirt-python is not installed.
    """
    from vmio.formats.base import KeptConfig

    found = parse_address(address)
    return tuple(
        KeptConfig(snapshot=name, source=Source(name=str(found), data=_take_domain(text)))
        for name, text in share_connection(found.uri).read_copies(found.name)
    )


def _take_domain(text: bytes) -> bytes:
    """Returns the domain in a snapshot's XML; the text itself where there is none."""
    from vmio.formats.libvirt.xml import parse_xml

    with suppress(InputError):
        element = parse_xml(Source(name="", data=text)).find("domain")
        if element is not None:
            return text[element.start : element.end]
    return text


def read_state(address: str) -> tuple[int, int, int] | None:
    """Returns numbers that differ after a change of a domain; None if it cannot be read."""
    try:
        source = read_text(address)
    except VmioError:
        return None
    return int(source.digest[:15], 16), len(source.data), 0


def _has_socket() -> bool:
    return any(is_there(socket) for socket in _SOCKETS)


def _list_stored() -> tuple[str, ...]:
    try:
        return tuple(sorted(str(path) for path in STORED.glob("*.xml")))
    except OSError:
        return ()
