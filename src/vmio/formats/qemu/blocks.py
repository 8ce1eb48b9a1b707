"""The media that a QEMU command line opens: `-drive` and chains of `-blockdev` nodes.

Source: QEMU 10.0: a node that is written inside another inherits its cache flags and passes
discards on; a node that is referred to by its name has QEMU's own defaults.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from itertools import islice
from typing import Final, cast, get_args

from msgspec import Struct, field

from vmio.bounds import load_json
from vmio.model.disk import (
    FILE_DRIVERS,
    AioEngine,
    Backing,
    CacheMode,
    DetectZeroes,
    Discard,
    Media,
)
from vmio.model.option import Option
from vmio.model.source import Span
from vmio.model.storage import StorageKind, find_storage_kind

__all__ = ["Blocks", "Medium", "name_cache", "read_blocks", "to_bool"]

_MAX_DEPTH = 16
_FORMATS = frozenset(
    "raw qcow qcow2 qed vmdk vdi vpc vhdx parallels luks cloop dmg bochs".split()  # noqa: SIM905
)
_MODES: Mapping[str, tuple[bool, bool, bool]] = {
    # direct, no-flush, writeback
    "none": (True, False, True),
    "off": (True, False, True),
    "directsync": (True, False, False),
    "writethrough": (False, False, False),
    "writeback": (False, False, True),
    "unsafe": (False, True, True),
}
_TRUE = frozenset({"on", "yes", "true", "y"})
_FALSE = frozenset({"off", "no", "false", "n"})
_DISCARDS = frozenset({"on", "unmap"})
_NOTED = (
    *("aio", "cache", "cache.no-flush", "cache.direct", "cache.writeback"),
    *("detect-zeroes", "discard", "read-only", "readonly"),
)
"""Properties of nodes and drives whose place is recorded."""
_LIMIT = re.compile(
    r"(?:limits\.|throttling\.|x-)?"
    r"((?:bps|iops)-(?:total|read|write)(?:-max(?:-length)?)?|iops-size)",
    re.ASCII,
)
_OLD_LIMIT = re.compile(r"(bps|iops)(?:_(rd|wr|size))?(_max(?:_length)?)?", re.ASCII)
_OLD_WORDS = {"rd": "-read", "wr": "-write", "size": "-size", None: "-total"}


def to_bool(text: str | None) -> bool | None:
    """Returns a boolean in one of QEMU's spellings; None for anything else."""
    return True if text in _TRUE else False if text in _FALSE else None


def name_cache(*, direct: bool, no_flush: bool, writeback: bool) -> CacheMode | None:
    """Returns the cache mode with these flags; None if no mode has them."""
    found = (mode for mode, flags in _MODES.items() if flags == (direct, no_flush, writeback))
    return cast("CacheMode | None", next(found, None))


class Medium(Struct, frozen=True, kw_only=True):
    """The medium that a device refers to by `drive=`; None is a value that is not configured."""

    name: str
    option: Option
    interface: str = "none"
    """The value of `if=`; `none` for a node."""
    place: tuple[int | None, int | None] = (None, None)
    """The bus and the unit of a `-drive`, or None and its index."""
    media: Media | None = None
    backing: Backing | None = None
    cache: CacheMode | None = None
    """The mode that results from all cache properties."""
    cache_direct: bool | None = None
    cache_no_flush: bool | None = None
    write_cache: bool | None = None
    nodes: tuple[str, ...] = ()
    """The names of its nodes, the guest's side first."""
    locks: bool = False
    """Whether QEMU locks the file, so that it is not opened twice and written."""
    aio: AioEngine | None = None
    discard: Discard | None = None
    discard_kept: str = ""
    """The node that does not pass discards on, if another one would."""
    detect_zeroes: DetectZeroes | None = None
    read_only: bool = False
    snapshot: bool | None = None
    rerror: str | None = None
    werror: str | None = None
    limits: tuple[tuple[str, int], ...] = ()
    spans: Mapping[str, Span] = field(default_factory=dict)
    refused: tuple[tuple[str, str], ...] = ()
    """Properties that QEMU would refuse, each with the reason."""


