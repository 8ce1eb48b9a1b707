"""Verdicts in words: what is the matter, the figures, and what would help."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import Struct

from vmio.model.plan import StepKind
from vmio.observe.verdicts.values import Doubt, Figure, Verdict, VerdictKind
from vmio.units import format_bytes, format_duration_ns

__all__ = [
    "NOTHING",
    "DescribedVerdict",
    "describe_figure",
    "describe_verdict",
    "summarise_verdicts",
]

NOTHING: Final = "nothing limits it"
"""What a window without a verdict is called."""

_TITLES: Final[Mapping[VerdictKind, str]] = {
    "waits-for-processors": "{subject} waits for processors of the host",
    "main-loop-full": "the main loop has no time left",
    "iothread-full": "IOThread {subject} has no time left",
    "limit-binds": "{subject} is held back by its own limit",
    "storage-slow": "the storage of {subject} is slow",
    "vcpus-full": "the vCPUs have no time left",
    "polling-wasted": "IOThread {subject} polls in vain",
    "restart-pending": "{subject} is configured differently from how it runs",
    "polling-impossible": "IOThread {subject} cannot poll",
    "io-pressure-misleads": "the I/O pressure of {subject} does not come from its disks",
    "cannot-tell": "cannot tell what limits {subject}",
}
_SHORT_TITLES: Final[Mapping[VerdictKind, str]] = {
    "waits-for-processors": "waits for processors",
    "main-loop-full": "main loop full",
    "iothread-full": "{subject} full",
    "limit-binds": "{subject} at its limit",
    "storage-slow": "storage of {subject} slow",
    "vcpus-full": "vCPUs full",
    "polling-wasted": "{subject} polls in vain",
    "restart-pending": "{subject} not as configured",
    "polling-impossible": "{subject} cannot poll",
    "io-pressure-misleads": "I/O pressure misleads",
    "cannot-tell": "cannot tell",
}
_SHORT_DOUBTS: Final[Mapping[Doubt, str]] = {
    "monitor did not answer": "without its monitor",
    "nothing completed": "{subject} completes nothing",
    "too few requests": "too few requests",
}
_REASONS: Final[Mapping[VerdictKind, str]] = {
    "waits-for-processors": "Its threads are ready to run and have no processor, so all other"
    " figures are in doubt.",
    "main-loop-full": "All that it serves waits for it.",
    "iothread-full": "The requests of its disks wait for it.",
    "limit-binds": "Requests wait until the limit lets them through.",
    "storage-slow": "Many requests are under way and the thread that serves them has time left.",
    "vcpus-full": "The guest itself is what takes the time, not its disks.",
    "polling-wasted": "Requests come too rarely for polling to catch them, and it takes most of"
    " the IOThread's processor time.",
    "restart-pending": "The new settings take effect after a full stop and start.",
    "polling-impossible": "This QEMU does not poll on an IOThread with a virtio-scsi controller.",
    "io-pressure-misleads": "No request is under way; this QEMU's event loops wait in a way that"
    " the kernel counts as I/O.",
    "cannot-tell": "",
}
_DOUBTS: Final[Mapping[Doubt, str]] = {
    "window too short": "The samples are too close together.",
    "samples out of order": "The samples are not in chronological order.",
    "monitor did not answer": "Without QEMU's monitor nothing is known of the disks.",
    "too few requests": "There were too few requests for a mean.",
    "nothing completed": "Requests are under way, and none was completed.",
    "user share not known": "Work and polling differ by the user share of the processor time,"
    " which is not known.",
    "polling looks like work": "The IOThread has no time left, and how much of that is polling"
    " is visible only with a shorter polling time.",
}
_STEPS: Final[Mapping[StepKind, str]] = {
    "give-threads": "give the disks IOThreads of their own",
    "map-queues": "spread the disk's queues over several IOThreads",
    "move-disks": "move the disks to a controller that can have an IOThread",
    "separate-controllers": "give each disk a controller of its own",
    "widen-affinity": "let the guest use more processors",
}


class DescribedVerdict(Struct, frozen=True, kw_only=True):
    """A verdict in words."""

    title: str
    """A clause without a full stop."""
    reason: str
    """A sentence."""
    figures: tuple[str, ...]
    hint: str
    """What would help, as a clause; empty if nothing in the configuration would."""


def describe_verdict(verdict: Verdict) -> DescribedVerdict:
    """Returns a verdict in words; names of disks and threads are as QEMU reports them."""
    reason = _REASONS[verdict.kind] or _DOUBTS.get(verdict.doubt, "")
    if verdict.in_doubt:
        reason += " The figures are in doubt, because threads of the guest wait for processors."
    return DescribedVerdict(
        title=_TITLES[verdict.kind].format(subject=verdict.subject),
        reason=reason.strip(),
        figures=tuple(describe_figure(each) for each in verdict.evidence),
        hint=_describe_hint(verdict),
    )


def summarise_verdicts(verdicts: Sequence[Verdict]) -> str:
    """Returns the most urgent of a guest's verdicts in a few words, and how many more there are.

    Args:
        verdicts: Of one window, the worst first.
    """
    if not verdicts:
        return NOTHING
    worst = verdicts[0]
    text = _SHORT_TITLES[worst.kind].format(subject=worst.subject)
    doubt = _SHORT_DOUBTS.get(worst.doubt, "").format(subject=worst.subject)
    text += f": {doubt}" if doubt else ""
    return f"{text} (+{len(verdicts) - 1})" if len(verdicts) > 1 else text


def describe_figure(figure: Figure) -> str:
    """Returns a figure as `cpu of io0: 0.97 processors (at least 0.95)`."""
    text = f"{figure.name} of {figure.subject}: {_show(figure, figure.value)}"
    if figure.at_least is not None:
        return f"{text} (at least {_show(figure, figure.at_least)})"
    if figure.at_most is not None:
        return f"{text} (at most {_show(figure, figure.at_most)})"
    return text


def _describe_hint(verdict: Verdict) -> str:
    if verdict.change is not None:
        new = verdict.change.new
        what = "leave poll-max-ns at its default" if new is None else f"set poll-max-ns to {new}"
        return f"{what} on {verdict.change.subject}"
    if verdict.step is None:
        return ""
    disks = ", ".join(verdict.disks)
    return _STEPS.get(verdict.step, verdict.step) + (f": {disks}" if disks else "")


def _show(figure: Figure, value: float | str | None) -> str:
    if value is None:
        return "not known"
    if isinstance(value, str):
        return value
    match figure.unit:
        case "processors":
            return f"{value:.2f} processors"
        case "share":
            return f"{value:.0%}"
        case "requests/s":
            return f"{value:,.0f} requests/s"
        case "bytes/s":
            return f"{format_bytes(value)}/s"
        case "ns":
            return format_duration_ns(value)
        case "s":
            return f"{value:.3g} s"
        case "requests" | "text":
            return f"{value:.3g}"
