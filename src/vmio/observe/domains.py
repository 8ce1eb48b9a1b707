"""Disks and IOThreads of running domains, by libvirt, where libvirt alone has their monitor.

A daemon is asked in one call after the other, each with a deadline. Its statistics of disks keep
a QEMU's main loop busy for about a millisecond for each disk, so it is left alone between two
rounds over all domains for four times as long as a round takes.

Source: libvirt 11.3.0 with QEMU 10.0.2, run; the names of histograms as of libvirt 12.1.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Final, TypeVar

from vmio.errors import InputError, LibvirtError, VmioError
from vmio.managers.discovery import RunningGuest
from vmio.managers.libvirt.connection import Connection
from vmio.managers.libvirt.running import lay_out_text
from vmio.model.iothread import IOThread
from vmio.model.topology import AttachedDisk, Topology
from vmio.observe.disks import parse_group, parse_histogram
from vmio.observe.monitor import Told
from vmio.observe.sample import DiskSample, Histogram, Operations
from vmio.qemu.brief import HeldMonitorError
from vmio.qemu.replies import PERIPHERAL, as_integer, check_count

__all__ = ["DomainDaemon", "DomainReader"]

T = TypeVar("T")

_CALL_S: Final = 2.0
_CONNECT_S: Final = 10.0
"""A daemon's first connection asks its QEMUs what they can do: 3.5 to 6.5 s."""
_RETRY_S: Final = 5.0
"""Before a daemon that did not answer is connected to again."""
_REST: Final = 4
"""How many times as long as a round over all domains their daemon is left alone."""
_SLOW_S: Final = 10.0
"""How old the XML may be: disks are plugged and limits are set seldom."""
_FIELDS: Final = (("count", "reqs"), ("transferred_bytes", "bytes"), ("time_ns", "times"))
_MAX_BINS: Final = 4096
_PARAMETERS: Final = ("poll_max_ns", "poll_grow", "poll_shrink", "poll_weight")


class DomainDaemon:
    """A libvirt daemon that is asked for figures of its domains.

    Args:
        uri: libvirt's name of the daemon.
    """

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self.libvirt_version = ""
        """Empty until it is connected."""
        self._costs_s: dict[str, float] = {}
        self._connection: Connection | None = None
        self._error = LibvirtError(f"{uri} was not asked yet")
        self._retry_s = 0.0
        # One thread, so that there is one call at a time, even where nobody waits for it any more.
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="vmio-libvirt")

    @property
    def rest_s(self) -> float:
        """How long a domain is left alone after an answer, in seconds."""
        return _REST * sum(self._costs_s.values())

    async def ask(self, uuid: str, question: Callable[[Connection], T]) -> T:
        """Returns the answer to a question about a domain.

        Args:
            uuid: The domain.
            question: Asks the daemon, in a thread of its own.

        Raises:
            VmioError: The daemon does not answer, or has no such domain.
        """
        return await asyncio.get_running_loop().run_in_executor(
            self._worker, self._ask, uuid, question
        )

    def forget(self, uuid: str) -> None:
        """Leaves a domain that has gone out of account."""
        self._costs_s.pop(uuid, None)

    def close(self) -> None:
        """Disconnects once the last call has returned; does not wait for it."""
        self._worker.submit(self._disconnect)
        self._worker.shutdown(wait=False)

    def _ask(self, uuid: str, question: Callable[[Connection], T]) -> T:
        connection = self._connect()
        began_s = time.monotonic()
        answer = question(connection)
        self._costs_s[uuid] = time.monotonic() - began_s
        return answer

    def _connect(self) -> Connection:
        if self._connection is not None and not self._connection.is_lost:
            return self._connection
        if time.monotonic() < self._retry_s:
            raise self._error
        self._connection = None
        self._retry_s = time.monotonic() + _RETRY_S
        try:
            connection = Connection(self.uri, deadline_s=_CALL_S, connect_s=_CONNECT_S)
            self.libvirt_version = connection.read_libvirt_version()
        except VmioError as error:
            self._error = LibvirtError(error.message, hint=error.hint)
            raise
        self._connection = connection
        return connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()