class Blocks(Struct, frozen=True, kw_only=True):
    """Media that devices can refer to by `drive=`, and drives that create their own devices."""

    media: Mapping[str, Medium]
    drives: tuple[Medium, ...]
    """Every `-drive`, `-hda`, `-cdrom` and the like, in their order."""


class _Layer(Struct, frozen=True, kw_only=True):
    """One node of a chain, the guest's side first."""

    name: str
    driver: str
    properties: Mapping[str, str]
    """Its own properties; those of the nodes in it have their prefix."""
    inside: bool
    """Whether it is written inside the node above it."""
    option: Option
    prefix: str

    def find_span(self, key: str) -> Span | None:
        """Returns the span of a property, or else of the whole option."""
        return self.option.spans.get(self.prefix + key, self.option.span)


def read_blocks(options: Sequence[Option], patterns: Iterable[str], default: str) -> Blocks:
    """Returns the drives and nodes that options define.

    Args:
        options: The whole command line.
        patterns: The patterns of paths of block devices.
        default: The interface of a `-drive` without `if=`.
    """
    reader = _Reader(
        nodes={option.id: option for option in options if option.name == "blockdev"},
        groups={
            option.id: option
            for option in options
            if option.name == "object" and option.kind == "throttle-group"
        },
        patterns=tuple(patterns),
        is_snapshot=any(option.name == "snapshot" for option in options),
    )
    media: dict[str, Medium] = {}
    for option in reader.nodes.values():
        for name, prefix in islice(_list_names(option.properties), _MAX_DEPTH):
            media[name] = reader.read_node(option, name, prefix)
    counts: dict[str, int] = {}
    drives: list[Medium] = []
    for option in options:
        drive = reader.read_drive(option, default, counts)
        if drive is not None:
            drives.append(drive)
            media[drive.name] = drive
            if node_name := option.properties.get("node-name"):
                media.setdefault(node_name, drive)
    return Blocks(media=media, drives=tuple(drives))


