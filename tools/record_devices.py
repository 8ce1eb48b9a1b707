r"""Records which storage devices a QEMU has, and which properties each of them takes.

`python tools/record_devices.py COMMAND …` asks each QEMU and puts its answers into the data of
`vmio.formats.qemu.catalogue`. A COMMAND is a program, or several words. A release that is not
installed can be unpacked from its Debian packages into a folder, with the libraries that it
depends on, and started there:

    for package in *.deb; do dpkg -x $package /srv/qemu; done
    lib=/srv/qemu/usr/lib/x86_64-linux-gnu
    python tools/record_devices.py "env QEMU_MODULE_DIR=$lib/qemu $lib/ld-linux-x86-64.so.2 \
        --library-path $lib /srv/qemu/usr/bin/qemu-system-x86_64"

The names are those of `-device help`, so of devices that a command line can make; what each takes
is from the monitor. No guest is started.
"""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct

from vmio.bounds import load_json
from vmio.formats.qemu.catalogue import DATA_FILE, NOT_STORAGE, expand_range, order_releases
from vmio.model.capabilities import parse_qmp_version
from vmio.qemu.child import run_command

__all__ = ["Recording", "merge", "read_document", "record", "render"]

_TIMEOUT_S = 60.0
_WIDTH = 100
_END = "end"
_MACHINE_NONE = ("-machine", "none", "-nodefaults", "-no-user-config", "-display", "none")
_TARGET = re.compile(r"qemu-system-([a-z0-9_]+)", re.ASCII)
_LINE = re.compile(r'name "([^"]+)"(?:, bus [^,\s]+)?(?:, alias "([^"]+)")?', re.ASCII)
_STORAGE = re.compile(
    r"virtio-(?:blk|scsi|pmem)\b.*|vhost-(?:user-)?(?:blk|scsi)\b.*|scsi-.*|spapr-vscsi"
    r"|ide-.*|.*-ide|(?:ich9-)?ahci|nvme.*|lsi53c.*|megasas.*|mptsas.*|pvscsi|am53c974|dc390"
    r"|sdhci.*|sd-card.*|emmc|ufs.*|floppy|isa-fdc|usb-(?:storage|bot|uas)|xen-(?:disk|cdrom)|nvdimm",
    re.ASCII,
)
_CPU = re.compile(r".*-(?:cpu|core)", re.ASCII)


class Recording(Struct, frozen=True, kw_only=True):
    """What one QEMU says of its devices."""

    release: str
    """Such as `10.0.2`."""
    package: str
    """What its packager calls it; empty for a build from source."""
    target: str
    """The architecture that it emulates."""
    devices: Mapping[str, frozenset[str]]
    """The properties of each storage device, and of each that is often taken for one."""
    aliases: Mapping[str, str]
    """The device that is meant, by its other name."""
    iothread: frozenset[str]
    """The properties of `-object iothread`."""
    others: frozenset[str]
    """The names of all other devices."""


def record(command: Sequence[str]) -> Recording:
    """Returns what the QEMU that a command starts says of its devices.

    Raises:
        VmioError: It cannot be started, or does not answer.
        ValueError: It is no QEMU of which the target is known, or answers as none does.
    """
    target = next((found[1] for word in command if (found := _TARGET.search(word))), "")
    names, aliases = _list_devices(command)
    wanted = sorted(name for name in names if _STORAGE.fullmatch(name) or is_taken_for_one(name))
    questions: list[tuple[str, str, Mapping[str, object]]] = [
        ("iothread", "qom-list-properties", {"typename": "iothread"}),
        *((name, "device-list-properties", {"typename": name}) for name in wanted),
    ]
    answers = _ask(command, questions)
    version = answers[_END]
    if not target:
        raise ValueError(f"{shlex.join(command)} names no qemu-system-TARGET")
    return Recording(
        release=str(parse_qmp_version(version)),
        package=str(version.get("package", "")),
        target=target,
        devices={name: _names(answers[name]) for name in wanted},
        aliases={alias: name for alias, name in aliases.items() if name in wanted},
        iothread=_names(answers["iothread"]) - {"type"},
        others=frozenset(names) - set(wanted),
    )


