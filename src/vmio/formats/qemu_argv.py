"""IOThreads in the words of a QEMU command line.

So far only what a Proxmox `args:` line can add: definitions, and references by anything else.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

from attrs import fields

from vmio.model.iothread import IOThread

__all__ = ["find_iothreads"]

_PARAMETERS = tuple(
    attribute.name for attribute in fields(IOThread) if attribute.name not in {"id", "span"}
)
_NUMBER = re.compile(r"\d{1,19}", re.ASCII)


def find_iothreads(words: Sequence[str]) -> tuple[tuple[IOThread, ...], frozenset[str]]:
    """Returns the IOThreads that a command line defines, and the ids that it refers to.

    Options may be written with one dash or two, values as `key=value,…` or as JSON; a value that
    is neither is passed over, since QEMU is the one to refuse it.
    """
    defined: list[IOThread] = []
    users: set[str] = set()
    for option, value in pairwise(words):
        if not option.startswith("-"):
            continue
        properties = dict(_read_properties(value))
        kind = properties.get("qom-type")
        if option.lstrip("-") == "object" and kind == "iothread":
            identity = properties.get("id")
            if isinstance(identity, str):
                defined.append(_build_iothread(identity, properties))
            continue
        users.update(_referred(properties))
    return tuple(defined), frozenset(users)


def _read_properties(value: str) -> Iterator[tuple[str, object]]:
    if value.startswith("{"):
        try:
            loaded = json.loads(value)
        except (ValueError, RecursionError):
            return
        if isinstance(loaded, dict):
            yield from loaded.items()
        return
    for position, part in enumerate(re.split(r"(?<!,),(?!,)", value)):
        key, equals, text = part.partition("=")
        if equals:
            yield key, text
        elif position == 0:
            yield "qom-type", key


def _build_iothread(identity: str, properties: dict[str, object]) -> IOThread:
    parameters: dict[str, Any] = {}
    for name in _PARAMETERS:
        value = str(properties.get(name.replace("_", "-"), ""))
        if _NUMBER.fullmatch(value):
            parameters[name] = int(value)
    try:
        return IOThread(id=identity, **parameters)
    except ValueError:
        # A value out of QEMU's range: QEMU would not start, but the thread is defined.
        return IOThread(id=identity)


def _referred(properties: dict[str, object]) -> Iterator[str]:
    """Yields the ids under `iothread` at any depth, and those of a `-set device.x.iothread=id`."""
    pending: list[object] = [properties]
    while pending:
        current = pending.pop()
        if isinstance(current, dict):
            for key, value in current.items():
                if isinstance(value, str) and str(key).rpartition(".")[2] == "iothread":
                    yield value
                else:
                    pending.append(value)
        elif isinstance(current, list):
            pending.extend(current)
