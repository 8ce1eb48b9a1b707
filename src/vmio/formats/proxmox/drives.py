"""A drive's property string to a `Disk`.

Source: qemu-server 9.2.6.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import cast

from attrs import evolve

from vmio.formats.keyval import Part, split_parts
from vmio.formats.proxmox.config import Entry
from vmio.formats.proxmox.perl import compute, is_true
from vmio.formats.proxmox.schema import DRIVES_BY_BUS, read_parts, render_errors
from vmio.model.disk import AioEngine, Backing, BusKind, CacheMode, Disk, Media
from vmio.model.source import Problem, Source
from vmio.units import MIB, parse_size_bytes

__all__ = ["LIMITS", "Resolve", "parse_drive"]

Resolve = Callable[[str, str | None, str], Backing | None]
"""Tells what QEMU opens, from a volume, the written format and the drive's key."""

_CLOUDINIT = re.compile(
    r"[:/](?:vm-\d+-)?cloudinit(?:\.(?:raw|qcow2?|qed|vmdk|cloop))?\Z", re.ASCII
)
_ONLY_ELSEWHERE = frozenset({"iothread", "queues", "ssd"})
"""Options that other buses have, and that people therefore try on every bus."""
_DIRECTIONS = ("", "_rd", "_wr")
LIMITS = tuple(
    (f"{kind}-{word}{tail}", f"{option}{direction}{ending}", factor)
    for direction, word in zip(_DIRECTIONS, ("total", "read", "write"), strict=True)
    for kind, option, factor, tail, ending in (
        ("bps", "mbps", MIB, "", ""),
        ("bps", "mbps", MIB, "-max", "_max"),
        ("bps", "bps", 1, "-max-length", "_max_length"),
        ("iops", "iops", 1, "", ""),
        ("iops", "iops", 1, "-max", "_max"),
        ("iops", "iops", 1, "-max-length", "_max_length"),
    )
)
"""QEMU's name of each limit in Proxmox's order, the option it comes from, and its unit."""
_REQUIREMENTS = (
    *((f"mbps{direction}_max", f"mbps{direction}") for direction in _DIRECTIONS),
    *((f"bps{direction}_max_length", f"mbps{direction}_max") for direction in _DIRECTIONS),
    *((f"iops{direction}_max_length", f"iops{direction}_max") for direction in _DIRECTIONS),
)
"""The limits that another one has to stand beside; `iops_max` is not looked at."""
_OLD_LIMIT = "0.000"
"""What Proxmox makes of `bps=` in MiB, whatever its number: true, and a limit of 0.

Source: qemu-server 9.2.6, run: only whether the old spelling is there is kept.
"""


def parse_drive(
    source: Source, entry: Entry, bus: BusKind, index: int, resolve: Resolve
) -> tuple[Disk | None, tuple[Problem, ...]]:
    """Returns the drive of a line, None where Proxmox would leave it out, and why."""
    parts, errors = read_parts(split_parts(source.data, entry.value_span), DRIVES_BY_BUS[bus])
    if errors:
        misplaced = [name for kind, name, _ in errors if kind == "undefined"]
        misplaced = [name for name in misplaced if name in _ONLY_ELSEWHERE]
        part = parts.get(misplaced[0] if misplaced else errors[0][1])
        return None, (
            Problem(
                kind="option-not-on-bus" if misplaced else "bad-value",
                message=f"unable to parse value of '{entry.key}' - {render_errors(errors)}",
                span=part.span if part is not None else entry.value_span,
                subject=entry.key,
            ),
        )
    dropped = tuple(_reject_combination(bus, parts))
    if dropped:
        return None, tuple(
            Problem(kind="drive-dropped", message=why, span=parts[name].span, subject=entry.key)
            for name, why in dropped
        )
    return _build(entry, bus, index, parts, resolve), ()


def _text(parts: dict[str, Part], name: str) -> str | None:
    part = parts.get(name)
    return None if part is None else part.value


def _bool(parts: dict[str, Part], name: str) -> bool | None:
    return is_true(parts[name].value) if name in parts else None


def _limit(parts: dict[str, Part], option: str) -> str | None:
    """Returns a limit's number as Proxmox has it, whichever way it is spelled."""
    if option.startswith("mbps") and option[1:] in parts:
        return _OLD_LIMIT
    return _text(parts, option)


