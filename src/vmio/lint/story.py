"""The story of one disk, from its file to the thread that serves it.

It is told from what a layout says, what the rules find, and the options of the command line; it
decides nothing itself.

Source of who heeds an option: qemu-server 9.2.6, QEMU 10.0.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal

from attrs import evolve, frozen

from vmio.formats.proxmox.problems import explain_reasons
from vmio.lint.diagnostic import Diagnostic
from vmio.model.iothread import MAIN_LOOP
from vmio.model.option import Option
from vmio.model.source import Problem, Span
from vmio.model.topology import AttachedDisk, Topology, Verdict
from vmio.model.vm import Vm

__all__ = ["Argument", "Origin", "Setting", "Station", "Story", "Whole", "tell_loss", "tell_story"]

Origin = Literal["plan", "command", "running"]

_PROXMOX, _QEMU, _GUEST = "Proxmox VE", "QEMU", "the guest"
_HEEDED: Mapping[str, tuple[str, str]] = {
    "aio": (_QEMU, "the engine that hands requests to the host's kernel"),
    "backup": (_PROXMOX, "whether a backup takes the disk; QEMU does not hear of it"),
    "bootindex": (_GUEST, "the place in its firmware's boot order"),
    "cache": (_QEMU, "the host's page cache and flushes; the guest, whether it has to flush"),
    "detect_zeroes": (_QEMU, "looks whether a write is all zeroes"),
    "discard": (_QEMU, "passes on what the guest trims"),
    "file": (_PROXMOX, "finds the path of the volume, which QEMU opens"),
    "format": (_QEMU, "the image format"),
    "iothread": (_QEMU, "the thread that serves the controller"),
    "media": (_QEMU, "a disk or a cd-rom"),
    "model": (_GUEST, "the name that the disk tells"),
    "product": (_GUEST, "the name that the disk tells"),
    "queues": (_QEMU, "request queues of the controller"),
    "read_only": (_QEMU, "refuses writes"),
    "replicate": (_PROXMOX, "whether replication takes the disk; QEMU does not hear of it"),
    "rerror": (_QEMU, "what follows a read that failed"),
    "serial": (_GUEST, "the serial number that the disk tells, as in /dev/disk/by-id"),
    "shared": (_PROXMOX, "whether every node has the volume; QEMU does not hear of it"),
    "size": (_PROXMOX, "for people; QEMU asks the volume itself"),
    "snapshot": (_QEMU, "throws away what is written"),
    "ssd": (_GUEST, "sees a disk that does not rotate"),
    "vendor": (_GUEST, "the name that the disk tells"),
    "werror": (_QEMU, "what follows a write that failed"),
    "write_cache": (_GUEST, "whether it has to flush"),
    "wwn": (_GUEST, "the world wide name that the disk tells"),
}
"""Who heeds a setting, and as what."""
_NAMES = {"num_queues": "queues", "readonly": "read_only", "ro": "read_only", "volume": "file"}
"""Other names of settings."""
_PLUMBING = frozenset(
    "addr bus channel drive driver id if lun rotation_rate scsi_id unit node_name".split()  # noqa: SIM905
)
"""Properties of a device that say where it sits, which the way to its thread tells."""
_KEYS: Mapping[str, str] = {
    "cache": r"cache|cache\.direct|cache\.no-flush|write-cache",
    "detect_zeroes": "detect-zeroes",
    "file": "file|filename|path|image|portal",
    "iothread": r"iothread|iothread-vq-mapping\.\d+\.iothread",
    "queues": "num[-_]queues",
    "read_only": "read-?only",
    "ssd": "rotation_rate",
}
"""Which properties of QEMU's options say a setting, where they do not have its name."""
_LIMIT = re.compile(r"(?:m?bps|iops)(?:_.*)?")
_LIMIT_KEYS = r"(?:throttling\.|limits\.|x-)?(?:bps|iops)-.*"
_MOST_NAMES = 64
"""More than Proxmox VE puts on a controller or an IOThread."""
_MAX_DEPTH = 8


@frozen(kw_only=True)
class Argument:
    """One option of the command line, as it is written and taken apart."""

    text: str
    option: Option


