"""`vmio exporter`: serves metrics of this host's guests to Prometheus."""

from __future__ import annotations

from pathlib import Path

import click

from vmio import app
from vmio.cli.completing import complete_running
from vmio.cli.terminal import say
from vmio.errors import MissingExtraError, UsageError
from vmio.exporter.listening import DEFAULT_LISTEN, TlsFiles, parse_address

__all__ = ["command"]


@click.command("exporter")
@click.argument("vms", metavar="[VM]...", nargs=-1, shell_complete=complete_running)
@click.option(
    "--listen",
    metavar="HOST:PORT",
    default=DEFAULT_LISTEN,
    show_default=True,
    help="Where to listen; :PORT is every address of this host.",
)
@click.option(
    "--latencies",
    is_flag=True,
    help="Have QEMU count requests by latency meanwhile, for histograms.",
)
@click.option(
    "--queues",
    is_flag=True,
    help="Ask QEMU what is in flight, half a millisecond for each virtqueue.",
)
@click.option("--tls-cert", metavar="FILE", help="Serve HTTPS with this certificate (PEM).")
@click.option("--tls-key", metavar="FILE", help="Its key, if it is in another file.")
@click.option(
    "--client-ca", metavar="FILE", help="Serve clients with a certificate of this authority only."
)
def command(
    *,
    vms: tuple[str, ...],
    listen: str,
    latencies: bool,
    queues: bool,
    tls_cert: str | None,
    tls_key: str | None,
    client_ca: str | None,
) -> None:
    """Serve metrics of the guests that run on this host to Prometheus, until Ctrl-C or SIGTERM.

    Guests are looked at when the metrics are asked for: their threads in /proc, and their disks by
    short visits to monitors that nobody else is connected to. Anybody who runs it has the threads;
    root has the disks as well.

    VM is a guest's number, id, name or config, pid:NUMBER, or qmp:SOCKET; all guests without one,
    and those that come later.
    """
    if tls_cert is None and (tls_key is not None or client_ca is not None):
        option = "--tls-key" if tls_key is not None else "--client-ca"
        raise UsageError(f"{option} requires --tls-cert FILE")
    try:
        from vmio.exporter.run import run_exporter
    except ImportError as error:
        if error.name is None or not error.name.startswith("prometheus_client"):
            raise
        raise MissingExtraError(
            "the exporter requires prometheus-client, which is not installed",
            hint="pip install 'vmio[exporter]'",
        ) from error
    tls = None
    if tls_cert is not None:
        tls = TlsFiles(
            certificate=Path(tls_cert),
            key=Path(tls_key) if tls_key is not None else None,
            client_authority=Path(client_ca) if client_ca is not None else None,
        )
    address = parse_address(listen)
    for missing in app.list_running(vms).errors:  # it may start later
        say(missing.message)
    app.run_async(
        run_exporter(vms, listen=address, tls=tls, latencies=latencies, queues=queues, report=say)
    )
