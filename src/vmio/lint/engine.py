"""Runs rules over a configuration."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from functools import lru_cache
from itertools import islice

from vmio.lint.diagnostic import Diagnostic
from vmio.lint.registry import drop_silent, load_rule, select_rules
from vmio.lint.rule import Context, Need, Rule
from vmio.model.host import Host
from vmio.model.version import QemuVersion

__all__ = ["MAX_FINDINGS_PER_RULE", "run", "run_rules"]

MAX_FINDINGS_PER_RULE = 100
"""More than a guest can have drives; a megabyte of junk lines must not give half a million."""


def run(
    context: Context, *, select: Iterable[str] = (), ignore: Iterable[str] = ()
) -> tuple[Diagnostic, ...]:
    """Returns what the selected rules find.

    Raises:
        UsageError: `select` or `ignore` names no rule.
    """
    chosen = drop_silent(select_rules(select, ignore), context.vm.notation, context.present)
    return run_rules(context, tuple(map(load_rule, chosen)))


def run_rules(context: Context, rules: tuple[type[Rule], ...]) -> tuple[Diagnostic, ...]:
    """Returns what rules find, the most harmful first, then in the order of the text.

    When a rule finds more than `MAX_FINDINGS_PER_RULE`, one further finding says so.

    Raises:
        RuntimeError: A rule failed, which is a bug in that rule; the message names it.
    """
    found: list[Diagnostic] = []
    most = MAX_FINDINGS_PER_RULE + 1
    host = context.host
    versions = host.qemu_version, host.pve_qemu_version
    for rule in _start(rules, context.vm.notation, context.present, *versions):
        try:
            taken = list(islice(rule.check(context), most))
        except Exception as error:
            message = f"rule {rule.code} {rule.name} failed on {context.vm.source.name}: {error!r}"
            raise RuntimeError(message) from error
        if not taken:
            continue
        if len(taken) == most:
            taken[-1] = rule.report(
                context, f"{rule.name} was found more than {MAX_FINDINGS_PER_RULE} times"
            )
        found += taken
    return tuple(sorted(found, key=_order))


@lru_cache(maxsize=256)
def _start(
    rules: tuple[type[Rule], ...],
    notation: str,
    present: frozenset[Need],
    qemu_version: QemuVersion | None,
    pve_qemu_version: QemuVersion | None,
) -> tuple[Rule, ...]:
    """Returns the rules for a guest and a QEMU; they are stateless, so every VM can share them."""
    host = Host(qemu_version=qemu_version, pve_qemu_version=pve_qemu_version)
    by_notation: dict[str, list[Rule]] = {}
    for rule in rules:
        if (rule.needs and rule.needs not in present) or rule.explain_blank(notation):
            continue
        if rule.versions is None or rule.versions.hold(host):
            by_notation.setdefault(rule.notation, []).append(rule())
    return (*by_notation.get("", ()), *by_notation.get(notation, ()))


def _order(diagnostic: Diagnostic) -> tuple[int, int, str, str]:
    start = diagnostic.span.start if diagnostic.span is not None else sys.maxsize
    return diagnostic.severity.rank, start, diagnostic.code, diagnostic.subject
