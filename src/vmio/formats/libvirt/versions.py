"""What a libvirt knows, by its version.

Source: libvirt 9.0.0 and 11.3.0, run with the same domains; the release notes for what is between.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, Literal

__all__ = [
    "KNOWN",
    "NEWEST",
    "SINCE",
    "Feature",
    "find_since",
    "has_feature",
    "parse_libvirt_version",
]

Feature = Literal[
    "blk-mapping",
    "data-store",
    "discard-no-unref",
    "granularity",
    "plain-raw",
    "poll",
    "reconnect",
    "scsi-mapping",
    "throttle-groups",
    "zeroes-in-chains",
]

NEWEST: Final = (11, 3)
"""The newest that was run, and the one that is gone by where none is named."""
KNOWN: Final = frozenset({(9, 0), NEWEST})
"""Those that were run."""

SINCE: Final[Mapping[Feature, tuple[int, int]]] = {
    "blk-mapping": (10, 0),
    "data-store": (10, 10),
    "discard-no-unref": (9, 5),
    "granularity": (9, 1),
    "plain-raw": (9, 10),
    "poll": (9, 4),
    "reconnect": (9, 1),
    "scsi-mapping": (11, 2),
    "throttle-groups": (11, 2),
    "zeroes-in-chains": (11, 10),
}
"""The first release that knows something."""


def has_feature(version: tuple[int, int], feature: Feature) -> bool:
    """Returns whether a libvirt knows something; an older one drops it without a word."""
    return version >= SINCE[feature]


def find_since(feature: Feature) -> str:
    """Returns the first version that knows something: `11.2`."""
    return ".".join(map(str, SINCE[feature]))


def parse_libvirt_version(text: str) -> tuple[int, int]:
    """Returns the version that a text such as `11.3.0` or `9.0` names.

    Raises:
        ValueError: It is none.
    """
    match = re.fullmatch(r"(\d{1,3})\.(\d{1,3})(?:\.\d{1,3})?(?:[-+~].{0,40})?", text, re.ASCII)
    if match is None:
        raise ValueError(f"'{text[:80]}' is no version of libvirt")
    return int(match[1]), int(match[2])
