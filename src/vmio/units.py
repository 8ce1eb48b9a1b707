"""Quantities as people write them; the only place that knows K from KiB."""

from __future__ import annotations

import re

from vmio.patterns import compile_late

__all__ = [
    "KIB",
    "MIB",
    "format_bytes",
    "format_duration_ns",
    "format_time_s",
    "parse_share",
    "parse_size_bytes",
    "parse_time_s",
]

KIB = 1024
MIB = 1024 * KIB

_THOUSAND = 1000
_SIZE = compile_late(r"(\d{1,19}(?:\.\d{1,9})?)\s*([KMGTP]?)(?:iB|B)?", re.ASCII)
_TIME = compile_late(r"(\d{1,9}(?:\.\d{1,9})?)\s*(s|m|min|h|d)?", re.ASCII)
_TIMES_S = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}
_SHARE = compile_late(r"(\d{1,9}(?:\.\d{1,9})?)\s*(%?)", re.ASCII)
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


def parse_share(text: str) -> float | None:
    """Parses a share such as `5%` or `0.05` into a number, here 0.05; None if it is not one."""
    match = _SHARE.fullmatch(text.strip())
    if match is None:
        return None
    return float(match[1]) / 100 if match[2] else float(match[1])


def parse_time_s(text: str) -> float | None:
    """Parses a time such as `90`, `30s`, `1.5h` or `2d` into seconds; None if it is not one."""
    match = _TIME.fullmatch(text.strip())
    if match is None:
        return None
    number, unit = match.groups()
    return float(number) * _TIMES_S[unit or "s"]


def format_time_s(time_s: float) -> str:
    """Returns a time in its two largest units: `0.4 s`, `12 s`, `3 min 20 s`, `2 h 5 min`, `3 d`.

    A second unit of zero is left out.
    """
    if time_s < 10:  # noqa: PLR2004 - a digit more
        return f"{time_s:.2g} s"
    rest = round(time_s)
    if rest >= _TIMES_S["h"]:
        rest = round(rest / _TIMES_S["min"]) * _TIMES_S["min"]
    parts: list[str] = []
    for unit in ("d", "h", "min", "s"):
        count, rest = divmod(rest, _TIMES_S[unit])
        parts += [f"{count} {unit}"] if count or parts else []
    return " ".join(each for each in parts[:2] if not each.startswith("0 "))
