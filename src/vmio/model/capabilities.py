"""The capabilities of a QEMU binary, as data."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct

from vmio.bounds import load_json
from vmio.model.version import QemuVersion

__all__ = [
    "Capabilities",
    "MachineType",
    "QemuVersion",
    "parse_capabilities",
    "parse_device_names",
    "parse_qmp_version",
    "parse_version_text",
]

_VERSION_LINE = re.compile(r"\bversion (\d{1,4})\.(\d{1,4})(?:\.(\d{1,4}))?", re.ASCII)
_NO_PARAMETERS = frozenset({"type"})
"""Properties that every QOM object has."""


class MachineType(Struct, frozen=True, kw_only=True):
    """A machine type of QEMU."""

    name: str
    """The name with its version, such as `pc-i440fx-10.0`."""
    alias: str = ""
    """The alias without a version, of the newest only, such as `pc`."""


class Capabilities(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The capabilities that one QEMU binary reports."""

    version: QemuVersion
    package: str = ""
    """The distribution's own version; empty for a build from source."""
    iothread_devices: tuple[str, ...] = ()
    """Devices with the property `iothread`."""
    vq_mapping_devices: tuple[str, ...] = ()
    """Devices with the property `iothread-vq-mapping`."""
    iothread_parameters: tuple[str, ...] = ()
    """The properties of `-object iothread`, such as `poll-max-ns`."""
    accelerators: tuple[str, ...] = ()
    """The accelerators it was built with; the host may not support them."""
    machines: tuple[MachineType, ...] = ()

    @property
    def machine_names(self) -> frozenset[str]:
        """All values of `-machine`, including aliases."""
        return frozenset(
            name for machine in self.machines for name in (machine.name, machine.alias) if name
        )


def parse_version_text(text: str) -> QemuVersion:
    """Parses the output of `qemu-system-x86_64 --version`.

    Raises:
        ValueError: The text is not QEMU's.
    """
    line = text.partition("\n")[0]
    match = _VERSION_LINE.search(line)
    if match is None or "QEMU" not in line:
        raise ValueError(f"not a QEMU version: {line[:200]}")
    major, minor, micro = match.groups(default="0")
    return QemuVersion(int(major), int(minor), int(micro))


def parse_qmp_version(reply: object) -> QemuVersion:
    """Returns the version in a monitor's greeting or its reply to query-version.

    Raises:
        ValueError: The reply has none.
    """
    match reply:
        case {"qemu": {"major": int(major), "minor": int(minor), "micro": int(micro)}}:
            return QemuVersion(major, minor, micro)
        case _:
            raise ValueError(f"not a QEMU version: {str(reply)[:200]}")


def parse_device_names(transcript: str) -> tuple[str, ...]:
    """Returns the names in the answer `devices` of a transcript (`qom-list-types`), sorted.

    Raises:
        ValueError: The transcript is not of a QEMU monitor.
    """
    answers = dict(_read_answers(transcript))
    return tuple(sorted(entry["name"] for entry in _entries(answers.get("devices"))))


def parse_capabilities(transcript: str) -> Capabilities:
    """Returns the capabilities that a QEMU reported.

    Args:
        transcript: A monitor's answers, one JSON object a line, in any order. Their ids are:
            `version` (query-version), `machines` (query-machines), `accelerators` (qom-list-types
            of accel), `iothread` (qom-list-properties), and `device NAME` for each device asked
            for (device-list-properties). A missing answer or an error means that nothing is known.

    Raises:
        ValueError: The transcript is not of a QEMU monitor.
    """
    answers = dict(_read_answers(transcript))
    properties = {
        name.removeprefix("device "): {entry["name"] for entry in _entries(answer)}
        for name, answer in answers.items()
        if name.startswith("device ")
    }
    version = answers.get("version")
    return Capabilities(
        version=parse_qmp_version(version),
        package=str(version.get("package", "")) if isinstance(version, Mapping) else "",
        iothread_devices=_devices_with("iothread", properties),
        vq_mapping_devices=_devices_with("iothread-vq-mapping", properties),
        iothread_parameters=tuple(
            sorted({entry["name"] for entry in _entries(answers.get("iothread"))} - _NO_PARAMETERS)
        ),
        accelerators=tuple(
            sorted(
                entry["name"].removesuffix("-accel")
                for entry in _entries(answers.get("accelerators"))
                if entry["name"].endswith("-accel")
            )
        ),
        machines=tuple(
            sorted(
                (
                    MachineType(name=entry["name"], alias=str(entry.get("alias", "")))
                    for entry in _entries(answers.get("machines"))
                ),
                key=lambda machine: machine.name,
            )
        ),
    )


def _devices_with(wanted: str, properties: Mapping[str, set[str]]) -> tuple[str, ...]:
    return tuple(sorted(device for device, names in properties.items() if wanted in names))


def _read_answers(transcript: str) -> Iterator[tuple[str, Any]]:
    for line in transcript.splitlines():
        try:
            message = load_json(line)
        except ValueError as error:
            raise ValueError(f"not a reply of a monitor: {line[:200]}") from error
        match message:
            case {"id": str(name), "return": answer}:
                yield name, answer
            case {"QMP": _} | {"event": _} | {"return": _} | {"error": _}:
                pass
            case _:
                raise ValueError(f"not a reply of a monitor: {line[:200]}")


def _entries(answer: object) -> Iterator[dict[str, Any]]:
    """Yields the named entries of a list; none for any other value."""
    for entry in answer if isinstance(answer, list) else ():
        match entry:
            case {"name": str()}:
                yield entry
            case _:
                pass
