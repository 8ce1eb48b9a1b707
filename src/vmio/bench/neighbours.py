"""What else keeps QEMU's main loop busy on real hosts, while a disk is measured.

Managers ask for the state of their guests, disks are copied while guests run, consoles are drawn,
and user-mode networks are QEMU's own work. All of it runs in the main loop, and there it delays
the disks that have no IOThread.

Source: QEMU 10.0: block jobs on nodes without a device run in the main loop's AioContext;
docs/interop/qmp-spec.rst; net/slirp.c; docs/guide/bench.md says what was run.
"""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Final, Literal, get_args

from msgspec import Struct

from vmio.bench.jobs import parse_number
from vmio.errors import OutputError, QmpError, ToolError, UsageError
from vmio.qemu.qmp import CommandRefusedError, QmpConnection
from vmio.units import MIB
from vmio.values import check_between

__all__ = [
    "NEIGHBOURS",
    "Neighbour",
    "NeighbourKind",
    "RunningNeighbour",
    "name_unit",
    "neighbour_argv",
    "open_neighbour",
    "parse_neighbour",
]

NeighbourKind = Literal["monitor", "backup", "mirror", "screen", "network"]

NEIGHBOURS: Final[Mapping[NeighbourKind, str]] = {
    "monitor": "status queries, as Proxmox VE asks for each look at a guest",
    "backup": "a backup of another disk, again and again",
    "mirror": "a disk that is moved to another storage, again and again",
    "screen": "pictures of the screen",
    "network": "packets of a user-mode network",
}
"""What each kind does."""

PROXMOX_QUERIES: Final = (
    *("query-blockstats", "query-machines", "query-version", "query-balloon", "query-status"),
)
"""Of one look at a guest. `query-balloon` is refused where there is no balloon, as there.

Source: qemu-server 9.2, PVE/QemuServer.pm: vmstatus.
"""
_UNITS: Final[Mapping[NeighbourKind, str]] = {
    "monitor": "looks",
    "backup": "MiB",
    "mirror": "MiB",
    "screen": "pictures",
    "network": "packets",
}
_SOURCE_BYTES: Final = 64 * MIB
_CHUNK_BYTES: Final = MIB
_SPEED: Final = 256 * MIB
"""Bytes a second: a fast target's. A copy without a limit, of a file in the host's memory, takes
all of a processor, which no backup does."""
_JOB: Final = "vmio-neighbour"
_SOURCE: Final = "vmio-neighbour-source"
_TARGET: Final = "vmio-neighbour-target"
_JOB_LOOK_S: Final = 0.02
_JOB_END_S: Final = 10.0
_FIRST_REPLY_S: Final = 5.0
_END_S: Final = 15.0
_MAX_RATE: Final = 10_000.0


class Neighbour(Struct, frozen=True, kw_only=True):
    """What keeps the main loop busy."""

    kind: NeighbourKind
    rate_per_s: float | None = None
    """Looks, pictures or packets a second; None for one after the other. A copy has no rate."""

    def __post_init__(self) -> None:
        check_between("rate_per_s", self.rate_per_s, 0.1, _MAX_RATE)
        if self.rate_per_s is not None and self.kind in ("backup", "mirror"):
            raise ValueError(f"{self.kind} has no rate")

    @property
    def name(self) -> str:
        """What `parse_neighbour` reads."""
        return self.kind if self.rate_per_s is None else f"{self.kind}={self.rate_per_s:g}"


def parse_neighbour(text: str) -> Neighbour:
    """Parses a neighbour such as `monitor` or, with a rate a second, `monitor=10`.

    Raises:
        UsageError: It is none.
    """
    name, equals, rate = text.partition("=")
    kind: NeighbourKind
    for kind in get_args(NeighbourKind):
        if name == kind:
            try:
                rate_per_s = parse_number("rate", rate) if equals else None
                return Neighbour(kind=kind, rate_per_s=rate_per_s)
            except ValueError as error:
                raise UsageError(
                    f"--neighbour {text[:40]}: {error}", hint=f"write it as {kind} or monitor=10"
                ) from error
    raise UsageError(
        f"--neighbour {text[:40]}: there is no such neighbour",
        hint=f"it is one of {', '.join(get_args(NeighbourKind))}",
    )


