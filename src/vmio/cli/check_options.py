"""Options of `vmio check` that select and show findings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from vmio import app
from vmio.cli.completing import complete_rule
from vmio.cli.options import RenamedOption
from vmio.errors import UsageError

__all__ = [
    "OUTPUTS",
    "check_options",
    "choose_fixing",
    "choose_output",
    "rule_options",
    "validate_watch",
]

OUTPUTS = ("text", "json", "sarif", "github", "table")

_Function = TypeVar("_Function", bound=Callable[..., Any])

_SELECTORS = "CODE,…"


def _split(
    _ctx: click.Context, _param: click.Parameter, value: tuple[str, ...]
) -> tuple[str, ...]:
    return tuple(word.strip() for text in value for word in text.split(",") if word.strip())


def _read_severity(
    _ctx: click.Context, _param: click.Parameter, value: str | None
) -> app.Severity | None:
    return None if value is None else app.Severity(value)


def rule_options(function: _Function) -> _Function:
    """Adds the options that select findings: `select`, `ignore`, `severity` and `config`.

    Their values are two tuples of texts, `Severity | None` and `str | None`.
    """
    options = (
        click.option(
            "--select",
            metavar=_SELECTORS,
            multiple=True,
            callback=_split,
            shell_complete=complete_rule,
            help="Run these rules only: codes, names, or families such as TH.",
        ),
        click.option(
            "--ignore",
            metavar=_SELECTORS,
            multiple=True,
            callback=_split,
            shell_complete=complete_rule,
            help="Leave these rules out.",
        ),
        click.option(
            "--severity",
            type=click.Choice([severity.value for severity in app.Severity]),
            callback=_read_severity,
            help="Show and count only findings at least as severe as this.",
        ),
        click.option(
            "--config",
            metavar="FILE",
            help="The project configuration; by default vmio.toml in this folder or one above it.",
        ),
    )
    return _add(function, options)


def check_options(function: _Function) -> _Function:
    """Adds the options of `rule_options`, and those for the output and for fixes.

    Their values are `output: str | None`, `as_json`, `statistics`, `baseline: str | None`,
    `fail_on: Severity`, `quiet`, `fix`, `unsafe_fixes`, `diff` and `dry_run`.
    """
    options = (
        click.option(
            "--format",
            "output",
            cls=RenamedOption,
            old="--output",
            type=click.Choice(OUTPUTS),
            help="The form of the report; text by default.",
        ),
        click.option("--json", "as_json", is_flag=True, help="The same as --format json."),
        click.option(
            "--statistics", is_flag=True, help="Count findings by rule instead of listing them."
        ),
        click.option(
            "--baseline",
            metavar="FILE",
            help="Hide the findings that vmio baseline recorded in this file.",
        ),
        click.option(
            "--fail-on",
            type=click.Choice([severity.value for severity in app.Severity]),
            default="info",
            callback=_read_severity,
            help="Exit with 1 only for findings at least as severe as this; for any by default.",
        ),
        click.option(
            "-q",
            "--quiet",
            is_flag=True,
            help="Print findings and errors only: no summary and no notes.",
        ),
        click.option("--fix", is_flag=True, help="Apply the safe fixes to the files."),
        click.option(
            "--unsafe-fixes", is_flag=True, help="Also apply fixes that the guest may notice."
        ),
        click.option("--diff", is_flag=True, help="Show the changes of fixes; write nothing."),
        click.option("--dry-run", is_flag=True, help="Print what --fix would do; write nothing."),
    )
    return rule_options(_add(function, options))


def choose_output(output: str | None, *, as_json: bool, diff: bool = False) -> str:
    """Returns the requested form of output; `diff` with `--diff`.

    Raises:
        UsageError: Two forms are requested.
    """
    forms = {name for name in (output, "json" if as_json else None) if name}
    if diff:
        forms.add("--diff")
    if len(forms) > 1:
        raise UsageError(f"{' and '.join(sorted(forms))} are two forms of output")
    return "diff" if diff else next(iter(forms), "text")


def choose_fixing(
    paths: Sequence[str], *, fix: bool, unsafe_fixes: bool, diff: bool, dry_run: bool
) -> app.Fixing | None:
    """Returns which fixes to make and how; None for none.

    Raises:
        UsageError: A dry run is requested without fixes, or standard input is to be fixed.
    """
    if fix or unsafe_fixes or diff:
        fixing = app.Fixing(unsafe=unsafe_fixes, write=not (diff or dry_run))
        if fixing.write and "-" in paths:
            raise UsageError("standard input cannot be fixed", hint="--diff shows the change")
        return fixing
    if dry_run:
        raise UsageError("--dry-run requires --fix")
    return None


def validate_watch(
    paths: Sequence[str], form: str, fixing: app.Fixing | None, *, quiet: bool
) -> None:
    """Checks the options of a call with `--watch`.

    Raises:
        UsageError: It reads standard input, fixes, or needs a complete report at the end.
    """
    if "-" in paths:
        raise UsageError("--watch cannot read standard input again", hint="name a file")
    if fixing is not None:
        raise UsageError("--watch changes no file, so it excludes --fix and --diff")
    if quiet:
        raise UsageError("--watch and --quiet exclude each other")
    if form != "text":
        raise UsageError(f"--watch prints text as things change, not {form}")


def _add(function: _Function, options: tuple[Callable[[_Function], _Function], ...]) -> _Function:
    for option in reversed(options):
        function = option(function)
    return function
