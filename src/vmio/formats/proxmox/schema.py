"""The settings of a VM's config, the reading of a list of `key=value`, and a drive's options.

Source: qemu-server 9.2.6. Top-level enumerations, patterns and bounds are not checked when Proxmox
reads a config; the options of a list are, and one bad option drops the whole line.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterable, Mapping
from functools import lru_cache
from typing import Literal

from msgspec import Struct

from vmio.formats.keyval import Part
from vmio.formats.proxmox.perl import (
    is_integer,
    is_number,
    is_true,
    matches,
    parse_boolean,
)
from vmio.model.disk import BusKind
from vmio.model.source import Span
from vmio.patterns import compile_late
from vmio.values import replace

__all__ = [
    "DRIVES_BY_BUS",
    "DRIVE_COUNTS",
    "DRIVE_KEY",
    "EFIDISK",
    "TPMSTATE",
    "UNUSED",
    "Check",
    "Format",
    "Option",
    "any_text",
    "at_least",
    "between",
    "check_boolean",
    "check_integer",
    "check_number",
    "check_option",
    "check_setting",
    "check_url_encoded",
    "check_volume_id",
    "formatted",
    "is_numbered",
    "matching",
    "normalize",
    "one_of",
    "read_parts",
    "render_errors",
]

Check = Callable[[str], str]
"""Returns why a value is refused; empty if it is not."""

DRIVE_COUNTS: Mapping[BusKind, int] = {"ide": 4, "scsi": 31, "virtio": 16, "sata": 6}
"""How many drives each bus may have, in the order in which Proxmox visits the buses."""

DRIVE_KEY = compile_late(r"(ide|scsi|virtio|sata)(\d+)", re.ASCII)

_NUMBERED: Mapping[str, int] = {
    **{str(bus): count for bus, count in DRIVE_COUNTS.items()},
    "efidisk": 1,
    "hostpci": 16,
    "ipconfig": 32,
    "net": 32,
    "numa": 8,
    "parallel": 3,
    "serial": 4,
    "tpmstate": 1,
    "unused": 256,
    "usb": 14,
    "virtiofs": 10,
}
_BOOLEANS = frozenset(
    """
    acpi allow-ksm autostart ciupgrade freeze keephugepages kvm localtime numa onboot
    protection reboot tablet tdf template
    """.split()  # noqa: SIM905 - a list a line each would hide the words
)
_INTEGERS = frozenset(
    """
    balloon cores cpuunits migrate_speed shares smp snaptime sockets vcpus
    """.split()  # noqa: SIM905 - a list a line each would hide the words
)
_NUMBERS = frozenset({"cpulimit", "migrate_downtime"})
_STRINGS = frozenset(
    """
    affinity agent amd-sev arch args audio0 bios boot bootdisk cdrom cicustom cipassword citype
    ciuser cpu delete hookscript hotplug hugepages intel-tdx ivshmem keyboard lock
    machine memory meta name nameserver ostype parent rng0 running-nets-host-mtu runningcpu
    runningmachine scsihw searchdomain smbios1 snapstate spice_enhancements sshkeys startdate
    startup tags vga vmgenid vmstate vmstatestorage watchdog
    """.split()  # noqa: SIM905 - a list a line each would hide the words
)
_VERBATIM = frozenset(
    """
    arch bios cipassword citype ciuser hugepages keyboard lock ostype running-nets-host-mtu
    runningcpu scsihw searchdomain startdate vmgenid
    """.split()  # noqa: SIM905 - a list a line each would hide the words
)
"""Strings whose form is not checked; one pair of quotes around them is removed."""
_VERBATIM_NUMBERED = frozenset({"parallel", "serial"})
_DIGITS = r"\d{1,18}"
_DECIMAL = r"\d{1,18}(\.\d{1,18})?"
_KEY_NUMBER = compile_late(r"([a-z][a-z_-]*?)(\d+)", re.ASCII)


def check_setting(key: str, value: str) -> str:
    """Returns why Proxmox drops a top-level setting when it reads it; empty if it does not.

    Numbers at the top level are stricter than those of a list: digits, and for some settings a
    fraction.
    """
    kind = ""
    if key in _BOOLEANS:
        kind = "" if parse_boolean(value) is not None else "boolean"
    elif key in _INTEGERS:
        kind = "" if matches(_DIGITS, value) else "integer"
    elif key in _NUMBERS:
        kind = "" if matches(_DECIMAL, value) else "number"
    elif key not in _STRINGS and not is_numbered(key, _NUMBERED):
        return f"unknown setting '{key}'"
    if "\r" in value and key != "args":
        return "property contains a line feed"
    return _wrong_type(kind, value) if kind else ""


def is_numbered(key: str, families: Container[str]) -> bool:
    """Returns whether a key is of one of some families, with its number in the family's range."""
    family = _find_family(key)
    return bool(family) and family in families