def _list_names(properties: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for key, value in properties.items():
        if key == "node-name" or key.endswith(".node-name"):
            yield value, key.removesuffix("node-name")


_SHORT = {
    "hda": (0, "disk"),
    "hdb": (1, "disk"),
    "hdc": (2, "disk"),
    "hdd": (3, "disk"),
    "cdrom": (2, "cdrom"),
}
"""The index and the media of options that are a drive; its interface is the machine's default."""


class _Reader(Struct, frozen=True, kw_only=True):
    nodes: Mapping[str, Option]
    groups: Mapping[str, Option]
    patterns: tuple[str, ...]
    is_snapshot: bool
    """Whether `-snapshot` is given, the default for drives that have no `snapshot=`."""

    def read_drive(self, option: Option, default: str, counts: dict[str, int]) -> Medium | None:
        """Returns the properties of the drive that an option defines; None if it defines none."""
        properties = dict(option.properties)
        if option.name in _SHORT:
            index, media = _SHORT[option.name]
            properties = {
                "file": properties.get("value", ""),
                "if": default,
                "index": str(index),
                "media": media,
            }
        elif option.name != "drive":
            return None
        interface = properties.get("if", default)
        bus, unit = _number(properties.get("bus")), _number(properties.get("unit"))
        if "index" in properties and unit is None:
            bus, unit = None, _number(properties["index"])
        number = counts.get(interface, 0)
        counts[interface] = number + 1
        name = option.properties.get("id") or f"{interface}{number}"
        layers = self._list_layers(option, _unfold_drive(properties), "", "")
        refused = list(_check_drive(properties))
        flags = _read_flags(properties)
        medium = self._summarise(name, option, layers, flags)
        is_cdrom = properties.get("media") == "cdrom"
        backing = self._guess_backing(layers[0].properties, is_cdrom=is_cdrom)
        if len(layers) > 1 or layers[0].driver in FILE_DRIVERS or "file.driver" in properties:
            backing = medium.backing
        aio = _pick_aio(layers[-1].properties.get("aio") or properties.get("aio"))
        return Medium(
            name=name,
            option=option,
            interface=interface,
            place=(bus, unit),
            media="cdrom" if is_cdrom else "disk" if "media" in properties else None,
            backing=backing,
            cache=medium.cache,
            cache_direct=medium.cache_direct,
            cache_no_flush=medium.cache_no_flush,
            write_cache=flags[2],
            nodes=medium.nodes,
            locks=backing is not None and _does_lock(backing.driver, layers[-1].properties),
            aio=aio,
            discard=medium.discard,
            detect_zeroes=medium.detect_zeroes,
            read_only=medium.read_only,
            snapshot=self.is_snapshot
            if "snapshot" not in properties
            else to_bool(properties["snapshot"]),
            rerror=properties.get("rerror"),
            werror=properties.get("werror"),
            limits=_read_limits(properties),
            spans=medium.spans,
            refused=(*refused, *medium.refused),
        )

    def read_node(self, option: Option, name: str, prefix: str) -> Medium:
        """Returns a node of a `-blockdev` with all nodes below it."""
        layers = self._list_layers(option, option.properties, prefix, name)
        return self._summarise(name, option, layers, (None, None, None))

    def _list_layers(
        self, option: Option, properties: Mapping[str, str], prefix: str, name: str
    ) -> tuple[_Layer, ...]:
        """Returns the chain from a node down to the one that opens the file."""
        layers: list[_Layer] = []
        inside = False
        for _ in range(_MAX_DEPTH):
            own = {
                key.removeprefix(prefix): value
                for key, value in properties.items()
                if key.startswith(prefix)
            }
            layers.append(
                _Layer(
                    name=own.get("node-name", name),
                    driver=own.get("driver", ""),
                    properties=own,
                    inside=inside,
                    option=option,
                    prefix=prefix,
                )
            )
            below = own.get("file", own.get("image"))
            if below is not None and below in self.nodes:
                option = self.nodes[below]
                properties, prefix, inside, name = option.properties, "", False, below
            elif (
                any(key.startswith("file.") for key in own)
                and own.get("driver") not in FILE_DRIVERS
            ):
                prefix, inside, name = f"{prefix}file.", True, ""
            else:
                break
        return tuple(layers)

    def _summarise(
        self,
        name: str,
        option: Option,
        layers: Sequence[_Layer],
        given: tuple[bool | None, bool | None, bool | None],
    ) -> Medium:
        """Returns the medium that a chain of nodes results in."""
        direct, no_flush, writeback = given
        skips_flush = no_flush
        spans: dict[str, Span] = {}
        zeroes: DetectZeroes | None = None
        for layer in layers:
            own = layer.properties
            if not layer.inside and layer is not layers[0]:
                direct = no_flush = None
            direct = to_bool(own["cache.direct"]) if "cache.direct" in own else direct
            no_flush = to_bool(own["cache.no-flush"]) if "cache.no-flush" in own else no_flush
            skips_flush = skips_flush or no_flush
            zeroes = _choose_zeroes(zeroes, own.get("detect-zeroes"))
            for key in _NOTED:
                _note(spans, key.partition(".")[0].replace("-", "_"), layer, key)
        discard, kept = _choose_discard(layers)
        lowest = layers[-1]
        written = any(flag is not None for flag in (direct, skips_flush, writeback))
        return Medium(
            name=name,
            option=option,
            backing=self._read_backing(layers),
            cache=_choose_cache(direct, skips_flush, writeback) if written else None,
            cache_direct=direct,
            cache_no_flush=skips_flush,
            nodes=tuple(dict.fromkeys(layer.name for layer in layers if layer.name)),
            locks=_does_lock(lowest.driver, lowest.properties),
            aio=_pick_aio(lowest.properties.get("aio")),
            discard=discard,
            discard_kept=kept,
            detect_zeroes=zeroes,
            read_only=any(_is_read_only(layer) for layer in layers),
            limits=self._find_limits(layers),
            spans=spans,
            refused=tuple(said for layer in layers for said in _check_layer(layer)),
        )

    def _find_limits(self, layers: Sequence[_Layer]) -> tuple[tuple[str, int], ...]:
        for layer in layers:
            group = self.groups.get(layer.properties.get("throttle-group", ""))
            if layer.driver == "throttle" and group is not None:
                return _read_limits(group.properties)
        return ()

    def _read_backing(self, layers: Sequence[_Layer]) -> Backing:
        lowest = layers[-1]
        formats = [layer for layer in layers if layer.driver in _FORMATS]
        return _make_backing(
            _name_file(lowest),
            formats[0].driver if formats else "raw",
            lowest.driver,
            parents=tuple(self._list_parents(formats[0])) if formats else (),
        )

    def _list_parents(self, layer: _Layer) -> Iterator[str]:
        """Yields the files of an image's backing images, newest first."""
        for _ in range(_MAX_DEPTH):
            below = layer.properties.get("backing")
            if below is not None and below in self.nodes:
                layers = self._list_layers(self.nodes[below], self.nodes[below].properties, "", "")
            elif any(key.startswith("backing.") for key in layer.properties):
                prefix = f"{layer.prefix}backing."
                properties = layer.option.properties
                layers = self._list_layers(layer.option, properties, prefix, "")
            else:
                return
            yield _name_file(layers[-1])
            formats = [each for each in layers if each.driver in _FORMATS]
            if not formats:
                return
            layer = formats[0]

    def _guess_backing(self, own: Mapping[str, str], *, is_cdrom: bool) -> Backing | None:
        """Returns what QEMU opens for a file name alone; None is an empty drive."""
        name = own.get("file", "")
        if not name:
            return None
        kind = own.get("driver", "")
        scheme = re.match(r"([a-z][a-z0-9+_-]*):", name)
        if scheme is not None and "/" not in scheme[1]:
            driver = scheme[1].partition("+")[0]
            return _make_backing(name, kind, driver)
        is_device = any(fnmatchcase(name, pattern) for pattern in self.patterns)
        device = "host_cdrom" if is_cdrom else "host_device"
        return _make_backing(name, kind, device if is_device else "file")


_KINDS: Mapping[str, StorageKind] = {"iscsi": "iscsi", "rbd": "rbd"}


def _make_backing(
    filename: str, image_format: str, driver: str, *, parents: tuple[str, ...] = ()
) -> Backing:
    """Returns what QEMU opens, by default through the host's page cache and with threads."""
    return Backing(
        filename=filename,
        format=image_format,
        driver=driver,
        kind=_KINDS.get(driver) or find_storage_kind(filename),
        io_uring="no",
        direct_by_default=False,
        parents=parents,
    )


def _does_lock(driver: str, own: Mapping[str, str]) -> bool:
    locking = own.get("locking", own.get("file.locking"))
    return driver in FILE_DRIVERS and locking != "off"


def _unfold_drive(properties: Mapping[str, str]) -> Mapping[str, str]:
    """Returns a drive's properties as those of a node, with `file=json:{…}` parsed."""
    found = dict(properties)
    if "format" in found:
        found.setdefault("driver", found["format"])
    name = found.get("file", "")
    if name.startswith("json:"):
        try:
            described = load_json(name.removeprefix("json:"))
        except ValueError:
            return found
        if isinstance(described, dict) and isinstance(described.get("file"), dict):
            del found["file"]
            inner = described["file"]
            found.update(
                {f"file.{key}": str(value) for key, value in inner.items() if key != "file"}
            )
            found.setdefault("driver", str(described.get("driver", "")))
    return found


def _read_flags(
    properties: Mapping[str, str],
) -> tuple[bool | None, bool | None, bool | None]:
    """Returns direct, no-flush and writeback from `cache=` and each `cache.…`."""
    mode = _MODES.get(properties.get("cache", ""), (None, None, None))
    own = (
        to_bool(properties.get(f"cache.{flag}")) for flag in ("direct", "no-flush", "writeback")
    )
    direct, no_flush, writeback = (
        flag if flag is not None else default for flag, default in zip(own, mode, strict=True)
    )
    return direct, no_flush, writeback


def _choose_cache(
    direct: bool | None,  # noqa: FBT001 - three flags of one kind
    no_flush: bool | None,  # noqa: FBT001 - as above
    writeback: bool | None,  # noqa: FBT001 - as above
) -> CacheMode | None:
    """Returns the mode for flags; without flushes it is unsafe, whatever the other flags are."""
    if no_flush:
        return "unsafe"
    return name_cache(direct=bool(direct), no_flush=False, writeback=writeback is not False)


def _choose_discard(layers: Sequence[_Layer]) -> tuple[Discard | None, str]:
    """Returns the effect of discards, and the node that stops them if another passes them."""
    written = [layer.properties["discard"] for layer in layers if "discard" in layer.properties]
    if not written:
        return None, ""
    for layer in layers:
        if layer.properties.get("discard", "unmap" if layer.inside else "") not in _DISCARDS:
            passed = not _DISCARDS.isdisjoint(written)
            return "ignore", (layer.name or layer.driver or "the drive") if passed else ""
    return "unmap", ""


def _choose_zeroes(above: DetectZeroes | None, text: str | None) -> DetectZeroes | None:
    if text in get_args(DetectZeroes) and above in {None, "off"}:
        return cast("DetectZeroes", text)
    return above


def _is_read_only(layer: _Layer) -> bool:
    own = layer.properties
    return bool(to_bool(own.get("read-only", own.get("readonly"))))


def _note(spans: dict[str, Span], name: str, layer: _Layer, key: str) -> None:
    span = layer.find_span(key) if key in layer.properties else None
    if span is not None:
        spans.setdefault(name, span)


def _check_layer(layer: _Layer) -> Iterator[tuple[str, str]]:
    own = layer.properties
    for key, allowed in (
        ("aio", get_args(AioEngine)),
        ("discard", ("on", "off", "unmap", "ignore")),
        ("detect-zeroes", get_args(DetectZeroes)),
    ):
        if key in own and own[key] not in allowed:
            said = f"{key}={own[key]} is not one of {', '.join(allowed)}"
            yield layer.prefix + key, said


_GEOMETRY: Final = "the geometry is a property of the device, such as ide-hd"
_GONE: Final[Mapping[str, str]] = {
    "addr": "the address is a property of the device",
    "boot": "bootindex of the device decides what to boot from",
    "cyls": _GEOMETRY,
    "heads": _GEOMETRY,
    "secs": _GEOMETRY,
    "serial": "the serial number is a property of the device",
    "trans": _GEOMETRY,
}
"""Options of old releases, and what is instead. Source: QEMU 10.0.2, run."""


def _check_drive(properties: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    if "cache" in properties and properties["cache"] not in _MODES:
        yield "cache", f"cache={properties['cache']} is not a cache mode"
    media = properties.get("media", "disk")
    if media not in get_args(Media):
        yield "media", f"media={media} is neither disk nor cdrom"
    for name, instead in _GONE.items():
        if name in properties:
            yield name, f"-drive has no option {name}: {instead}"


def _read_limits(properties: Mapping[str, str]) -> tuple[tuple[str, int], ...]:
    limits: dict[str, int] = {}
    for key, text in properties.items():
        number = _number(text)
        if not number:
            continue
        if match := _LIMIT.fullmatch(key):
            limits[match[1]] = number
        elif match := _OLD_LIMIT.fullmatch(key):
            ending = (match[3] or "").replace("_", "-")
            limits[f"{match[1]}{_OLD_WORDS[match[2]]}{ending}"] = number
    return tuple(limits.items())


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and re.fullmatch(r"\d{1,18}", text, re.ASCII) else None


def _pick_aio(text: str | None) -> AioEngine | None:
    return cast("AioEngine", text) if text in get_args(AioEngine) else None


def _name_file(layer: _Layer) -> str:
    """Returns a file's name, or a text like QEMU's own for a medium without a file."""
    own = layer.properties
    if "filename" in own:
        return own["filename"]
    match layer.driver:
        case "rbd":
            parts = (own.get("pool"), own.get("namespace"), own.get("image"))
            return f"rbd:{'/'.join(part for part in parts if part)}"
        case "iscsi":
            return f"iscsi://{own.get('portal', '')}/{own.get('target', '')}/{own.get('lun', 0)}"
        case "nbd":
            address = own.get("server.path") or (
                f"{own.get('server.host', own.get('host', ''))}"
                f":{own.get('server.port', own.get('port', '10809'))}"
            )
            return f"nbd://{address}/{own.get('export', '')}"
        case _:
            return next((own[key] for key in ("url", "path", "file") if key in own), layer.driver)