def name_unit(kind: NeighbourKind) -> str:
    """Returns what a neighbour's work is counted in."""
    return _UNITS[kind]


def neighbour_argv(neighbour: Neighbour, folder: Path) -> tuple[str, ...]:
    """Returns the options that a guest needs for its neighbour, after all devices with addresses.

    Args:
        neighbour: The neighbour.
        folder: Where its socket is.
    """
    match neighbour.kind:
        case "screen":
            return ("-device", "VGA,id=vmio-neighbour-vga")
        case "network":
            wire = f"id=vmio-wire,server=on,addr.type=unix,addr.path={folder / 'wire'}"
            return (
                *("-netdev", "user,id=vmio-user,restrict=on"),
                *("-netdev", f"stream,{wire}"),
                *("-netdev", "hubport,id=vmio-hub0,hubid=0,netdev=vmio-user"),
                *("-netdev", "hubport,id=vmio-hub1,hubid=0,netdev=vmio-wire"),
            )
        case _:
            return ()


class RunningNeighbour:
    """A neighbour of one guest; `open_neighbour` makes it."""

    def __init__(self, neighbour: Neighbour, work: _Work) -> None:
        self.neighbour = neighbour
        self._work = work

    @asynccontextmanager
    async def busy(self) -> AsyncIterator[Turn]:
        """Keeps the main loop busy while the body runs; what was begun has ended afterwards.

        Yields:
            What is done meanwhile; `per_s` is right after the body.

        Raises:
            ToolError: It did nothing.
            QmpError: QEMU does not answer, or refuses.
        """
        turn = Turn(self.neighbour.rate_per_s)
        task = asyncio.create_task(self._work(turn))
        try:
            yield turn
            turn.end()
            async with asyncio.timeout(_END_S):
                await task
        except TimeoutError as error:
            raise QmpError(f"the neighbour '{self.neighbour.kind}' does not end") from error
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError, Exception):  # told already, or of less weight
                await task
        if not turn.done:
            raise ToolError(f"the neighbour '{self.neighbour.kind}' did nothing beside a run")


_Work = Callable[["Turn"], Coroutine[None, None, None]]


class Turn:
    """One time for which a neighbour keeps a main loop busy."""

    def __init__(self, rate_per_s: float | None) -> None:
        self.done = 0.0
        """In the unit of its kind."""
        self.rate_per_s = rate_per_s
        self._ended = asyncio.Event()
        self._began_s = self._next_s = time.monotonic()
        self._ended_s: float | None = None

    @property
    def per_s(self) -> float:
        """How much it did a second."""
        return self.done / max(1e-6, (self._ended_s or time.monotonic()) - self._began_s)

    @property
    def goes_on(self) -> bool:
        """Whether it is not over."""
        return not self._ended.is_set()

    def end(self) -> None:
        """Ends it."""
        self._ended_s = time.monotonic()
        self._ended.set()

    async def wait(self) -> None:
        """Waits until the next piece of work is due at its rate, or it is over."""
        if self.rate_per_s is None:
            await asyncio.sleep(0)
            return
        self._next_s = max(self._next_s + 1 / self.rate_per_s, time.monotonic())
        await self.pause(self._next_s - time.monotonic())

    async def pause(self, time_s: float) -> None:
        """Waits for some time, or until it is over."""
        with suppress(TimeoutError):
            async with asyncio.timeout(time_s):
                await self._ended.wait()


