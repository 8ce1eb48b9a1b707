"""The outcome of other settings on the waits of a trace.

The waits stay the same: a guest that gets its answers sooner would have asked again sooner, which
`vmio simulate` takes into account and this does not. A trace does not record which handler had an
event, only when it was the loop's own notifier alone; so up to 10.2 there are two handlers here,
the notifier and one for all others. The outcome for the trace's own setting shows how accurate
this is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, Literal

from msgspec import Struct, field

from vmio.errors import UsageError
from vmio.sim.polling import (
    DEFAULT_MAX_NS,
    Generation,
    PollSettings,
    WeightedTimes,
    adjust_handlers,
    adjust_time,
    adjust_weighted,
    complete_settings,
)
from vmio.values import replace

__all__ = ["TriedOutcome", "TriedSetting", "WhatIf", "parse_setting", "suggest_settings"]

Waiter = Literal["notifier", "other"]

_KEYS: Final[Mapping[str, str]] = {
    "poll_max_ns": "max_ns",
    "poll_grow": "grow",
    "poll_shrink": "shrink",
    "poll_weight": "weight",
}
_MAX_INT64: Final = 2**63 - 1
_HINT: Final = "the form is poll_max_ns=65536,poll_grow=2"


class TriedSetting(Struct, frozen=True, kw_only=True):
    """Parameters that a loop could have had."""

    name: str
    settings: PollSettings


class TriedOutcome(Struct, frozen=True, kw_only=True):
    """The outcome of a setting on the waits of a trace."""

    name: str
    waits: int
    caught: int
    """Waits that ended while the loop polled."""
    polling_ns: int
    vain_ns: int
    """The part of `polling_ns` that found nothing."""


def parse_setting(text: str, base: PollSettings) -> TriedSetting:
    """Parses a setting such as `poll_max_ns=65536`.

    Args:
        text: Pairs separated by commas.
        base: The parameters that are not in the text.

    Raises:
        UsageError: A parameter is unknown or given twice, or a value is not valid.
    """
    values: dict[str, int] = {}
    for pair in text.split(","):
        match = re.fullmatch(r"(\w{1,20})=(\d{1,19})", pair.strip(), re.ASCII)
        key = _KEYS.get(match[1]) if match else None
        if match is None or key is None or key in values:
            raise UsageError(f"--try {text[:80]!r}: cannot take {pair[:40]!r}", hint=_HINT)
        values[key] = int(match[2])
    try:
        return TriedSetting(name=text.strip(), settings=replace(base, **values))
    except ValueError as error:
        raise UsageError(f"--try {text[:80]!r}: {error.args[0]}", hint=_HINT) from error


def suggest_settings(base: PollSettings) -> tuple[TriedSetting, ...]:
    """Returns settings that poll for up to 2, 4, 8 and 16 times as long, otherwise equal."""
    first_ns = base.max_ns or DEFAULT_MAX_NS // 2
    longer_ns = [first_ns << power for power in range(1, 5)]
    return tuple(
        TriedSetting(name=f"poll_max_ns={max_ns}", settings=replace(base, max_ns=max_ns))
        for max_ns in longer_ns
        if max_ns <= _MAX_INT64
    )


class WhatIf(Struct):
    """A loop under a setting, wait by wait."""

    name: str
    generation: Generation
    settings: PollSettings
    _ns: int = 0
    _handlers: dict[str, int] = field(default_factory=lambda: {"notifier": 0, "other": 0})
    _state: WeightedTimes[str] = field(
        default_factory=lambda: WeightedTimes(means={"notifier": 0, "other": 0})
    )
    _waits: int = 0
    _caught: int = 0
    _polling_ns: int = 0
    _vain_ns: int = 0

    @classmethod
    def begin(cls, setting: TriedSetting, generation: Generation) -> WhatIf:
        """Returns a loop that has not waited yet."""
        return cls(
            name=setting.name,
            generation=generation,
            settings=complete_settings(setting.settings, generation),
        )

    def take(self, wait_ns: int, waiter: Waiter) -> None:
        """Applies a wait, and adapts the loop to it."""
        budget_ns = self._find_budget()
        self._waits += 1
        if budget_ns > 0:
            self._polling_ns += min(wait_ns, budget_ns)
            if wait_ns <= budget_ns:
                self._caught += 1
            else:
                self._vain_ns += budget_ns
        if self.generation == "loop":
            self._ns, _ = adjust_time(self._ns, wait_ns, self.settings)
        elif self.generation == "handler":
            self._handlers, _ = adjust_handlers(self._handlers, (waiter,), wait_ns, self.settings)
        else:
            self._state, _ = adjust_weighted(self._state, (waiter,), wait_ns, self.settings)

    def _find_budget(self) -> int:
        if self.settings.max_ns == 0:
            return 0
        if self.generation == "loop":
            return self._ns
        if self.generation == "handler":
            return max(self._handlers.values())
        return self._state.poll_ns

    def freeze(self) -> TriedOutcome:
        """Returns the outcome."""
        return TriedOutcome(
            name=self.name,
            waits=self._waits,
            caught=self._caught,
            polling_ns=self._polling_ns,
            vain_ns=self._vain_ns,
        )
