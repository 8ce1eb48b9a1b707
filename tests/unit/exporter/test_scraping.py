"""Looks that scrapers ask for, and the time that they have."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

import pytest

from vmio.errors import ToolError
from vmio.exporter.scraping import DEFAULT_LIMIT_S, find_limit, open_scraper
from vmio.observe.readings import Look
from vmio.observe.watching import HostWatcher


class SlowWatcher:
    """Looks at nothing, and is done when it is told."""

    def __init__(self, look: Look) -> None:
        self.limits_s: list[float | None] = []
        self.done = asyncio.Event()
        self.error: Exception | None = None
        self._look = look

    async def look(self, *, limit_s: float | None = None) -> Look:
        """Returns a look when `done` is set."""
        self.limits_s.append(limit_s)
        await self.done.wait()
        if self.error is not None:
            raise self.error
        return self._look


@pytest.mark.parametrize(
    ("header", "limit_s"),
    [
        ("10", 9.5),
        ("1", 0.5),
        ("0.4", 0.2),
        ("1e9", 60.0),
        *((each, DEFAULT_LIMIT_S) for each in ("", "-1", "0", "nan", "inf", "ten", "1" * 400)),
    ],
)
def test_look_takes_less_time_than_its_scraper_waits(header: str, limit_s: float) -> None:
    """What is left is for rendering and sending; a header that says nothing is the default's."""
    assert find_limit(header) == limit_s


def test_scrapers_of_one_moment_share_a_look(make_look: Callable[..., Look]) -> None:
    """The one after them has a look of its own."""

    async def scrape() -> None:
        watcher = SlowWatcher(make_look(1))
        async with open_scraper(cast("HostWatcher", watcher)) as scraper:
            asked = [asyncio.create_task(scraper.scrape(5.0)) for _ in range(3)]
            await asyncio.sleep(0)
            watcher.done.set()
            found = await asyncio.gather(*asked)
            assert all(each is found[0] for each in found)
            assert watcher.limits_s == [5.0]
            assert await scraper.scrape(3.0) is not found[0]
            assert watcher.limits_s == [5.0, 3.0]

    asyncio.run(scrape())


def test_scraper_with_less_time_does_not_wait_for_anothers_look(
    make_look: Callable[..., Look],
) -> None:
    """The look goes on for the one who began it."""

    async def scrape() -> None:
        watcher = SlowWatcher(make_look(1))
        async with open_scraper(cast("HostWatcher", watcher)) as scraper:
            patient = asyncio.create_task(scraper.scrape(60.0))
            await asyncio.sleep(0)
            with pytest.raises(TimeoutError):
                await scraper.scrape(-1.0)
            watcher.done.set()
            assert (await patient).guests == ()
            assert watcher.limits_s == [60.0]

    asyncio.run(scrape())


def test_look_that_fails_is_no_end(make_look: Callable[..., Look]) -> None:
    """Those who asked are told, and the next one begins anew."""

    async def scrape() -> None:
        watcher = SlowWatcher(make_look(1))
        async with open_scraper(cast("HostWatcher", watcher)) as scraper:
            watcher.error = ToolError("too many open files")
            watcher.done.set()
            with pytest.raises(ToolError, match="too many"):
                await scraper.scrape(5.0)
            watcher.error = None
            assert (await scraper.scrape(5.0)).guests == ()

    asyncio.run(scrape())


def test_look_that_is_under_way_ends_with_the_exporter(make_look: Callable[..., Look]) -> None:
    """Nothing is left that looks at guests whose monitors are closed."""

    async def scrape() -> None:
        watcher = SlowWatcher(make_look(1))
        async with open_scraper(cast("HostWatcher", watcher)) as scraper:
            asked = asyncio.create_task(scraper.scrape(5.0))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError):
            await asked
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(scrape())
