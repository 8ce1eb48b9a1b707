"""A version of QEMU, as a value that can be ordered."""

from __future__ import annotations

import re
from functools import lru_cache

from msgspec import Struct

from vmio.patterns import compile_late

__all__ = ["QemuVersion", "parse_version"]

_VERSION = compile_late(
    r"(\d{1,4})\.(\d{1,4})(?:\.(\d{1,4}))?([-+~][0-9A-Za-z][\w.+~-]{0,39})?", re.ASCII
)
_NUMBER = compile_late(r"\d{1,9}", re.ASCII)
_FIRST_CANDIDATE = 90


class QemuVersion(Struct, frozen=True, eq=False, forbid_unknown_fields=True):
    """A version of QEMU or of a package of it, ordered as versions are."""

    major: int
    minor: int
    micro: int = 0
    revision: tuple[int, ...] = ()
    """The packager's own numbers, such as 7 in `10.1.2-7`; empty for QEMU's release."""
    text: str = ""
    """The original text; empty if it was not parsed from a text."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, QemuVersion) and self.numbers == other.numbers

    def __lt__(self, other: QemuVersion) -> bool:
        return self.numbers < other.numbers

    def __le__(self, other: QemuVersion) -> bool:
        return self.numbers <= other.numbers

    def __gt__(self, other: QemuVersion) -> bool:
        return self.numbers > other.numbers

    def __ge__(self, other: QemuVersion) -> bool:
        return self.numbers >= other.numbers

    def __hash__(self) -> int:
        return hash(self.numbers)

    @property
    def numbers(self) -> tuple[int, int, int, tuple[int, ...]]:
        """All that counts when two are compared."""
        return self.major, self.minor, self.micro, self.revision

    def __str__(self) -> str:
        return self.text or f"{self.major}.{self.minor}.{self.micro}"

    @property
    def series(self) -> tuple[int, int]:
        """Major and minor, as in names of machine types."""
        return self.major, self.minor

    @property
    def release(self) -> QemuVersion:
        """QEMU's own release, without the packager's numbers."""
        return QemuVersion(self.major, self.minor, self.micro)

    @property
    def is_candidate(self) -> bool:
        """Whether it is a release candidate: 10.1.92 is the third candidate of 10.2."""
        return self.micro >= _FIRST_CANDIDATE


@lru_cache(maxsize=256)
def parse_version(text: str) -> QemuVersion:
    """Parses a version such as `10.0.2`, `10.1` or `10.1.2-7`.

    The text after a `+` is the distribution's own and is ignored.

    Raises:
        ValueError: It is not a version.
    """
    match = _VERSION.fullmatch(text)
    if match is None:
        raise ValueError(f"'{text[:80]}' is not a QEMU version")
    revision = (match[4] or "").partition("+")[0]
    return QemuVersion(
        int(match[1]),
        int(match[2]),
        int(match[3] or 0),
        revision=tuple(map(int, _NUMBER.findall(revision))),
        text=text,
    )
