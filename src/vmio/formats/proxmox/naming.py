"""The names of the model's settings in Proxmox VE's configs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from vmio.formats.proxmox.drivers import SINGLE
from vmio.formats.proxmox.drives import LIMITS

__all__ = ["name_setting"]

_SETTINGS: Final[Mapping[tuple[str, str | None], str]] = {
    ("controllers", "per-disk"): f"scsihw: {SINGLE}",
    ("discard", "unmap"): "discard=on",
    ("iothread", "own"): "iothread=1",
    ("qemu_options", None): "args",
    ("shared_memory", "on"): "hugepages, or a memory backend with share=on",
}
_LIMITS: Final[Mapping[str, str]] = {name: option for name, option, _ in LIMITS}


def name_setting(name: str, value: str | None = None) -> str:
    """Returns a setting's name in a config, with a value if one is given: `discard=on`."""
    known = _SETTINGS.get((name, value))
    if known is not None:
        return known
    option = _LIMITS.get(name, name)
    return option if value is None else f"{option}={value}"
