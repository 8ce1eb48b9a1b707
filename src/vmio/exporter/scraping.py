"""Looks at a host for its scrapers, each when it asks; those that ask at once share a look."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

from vmio.exporter.figures import HostFigures, HostFiguresTracker
from vmio.observe.watching import HostWatcher

__all__ = ["DEFAULT_LIMIT_S", "Scraper", "find_limit", "open_scraper"]

DEFAULT_LIMIT_S: Final = 9.5
"""Of a look for a scraper that does not say what it allows: Prometheus's default is 10 s."""
_MARGIN_S: Final = 0.5
"""For rendering and sending: as blackbox_exporter's default."""
_MOST_S: Final = 60.0
_GRACE_S: Final = 0.25
"""For what a look does when its time is over."""


def find_limit(header: str) -> float:
    """Returns how long a look may take, in seconds.

    Args:
        header: The header `X-Prometheus-Scrape-Timeout-Seconds`; empty if there is none.
    """
    with suppress(ValueError):
        allowed_s = float(header)
        if math.isfinite(allowed_s) and allowed_s > 0:
            return min(_MOST_S, max(allowed_s - _MARGIN_S, allowed_s / 2))
    return DEFAULT_LIMIT_S


class Scraper:
    """Gives the figures of a look; `open_scraper` makes it."""

    def __init__(self, watcher: HostWatcher) -> None:
        self._watcher = watcher
        self._tracker = HostFiguresTracker()
        self._looking: asyncio.Task[HostFigures] | None = None

    async def scrape(self, limit_s: float) -> HostFigures:
        """Returns the figures of a look that ends after this call.

        Args:
            limit_s: Seconds for it. Guests that are not read by then have no figures.

        Raises:
            TimeoutError: A look that somebody else began with more time takes longer.
        """
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look(limit_s))
        async with asyncio.timeout(limit_s + _GRACE_S):
            return await asyncio.shield(self._looking)

    async def close(self) -> None:
        """Ends a look that is under way."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait([self._looking])

    async def _look(self, limit_s: float) -> HostFigures:
        return self._tracker.add(await self._watcher.look(limit_s=limit_s))


@asynccontextmanager
async def open_scraper(watcher: HostWatcher) -> AsyncIterator[Scraper]:
    """Makes a scraper for the body, and ends what it does."""
    scraper = Scraper(watcher)
    try:
        yield scraper
    finally:
        await scraper.close()