def is_taken_for_one(name: str) -> bool:
    """Returns whether people give a device properties that only storage devices have."""
    return name.startswith(NOT_STORAGE)


def read_document() -> dict[str, Any]:
    """Returns what is recorded; of nothing, where there is no such file yet."""
    if not DATA_FILE.exists():
        return {"releases": {}, "iothread": {}, "devices": {}, "aliases": {}, "others": []}
    document: dict[str, Any] = load_json(DATA_FILE.read_bytes())
    return document


def merge(document: Mapping[str, Any], new: Recording) -> dict[str, Any]:
    """Returns what is recorded with one more recording, which replaces its predecessor."""
    known = order_releases(document["releases"])
    releases = order_releases({*known, new.release})
    targets = {
        release: set(document["releases"].get(release, {}).get("targets", ()))
        for release in releases
    }
    targets[new.release].add(new.target)
    had = _unfold_devices(document, known)
    devices: dict[str, Any] = {}
    for name in sorted({*had, *new.devices}):
        places, properties = had.get(name, (set(), {}))
        places = places - {(new.release, new.target)}
        if name in new.devices:
            # Targets of one release are built from one source: what one has, all may have.
            shared = any(release == new.release for release, _ in places)
            rest = properties.get(new.release, frozenset()) if shared else frozenset()
            if rest and rest != new.devices[name]:
                sys.stderr.write(f"{name} differs: {sorted(rest ^ new.devices[name])}\n")
            places = places | {(new.release, new.target)}
            properties = {**properties, new.release: new.devices[name] | rest}
        found: dict[str, Any] = {"targets": {}}
        for target in sorted({target for _, target in places}):
            of_target = [each for each in releases if target in targets[each]]
            having = {release for release, each in places if each == target}
            found["targets"][target] = _fold_range(of_target, having)
        having_it = [each for each in releases if each in {release for release, _ in places}]
        found["properties"] = _fold(having_it, properties)
        devices[name] = found
    threads = _unfold(document["iothread"], known)
    package = {"package": new.package, "targets": sorted(targets[new.release])}
    return {
        "releases": {
            each: package if each == new.release else document["releases"][each]
            for each in releases
        },
        "iothread": _fold(releases, {**threads, new.release: new.iothread}),
        "aliases": _merge_aliases(document["aliases"], new),
        "devices": devices,
        "others": sorted({*document["others"], *new.others} - set(devices)),
    }


def render(document: Mapping[str, Any]) -> str:
    """Returns the data as JSON, lists of names filled to the width of a page."""
    return _render(document, 0) + "\n"


