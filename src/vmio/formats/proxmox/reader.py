"""Reads a Proxmox config into a `Vm`.

Source: qemu-server 9.2.6.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import cast

from vmio.errors import InputError
from vmio.formats.base import Guest, ReadContext
from vmio.formats.proxmox.boot import boot_indices
from vmio.formats.proxmox.config import Config, Entry, Section, parse_config
from vmio.formats.proxmox.drives import Resolve, parse_drive
from vmio.formats.proxmox.machine import Machine, is_windows, parse_machine
from vmio.formats.proxmox.perl import is_true
from vmio.formats.proxmox.properties import Properties, check_property, read_properties
from vmio.formats.proxmox.schema import DRIVE_COUNTS, check_setting, normalize
from vmio.formats.proxmox.storage import Storages, resolve_volume
from vmio.formats.qemu.argv import find_iothreads, read_options
from vmio.formats.shell import split_words
from vmio.model.disk import FILE_DRIVERS, Backing, BusKind, Disk
from vmio.model.host import Host
from vmio.model.option import Option
from vmio.model.source import Problem, Source, Span, Where
from vmio.model.vm import Accelerator, GuestOs, Vm
from vmio.patterns import compile_late
from vmio.values import replace

__all__ = ["ProxmoxGuest", "read_guest"]

_DRIVE_KEYS: Mapping[str, tuple[BusKind, int]] = {
    f"{bus}{index}": (bus, index) for bus, count in DRIVE_COUNTS.items() for index in range(count)
}
"""Every possible drive, in the order in which Proxmox visits them."""

_SHORT_CHARACTERS = 200
_IN_TEMPLATE = compile_late(
    r"(?:ide|scsi|virtio|sata)\d+|bios|efidisk0|name|scsihw|template", re.ASCII
)
"""The only settings in a template's command line, which is only for examining its disks."""


_SYSTEMS = {
    "l24": "Linux 2.4",
    "solaris": "Solaris",
    "w2k": "Windows 2000",
    "w2k3": "Windows Server 2003",
    "wxp": "Windows XP",
}
"""Names of old systems, and of those of no family, by their names in Proxmox VE."""
_PLACES = {"controllers": "scsihw", "tpm": "tpmstate0"}
"""The settings that `Vm.spans` has under the model's names."""
_PASSED_ON = ("hostpci", "parallel", "serial", "usb", "virtiofs")
"""Prefixes of settings, other than disks, that can pass a device of the host through."""
_NET = compile_late(r"net\d+", re.ASCII)
_CREATION = compile_late(r"creation-qemu=([\d.]+)", re.ASCII)


class ProxmoxGuest(Guest, frozen=True, kw_only=True):
    """A VM with everything in its config that a command line needs besides its storage."""

    drive_counts = DRIVE_COUNTS

    config: Config
    settings: Mapping[str, str]
    """The valid settings of the section that was read, by key."""
    spans: Mapping[str, Span]
    """Their places."""
    pending: Mapping[str, str]
    """Settings that change at the next start of the guest; for `delete`, the removed names."""
    args: str
    """QEMU's own options; a template's are for its clones."""
    machine: Machine
    bootindex: Mapping[str, int]
    volumes: Mapping[str, Backing]
    """What is opened for `efidisk0`, `tpmstate0` and `vmstate`, if the config has them."""
    snapshot: str | None = None
    """The snapshot that was read instead of the VM."""

    def is_on(self, key: str, *, default: bool = False) -> bool:
        """Returns the value of a boolean setting."""
        return is_true(self.settings[key]) if key in self.settings else default

    @property
    def scsihw(self) -> str | None:
        """The kind of SCSI controller of its disks; None if it is not configured."""
        return self.settings.get("scsihw")

    @property
    def has_legacy_igd(self) -> bool:
        """Whether a graphics device of the host replaces the guest's own."""
        return any(
            "legacy-igd" in value and is_true(self.read(key).get("legacy-igd"))
            for key, value in self.settings.items()
            if key.startswith("hostpci")
        )

    def read(self, key: str) -> Properties:
        """Returns the parts of a setting that is a list; none if it is not configured."""
        value = self.settings.get(key)
        return {} if value is None else read_properties(key, value)


