"""A VM's config file as text: its sections and lines, each with its place.

Source: the file format as qemu-server 9.2.6 reads it; there are no comments, every `#` line is
part of the description of its section.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cached_property, lru_cache
from typing import Literal

from msgspec import Struct

from vmio.errors import InputError
from vmio.model.source import Problem, Source, Span
from vmio.patterns import compile_late

__all__ = ["MAX_CONFIG_BYTES", "Config", "Entry", "Section", "SectionKind", "parse_config"]

MAX_CONFIG_BYTES = 1024 * 1024
"""The limit of Proxmox VE's cluster file system for a file."""

SectionKind = Literal["main", "pending", "special", "snapshot"]

_SHORT_BYTES = 100
_KEY = re.compile(rb"([a-z][a-z_-]*[0-9]*):")
_ENTRY = re.compile(_KEY.pattern + rb"\s*+(.*\S)", re.DOTALL)
"""With a value that is not blank; `*+` does not backtrack, so that a line is read once."""
_SPECIAL = compile_late(rb"special:(cloudinit|fleecing)")
_SNAPSHOT_NAME = compile_late(rb"[a-z][a-z0-9_-]+", re.IGNORECASE)


class Entry(Struct, frozen=True, kw_only=True):
    """One `key: value` line."""

    key: str
    value: str
    """A value that is not UTF-8 contains replacement characters; the bytes stay in the source."""
    span: Span
    """The whole line, its newline excluded."""
    value_span: Span


class Section(Struct, frozen=True, kw_only=True, dict=True):
    """The VM itself, its pending changes, a special section, or a snapshot."""

    kind: SectionKind
    name: str = ""
    """The name of a snapshot or special section."""
    span: Span
    """From its header, or the file's start, to the next header or the file's end."""
    entries: tuple[Entry, ...] = ()
    """In the file's order; a key may occur twice, and the last line is used."""
    description: str = ""

    def settings(self) -> Mapping[str, Entry]:
        """Returns the line that is used for each key."""
        return self._settings

    @cached_property
    def _settings(self) -> Mapping[str, Entry]:
        return {entry.key: entry for entry in self.entries}


class Config(Struct, frozen=True, kw_only=True):
    """A whole config file."""

    source: Source
    main: Section
    pending: Section | None = None
    special: tuple[Section, ...] = ()
    snapshots: tuple[Section, ...] = ()
    problems: tuple[Problem, ...] = ()

    def find_snapshot(self, name: str) -> Section | None:
        """Returns the section of a snapshot, None if there is no such snapshot."""
        return next((section for section in self.snapshots if section.name == name), None)


def parse_config(source: Source) -> Config:
    """Reads a config's lines, and skips those that are not valid.

    Values are not checked here, but where they are used.

    Raises:
        InputError: The text is not a VM config.
    """
    data = source.data
    if len(data) > MAX_CONFIG_BYTES:
        raise InputError(
            f"{source.name} is too large for a VM config: {len(data)} bytes",
            hint=f"Proxmox VE holds no config above {MAX_CONFIG_BYTES} bytes",
        )
    if not data.strip():
        raise InputError(f"{source.name} is empty, not a VM config")
    if b"\0" in data:
        raise InputError(f"{source.name} is binary, not a VM config")
    problems: list[Problem] = []
    sections: dict[tuple[SectionKind, str], Section] = {}
    for header, lines, span in _split_sections(data):
        named = _name_section(header)
        if named is None:
            shown = header.decode("utf-8", "replace") if header is not None else ""
            problems.append(
                Problem(
                    kind="unknown-section",
                    message=f"skipping unknown section: '{shown}'",
                    span=Span(start=span.start, end=span.start + len(header or b"") + 2),
                )
            )
            continue
        kind, name = named
        if named in sections:
            what = {"pending": "section", "special": "special section"}.get(
                kind, "snapshot section"
            )
            problems.append(
                Problem(
                    kind="duplicate-section",
                    message=f"duplicate {what}: {name or 'pending'}",
                    span=Span(start=span.start, end=span.start + len(header or b"") + 2),
                )
            )
        entries, description = _parse_lines(kind, lines, problems)
        sections[named] = Section(
            kind=kind, name=name, span=span, entries=entries, description=description
        )
    main = sections[("main", "")]
    if not main.entries and len(sections) == 1:
        raise InputError(
            f"{source.name} is not a VM config: it has no line of the form 'key: value'"
        )
    return Config(
        source=source,
        main=main,
        pending=sections.get(("pending", "")),
        special=tuple(s for s in sections.values() if s.kind == "special"),
        snapshots=tuple(s for s in sections.values() if s.kind == "snapshot"),
        problems=tuple(problems),
    )


