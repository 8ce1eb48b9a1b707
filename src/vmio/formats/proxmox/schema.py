"""Which settings a VM's config may hold, and what the options of a drive may be.

Source: qemu-server 9.2.6. Top-level enumerations, patterns and bounds are not checked when Proxmox
reads a config; the options of a drive are, and one bad option drops the whole line.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple

from vmio.formats.keyval import Part
from vmio.model.disk import BusKind
from vmio.units import parse_size_bytes

__all__ = [
    "DRIVE_COUNTS",
    "DRIVE_KEY",
    "EFIDISK_OPTIONS",
    "OPTIONS_BY_BUS",
    "TPMSTATE_OPTIONS",
    "Option",
    "any_text",
    "at_least",
    "between",
    "check_boolean",
    "check_number",
    "check_options",
    "check_setting",
    "matching",
    "one_of",
    "parse_bool",
]

_TRUE = frozenset({"1", "on", "yes", "true"})
_FALSE = frozenset({"0", "off", "no", "false"})

DRIVE_COUNTS: Mapping[BusKind, int] = {"ide": 4, "scsi": 31, "virtio": 16, "sata": 6}
"""How many drives each bus may have, in the order in which Proxmox visits the buses."""

DRIVE_KEY = re.compile(r"(ide|scsi|virtio|sata)(\d+)", re.ASCII)

_NUMBERED: Mapping[str, int] = {
    "ide": 4,
    "scsi": 31,
    "virtio": 16,
    "sata": 6,
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
    ciuser cpu delete digest hookscript hotplug hugepages intel-tdx ivshmem keyboard lock
    machine memory meta name nameserver ostype parent rng0 running-nets-host-mtu runningcpu
    runningmachine scsihw searchdomain smbios1 snapstate spice_enhancements sshkeys startdate
    startup tags vga vmgenid vmstate vmstatestorage watchdog
    """.split()  # noqa: SIM905 - a list a line each would hide the words
)
_INTEGER = re.compile(r"[+-]?\d{1,18}", re.ASCII)
_NUMBER = re.compile(r"[+-]?\d{1,15}(\.\d{1,15})?", re.ASCII)
_KEY_NUMBER = re.compile(r"([a-z][a-z_-]*?)(\d+)", re.ASCII)


def parse_bool(text: str) -> bool | None:
    """Returns the truth that Proxmox reads from a text, None if it is no boolean."""
    lowered = text.lower()
    if lowered in _TRUE:
        return True
    return False if lowered in _FALSE else None


def check_setting(key: str, value: str) -> str:
    """Returns why Proxmox drops a top-level setting when it reads it, empty if it does not."""
    if key in _BOOLEANS:
        return "" if parse_bool(value) is not None else _wrong_type("boolean", value)
    if key in _INTEGERS:
        return "" if _is_integer(value) else _wrong_type("integer", value)
    if key in _NUMBERS:
        return "" if _is_number(value) else _wrong_type("number", value)
    if key in _STRINGS:
        return ""
    match = _KEY_NUMBER.fullmatch(key)
    if match is not None:
        digits = match[2]
        count = _NUMBERED.get(match[1], 0)
        if digits == digits.lstrip("0") or digits == "0":
            return "" if int(digits[:9]) < count else f"unknown setting '{key}'"
    return f"unknown setting '{key}'"


def _wrong_type(kind: str, value: str) -> str:
    return f"type check ('{kind}') failed - got '{value}'"


def _is_integer(text: str) -> bool:
    return _INTEGER.fullmatch(text) is not None


def _is_number(text: str) -> bool:
    return _NUMBER.fullmatch(text) is not None


class Option(NamedTuple):
    """One option of a drive: how its value is checked, and under which name it is kept."""

    check: Callable[[str], str]
    """Returns why a value is refused, empty if it is not."""
    name: str = ""
    """The option that this one is another name for; empty if it is its own."""


def check_boolean(value: str) -> str:
    """Returns why a value is no boolean, empty if it is one."""
    return "" if parse_bool(value) is not None else _wrong_type("boolean", value)


def check_number(value: str) -> str:
    """Returns why a value is no number, empty if it is one."""
    return "" if _is_number(value) else _wrong_type("number", value)


def _check_size(value: str) -> str:
    if parse_size_bytes(value) is not None:
        return ""
    return f"invalid format - value does not look like a valid disk size: {value}"


def any_text(value: str) -> str:  # noqa: ARG001 - any text will do; it has the checks' shape
    """Accepts any value."""
    return ""


def at_least(minimum: int) -> Callable[[str], str]:
    """Returns a check for whole numbers from a minimum on."""

    def check(value: str) -> str:
        if not _is_integer(value):
            return _wrong_type("integer", value)
        if int(value) < minimum:
            return f"value must have a minimum value of {minimum}"
        return ""

    return check


def between(minimum: int, maximum: int) -> Callable[[str], str]:
    """Returns a check for whole numbers in a range."""
    lowest = at_least(minimum)

    def check(value: str) -> str:
        reason = lowest(value)
        if not reason and int(value) > maximum:
            return f"value must have a maximum value of {maximum}"
        return reason

    return check


