"""Runs rules over a configuration."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from itertools import islice

from vmio.lint.diagnostic import Diagnostic
from vmio.lint.registry import load_rule, select_rules
from vmio.lint.rule import Context, Rule

__all__ = ["MAX_FINDINGS_PER_RULE", "run", "run_rules"]

MAX_FINDINGS_PER_RULE = 100
"""More than a guest can have drives; a megabyte of junk lines must not become half a million."""


def run(
    context: Context, *, select: Iterable[str] = (), ignore: Iterable[str] = ()
) -> tuple[Diagnostic, ...]:
    """Returns what the selected rules find.

    Raises:
        UsageError: `select` or `ignore` names no rule.
    """
    return run_rules(context, tuple(map(load_rule, select_rules(select, ignore))))


def run_rules(context: Context, rules: tuple[type[Rule], ...]) -> tuple[Diagnostic, ...]:
    """Returns what rules find, the most harmful first, then in the order of the text.

    When a rule finds more than `MAX_FINDINGS_PER_RULE`, one further finding says so.

    Raises:
        RuntimeError: A rule failed, which is a bug in that rule; the message names it.
    """
    found: list[Diagnostic] = []
    for rule in rules:
        if rule.versions is not None and not rule.versions.hold(context.host):
            continue
        try:
            found.extend(_check(rule(), context))
        except Exception as error:
            message = f"rule {rule.code} {rule.name} failed on {context.vm.source.name}: {error!r}"
            raise RuntimeError(message) from error
    return tuple(sorted(found, key=_order))


def _check(rule: Rule, context: Context) -> Iterable[Diagnostic]:
    findings = rule.check(context)
    yield from islice(findings, MAX_FINDINGS_PER_RULE)
    if next(findings, None) is not None:
        yield rule.report(
            context, f"{rule.name} was found more than {MAX_FINDINGS_PER_RULE} times"
        )


def _order(diagnostic: Diagnostic) -> tuple[int, int, str, str]:
    start = diagnostic.span.start if diagnostic.span is not None else sys.maxsize
    return diagnostic.severity.rank, start, diagnostic.code, diagnostic.subject
