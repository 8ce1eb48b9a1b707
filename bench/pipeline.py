"""Measures reading, planning and printing a config within one running process.

    pipeline.py [--storage FILE] [--host FILE] FILE...

Domains of libvirt (`*.xml`) are taken as well, laid out too; without files the project's golden
ones are.

Each round processes every config once. Without files these are the project's golden configs, and
one guest with 31 disks that all have limits and an IOThread. Errors in configs do not matter here:
one that vmio refuses is reported and left out. Times are the processor's, which a busy host
changes less than the clock's.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path

from vmio import app
from vmio.errors import VmioError
from vmio.formats import registry
from vmio.formats.base import ReadContext
from vmio.formats.proxmox.reader import read_guest
from vmio.formats.proxmox.storage import Storages, parse_storages
from vmio.model.host import Host
from vmio.model.source import Source

ROOT = Path(__file__).resolve().parent.parent
GOLDENS = ROOT / "tests" / "golden" / "proxmox"
DOMAINS = ROOT / "tests" / "golden" / "libvirt"
MANY_DISKS = "many-disks"


def write_many_disks(folder: Path) -> Path:
    """Writes a config of 31 disks, each with limits and an IOThread."""
    lines = ["cores: 8", "memory: 8192", "name: many", "scsihw: virtio-scsi-single"]
    lines += [
        f"scsi{index}: /dev/zvol/tank/vm-9-disk-{index},discard=on,iothread=1,mbps_rd=100,"
        "mbps_wr=50,iops_rd=1000,iops_rd_max=2000,iops_wr=500,ssd=1,size=32G"
        for index in range(31)
    ]
    path = folder / f"{MANY_DISKS}.conf"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def run_once(source: Source, storages: Storages, host: Host) -> None:
    """Processes one config from its bytes to its command line."""
    if source.name.endswith(".xml"):
        domain = registry.read(source, ReadContext(host=host))
        registry.lay_out(domain)
        app.emit(domain, host)
        return
    guest = read_guest(source, ReadContext(storages=storages, host=host, vmid="100"))
    app.emit(guest, host, pretty=True)


def measure(source: Source, storages: Storages, host: Host, rounds: int) -> list[float]:
    """Returns the milliseconds of processor time of each round."""
    times_ms = []
    for _ in range(rounds):
        start_ns = time.process_time_ns()
        run_once(source, storages, host)
        times_ms.append((time.process_time_ns() - start_ns) / 1e6)
    return times_ms


def main() -> None:
    """Prints the median of all configs, the slowest ones, and the growth of memory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--storage", default=str(GOLDENS / "storage.cfg"))
    parser.add_argument("--host", default=str(GOLDENS / "host.toml"))
    parser.add_argument("-n", "--rounds", type=int, default=50, metavar="N")
    parser.add_argument("files", nargs="*", metavar="FILE")
    options = parser.parse_args()
    host = app.read_host(options.host, ["cpu.count=256"])
    storages = parse_storages(app.read_source(options.storage))
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(name) for name in options.files] or sorted(GOLDENS.glob("*.conf"))
        paths += [] if options.files else sorted(DOMAINS.glob("*.xml"))
        paths.append(write_many_disks(Path(folder)))
        sources = {
            path.stem if path.suffix == ".conf" else path.name: app.read_source(str(path))
            for path in paths
        }
    medians_ms: dict[str, float] = {}
    peak_kib = 0
    for name, source in sources.items():
        try:
            run_once(source, storages, host)
        except VmioError as error:
            print(f"left out {name}: {error.message}", file=sys.stderr)
            continue
        peak_kib = peak_kib or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        medians_ms[name] = statistics.median(measure(source, storages, host, options.rounds))
    grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak_kib
    many_ms = medians_ms.pop(MANY_DISKS)
    domains = [name for name in medians_ms if name.endswith(".xml")]
    domains_ms = [medians_ms.pop(name) for name in domains]
    if medians_ms:
        median_ms = statistics.median(medians_ms.values())
        print(f"{median_ms:8.2f} ms  median of {len(medians_ms)} configs")
        print(f"{statistics.mean(medians_ms.values()):8.2f} ms  mean of them")
    for name in sorted(medians_ms, key=lambda key: -medians_ms[key])[:3]:
        print(f"{medians_ms[name]:8.2f} ms  {name}")
    if domains_ms:
        domain_ms = statistics.median(domains_ms)
        print(f"{domain_ms:8.2f} ms  median of {len(domains)} libvirt domains, laid out too")
    print(f"{many_ms:8.2f} ms  31 disks with limits and IOThreads")
    print(f"{grown_kib:8d} KiB more memory at the end, on {os.cpu_count()} processors")


if __name__ == "__main__":
    main()