def one_of(*values: str) -> Callable[[str], str]:
    """Returns a check for one of some words."""

    def check(value: str) -> str:
        if value in values:
            return ""
        return f"value '{value}' does not have a value in the enumeration '{', '.join(values)}'"

    return check


def matching(pattern: str) -> Callable[[str], str]:
    """Returns a check for texts that match a pattern as a whole."""

    def check(value: str) -> str:
        # Compiled at its first use, not at import: most configs need few of them.
        matches = re.fullmatch(pattern, value, re.ASCII)
        return "" if matches else "value does not match the regex pattern"

    return check


def _url_encoded(max_length: int) -> Callable[[str], str]:
    allowed = re.compile(r"[-%a-zA-Z0-9_.!~*'()]*", re.ASCII)

    def check(value: str) -> str:
        if len(value) > max_length:
            return f"value may only be {max_length} characters long"
        if not allowed.fullmatch(value):
            return "invalid format - value is not URL encoded"
        return ""

    return check


def _any_integer(value: str) -> str:
    return "" if _is_integer(value) else _wrong_type("integer", value)


_BASE: dict[str, Option] = {
    "file": Option(any_text),
    "volume": Option(any_text, "file"),
    "media": Option(one_of("cdrom", "disk")),
    "snapshot": Option(check_boolean),
    "cache": Option(one_of("none", "writethrough", "writeback", "unsafe", "directsync")),
    "format": Option(one_of("raw", "qcow", "qed", "qcow2", "vmdk", "cloop")),
    "size": Option(_check_size),
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
    _BASE[f"bps{_direction}"] = Option(_any_integer)
    _BASE[f"bps{_direction}_max_length"] = Option(at_least(1))
    _BASE[f"iops{_direction}"] = Option(_any_integer)
    _BASE[f"iops{_direction}_max"] = Option(_any_integer)
    _BASE[f"iops{_direction}_max_length"] = Option(at_least(1))
    if _direction:
        for _kind in ("bps", "iops"):
            _BASE[f"{_kind}{_direction}_length"] = Option(
                at_least(1), f"{_kind}{_direction}_max_length"
            )

_WWN = Option(matching(r"0x[0-9a-fA-F]{16}"))

OPTIONS_BY_BUS: Mapping[BusKind, Mapping[str, Option]] = {
    "ide": _BASE | {"ssd": Option(check_boolean), "wwn": _WWN, "model": Option(_url_encoded(120))},
    "scsi": _BASE
    | {
        "iothread": Option(check_boolean),
        "queues": Option(at_least(2)),
        "ro": Option(check_boolean),
        "scsiblock": Option(check_boolean),
        "ssd": Option(check_boolean),
        "wwn": _WWN,
        "product": Option(matching(r"[A-Za-z0-9\-_\s]{,16}")),
        "vendor": Option(matching(r"[A-Za-z0-9\-_\s]{,8}")),
    },
    "virtio": _BASE | {"iothread": Option(check_boolean), "ro": Option(check_boolean)},
    "sata": _BASE | {"ssd": Option(check_boolean), "wwn": _WWN},
}
_VOLUME = {name: _BASE[name] for name in ("file", "volume", "format", "size")}
EFIDISK_OPTIONS: Mapping[str, Option] = _VOLUME | {
    "efitype": Option(one_of("2m", "4m")),
    "pre-enrolled-keys": Option(check_boolean),
    "ms-cert": Option(one_of("2011", "2023", "2023w", "2023k")),
}
TPMSTATE_OPTIONS: Mapping[str, Option] = _VOLUME | {
    "version": Option(one_of("v1.2", "v2.0")),
}

OptionError = tuple[Literal["bad", "undefined"], str, str]


def check_options(
    parts: tuple[Part, ...], schema: Mapping[str, Option]
) -> tuple[dict[str, Part], tuple[OptionError, ...]]:
    """Returns a property string's parts by option name, and what is wrong with them.

    The option without a key is `file`. An error is its kind, the option and the reason; an error
    of the whole string has no option. With any error Proxmox drops the whole string.
    """
    found: dict[str, Part] = {}
    for part in parts:
        if not part.key and part.span != part.value_span:
            return found, (("bad", "", "missing key in comma-separated list property"),)
        key = part.key or "file"
        option = schema.get(key)
        name = (option.name or key) if option is not None else key
        if name in found:
            reason = f"duplicate key in comma-separated list property: {name}"
            return found, (("bad", "", reason),)
        found[name] = part
    errors: list[OptionError] = []
    for name, part in found.items():
        option = schema.get(name)
        if option is None:
            reason = "property is not defined in schema and the schema does not allow"
            errors.append(("undefined", name, f"{reason} additional properties"))
        elif reason := option.check(part.value):
            errors.append(("bad", name, reason))
    if "file" not in found:
        errors.append(("bad", "file", "property is missing and it is not optional"))
    return found, tuple(errors)
