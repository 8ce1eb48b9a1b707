"""A connection to a libvirt daemon, the only place that uses libvirt-python.

Every call of libvirt's waits for the daemon, so each has a deadline here: it runs in a thread of
its own, which is left behind where the daemon does not answer.

Source: libvirt 11.3.0 with libvirt-python 12.8.0, run; libvirt's virterror.h for the codes.
"""

from __future__ import annotations

import atexit
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib import import_module
from importlib.util import find_spec
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, Final

from msgspec import Struct

from vmio.errors import (
    CapabilityError,
    InputError,
    LibvirtError,
    MissingExtraError,
    VmioError,
)

__all__ = [
    "DEADLINE_S",
    "Connection",
    "Domain",
    "Versions",
    "is_installed",
    "is_local",
    "open_connection",
    "share_connection",
]

DEADLINE_S: Final = 30.0
"""Of one call. A daemon's first connection asks its QEMUs what they can do: 3.5 to 6.5 s."""

_MOST_DOMAINS: Final = 16_384
"""Source: libvirt's limit of one list over its protocol."""
_MOST_SNAPSHOTS: Final = 100
"""So many snapshots of one domain are read."""
_NOT_LOCAL: Final = ("ssh", "libssh", "libssh2", "tls", "tcp", "ext")
_CONNECT: Final = "connect"
_DEFINE: Final = "define a domain"
_LOST: Final = (
    "Cannot recv data",
    "Cannot write data",
    "End of file while reading data",
    "client socket is closed",
)
_NO_SCHEMA: Final = " RNG "
"""In libvirt's message about a schema that it cannot open."""
_FOREIGN_THREAD = re.compile(r"<qemu:arg\b[^>]{0,4096}\biothread\b(?!,id=iothread[1-9])")
"""An IOThread that libvirt did not name."""
_SSH_REFUSES: Final = ("Permission denied (", "Host key verification failed")
_SSH_HINT: Final = (
    "ssh needs a key that the host accepts, and a host that it knows, since it never asks: see"
    " whether ssh -o BatchMode=yes logs in there"
)
_RIGHTS_HINT: Final = (
    "polkit lets root and the members of the group libvirt manage domains of qemu:///system;"
    " reading needs no rights"
)


class Versions(Struct, frozen=True, kw_only=True):
    """The versions that a daemon reports, such as `11.3.0`."""

    libvirt: str
    qemu: str
    """Empty if it has none."""

    @property
    def libvirt_number(self) -> tuple[int, int]:
        """The libvirt's major and minor version."""
        major, minor, _ = map(int, self.libvirt.split("."))
        return major, minor


class Domain(Struct, frozen=True, kw_only=True):
    """A domain as its daemon has it."""

    name: str
    uuid: str
    text: bytes
    """The XML with which it starts next, without passwords unless they were requested."""
    persistent: bool
    """Whether the daemon keeps it when it is stopped."""
    running: bool
    number: int = -1
    """What libvirt calls this run of it; -1 if it does not run."""
    has_managed_save: bool
    """Whether the next start restores its memory, and with it the layout that it had."""
    snapshots: int
    """Its snapshots; reverting to one brings back the configuration that it has kept."""


