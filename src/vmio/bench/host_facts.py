"""The facts of this host that a measurement depends on."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path

from vmio.bench.result import HostFacts
from vmio.host.local import read_cpu_model

__all__ = ["read_host_facts"]

_MAX_BYTES = 1 << 16


def read_host_facts() -> HostFacts:
    """Reads the host's facts; unavailable ones are empty."""
    release = re.search(r'^PRETTY_NAME="?([^"\n]+)', _read_text("/etc/os-release"), re.MULTILINE)
    return HostFacts(
        cpu_model=read_cpu_model(),
        cpu_count=len(os.sched_getaffinity(0)),
        kernel=platform.release(),
        distribution=release[1] if release else "",
        memory_bytes=os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        governor=_read_text("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor").strip(),
        load_average_1min=os.getloadavg()[0],
    )


def _read_text(path: str) -> str:
    try:
        with Path(path).open("rb") as file:
            return file.read(_MAX_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""
