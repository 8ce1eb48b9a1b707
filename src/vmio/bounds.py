"""Limits on the resources that a text, a monitor or a guest can demand, and readers with limits.

A number in a config must not decide memory or time, and a document must not be nested more deeply
than the code that processes it can recurse.
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
"""For all devices of a guest: 2,000 disks at 128 vCPUs."""
MAX_VCPUS = 4096
"""Source: QEMU 10.0.2, run: `-machine q35`; no other machine of a PC has more."""

MAX_PROCESSORS = 8192
"""Of a host. Source: Linux 6.12, arch/x86/Kconfig, NR_CPUS; no other architecture has more."""

MAX_OPTIONS = 10_000
"""Of a command line."""
MAX_PROPERTIES = 100_000
"""Of all options together: enough for two thousand disks."""
MAX_KEY_CHARACTERS = 1024
"""Of one property, including the dots of nested keys."""

MAX_DEPTH = 64
"""Of nested tables and lists; Python's own limit is a thousand calls."""
MAX_WHOLE_NUMBER = (1 << 64) - 1
"""No protocol, format or kernel file that vmio reads has a larger number."""
_TOO_DEEP = "it is nested too deeply"
_TOO_LARGE = "a number in it is beyond 64 bits"
_MAX_DIGITS = 20
"""Of a 64-bit number, with its sign."""

_PART = r"""(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')"""
_LONG_KEY = compile_late(
    rf"(?:^|[\[{{,])[ \t]*(?:{_PART}[ \t]*\.[ \t]*){{{MAX_DEPTH}}}", re.MULTILINE
)


def load_json(text: str | bytes) -> Any:  # noqa: ANN401 - what is in it its reader checks
    """Parses a JSON text.

    Source: QEMU 10.0.2: a whole number beyond 64 bits is a floating-point number, and a lone
    surrogate is not a character, so a text with one is not JSON.

    Raises:
        ValueError: It is not JSON, or is nested too deeply.
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
    """Parses a TOML text in time linear in its length.

    Raises:
        ValueError: It is not TOML, has a number that TOML does not have, or is nested too deeply.
    """
    import tomllib

    text = data.decode("utf-8-sig")
    # tomllib spends as much on each part of a dotted key as on all parts before it.
    if _LONG_KEY.search(text):
        raise ValueError(_TOO_DEEP)
    try:
        document = tomllib.loads(text)
    except RecursionError as error:
        raise ValueError(_TOO_DEEP) from error
    except tomllib.TOMLDecodeError:
        raise
    except ValueError as error:
        # Python has a limit of its own, some thousand digits.
        raise ValueError(_TOO_LARGE) from error
    check_document(document)
    return document


def check_document(document: object, *, paths: bool = False) -> None:
    """Refuses a document that could not be traversed, computed with or written.

    Args:
        document: What was read.
        paths: Whether texts may have bytes that are no text, as file names do, as escapes.

    Raises:
        ValueError: It is nested too deeply, has a whole number beyond 64 bits, or a text with a
            lone surrogate.
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
