"""The exporter: watches guests, and serves their metrics until it is told to end."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Final

from vmio import __version__
from vmio.app.live import watch_guests
from vmio.errors import VmioError, describe_bug
from vmio.exporter.collector import render_figures
from vmio.exporter.http import Request, Response, make_text, serve_http
from vmio.exporter.listening import Address, TlsFiles, make_tls, open_listener
from vmio.exporter.scraping import Scraper, find_limit, open_scraper
from vmio.observe.watching import WatchOptions

__all__ = ["run_exporter"]

_LIMIT_HEADER: Final = "x-prometheus-scrape-timeout-seconds"
_COMPRESSION: Final = 1
"""Fifteen times smaller, in a thirtieth of the time that rendering takes."""
_PAGE: Final = f"""\
<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>vmio exporter</title></head>
<body>
<h1>vmio exporter</h1>
<p>Version {__version__}. <a href="/metrics">Metrics</a>, <a href="/-/healthy">health</a>.</p>
</body>
</html>
"""


async def run_exporter(
    addresses: Sequence[str] = (),
    *,
    listen: Address,
    tls: TlsFiles | None = None,
    latencies: bool = False,
    queues: bool = False,
    report: Callable[[str], None],
) -> None:
    """Serves metrics of this host's guests until it is cancelled.

    Guests are looked at when somebody asks for their metrics, and only then.

    Args:
        addresses: Which guests, as for `vmio.app.list_running`; all without any.
        listen: Where to listen.
        tls: The certificates of HTTPS; None for HTTP.
        latencies: Whether QEMU counts requests by latency meanwhile, where nobody has it do so.
        queues: Whether QEMU is asked what is in flight in each virtqueue.
        report: Takes a line for a person: where it listens, and what went wrong.

    Raises:
        CapabilityError: The address cannot be listened at.
        ConflictError: A guest's address is the config of another node.
        InputError: A certificate cannot be read.
    """
    context = make_tls(tls) if tls is not None else None
    options = WatchOptions(latencies=latencies, queues=queues)
    with open_listener(listen) as listener:
        async with (
            watch_guests(addresses, options=options) as watcher,
            open_scraper(watcher) as scraper,
        ):
            host, port = listener.getsockname()[:2]
            scheme = "http" if context is None else "https"
            report(f"metrics are at {scheme}://{Address(host=host, port=port)}/metrics")

            async def answer(request: Request) -> Response:
                return await _answer(request, scraper, report)

            await serve_http(listener, answer, tls=context)


async def _answer(request: Request, scraper: Scraper, report: Callable[[str], None]) -> Response:
    match request.path:
        case "/metrics":
            return await _answer_scrape(request, scraper, report)
        case "/-/healthy":
            return make_text(HTTPStatus.OK, "vmio exporter is healthy")
        case "/":
            return Response(body=_PAGE.encode(), content_type="text/html; charset=utf-8")
        case _:
            return make_text(HTTPStatus.NOT_FOUND)


async def _answer_scrape(
    request: Request, scraper: Scraper, report: Callable[[str], None]
) -> Response:
    try:
        figures = await scraper.scrape(find_limit(request.headers.get(_LIMIT_HEADER, "")))
        body, content_type = render_figures(
            figures, request.headers.get("accept", ""), report=report
        )
    except TimeoutError:
        return make_text(HTTPStatus.SERVICE_UNAVAILABLE, "a look at the guests takes longer")
    except VmioError as error:
        report(f"a scrape failed: {error.message}")
        return make_text(HTTPStatus.INTERNAL_SERVER_ERROR)
    except Exception as error:  # noqa: BLE001 - what one guest says must not end the exporter
        report(f"a scrape failed, {describe_bug(error)}")
        return make_text(HTTPStatus.INTERNAL_SERVER_ERROR)
    headers = {}
    if "gzip" in request.headers.get("accept-encoding", ""):
        body = gzip.compress(body, _COMPRESSION)
        headers["Content-Encoding"] = "gzip"
    return Response(body=body, content_type=content_type, headers=headers)
