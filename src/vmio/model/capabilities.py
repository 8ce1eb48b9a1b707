"""What a QEMU binary can do, as data."""

from __future__ import annotations

import re
from collections.abc import Mapping

from attrs import frozen

__all__ = ["QemuVersion", "parse_qmp_version", "parse_version_text"]

_VERSION_LINE = re.compile(r"\bversion (\d{1,4})\.(\d{1,4})(?:\.(\d{1,4}))?", re.ASCII)


@frozen(order=True)
class QemuVersion:
    """A version of QEMU, which orders as versions do."""

    major: int
    minor: int
    micro: int = 0

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.micro}"


def parse_version_text(text: str) -> QemuVersion:
    """Returns the version that `qemu-system-x86_64 --version` prints.

    Raises:
        ValueError: The text is not of a QEMU.
    """
    line = text.partition("\n")[0]
    match = _VERSION_LINE.search(line)
    if match is None or "QEMU" not in line:
        raise ValueError(line)
    major, minor, micro = match.groups(default="0")
    return QemuVersion(int(major), int(minor), int(micro))


def parse_qmp_version(reply: object) -> QemuVersion:
    """Returns the version in a monitor's greeting or in its answer to query-version.

    Raises:
        ValueError: The reply has none.
    """
    numbers = reply.get("qemu") if isinstance(reply, Mapping) else None
    match numbers:
        case {"major": int(major), "minor": int(minor), "micro": int(micro)}:
            return QemuVersion(major, minor, micro)
    raise ValueError(str(reply)[:200])
