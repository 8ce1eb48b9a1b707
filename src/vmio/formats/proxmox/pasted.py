"""A VM's config in whatever text a person has of it: a session, a mail, an answer of the API.

A config of its own is read as it is. What is taken out of another text keeps its lines in their
places where it is a text, and is a text of its own where it is JSON; it is never written back.

Source: `qm config`, `qm pending` and `pvesh get --output-format json` of Proxmox VE 9, run.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Final

from vmio.bounds import load_json
from vmio.formats.proxmox.schema import check_setting
from vmio.model.source import Source
from vmio.patterns import compile_late
from vmio.values import replace

__all__ = ["find_config"]

_MAX_BYTES = 2 * 1024 * 1024
"""Of a text that a config may be somewhere in."""
_OWN_NAME = re.compile(r"(?:.*/)?\d+\.conf", re.DOTALL | re.ASCII)
"""What Proxmox VE calls a config of its own, whatever is in it."""
_LINE = compile_late(rb"([a-z][a-z_-]*[0-9]*):(?:\s|$)")
_ANY_SETTING = re.compile(rb"[a-z][_-]*[0-9]*:(?:\s|$)")
"""Finds what `_LINE` finds anywhere, by the end of its name: looking for all of the name from each
of its letters would take the square of its length."""
_HEADER = compile_late(rb"\[(?:PENDING|special:[a-z]+|[a-z][a-z0-9_-]+)\]\s*", re.IGNORECASE)
_LEAD = compile_late(rb"[ \t]*(?:[>|]+[ \t]*)*")
"""How a mail program or a person sets off what is quoted."""
_STATE = compile_late(rb"(cur|new|del) (?=[a-z][a-z_-]*[0-9]*(?::|\s*$))")
"""How `qm pending` begins its lines."""
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
"""What Proxmox VE says of an option that it cannot take, on lines before the config."""
_WORTHLESS: Final = frozenset(
    {"name", "tags", "lock", "parent", "args", "machine", "cpu", "agent"}
)
"""Settings with names that other texts have, too."""
_PARENT = compile_late(rb"[ \t]*(?:- )?[a-z_][\w.-]*:\s*")
_STRANGE = compile_late(rb"(?m)^(?:apiVersion|kind|rootfs|services|version):\s")
_PENDING = "[PENDING]"


@lru_cache(maxsize=1)
def find_config(source: Source) -> Source | None:
    """Returns a text's config: the very source if it is one, or what is taken out of it.

    Returns:
        None where there is no config in it.
    """
    if source.excerpt:
        return source
    data = source.data
    if data.lstrip()[:1] in {b"{", b"["} and (lines := _read_json(data)):
        return replace(source, data="\n".join((*lines, "")).encode(), excerpt="JSON")
    if _OWN_NAME.fullmatch(source.name):
        return source if _ANY_SETTING.search(data) is not None else _find(source)
    if _STRANGE.search(data):
        return None
    known, other, foreign = _count(data)
    if known and _starts_as_config(data) and (foreign == 0 or known > other + foreign):
        return source if _PROMPT_LINE.search(data) is None else _find(source) or source
    return _find(source)


def _starts_as_config(data: bytes) -> bool:
    """Returns whether the first line that says something is a setting, and no person's words."""
    for line in data.split(b"\n"):
        if line.strip() and not line.startswith(b"#"):
            return _LINE.match(line) is not None
    return False


def _is_known(key: bytes) -> bool:
    """Returns whether Proxmox VE has a setting of that name."""
    return not check_setting(key.decode("ascii"), "1").startswith("unknown")


def _is_setting(key: bytes, value: bytes) -> bool:
    """Returns whether Proxmox VE has a setting of that name, and takes its value."""
    return not check_setting(key.decode("ascii"), value.decode("utf-8", "replace").strip())


def _count(data: bytes) -> tuple[int, int, int]:
    """Counts the lines before the first section: settings, unknown settings, and what is none."""
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


def _find(source: Source) -> Source | None:
    """Returns the first config that stands within a text, each line of it in its place."""
    if len(source.data) > _MAX_BYTES:
        return None
    block = _Block(start=0)
    outer = _Outer()
    for number, line in enumerate(source.data.split(b"\n")):
        taken = _take_line(line) if not outer.holds(line) else b""
        if _PROMPT.match(line) or block.is_repeated(taken):
            if block.is_config:
                break
            block = _Block(start=number + 1)
        else:
            block.add(taken)
    if not block.is_config:
        return None
    lines = (*[b""] * block.start, *block.list_lines(), b"")
    return replace(source, data=b"\n".join(lines), excerpt="a longer text")


class _Outer:
    """What the lines of a YAML document are below, none of which is a config's."""

    def __init__(self) -> None:
        self._depth = self._next = -1

    def holds(self, line: bytes) -> bool:
        """Returns whether a line is below another that is a key alone, right above."""
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
    """Returns the name of the setting of Proxmox VE that a line is of, empty if it is none's."""
    match = _LINE.match(line)
    known = match is not None and _is_known(match[1]) and not _TOLD.match(line)
    return match[1] if match is not None and known else b""


class _Block:
    """Lines of a text that could be a config, and blank ones for those between them."""

    def __init__(self, start: int) -> None:
        self.start = start
        """How many lines of the text come before."""
        self._lines: list[bytes] = []
        self._pending: list[bytes] = []
        self._deleted: list[bytes] = []
        self._keys: set[bytes] = set()
        self._in_section = self._broken = False

    @property
    def is_config(self) -> bool:
        """Whether there are two settings at least, one of which hardly another text has."""
        names = {key.decode("ascii") for key in self._keys}
        return len(names) > 1 and bool(names - _WORTHLESS)

    def is_repeated(self, line: bytes) -> bool:
        """Returns whether a line says once more what was said before some other text."""
        return self._broken and not self._in_section and _find_key(line) in self._keys

    def add(self, line: bytes) -> None:
        """Takes a line, without what sets it off."""
        key = _find_key(line)
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
    """Returns a line of `qm pending`: which of the states it is of, and the setting."""
    match = _STATE.match(line)
    if match is None:
        return None
    rest = line[match.end() :]
    key = re.match(rb"[a-z][a-z_-]*[0-9]*", rest)
    return (match[1], rest) if key is not None and _is_known(key[0]) else None


# What the API answers.


def _read_json(data: bytes) -> list[str]:
    """Returns the lines of a config that JSON has, none if it has none."""
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
    """Returns the lines of a config from what the API tells with what is pending of it."""
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
            # A setting is one line, whatever a document says.
            text = str(int(value) if isinstance(value, bool) else value)
            yield f"{key}: {text.replace(chr(10), ' ')}"
