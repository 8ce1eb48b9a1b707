"""Finds a VM's config in any text that a person has of it: a session, a mail, an API's answer.

A whole config is read unchanged. A config extracted from another text keeps the places of its
lines; one from JSON becomes a new text. An extracted config is never written back.

Source: `qm config`, `qm pending` and `pvesh get --output-format json` of Proxmox VE 9, run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Final, NamedTuple

from vmio.bounds import load_json
from vmio.formats.proxmox.schema import check_setting
from vmio.model.source import Problem, Source, Span
from vmio.patterns import compile_late
from vmio.values import replace

__all__ = ["find_config", "find_number", "list_notes"]

_MAX_BYTES = 2 * 1024 * 1024
"""For a text that may contain a config."""
_OWN_NAME = re.compile(r"(?:.*/)?\d+\.conf", re.DOTALL | re.ASCII)
"""Proxmox VE's names of config files, whatever their content."""
_LINE = compile_late(rb"([a-z][a-z_-]*[0-9]*):(?:\s|$)")
_ANY_SETTING = re.compile(rb"[a-z][_-]*[0-9]*:(?:\s|$)")
"""Finds what `_LINE` finds anywhere, by the end of its name: looking for all of the name from each
of its letters would take the square of its length."""
_HEADER = compile_late(rb"\[(?:PENDING|special:[a-z]+|[a-z][a-z0-9_-]+)\]\s*", re.IGNORECASE)
_LEAD = compile_late(rb"[ \t]*(?:[>|]+[ \t]*)*")
"""The marks of a mail program or a person before quoted lines."""
_STATE = compile_late(rb"(cur|new|del) (?=[a-z][a-z_-]*[0-9]*(?::|\s*$))")
"""The beginnings of lines of `qm pending`."""
_PROMPT_WORDS = (
    rb"[ \t]*(?:\[[^\]\n]{1,99}\]|[^\s@:]{1,64}@[^\s#$%>]{1,99}[^#$%>\n]{0,99})[#$%>](?:\s|$)"
    rb"|[ \t]*[$%] \S|[ \t]*# (?:qm|pvesh|cat) (?:config|showcmd|pending|get|/etc/pve)|[ \t]*```"
)
_PROMPT = compile_late(_PROMPT_WORDS)
_PROMPT_LINE = compile_late(rb"(?m)^(?:" + _PROMPT_WORDS + rb")")
_TOLD = compile_late(
    rb"[a-z_]+: (?:value |type check|property is not|invalid format|missing property|unable to"
    rb"|duplicate key|format error)"
)
"""Proxmox VE's messages about an option that it refuses, on lines before the config."""
_WORTHLESS: Final = frozenset(
    {"name", "tags", "lock", "parent", "args", "machine", "cpu", "agent"}
)
"""Settings whose names other texts use, too."""
_PARENT = compile_late(rb"[ \t]*(?:- )?[a-z_][\w.-]*:\s*")
_STRANGE = compile_late(rb"(?m)^(?:apiVersion|kind|rootfs|services|version):\s")
_PENDING = "[PENDING]"


class _Found(NamedTuple):
    """A config in a text, and what is told around it."""

    source: Source
    number: str = ""
    """The VM's, where the command before it names it."""
    configs: int = 1
    """How many configs there are."""
    line: int = 0
    """Where the config begins, from 0."""


def find_config(source: Source) -> Source | None:
    """Returns a text's config: the same source if it is one, or the config extracted from it.

    Returns:
        None if there is no config in it.
    """
    found = _look(source)
    return None if found is None else found.source


def find_number(source: Source) -> str:
    """Returns the VM's number that the command before a config names; empty where none does."""
    found = _look(source)
    return "" if found is None else found.number


def list_notes(source: Source) -> tuple[Problem, ...]:
    """Returns what there is to know of how a config was taken out of a text."""
    found = _look(source)
    if found is None or found.configs == 1:
        return ()
    line = found.line + 1
    said = f"{found.configs} configs are in this text: the first one, of line {line}, is read"
    start = len(b"\n".join(found.source.data.split(b"\n")[: found.line])) + (found.line > 0)
    span = Span(start=start, end=start)
    return (Problem(kind="partial-command", message=said, span=span, subject="config"),)


@lru_cache(maxsize=1)
def _look(source: Source) -> _Found | None:
    if source.excerpt:
        return _Found(source)
    data = source.data
    if data.lstrip()[:1] in {b"{", b"["} and (lines := _read_json(data)):
        return _Found(replace(source, data="\n".join((*lines, "")).encode(), excerpt="JSON"))
    if _OWN_NAME.fullmatch(source.name):
        is_own = _ANY_SETTING.search(data) is not None
        return _Found(source) if is_own else _find(source)
    if _STRANGE.search(data):
        return None
    known, other, foreign = _count(data)
    if known and _starts_as_config(data) and (foreign == 0 or known > other + foreign):
        found = None if _PROMPT_LINE.search(data) is None else _find(source)
        return found or _Found(source)
    return _find(source)