_Line = tuple[bytes, int]
"""A line without its newline, and where it starts."""


def _split_sections(data: bytes) -> Iterator[tuple[bytes | None, list[_Line], Span]]:
    """Yields each header's text (None for the part before the first), lines and span."""
    header: bytes | None = None
    lines: list[_Line] = []
    first = start = 0
    for line in data.split(b"\n"):
        if line[:1] == b"[" and (stripped := line.rstrip()).find(b"]") == len(stripped) - 1:
            yield header, lines, Span(start=first, end=start)
            header, lines, first = stripped[1:-1], [], start
        elif line and not line.isspace():
            lines.append((line, start))
        start += len(line) + 1
    yield header, lines, Span(start=first, end=len(data))


def _name_section(header: bytes | None) -> tuple[SectionKind, str] | None:
    if header is None:
        return "main", ""
    if header.lower() == b"pending":
        return "pending", ""
    special = _SPECIAL.fullmatch(header)
    if special is not None:
        return "special", special[1].decode()
    if _SNAPSHOT_NAME.fullmatch(header):
        return "snapshot", header.decode()
    return None


def _parse_lines(
    kind: SectionKind,
    lines: list[_Line],
    problems: list[Problem],
) -> tuple[tuple[Entry, ...], str]:
    """Returns a section's settings and its description."""
    entries = []
    description: list[str] = []
    for line, start in lines:
        if line.startswith((b"#", b"description:")):
            # The old form has no newline after it. Blanks at a line's end are line breaks.
            old = line[:1] != b"#"
            text = line.partition(b":")[2].strip() if old else line[1:]
            decoded = _decode(text)
            description.append(decoded if old else f"{decoded}\n")
            continue
        entry = _parse_entry(line, start)
        if entry is None or (entry.key == "snapstate" and not _is_snapstate(kind, entry.value)):
            shown = line.decode("utf-8", "replace")
            problems.append(
                Problem(
                    kind="unparsable-line",
                    message=f"unable to parse config: {shown}",
                    span=Span(start=start, end=start + len(line)),
                )
            )
        elif entry.key == "delete" and kind != "pending":
            problems.append(
                Problem(
                    kind="misplaced-setting",
                    message="property 'delete' is only allowed in [PENDING]",
                    span=Span(start=start, end=start + len(line)),
                    subject=entry.key,
                )
            )
        else:
            entries.append(entry)
    return tuple(entries), "".join(description).rstrip()


def _decode(text: bytes) -> str:
    """Returns a line of a description, in which all but plain characters may be %-encoded."""
    if b"%" in text:
        from urllib.parse import unquote_to_bytes

        text = unquote_to_bytes(text)
    return text.decode("utf-8", "replace")


def _is_snapstate(kind: SectionKind, value: str) -> bool:
    return kind == "snapshot" and value in {"prepare", "delete"}


def _parse_entry(line: bytes, line_start: int) -> Entry | None:
    parted = (_part_short if len(line) <= _SHORT_BYTES else _part)(line)
    if parted is None:
        return None
    key, value, start, end = parted
    return Entry(
        key=key,
        value=value,
        span=Span(line_start, line_start + len(line)),
        value_span=Span(line_start + start, line_start + end),
    )


def _part(line: bytes) -> tuple[str, str, int, int] | None:
    """Returns a line's key and value, and where in the line the value is; None if it has none."""
    match = _ENTRY.match(line)
    if match is not None:
        key, value = match.groups()
        start, end = match.span(2)
    else:
        # A lone blank is a value: `boot: ` switches every boot device off.
        match = _KEY.match(line)
        if match is None or match.end() == len(line):
            return None
        key, value = match[1], line[-1:]
        start, end = len(line) - 1, len(line)
    return key.decode("ascii"), value.decode("utf-8", "replace"), start, end


_part_short = lru_cache(maxsize=2048)(_part)
"""Most lines of many VMs are the same few; what is kept of them stays small."""