def read_guest(source: Source, context: ReadContext) -> ProxmoxGuest:
    """Reads a config, and skips what Proxmox would skip.

    If the cluster's storages are not known, every volume of a storage stays unresolved.

    Raises:
        InputError: The text is not a VM config, or has no such snapshot.
    """
    config = parse_config(source)
    section, snapshot, host = config.main, context.snapshot, context.host
    if snapshot is not None:
        found = config.find_snapshot(snapshot)
        if found is None:
            raise InputError(f"snapshot '{snapshot}' does not exist")
        section = found
    elif context.restarted and config.pending is not None:
        section = _apply_pending(section, config.pending)
    problems = list(config.problems)
    resolve = _resolver(cast("Storages | None", context.storages), host)
    settings, drives = _read_entries(source, section, problems, resolve, host)
    disks = [drives[key] for key in _DRIVE_KEYS if key in drives]
    values = {key: normalize(key, entry.value) for key, entry in settings.items()}
    if is_true(values.get("template")):
        values = {key: value for key, value in values.items() if _IN_TEMPLATE.fullmatch(key)}
    else:
        problems += _find_shared(disks)
    machine = _read_machine(values, host, is_snapshot=snapshot is not None)
    bootindex = boot_indices(
        values.get("boot"),
        values.get("bootdisk"),
        ((disk.id, disk.media == "cdrom" and not disk.cloudinit) for disk in disks),
        sorted(filter(_NET.fullmatch, values), key=lambda key: int(key[3:])),
    )
    options = _read_args(settings.get("args"), problems)
    iothreads, users = find_iothreads(options)
    waits = snapshot is None and not context.restarted
    pending = _read_pending(config.pending) if waits else {}
    passed = [key for key in values if key.startswith(_PASSED_ON)]
    spans = {key: entry.span for key, entry in settings.items()}
    vm = Vm(
        id=context.vmid or _name_stem(source.name),
        name=values.get("name", ""),
        notation="proxmox",
        source=source,
        os=_name_os(values.get("ostype", "")),
        system=_SYSTEMS.get(values.get("ostype", ""), ""),
        arch=values.get("arch", host.arch),
        chipset=machine.chipset,
        machine_type=machine.type,
        machine_version=machine.version,
        vcpus=_count_vcpus(values),
        adds_vcpus="vcpus" in values,
        memory_mib=_read_memory(values),
        shares_memory="hugepages" in values or any(key.startswith("virtiofs") for key in passed),
        accelerator=_choose_accelerator(values, host),
        affinity=values.get("affinity", ""),
        template=is_true(values.get("template")),
        uses_host_devices=any(_is_of_host(key, values[key]) for key in passed),
        tpm_storage=_find_tpm_storage(values.get("tpmstate0")),
        iothreads=tuple(
            replace(iothread, where=Where(span=settings["args"].span)) for iothread in iothreads
        ),
        iothread_users=users,
        options=options,
        disks=tuple(
            replace(disk, bootindex=bootindex[disk.id]) if disk.id in bootindex else disk
            for disk in disks
        ),
        snapshots=tuple(each.name for each in config.snapshots),
        problems=tuple(sorted(problems, key=lambda problem: problem.span)),
        waiting=_name_waiting(pending),
        where=Where(spans={word: spans[key] for word, key in _PLACES.items() if key in spans}),
    )
    return ProxmoxGuest(
        vm=vm,
        context=context,
        config=config,
        settings=values,
        spans=spans,
        pending=pending,
        args=settings["args"].value if "args" in settings else "",
        machine=machine,
        bootindex=bootindex,
        volumes=_read_volumes(values, resolve),
        snapshot=snapshot,
    )


def _name_stem(path: str) -> str:
    """Returns a file's name without its folder and its last suffix."""
    name = path.rstrip("/").rpartition("/")[2]
    stem, dot, suffix = name.rpartition(".")
    return stem if dot and stem and suffix else name