class Whole:
    """All of a guest that its disks' stories are told from, gone through once for all of them."""

    def __init__(
        self,
        topology: Topology,
        *,
        arguments: Iterable[Argument] = (),
        findings: Iterable[Diagnostic] = (),
    ) -> None:
        """Sorts what there is by what it is about.

        Args:
            topology: The layout.
            arguments: The command line.
            findings: What the rules find.
        """
        self.topology = topology
        self.findings: dict[str, list[Diagnostic]] = {}
        """By the disk."""
        self.on_controller: dict[str, list[str]] = {}
        """Disks by their controller."""
        self.on_thread: dict[str, list[str]] = {}
        """Disks by the thread that serves them."""
        self.nodes: dict[str, Option] = {}
        """Options that make a node of a disk's chain, by its name."""
        self._arguments = tuple(arguments)
        self._by_id: dict[str, list[int]] = {}
        self._by_span: dict[Span, list[int]] = {}
        for finding in findings:
            self.findings.setdefault(finding.subject, []).append(finding)
        for attached in topology.disks:
            self.on_controller.setdefault(attached.controller, []).append(attached.disk.id)
            for thread in topology.served_by(attached):
                self.on_thread.setdefault(thread, []).append(attached.disk.id)
        for at, argument in enumerate(self._arguments):
            option = argument.option
            self._by_id.setdefault(option.id, []).append(at)
            if option.span is not None:
                self._by_span.setdefault(option.span, []).append(at)
            if option.name == "blockdev":
                self.nodes[option.id] = option

    def find(self, names: Iterable[str], span: Span | None) -> Iterator[Argument]:
        """Yields the options of these names, or at this place, in their order."""
        found = {at for name in names if name for at in self._by_id.get(name, ())}
        if span is not None:
            found.update(self._by_span.get(span, ()))
        return (self._arguments[at] for at in sorted(found))


@frozen(kw_only=True)
class Station:
    """One place on the way of a request."""

    name: str
    text: str


@frozen(kw_only=True)
class Setting:
    """One setting of a disk: what is written, and what came of it."""

    name: str
    written: str
    """As it is written; empty where nothing is."""
    verdict: Verdict
    value: str
    """What is in force; empty where it does nothing."""
    by: str
    """Who heeds it, drops it, or chose it."""
    why: str
    became: tuple[str, ...] = ()
    """What says it on the command line."""
    remedies: tuple[str, ...] = ()
    """What would make it count, or better."""


@frozen(kw_only=True)
class Story:
    """What there is to tell of one disk."""

    disk: str
    vm: str
    origin: Origin
    line: str = ""
    """What is written of the disk as a whole; empty where nothing is."""
    place: str = ""
    """The file and the line."""
    stations: tuple[Station, ...] = ()
    settings: tuple[Setting, ...] = ()
    """What is written, in its order, and then what is not."""
    guest: tuple[str, ...] = ()
    """What the guest sees."""
    arguments: tuple[str, ...] = ()
    """What makes the disk on the command line."""
    findings: tuple[Diagnostic, ...] = ()
    dropped: str = ""
    """Why the guest does not get the disk at all; there is no more to tell of it then."""


def tell_loss(
    problem: Problem, *, vm: Vm, name: str, origin: Origin, findings: Iterable[Diagnostic] = ()
) -> Story:
    """Returns the story of a disk that is written, and that the guest's manager drops."""
    return Story(
        disk=problem.subject,
        vm=name,
        origin=origin,
        place=f"{vm.source.name}:{vm.source.locate(problem.span).line}",
        findings=tuple(finding for finding in findings if finding.subject == problem.subject),
        dropped=explain_reasons(problem),
    )


def tell_story(
    attached: AttachedDisk,
    whole: Whole,
    *,
    vm: Vm | None,
    name: str,
    origin: Origin,
) -> Story:
    """Returns the story of a disk.

    Args:
        attached: The disk.
        whole: The guest.
        vm: What is written of its guest; None where only the running guest is known.
        name: What the guest is called.
        origin: Where the layout comes from.
    """
    disk = attached.disk
    own = tuple(_choose_arguments(attached, whole))
    about = tuple(whole.findings.get(disk.id, ()))
    line = place = ""
    if vm is not None and disk.span is not None:
        location = vm.source.locate(disk.span)
        line = vm.source.read_span(disk.span).rstrip()
        place = f"{vm.source.name}:{location.line}"
    return Story(
        disk=disk.id,
        vm=name,
        origin=origin,
        line=line,
        place=place,
        stations=tuple(_list_stations(attached, whole)),
        settings=tuple(_list_settings(attached, vm, own, about)),
        guest=tuple(_list_sights(attached, whole.topology)),
        arguments=tuple(argument.text for argument in own),
        findings=about,
    )


def _list_stations(attached: AttachedDisk, whole: Whole) -> Iterator[Station]:
    disk, backing = attached.disk, attached.disk.backing
    if disk.volume and (backing is None or disk.volume != backing.filename):
        where = ""
        if backing is not None and backing.storage:
            kind = f"{backing.storage_type} " if backing.storage_type else ""
            where = f", on the {kind}storage {backing.storage}"
        yield Station(name="volume", text=f"{disk.volume}{where}")
    if backing is None:
        yield Station(name="opened", text="nothing: an empty drive")
    else:
        kind = backing.format or "a format that QEMU finds out itself"
        yield Station(
            name="opened", text=f"{backing.filename} as {kind}, by the driver {backing.driver}"
        )
        if backing.parents:
            yield Station(name="over", text=", ".join(backing.parents))
        yield from _list_engines(attached)
    if disk.limits:
        yield Station(
            name="limits", text=", ".join(f"{key} {value}" for key, value in disk.limits)
        )
    yield from _list_devices(attached, whole)


