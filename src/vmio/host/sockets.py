"""Who listens on a socket and who is connected to it, as the kernel lists them.

To connect in order to find out would disturb whom the socket belongs to: a monitor serves one
client at a time, and one that waits may get it next.

Source: proc(5) of Linux 6.12, net/af_unix.c: flag 0x10000 is a socket that listens; state 3 is a
connection that was accepted, 2 one that waits for that. net/ipv4/tcp_ipv4.c: state 0A listens, 01
is a connection, which has no inode until it is accepted. QEMU 10.0, run.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Final, Literal

from msgspec import Struct

__all__ = ["NamedSocket", "SocketTables", "SocketUse"]

_LINE: Final = re.compile(
    rb"^[^:\n]*: [0-9A-F]+ [0-9A-F]+ ([0-9A-F]{8}) [0-9A-F]+ ([0-9A-F]{2}) +([0-9]{1,19}) (.+)$",
    re.MULTILINE,
)
_PORT_LINE: Final = re.compile(
    rb"^ *[0-9]+: [0-9A-F]+:([0-9A-F]{4}) [0-9A-F]+:[0-9A-F]{4} (0A|01)"
    rb" (?:\S+ +){5}([0-9]{1,19}) ",
    re.MULTILINE,
)
_LISTENS: Final = 0x10000
_WAITS: Final = 2
_SERVED: Final = 3
_MAX_BYTES: Final = 64 << 20
_PIECE_BYTES: Final = 1 << 16
_MAX_DESCRIPTORS: Final = 1 << 16
_SOCKET: Final = re.compile(r"socket:\[([0-9]{1,19})\]", re.ASCII)


class NamedSocket(Struct, frozen=True, kw_only=True):
    """A socket that has a name."""

    path: str
    """As it was bound, so possibly relative; an abstract name begins with @; the number of a TCP
    port."""
    inode: int
    """0 for a connection that waits to be accepted."""
    listens: bool
    state: int


class SocketUse(Struct, frozen=True, kw_only=True):
    """Who is at a socket."""

    path: str
    state: Literal["free", "held", "absent", "unknown"]
    """free: it listens, and nobody is there; held: somebody is; absent: nothing listens; unknown:
    this user may not see it."""
    waiting: int = 0
    """Connections that were not accepted yet."""


class SocketTables:
    """The sockets of each network namespace, each table read once.

    One object serves one look at a host: what it has read is not read again.
    """

    def __init__(self) -> None:
        self._tables: dict[tuple[int, int], _Table] = {}

    def find_use(self, process: int, path: str) -> SocketUse:
        """Returns who is at a socket of a process.

        Args:
            process: The descriptor of the process's folder in /proc.
            path: The name that the socket was bound to.
        """
        table = self._read(process, "net/unix", _parse_unix)
        if table is None:
            return SocketUse(path=path, state="unknown")
        return _tell_use(process, path, table.by_path.get(path, ()))

    def find_port_use(self, process: int, port: str) -> SocketUse:
        """Returns who is at a TCP port of a process, which it may listen on by IPv4, IPv6 or both.

        Args:
            process: The descriptor of the process's folder in /proc.
            port: Its number, in digits.
        """
        found = [self._read(process, f"net/{name}", _parse_tcp) for name in ("tcp", "tcp6")]
        tables = [each for each in found if each is not None]
        if not tables or not re.fullmatch("[0-9]{1,5}", port, re.ASCII):
            return SocketUse(path=port, state="unknown")
        key = str(int(port))
        named = [socket for each in tables for socket in each.by_path.get(key, ())]
        return _tell_use(process, port, named)

    def find_use_by_descriptor(self, process: int, descriptor: str) -> SocketUse:
        """Returns who is at a socket that a process has open.

        Args:
            process: The descriptor of the process's folder in /proc.
            descriptor: The number of the process's own descriptor, in digits.
        """
        if re.fullmatch("[0-9]{1,9}", descriptor, re.ASCII):
            with suppress(OSError):
                match = _SOCKET.fullmatch(os.readlink(f"fd/{descriptor}", dir_fd=process))
                table = self._read(process, "net/unix", _parse_unix)
                found = table.by_inode.get(int(match[1])) if match and table else None
                if found is not None and found.listens:
                    return self.find_use(process, found.path)
        return SocketUse(path="", state="unknown")

    def _read(
        self, process: int, name: str, parse: Callable[[bytes], Iterable[NamedSocket]]
    ) -> _Table | None:
        try:
            table = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=process)
        except OSError:
            return None
        try:
            # The file's number differs between namespaces, and anybody may ask for it.
            status = os.fstat(table)
            key = (status.st_dev, status.st_ino)
            if key not in self._tables:
                self._tables[key] = _index(parse(_read_all(table)))
            return self._tables[key]
        finally:
            os.close(table)


class _Table(Struct, frozen=True, kw_only=True):
    by_path: Mapping[str, tuple[NamedSocket, ...]]
    by_inode: Mapping[int, NamedSocket]


def list_socket_inodes(process: int) -> frozenset[int] | None:
    """Returns the sockets that a process has open; None where this user may not see them."""
    found = set()
    try:
        folder = os.open("fd", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=process)
    except OSError:
        return None
    try:
        for name in os.listdir(folder)[:_MAX_DESCRIPTORS]:  # noqa: PTH208
            with suppress(OSError):
                match = _SOCKET.fullmatch(os.readlink(name, dir_fd=folder))
                if match is not None:
                    found.add(int(match[1]))
    except OSError:  # it has ended
        return None
    finally:
        os.close(folder)
    return frozenset(found)


def _tell_use(process: int, path: str, named: Sequence[NamedSocket]) -> SocketUse:
    listeners = [each for each in named if each.listens]
    if not listeners:
        return SocketUse(path=path, state="absent")
    own: Container[int] = {each.inode for each in named}
    if len(listeners) > 1:
        # Several can have one name: relative, in several mount namespaces, or replaced since.
        inodes = list_socket_inodes(process)
        if inodes is None:
            return SocketUse(path=path, state="unknown")
        if not any(each.inode in inodes for each in listeners):
            return SocketUse(path=path, state="absent")
        own = inodes
    served = [each.inode in own for each in named if each.state == _SERVED]
    # One that waits has no number: where several have one name, it waits where one is served.
    waiting = sum(each.state == _WAITS for each in named) if all(served) else 0
    return SocketUse(
        path=path, state="held" if any(served) or waiting else "free", waiting=waiting
    )


def _read_all(table: int) -> bytes:
    pieces: list[bytes] = []
    size = 0
    while size < _MAX_BYTES and (piece := os.read(table, _PIECE_BYTES)):
        pieces.append(piece)
        size += len(piece)
    return b"".join(pieces)


def _parse_unix(data: bytes) -> Iterator[NamedSocket]:
    for flags, state, inode, path in _LINE.findall(data):
        yield NamedSocket(
            path=os.fsdecode(path),
            inode=int(inode),
            listens=bool(int(flags, 16) & _LISTENS),
            state=int(state, 16),
        )


def _parse_tcp(data: bytes) -> Iterator[NamedSocket]:
    for port, state, inode in _PORT_LINE.findall(data):
        yield NamedSocket(
            path=str(int(port, 16)),
            inode=int(inode),
            listens=state == b"0A",
            state=0 if state == b"0A" else _SERVED if int(inode) else _WAITS,
        )


def _index(sockets: Iterable[NamedSocket]) -> _Table:
    by_path: dict[str, list[NamedSocket]] = {}
    by_inode = {}
    for found in sockets:
        by_path.setdefault(found.path, []).append(found)
        if found.inode:
            by_inode[found.inode] = found
    return _Table(
        by_path={path: tuple(found) for path, found in by_path.items()}, by_inode=by_inode
    )
