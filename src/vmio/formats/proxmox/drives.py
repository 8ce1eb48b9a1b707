"""A drive's property string to a `Disk`.

Source: qemu-server 9.2.6.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import cast

from attrs import evolve

from vmio.formats.keyval import Part, split_parts
from vmio.formats.proxmox.config import Entry
from vmio.formats.proxmox.schema import OPTIONS_BY_BUS, check_options, parse_bool
from vmio.model.disk import AioEngine, Backing, BusKind, CacheMode, Disk, Media
from vmio.model.source import Problem, Source
from vmio.units import MIB, parse_size_bytes

__all__ = ["Resolve", "parse_drive"]

Resolve = Callable[[str, str | None, str], Backing | None]
"""Tells what QEMU opens, from a volume, the written format and the drive's key."""

_CLOUDINIT = re.compile(r"(?:vm-\d+-)?cloudinit(?:\.\w+)?", re.ASCII)
_ONLY_ELSEWHERE = frozenset({"iothread", "queues", "ssd"})
"""Options that other buses have, and that people therefore try on every bus."""


def parse_drive(
    source: Source, entry: Entry, bus: BusKind, index: int, resolve: Resolve
) -> tuple[Disk | None, tuple[Problem, ...]]:
    """Returns the drive of a line, None where Proxmox would leave it out, and why."""
    parts, errors = check_options(split_parts(source.data, entry.value_span), OPTIONS_BY_BUS[bus])
    if errors:
        reasons = "\n".join(f"{name}: {why}" if name else why for _, name, why in errors)
        misplaced = [name for kind, name, _ in errors if kind == "undefined"]
        misplaced = [name for name in misplaced if name in _ONLY_ELSEWHERE]
        part = parts.get(misplaced[0] if misplaced else errors[0][1])
        return None, (
            Problem(
                kind="option-not-on-bus" if misplaced else "bad-value",
                message=f"unable to parse value of '{entry.key}' - format error\n{reasons}",
                span=part.span if part is not None else entry.value_span,
                subject=entry.key,
            ),
        )
    dropped = _reject_combination(bus, parts)
    if dropped is not None:
        name, why = dropped
        return None, (
            Problem(kind="drive-dropped", message=why, span=parts[name].span, subject=entry.key),
        )
    return _build(entry, bus, index, parts, resolve), ()


def _text(parts: dict[str, Part], name: str) -> str | None:
    part = parts.get(name)
    return None if part is None else part.value


def _bool(parts: dict[str, Part], name: str) -> bool | None:
    part = parts.get(name)
    return None if part is None else parse_bool(part.value)


def _reject_combination(bus: BusKind, parts: dict[str, Part]) -> tuple[str, str] | None:
    """Returns the option that makes Proxmox leave the whole drive out, and why."""
    if "media" not in parts and not any("ps" in name for name in parts):
        return None
    for direction in ("", "_rd", "_wr"):
        if f"bps{direction}" in parts and f"mbps{direction}" in parts:
            return f"bps{direction}", "both bps and mbps specified"
    for name in parts:
        base = _limit_base(name)
        if base is not None and base not in parts:
            return name, f"{name} requires {base}"
    for kind in ("mbps", "iops"):
        for direction in ("_rd", "_wr"):
            if kind in parts and kind + direction in parts:
                return kind, f"{kind} cannot be combined with {kind}{direction}"
    return _reject_cdrom(bus, parts) if _text(parts, "media") == "cdrom" else None


def _limit_base(name: str) -> str | None:
    """Returns the limit that another one is nothing without; only some are looked at."""
    if name.endswith("_max_length"):
        base = name.removesuffix("_length")
        return f"m{base}" if base.startswith("bps") else base
    if name.startswith("mbps") and name.endswith("_max"):
        return name.removesuffix("_max")
    return None


def _reject_cdrom(bus: BusKind, parts: dict[str, Part]) -> tuple[str, str] | None:
    if bus == "virtio":
        return "media", "a virtio drive cannot be a cd-rom"
    if _bool(parts, "snapshot"):
        return "snapshot", "a cd-rom cannot have snapshot=1"
    return ("format", "a cd-rom cannot have a format") if "format" in parts else None


def _limits(parts: dict[str, Part]) -> tuple[tuple[str, int], ...]:
    """Returns the throttling as QEMU names it, in Proxmox's order.

    Source: qemu-server 9.2.6, run: of the old spelling `bps=` only its being there is kept, which
    comes out as a limit of 0, so as no limit at all.
    """
    limits: list[tuple[str, int]] = []
    if not any("ps" in name for name in parts):
        return ()
    for suffix, word in (("", "total"), ("_rd", "read"), ("_wr", "write")):
        for kind, option, factor in (("bps", "mbps", MIB), ("iops", "iops", 1)):
            if kind == "bps" and f"bps{suffix}" in parts:
                limits.append((f"bps-{word}", 0))
            for ending, tail in (("", ""), ("_max", "-max")):
                value = int(float(_text(parts, f"{option}{suffix}{ending}") or 0) * factor)
                if value:
                    limits.append((f"{kind}-{word}{tail}", value))
            length = _text(parts, f"{kind}{suffix}_max_length")
            if length is not None:
                limits.append((f"{kind}-{word}-max-length", int(length)))
    return tuple(limits)


def _decode(text: str | None) -> str | None:
    """Returns a text of which all but plain characters may be %-encoded."""
    if text is None or "%" not in text:
        return text
    from urllib.parse import unquote

    return unquote(text)


def _build(
    entry: Entry, bus: BusKind, index: int, parts: dict[str, Part], resolve: Resolve
) -> Disk:
    text = {name: part.value for name, part in parts.items()}.get
    volume = parts["file"].value
    media = cast("Media", text("media") or "disk")
    last = volume.replace(":", "/").rpartition("/")[2]
    queues = text("queues")
    size = text("size")
    serial, model = text("serial"), text("model")
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
        cloudinit=bool(_CLOUDINIT.fullmatch(last)),
        cache=cast("CacheMode | None", text("cache")),
        aio=cast("AioEngine | None", text("aio")),
        discard=None if discard is None else ("unmap" if discard == "on" else "ignore"),
        detect_zeroes=_bool(parts, "detect_zeroes"),
        read_only=bool(_bool(parts, "ro")),
        iothread=_bool(parts, "iothread"),
        queues=int(queues) if queues is not None else None,
        size_bytes=parse_size_bytes(size) if size is not None else None,
        serial=_decode(serial),
        wwn=text("wwn"),
        vendor=text("vendor"),
        product=text("product"),
        model=_decode(model),
        rerror=text("rerror"),
        werror=text("werror"),
        snapshot=_bool(parts, "snapshot"),
        ssd=bool(_bool(parts, "ssd")),
        scsiblock=bool(_bool(parts, "scsiblock")),
        limits=_limits(parts),
        span=entry.span,
        spans={name: part.span for name, part in parts.items()},
    )