@asynccontextmanager
async def open_neighbour(
    neighbour: Neighbour, qmp: QmpConnection, folder: Path, scratch: Path
) -> AsyncIterator[RunningNeighbour]:
    """Prepares a guest's neighbour; what it makes in the guest's QEMU is gone afterwards.

    Args:
        neighbour: The neighbour.
        qmp: The guest's monitor.
        folder: The folder of `neighbour_argv`; pictures are written there too.
        scratch: A folder for the disk that is copied. Both are removed by whoever made them.

    Raises:
        OutputError: The disk cannot be created.
        QmpError: This QEMU cannot do it.
    """
    async with AsyncExitStack() as stack:
        match neighbour.kind:
            case "monitor":
                work = _ask_again(qmp)
            case "backup" | "mirror":
                await stack.enter_async_context(_open_copied_disk(qmp, scratch))
                work = _copy_again(qmp, neighbour.kind)
            case "screen":
                work = _take_pictures(qmp, folder / "screen.ppm")
            case "network":
                station = await stack.enter_async_context(_join_network(folder / "wire"))
                work = station.exchange_packets
        yield RunningNeighbour(neighbour, work)


def _ask_again(qmp: QmpConnection) -> _Work:
    async def work(turn: Turn) -> None:
        while turn.goes_on:
            for command in PROXMOX_QUERIES:
                with suppress(CommandRefusedError):
                    await qmp.execute(command)
            turn.done += 1
            await turn.wait()

    return work


def _take_pictures(qmp: QmpConnection, path: Path) -> _Work:
    async def work(turn: Turn) -> None:
        while turn.goes_on:
            await qmp.execute("screendump", {"filename": str(path)})
            turn.done += 1
            await turn.wait()

    return work


# Copies of disks -----------------------------------------------------------------------------


@asynccontextmanager
async def _open_copied_disk(qmp: QmpConnection, scratch: Path) -> AsyncIterator[None]:
    """Adds a disk that no device has, and a target that takes no storage; and removes both.

    A real copy goes to another storage, whose speed is not to be measured. The disk has io_uring
    as by default on Proxmox VE: with threads, these and not the main loop would do the work.
    """
    path = scratch / f"{_SOURCE}.raw"
    await asyncio.to_thread(_fill, path)
    source = {"driver": "file", "node-name": _SOURCE, "filename": str(path)}
    try:
        await qmp.execute("blockdev-add", {**source, "aio": "io_uring"})
    except CommandRefusedError:  # this QEMU or this host has none
        await qmp.execute("blockdev-add", source)
    target = {"driver": "null-co", "node-name": _TARGET, "size": _SOURCE_BYTES}
    await qmp.execute("blockdev-add", target)
    try:
        yield
    finally:
        with suppress(QmpError):  # it may have ended, and takes them with it
            for name in (_SOURCE, _TARGET):
                await qmp.execute("blockdev-del", {"node-name": name})