def _read_entries(
    source: Source, section: Section, problems: list[Problem], resolve: Resolve, host: Host
) -> tuple[dict[str, Entry], dict[str, Disk]]:
    """Returns the line that is used for each key, the last valid one, and the usable drives."""
    settings: dict[str, Entry] = {}
    drives: dict[str, Disk | None] = {}
    unusable: dict[str, tuple[Problem, ...]] = {}
    for written in section.entries:
        problem = _check_entry(written, host)
        if problem is not None:
            problems.append(problem)
            continue
        entry = replace(written, key="ide2") if written.key == "cdrom" else written
        if entry.key in _DRIVE_KEYS:
            bus, index = _DRIVE_KEYS[entry.key]
            disk, found = parse_drive(source, written, bus, index, resolve)
            if any(one.kind != "drive-dropped" for one in found):
                problems.extend(found)
                continue
            drives[entry.key], unusable[entry.key] = disk, found
        settings[entry.key] = entry
    for key, found in unusable.items():
        problems.extend(found)
        if drives[key] is None:
            del settings[key]
    return settings, {key: disk for key, disk in drives.items() if disk is not None}


def _find_shared(disks: Sequence[Disk]) -> Iterator[Problem]:
    """Yields disks that have another's volume, which QEMU locks for who writes to it.

    Source: QEMU 10.0.2, run: 'Failed to get "write" lock', and QEMU ends; of an image that is not
    the host's own file, such as an RBD one, it takes no lock.
    """
    users: dict[str, Disk] = {}
    for disk in disks:
        backing = disk.backing
        if backing is None or disk.snapshot or disk.cloudinit or disk.volume in _NO_VOLUMES:
            continue
        if not backing.error and backing.driver not in FILE_DRIVERS:
            continue
        other = users.setdefault(disk.volume if backing.error else backing.filename, disk)
        if other is not disk and (_writes(other) or _writes(disk)):
            volume = f"the volume '{disk.volume}'"
            said = f"{volume} is {other.id}'s already, and not to be written by both"
            span = disk.span or Span(start=0, end=0)
            yield Problem(kind="refused-option", message=said, span=span, subject=disk.id)


def _writes(disk: Disk) -> bool:
    return not (disk.read_only or disk.media == "cdrom")


_NO_VOLUMES = frozenset({"", "none", "cdrom"})


def _check_entry(entry: Entry, host: Host) -> Problem | None:
    is_short = len(entry.value) <= _SHORT_CHARACTERS
    check = _check_short if is_short else _check_value
    reason = check(entry.key, entry.value)
    if not reason and entry.key == "cpu" and host.cpu_models:
        reason = _check_custom_model(entry.value, host)
    if not reason:
        return None
    kind = "unknown-setting" if reason.startswith("unknown") else "bad-value"
    return Problem(
        kind=kind,
        message=f"unable to parse value of '{entry.key}' - {reason}",
        span=entry.span if kind == "unknown-setting" else entry.value_span,
        subject=entry.key,
    )


def _check_value(key: str, value: str) -> str:
    """Returns why Proxmox drops a setting; empty if it does not."""
    return check_setting(key, value) or check_property(key, value)


_check_short = lru_cache(maxsize=4096)(_check_value)
"""Most settings of many VMs are the same few, so the cache stays small."""


def _check_custom_model(value: str, host: Host) -> str:
    """Returns why a processor does not exist on a host whose own models are known."""
    prefix, custom, name = read_properties("cpu", value)["cputype"].partition("custom-")
    if not custom or prefix or name in host.cpu_models:
        return ""
    return f"Custom cputype '{name}' not found"


def _resolver(storages: Storages | None, host: Host) -> Resolve:
    def resolve(volume: str, written_format: str | None, drive: str) -> Backing | None:
        if volume == "none":
            return None
        if volume == "cdrom":
            return Backing(filename=host.cdrom, format="raw", driver="host_cdrom")
        if storages is None and not volume.startswith("/"):
            return Backing(
                filename=volume,
                format=written_format or "raw",
                storage=volume.partition(":")[0],
                error=f"what '{volume}' is depends on storage.cfg, which was not found",
            )
        return resolve_volume(volume, written_format, storages or {}, host, drive=drive)

    return resolve


