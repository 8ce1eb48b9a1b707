"""What the exporter answers at each path."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Callable
from typing import cast

import pytest

from vmio.errors import ToolError
from vmio.exporter import run
from vmio.exporter.figures import HostFigures, HostFiguresTracker
from vmio.exporter.http import Request, Response
from vmio.exporter.scraping import DEFAULT_LIMIT_S, Scraper
from vmio.managers.discovery import RunningGuest
from vmio.observe.readings import Look


class FakeScraper:
    """Gives the figures of a look, or an error."""

    def __init__(self, found: HostFigures | Exception) -> None:
        self.limits_s: list[float] = []
        self._found = found

    async def scrape(self, limit_s: float) -> HostFigures:
        """Returns the figures."""
        self.limits_s.append(limit_s)
        if isinstance(self._found, Exception):
            raise self._found
        return self._found


@pytest.fixture
def figures(
    make_guest: Callable[..., RunningGuest], make_look: Callable[..., Look]
) -> HostFigures:
    """Returns the figures of one guest."""
    return HostFiguresTracker().add(make_look(1, make_guest()))


def ask(
    found: HostFigures | Exception, path: str, **headers: str
) -> tuple[Response, FakeScraper, list[str]]:
    """Returns an answer, who was asked for figures, and what was said to a person."""
    scraper, said = FakeScraper(found), list[str]()
    request = Request(
        method="GET", path=path, headers={k.replace("_", "-"): v for k, v in headers.items()}
    )
    answer = run._answer(request, cast("Scraper", scraper), said.append)
    return asyncio.run(answer), scraper, said


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("/", 200, b'<a href="/metrics">'),
        ("/-/healthy", 200, b"healthy\n"),
        ("/metric", 404, b"Not Found\n"),
        ("*", 404, b"Not Found\n"),
    ],
)
def test_other_paths_look_at_no_guest(
    figures: HostFigures, path: str, status: int, text: bytes
) -> None:
    """Only metrics cost anything."""
    response, scraper, said = ask(figures, path)
    assert response.status == status
    assert text in response.body
    assert scraper.limits_s == []
    assert said == []


def test_metrics_are_in_the_format_and_time_that_are_asked_for(figures: HostFigures) -> None:
    """Without a header it is the text format, and the default limit."""
    plain, scraper, _ = ask(figures, "/metrics")
    assert plain.content_type.startswith("text/plain; version=0.0.4")
    assert scraper.limits_s == [DEFAULT_LIMIT_S]
    response, scraper, _ = ask(
        figures,
        "/metrics",
        accept="application/openmetrics-text;version=1.0.0",
        accept_encoding="gzip, deflate",
        x_prometheus_scrape_timeout_seconds="5",
    )
    assert response.content_type.startswith("application/openmetrics-text; version=1.0.0")
    assert response.headers == {"Content-Encoding": "gzip"}
    assert gzip.decompress(response.body).endswith(b"# EOF\n")
    assert scraper.limits_s == [4.5]


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (TimeoutError(), 503, []),
        (ToolError("too many files"), 500, ["a scrape failed: too many files"]),
        (KeyError("x"), 500, ["a scrape failed, a bug in vmio: KeyError: 'x'"]),
    ],
)
def test_scrape_that_fails_is_no_end_of_the_exporter(
    error: Exception, status: int, said: list[str]
) -> None:
    """Prometheus sees that it failed, and a person why; the client gets no detail."""
    response, _, found = ask(error, "/metrics")
    assert response.status == status
    assert found == said
    assert b"too many files" not in response.body