def _list_engines(attached: AttachedDisk) -> Iterator[Station]:
    if attached.cache_direct is not None:
        direct = "bypasses" if attached.cache_direct else "goes through"
        flushes = "are dropped" if attached.cache_no_flush else "reach the storage"
        mode = attached.cache or "a mixture"
        text = f"{mode}: {direct} the host's page cache, and the guest's flushes {flushes}"
        yield Station(name="cache", text=text)
    if attached.aio is not None:
        yield Station(name="engine", text=attached.aio)
    elif attached.disk.backing is not None and attached.disk.aio is None:
        yield Station(name="engine", text=f"that of {attached.disk.backing.driver}, or not known")


def _list_devices(attached: AttachedDisk, whole: Whole) -> Iterator[Station]:
    topology = whole.topology
    controller = topology.controller_of(attached)
    address = ", ".join(f"{key} {value}" for key, value in attached.address)
    yield Station(name="device", text=f"{attached.driver}{f' at {address}' if address else ''}")
    sharing = list(whole.on_controller[controller.id])
    sharing.remove(attached.disk.id)
    place = "part of the machine" if controller.built_in else "at an address of QEMU's choice"
    place = f"at {controller.pci}" if controller.pci is not None else place
    with_others = f", shared with {_name_some(sharing)}" if sharing else ""
    itself = f"{controller.id} ({controller.model})"
    yield Station(name="controller", text=f"{itself}, {place}{with_others}")
    queues = topology.virtqueues_of(controller)
    if controller.takes_iothread:
        why = "as written" if controller.num_queues is not None else "one for each vCPU"
        yield Station(name="queues", text=f"{len(queues)}, {why}")
    for thread in topology.served_by(attached):
        served = [str(queue.index) for queue in queues if queue.served_by == thread]
        part = f", on queue {' and '.join(served)}" if len(served) < len(queues) else ""
        yield Station(name="thread", text=_describe_thread(thread, whole) + part)


def _name_some(names: Sequence[str]) -> str:
    """Returns names of disks, each of which tells of all the others."""
    more = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


def _describe_thread(thread: str, whole: Whole) -> str:
    host = next((each for each in whole.topology.host_threads if each.serves == thread), None)
    number = f" (thread {host.thread_id})" if host is not None else ""
    if thread == MAIN_LOOP:
        return f"the main loop{number}, with the monitor and every other emulated device"
    others = whole.on_thread[thread]
    what = "for this disk alone" if len(others) == 1 else f"which serves {_name_some(others)}"
    return f"the IOThread {thread}{number}, {what}"


def _list_settings(
    attached: AttachedDisk,
    vm: Vm | None,
    own: Sequence[Argument],
    findings: Sequence[Diagnostic],
) -> Iterator[Setting]:
    manager = _PROXMOX if vm is not None and vm.notation == "proxmox" else _QEMU
    told: set[str] = set()
    for written, span in _list_written(attached, vm):
        name = _NAMES.get(written, written)
        text = vm.source.read_span(span) if vm is not None else ""
        if text.startswith("-"):
            # A whole option, of which JSON does not tell where its parts are.
            inside = (each for each in own if each.option.span == span)
            text = ", ".join(word.partition(" ")[2] for word in _find_words(name, inside)) or text
        setting = _judge(attached, name, text, manager)
        is_news = manager == _PROXMOX and setting.verdict != "ignored"
        yield evolve(
            setting,
            became=tuple(_find_words(name, own)) if is_news else (),
            remedies=tuple(_find_remedies(name, span, findings)),
        )
        told.add(name)
    for effect in attached.effects:
        if effect.setting not in told:
            setting = _judge(attached, effect.setting, "", manager)
            yield evolve(setting, became=tuple(_find_words(effect.setting, own)))


def _list_written(attached: AttachedDisk, vm: Vm | None) -> Iterator[tuple[str, Span]]:
    if vm is None:
        return
    known: set[Span] = set()
    for name, span in sorted(attached.disk.spans.items(), key=lambda item: item[1]):
        if span in known or name in _PLUMBING or name.startswith("iothread_vq"):
            continue
        if vm.notation == "qemu" and not _is_known(_NAMES.get(name, name)):
            continue
        known.add(span)
        yield name, span


def _is_known(name: str) -> bool:
    return name in _HEEDED or _LIMIT.fullmatch(name) is not None