def _starts_as_config(data: bytes) -> bool:
    """Returns whether the first line with content is a setting, not a person's words."""
    for line in data.split(b"\n"):
        if line.strip() and not line.startswith(b"#"):
            return _LINE.match(line) is not None
    return False


def _is_known(key: bytes) -> bool:
    """Returns whether Proxmox VE has a setting of that name."""
    return not check_setting(key.decode("ascii"), "1").startswith("unknown")


def _is_setting(key: bytes, value: bytes) -> bool:
    """Returns whether Proxmox VE has a setting of that name, and accepts its value."""
    return not check_setting(key.decode("ascii"), value.decode("utf-8", "replace").strip())


def _count(data: bytes) -> tuple[int, int, int]:
    """Counts the lines before the first section: settings, unknown settings, and other lines."""
    known = other = foreign = 0
    for line in data.split(b"\n"):
        if not line.strip() or line.startswith((b"#", b"description:")):
            continue
        if _HEADER.fullmatch(line):
            break
        match = _LINE.match(line)
        if match is None:
            foreign += 1
        elif _is_setting(match[1], line[match.end() :]):
            known += 1
        else:
            other += 1
    return known, other, foreign


# A config within a text.


def _find(source: Source) -> _Found | None:
    """Returns the first config within a text, with each line in its place."""
    if len(source.data) > _MAX_BYTES:
        return None
    block = _Block(start=0)
    outer = _Outer()
    found: list[_Block] = []
    for position, line in enumerate(_list_lines(source.data)):
        taken = _take_line(line) if not outer.holds(line) else b""
        is_prompt = _PROMPT.match(line) is not None
        if is_prompt or block.is_repeated(taken):
            if block.is_config:
                found.append(block)
            block = _Block(start=position + 1)
            if is_prompt:
                asked = _ASKED.search(line[:_MAX_PROMPT])
                block.number = "" if asked is None else asked[asked.lastindex or 0].decode()
        else:
            block.add(taken)
    if block.is_config:
        found.append(block)
    if not found:
        return None
    first = found[0]
    lines = (*[b""] * first.start, *first.list_lines(), b"")
    taken_out = replace(source, data=b"\n".join(lines), excerpt="a longer text")
    others = sum(not each.number or each.number != first.number for each in found[1:])
    return _Found(taken_out, number=first.number, configs=1 + others, line=first.first)


_MAX_PROMPT = 400
_ASKED = re.compile(
    rb"\bqm (?:config|pending) (\d{1,9})\b|/qemu/(\d{1,9})/(?:config|pending)\b"
    rb"|/qemu-server/(\d{1,9})\.conf\b"
)
"""How a command asks for the config of a VM."""
_MARK = b"\xef\xbb\xbf"
_BOX = re.compile(rb"[ \t]*(?:\xe2\x94\x82|\|)(.*)(?:\xe2\x94\x82|\|)[ \t]*\r?", re.DOTALL)
_BOX_EDGE = re.compile(rb"\xe2\x94\x82|\|")
_BOX_KEY = re.compile(rb"[a-z][a-z_-]*[0-9]*")
_IN_BOX = frozenset({b"key", b"digest"})
"""The head of a table, and what is no setting."""


def _list_lines(data: bytes) -> Iterator[bytes]:
    """Yields the lines of a text, those of a table of `pvesh get` as a config has them."""
    parts: list[bytes] = []  # of one setting, a row each
    for line in data.removeprefix(_MARK).split(b"\n"):
        box = _BOX.fullmatch(line)
        cells = () if box is None else _BOX_EDGE.split(box[1], maxsplit=1)
        if len(cells) == 2:  # noqa: PLR2004 - a key and a value
            key, value = cells[0].strip(), cells[1].strip()
            if not key and parts:
                parts.append(value)
                continue
            if _BOX_KEY.fullmatch(key):
                yield from _join_rows(parts)
                parts = [b"" if key in _IN_BOX else key + b": ", value]
                continue
        yield from _join_rows(parts)
        parts = []
        yield line
    yield from _join_rows(parts)


def _join_rows(parts: list[bytes]) -> Iterator[bytes]:
    """Yields the line of a setting that is in several rows, and an empty one for each further."""
    if parts:
        yield b"".join(parts) if parts[0] else b""
        yield from (b"" for _ in parts[2:])


class _Outer:
    """Keys above the lines of a YAML document, which are not those of a config."""

    def __init__(self) -> None:
        self._depth = self._next = -1

    def holds(self, line: bytes) -> bool:
        """Returns whether the line right above a line is a key alone."""
        depth = len(line) - len(line.lstrip())
        if not line.strip():
            self._next = -1
            return self._depth >= 0
        if self._next >= 0 and depth > self._next and self._depth < 0:
            self._depth = self._next
        self._next = depth if _PARENT.fullmatch(line) else -1
        if depth <= self._depth:
            self._depth = -1
        return self._depth >= 0


def _find_key(line: bytes) -> bytes:
    """Returns the name of a line's setting of Proxmox VE; empty if the line is no setting."""
    match = _LINE.match(line)
    known = match is not None and _is_known(match[1]) and not _TOLD.match(line)
    return match[1] if match is not None and known else b""


