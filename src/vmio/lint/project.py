"""The project configuration: which findings a project reports and how severe, from its vmio.toml.

::

    [check]
    select = ["TH", "CA"]           # codes, names or families; every rule if not given
    ignore = ["TH004"]
    severity = "warning"            # less harmful findings are neither shown nor counted
    baseline = "vmio-baseline.json" # paths are relative to the folder of vmio.toml
    storage = "storage.cfg"
    host = "node1.toml"

    [rules.CA001]
    severity = "info"               # or "warning", "error", "off"

    [[exceptions]]
    vm = "701"
    disk = "scsi0"                  # any if not given
    rules = ["TH001"]
    reason = "moves to the new storage in March"
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, NoReturn

from msgspec import Struct, field

from vmio.bounds import load_toml
from vmio.errors import InputError, UsageError
from vmio.lint.diagnostic import Diagnostic, Severity, Suppressed
from vmio.lint.registry import Entry, drop_silent, find_rule, load_rule, select_rules
from vmio.lint.rule import Context, Need, Rule
from vmio.model.source import Source
from vmio.values import replace

__all__ = [
    "MAX_PROJECT_BYTES",
    "Exemption",
    "ProjectConfig",
    "apply_project_config",
    "choose_rules",
    "drop_below",
    "load_rules",
    "override_project_config",
    "parse_project_config",
]

MAX_PROJECT_BYTES = 1024 * 1024

_OFF = "off"


class Exemption(Struct, frozen=True, kw_only=True):
    """An exception: findings that are accepted for one VM, or one disk of it, with the reason."""

    vm: str
    disk: str = ""
    """The subject of a finding, such as `scsi0`; empty for every subject."""
    codes: frozenset[str]
    reason: str

    def covers(self, diagnostic: Diagnostic, vm: str) -> bool:
        """Returns whether it accepts a finding in a VM's config."""
        return (
            vm == self.vm
            and diagnostic.code in self.codes
            and self.disk in {"", diagnostic.subject}
        )


class ProjectConfig(Struct, frozen=True, kw_only=True):
    """Which findings are reported, and how severe; by default all of them, unchanged."""

    name: str = ""
    """The name of its file; empty if there is none."""
    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    severity: Severity = Severity.INFO
    """The least severity that is reported."""
    levels: Mapping[str, Severity] = field(default_factory=dict)
    """The configured severities, by the code of the rule."""
    off: frozenset[str] = frozenset()
    """Codes of rules that are switched off."""
    exceptions: tuple[Exemption, ...] = ()
    baseline: str = ""
    """Paths as given, relative to the folder of its file; empty if not given."""
    storage: str = ""
    host: str = ""


def override_project_config(
    project: ProjectConfig,
    *,
    select: tuple[str, ...] = (),
    ignore: tuple[str, ...] = (),
    severity: Severity | None = None,
) -> ProjectConfig:
    """Returns a configuration with a call's settings: its selection replaces, its exclusions add.

    Raises:
        UsageError: There is no such rule.
    """
    select_rules(select, ignore)
    return replace(
        project,
        select=select or project.select,
        ignore=(*project.ignore, *ignore),
        severity=severity or project.severity,
    )


def choose_rules(project: ProjectConfig) -> tuple[Entry, ...]:
    """Returns the rules that run, in the registry's order."""
    return _choose(project.select, project.ignore, project.off)


@lru_cache(maxsize=8)
def _choose(
    select: tuple[str, ...], ignore: tuple[str, ...], off: frozenset[str]
) -> tuple[Entry, ...]:
    return select_rules(select, (*ignore, *sorted(off)))


def load_rules(project: ProjectConfig, context: Context | None = None) -> tuple[type[Rule], ...]:
    """Returns the classes of the rules that run.

    Args:
        project: The project configuration.
        context: The guest, to leave out rules that can find nothing in it.
    """
    if context is None:
        return tuple(map(load_rule, choose_rules(project)))
    vm = context.vm
    return _load(project.select, project.ignore, project.off, vm.notation, context.present)


@lru_cache(maxsize=256)
def _load(
    select: tuple[str, ...],
    ignore: tuple[str, ...],
    off: frozenset[str],
    notation: str,
    present: frozenset[Need],
) -> tuple[type[Rule], ...]:
    chosen = drop_silent(_choose(select, ignore, off), notation, present)
    return tuple(map(load_rule, chosen))


