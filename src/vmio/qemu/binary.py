"""Finds a QEMU and asks for its version and capabilities; without asyncio, for light verbs."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import ValidationError, convert, to_builtins

from vmio.errors import CapabilityError, ToolError
from vmio.model.capabilities import (
    Capabilities,
    QemuVersion,
    parse_capabilities,
    parse_device_names,
    parse_version_text,
)
from vmio.qemu.cache import identify_file, read_entry, write_entry
from vmio.qemu.child import describe_failure, run_command

__all__ = ["find_qemu", "read_capabilities", "read_version"]

_ARCH = re.compile(r"[a-z0-9_]{1,32}", re.ASCII)
_STORAGE = re.compile(r"ahci|am53|blk|cd|disk|esp|hd|ide|lsi|megasas|mpt|nvme|scsi")
"""Other devices are not asked about: QEMU 7.2 aborts at one whose module is missing."""
_VERSION_TIMEOUT_S = 10.0
_PROBE_TIMEOUT_S = 30.0
_SCHEMA = "1"
"""Part of the identity of cached replies: to be increased when `Capabilities` changes."""
_END = "vmio-end"
_FIRST_QUESTIONS: tuple[tuple[str, str, Mapping[str, object]], ...] = (
    ("version", "query-version", {}),
    ("machines", "query-machines", {}),
    ("accelerators", "qom-list-types", {"implements": "accel", "abstract": False}),
    ("iothread", "qom-list-properties", {"typename": "iothread"}),
    ("devices", "qom-list-types", {"implements": "device", "abstract": False}),
)


def find_qemu(arch: str = "x86_64", *, path: Path | None = None) -> Path:
    """Returns the system emulator to use.

    Args:
        arch: The guest's architecture, as QEMU names it.
        path: The path that the user names, which is used exclusively.

    Raises:
        CapabilityError: There is no such emulator.
    """
    if path is not None:
        found = shutil.which(path)
        if found is None:
            raise CapabilityError(f"{path} does not exist or is not executable")
        return Path(found).absolute()
    if not _ARCH.fullmatch(arch):
        raise CapabilityError(f"there is no QEMU for an architecture '{arch[:40]}'")
    names = [f"qemu-system-{arch}"]
    if arch == "x86_64":
        # Debian's wrapper, and the path of Red Hat's only QEMU.
        names += ["/usr/bin/kvm", "/usr/libexec/qemu-kvm"]
    for name in names:
        found = shutil.which(name)
        if found is not None:
            return Path(found).absolute()
    package = {"x86_64": "qemu-system-x86", "aarch64": "qemu-system-arm"}.get(arch, "qemu-system")
    raise CapabilityError(
        f"QEMU is not installed: no qemu-system-{arch} on this host",
        hint=f"apt-get install {package} qemu-utils",
    )


def read_version(binary: Path) -> QemuVersion:
    """Asks a binary for its version.

    Raises:
        CapabilityError: There is no such binary.
        ToolError: It is not a QEMU, or does not answer.
    """
    argv = (str(binary), "--version")
    finished = run_command(argv, timeout_s=_VERSION_TIMEOUT_S, limit_bytes=1 << 16)
    if finished.status != 0:
        raise describe_failure(
            f"{binary} does not report its version",
            argv,
            status=finished.status,
            errors=finished.errors,
        )
    try:
        return parse_version_text(finished.output.decode("utf-8", "replace"))
    except ValueError as error:
        raise ToolError(f"{binary} is not a QEMU", argv=argv, status=0) from error


def read_capabilities(binary: Path) -> Capabilities:
    """Asks a binary for its capabilities, once for as long as the file is unchanged.

    QEMU is started without a machine and replies from its own type tree, so nothing is inferred
    from a version number, and a distribution's backports are included.

    Raises:
        CapabilityError: There is no such binary.
        ToolError: It is not a QEMU, or does not answer.
    """
    try:
        identity = (_SCHEMA, *identify_file(binary))
    except OSError as error:
        raise CapabilityError(f"cannot look at {binary}: {error.strerror}") from error
    cached = _structure(read_entry("capabilities", identity))
    if cached is not None:
        return cached
    read_version(binary)  # detects other programs before they get QEMU's options
    first = _ask(binary, _FIRST_QUESTIONS)
    try:
        devices = [name for name in parse_device_names(first) if _STORAGE.search(name)]
        second = _ask(
            binary,
            [(f"device {name}", "device-list-properties", {"typename": name}) for name in devices],
        )
        capabilities = parse_capabilities(first + second)
    except ValueError as error:
        raise ToolError(
            f"{binary} does not answer as a QEMU does: {error}", argv=(str(binary),)
        ) from error
    write_entry("capabilities", identity, to_builtins(capabilities))
    return capabilities


def _ask(binary: Path, questions: Sequence[tuple[str, str, Mapping[str, object]]]) -> str:
    """Returns the transcript of a session with the given commands."""
    messages: list[Mapping[str, object]] = [{"execute": "qmp_capabilities"}]
    messages += [
        {"execute": command, "arguments": arguments, "id": name}
        for name, command, arguments in questions
    ]
    # Not `quit`: QEMU would not wait until all of its output is read.
    messages.append({"execute": "query-version", "id": _END})
    argv = (
        *(str(binary), "-machine", "none", "-accel", "tcg", "-nodefaults", "-no-user-config"),
        *("-display", "none", "-S", "-qmp", "stdio"),
    )
    stdin = "".join(f"{json.dumps(message)}\n" for message in messages).encode()
    finished = run_command(
        argv,
        stdin=stdin,
        until=f'"{_END}"}}'.encode(),
        timeout_s=_PROBE_TIMEOUT_S,
    )
    if finished.status != 0:
        raise describe_failure(
            f"{binary} does not report its capabilities",
            argv,
            status=finished.status,
            errors=finished.errors,
        )
    return finished.output.decode("utf-8", "replace")


def _structure(value: object) -> Capabilities | None:
    """Returns capabilities from the cache; None for anything else."""
    try:
        return convert(value, Capabilities)
    except ValidationError:
        return None
