"""Bounds on what a text, a monitor or a guest can ask of this process, and readers that keep them.

A number in a config must decide neither memory nor time, and a document must not nest deeper than
what goes through it afterwards can recurse.
"""

from __future__ import annotations

import re
from typing import Any

from vmio.patterns import compile_late

__all__ = [
    "MAX_DEPTH",
    "MAX_KEY_CHARACTERS",
    "MAX_OPTIONS",
    "MAX_PROCESSORS",
    "MAX_PROPERTIES",
    "MAX_QUEUES",
    "MAX_QUEUES_IN_ALL",
    "MAX_SCSI_QUEUES",
    "MAX_VCPUS",
    "MAX_WHOLE_NUMBER",
    "check_document",
    "load_json",
    "load_toml",
]

MAX_QUEUES = 1024
"""Virtqueues of a device. Source: QEMU 10.0, VIRTIO_QUEUE_MAX; a virtio-blk device that asks for
more ends QEMU without a message."""
MAX_SCSI_QUEUES = 1022
"""Request queues of virtio-scsi, which has two more. Source: QEMU 10.0.2, run."""
MAX_QUEUES_IN_ALL = 1 << 18
"""Of all devices of a guest: 2,000 disks at 128 vCPUs."""
MAX_VCPUS = 4096
"""Source: QEMU 10.0.2, run: `-machine q35`; no other machine of a PC has more."""

MAX_PROCESSORS = 8192
"""Of a host. Source: Linux 6.12, arch/x86/Kconfig, NR_CPUS; no other one has more."""

MAX_OPTIONS = 10_000
"""Of a command line."""
MAX_PROPERTIES = 100_000
"""Of all its options: enough for two thousand disks."""
MAX_KEY_CHARACTERS = 1024
"""Of one property, with the dots of what it is nested in."""

MAX_DEPTH = 64
"""Of tables and lists in each other; Python itself gives up at a thousand calls."""
MAX_WHOLE_NUMBER = (1 << 64) - 1
"""No protocol, format or kernel file that is read here has a greater one."""
_TOO_DEEP = "it nests too deep"
_TOO_LARGE = "a number in it is beyond 64 bits"
_MAX_DIGITS = 20
"""Of a number of 64 bits, and its sign."""

_PART = r"""(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')"""
_LONG_KEY = compile_late(
    rf"(?:^|[\[{{,])[ \t]*(?:{_PART}[ \t]*\.[ \t]*){{{MAX_DEPTH}}}", re.MULTILINE
)


def load_json(text: str | bytes) -> Any:  # noqa: ANN401 - what is in it its reader checks
    """Returns what a JSON text holds.

    Source: QEMU 10.0.2: a whole number beyond 64 bits is a floating-point number, and half of a
    surrogate pair is no character, so that the text is no JSON.

    Raises:
        ValueError: It is no JSON, or nests too deep.
    """
    import json

    text = text if isinstance(text, str) else text.decode("utf-8-sig")
    try:
        document = json.loads(text, parse_int=_parse_whole)
    except RecursionError as error:
        raise ValueError(_TOO_DEEP) from error
    check_document(document)
    return document


def load_toml(data: bytes) -> dict[str, Any]:
    """Returns what a TOML text holds, in time that grows with its length only.

    Raises:
        ValueError: It is no TOML, has a number that TOML has not, or nests too deep.
    """
    import tomllib

    text = data.decode("utf-8-sig")
    # Each part of a dotted key costs tomllib as much as all parts before it.
    if _LONG_KEY.search(text):
        raise ValueError(_TOO_DEEP)
    try:
        document = tomllib.loads(text)
    except RecursionError as error:
        raise ValueError(_TOO_DEEP) from error
    except tomllib.TOMLDecodeError:
        raise
    except ValueError as error:
        # Python has a limit of its own, of some thousand digits.
        raise ValueError(_TOO_LARGE) from error
    check_document(document)
    return document


def check_document(document: object, *, paths: bool = False) -> None:
    """Refuses what cannot be gone through, computed with or written afterwards.

    Args:
        document: What was read.
        paths: Whether texts may have bytes that are no text, as file names do, as escapes.

    Raises:
        ValueError: It nests too deep, has a whole number beyond 64 bits, or a text with half of a
            surrogate pair.
    """
    level: list[object] = [document]
    for _ in range(MAX_DEPTH + 1):
        below: list[object] = []
        for value in level:
            if isinstance(value, dict):
                below += value
                below += value.values()
            elif isinstance(value, list):
                below += value
            elif isinstance(value, str):
                if not value.isascii():
                    _check_text(value, paths=paths)
            elif isinstance(value, int) and not -MAX_WHOLE_NUMBER <= value <= MAX_WHOLE_NUMBER:
                raise ValueError(_TOO_LARGE)
        if not below:
            return
        level = below
    raise ValueError(_TOO_DEEP)


def _check_text(text: str, *, paths: bool) -> None:
    try:
        text.encode(errors="surrogateescape" if paths else "strict")
    except UnicodeEncodeError as error:
        raise ValueError("a text in it has half of a surrogate pair") from error


def _parse_whole(digits: str) -> int | float:
    return int(digits) if len(digits) <= _MAX_DIGITS else float(digits)
