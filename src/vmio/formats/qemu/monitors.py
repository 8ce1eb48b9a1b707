"""The monitors that a QEMU is started with: what they speak, and where they are reached.

Source: QEMU 10.0: `-chardev socket`, `-mon`, `-qmp`, `-qmp-pretty` and `-monitor`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Literal

from msgspec import Struct

from vmio.formats.qemu.blocks import to_bool
from vmio.model.option import Option

__all__ = [
    "AGENT_PORT",
    "AgentOption",
    "MonitorOption",
    "Transport",
    "find_agent",
    "list_monitors",
]

Transport = Literal["unix", "abstract", "fd", "tcp", "other"]
"""A socket's file, an abstract name, a socket that QEMU was started with, a port, or a terminal,
a pipe or a file."""

AGENT_PORT: Final = "org.qemu.guest_agent.0"
"""The name of the port at which a guest agent listens in the guest.

Source: QEMU 10.0, qga/main.c.
"""

_SHORT: Final[Mapping[str, Literal["qmp", "hmp"]]] = {
    "qmp": "qmp",
    "qmp-pretty": "qmp",
    "monitor": "hmp",
}
_NOWHERE: Final = frozenset({"", "none", "null"})


class MonitorOption(Struct, frozen=True, kw_only=True):
    """A monitor as it is written."""

    protocol: Literal["qmp", "hmp"]
    """For programs, or for people."""
    chardev: str = ""
    """The id of its character device; empty where it has none of its own."""
    transport: Transport
    address: str = ""
    """The socket's path or name, the descriptor's number, or `HOST:PORT`."""
    listens: bool = True
    """Whether others connect to it; else QEMU itself connects to somebody."""


class AgentOption(Struct, frozen=True, kw_only=True):
    """The port of a guest's agent as it is written."""

    transport: Transport
    address: str = ""
    """As `MonitorOption.address`."""
    listens: bool = True
    """Whether others connect to it; else QEMU itself connects to somebody."""


def find_agent(options: Sequence[Option]) -> AgentOption | None:
    """Returns the port of a guest's agent; None if the guest has none."""
    devices = {each.id: each for each in reversed(options) if each.name == "chardev"}
    for option in options:
        if option.name == "device" and option.properties.get("name") == AGENT_PORT:
            name = option.properties.get("chardev", "")
            found = _read_chardev(devices.get(name), name, "qmp")
            return AgentOption(
                transport=found.transport, address=found.address, listens=found.listens
            )
    return None


def list_monitors(options: Sequence[Option]) -> tuple[MonitorOption, ...]:
    """Returns the monitors of a command line, in its order."""
    devices = {each.id: each for each in reversed(options) if each.name == "chardev"}
    return tuple(_list_monitors(options, devices))


def _list_monitors(
    options: Sequence[Option], devices: Mapping[str, Option]
) -> Iterator[MonitorOption]:
    for option in options:
        if option.name == "mon":
            protocol: Literal["qmp", "hmp"] = (
                "qmp" if option.properties.get("mode") == "control" else "hmp"
            )
            name = option.properties.get("chardev", "")
            yield _read_chardev(devices.get(name), name, protocol)
        elif option.name in _SHORT:
            text = option.properties.get("value", "")
            if text in _NOWHERE:
                continue
            kind, _, rest = text.partition(":")
            if kind == "chardev":
                yield _read_chardev(devices.get(rest), rest, _SHORT[option.name])
            else:
                yield _read_short(option, _SHORT[option.name], kind, rest)


def _read_chardev(
    device: Option | None, name: str, protocol: Literal["qmp", "hmp"]
) -> MonitorOption:
    own = device.properties if device is not None else {}
    transport: Transport = "other"
    address = ""
    if own.get("backend") == "socket":
        if "fd" in own:
            transport, address = "fd", own["fd"]
        elif "path" in own:
            transport = "abstract" if to_bool(own.get("abstract")) else "unix"
            address = own["path"]
        else:
            transport, address = "tcp", f"{own.get('host', '')}:{own.get('port', '')}"
    return MonitorOption(
        protocol=protocol,
        chardev=name,
        transport=transport,
        address=address,
        listens=to_bool(own.get("server")) is True,
    )


def _read_short(
    option: Option, protocol: Literal["qmp", "hmp"], kind: str, rest: str
) -> MonitorOption:
    transport: Transport = "other"
    if kind == "unix":
        transport = "abstract" if to_bool(option.properties.get("abstract")) else "unix"
    elif kind in {"tcp", "telnet"}:
        transport = "tcp"
    return MonitorOption(
        protocol=protocol,
        transport=transport,
        address=rest if transport != "other" else "",
        listens=to_bool(option.properties.get("server")) is True,
    )
