"""Quantities as people write them; the only place that knows K from KiB."""

from __future__ import annotations

import re

from vmio.patterns import compile_late

__all__ = ["KIB", "MIB", "format_bytes", "format_duration_ns", "parse_size_bytes"]

KIB = 1024
MIB = 1024 * KIB

_THOUSAND = 1000
_SIZE = compile_late(r"(\d{1,19}(?:\.\d{1,9})?)\s*([KMGTP]?)(?:iB|B)?", re.ASCII)
_FACTORS = {"": 1, "K": KIB, "M": MIB, "G": KIB * MIB, "T": MIB * MIB, "P": KIB * MIB * MIB}


def parse_size_bytes(text: str) -> int | None:
    """Parses a size such as `32G`, `1.5T` or `512MiB` into bytes; None if it is not one.

    QEMU, libvirt's shorthand and Proxmox all use powers of 1024 for a bare K, M, G or T.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        return None
    number, suffix = match.groups()
    factor = _FACTORS[suffix]
    return int(number) * factor if "." not in number else int(float(number) * factor)


def format_bytes(size_bytes: float) -> str:
    """Returns a size in the largest binary unit in which it is at least one, such as `32 GiB`."""
    value = float(size_bytes)
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if abs(value) < KIB or unit == "TiB":
            return f"{value:.0f} {unit}" if value == int(value) else f"{value:.1f} {unit}"
        value /= KIB
    raise AssertionError  # the loop returns at its last unit


def format_duration_ns(duration_ns: float) -> str:
    """Returns a duration in the unit that people would use, such as `292 µs`."""
    value = float(duration_ns)
    for unit in ("ns", "µs", "ms", "s"):
        if abs(value) < _THOUSAND or unit == "s":
            return f"{value:.3g} {unit}" if abs(value) < _THOUSAND else f"{value:.0f} {unit}"
        value /= _THOUSAND
    raise AssertionError  # the loop returns at its last unit
