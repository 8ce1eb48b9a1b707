"""A server of HTTP/1.1 for answers to GET, with limits on all that a client can demand.

One request is served over a connection. prometheus-client's own server has a thread for each
connection, for as long as a client likes.

Source: RFC 9112.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from http import HTTPStatus
from typing import Final

from msgspec import Struct, field

__all__ = ["Request", "Response", "make_text", "serve_http"]

_MAX_CONNECTIONS: Final = 32
"""At once; more wait in the kernel's queue."""
_MAX_REQUEST_BYTES: Final = 1 << 14
_REQUEST_S: Final = 5.0
"""For TLS's handshake and the request."""
_SEND_S: Final = 30.0
_PAUSE_S: Final = 1.0
"""Where no connection can be accepted, since too many files are open."""
_END: Final = b"\r\n\r\n"
_TEXT: Final = "text/plain; charset=utf-8"


class Request(Struct, frozen=True, kw_only=True):
    """A request without its body."""

    method: str
    path: str
    """Without a query."""
    headers: Mapping[str, str]
    """By name in lower case; the first of each name."""


class Response(Struct, frozen=True, kw_only=True):
    """An answer."""

    body: bytes
    content_type: str = _TEXT
    status: HTTPStatus = HTTPStatus.OK
    headers: Mapping[str, str] = field(default_factory=dict)


Answer = Callable[[Request], Awaitable[Response]]


def make_text(status: HTTPStatus, text: str = "") -> Response:
    """Returns an answer of one line, the status's own phrase by default."""
    return Response(status=status, body=f"{text or status.phrase}\n".encode())


async def serve_http(
    listener: socket.socket, answer: Answer, *, tls: ssl.SSLContext | None = None
) -> None:
    """Serves clients until it is cancelled.

    Args:
        listener: A socket that listens and does not block.
        answer: Returns the answer to a request; may take its time.
        tls: None for plain HTTP.
    """
    slots = asyncio.Semaphore(_MAX_CONNECTIONS)
    async with asyncio.TaskGroup() as tasks:
        while True:
            await slots.acquire()
            connection = await _accept(listener)
            task = tasks.create_task(_serve_connection(connection, answer, tls))
            task.add_done_callback(lambda _: slots.release())


async def _accept(listener: socket.socket) -> socket.socket:
    loop = asyncio.get_running_loop()
    while True:
        try:
            connection, _ = await loop.sock_accept(listener)
        except OSError as error:
            if error.errno in {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}:
                await asyncio.sleep(_PAUSE_S)
            elif error.errno != errno.ECONNABORTED:
                raise
        else:
            return connection


async def _serve_connection(
    connection: socket.socket, answer: Answer, tls: ssl.SSLContext | None
) -> None:
    """Answers one request, and closes the connection; a client that goes or waits is dropped."""
    with suppress(OSError):
        async with asyncio.timeout(_REQUEST_S):
            reader, writer = await _open_streams(connection, tls)
        try:
            async with asyncio.timeout(_REQUEST_S):
                request = await _read_request(reader)
            response = request if isinstance(request, Response) else await answer(request)
            has_body = isinstance(request, Response) or request.method != "HEAD"
            async with asyncio.timeout(_SEND_S):
                writer.write(_render_response(response, has_body=has_body))
                await writer.drain()
                writer.close()
                await writer.wait_closed()
        except asyncio.IncompleteReadError:  # it has gone
            pass
        finally:
            writer.transport.abort()


async def _open_streams(
    connection: socket.socket, tls: ssl.SSLContext | None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=_MAX_REQUEST_BYTES, loop=loop)
    protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
    try:
        transport, _ = await loop.connect_accepted_socket(lambda: protocol, connection, ssl=tls)
    except BaseException:
        connection.close()
        raise
    return reader, asyncio.StreamWriter(transport, protocol, reader, loop)


async def _read_request(reader: asyncio.StreamReader) -> Request | Response:
    """Returns a request, or the answer to one that is none."""
    try:
        head = await reader.readuntil(_END)
    except asyncio.LimitOverrunError:
        return make_text(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
    first, *lines = head.removesuffix(_END).decode("latin-1").split("\r\n")
    match first.split(" "):
        case [method, target, version] if version.startswith("HTTP/1."):
            pass
        case _:
            return make_text(HTTPStatus.BAD_REQUEST)
    if method not in {"GET", "HEAD"}:
        return make_text(HTTPStatus.METHOD_NOT_ALLOWED)
    headers: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers.setdefault(name.lower(), value.strip())
    return Request(method=method, path=target.partition("?")[0], headers=headers)


def _render_response(response: Response, *, has_body: bool) -> bytes:
    headers = {
        "Content-Type": response.content_type,
        "Content-Length": str(len(response.body)),
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "Connection": "close",
        **response.headers,
    }
    if response.status is HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = "GET, HEAD"
    lines = [f"HTTP/1.1 {response.status.value} {response.status.phrase}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    head = "\r\n".join((*lines, "", "")).encode("latin-1")
    return head + response.body if has_body else head