@lru_cache(maxsize=1024)
def _find_family(key: str) -> str:
    """Returns a key without its number; empty if Proxmox has no such key."""
    match = _KEY_NUMBER.fullmatch(key)
    most = _NUMBERED.get(match[1], 0) if match is not None else 0
    # Proxmox compares the whole name of a key, so `scsi01` is not a key.
    if match is None or match[2] != str(int(match[2][:9])) or int(match[2]) >= most:
        return ""
    return match[1]


def normalize(key: str, value: str) -> str:
    """Returns a valid setting's value as Proxmox stores it: `yes` as 1, `007` as 7."""
    if key in _BOOLEANS and (truth := parse_boolean(value)) is not None:
        return "1" if truth else "0"
    if key in _INTEGERS and matches(_DIGITS, value):
        return str(int(value))
    if value[:1] == '"' and (key in _VERBATIM or is_numbered(key, _VERBATIM_NUMBERED)):
        return value[1:-1] if len(value) > 1 and value[-1] == '"' else value
    return value


def _wrong_type(kind: str, value: str) -> str:
    return f"type check ('{kind}') failed - got '{value}'"


class Option(Struct, frozen=True):
    """One option of a list: the check of its value, and the name under which it is stored."""

    check: Check
    name: str = ""
    """The option that this one is an alias of; empty if it is not an alias."""
    own_name_to: str = ""
    """The option that is set to the name of this one; empty for most."""


class Format(Struct, frozen=True):
    """The valid options of one kind of list."""

    options: Mapping[str, Option]
    default: str = ""
    """The option that a part without a key sets; empty if there is none."""
    required: tuple[str, ...] = ()
    check: Callable[[Mapping[str, Part]], str] | None = None
    """Returns faults of a combination of options that are each valid."""
    companions: tuple[tuple[str, str], ...] = ()
    """Options, each with another one that it requires."""


_BITS = frozenset({"0", "1"})


def check_boolean(value: str) -> str:
    """Returns why a value is not a boolean; `read_parts` has turned the words into 0 and 1."""
    return "" if value in _BITS else _wrong_type("boolean", value)


def check_integer(value: str) -> str:
    """Returns why a value is not a whole number; empty if it is one."""
    return "" if is_integer(value) else _wrong_type("integer", value)


def check_number(value: str) -> str:
    """Returns why a value is not a number; empty if it is one."""
    return "" if is_number(value) else _wrong_type("number", value)


def check_volume_id(value: str) -> str:
    """Returns why a value does not name a volume of a storage; empty if it does."""
    return "" if matches(_VOLUME_ID, value) else f"unable to parse volume ID '{value}'"


def check_url_encoded(value: str) -> str:
    """Returns why a value cannot be a %-encoded text; empty if it can."""
    return "" if matches(_URL_ENCODED, value) else f"invalid urlencoded string: {value}"


_VOLUME_ID = r"[a-zA-Z][a-zA-Z0-9\-_.]*[a-zA-Z0-9]:.+"
_SIZE = r"\d{1,19}(?:\.\d{1,9})?(?:[KMGT](?:iB)?)?"
_URL_ENCODED = r"[-%a-zA-Z0-9_.!~*'()]*"


def _check_file(value: str) -> str:
    if value in {"none", "cdrom"} or value.startswith("/"):
        return ""
    return check_volume_id(value)


def _check_size(value: str) -> str:
    if matches(_SIZE, value):
        return ""
    return f"value does not look like a valid disk size: {value}"


def formatted(check: Check) -> Check:
    """Returns a check of a format with the message for an option of a list."""

    def checked(value: str) -> str:
        reason = check(value)
        return f"invalid format - {reason}" if reason else ""

    return checked


def any_text(value: str) -> str:  # noqa: ARG001 - any text will do; it has the checks' shape
    """Accepts any value."""
    return ""


