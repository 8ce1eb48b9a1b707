"""Regular expressions that are compiled when they are first used.

Compiling one takes a tenth of a millisecond, and a light verb uses less than half of those that
the modules it imports have.
"""

from __future__ import annotations

import re
from typing import Any, AnyStr, cast

__all__ = ["compile_late"]


class _LatePattern:
    """Stands for a pattern, whose methods it gets one by one as they are asked for."""

    def __init__(self, pattern: str | bytes, flags: int) -> None:
        self._arguments: tuple[Any, int] = pattern, flags

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        # `re` keeps what it has compiled, so that a second method does not compile it again.
        value = getattr(re.compile(*self._arguments), name)
        setattr(self, name, value)
        return value


def compile_late(pattern: AnyStr, flags: int = 0) -> re.Pattern[AnyStr]:
    """Returns what has the methods of a compiled pattern; no function of `re` takes it."""
    return cast("re.Pattern[AnyStr]", _LatePattern(pattern, flags))
