"""Reads a drive's property string into a `Disk`.

Source: qemu-server 9.2.6.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import cast

from vmio.formats.keyval import Part, split_parts
from vmio.formats.proxmox.config import Entry
from vmio.formats.proxmox.perl import compute, is_true
from vmio.formats.proxmox.schema import DRIVES_BY_BUS, read_parts, render_errors
from vmio.model.disk import AioEngine, Backing, BusKind, CacheMode, Disk, Media
from vmio.model.source import Problem, Source, Where
from vmio.patterns import compile_late
from vmio.units import MIB, parse_size_bytes
from vmio.values import replace

__all__ = ["LIMITS", "Resolve", "parse_drive"]

Resolve = Callable[[str, str | None, str], Backing | None]
"""Returns what QEMU opens, from a volume, the configured format and the drive's key."""

_CLOUDINIT = compile_late(
    r"[:/](?:vm-\d+-)?cloudinit(?:\.(?:raw|qcow2?|qed|vmdk|cloop))?\Z", re.ASCII
)
_ONLY_ELSEWHERE = frozenset({"iothread", "queues", "ssd"})
"""Options of other buses, which people therefore try on every bus."""
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
"""Limits that require another one; `iops_max` is not checked."""
_OLD_LIMIT = "0.000"
"""Proxmox's result for `bps=` in MiB, whatever its number: true, and a limit of 0.

Source: qemu-server 9.2.6, run: it only keeps whether the old spelling is present.
"""


def parse_drive(
    source: Source, entry: Entry, bus: BusKind, index: int, resolve: Resolve
) -> tuple[Disk | None, tuple[Problem, ...]]:
    """Returns the drive of a line, or None and the reason if Proxmox would leave it out."""
    drive = f"{bus}{index}"
    parts, errors = read_parts(split_parts(source.data, entry.value_span), DRIVES_BY_BUS[bus])
    if errors:
        misplaced = [name for kind, name, _ in errors if kind == "undefined"]
        misplaced = [name for name in misplaced if name in _ONLY_ELSEWHERE]
        kind = "iothread-not-on-bus" if "iothread" in misplaced else "option-not-on-bus"
        part = parts.get(misplaced[0] if misplaced else errors[0][1])
        return None, (
            Problem(
                kind=kind if misplaced else "bad-value",
                message=f"unable to parse value of '{entry.key}' - {render_errors(errors)}",
                span=part.span if part is not None else entry.value_span,
                subject=drive,
            ),
        )
    limits = _read_limits(parts)
    dropped = tuple(_reject_combination(bus, parts, limits))
    if dropped:
        return None, tuple(
            Problem(kind="drive-dropped", message=why, span=parts[name].span, subject=drive)
            for name, why in dropped
        )
    place = entry, bus, index
    return _build(place, parts, _compute_limits(limits), resolve), ()


def _text(parts: dict[str, Part], name: str) -> str | None:
    part = parts.get(name)
    return None if part is None else part.value


def _bool(parts: dict[str, Part], name: str) -> bool | None:
    return is_true(parts[name].value) if name in parts else None


def _read_limits(parts: dict[str, Part]) -> dict[str, str]:
    """Returns the limits' texts by option; a limit in bytes also sets one in MiB."""
    limits = {name: part.value for name, part in parts.items() if "ps" in name}
    for direction in _DIRECTIONS if limits else ():
        if f"bps{direction}" in limits:
            limits.setdefault(f"mbps{direction}", _OLD_LIMIT)
    return limits


def _reject_combination(
    bus: BusKind, parts: dict[str, Part], limits: dict[str, str]
) -> Iterator[tuple[str, str]]:
    """Yields why Proxmox leaves the whole drive out: the option, and the reason.

    All reasons that Proxmox reports are included; of those that it does not report, the first.
    """
    rejected = tuple(_reject_limits(parts, limits)) if limits else ()
    yield from rejected
    if rejected:
        return
    for kind in ("mbps", "iops") if limits else ():
        for direction in ("_rd", "_wr"):
            other = kind + direction
            if is_true(limits.get(kind)) and is_true(limits.get(other)):
                written = kind if kind in parts else kind.removeprefix("m")
                yield written, f"{kind} cannot be combined with {other}"
                return
    if _text(parts, "media") == "cdrom":
        yield from _reject_cdrom(bus, parts)


def _reject_limits(parts: dict[str, Part], limits: dict[str, str]) -> Iterator[tuple[str, str]]:
    for direction in _DIRECTIONS:
        old = f"bps{direction}"
        if old in parts and f"m{old}" in parts:
            yield old, f"both {old} and m{old} specified"
    for option, required in _REQUIREMENTS:
        if option in limits and is_true(limits[option]) and not is_true(limits.get(required)):
            yield option, f"{option} requires {required}"


def _reject_cdrom(bus: BusKind, parts: dict[str, Part]) -> Iterator[tuple[str, str]]:
    if bus == "virtio":
        yield "media", "a virtio drive cannot be a cd-rom"
    elif _bool(parts, "snapshot"):
        yield "snapshot", "a cd-rom cannot have snapshot=1"
    elif "format" in parts:
        yield "format", "a cd-rom cannot have a format"


def _compute_limits(limits: dict[str, str]) -> tuple[tuple[str, int], ...]:
    """Returns the throttling as QEMU names it, in Proxmox's order."""
    if not limits:
        return ()
    return tuple(
        (name, compute(limits[option], factor))
        for name, option, factor in LIMITS
        if option in limits and is_true(limits[option])
    )


def _decode(text: str | None) -> str | None:
    """Returns a text in which all but plain characters may be %-encoded; `0` means no text."""
    if text is None or not is_true(text):
        return None
    if "%" not in text:
        return text
    from urllib.parse import unquote

    return unquote(text)


def _build(
    place: tuple[Entry, BusKind, int],
    parts: dict[str, Part],
    limits: tuple[tuple[str, int], ...],
    resolve: Resolve,
) -> Disk:
    entry, bus, index = place
    drive = f"{bus}{index}"
    texts = {name: part.value for name, part in parts.items()}
    text = texts.get
    volume = parts["file"].value
    media = cast("Media", text("media") or "disk")
    queues = text("queues")
    size = text("size")
    discard = text("discard")
    backing = resolve(volume, text("format"), drive)
    if backing is not None and not backing.error and ":iso/" in volume and "media" not in parts:
        error = f"{drive}: explicit media parameter is required for iso images"
        backing = replace(backing, error=error)
    if bus == "scsi" and media == "disk" and volume in {"none", "cdrom"}:
        # The kind of a SCSI disk depends on its path, which only a volume has.
        error = f"unable to parse volume ID '{volume}'"
        backing = Backing(filename=volume, format="raw", error=error)
    is_own_drive = volume.startswith("/") and media == "cdrom"
    if backing is not None and backing.driver == "host_device" and is_own_drive:
        backing = replace(backing, driver="host_cdrom")
    return Disk(
        id=drive,
        bus=bus,
        index=index,
        volume=volume,
        backing=backing,
        media=media,
        cloudinit="cloudinit" in volume and _CLOUDINIT.search(volume) is not None,
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
        limits=limits,
        where=Where(span=entry.span, spans={name: part.span for name, part in parts.items()}),
    )
