"""A client of qemu-guest-agent, for the benchmark guest and for a user's own VM alike.

It is reached over its port's socket, or by whoever holds that (`AgentChannel`). It speaks one JSON
object a line and answers in order. Its output comes from inside a guest, so it is limited in size
and time, and nothing in it is trusted.

The transport of qemu.qmp is not used here: it closes the connection at the first line that is not
a message, and an agent's stream begins with the leftovers of earlier clients.

Source: QEMU 10.0, qga/qapi-schema.json and docs/interop/qemu-ga.rst.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import json
import re
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar

from msgspec import Struct

from vmio.bounds import load_json
from vmio.errors import GuestError, UsageError
from vmio.formats.shell import join_words

__all__ = [
    "PORT_NAME",
    "Agent",
    "AgentChannel",
    "AgentInfo",
    "BlockDevice",
    "Completed",
    "SocketChannel",
    "agent_argv",
]

PORT_NAME = "org.qemu.guest_agent.0"
MAX_REPLY_BYTES = 64 << 20
"""The agent keeps 16 MiB of each stream, which are 22 MiB each in base64.

asyncio buffers up to twice as much before it stops reading.
"""
MAX_INPUT_BYTES = 16 << 20
MAX_SOCKET_PATH_BYTES = 107

_SENTINEL = b"\xff"
_COMMAND_TIMEOUT_S = 30.0
_RESYNC_FIRST_S = 1.0
_POLL_FIRST_S = 0.02
_POLL_LAST_S = 0.5
_KILL_TIMEOUT_S = 5.0
_KILL_GRACE_S = 1.0

# One step on a disk's path through the PCI tree: /0000:00:05.0/ gives 05.0.
_PCI_STEP = re.compile(r"/[0-9a-f]{4,6}:[0-9a-f]{2}:([0-9a-f]{2}\.[0-7])(?=/)")

_T = TypeVar("_T")


class AgentInfo(Struct, frozen=True, kw_only=True):
    """An agent's report about itself.

    Args:
        version: The agent's version.
        commands: The commands that are enabled in it.
    """

    version: str
    commands: frozenset[str]


class Completed(Struct, frozen=True, kw_only=True):
    """A program that has ended in the guest.

    Args:
        argv: The command.
        status: Its exit status; negative for a signal, as in the subprocess module.
        stdout: Its standard output, as much as the agent keeps (16 MiB).
        stderr: Its standard error, likewise.
        truncated: Whether the agent discarded a part of either.
    """

    argv: tuple[str, ...]
    status: int
    stdout: bytes
    stderr: bytes
    truncated: bool


class BlockDevice(Struct, frozen=True, kw_only=True):
    """A disk as the guest's kernel sees it.

    Args:
        name: Its name under /dev, such as "sda".
        size_bytes: Its size.
        pci_path: Slot and function of each bridge on the way and of the controller: ("05.0",
            "01.0"). Bus numbers are left out: the firmware assigns them, and no plan knows them.
        scsi: Channel, target and unit on its controller; None for a disk that is not SCSI.
        ata: The number of its port, counted by the kernel from 1 over all controllers; else None.
        serial: Its serial number; empty when it has none.
        wwid: The kernel's name for it; QEMU puts the drive's id or the serial number into it.
        read_only: Whether the guest cannot write to it.
    """

    name: str
    size_bytes: int
    pci_path: tuple[str, ...]
    scsi: tuple[int, int, int] | None
    ata: int | None
    serial: str
    wwid: str
    read_only: bool

    @property
    def path(self) -> str:
        """Returns the device's path in the guest."""
        return f"/dev/{self.name}"


def agent_argv(
    socket: Path, *, name: str = "vmio-agent", bus: str = "pci.0", addr: str | None = None
) -> tuple[str, ...]:
    """Returns the options for a guest agent's port behind a unix socket.

    Args:
        socket: The socket that QEMU listens on.
        name: The id of the chardev; the devices' ids begin with it.
        bus: The PCI bus of the port's controller.
        addr: Its PCI address on that bus. If None, QEMU takes the first free one, so these
            arguments must then come after every device that has an address of its own.

    Raises:
        UsageError: The socket's path is longer than the kernel allows.
    """
    _check_path(socket)
    where = f"bus={bus}" + (f",addr={addr}" if addr else "")
    path = str(socket).replace(",", ",,")
    return (
        *("-chardev", f"socket,id={name},path={path},server=on,wait=off"),
        *("-device", f"virtio-serial-pci,id={name}-bus,{where}"),
        *("-device", f"virtserialport,bus={name}-bus.0,chardev={name},name={PORT_NAME}"),
    )