def _read_volumes(values: Mapping[str, str], resolve: Resolve) -> dict[str, Backing]:
    """Returns what is opened for the volumes that are not drives of the guest."""
    volumes: dict[str, Backing] = {}
    for key in ("efidisk0", "tpmstate0"):
        if key in values:
            parts = read_properties(key, values[key])
            # A disk that nothing opens, or only the TPM's own program, may have any format.
            is_opened = key == "efidisk0" and values.get("bios") == "ovmf"
            volume, written = parts["file"], parts.get("format") if is_opened else None
            backing = resolve(volume, written, key)
            if backing is None:
                continue
            if is_opened and written is None and volume.startswith("/"):
                backing = replace(backing, error="efidisk format must be specified")
            volumes[key] = backing
    if "vmstate" in values:
        backing = resolve(values["vmstate"], None, "vmstate")
        if backing is not None:
            volumes["vmstate"] = backing
    return volumes


def _read_machine(values: Mapping[str, str], host: Host, *, is_snapshot: bool) -> Machine:
    creation = _CREATION.search(values.get("meta", ""))
    return parse_machine(
        values.get("machine", ""),
        running=values.get("runningmachine", "") if is_snapshot else "",
        installed=host.qemu_series,
        arch=values.get("arch", host.arch),
        windows=is_windows(values.get("ostype", "")),
        creation_qemu=creation[1] if creation else "",
    )


def _count_vcpus(values: Mapping[str, str]) -> int:
    sockets, smp, cores, vcpus = (
        int(values.get(key, "0")) for key in ("sockets", "smp", "cores", "vcpus")
    )
    total = (sockets or smp or 1) * (cores or 1)
    return min(total, vcpus or total)


def _choose_accelerator(values: Mapping[str, str], host: Host) -> Accelerator:
    native = values.get("arch", host.arch) == host.arch and not is_true(values.get("template"))
    wanted = is_true(values["kvm"]) if "kvm" in values else native
    return "kvm" if host.kvm and wanted else "tcg"


def _read_memory(values: Mapping[str, str]) -> int:
    return int(read_properties("memory", values.get("memory", "")).get("current", "512"))


def _name_os(ostype: str) -> GuestOs:
    if is_windows(ostype):
        return "windows"
    if ostype in {"l24", "l26"}:
        return "linux"
    return "other" if ostype else ""


def _is_of_host(key: str, value: str) -> bool:
    """Returns whether a setting passes through a device that only this host has."""
    if key.startswith("usb"):
        return "spice" not in value
    return not key.startswith("serial") or value != "socket"


def _find_tpm_storage(value: str | None) -> str | None:
    return None if value is None else value.removeprefix("file=").partition(":")[0]


def _read_pending(section: Section | None) -> dict[str, str]:
    entries = section.settings() if section is not None else {}
    return {key: entry.value for key, entry in entries.items()}


def _name_waiting(pending: Mapping[str, str]) -> frozenset[str]:
    if not pending:
        return frozenset()
    return frozenset({*pending, *_list_deleted(pending)} - {"delete"})


def _list_deleted(pending: Mapping[str, str]) -> frozenset[str]:
    """Returns the settings that go at the next start; `!` before one is about its volume."""
    deleted = re.split(r"[,; ]+", pending.get("delete", ""))
    return frozenset(name.lstrip("!") for name in deleted) - {""}


def _apply_pending(section: Section, pending: Section) -> Section:
    """Returns the VM's section as it is when a start has made what waits for it."""
    replaced = {*pending.settings(), *_list_deleted(_read_pending(pending))}
    return replace(
        section,
        entries=(
            *(each for each in section.entries if each.key not in replaced),
            *(each for each in pending.entries if each.key != "delete"),
        ),
    )


def _read_args(entry: Entry | None, problems: list[Problem]) -> tuple[Option, ...]:
    """Returns QEMU's own options in a line `args:`; a line that is `0` adds none."""
    if entry is None or not is_true(entry.value):
        return ()
    try:
        words = split_words(entry.value)
    except ValueError as error:
        problems.append(
            Problem(
                kind="bad-value",
                message=f"unable to parse value of 'args' - {error}",
                span=entry.value_span,
                subject="args",
            )
        )
        return ()
    return tuple(
        replace(option, where=Where(span=entry.value_span)) for option in read_options(words)
    )
