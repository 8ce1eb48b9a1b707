"""One domain while it is read, and what all its parts are read with.

Source: libvirt 11.3.0, run: `virsh domxml-to-native` and its messages.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from vmio.formats.libvirt.domain import Phase, Refusal
from vmio.formats.libvirt.xml import Element
from vmio.model.source import Source, Span
from vmio.patterns import compile_late

__all__ = [
    "MAX_LARGE",
    "MAX_NUMBER",
    "MAX_SHOWN",
    "NUMBER",
    "ON_OFF",
    "UNITS",
    "Reading",
    "find_open_span",
    "get_text",
    "say_missing",
]

_MAX_REFUSALS: Final = 1_000
MAX_NUMBER: Final = (1 << 32) - 1
MAX_LARGE: Final = (1 << 64) - 1
MAX_SHOWN: Final = 80
NUMBER = compile_late(r"\d{1,20}", re.ASCII)
ON_OFF: Final = frozenset({"on", "off"})
UNITS: Final[Mapping[str, int]] = {
    "": 1,
    "b": 1,
    "byte": 1,
    "bytes": 1,
    **{unit: 1 << 10 * power for power, unit in enumerate(("k", "m", "g", "t", "p"), 1)},
    **{f"{unit}ib": 1 << 10 * power for power, unit in enumerate("kmgtp", 1)},
    **{f"{unit}b": 10 ** (3 * power) for power, unit in enumerate("kmgtp", 1)},
}


class Reading:
    """One domain while it is read, and what libvirt would say."""

    def __init__(self, source: Source, version: tuple[int, int]) -> None:
        self.source = source
        self.version = version
        self.refusals: list[Refusal] = []
        self.subject = ""
        self.listed = 0

    def refuse(self, message: str, element: Element, phase: Phase = 0) -> None:
        """Notes that libvirt refuses the domain."""
        if len(self.refusals) >= _MAX_REFUSALS:
            return
        self.refusals.append(
            Refusal(
                phase=phase,
                message=message,
                span=find_open_span(self.source, element),
                subject=self.subject,
            )
        )

    def choose(
        self, element: Element, name: str, choices: frozenset[str], default: str = ""
    ) -> str:
        """Returns an attribute that is one of a few words."""
        value = element.get(name)
        if value is None:
            return default
        if value in choices:
            return value
        self.refuse(_say_invalid(element, name, f"'{value}'."), element)
        return default

    def count(
        self,
        element: Element,
        name: str,
        *,
        least: int = 0,
        most: int = MAX_NUMBER,
        signed: bool = False,
    ) -> int | None:
        """Returns an attribute that is a whole number, None if it is none.

        Args:
            element: The element.
            name: The attribute.
            least: 1 where zero is refused.
            most: The largest number that fits.
            signed: Whether libvirt reads it as a number with a sign, and checks that afterwards.
        """
        value = element.get(name)
        if value is None:
            return None
        if not NUMBER.fullmatch(value) or int(value) > most:
            expected = "non-negative integer"
            if signed:
                is_negative = value.startswith("-") and NUMBER.fullmatch(value[1:])
                expected = "non-negative" if is_negative else "integer"
            said = f"'{value}'. Expected {expected} value"
            self.refuse(_say_invalid(element, name, said), element)
            return None
        if int(value) < least:
            self.refuse(_say_invalid(element, name, "Zero is not permitted"), element)
            return None
        return int(value)

    def demand(self, element: Element, name: str, *, least: int = 0) -> int | None:
        """Returns an attribute that has to be a whole number."""
        if element.get(name) is None:
            self.refuse(say_missing(element, name), element)
        return self.count(element, name, least=least)


def _say_invalid(element: Element, name: str, what: str) -> str:
    return f"Invalid value for attribute '{name}' in element '{element.name}': {what}"


def say_missing(element: Element, name: str) -> str:
    """Returns what libvirt says of an attribute that has to be there."""
    return f"Missing required attribute '{name}' in element '{element.name}'"


def find_open_span(source: Source, element: Element) -> Span:
    """Returns where the start tag of an element is."""
    end = source.data.find(b">", element.start, element.end)
    return Span(element.start, end + 1 if end >= 0 else element.end)


def get_text(element: Element | None) -> str:
    """Returns an element's text; empty for no element."""
    return element.text if element is not None else ""