# One line per disk, tab between the fields. The guest needs sh, cat, readlink, tail and tr.
_LIST_DISKS = r"""
for d in /sys/block/*; do
    [ -e "$d/device" ] || continue
    serial=$({ cat "$d/serial" || tail -c +5 "$d/device/vpd_pg80"; } 2>/dev/null | tr -d '\0\t\n')
    wwid=$({ cat "$d/wwid" || cat "$d/device/wwid"; } 2>/dev/null | tr -d '\0\t\n')
    printf '%s\t%s\t%s\t%s\t%s\t%s\n' "${d##*/}" "$(cat "$d/size")" "$(cat "$d/ro")" \
        "$(readlink -f "$d")" "$serial" "$wwid"
done
"""


class AgentChannel(Protocol):
    """What takes commands to an agent and brings its answers; one command at a time."""

    name: str
    """What errors call the agent."""

    async def ask(self, message: bytes, timeout_s: float) -> bytes:
        """Returns the line with which the agent answers a command.

        Raises:
            GuestError: It is not there, or refuses.
            TimeoutError: It does not answer in time.
        """

    async def tell(self, message: bytes) -> None:
        """Sends a command that is not answered.

        Raises:
            GuestError: The connection is lost already.
        """


class Agent:
    """A guest's agent, over a channel; `Agent.connect` makes one over its socket.

    Not for more than one event loop. Commands of several tasks are executed in turn.
    """

    def __init__(self, channel: AgentChannel) -> None:
        self._channel = channel
        self._name = channel.name
        self._turn = asyncio.Lock()

    @classmethod
    @contextlib.asynccontextmanager
    async def connect(cls, path: Path, timeout_s: float) -> AsyncIterator[Self]:
        """Connects to an agent's socket and waits until the agent answers.

        A booting guest answers when it is up, so the time limit is that of a boot.

        Args:
            path: The unix socket that QEMU listens on.
            timeout_s: How long to wait for the first answer.

        Raises:
            GuestError: Nobody listens, or no agent answers in time or as an agent does.
            UsageError: The path is longer than the kernel allows.
        """
        _check_path(path)
        try:
            reader, writer = await asyncio.open_unix_connection(path, limit=MAX_REPLY_BYTES)
        except OSError as error:
            raise GuestError(
                f"{path}: no guest agent's socket: {error.strerror or error}",
                hint="check that QEMU is running with a chardev that listens there",
            ) from error
        try:
            channel = SocketChannel(path, reader, writer)
            await channel.sync(timeout_s)
            yield cls(channel)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def ping(self, timeout_s: float = _COMMAND_TIMEOUT_S) -> None:
        """Returns when the agent has answered.

        Raises:
            GuestError: It does not answer.
        """
        await self._execute("guest-ping", timeout_s=timeout_s)

    async def info(self) -> AgentInfo:
        """Asks for the agent's version and the commands that are enabled.

        Raises:
            GuestError: The agent does not answer, or not as an agent does.
        """
        reply = self._expect(await self._execute("guest-info"), dict, "guest-info")
        commands = self._expect(reply.get("supported_commands"), list, "guest-info")
        return AgentInfo(
            version=str(reply.get("version", "")),
            commands=frozenset(
                str(command.get("name"))
                for command in commands
                if isinstance(command, dict) and command.get("enabled") is True
            ),
        )

    async def run(
        self,
        argv: tuple[str, ...],
        *,
        input: bytes = b"",  # noqa: A002 -- the word of subprocess.run
        timeout_s: float,
        first_poll_s: float = _POLL_FIRST_S,
        longest_pause_s: float = _POLL_LAST_S,
    ) -> Completed:
        """Runs a program in the guest and waits for its end; returns it with any exit status.

        The agent does not report the end of a program, so it is polled at increasing intervals. If
        the time is up or the caller is cancelled, the program is killed.

        Args:
            argv: The program, looked up in the guest's PATH, and its arguments.
            input: Its standard input.
            timeout_s: The time limit.
            first_poll_s: The time of the first poll; later for a program that is known to run for
                a while, so that polls do not disturb the measurement.
            longest_pause_s: The longest interval between polls.

        Raises:
            GuestError: The agent refuses, does not answer, or the time is up.
            UsageError: No program, or more input than the agent takes.
        """
        if not argv or len(input) > MAX_INPUT_BYTES:
            raise UsageError("the guest agent requires a program and at most 16 MiB of input")
        arguments: dict[str, Any] = {
            "path": argv[0],
            "arg": list(argv[1:]),
            "capture-output": True,
        }
        if input:
            arguments["input-data"] = base64.b64encode(input).decode("ascii")
        started = await self._execute("guest-exec", arguments)
        pid = self._expect(self._expect(started, dict, "guest-exec").get("pid"), int, "guest-exec")
        try:
            async with asyncio.timeout(timeout_s):
                return await self._wait(argv, pid, first_poll_s, longest_pause_s)
        except TimeoutError as error:
            await self._kill(pid)
            command = join_words(argv)
            raise GuestError(
                f"{self._name}: `{command[:120]}` did not end in the guest within {timeout_s:g} s",
                hint="the guest may be stopped or overloaded; allow more time",
            ) from error
        except asyncio.CancelledError:
            await self._kill(pid)
            raise

    async def shutdown(self) -> None:
        """Asks the guest to power off; the agent does not confirm, QEMU's end does.

        Raises:
            GuestError: The connection is lost already.
        """
        async with self._turn:
            await self._channel.tell(_encode("guest-shutdown", {"mode": "powerdown"}))

    async def disks(self) -> tuple[BlockDevice, ...]:
        """Lists the guest's disks that have a device behind them, sorted by name.

        Raises:
            GuestError: The agent does not answer, or the guest has no shell.
        """
        done = await self.run(("sh", "-c", _LIST_DISKS), timeout_s=_COMMAND_TIMEOUT_S)
        if done.status:
            words = done.stderr.decode(errors="replace").strip()[:200]
            raise GuestError(f"{self._name}: the guest cannot list its disks: {words}")
        return parse_disks(done.stdout)

    async def find_block_device(
        self,
        *,
        pci_path: tuple[str, ...] | None = None,
        scsi: tuple[int, int, int] | None = None,
        ata: int | None = None,
        serial: str | None = None,
        timeout_s: float = 10.0,
    ) -> BlockDevice:
        """Finds the one disk that matches all of the given criteria.

        Kernels probe disks in the background, so a disk may appear some moments after the agent:
        the search is repeated until the time is up.

        Args:
            pci_path: As in `BlockDevice`.
            scsi: As in `BlockDevice`.
            ata: As in `BlockDevice`.
            serial: Its serial number, of which a guest may see only the first 20 characters.
            timeout_s: The time limit of the search.

        Raises:
            GuestError: No disk matches, or more than one.
        """
        given = {"pci": pci_path, "scsi": scsi, "ata": ata, "serial": serial}
        marks = ", ".join(f"{word} {mark}" for word, mark in given.items() if mark is not None)
        deadline_s = asyncio.get_running_loop().time() + timeout_s
        pause_s = 0.1
        while True:
            disks = await self.disks()
            fits = [
                disk
                for disk in disks
                if (pci_path is None or disk.pci_path == pci_path)
                and (scsi is None or disk.scsi == scsi)
                and (ata is None or disk.ata == ata)
                and (serial is None or disk.serial == serial[:20] or disk.serial == serial)
            ]
            if len(fits) == 1:
                return fits[0]
            if len(fits) > 1:
                names = ", ".join(disk.path for disk in fits)
                raise GuestError(f"{self._name}: more than one disk fits {marks}: {names}")
            if asyncio.get_running_loop().time() > deadline_s:
                names = ", ".join(f"{disk.path} at {disk.pci_path} {disk.scsi}" for disk in disks)
                raise GuestError(
                    f"{self._name}: the guest sees no disk that fits {marks}",
                    hint=f"it sees {names or 'no disk'}; its kernel may lack the driver",
                )
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, 1.0)

    async def _wait(
        self,
        argv: tuple[str, ...],
        pid: int,
        first_poll_s: float = _POLL_FIRST_S,
        longest_pause_s: float = _POLL_LAST_S,
    ) -> Completed:
        pause_s = _POLL_FIRST_S
        await asyncio.sleep(first_poll_s)
        while True:
            reply = await self._execute("guest-exec-status", {"pid": pid})
            state = self._expect(reply, dict, "guest-exec-status")
            if state.get("exited") is True:
                break
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 1.5, longest_pause_s)
        signal = state.get("signal")
        status = -signal if isinstance(signal, int) else state.get("exitcode", 0)
        return Completed(
            argv=argv,
            status=self._expect(status, int, "guest-exec-status"),
            stdout=self._decode(state.get("out-data", "")),
            stderr=self._decode(state.get("err-data", "")),
            truncated=bool(state.get("out-truncated") or state.get("err-truncated")),
        )

    async def _kill(self, pid: int) -> None:
        """Ends a program in the guest as far as a guest allows: politely, then at once."""
        with contextlib.suppress(GuestError, TimeoutError):
            async with asyncio.timeout(_KILL_TIMEOUT_S):
                for word in ("-TERM", "-KILL"):
                    arguments = {"path": "kill", "arg": [word, str(pid)]}
                    await self._execute("guest-exec", arguments, timeout_s=_KILL_TIMEOUT_S)
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(_KILL_GRACE_S):
                            await self._wait(("kill",), pid)
                            return

    async def _execute(
        self,
        command: str,
        arguments: dict[str, Any] | None = None,
        *,
        timeout_s: float = _COMMAND_TIMEOUT_S,
    ) -> object:
        """Sends a command and returns its result."""
        async with self._turn:
            try:
                text = await self._channel.ask(_encode(command, arguments), timeout_s)
            except TimeoutError as error:
                raise GuestError(
                    f"{self._name}: the guest agent gave no answer to {command} "
                    f"within {timeout_s:g} s",
                    hint="the guest may be stopped or overloaded",
                ) from error
        reply = _parse(self._name, text)
        if "error" in reply:
            raise self._explain(command, reply["error"])
        if "return" not in reply:
            raise _junk(self._name, f"its answer to {command} has no `return`")
        return reply["return"]

    def _decode(self, data: object) -> bytes:
        try:
            return base64.b64decode(self._expect(data, str, "guest-exec-status"), validate=True)
        except (binascii.Error, ValueError) as error:
            raise _junk(self._name, "a program's output is not base64") from error

    def _expect(self, value: object, kind: type[_T], command: str) -> _T:
        return _expect(self._name, value, kind, command)

    def _explain(self, command: str, error: object) -> GuestError:
        words = str(error.get("desc", "")) if isinstance(error, dict) else ""
        text = " ".join(words.split())[:200]
        disabled = "disabled" in text or "has not been found" in text
        return GuestError(
            f"{self._name}: the guest agent refuses {command}: {text or 'it gives no reason'}",
            hint="the guest's owner must allow this command: see its qemu-ga's --block-rpcs and "
            "--allow-rpcs"
            if disabled
            else "",
        )