class Connection:
    """An open connection to one daemon.

    Attributes:
        uri: libvirt's name of the daemon, such as `qemu:///system`.
        writes: Whether it may change anything.
    """

    def __init__(
        self,
        uri: str,
        *,
        writes: bool = False,
        deadline_s: float = DEADLINE_S,
        connect_s: float = DEADLINE_S,
    ) -> None:
        """Connects to a daemon.

        Args:
            uri: libvirt's name of the daemon.
            writes: Whether to ask for the right to change domains.
            deadline_s: The longest that one call may take, in seconds.
            connect_s: The longest that connecting may take, in seconds.

        Raises:
            MissingExtraError: libvirt-python is not installed.
            CapabilityError: The daemon refuses this account.
            LibvirtError: No daemon answers there.
        """
        self.uri = uri
        self.writes = writes
        self._deadline_s = connect_s
        self._libvirt = _import_libvirt()
        self._is_lost = False
        connect = self._libvirt.open if writes else self._libvirt.openReadOnly
        self._handle = self._call(_CONNECT, connect, _ask_nobody(uri))
        self._deadline_s = deadline_s

    @property
    def is_lost(self) -> bool:
        """Whether a call has found that the daemon is gone or hangs, or it was closed."""
        return self._is_lost

    def close(self) -> None:
        """Ends the connection, unless the daemon has stopped to answer."""
        if not self._is_lost:
            self._is_lost = True
            self._run(self._handle.close)

    def is_usable(self) -> bool:
        """Returns whether the daemon is still there."""
        return not self._is_lost and bool(self._call("ask it", self._handle.isAlive))

    def read_versions(self) -> Versions:
        """Returns the versions of the daemon and its QEMU.

        Raises:
            LibvirtError: The daemon does not answer.
        """
        libvirt = self.read_libvirt_version()
        qemu = self._call("ask QEMU's version", self._handle.getVersion)
        is_qemu = self._call("ask its driver", self._handle.getType) == "QEMU"
        return Versions(libvirt=libvirt, qemu=_spell(qemu) if qemu and is_qemu else "")

    def read_libvirt_version(self) -> str:
        """Returns the version of the daemon; QEMU's can take it seconds.

        Raises:
            LibvirtError: The daemon does not answer.
        """
        return _spell(self._call("ask its version", self._handle.getLibVersion))

    def list_names(self) -> tuple[str, ...]:
        """Returns the names of all domains, running or not, in alphabetical order.

        Raises:
            LibvirtError: The daemon does not answer.
        """
        found = self._call("list its domains", self._handle.listAllDomains)
        return tuple(sorted(each.name() for each in found[:_MOST_DOMAINS]))

    def has_domain(self, name: str) -> bool:
        """Returns whether there is a domain of a name.

        Raises:
            LibvirtError: The daemon does not answer.
        """
        try:
            self._find(name)
        except InputError:
            return False
        return True

    def read_domain(self, name: str, *, secure: bool = False) -> Domain:
        """Returns a domain, as it starts next.

        Args:
            name: Its name.
            secure: Whether its text is to have the passwords: of one without them, a definition
                deletes them. Requires a connection that writes.

        Raises:
            InputError: There is no such domain.
            LibvirtError: The daemon does not answer.
        """
        domain, libvirt = self._find(name), self._libvirt
        flags = libvirt.VIR_DOMAIN_XML_INACTIVE | (libvirt.VIR_DOMAIN_XML_SECURE if secure else 0)

        def read() -> Domain:
            return Domain(
                name=domain.name(),
                uuid=domain.UUIDString(),
                text=domain.XMLDesc(flags).encode("utf-8", "surrogateescape"),
                persistent=bool(domain.isPersistent()),
                running=bool(domain.isActive()),
                number=domain.ID(),
                has_managed_save=_ask(domain.hasManagedSaveImage) == 1,
                snapshots=max(0, _ask(domain.snapshotNum)),
            )

        def _ask(question: Callable[[], int]) -> int:
            try:
                return question()
            except libvirt.libvirtError as error:
                if error.get_error_code() == libvirt.VIR_ERR_NO_SUPPORT:
                    return 0
                raise

        result: Domain = self._call(f"read '{name}'", read, name=name)
        return result

    def read_running(self, uuid: str, number: int) -> tuple[bytes, bytes]:
        """Returns the XML of a domain as it runs, and the one with which it starts next.

        The second is empty for a domain that is not kept when it stops.

        Args:
            uuid: The domain.
            number: What libvirt calls this run of it.

        Raises:
            InputError: There is no such domain, or it is another run of it.
            LibvirtError: The daemon does not answer.
        """
        libvirt = self._libvirt

        def read() -> tuple[int, str, str]:
            domain = self._handle.lookupByUUIDString(uuid)
            stored = (
                domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE) if domain.isPersistent() else ""
            )
            return domain.ID(), domain.XMLDesc(0), stored

        found, running, stored = self._call(f"read '{uuid}'", read, name=uuid)
        self._check_run(uuid, number, found)
        return running.encode("utf-8", "surrogateescape"), stored.encode(
            "utf-8", "surrogateescape"
        )

    def read_statistics(self, uuid: str, number: int, *, threads: bool) -> Mapping[str, object]:
        """Returns what a running domain's disks have done, and how its IOThreads poll.

        Where libvirt is busy with the domain, the answer comes at once and has the disks' names
        and no figures.

        Args:
            uuid: The domain.
            number: What libvirt calls this run of it.
            threads: Whether to ask for IOThreads. libvirt 11.3 crashes if one of them has an id
                that libvirt did not give it.

        Returns:
            libvirt's own names and values: `block.0.rd.reqs`, `iothread.1.poll-max-ns`.

        Raises:
            InputError: There is no such domain, or it is another run of it.
            LibvirtError: The daemon does not answer.
        """
        libvirt = self._libvirt
        kinds = libvirt.VIR_DOMAIN_STATS_BLOCK
        if threads:
            kinds |= libvirt.VIR_DOMAIN_STATS_IOTHREAD
        flags = libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT

        def read() -> tuple[int, Mapping[str, object]]:
            domain = self._handle.lookupByUUIDString(uuid)
            found = self._handle.domainListGetStats([domain], kinds, flags)
            return (found[0][0].ID(), found[0][1]) if found else (-1, {})

        found, values = self._call(f"read the statistics of '{uuid}'", read, name=uuid)
        self._check_run(uuid, number, found)
        return dict(values)

    def _check_run(self, uuid: str, number: int, found: int) -> None:
        if found != number:
            raise InputError(f"{self.uri} does not run the domain {uuid} as its number {number}")

    def define(self, text: bytes, *, validate: bool = True) -> None:
        """Stores a domain's XML.

        Args:
            text: The XML.
            validate: Whether libvirt's schema has to allow it, where the daemon has the schema.

        Raises:
            CapabilityError: The connection may only read.
            InputError: libvirt refuses the text.
            LibvirtError: The daemon does not answer.
        """
        flags = self._libvirt.VIR_DOMAIN_DEFINE_VALIDATE if validate else 0
        define, xml = self._handle.defineXMLFlags, text.decode("utf-8", "surrogateescape")
        try:
            self._call(_DEFINE, define, xml, flags)
        except LibvirtError as error:
            if not validate or _NO_SCHEMA not in error.message:
                raise
            self._call(_DEFINE, define, xml, 0)

    def read_threads(self, name: str) -> Mapping[int, Mapping[str, int]]:
        """Returns the polling parameters of a running domain's IOThreads, by their ids.

        The parameters have the names of libvirt's statistics: `poll-max-ns`, `poll-grow`.

        Raises:
            InputError: There is no such domain.
            LibvirtError: The daemon does not answer.
        """
        domain = self._find(name)
        kind = self._libvirt.VIR_DOMAIN_STATS_IOTHREAD
        text = self._call(f"read '{name}'", domain.XMLDesc)
        if _FOREIGN_THREAD.search(text):
            raise LibvirtError(
                f"'{name}' has an IOThread of QEMU's own (<qemu:arg>), with which libvirt's daemon"
                " crashes when it is asked for IOThreads"
            )
        found = self._call(
            f"read the IOThreads of '{name}'", self._handle.domainListGetStats, [domain], kind
        )
        threads: dict[int, dict[str, int]] = {}
        for key, value in found[0][1].items() if found else ():
            _, _, rest = key.partition(".")
            number, _, parameter = rest.partition(".")
            if number.isdecimal() and parameter:
                threads.setdefault(int(number), {})[parameter] = int(value)
        return threads

    def set_thread(self, name: str, number: int, values: Mapping[str, int]) -> None:
        """Sets parameters of an IOThread of a running domain, until it stops.

        Args:
            name: The domain.
            number: The IOThread's id.
            values: Parameters by the names of libvirt's interface: `poll_max_ns`.

        Raises:
            InputError: There is no such domain.
            LibvirtError: libvirt or QEMU refuses a value, or the daemon does not answer.
        """
        domain = self._find(name)
        self._call(
            f"set IOThread {number} of '{name}'",
            domain.setIOThreadParams,
            number,
            dict(values),
            self._libvirt.VIR_DOMAIN_AFFECT_LIVE,
        )

    def _find(self, name: str) -> Any:  # noqa: ANN401 - libvirt-python has no types
        return self._call(f"find '{name}'", self._handle.lookupByName, name, name=name)

    def _call(
        self, doing: str, function: Callable[..., Any], *arguments: object, name: str = ""
    ) -> Any:  # noqa: ANN401 - libvirt-python has no types
        """Returns what a call returns.

        Args:
            doing: What the call is for, in the imperative, for messages.
            function: The call.
            arguments: Its arguments.
            name: The domain that it is about, if one that may not be there.

        Raises:
            VmioError: It fails, or takes too long.
        """
        if self._is_lost:
            raise LibvirtError(f"the connection to {self.uri} is lost")
        try:
            return self._run(function, *arguments)
        except Empty:
            self._is_lost = True
            raise LibvirtError(
                f"libvirt at {self.uri} did not {doing} within {self._deadline_s:g} s",
                hint="see whether its daemon hangs, and why: virsh list",
            ) from None
        except (OverflowError, ValueError) as error:  # a name that is no text has no domain either
            raise LibvirtError(f"libvirt could not {doing}: {error}") from error
        except self._libvirt.libvirtError as error:
            raise self._explain(error, doing, name) from error

    def _run(self, function: Callable[..., Any], *arguments: object) -> Any:  # noqa: ANN401
        box: SimpleQueue[tuple[Any, BaseException | None]] = SimpleQueue()

        def work() -> None:
            try:
                box.put((function(*arguments), None))
            except BaseException as error:  # noqa: BLE001 - it is raised by the caller
                box.put((None, error))

        Thread(target=work, name="libvirt", daemon=True).start()
        result, error = box.get(timeout=self._deadline_s)
        if error is not None:
            raise error
        return result

    def _explain(self, error: Any, doing: str, name: str) -> VmioError:  # noqa: ANN401
        libvirt = self._libvirt
        code = error.get_error_code()
        said = " ".join(str(error.get_error_message() or error).split())
        if code == libvirt.VIR_ERR_NO_DOMAIN and name:
            return InputError(
                f"{self.uri} has no domain '{name}'", hint="virsh list --all shows all domains"
            )
        if code in {
            libvirt.VIR_ERR_ACCESS_DENIED,
            libvirt.VIR_ERR_AUTH_CANCELLED,
            libvirt.VIR_ERR_AUTH_FAILED,
            libvirt.VIR_ERR_AUTH_UNAVAILABLE,
        } or said.endswith("Permission denied"):
            return CapabilityError(
                f"{self.uri} does not let this account {doing}: {said}", hint=_RIGHTS_HINT
            )
        if code == libvirt.VIR_ERR_OPERATION_DENIED:
            return CapabilityError(
                f"cannot {doing}: the connection to {self.uri} may only read ({said})"
            )
        if doing == _CONNECT and any(text in said for text in _SSH_REFUSES):
            return CapabilityError(
                f"{self.uri} does not let this account {doing}: {said}", hint=_SSH_HINT
            )
        if said.startswith("Failed to connect") or doing == _CONNECT:
            return LibvirtError(
                f"no libvirt daemon answers at {self.uri}: {said}",
                hint="start it, or name another one, as in libvirt:qemu:///session/NAME",
            )
        if any(text in said for text in _LOST):
            self._is_lost = True
            return LibvirtError(f"libvirt at {self.uri} went away: vmio could not {doing}")
        if doing == _DEFINE and code not in {
            libvirt.VIR_ERR_INTERNAL_ERROR,
            libvirt.VIR_ERR_RPC,
            libvirt.VIR_ERR_SYSTEM_ERROR,
        }:
            return InputError(f"libvirt at {self.uri} refuses the domain: {said}")
        return LibvirtError(f"libvirt at {self.uri} could not {doing}: {said}")

    def read_copies(self, name: str) -> tuple[tuple[str, bytes], ...]:
        """Returns the XML of a domain's managed save, and of its snapshots with their names.

        The managed save has an empty name. One that the daemon cannot read is left out.

        Args:
            name: The domain.

        Raises:
            InputError: There is no such domain.
            LibvirtError: The daemon does not answer.
        """
        domain, libvirt = self._find(name), self._libvirt

        def read() -> list[tuple[str, str]]:
            found = []
            with suppress(libvirt.libvirtError):
                if domain.hasManagedSaveImage():
                    found.append(("", domain.managedSaveGetXMLDesc(0)))
            snapshots = []
            with suppress(libvirt.libvirtError):
                snapshots = sorted((each.getName(), each) for each in domain.listAllSnapshots())
            for label, snapshot in snapshots[:_MOST_SNAPSHOTS]:
                with suppress(libvirt.libvirtError):
                    found.append((label, snapshot.getXMLDesc(0)))
            return found

        return tuple(
            (label, text.encode("utf-8", "surrogateescape"))
            for label, text in self._call(f"read the copies of '{name}'", read, name=name)
        )

    def ask_monitor(self, name: str, command: str) -> bytes:
        """Returns QEMU's answer to a command on a running domain's monitor, which it taints.

        Args:
            name: The domain.
            command: The command, in JSON.

        Raises:
            InputError: There is no such domain.
            CapabilityError: This account may not ask it, or the connection may only read.
            LibvirtError: The domain does not run, or the daemon does not answer.
        """
        ask = import_module("libvirt_qemu").qemuMonitorCommand
        doing = f"ask the monitor of '{name}'"
        reply: str = self._call(doing, ask, self._find(name), command, 0)
        return reply.encode("utf-8", "surrogateescape")


