"""The host that vmio runs on, as a `Host`."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path

from vmio.model.host import Cpu, Host

__all__ = ["read_local_host"]

_MAX_BYTES = 64 * 1024
_INITIATOR = Path("/etc/iscsi/initiatorname.iscsi")
_CDROMS = ("/dev/cdrom", "/dev/cdrom1", "/dev/cdrom2")


def read_local_host() -> Host:
    """Returns the facts of this host that are cheap to have; QEMU's version is not among them."""
    info = _read_text(Path("/proc/cpuinfo"))
    vendor = re.search(r"^vendor_id\s*:\s*(\S+)", info, re.MULTILINE)
    bits = re.search(r"^address sizes\s*:\s*(\d+) bits physical", info, re.MULTILINE)
    flags = re.search(r"^flags\s*:\s*(.+)", info, re.MULTILINE)
    initiator = re.search(r"^InitiatorName=(\S+)", _read_text(_INITIATOR), re.MULTILINE)
    return Host(
        node=platform.node().partition(".")[0],
        arch=platform.machine(),
        kvm=os.access("/dev/kvm", os.R_OK | os.W_OK),
        vhost_net=Path("/dev/vhost-net").exists(),
        iscsi_initiator=initiator[1] if initiator else "",
        cdrom=next((path for path in _CDROMS if Path(path).exists()), ""),
        cpu=Cpu(
            vendor=vendor[1] if vendor else "",
            count=os.cpu_count() or 1,
            phys_bits=int(bits[1]) if bits else 40,
            flags=tuple(flags[1].split()) if flags else (),
        ),
    )


def _read_text(path: Path) -> str:
    """Returns the beginning of a file, empty where there is none to read."""
    try:
        with path.open("rb") as file:
            return file.read(_MAX_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""
