"""Values of labels: what guests, disks and threads are called in series.

A guest's owner chooses its name, and a process those of its threads: a name is bounded and cannot
control a terminal, and two guests of one name remain two series.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from hashlib import blake2s
from typing import Final

from vmio.characters import printable
from vmio.managers.discovery import ProcessKey, RunningGuest

__all__ = ["MAX_CHARACTERS", "GuestNames", "make_value"]

MAX_CHARACTERS: Final = 128
"""Of a value; Prometheus itself has no limit unless it is configured."""
_UNNAMED: Final = "unnamed"
"""By its address it would have another name after each start."""


def make_value(text: str) -> str:
    """Returns a text as a label's value: printable, and cut with a digest of the rest."""
    shown = printable(text)
    if len(shown) <= MAX_CHARACTERS:
        return shown
    digest = blake2s(shown.encode(), digest_size=4).hexdigest()
    return f"{shown[: MAX_CHARACTERS - len(digest) - 1]}…{digest}"


class GuestNames:
    """Gives each guest a name of its own while it runs."""

    def __init__(self) -> None:
        self._names: dict[ProcessKey, str] = {}

    def assign(
        self, guests: Iterable[tuple[ProcessKey, RunningGuest]]
    ) -> Mapping[ProcessKey, str]:
        """Returns the name of each guest; the names of all others are free again.

        Of several of the same name, those that started later have a number behind it.
        """
        wanted = sorted(guests, key=lambda each: each[0][1])
        self._names = {key: self._names[key] for key, _ in wanted if key in self._names}
        taken = set(self._names.values())
        for key, guest in wanted:
            if key in self._names:
                continue
            first = name = make_value(guest.full_name or guest.uuid or _UNNAMED)
            number = 1
            while name in taken:
                number += 1
                name = f"{first} #{number}"
            taken.add(name)
            self._names[key] = name
        return self._names