@contextmanager
def open_connection(
    uri: str, *, writes: bool = False, deadline_s: float = DEADLINE_S
) -> Iterator[Connection]:
    """Connects to a daemon, and disconnects at the end.

    Raises:
        MissingExtraError: libvirt-python is not installed.
        CapabilityError: The daemon refuses this account.
        LibvirtError: No daemon answers there.
    """
    connection = Connection(uri, writes=writes, deadline_s=deadline_s)
    try:
        yield connection
    finally:
        connection.close()


_SHARED: dict[tuple[int, str], Connection] = {}


def share_connection(uri: str) -> Connection:
    """Returns this process's connection for reading from a daemon; it stays open.

    To connect takes ten times as long as to read a domain. A child of this process has one of its
    own, since two processes cannot speak on one.

    Raises:
        MissingExtraError: libvirt-python is not installed.
        CapabilityError: The daemon refuses this account.
        LibvirtError: No daemon answers there.
    """
    key = os.getpid(), uri
    connection = _SHARED.get(key)
    if connection is None or not connection.is_usable():
        if not _SHARED:
            # Later libvirt-python is half gone, and says so on standard error.
            atexit.register(_close_shared)
        connection = _SHARED[key] = Connection(uri)
    return connection


def _close_shared() -> None:
    for (pid, _), connection in _SHARED.items():
        if pid == os.getpid():
            connection.close()


