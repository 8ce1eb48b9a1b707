"""The QEMU of a node, from the output of `pveversion -v`.

Source: pve-manager 9, `pveversion`; bug reports contain the same lines.
"""

from __future__ import annotations

import re

from vmio.errors import InputError
from vmio.formats.host_toml import is_package, set_qemu_version
from vmio.model.host import Host
from vmio.model.source import Source
from vmio.values import replace

__all__ = ["parse_pveversion"]

_MAX_BYTES = 1024 * 1024


def parse_pveversion(source: Source, host: Host) -> Host:
    """Returns a host with the QEMU and the kernel that its `pveversion -v` names.

    Raises:
        InputError: It names no QEMU.
    """
    text = source.data[:_MAX_BYTES].decode("utf-8", "replace")
    found = re.search(r"^pve-qemu-kvm:\s*(\S{1,40})", text, re.MULTILINE)
    if found is None or not is_package(found[1]):
        raise InputError(
            f"{source.name} does not contain the version of pve-qemu-kvm",
            hint="give the output of `pveversion -v`",
        )
    running = re.search(r"\(running kernel: ([\w.+~-]{1,80})\)", text, re.ASCII)
    kernel = replace(host.kernel, release=running[1]) if running is not None else host.kernel
    return replace(set_qemu_version(host, found[1]), kernel=kernel)