def _find_remedies(name: str, span: Span, findings: Sequence[Diagnostic]) -> Iterator[str]:
    for finding in findings:
        is_here = finding.span == span or (finding.span is None and name in finding.message)
        if finding.fix is not None and is_here:
            yield f"{finding.code}: {finding.fix.message}"


def _judge(attached: AttachedDisk, name: str, text: str, manager: str) -> Setting:
    """Returns what a setting comes to, and who says so."""
    effect = attached.find_effect(name)
    by, why = _HEEDED.get(name, (_QEMU, "throttles the disk"))
    if effect is not None and effect.verdict == "ignored":
        return Setting(
            name=name, written=text, verdict="ignored", value="", by=manager, why=effect.reason
        )
    if re.fullmatch(r"bps(?:_rd|_wr)?", name) and manager == _PROXMOX:
        # What qemu-server keeps of this spelling is that it is there, and not its number.
        why = "the old spelling is read as no limit; write mbps"
        return Setting(name=name, written=text, verdict="ignored", value="", by=manager, why=why)
    verdict = effect.verdict if effect is not None else "used"
    return Setting(
        name=name,
        written=text,
        verdict=verdict,
        value=effect.value if effect is not None else text.partition("=")[2],
        by=manager if verdict == "default" else by,
        why=why,
    )


def _find_words(name: str, own: Iterable[Argument]) -> Iterator[str]:
    """Yields the properties that say a setting; of nested nodes, the one that opens the file."""
    pattern = _LIMIT_KEYS if _LIMIT.fullmatch(name) else _KEYS.get(name, re.escape(name))
    for argument in own:
        found: dict[str, str] = {}
        for key, value in argument.option.properties.items():
            match = re.fullmatch(rf"(?:file\.)*({pattern})", key)
            if match is not None:
                found[match[1]] = f"{key}={value}"
        for word in found.values():
            yield f"-{argument.option.name} {word}"


def _list_sights(attached: AttachedDisk, topology: Topology) -> Iterator[str]:
    disk, controller = attached.disk, topology.controller_of(attached)
    what = "cd drive" if attached.driver.endswith("-cd") else "disk"
    buses = {"virtio": "virtio", "nvme": "NVMe", "usb": "USB"}
    kind = buses.get(disk.bus, "SCSI" if disk.bus == "scsi" else "ATA")
    yield (
        f"a {kind} {what} behind the {controller.model}"
        if kind != "virtio"
        else ("a virtio disk (/dev/vdX in Linux), a PCI device of its own")
    )
    if _is_named_sd(attached) and any(
        _is_named_sd(other) and other.controller != attached.controller for other in topology.disks
    ):
        yield (
            "in Linux a /dev/sdX that can have another letter from boot to boot, since other disks"
            " are on other controllers: UUID, label and /dev/disk/by-id stay"
        )
    if attached.write_cache is not None and disk.media == "disk":
        yield (
            "a volatile write cache, so its flushes count"
            if attached.write_cache
            else "no write cache: each write is on stable storage when it is answered"
        )
    if disk.ssd:
        yield "a disk that does not rotate"
    if disk.discard == "unmap":
        yield "a disk that takes trims, and the storage gets the space back"
    if disk.serial is not None:
        yield f"the serial number {disk.serial}"
    if disk.read_only:
        yield "a disk that refuses writes"


def _is_named_sd(attached: AttachedDisk) -> bool:
    """Returns whether Linux calls it /dev/sdX, counted over all controllers as they are found."""
    return attached.disk.bus not in {"virtio", "nvme"} and not attached.driver.endswith("-cd")


def _choose_arguments(attached: AttachedDisk, whole: Whole) -> Iterator[Argument]:
    """Yields the options that make a disk, its chain of nodes, its controller and its threads."""
    threads = set(whole.topology.served_by(attached))
    disk = attached.disk
    options = (argument.option for argument in whole.find((disk.id,), disk.span))
    device = next((option for option in options if option.name == "device"), None)
    wanted = {device.properties.get("drive", "")} if device is not None else {disk.id}
    for _ in range(_MAX_DEPTH):
        wanted |= {
            value
            for node in (whole.nodes[name] for name in wanted if name in whole.nodes)
            for key, value in node.properties.items()
            if re.fullmatch(r"(?:.*\.)?(?:file|backing|throttle-group)", key)
        }
    for argument in whole.find({disk.id, attached.controller, *wanted, *threads}, disk.span):
        option = argument.option
        is_own = option is device or (disk.span is not None and option.span == disk.span)
        match option.name:
            case "device":
                chosen = is_own or (option.id != "" and option.id == attached.controller)
            case "drive" | "blockdev":
                chosen = is_own or option.id in wanted
            case "object":
                users = threads if option.kind == "iothread" else wanted
                chosen = option.id in users
            case _:
                chosen = is_own
        if chosen:
            yield argument