class SocketChannel:
    """An agent's port, which one client at a time may connect to."""

    def __init__(
        self, path: Path, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.name = str(path)
        self._reader = reader
        self._writer = writer
        self._synced = False

    async def ask(self, message: bytes, timeout_s: float) -> bytes:
        """Returns the line with which the agent answers a command.

        Raises:
            GuestError: The connection is lost, or the answer is too long.
            TimeoutError: It does not answer in time.
        """
        if not self._synced:
            await self.sync(timeout_s)
        self._synced = False  # until the whole reply is read, even after an interruption
        async with asyncio.timeout(timeout_s):
            await self.tell(message)
            line = await self._read_line()
        self._synced = True
        return line

    async def tell(self, message: bytes) -> None:
        """Sends a command.

        Raises:
            GuestError: The connection is lost already.
        """
        self._writer.write(message + b"\n")
        try:
            await self._writer.drain()
        except OSError as error:
            raise self._closed() from error

    async def sync(self, timeout_s: float) -> None:
        """Finds the point in the stream where the answers belong to our own commands.

        Earlier clients' commands may still be answered, and what is sent while the guest boots may
        be lost; so the command has a random id and is sent again, at increasing intervals.

        Raises:
            GuestError: No agent answers in time or as an agent does.
        """
        asked = asyncio.get_running_loop().time()
        pause_s = _RESYNC_FIRST_S
        while True:
            left_s = asked + timeout_s - asyncio.get_running_loop().time()
            if left_s <= 0:
                raise GuestError(
                    f"{self.name}: no guest agent answers within {timeout_s:g} s",
                    hint="check that the guest is up and runs qemu-guest-agent, and that no other "
                    "program is connected to this socket",
                )
            number = secrets.randbits(31)
            try:
                async with asyncio.timeout(min(pause_s, left_s)):
                    self._writer.write(_SENTINEL)
                    await self.tell(_encode("guest-sync-delimited", {"id": number}))
                    while True:
                        await self._skip_to_sentinel()
                        line = await self._read_line()
                        with contextlib.suppress(GuestError):
                            if _parse(self.name, line).get("return") == number:
                                self._synced = True
                                return
            except TimeoutError:
                pause_s *= 2

    async def _read_line(self) -> bytes:
        try:
            return await self._read_until(b"\n")
        except asyncio.LimitOverrunError as error:
            raise _junk(
                self.name, f"one answer is longer than {MAX_REPLY_BYTES >> 20} MiB"
            ) from error

    async def _skip_to_sentinel(self) -> None:
        """Discards everything before the next sentinel, however long."""
        while True:
            try:
                await self._read_until(_SENTINEL)
            except asyncio.LimitOverrunError as error:
                await self._reader.readexactly(error.consumed)
            else:
                return

    async def _read_until(self, end: bytes) -> bytes:
        try:
            return await self._reader.readuntil(end)
        except (OSError, EOFError) as error:
            raise self._closed() from error

    def _closed(self) -> GuestError:
        return GuestError(
            f"{self.name}: the connection to the guest agent was closed",
            hint="QEMU may have ended: look at its last messages",
        )


def _encode(command: str, arguments: dict[str, Any] | None = None) -> bytes:
    message: dict[str, Any] = {"execute": command}
    if arguments:
        message["arguments"] = arguments
    return json.dumps(message).encode("ascii")


def _parse(name: str, line: bytes) -> dict[str, Any]:
    try:
        reply = load_json(line)
    except ValueError as error:
        raise _junk(name, f"{line[:40]!r} is not JSON") from error
    return _expect(name, reply, dict, "a command")


def _expect(name: str, value: object, kind: type[_T], command: str) -> _T:
    if not isinstance(value, kind) or isinstance(value, bool):
        raise _junk(name, f"its answer to {command} has no {kind.__name__} where one belongs")
    return value


def _junk(name: str, what: str) -> GuestError:
    return GuestError(
        f"{name}: not a guest agent's answer: {what}",
        hint="check that the socket belongs to a guest agent's port",
    )


def parse_disks(output: bytes) -> tuple[BlockDevice, ...]:
    """Parses the guest's list of disks; other lines are skipped."""
    disks = []
    for line in output.decode(errors="replace").splitlines():
        match line.split("\t"):
            case [name, sectors, read_only, path, serial, wwid] if re.fullmatch(
                r"[A-Za-z0-9_-]{1,32}", name
            ) and re.fullmatch(r"\d{1,18}", sectors):
                scsi = re.search(r"/\d+:(\d{1,9}):(\d{1,9}):(\d{1,9})/block/", path)
                ata = re.search(r"/ata(\d{1,9})/", path)
                disks.append(
                    BlockDevice(
                        name=name,
                        size_bytes=int(sectors) * 512,
                        pci_path=tuple(_PCI_STEP.findall(path)),
                        scsi=(int(scsi[1]), int(scsi[2]), int(scsi[3])) if scsi else None,
                        ata=int(ata[1]) if ata else None,
                        serial=serial.strip(),
                        wwid=wwid.strip(),
                        read_only=read_only == "1",
                    )
                )
            case _:
                pass
    return tuple(sorted(disks, key=lambda disk: (len(disk.name), disk.name)))


def _check_path(path: Path) -> None:
    if len(bytes(path)) > MAX_SOCKET_PATH_BYTES:
        raise UsageError(
            f"{path}: longer than the {MAX_SOCKET_PATH_BYTES} bytes that a unix socket may have",
            hint="use a shorter folder, for example by setting TMPDIR",
        )
