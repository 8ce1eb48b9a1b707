"""Applies fixes: which edits can be made together, and rounds until nothing is left to fix."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from msgspec import Struct

from vmio.errors import InputError, PlanError
from vmio.lint.diagnostic import Diagnostic, may_apply
from vmio.model.source import Edit, Source, Span, apply_edits
from vmio.values import replace

__all__ = ["MAX_ROUNDS", "Fixed", "apply_fixes", "choose_fixes", "fix_source"]

MAX_ROUNDS = 10
"""A fix rarely uncovers another; more rounds would mean that two fixes undo each other."""


class Fixed(Struct, frozen=True, kw_only=True):
    """The result of fixing a text."""

    source: Source
    """The text before."""
    data: bytes
    """The text after."""
    applied: tuple[Diagnostic, ...] = ()
    """The findings whose fixes were made, in that order."""
    left: tuple[Diagnostic, ...] = ()
    """The findings that remain, with places in `data`."""

    @property
    def changed(self) -> bool:
        """Whether any byte differs."""
        return self.data != self.source.data

    @property
    def after(self) -> Source:
        """The text after, with the same name."""
        return replace(self.source, data=self.data)


def fix_source(
    source: Source,
    check: Callable[[Source], Sequence[Diagnostic]],
    *,
    unsafe: bool = False,
    find_editable: Callable[[Source], Span | None] | None = None,
) -> Fixed:
    """Returns a text with the fixes of its findings made, in rounds until none is left.

    A round is skipped if it would make the text unreadable, change what must not change, or
    restore an earlier text.

    Args:
        source: The text.
        check: Returns the findings of such a text.
        unsafe: Whether to make unsafe fixes too.
        find_editable: Returns the part that edits may touch; all of it if None.

    Raises:
        InputError: The text cannot be read in the first place.
        PlanError: Its layout is not possible.
    """
    now = source
    found = tuple(check(now))
    applied: list[Diagnostic] = []
    seen = {now.data}
    for _ in range(MAX_ROUNDS):
        editable = find_editable(now) if find_editable is not None else None
        chosen, edits = choose_fixes(found, unsafe=unsafe, editable=editable)
        data = apply_edits(now, edits)
        if data in seen:
            break
        seen.add(data)
        after = replace(now, data=data)
        try:
            still = find_editable(after) if find_editable is not None else None
            if editable is not None and still is not None:
                rest = now.data[editable.end :]
                if after.data[still.end :] != rest:
                    break
            found_after = tuple(check(after))
        except (InputError, PlanError):
            break
        now, found = after, found_after
        applied += chosen
    return Fixed(source=source, data=now.data, applied=tuple(applied), left=found)


def choose_fixes(
    findings: Iterable[Diagnostic], *, unsafe: bool = False, editable: Span | None = None
) -> tuple[tuple[Diagnostic, ...], tuple[Edit, ...]]:
    """Returns the findings whose fixes can be made together, and their edits, each once.

    A fix that would touch the place of an earlier one waits as a whole for the next round.

    Args:
        findings: The most important first.
        unsafe: Whether fixes that are not safe may be made, too.
        editable: The part of the text that edits may touch.
    """
    chosen: list[Diagnostic] = []
    taken: dict[Edit, None] = {}
    for diagnostic in findings:
        fix = diagnostic.fix
        if fix is None or not may_apply(fix, unsafe=unsafe):
            continue
        new = [edit for edit in fix.edits if edit not in taken]
        if editable is not None and not all(_within(edit.span, editable) for edit in new):
            continue
        if any(_clash(one, other) for one in new for other in taken):
            continue
        taken |= dict.fromkeys(new)
        chosen.append(diagnostic)
    return tuple(chosen), tuple(taken)


def apply_fixes(source: Source, findings: Iterable[Diagnostic], *, unsafe: bool = False) -> bytes:
    """Returns a text with one round of the fixes of its findings that can be made together."""
    return apply_edits(source, choose_fixes(findings, unsafe=unsafe)[1])


def _within(inner: Span, outer: Span) -> bool:
    return outer.start <= inner.start and inner.end <= outer.end


def _clash(one: Edit, other: Edit) -> bool:
    if one.span.start == other.span.start:
        return True
    return one.span.start < other.span.end and other.span.start < one.span.end
