"""What a domain's XML calls a setting of the model.

Source: libvirt 11.3.0, its documentation of the domain's format.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from vmio.formats.libvirt.domain import LIMITS

__all__ = ["name_setting"]

_NAMES: Final[Mapping[str, str]] = {
    **{name: written for written, name in LIMITS.items()},
    "aio": "io",
    "detect_zeroes": "detect_zeroes",
    "rerror": "rerror_policy",
    "ssd": "rotation_rate",
    "werror": "error_policy",
    "write_cache": "cache",
}
_WHOLE: Final[Mapping[str, str]] = {
    "poll-grow": "<poll grow>",
    "poll-max-ns": "<poll max>",
    "poll-shrink": "<poll shrink>",
    "controllers": "a virtio-scsi controller for each disk",
    "qemu_options": "<qemu:commandline>",
    "shared_memory": "<access mode='shared'/> in <memoryBacking>",
}
_VALUES: Final[Mapping[tuple[str, str], str]] = {
    ("iothread", "own"): "ID",
    ("ssd", "1"): "1",
    ("werror", "enospc"): "enospace",
}


def name_setting(name: str, value: str | None = None) -> str:
    """Returns a setting as a domain has it, with a value if one is given: `cache='none'`."""
    if name in _WHOLE:
        return _WHOLE[name]
    if name == "iothread":
        value = value.removeprefix("iothread") if value is not None else None
    attribute = _NAMES.get(name, name)
    if value is None:
        return attribute
    return f"{attribute}='{_VALUES.get((name, value), value)}'"
