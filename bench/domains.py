"""Measures the cost of reading running domains from their libvirt daemon.

    domains.py [-g GUESTS] [-d DISKS] [-n LOOKS]

The domains are paused guests of a session daemon of its own: what they do costs nothing, what is
asked of them costs the same.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import statistics
import time
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path

from vmio.app.live import watch_guests
from vmio.testing.libvirt_daemon import SessionDaemon, run_session_daemon

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def write_domain(folder: Path, name: str, disks: int) -> str:
    """Returns the XML of a domain whose disks are files that it makes."""
    elements = []
    for number in range(disks):
        path = folder / f"{name}-{number}.raw"
        path.touch()
        os.truncate(path, 1 << 20)
        path.chmod(0o666)
        elements.append(
            "<disk type='file' device='disk'><driver name='qemu' type='raw' iothread='1'/>"
            f"<source file='{path}'/>"
            f"<target dev='vd{chr(ord('a') + number)}' bus='virtio'/></disk>"
        )
    return (
        f"<domain type='qemu'><name>{name}</name><memory unit='MiB'>16</memory>"
        "<iothreads>1</iothreads><os><type arch='x86_64' machine='q35'>hvm</type></os>"
        f"<devices>{''.join(elements)}</devices></domain>"
    )


def read_cpu_s(pid: int) -> float:
    """Returns the processor time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


async def look(
    names: Sequence[str], looks: int, daemon: SessionDaemon
) -> tuple[Sequence[float], Sequence[float]]:
    """Returns how long each look took, and the processor time of vmio and of the daemon, in ms."""
    times_ms = []
    async with watch_guests(names) as watcher:
        await watcher.look()
        usage = resource.getrusage(resource.RUSAGE_SELF)
        before = usage.ru_utime + usage.ru_stime, read_cpu_s(daemon.pid)
        for _ in range(looks):
            found = await watcher.look()
            for each in found.observations:
                if each.sample is None or each.sample.monitor != "answered":
                    raise SystemExit(f"{each.guest.name} was not read: {each.sample}")
            times_ms.append(found.duration_s * 1000)
            await asyncio.sleep(max(0.0, 1 - found.duration_s))
        usage = resource.getrusage(resource.RUSAGE_SELF)
        after = usage.ru_utime + usage.ru_stime, read_cpu_s(daemon.pid)
    return times_ms, [(now - then) * 1000 / looks for now, then in zip(after, before, strict=True)]


def main() -> None:
    """Prints what one look takes, on the clock and of processors."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-g", "--guests", type=int, default=20, metavar="N")
    parser.add_argument("-d", "--disks", type=int, default=4, metavar="N")
    parser.add_argument("-n", "--looks", type=int, default=20, metavar="N")
    options = parser.parse_args()
    libvirt = import_module("libvirt")
    with run_session_daemon() as daemon:
        os.environ["LIBVIRT_DEFAULT_URI"] = daemon.uri
        connection = libvirt.open(daemon.uri)
        names = [f"bench{os.getpid()}-{number}" for number in range(options.guests)]
        domains = []
        for name in names:
            text = write_domain(daemon.folder, name, options.disks)
            domains.append(connection.createXML(text, libvirt.VIR_DOMAIN_START_PAUSED))
        took_ms = []
        for domain in domains * 3:
            began_s = time.monotonic()
            connection.domainListGetStats([domain], libvirt.VIR_DOMAIN_STATS_BLOCK)
            took_ms.append((time.monotonic() - began_s) * 1000)
        times_ms, (own_ms, daemon_ms) = asyncio.run(look(names, options.looks, daemon))
        with suppress(libvirt.libvirtError):
            connection.close()
    print(
        f"{options.guests} domains with {options.disks} disks each:"
        f" a look every second takes {statistics.median(times_ms):.0f} ms"
        f" ({min(times_ms):.0f} to {max(times_ms):.0f}),"
        f" {own_ms:.1f} ms of vmio's processor time and {daemon_ms:.1f} ms of the daemon's;"
        f" one call for one domain {statistics.median(took_ms):.1f} ms;"
        f" load {os.getloadavg()[0]:.1f}"
    )


if __name__ == "__main__":
    main()