def _fill(path: Path) -> None:
    """Creates a file with data: a copy skips holes."""
    chunk = bytes(range(1, 256)) * (_CHUNK_BYTES // 255) + bytes(_CHUNK_BYTES % 255)
    try:
        with path.open("xb") as file:
            for _ in range(0, _SOURCE_BYTES, _CHUNK_BYTES):
                file.write(chunk)
    except OSError as error:
        raise OutputError(f"cannot make the scratch file {path}: {error.strerror}") from error


def _copy_again(qmp: QmpConnection, kind: Literal["backup", "mirror"]) -> _Work:
    async def work(turn: Turn) -> None:
        arguments = {
            "job-id": _JOB,
            "device": _SOURCE,
            "target": _TARGET,
            "sync": "full",
            "speed": _SPEED,
        }
        while turn.goes_on:
            before = turn.done
            await qmp.execute(f"blockdev-{kind}", arguments)
            try:
                while (job := await _find_job(qmp)) is not None:
                    if job[0]:  # a mirror that is ready: all is copied
                        break
                    turn.done = max(turn.done, before + job[1] / MIB)
                    if not turn.goes_on:
                        return
                    await turn.pause(_JOB_LOOK_S)
                turn.done = before + _SOURCE_BYTES / MIB
            finally:
                await _end_job(qmp)

    return work


async def _find_job(qmp: QmpConnection) -> tuple[bool, int] | None:
    """Returns whether a copy is ready, and how many bytes it has copied; None without a copy."""
    jobs = await qmp.execute("query-block-jobs")
    for job in jobs if isinstance(jobs, list) else ():
        match job:
            case {"device": "vmio-neighbour", "offset": int(offset), "ready": bool(ready)}:
                return ready, offset
            case _:
                pass
    return None


async def _end_job(qmp: QmpConnection) -> None:
    """Cancels a copy, and waits until it has gone."""
    until_s = time.monotonic() + _JOB_END_S
    while await _find_job(qmp) is not None:
        with suppress(QmpError):  # it has just ended
            await qmp.execute("block-job-cancel", {"device": _JOB, "force": True})
        if time.monotonic() > until_s:
            raise QmpError(f"{qmp.name}: a copied disk's job does not end")
        await asyncio.sleep(_JOB_LOOK_S)


# User-mode network ---------------------------------------------------------------------------

_MAC: Final = bytes.fromhex("525400123456")
_GATEWAY_MAC: Final = bytes.fromhex("52550a000202")
_ADDRESS: Final = bytes((10, 0, 2, 15))
_GATEWAY: Final = bytes((10, 0, 2, 2))
_IPV4: Final = b"\x08\x00"
_ARP: Final = b"\x08\x06"
_IN_FLIGHT: Final = 16
_PAYLOAD_BYTES: Final = 1400
_MAX_FRAME_BYTES: Final = 1 << 16


class _Station:
    """A station in a guest's user-mode network, whose gateway QEMU plays: it answers pings."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._frame = make_ping()

    async def introduce(self) -> None:
        """Tells the gateway this station's address, which it answers."""
        self._send(make_arp_request())
        while (await self._receive())[12:14] != _ARP:
            pass

    async def exchange_packets(self, turn: Turn) -> None:
        """Sends pings, of which some are always under way, and counts the answers."""
        in_flight = 0
        while turn.goes_on:
            limit = _IN_FLIGHT if turn.rate_per_s is None else 1
            while in_flight < limit:
                self._send(self._frame)
                in_flight += 1
            if (await self._receive())[12:14] == _IPV4:
                in_flight -= 1
                turn.done += 1
                await turn.wait()
        while in_flight:
            in_flight -= (await self._receive())[12:14] == _IPV4

    def _send(self, frame: bytes) -> None:
        self._writer.write(struct.pack(">I", len(frame)) + frame)

    async def _receive(self) -> bytes:
        (length,) = struct.unpack(">I", await self._reader.readexactly(4))
        check_between("the length of a frame", length, 14, _MAX_FRAME_BYTES)
        return await self._reader.readexactly(length)


@asynccontextmanager
async def _join_network(path: Path) -> AsyncIterator[_Station]:
    reader, writer = await asyncio.open_unix_connection(path)
    try:
        station = _Station(reader, writer)
        async with asyncio.timeout(_FIRST_REPLY_S):
            await station.introduce()
        yield station
    except TimeoutError as error:
        raise ToolError("QEMU's user-mode network does not answer") from error
    except (EOFError, OSError, ValueError) as error:
        raise ToolError(f"QEMU's user-mode network broke off: {error}") from error
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


def make_arp_request() -> bytes:
    """Returns the frame that asks for the gateway's address, and tells our own."""
    request = struct.pack(">HHBBH", 1, 0x0800, 6, 4, 1)
    body = request + _MAC + _ADDRESS + bytes(6) + _GATEWAY
    return b"\xff" * 6 + _MAC + _ARP + body


def make_ping() -> bytes:
    """Returns a frame with an ICMP echo request to the gateway."""
    payload = bytes(_PAYLOAD_BYTES)
    echo = struct.pack(">BBHHH", 8, 0, 0, 1, 1) + payload
    echo = echo[:2] + struct.pack(">H", find_checksum(echo)) + echo[4:]
    length = 20 + len(echo)
    header = struct.pack(">BBHHHBBH", 0x45, 0, length, 1, 0, 64, 1, 0) + _ADDRESS + _GATEWAY
    header = header[:10] + struct.pack(">H", find_checksum(header)) + header[12:]
    return _GATEWAY_MAC + _MAC + _IPV4 + header + echo


def find_checksum(data: bytes) -> int:
    """Returns the checksum of the Internet protocols (RFC 1071) of an even number of bytes."""
    total: int = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