def at_least(minimum: int, type_check: Check = check_integer) -> Check:
    """Returns a check for numbers from a minimum on, whole ones unless another type is given."""

    def check(value: str) -> str:
        reason = type_check(value)
        if not reason and float(value) < minimum:
            return f"value must have a minimum value of {minimum}"
        return reason

    return check


def between(minimum: int, maximum: int, type_check: Check = check_integer) -> Check:
    """Returns a check for numbers in a range, whole ones unless another type is given."""
    lowest = at_least(minimum, type_check)

    def check(value: str) -> str:
        if not type_check(value) and float(value) > maximum:
            return f"value must have a maximum value of {maximum}"
        return lowest(value)

    return check


def one_of(*values: str) -> Check:
    """Returns a check for one of some words."""

    def check(value: str) -> str:
        if value in values:
            return ""
        return f"value '{value}' does not have a value in the enumeration '{', '.join(values)}'"

    return check


def matching(pattern: str, max_length: int = 0) -> Check:
    """Returns a check for texts that match a whole pattern, up to a length if one is given."""

    def check(value: str) -> str:
        if not matches(pattern, value):
            return "value does not match the regex pattern"
        if max_length and len(value) > max_length:
            return f"value may only be {max_length} characters long"
        return ""

    return check


def _url_encoded(max_length: int) -> Check:
    encoded = formatted(check_url_encoded)

    def check(value: str) -> str:
        too_long = f"value may only be {max_length} characters long"
        return encoded(value) or (too_long if len(value) > max_length else "")

    return check


_BASE: dict[str, Option] = {
    "file": Option(formatted(_check_file)),
    "volume": Option(any_text, "file"),
    "media": Option(one_of("cdrom", "disk")),
    "snapshot": Option(check_boolean),
    "cache": Option(one_of("none", "writethrough", "writeback", "unsafe", "directsync")),
    "format": Option(one_of("raw", "qcow", "qed", "qcow2", "vmdk", "cloop")),
    "size": Option(formatted(_check_size)),
    "backup": Option(check_boolean),
    "replicate": Option(check_boolean),
    "shared": Option(check_boolean),
    "rerror": Option(one_of("ignore", "report", "stop")),
    "werror": Option(one_of("enospc", "ignore", "report", "stop")),
    "aio": Option(one_of("native", "threads", "io_uring")),
    "discard": Option(one_of("ignore", "on")),
    "detect_zeroes": Option(check_boolean),
    "serial": Option(_url_encoded(60)),
}
for _direction in ("", "_rd", "_wr"):
    _BASE[f"mbps{_direction}"] = Option(check_number)
    _BASE[f"mbps{_direction}_max"] = Option(check_number)
    _BASE[f"bps{_direction}"] = Option(check_integer)
    _BASE[f"bps{_direction}_max_length"] = Option(at_least(1))
    _BASE[f"iops{_direction}"] = Option(check_integer)
    _BASE[f"iops{_direction}_max"] = Option(check_integer)
    _BASE[f"iops{_direction}_max_length"] = Option(at_least(1))
    if _direction:
        for _kind in ("bps", "iops"):
            _BASE[f"{_kind}{_direction}_length"] = Option(
                any_text, f"{_kind}{_direction}_max_length"
            )

_WWN = Option(matching(r"0x[0-9a-fA-F]{16}"))
_SSD = Option(check_boolean)
_RO = Option(check_boolean)
_IOTHREAD = Option(check_boolean)
_OF_ONE_BUS: Mapping[BusKind, dict[str, Option]] = {
    "ide": {"ssd": _SSD, "wwn": _WWN, "model": Option(_url_encoded(120))},
    "scsi": {
        "iothread": _IOTHREAD,
        "queues": Option(at_least(2)),
        "ro": _RO,
        "scsiblock": Option(check_boolean),
        "ssd": _SSD,
        "wwn": _WWN,
        "product": Option(matching(r"[A-Za-z0-9\-_\s]{,16}")),
        "vendor": Option(matching(r"[A-Za-z0-9\-_\s]{,8}")),
    },
    "virtio": {"iothread": _IOTHREAD, "ro": _RO},
    "sata": {"ssd": _SSD, "wwn": _WWN},
}

