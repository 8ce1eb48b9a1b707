"""Changes to a VM's config: edits that keep every other byte, and the normal form.

An edit changes a person's own text in the place where Proxmox itself would write. The normal
form is the whole file as Proxmox writes it after any change of its own.

Source: qemu-server 9.2.6; the options that need no key are those of the manual page qm.conf(5).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from vmio.errors import UsageError
from vmio.formats.keyval import Part, split_parts
from vmio.formats.proxmox.config import Config, Entry, Section
from vmio.formats.proxmox.schema import (
    DRIVE_COUNTS,
    DRIVE_KEY,
    DRIVES_BY_BUS,
    check_option,
    check_setting,
    normalize,
)
from vmio.formats.proxmox.strict import list_sections, read_drive, valid_entries
from vmio.model.source import Edit, Source, Span
from vmio.patterns import compile_late
from vmio.values import replace

__all__ = [
    "cut_option",
    "place_setting",
    "remove_option",
    "remove_setting",
    "render_config",
    "set_option",
    "set_setting",
]

_KEY = compile_late(r"[a-z][a-z_-]*[0-9]*", re.ASCII)
_NUMBERED = compile_late(r"([a-z][a-z_-]*?)(\d*)", re.ASCII)
_VOLUME_KEYS = frozenset({*DRIVE_COUNTS, "cdrom", "efidisk", "tpmstate"})
_BARE_OPTIONS: Mapping[str, str] = {
    **dict.fromkeys(_VOLUME_KEYS, "file"),
    "agent": "enabled",
    "amd-sev": "type",
    "boot": "legacy",
    "cpu": "cputype",
    "hostpci": "host",
    "intel-tdx": "type",
    "machine": "type",
    "memory": "current",
    "net": "model",
    "rng": "source",
    "startup": "order",
    "usb": "host",
    "vga": "type",
    "virtiofs": "dirid",
    "watchdog": "model",
}
"""The option that a value without a key sets, by setting."""
_PLAIN = bytes({*range(0x20, 0x25), *range(0x26, 0x3A), *range(0x3B, 0x7F)}).decode()
"""Characters that are unchanged in a description; `%`, `:` and the rest are percent-encoded."""


def set_setting(config: Config, section: Section, key: str, value: str) -> Edit:
    """Returns the edit that gives a key of a section a value.

    The line that is used is changed, or else a new one is added where Proxmox, which sorts keys
    by their bytes, would write it.

    Raises:
        UsageError: Proxmox would not accept the setting.
    """
    _check_text(key, value)
    if not _KEY.fullmatch(key):
        raise UsageError(f"'{key}' is not the name of a setting")
    reason = "" if section.kind == "special" else check_setting(key, value)
    if reason:
        raise UsageError(f"unable to parse value of '{key}' - {reason}")
    lines = {entry.key: entry.span for entry in section.entries}
    if key == "ide2" and "cdrom" in lines:
        # The old name of ide2 would still be used: of the two names, Proxmox uses the later line.
        lines["ide2"] = max(lines["cdrom"], lines.get("ide2", lines["cdrom"]))
    if lines:
        return place_setting(config.source, lines, key, value)
    return _insert_after(config.source, _find_head(config.source, section), f"{key}: {value}")


def place_setting(source: Source, lines: Mapping[str, Span], key: str, value: str) -> Edit:
    """Returns the edit that sets a key in a section that has at least one line with it."""
    line = lines.get(key)
    if line is not None:
        start = source.data.index(b":", line.start) + 1
        rest = source.data[start : line.end]
        written = rest.strip()
        if not written or not value.strip():
            return Edit(span=Span(start=start, end=line.end), text=f" {value}")
        start += rest.index(written)
        return Edit(span=Span(start=start, end=start + len(written)), text=value)
    before = max((other for other in lines if other < key), default=None)
    if before is not None:
        return _insert_after(source, lines[before], f"{key}: {value}")
    first = min(lines.values())
    ending = "\r\n" if source.data[first.start : first.end].endswith(b"\r") else "\n"
    return Edit(span=Span(start=first.start, end=first.start), text=f"{key}: {value}{ending}")


def remove_setting(config: Config, section: Section, key: str) -> tuple[Edit, ...]:
    """Returns the edits that remove a key from a section: every line of it, with its newline."""
    data = config.source.data
    return tuple(
        Edit(span=Span(start=line.start, end=min(line.end + 1, len(data))), text="")
        for line in (entry.span for entry in section.entries if entry.key == key)
    )


def set_option(config: Config, section: Section, key: str, option: str, value: str) -> Edit:
    """Returns the edit that gives an option of a property string a value.

    A new option is added where Proxmox would write it: after the value without a key, with the
    options sorted by their names.

    Raises:
        UsageError: The section has no such setting, or Proxmox would not accept the option.
    """
    entry = _find_entry(section, key)
    _check_text(option, value)
    if "," in value or not value.strip() or not re.fullmatch(r"[\w-]+", option, re.ASCII):
        raise UsageError(f"'{option}={value}' cannot be an option of {key}")
    drive = DRIVE_KEY.fullmatch(key)
    if drive is not None:
        form = next(form for bus, form in DRIVES_BY_BUS.items() if bus == drive[1])
        if option not in form.options:
            raise UsageError(f"{key} can have no option '{option}'")
        if reason := check_option(form, option, value):
            raise UsageError(f"{key}: {option}: {reason}")
    parts = split_parts(config.source.data, entry.value_span)
    bare, (name, *names) = _name_options(key, (option, *(part.key for part in parts)))
    if name in names:
        return Edit(span=parts[names.index(name)].value_span, text=value)
    order = name != bare, name
    ends = [
        part.span.end
        for part, other in zip(parts, names, strict=True)
        if (other != bare, other) < order
    ]
    if ends:
        place = max(ends)
        return Edit(span=Span(start=place, end=place), text=f",{option}={value}")
    place = entry.value_span.start
    return Edit(span=Span(start=place, end=place), text=f"{option}={value},")


def remove_option(config: Config, section: Section, key: str, option: str) -> Edit:
    """Returns the edit that removes an option of a property string, and one comma beside it.

    Raises:
        UsageError: The section has no such setting, or the setting has no such option or no other.
    """
    entry = _find_entry(section, key)
    parts = split_parts(config.source.data, entry.value_span)
    _, (name, *names) = _name_options(key, (option, *(part.key for part in parts)))
    if name not in names:
        raise UsageError(f"{key} has no option '{option}'")
    if len(parts) == 1:
        raise UsageError(f"without '{option}' nothing would be left of {key}")
    return cut_option(config.source, parts[names.index(name)].span)


def cut_option(source: Source, option: Span) -> Edit:
    """Returns the edit that removes an option by its place, together with one comma beside it."""
    start, end = option.start, option.end
    if source.data[start - 1 : start] == b",":
        start -= 1
    elif source.data[end : end + 1] == b",":
        end += 1
    return Edit(span=Span(start=start, end=end), text="")


def render_config(config: Config) -> bytes:
    """Returns a config in normal form: what Proxmox would write after reading it.

    Lines that Proxmox refuses are removed, of a repeated key the last line is kept, and an unused
    volume that is in use again is no longer listed as unused.
    """
    source = config.source
    bodies = [
        (section, valid_entries(source, section), _render_description(source, section))
        for section in list_sections(config)
    ]
    used = {
        read.value
        for section, entries, _ in bodies
        if section.kind in {"main", "snapshot"}
        for entry in entries.values()
        for read in _read_volume(source, entry)
    }
    pieces = []
    for section, entries, description in bodies:
        if section.kind == "main":
            entries = {  # noqa: PLW2901 - the same settings, fewer
                key: entry
                for key, entry in entries.items()
                if not (key.startswith("unused") and entry.value in used)
            }
        body = description + _render_entries(source, section, entries)
        match section.kind:
            case "main":
                pieces.append(body)
            case "pending" if body:
                pieces.append(b"\n[PENDING]\n" + body)
            case "special" if section.name != "cloudinit" or _has_cloudinit(source, config.main):
                pieces.append(b"\n[special:%s]\n" % section.name.encode() + body)
            case "snapshot":
                pieces.append(b"\n[%s]\n" % section.name.encode() + body)
            case _:
                pass
    return b"".join(pieces)


def _check_text(name: str, value: str) -> None:
    encodable = value.encode("utf-8", "ignore").decode() == value
    blank = value == " "
    if not encodable or re.search(r"[\n\0]", value) or (value.encode().strip() == b"") != blank:
        raise UsageError(f"the value of '{name}' is not one line of text")
    if not blank and value.encode().strip() != value.encode():
        raise UsageError(f"the value of '{name}' begins or ends with a blank")


def _find_entry(section: Section, key: str) -> Entry:
    entry = section.settings().get(key)
    if entry is None:
        raise UsageError(f"there is no setting '{key}' to change")
    return entry


def _find_head(source: Source, section: Section) -> Span:
    """Returns the last line of a section without settings: of its description, or its header."""
    head = Span(start=section.span.start, end=section.span.start)
    start = section.span.start
    for line in source.data[section.span.start : section.span.end].split(b"\n"):
        if line.strip():
            head = Span(start=start, end=start + len(line))
        start += len(line) + 1
    return head


def _insert_after(source: Source, line: Span, text: str) -> Edit:
    written = source.data[line.start : line.end]
    place = Span(start=line.end, end=line.end)
    if not written:
        return Edit(span=place, text=f"{text}\n")
    if written.endswith(b"\r"):
        return Edit(span=place, text=f"\n{text}\r")
    return Edit(span=place, text=f"\n{text}")


def _name_options(key: str, options: Iterable[str]) -> tuple[str, list[str]]:
    """Returns the option that a value without a key sets, and the options' own names."""
    match = _NUMBERED.fullmatch(key)
    family = match[1] if match is not None else key
    bare = _BARE_OPTIONS.get(family, "")
    form = next((form for bus, form in DRIVES_BY_BUS.items() if bus == family), None)
    known = form.options if form is not None else {}
    names = []
    for option in options:
        alias = known.get(option)
        names.append((alias.name if alias is not None else "") or option or bare)
    return bare, names