def _reject_combination(bus: BusKind, parts: dict[str, Part]) -> Iterator[tuple[str, str]]:
    """Yields what makes Proxmox leave the whole drive out: the option, and why.

    What it tells of is told in full, what it says nothing of ends with the first.
    """
    has_limits = any("ps" in name for name in parts)
    told = tuple(_reject_limits(parts)) if has_limits else ()
    yield from told
    if told:
        return
    for kind in ("mbps", "iops") if has_limits else ():
        for direction in ("_rd", "_wr"):
            other = kind + direction
            if is_true(_limit(parts, kind)) and is_true(_limit(parts, other)):
                yield _spelling(parts, kind), f"{kind} cannot be combined with {other}"
                return
    if _text(parts, "media") == "cdrom":
        yield from _reject_cdrom(bus, parts)


def _spelling(parts: dict[str, Part], option: str) -> str:
    return option if option in parts else option.removeprefix("m")


def _reject_limits(parts: dict[str, Part]) -> Iterator[tuple[str, str]]:
    for direction in _DIRECTIONS:
        old = f"bps{direction}"
        if old in parts and f"m{old}" in parts:
            yield old, f"both {old} and m{old} specified"
    for option, required in _REQUIREMENTS:
        if is_true(_limit(parts, option)) and not is_true(_limit(parts, required)):
            yield option, f"{option} requires {required}"


def _reject_cdrom(bus: BusKind, parts: dict[str, Part]) -> Iterator[tuple[str, str]]:
    if bus == "virtio":
        yield "media", "a virtio drive cannot be a cd-rom"
    elif _bool(parts, "snapshot"):
        yield "snapshot", "a cd-rom cannot have snapshot=1"
    elif "format" in parts:
        yield "format", "a cd-rom cannot have a format"


def _limits(parts: dict[str, Part]) -> tuple[tuple[str, int], ...]:
    """Returns the throttling as QEMU names it, in Proxmox's order."""
    if not any("ps" in name for name in parts):
        return ()
    return tuple(
        (name, compute(value, factor))
        for name, option, factor in LIMITS
        if (value := _limit(parts, option)) is not None and is_true(value)
    )


def _decode(text: str | None) -> str | None:
    """Returns a text of which all but plain characters may be %-encoded; a `0` is none."""
    if text is None or not is_true(text):
        return None
    if "%" not in text:
        return text
    from urllib.parse import unquote

    return unquote(text)


def _build(
    entry: Entry, bus: BusKind, index: int, parts: dict[str, Part], resolve: Resolve
) -> Disk:
    text = {name: part.value for name, part in parts.items()}.get
    volume = parts["file"].value
    media = cast("Media", text("media") or "disk")
    queues = text("queues")
    size = text("size")
    discard = text("discard")
    backing = resolve(volume, text("format"), entry.key)
    if backing is not None and not backing.error and ":iso/" in volume and "media" not in parts:
        error = f"{entry.key}: explicit media parameter is required for iso images"
        backing = evolve(backing, error=error)
    is_own_drive = volume.startswith("/") and media == "cdrom"
    if backing is not None and backing.driver == "host_device" and is_own_drive:
        backing = evolve(backing, driver="host_cdrom")
    return Disk(
        id=entry.key,
        bus=bus,
        index=index,
        volume=volume,
        backing=backing,
        media=media,
        cloudinit=_CLOUDINIT.search(volume) is not None,
        cache=cast("CacheMode | None", text("cache")),
        aio=cast("AioEngine | None", text("aio")),
        discard=None if discard is None else ("unmap" if discard == "on" else "ignore"),
        detect_zeroes=_bool(parts, "detect_zeroes"),
        read_only=bool(_bool(parts, "ro")),
        iothread=_bool(parts, "iothread"),
        queues=int(queues) if queues is not None else None,
        size_bytes=parse_size_bytes(size) if size is not None else None,
        serial=_decode(text("serial")),
        wwn=text("wwn"),
        vendor=_decode(text("vendor")),
        product=_decode(text("product")),
        model=_decode(text("model")),
        rerror=text("rerror"),
        werror=text("werror"),
        snapshot=_bool(parts, "snapshot"),
        ssd=bool(_bool(parts, "ssd")),
        scsiblock=bool(_bool(parts, "scsiblock")),
        limits=_limits(parts),
        span=entry.span,
        spans={name: part.span for name, part in parts.items()},
    )