def apply_project_config(
    findings: Iterable[Diagnostic], project: ProjectConfig, *, vm: str
) -> tuple[tuple[Diagnostic, ...], tuple[Suppressed, ...]]:
    """Returns one VM's findings with their configured severities, and the accepted ones.

    The most harmful come first. Findings below the least severity are included, since a baseline
    may contain them (see `drop_below`).
    """
    kept: list[Diagnostic] = []
    accepted: list[Suppressed] = []
    exceptions = [exception for exception in project.exceptions if exception.vm == vm]
    for found in findings:
        if found.code in project.off:
            continue
        level = project.levels.get(found.code)
        one = found if level is None else replace(found, severity=level)
        exception = next((each for each in exceptions if each.covers(one, vm)), None)
        if exception is None:
            kept.append(one)
        else:
            accepted.append(Suppressed(diagnostic=one, reason=exception.reason))
    if project.levels:
        kept.sort(key=lambda diagnostic: diagnostic.severity.rank)
    return tuple(kept), tuple(accepted)


def drop_below(findings: Iterable[Diagnostic], severity: Severity) -> tuple[Diagnostic, ...]:
    """Returns the findings of at least a severity."""
    return tuple(one for one in findings if one.severity.rank <= severity.rank)


def parse_project_config(source: Source) -> ProjectConfig:
    """Reads a vmio.toml.

    Raises:
        InputError: It is not TOML, or has a key or value that is not valid; the message names the
            line.
    """
    if len(source.data) > MAX_PROJECT_BYTES:
        raise InputError(f"{source.name} is too large for a project configuration")
    try:
        table = load_toml(source.data)
    except ValueError as error:
        raise InputError(f"{source.name} is not TOML: {_shorten(str(error))}") from error
    return _Reader(source).read(table)


def _shorten(text: str) -> str:
    return text if len(text) <= 200 else f"{text[:200]}…"  # noqa: PLR2004 - one line


