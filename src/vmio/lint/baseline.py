"""Findings that are known and accepted, kept in a file beside the configs.

A Proxmox VE config has no comments in which to accept a finding. A finding is recognized by its
rule, VM and subject, and a fingerprint of the text that it points at. Edits elsewhere in the
config, and other words in a newer vmio's message, do not report it again.

The file is JSON, sorted, one finding a line, so that version control shows what changed::

    {"schema": 1, "findings": [
    {"rule": "TH001", "vm": "701", "subject": "scsi0", "fingerprint": "9f86d081884c7d65"}
    ]}
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from msgspec import Struct, field

from vmio.bounds import load_json
from vmio.errors import InputError
from vmio.lint.diagnostic import Diagnostic, Suppressed
from vmio.model.source import Source

__all__ = [
    "MAX_BASELINE_BYTES",
    "Baseline",
    "Known",
    "compare_baselines",
    "fingerprint",
    "hide_known",
    "identify",
    "merge_baselines",
    "parse_baseline",
    "render_baseline",
]

MAX_BASELINE_BYTES = 16 * 1024 * 1024
"""About 150,000 findings."""

_SCHEMA = 1


class Known(NamedTuple):
    """What identifies a finding within one VM."""

    rule: str
    subject: str
    fingerprint: str


class Baseline(Struct, frozen=True, kw_only=True):
    """Known findings, each with its count."""

    name: str = ""
    """The name of its file."""
    vms: Mapping[str, Mapping[Known, int]] = field(default_factory=dict)
    """How often each is known, by VM."""

    def __len__(self) -> int:
        return sum(sum(known.values()) for known in self.vms.values())


def fingerprint(diagnostic: Diagnostic, source: Source | None) -> str:
    """Returns what identifies the text that a finding points at, wherever it is in the file."""
    if diagnostic.span is None or source is None:
        words = b""
    else:
        # Blanks at the ends and a carriage return do not change the meaning.
        words = source.data[diagnostic.span.start : diagnostic.span.end].strip()
    from hashlib import sha256

    return sha256(words).hexdigest()[:16]


def identify(diagnostic: Diagnostic, source: Source | None) -> Known:
    """Returns what identifies a finding."""
    return Known(diagnostic.code, diagnostic.subject, fingerprint(diagnostic, source))


def hide_known(
    findings: Iterable[Diagnostic],
    baseline: Baseline,
    *,
    vm: str,
    source: Source | None,
    codes: Collection[str],
) -> tuple[tuple[Diagnostic, ...], tuple[Suppressed, ...], int]:
    """Returns a VM's new findings, its known ones, and the number of known ones not found again.

    Args:
        findings: All of the VM.
        baseline: The known findings of all VMs.
        vm: The VM's name.
        source: Its config.
        codes: The rules that ran; known findings of other rules are not counted as gone.
    """
    left = Counter(baseline.vms.get(vm, {}))
    new: list[Diagnostic] = []
    known: list[Suppressed] = []
    for diagnostic in findings:
        identity = identify(diagnostic, source)
        if left[identity] > 0:
            left[identity] -= 1
            known.append(
                Suppressed(diagnostic=diagnostic, reason=f"known to {baseline.name or 'baseline'}")
            )
        else:
            new.append(diagnostic)
    gone = sum(count for identity, count in left.items() if identity.rule in codes)
    return tuple(new), tuple(known), gone


def merge_baselines(
    old: Baseline, found: Mapping[str, Mapping[Known, int]], *, codes: Collection[str]
) -> Baseline:
    """Returns a baseline brought up to date.

    Args:
        old: The known findings.
        found: The findings of each VM that was checked.
        codes: The rules that ran; known findings of other rules are kept.
    """
    vms: dict[str, Mapping[Known, int]] = dict(old.vms)
    for vm, known in found.items():
        kept = {one: n for one, n in vms.pop(vm, {}).items() if one.rule not in codes}
        if now := kept | dict(known):
            vms[vm] = now
    return Baseline(name=old.name, vms=vms)


def compare_baselines(old: Baseline, new: Baseline) -> tuple[int, int]:
    """Returns the number of new findings and of those that are gone."""
    before, after = (
        Counter({(vm, one): n for vm, known in side.vms.items() for one, n in known.items()})
        for side in (old, new)
    )
    return (after - before).total(), (before - after).total()


def render_baseline(baseline: Baseline) -> str:
    """Returns a baseline as the text of its file."""
    import json

    rows = [
        (vm, known)
        for vm in sorted(baseline.vms, key=lambda vm: (len(vm), vm))
        for known in sorted(Counter(baseline.vms[vm]).elements())
    ]
    lines = ",\n".join(
        json.dumps(
            {"rule": known.rule, "vm": vm, "subject": known.subject}
            | {"fingerprint": known.fingerprint}
        )
        for vm, known in rows
    )
    return f'{{"schema": {_SCHEMA}, "findings": [\n{lines}\n]}}\n'


def parse_baseline(source: Source) -> Baseline:
    """Reads a baseline's file.

    Raises:
        InputError: It is not a baseline.
    """
    if len(source.data) > MAX_BASELINE_BYTES:
        raise InputError(f"{source.name} is too large for a baseline")
    try:
        document = load_json(source.data)
    except ValueError as error:
        raise InputError(f"{source.name} is not a baseline: {str(error)[:200]}") from error
    if not isinstance(document, dict) or not isinstance(document.get("findings"), list):
        raise InputError(f"{source.name} is not a baseline: it has no list of findings")
    if document.get("schema") != _SCHEMA:
        raise InputError(
            f"{source.name} is a baseline of another schema than {_SCHEMA}",
            hint="write it again with vmio baseline, or use the vmio that wrote it",
        )
    vms: dict[str, Counter[Known]] = {}
    for number, row in enumerate(document["findings"], 1):
        match row:
            case {
                "rule": str(rule),
                "vm": str(vm),
                "subject": str(subject),
                "fingerprint": str(words),
            }:
                vms.setdefault(vm, Counter())[Known(rule, subject, words)] += 1
            case _:
                raise InputError(
                    f"{source.name}: finding {number} needs the texts rule, vm, subject and"
                    " fingerprint"
                )
    return Baseline(name=source.name, vms=vms)