def _list_devices(command: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    argv = (*command, *_MACHINE_NONE[:2], "-device", "help")
    finished = run_command(argv, timeout_s=_TIMEOUT_S)
    found = [_LINE.match(line) for line in finished.output.decode().splitlines()]
    matches = [match for match in found if match is not None and not _CPU.fullmatch(match[1])]
    if not matches:
        raise ValueError(f"{shlex.join(argv)} lists no devices")
    return [match[1] for match in matches], {match[2]: match[1] for match in matches if match[2]}


def _ask(
    command: Sequence[str], questions: Iterable[tuple[str, str, Mapping[str, object]]]
) -> dict[str, Any]:
    messages: list[Mapping[str, object]] = [{"execute": "qmp_capabilities"}]
    messages += [
        {"execute": execute, "arguments": arguments, "id": name}
        for name, execute, arguments in questions
    ]
    messages.append({"execute": "query-version", "id": _END})
    finished = run_command(
        (*command, *_MACHINE_NONE, "-S", "-qmp", "stdio"),
        stdin="".join(f"{json.dumps(message)}\n" for message in messages).encode(),
        until=f'"{_END}"}}'.encode(),
        timeout_s=_TIMEOUT_S,
    )
    answers = (json.loads(line) for line in finished.output.splitlines())
    return {answer["id"]: answer["return"] for answer in answers if "id" in answer}


def _names(answer: Iterable[Mapping[str, Any]]) -> frozenset[str]:
    return frozenset(str(entry["name"]) for entry in answer)


def _merge_aliases(known: Mapping[str, Any], new: Recording) -> dict[str, dict[str, str]]:
    merged = {alias: dict(meant) for alias, meant in known.items()}
    for alias, name in new.aliases.items():
        merged.setdefault(alias, {})[new.target] = name
    return {alias: dict(sorted(merged[alias].items())) for alias in sorted(merged)}


def _unfold_devices(
    document: Mapping[str, Any], known: Sequence[str]
) -> dict[str, tuple[set[tuple[str, str]], dict[str, frozenset[str]]]]:
    unfolded = {}
    for name, entry in document["devices"].items():
        places = {
            (release, target)
            for target, ranges in entry["targets"].items()
            for span in ranges
            for release in expand_range(span, known)
            if target in document["releases"][release]["targets"]
        }
        unfolded[name] = (places, _unfold(entry["properties"], known))
    return unfolded


def _unfold(
    ranges: Mapping[str, Sequence[str]], known: Sequence[str]
) -> dict[str, frozenset[str]]:
    unfolded: dict[str, frozenset[str]] = {}
    for span, names in ranges.items():
        for release in expand_range(span, known):
            unfolded[release] = unfolded.get(release, frozenset()) | set(names)
    return unfolded


def _fold(
    releases: Sequence[str], properties: Mapping[str, frozenset[str]]
) -> dict[str, list[str]]:
    """Returns names by the releases that have them, those of most releases first."""
    folded: dict[str, list[str]] = {}
    every = set().union(*(properties.get(each, frozenset()) for each in releases))
    for name in sorted(every):
        having = {each for each in releases if name in properties.get(each, ())}
        for span in _fold_range(releases, having):
            folded.setdefault(span, []).append(name)
    return dict(sorted(folded.items(), key=lambda item: (item[0] != "..", item[0])))


def _fold_range(releases: Sequence[str], having: Iterable[str]) -> list[str]:
    """Returns `FIRST..LAST` for each run of releases; an end that is the data's is not written."""
    spans = []
    run: list[str] = []
    for release in (*releases, ""):
        if release in having:
            run.append(release)
        elif run:
            first = "" if run[0] == releases[0] else run[0]
            last = "" if run[-1] == releases[-1] else run[-1]
            spans.append(f"{first}..{last}")
            run = []
    return spans


def _render(value: object, depth: int) -> str:
    indent = "  " * (depth + 1)
    if isinstance(value, Mapping) and value:
        entries = (
            f"{indent}{json.dumps(key)}: {_render(each, depth + 1)}" for key, each in value.items()
        )
        return "{\n" + ",\n".join(entries) + "\n" + "  " * depth + "}"
    text = json.dumps(value)
    if not isinstance(value, list) or len(text) + len(indent) <= _WIDTH - 20:
        return text
    lines: list[str] = []
    line = indent
    for word in (f"{json.dumps(each)}, " for each in value):
        if len(line) + len(word) > _WIDTH:
            lines.append(line.rstrip())
            line = indent
        line += word
    lines.append(line.rstrip(", "))
    return "[\n" + "\n".join(lines) + "\n" + "  " * depth + "]"


def main(commands: Sequence[str]) -> None:
    """Records each QEMU and writes the file."""
    document = read_document()
    for command in commands:
        recording = record(shlex.split(command))
        document = merge(document, recording)
        sys.stderr.write(
            f"{recording.release} {recording.target}: {len(recording.devices)} devices\n"
        )
    Path(DATA_FILE).write_text(render(document), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