def is_installed() -> bool:
    """Returns whether libvirt-python is installed; it is not imported."""
    return find_spec("libvirt") is not None


def is_local(uri: str) -> bool:
    """Returns whether a daemon's guests run on this host, by its name: not by ssh, nor by TLS."""
    scheme, _, rest = uri.partition(":")
    _, _, transport = scheme.partition("+")
    host = rest.startswith("//") and not rest.startswith("///")
    return transport not in _NOT_LOCAL and not host


def _import_libvirt() -> Any:  # noqa: ANN401 - it has no types
    try:
        libvirt = import_module("libvirt")
    except ImportError as error:
        raise MissingExtraError(
            "libvirt's domains require libvirt-python, which is not installed",
            hint="pip install 'vmio[libvirt]', or on Debian, for its own Python, apt install"
            " python3-libvirt; saved XML files need neither",
        ) from error
    # Else it writes each error to standard error, besides raising it.
    libvirt.registerErrorHandler(_ignore, None)
    return libvirt


def _ignore(_context: object, _error: object) -> None:
    """Takes an error that is raised as an exception too."""


def _ask_nobody(uri: str) -> str:
    """Returns a URI with which ssh fails instead of asking for a password on the terminal."""
    scheme, _, rest = uri.partition(":")
    if not scheme.endswith("ssh") or "no_tty=" in rest:
        return uri
    return f"{uri}{'&' if '?' in rest else '?'}no_tty=1"


def _spell(number: int) -> str:
    """Returns a version that libvirt writes as one number: 11003000."""
    return f"{number // 1_000_000}.{number // 1_000 % 1_000}.{number % 1_000}"