class _Reader:
    """Turns a document into a project configuration; its errors name the line."""

    def __init__(self, source: Source) -> None:
        self.source = source

    def read(self, table: Mapping[str, Any]) -> ProjectConfig:
        self.check_keys(table, ("check", "rules", "exceptions"), ())
        check = self.read_table(table.get("check", {}), ("check",))
        texts = ("baseline", "storage", "host")
        self.check_keys(check, ("select", "ignore", "severity", *texts), ("check",))
        levels: dict[str, Severity] = {}
        off: set[str] = set()
        for name, value in self.read_table(table.get("rules", {}), ("rules",)).items():
            path = ("rules", name)
            code = self.read_code(name, path)
            rule = self.read_table(value, path)
            self.check_keys(rule, ("severity",), path)
            word = self.read_text(rule, "severity", path)
            if word == _OFF:
                off.add(code)
            else:
                levels[code] = self.read_severity(word, (*path, "severity"), off=True)
        severity = Severity.INFO
        if "severity" in check:
            word = self.read_text(check, "severity", ("check",))
            severity = self.read_severity(word, ("check", "severity"))
        return ProjectConfig(
            name=self.source.name,
            select=self.read_rules(check, "select", ("check",)),
            ignore=self.read_rules(check, "ignore", ("check",)),
            severity=severity,
            levels=levels,
            off=frozenset(off),
            exceptions=self.read_exceptions(table.get("exceptions", [])),
            **{key: self.read_text(check, key, ("check",)) for key in texts if key in check},
        )

    def read_exceptions(self, value: object) -> tuple[Exemption, ...]:
        if not isinstance(value, list):
            self.fail("exceptions must be written as [[exceptions]]", ("exceptions",))
        found = []
        for index, item in enumerate(value):
            path: tuple[str | int, ...] = ("exceptions", index)
            table = self.read_table(item, path)
            self.check_keys(table, ("vm", "disk", "rules", "reason"), path)
            vm = table.get("vm")
            if isinstance(vm, int) and not isinstance(vm, bool):
                table = {**table, "vm": str(vm)}
            words = self.read_rules(table, "rules", path)
            if not words:
                self.fail("an exception must name its rules", path)
            found.append(
                Exemption(
                    vm=self.read_text(table, "vm", path),
                    disk=self.read_text(table, "disk", path) if "disk" in table else "",
                    codes=frozenset(entry.code for entry in select_rules(words)),
                    reason=self.read_text(table, "reason", path),
                )
            )
        return tuple(found)

    def read_table(self, value: object, path: tuple[str | int, ...]) -> dict[str, Any]:
        if not isinstance(value, dict):
            self.fail(f"'{_name(path)}' must be a table", path)
        return value

    def read_text(self, table: Mapping[str, Any], key: str, path: tuple[str | int, ...]) -> str:
        value = table.get(key)
        if value is None:
            self.fail(f"'{_name((*path, key))}' is missing", path)
        if not isinstance(value, str) or not value.strip() or not value.isprintable():
            self.fail(f"'{_name((*path, key))}' must be a line of text", (*path, key))
        return value

    def read_rules(
        self, table: Mapping[str, Any], key: str, path: tuple[str | int, ...]
    ) -> tuple[str, ...]:
        value = table.get(key, [])
        if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
            self.fail(f"'{_name((*path, key))}' must be a list of rules", (*path, key))
        # The selection is evaluated for each VM, so duplicates are removed.
        words = tuple({word.lower(): word for word in value}.values())
        try:
            select_rules(words)
        except UsageError as error:
            self.fail(error.message, (*path, key), hint=error.hint)
        return words

    def read_code(self, name: str, path: tuple[str | int, ...]) -> str:
        try:
            return find_rule(name).code
        except UsageError as error:
            self.fail(error.message, path, hint=error.hint)

    def read_severity(
        self, word: str, path: tuple[str | int, ...], *, off: bool = False
    ) -> Severity:
        known = [severity.value for severity in Severity]
        if word not in known:
            words = [*known, _OFF] if off else known
            self.fail(
                f"'{_name(path)}' must be one of {', '.join(words)}",
                path,
                hint=_suggest(word, words),
            )
        return Severity(word)

    def check_keys(
        self, table: Mapping[str, Any], known: tuple[str, ...], path: tuple[str | int, ...]
    ) -> None:
        for key in table:
            if key not in known:
                self.fail(
                    f"there is no key '{_name((*path, key))}'",
                    (*path, key),
                    hint=_suggest(key, known) or f"there are {', '.join(known)}",
                )

    def fail(self, message: str, path: tuple[str | int, ...], *, hint: str = "") -> NoReturn:
        line = _find_line(self.source.data.decode("utf-8-sig"), path)
        place = f"{self.source.name}:{line}" if line else self.source.name
        raise InputError(f"{place}: {_shorten(message)}", hint=hint)


def _name(path: tuple[str | int, ...]) -> str:
    return ".".join(
        key if re.fullmatch(r"[\w-]+", key) else repr(key) for key in path if isinstance(key, str)
    )


def _suggest(word: str, known: Iterable[str]) -> str:
    from difflib import get_close_matches

    close = get_close_matches(word[:100].lower(), list(known), n=1)
    return f"did you mean {close[0]}?" if close else ""


def _find_line(text: str, path: tuple[str | int, ...]) -> int:
    """Returns the line of a key or a table's header; 0 if it is not found.

    tomllib gives no positions, so this searches for the usual notation, line by line.
    """
    table: tuple[str | int, ...] = ()
    best = depth = 0
    arrays: dict[str, int] = {}
    for number, line in enumerate(text.split("\n"), 1):
        words = line.strip()
        if header := re.match(r"(\[\[?)([^\[\]]+)\]", words):
            table = _split_key(header[2])
            if header[1] == "[[":
                name = header[2].strip()
                arrays[name] = arrays.get(name, -1) + 1
                table = (*table, arrays[name])
            here = table
        elif assignment := re.match(r"([\w.\"' \t-]+)=", words):
            here = (*table, *_split_key(assignment[1]))
        else:
            continue
        common = len(here) if path[: len(here)] == here else 0
        if here[: len(path)] == path:
            common = len(path)
        if common > depth:
            best, depth = number, common
    return best


def _split_key(text: str) -> tuple[str, ...]:
    return tuple(word.strip().strip("\"'") for word in text.split("."))
