"""The guests that a call is about."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmio import app
from vmio.cli.terminal import say

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["find_guests"]


def find_guests(addresses: Sequence[str], *, writes: bool = False) -> tuple[str, ...]:
    """Returns the guests of addresses, or all of this host, and says once which are not seen.

    Raises:
        UsageError: There is no guest here, or an address cannot be changed or is ambiguous.
    """
    return app.find_guests(addresses, writes=writes, report=say)
