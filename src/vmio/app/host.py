"""The facts of hosts: read, overridden and saved."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vmio.errors import UsageError
from vmio.host.files import read_source
from vmio.model.host import Host

__all__ = ["complete_version", "read_host", "render_host", "save_host"]


def read_host(
    path: str | None,
    overrides: Sequence[str] = (),
    *,
    binary: bool = False,
    base: Host | None = None,
    qemu_version: str | None = None,
) -> Host:
    """Returns the host that a guest would run on.

    Args:
        path: A host description; None for the host that vmio runs on.
        overrides: `KEY=VALUE` texts, each of which replaces one fact.
        binary: Whether a command line is made, which requires the version of this host's QEMU and
            the next SPICE port if they are not given.
        base: The facts to start from without a description, instead of this host's.
        qemu_version: The version of its QEMU or of Proxmox VE's package of it; overrides all else.

    Raises:
        InputError: The description cannot be read or parsed.
        UsageError: An override has no value, or the version is not valid.
        CapabilityError: No QEMU is installed and its version is required.
    """
    pairs = []
    for override in overrides:
        key, equals, value = override.partition("=")
        if not equals or not key:
            raise UsageError(f"'{override}' is not of the form KEY=VALUE")
        pairs.append((key, value))
    host = base if base is not None else Host()
    if path is None and base is None:
        from vmio.host.local import read_local_host

        host = read_local_host(ports=binary)
    if path is not None or pairs:
        from vmio.formats.host_toml import parse_host

        host = parse_host(read_source(path) if path is not None else None, pairs, base=host)
    if qemu_version is not None:
        from vmio.formats.host_toml import set_qemu_version

        host = set_qemu_version(host, qemu_version)
    return complete_version(host) if binary else host


def complete_version(host: Host) -> Host:
    """Returns the host, with the version of the local QEMU if its own is not known.

    Raises:
        CapabilityError: No QEMU is installed and its version is required.
    """
    if host.qemu_version is not None:
        return host
    from vmio.qemu.binary import find_qemu, read_version
    from vmio.values import replace

    return replace(host, qemu_version=read_version(find_qemu()))


def save_host(host: Host, path: str, *, force: bool = False) -> None:
    """Writes a host's description to a file, whole or not at all.

    Args:
        host: The host.
        path: The file's name.
        force: Whether to replace an existing file.

    Raises:
        UsageError: The file exists already.
        OutputError: The file cannot be written; the old one is still there.
    """
    from vmio.host.save import write_file

    write_file(Path(path), render_host(host).encode(), force=force)


def render_host(host: Host) -> str:
    """Returns a host's description as TOML, as `read_host` reads it."""
    from vmio.formats.host_toml import render_host as render

    return render(host)