class DomainReader:
    """Reads one running domain again and again.

    Args:
        daemon: The daemon that has its monitor.
        guest: The domain.
    """

    is_shared = True

    def __init__(self, daemon: DomainDaemon, guest: RunningGuest) -> None:
        self._daemon = daemon
        self._uuid, self._number = guest.uuid, int(guest.id)
        loops = guest.layout.iothreads if guest.layout is not None else ()
        self._asks_threads = all(each.id.removeprefix("iothread").isdecimal() for each in loops)
        self._texts: tuple[bytes, bytes] | None = None
        self._slow_s = 0.0
        self._disks: Mapping[str, AttachedDisk] = {}
        """By their targets, which libvirt's statistics call them by."""
        self._told: Told | None = None
        self._told_s = 0.0
        self.layout: Topology | None = None
        """As it runs, with the disks that were plugged; None until it was read."""
        self.configured: Topology | None = None
        """As it starts next; None if that is not kept, or not read."""

    async def read(self) -> Told:
        """Returns what the daemon says now, or what it said last where it is to be left alone.

        Raises:
            HeldMonitorError: libvirt is busy with the domain.
            VmioError: The daemon does not answer, or does not run this domain.
        """
        if self._told is None or time.monotonic() - self._told_s >= self._daemon.rest_s:
            values = await self._daemon.ask(self._uuid, self._ask_statistics)
            self._told_s, monotonic_ns = time.monotonic(), time.monotonic_ns()
            blocks = _group(values, "block", self._daemon.uri)
            if "iothread.count" not in values and not _has_counters(blocks):
                raise HeldMonitorError("libvirt is busy with the domain")
            targets = {str(each.get("name")) for each in blocks.values()}
            if (
                self._texts is None
                or self._told_s - self._slow_s >= _SLOW_S
                or (targets - self._disks.keys())
            ):
                await self._read_texts()
            self._told = Told(
                monotonic_ns=monotonic_ns,
                iothreads=_parse_threads(values, self._daemon.uri),
                disks=tuple(self._list_disks(blocks)),
            )
        return self._told

    def ask_for_queues(self, *, wanted: bool) -> None:
        """Does nothing: libvirt tells of no queue."""

    def is_of(self, pid: int) -> bool:  # noqa: ARG002 - the daemon knows the domain by other marks
        """Returns that it is: each answer is of this run of the domain."""
        return True

    def forget(self) -> None:
        """Leaves the domain out of its daemon's account."""
        self._daemon.forget(self._uuid)

    def _ask_statistics(self, connection: Connection) -> Mapping[str, object]:
        return connection.read_statistics(self._uuid, self._number, threads=self._asks_threads)

    async def _read_texts(self) -> None:
        """Reads the layouts anew, if their texts have changed."""
        self._slow_s = time.monotonic()
        texts = await self._daemon.ask(
            self._uuid, lambda connection: connection.read_running(self._uuid, self._number)
        )
        if texts == self._texts:
            return
        running, stored = texts
        layout = self._lay_out(running)
        self._disks = {each.disk.id: each for each in layout.disks}
        self.layout = layout.name_as_qemu()
        self.configured = None
        if stored:
            with suppress(InputError):  # `vmio check` is what tells
                self.configured = self._lay_out(stored).name_as_qemu()
        self._texts = texts

    def _lay_out(self, text: bytes) -> Topology:
        return lay_out_text(text, self._uuid, libvirt_version=self._daemon.libvirt_version)

    def _list_disks(self, blocks: Mapping[int, Mapping[str, object]]) -> Iterator[DiskSample]:
        for block in blocks.values():
            found = self._disks.get(str(block.get("name")))
            if found is not None:
                name = found.device_id
                yield DiskSample(
                    id=name,
                    qdev=f"{PERIPHERAL}{name}",
                    limits=parse_group(dict(found.disk.limits), found.disk.throttle_group),
                    reads=_parse_operations(block, "rd", "read"),
                    writes=_parse_operations(block, "wr", "write"),
                    flushes=_parse_operations(block, "fl", "flush"),
                )


def _parse_threads(values: Mapping[str, object], daemon: str) -> tuple[IOThread, ...]:
    """Returns the IOThreads in libvirt's statistics of a domain, in the order of their numbers."""
    found = []
    for number, values_of_one in sorted(_group(values, "iothread", daemon).items()):
        parameters: dict[str, Any] = {
            name: as_integer(values_of_one.get(name.replace("_", "-"))) for name in _PARAMETERS
        }
        found.append(IOThread(id=f"iothread{number}", **parameters))
    return tuple(found)


def _group(
    values: Mapping[str, object], kind: str, daemon: str
) -> Mapping[int, Mapping[str, object]]:
    """Returns what is said of each of a kind, by its number: `block.3.rd.reqs` of 3."""
    found: dict[int, dict[str, object]] = {}
    for key, value in values.items():
        match key.split(".", 2):
            case [first, number, name] if first == kind and number.isdecimal():
                found.setdefault(int(number), {})[name] = value
    check_count(tuple(found), daemon, f"{kind}s")
    return found


def _has_counters(blocks: Mapping[int, Mapping[str, object]]) -> bool:
    return not blocks or any("rd.reqs" in each for each in blocks.values())


def _parse_operations(block: Mapping[str, object], counter: str, histogram: str) -> Operations:
    return Operations(
        **{name: as_integer(block.get(f"{counter}.{key}")) for name, key in _FIELDS},
        histogram=_parse_histogram(block, f"latency_histogram.{histogram}.bin"),
    )


def _parse_histogram(block: Mapping[str, object], prefix: str) -> Histogram | None:
    """Returns a histogram that somebody has libvirt keep; None without one."""
    count = as_integer(block.get(f"{prefix}.count"))
    if count is None or not 1 < count <= _MAX_BINS:
        return None
    starts, bins = (
        [block.get(f"{prefix}.{number}.{name}") for number in range(count)]
        for name in ("start", "value")
    )
    return parse_histogram({"boundaries": starts[1:], "bins": bins})