class _Block:
    """Lines of a text that could be a config, with blank lines for those between them."""

    def __init__(self, start: int) -> None:
        self.start = start
        """How many lines of the text come before."""
        self.number = ""
        """The VM's, where the command before them names it."""
        self.first = start
        """Where the first setting is."""
        self._lines: list[bytes] = []
        self._pending: list[bytes] = []
        self._deleted: list[bytes] = []
        self._keys: set[bytes] = set()
        self._in_section = self._broken = False

    @property
    def is_config(self) -> bool:
        """Whether there are at least two settings, and hardly any other text has one of them."""
        names = {key.decode("ascii") for key in self._keys}
        return len(names) > 1 and bool(names - _WORTHLESS)

    def is_repeated(self, line: bytes) -> bool:
        """Returns whether a line repeats a setting from before some other text."""
        return self._broken and not self._in_section and _find_key(line) in self._keys

    def add(self, line: bytes) -> None:
        """Adds a line, without the marks before it."""
        key = _find_key(line)
        if not self._keys:
            self.first = self.start + len(self._lines)
        if key:
            self._lines.append(line)
            if not self._in_section:
                self._keys.add(key)
        elif state := _read_state(line):
            self._add_state(*state)
        elif self._keys and _HEADER.fullmatch(line):
            self._lines.append(line.rstrip())
            self._in_section = True
        elif self._keys and (
            line.startswith(b"#") or (_LINE.match(line) and not _TOLD.match(line))
        ):
            self._lines.append(line)
        else:
            self._lines.append(b"")
            self._broken = self._broken or (bool(self._keys) and bool(line.strip()))

    def _add_state(self, state: bytes, setting: bytes) -> None:
        self._lines.append(setting if state == b"cur" else b"")
        key = setting.partition(b":")[0].strip()
        if state == b"cur":
            self._keys.add(key)
        elif state == b"new":
            self._pending.append(setting)
        else:
            self._deleted.append(key)

    def list_lines(self) -> Iterator[bytes]:
        """Yields the lines of the config."""
        yield from self._lines
        if self._pending or self._deleted:
            yield _PENDING.encode()
        if self._deleted:
            yield b"delete: " + b",".join(self._deleted)
        yield from self._pending


def _take_line(line: bytes) -> bytes:
    lead = _LEAD.match(line)
    return line[lead.end() if lead is not None else 0 :]


def _read_state(line: bytes) -> tuple[bytes, bytes] | None:
    """Returns the state and the setting of a line of `qm pending`."""
    match = _STATE.match(line)
    if match is None:
        return None
    rest = line[match.end() :]
    key = re.match(rb"[a-z][a-z_-]*[0-9]*", rest)
    return (match[1], rest) if key is not None and _is_known(key[0]) else None


# Answers of the API.


def _read_json(data: bytes) -> list[str]:
    """Returns the lines of a config in JSON; none if it has no config."""
    if len(data) > _MAX_BYTES:
        return []
    try:
        document = load_json(data)
    except ValueError:
        return []
    if isinstance(document, dict) and isinstance(document.get("data"), dict | list):
        document = document["data"]
    if isinstance(document, list):
        return _read_pending(document)
    if not isinstance(document, dict):
        return []
    keys = {key for key in document if key.isascii() and _is_known(key.encode())}
    others = document.keys() - keys - {"digest", "description"}
    if not keys - _WORTHLESS or len(others) > len(keys):
        return []
    return list(_render(document))


def _read_pending(document: list[object]) -> list[str]:
    """Returns the lines of a config from the API's answer with pending changes."""
    current: dict[str, object] = {}
    waiting: dict[str, object] = {}
    deleted: list[str] = []
    for entry in document:
        if not isinstance(entry, dict) or not isinstance(key := entry.get("key"), str):
            return []
        if "value" in entry:
            current[key] = entry["value"]
        if "pending" in entry:
            waiting[key] = entry["pending"]
        if entry.get("delete"):
            deleted.append(key)
    known = {key for key in current if key.isascii() and _is_known(key.encode())}
    if not known - _WORTHLESS:
        return []
    lines = list(_render(current))
    if waiting or deleted:
        lines.append(_PENDING)
        if deleted:
            lines.append(f"delete: {','.join(key for key in deleted if _KEY.fullmatch(key))}")
        lines += _render(waiting)
    return lines


_KEY = compile_late(r"[a-z][a-z_-]*[0-9]*", re.ASCII)


def _render(settings: Mapping[str, object]) -> Iterator[str]:
    description = settings.get("description")
    if isinstance(description, str):
        yield from (f"#{line}" for line in description.rstrip("\n").split("\n"))
    for key, value in settings.items():
        if key in {"digest", "description"} or not _KEY.fullmatch(key):
            continue
        if isinstance(value, str | int | float):
            # A setting is one line, even if the document has more.
            text = str(int(value) if isinstance(value, bool) else value)
            yield f"{key}: {text.replace(chr(10), ' ')}"