DRIVES_BY_BUS: Mapping[BusKind, Format] = {
    bus: Format(_BASE | options, "file", ("file",)) for bus, options in _OF_ONE_BUS.items()
}
_VOLUME = {name: _BASE[name] for name in ("file", "volume", "format", "size")}
EFIDISK = Format(
    _VOLUME
    | {
        "efitype": Option(one_of("2m", "4m")),
        "pre-enrolled-keys": Option(check_boolean),
        "ms-cert": Option(one_of("2011", "2023", "2023w", "2023k")),
    },
    "file",
    ("file",),
)
TPMSTATE = Format(
    _VOLUME
    | {
        "format": Option(one_of("raw", "qcow2", "vmdk")),
        "version": Option(one_of("v1.2", "v2.0")),
    },
    "file",
    ("file",),
)
UNUSED = Format(
    {"file": Option(formatted(check_volume_id)), "volume": _BASE["volume"]}, "file", ("file",)
)

OptionError = tuple[Literal["whole", "bad", "undefined"], str, str]
"""Its kind, its option, and the reason; a fault of the whole list has no option."""


def read_parts(
    pieces: Iterable[Part], form: Format
) -> tuple[dict[str, Part], tuple[OptionError, ...]]:
    """Returns a list's parts by their own names, and their faults.

    The words for a boolean become 0 and 1, except in the part without a key. With any error
    Proxmox drops the whole list; a fault of the whole list is reported alone.
    """
    found: dict[str, Part] = {}
    has_bare = False
    for part in pieces:
        if part.key or part.span != part.value_span:
            reason = _add(found, part, form.options)
        elif has_bare:
            reason = _duplicate(form.default)
        else:
            reason, has_bare = _add_bare(found, part, form.default), True
        if reason:
            return found, (("whole", "", reason),)
    return found, tuple(_check_parts(found, form))


def _add_bare(found: dict[str, Part], part: Part, default: str) -> str:
    """Adds a part without a key; it replaces a part with the key only if that is false."""
    if not default:
        return "value without key, but schema does not define a default key"
    if default in found and is_true(found[default].value):
        return _duplicate(default)
    found[default] = part
    return ""


def _add(found: dict[str, Part], part: Part, options: Mapping[str, Option]) -> str:
    name = part.key
    if not name or not part.value:
        return "missing key in comma-separated list property"
    if name in found:
        return _duplicate(name)
    option = options.get(name)
    if option is not None and option.name:
        if option.own_name_to:
            if option.own_name_to in found:
                return f"key alias '{option.own_name_to}' is already defined"
            found[option.own_name_to] = replace(part, value=name)
        name, option = option.name, options[option.name]
    if option is not None and option.check is check_boolean and part.value not in _BITS:
        truth = parse_boolean(part.value)
        found[name] = part if truth is None else replace(part, value="1" if truth else "0")
    else:
        found[name] = part
    return ""


def _duplicate(name: str) -> str:
    return f"duplicate key in comma-separated list property: {name}"


def _check_parts(found: Mapping[str, Part], form: Format) -> list[OptionError]:
    errors: list[OptionError] = []
    options = form.options
    for name, part in found.items():
        option = options.get(name)
        if option is None:
            reason = "property is not defined in schema and the schema does not allow"
            errors.append(("undefined", name, f"{reason} additional properties"))
        elif reason := option.check(part.value):
            errors.append(("bad", name, reason))
    errors += [
        ("bad", name, "property is missing and it is not optional")
        for name in form.required
        if name not in found
    ]
    for name, companion in form.companions:
        if name in found and companion not in found:
            reason = f"missing property - '{name}' requires this property"
            errors.append(("bad", companion, reason))
    if not errors and form.check is not None and (reason := form.check(found)):
        errors.append(("whole", "", reason))
    return errors


def check_option(form: Format, key: str, value: str) -> str:
    """Returns why a list cannot contain an option; empty if it can."""
    part = Part(key, value, Span(0, len(key) + 1 + len(value)), Span(len(key) + 1, len(value)))
    found, errors = read_parts((part,), form)
    return next((why for kind, name, why in errors if kind != "bad" or name in found), "")


def render_errors(errors: Iterable[OptionError]) -> str:
    """Returns a list's faults in Proxmox's words; empty if it has none."""
    reasons = [f"{name}: {why}" for kind, name, why in errors if kind != "whole"]
    wholes = [why for kind, _, why in errors if kind == "whole"]
    return "\n".join(wholes or (["format error", *reasons] if reasons else []))
