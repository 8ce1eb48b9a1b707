"""Where the exporter listens, and with which certificates."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct

from vmio.errors import CapabilityError, InputError, UsageError
from vmio.values import check_between

__all__ = ["DEFAULT_LISTEN", "Address", "TlsFiles", "make_tls", "open_listener", "parse_address"]

DEFAULT_LISTEN = "127.0.0.1:10172"
"""Its port is outside of 9100 to 9999, which are all allocated to other exporters (Prometheus,
"Default port allocations"), and below those that Linux gives to clients."""

_MAX_PORT = 65535
_BACKLOG = 64


class Address(Struct, frozen=True, kw_only=True):
    """Where to listen."""

    host: str
    """A name or an address; empty for all addresses of this host."""
    port: int
    """0 for one that is free."""

    def __post_init__(self) -> None:
        check_between("port", self.port, 0, _MAX_PORT)

    def __str__(self) -> str:
        """Returns it as it is written: `127.0.0.1:10172`, `[::1]:10172`."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


class TlsFiles(Struct, frozen=True, kw_only=True):
    """The PEM files of HTTPS, read once."""

    certificate: Path
    """Ours, and those between it and its authority's."""
    key: Path | None = None
    """None if it is in the same file."""
    client_authority: Path | None = None
    """Clients need a certificate of this authority; None if they need none."""


def parse_address(text: str) -> Address:
    """Returns the address of `HOST:PORT`; an IPv6 address is in brackets.

    Raises:
        UsageError: It is none.
    """
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        colon = ""
    if not colon or not port.isascii() or not port.isdecimal() or int(port) > _MAX_PORT:
        raise UsageError(
            f"'{text[:80]}' is not an address to listen at",
            hint=f"it has the form HOST:PORT, such as {DEFAULT_LISTEN} or [::1]:10172",
        )
    return Address(host=host, port=int(port))


@contextmanager
def open_listener(address: Address) -> Iterator[socket.socket]:
    """Listens while the body runs.

    Raises:
        CapabilityError: The address is another program's, or none of this host's.
    """
    try:
        listener = _listen(address)
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no name of a host"
        raise CapabilityError(
            f"cannot listen at {address}: {reason}",
            hint="--listen HOST:PORT chooses another address",
        ) from error
    with listener:
        yield listener


def make_tls(files: TlsFiles) -> ssl.SSLContext:
    """Returns what speaks TLS with clients.

    Raises:
        InputError: A file cannot be read, or is not what it should be.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    key = files.key or files.certificate
    try:
        # With a password at hand, a key that has one is refused instead of asked about.
        context.load_cert_chain(files.certificate, key, password=lambda: "")
    except (OSError, ValueError) as error:
        raise InputError(
            f"cannot use the certificate {files.certificate} with the key {key}: {_tell(error)}",
            hint="both are PEM files, and the key has no password",
        ) from error
    if files.client_authority is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        try:
            context.load_verify_locations(cafile=files.client_authority)
        except (OSError, ValueError) as error:
            raise InputError(
                f"cannot use the authority {files.client_authority}: {_tell(error)}",
                hint="it is a PEM file with one or more certificates",
            ) from error
    return context


def _listen(address: Address) -> socket.socket:
    if not address.host and socket.has_dualstack_ipv6():
        listener = socket.create_server(
            ("", address.port), family=socket.AF_INET6, backlog=_BACKLOG, dualstack_ipv6=True
        )
    else:
        family, _, _, _, where = socket.getaddrinfo(
            address.host or "0.0.0.0",  # noqa: S104 - as it was asked for
            address.port,
            type=socket.SOCK_STREAM,
            flags=socket.AI_PASSIVE,
        )[0]
        listener = socket.create_server(where[:2], family=family, backlog=_BACKLOG)
    listener.settimeout(0)
    return listener


def _tell(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or "no PEM file").lower().replace("_", " ")
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
