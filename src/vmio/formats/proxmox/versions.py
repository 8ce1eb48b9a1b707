"""Which QEMU a node has, by what a person says or by what its `pveversion -v` said.

Source: pve-manager 9, `pveversion`; the same lines are in every bug report.
"""

from __future__ import annotations

import re

from attrs import evolve

from vmio.errors import InputError, UsageError
from vmio.model.host import Host
from vmio.model.source import Source
from vmio.model.version import parse_version

__all__ = ["parse_pveversion", "set_qemu_version"]

_MAX_BYTES = 1024 * 1024
_RELEASE = re.compile(r"\d{1,4}\.\d{1,4}(?:\.\d{1,4})?", re.ASCII)
_PACKAGE = re.compile(r"(\d{1,4}\.\d{1,4}(?:\.\d{1,4})?)-\d[\w.+~]{0,30}", re.ASCII)


def set_qemu_version(host: Host, text: str) -> Host:
    """Returns a host with another QEMU: a Proxmox package as `10.1.2-7`, or a release as `9.2.0`.

    Raises:
        UsageError: It is neither.
    """
    package = _PACKAGE.fullmatch(text.strip())
    if package is not None:
        return _set_package(host, package)
    if not _RELEASE.fullmatch(text.strip()):
        raise UsageError(
            f"'{text[:80]}' is no version of QEMU",
            hint="a release is such as 9.2.0, a Proxmox package such as 10.1.2-7",
        )
    return evolve(host, qemu_version=parse_version(text.strip()), pve_qemu_version=None)


def parse_pveversion(source: Source, host: Host) -> Host:
    """Returns a host with the QEMU and the kernel that its `pveversion -v` names.

    Raises:
        InputError: It names no QEMU.
    """
    text = source.data[:_MAX_BYTES].decode("utf-8", "replace")
    found = re.search(r"^pve-qemu-kvm:\s*(\S{1,40})", text, re.MULTILINE)
    package = _PACKAGE.fullmatch(found[1]) if found is not None else None
    if package is None:
        raise InputError(
            f"{source.name} does not tell the version of pve-qemu-kvm",
            hint="it is what `pveversion -v` prints",
        )
    running = re.search(r"\(running kernel: ([\w.+~-]{1,80})\)", text, re.ASCII)
    kernel = evolve(host.kernel, release=running[1]) if running is not None else host.kernel
    return evolve(_set_package(host, package), kernel=kernel)


def _set_package(host: Host, package: re.Match[str]) -> Host:
    return evolve(
        host, qemu_version=parse_version(package[1]), pve_qemu_version=parse_version(package[0])
    )