def _render_description(source: Source, section: Section) -> bytes:
    from urllib.parse import quote

    lines = [f"#{quote(line, safe=_PLAIN)}\n" for line in section.description.split("\n")]
    if section.description:
        return "".join(lines).encode()
    # A pending empty description is a change: it removes the old one.
    body = source.data[section.span.start : section.span.end]
    written = re.search(rb"^(#|description:)", body, re.MULTILINE) is not None
    return b"#\n" if section.kind == "pending" and written else b""


def _render_entries(source: Source, section: Section, entries: Mapping[str, Entry]) -> bytes:
    kept = dict(entries)
    if section.kind == "special":
        return b"".join(_render_line(source, kept[key]) for key in sorted(kept))
    if "cdrom" in kept:
        written = (kept.pop("cdrom"), kept.get("ide2"))
        last = max((entry for entry in written if entry is not None), key=lambda e: e.span)
        kept["ide2"] = replace(last, key="ide2")
    if "smp" in kept:
        smp = kept.pop("smp")
        kept.setdefault("sockets", replace(smp, key="sockets"))
    return b"".join(_render_line(source, kept[key]) for key in sorted(kept))


def _render_line(source: Source, entry: Entry) -> bytes:
    value = source.data[entry.value_span.start : entry.value_span.end]
    normal = normalize(entry.key, entry.value)
    if normal != entry.value and value.decode("utf-8", "replace").encode() == value:
        value = normal.encode()
    return b"%s: %s\n" % (entry.key.encode(), value)


def _read_volume(source: Source, entry: Entry) -> Iterator[Part]:
    """Yields the volume of a drive's line, including the drives that hold a VM's state."""
    match = _NUMBERED.fullmatch(entry.key)
    if match is not None and match[1] in _VOLUME_KEYS:
        parts = split_parts(source.data, entry.value_span)
        _, names = _name_options(entry.key, (part.key for part in parts))
        yield from (part for part, name in zip(parts, names, strict=True) if name == "file")


def _has_cloudinit(source: Source, section: Section) -> bool:
    for entry in valid_entries(source, section).values():
        disk, _ = read_drive(source, entry)
        if disk is not None and disk.cloudinit:
            return True
    return False
