"""The server, and clients that are slow, wrong, many or gone."""

from __future__ import annotations

import asyncio
import shutil
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from http import HTTPStatus
from pathlib import Path

import pytest

from vmio.errors import InputError
from vmio.exporter import http
from vmio.exporter.http import Request, Response, make_text, serve_http
from vmio.exporter.listening import Address, TlsFiles, make_tls, open_listener

LOCAL = Address(host="127.0.0.1", port=0)


async def echo(request: Request) -> Response:
    """Returns what was asked for."""
    return make_text(HTTPStatus.OK, f"{request.method} {request.path} {request.headers}")


@asynccontextmanager
async def served(
    answer: http.Answer = echo, tls: ssl.SSLContext | None = None
) -> AsyncIterator[int]:
    """Serves, and gives the port."""
    with open_listener(LOCAL) as listener:
        server = asyncio.create_task(serve_http(listener, answer, tls=tls))
        try:
            yield listener.getsockname()[1]
        finally:
            assert not server.done()
            server.cancel()
            await asyncio.wait([server])


async def ask(port: int, request: bytes, *, tls: ssl.SSLContext | None = None) -> bytes:
    """Returns all that is answered."""
    name = "localhost" if tls is not None else None
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=tls, server_hostname=name
    )
    with closing(writer):
        writer.write(request)
        return await reader.read()


@pytest.mark.parametrize(
    ("request_bytes", "start", "end"),
    [
        (b"GET /a?b=c HTTP/1.1\r\nX-Y:  z \r\n\r\n", b"HTTP/1.1 200 OK\r\n", b"'x-y': 'z'}\n"),
        (b"GET / HTTP/1.0\r\n\r\n", b"HTTP/1.1 200 OK\r\n", b"GET / {}\n"),
        (b"HEAD / HTTP/1.1\r\n\r\n", b"HTTP/1.1 200 OK\r\n", b"\r\n\r\n"),
        (b"POST / HTTP/1.1\r\n\r\n", b"HTTP/1.1 405 ", b"Method Not Allowed\n"),
        (b"GET /\r\n\r\n", b"HTTP/1.1 400 ", b"Bad Request\n"),
        (b"\xff\x00 \r\n\r\n", b"HTTP/1.1 400 ", b"Bad Request\n"),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * (1 << 16), b"HTTP/1.1 431 ", b"Too Large\n"),
        (b"GET / HTTP/1.1\r\n", b"", b""),
    ],
)
def test_request_has_its_answer(request_bytes: bytes, start: bytes, end: bytes) -> None:
    """One that is none is told so, and the connection is closed after each."""

    async def run() -> None:
        async with served() as port:
            if not start:  # it goes in the middle of its request
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(request_bytes)
                writer.close()
                await writer.wait_closed()
            else:
                found = await ask(port, request_bytes)
                assert found.startswith(start)
                assert found.endswith(end)
            assert (await ask(port, b"GET / HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 200")

    asyncio.run(run())


def test_slow_client_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that begins a request and waits has the connection closed."""
    monkeypatch.setattr(http, "_REQUEST_S", 0.05)

    async def run() -> None:
        async with served() as port:
            assert await ask(port, b"GET / HTTP/1.1\r\n") == b""

    asyncio.run(run())


def test_client_that_does_not_read_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it did not take is thrown away."""
    monkeypatch.setattr(http, "_SEND_S", 0.05)
    asked = asyncio.Event()

    async def answer(_: Request) -> Response:
        asked.set()
        return Response(body=b"x" * (32 << 20))

    async def run() -> None:
        async with served(answer) as port:
            before = asyncio.all_tasks()
            with socket.socket() as client:
                client.settimeout(0)
                loop = asyncio.get_running_loop()
                await loop.sock_connect(client, ("127.0.0.1", port))
                await loop.sock_sendall(client, b"GET / HTTP/1.1\r\n\r\n")
                await asked.wait()
                (serving,) = asyncio.all_tasks() - before
                await serving

    asyncio.run(run())


def test_connections_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """One more than there may be waits until another has gone."""
    monkeypatch.setattr(http, "_MAX_CONNECTIONS", 2)
    asked = 0

    async def run() -> None:
        go_on = asyncio.Event()
        two = asyncio.Event()

        async def answer(_: Request) -> Response:
            nonlocal asked
            asked += 1
            if asked == 2:
                two.set()
            await go_on.wait()
            return make_text(HTTPStatus.OK)

        async with served(answer) as port:
            clients = [asyncio.create_task(ask(port, b"GET / HTTP/1.1\r\n\r\n")) for _ in range(5)]
            await two.wait()
            for _ in range(100):
                await asyncio.sleep(0)
            assert asked == 2
            go_on.set()
            assert len(await asyncio.gather(*clients)) == 5
            assert asked == 5

    asyncio.run(run())


def make_certificates(folder: Path) -> None:
    """Makes an authority with a certificate for a server and one for a client."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")

    def run(*words: str) -> None:
        subprocess.run(("openssl", *words), cwd=folder, check=True, capture_output=True)

    new = ("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    run(*new, "-x509", "-subj", "/CN=authority", "-keyout", "ca.key", "-out", "ca.pem")
    for name in ("server", "client"):
        (folder / "names").write_text("subjectAltName=DNS:localhost\n")
        run(*new, "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", "request")
        signed = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "names")
        run("x509", "-req", "-in", "request", *signed, "-out", f"{name}.pem")


def test_client_needs_a_certificate_where_it_is_told_to_have_one(tmp_path: Path) -> None:
    """With one it is answered; without one, or without TLS, it is not."""
    make_certificates(tmp_path)
    tls = make_tls(
        TlsFiles(
            certificate=tmp_path / "server.pem",
            key=tmp_path / "server.key",
            client_authority=tmp_path / "ca.pem",
        )
    )
    stranger = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
    client = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
    client.load_cert_chain(tmp_path / "client.pem", tmp_path / "client.key")

    async def run() -> None:
        async with served(tls=tls) as port:
            for context in (None, stranger):
                assert not (await try_to_ask(port, context)).startswith(b"HTTP")
            assert (await try_to_ask(port, client)).startswith(b"HTTP/1.1 200")

    async def try_to_ask(port: int, context: ssl.SSLContext | None) -> bytes:
        try:
            return await ask(port, b"GET / HTTP/1.1\r\n\r\n", tls=context)
        except OSError:
            return b""

    asyncio.run(run())


def test_certificate_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    """One line says which file; a key with a password is not asked about."""
    absent = TlsFiles(certificate=tmp_path / "absent.pem")
    with pytest.raises(InputError, match=r"absent.pem: No such file or directory"):
        make_tls(absent)
    empty = tmp_path / "empty.pem"
    empty.write_text("")
    with pytest.raises(InputError, match="cannot use the certificate"):
        make_tls(TlsFiles(certificate=empty))
    make_certificates(tmp_path)
    ours = {"certificate": tmp_path / "server.pem", "key": tmp_path / "server.key"}
    with pytest.raises(InputError, match="cannot use the authority"):
        make_tls(TlsFiles(**ours, client_authority=empty))
    with pytest.raises(InputError, match="key values mismatch"):
        make_tls(TlsFiles(certificate=ours["certificate"], key=tmp_path / "client.key"))
    locked = tmp_path / "locked.key"
    argv = ("openssl", "ec", "-in", "server.key", "-aes256", "-passout", "pass:x", "-out")
    subprocess.run((*argv, str(locked)), cwd=tmp_path, check=True, capture_output=True)
    with pytest.raises(InputError, match="cannot use the certificate"):
        make_tls(TlsFiles(certificate=ours["certificate"], key=locked))
