"""Explains one disk: its way from the file to the thread that serves it, and each setting.

It combines what a layout says, what the rules find, and the options of the command line, and
decides nothing itself. `vmio.report.explanation` puts it into words.

Source of who heeds an option: qemu-server 9.2.6, QEMU 10.0.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal

from msgspec import Struct

from vmio.lint.diagnostic import Diagnostic
from vmio.model.actor import GUEST, MANAGER, QEMU, Actor
from vmio.model.controller import Controller
from vmio.model.option import Option
from vmio.model.source import Problem, Span
from vmio.model.topology import AttachedDisk, Topology, Verdict
from vmio.model.vm import Vm
from vmio.values import replace

__all__ = [
    "HEEDED_BY",
    "Actor",
    "Argument",
    "Explanation",
    "GuestIndex",
    "Origin",
    "ServingThread",
    "Setting",
    "Way",
    "explain_disk",
    "explain_dropped",
    "is_limit",
]

Origin = Literal["plan", "command", "running"]
HEEDED_BY: Mapping[str, Actor] = {
    "aio": QEMU,
    "backup": MANAGER,
    "bootindex": GUEST,
    "cache": QEMU,
    "detect_zeroes": QEMU,
    "discard": QEMU,
    "file": MANAGER,
    "format": QEMU,
    "iothread": QEMU,
    "media": QEMU,
    "model": GUEST,
    "product": GUEST,
    "queues": QEMU,
    "read_only": QEMU,
    "replicate": MANAGER,
    "rerror": QEMU,
    "scsiblock": QEMU,
    "serial": GUEST,
    "shared": MANAGER,
    "size": MANAGER,
    "snapshot": QEMU,
    "ssd": GUEST,
    "vendor": GUEST,
    "werror": QEMU,
    "write_cache": GUEST,
    "wwn": GUEST,
}
"""Who heeds a setting; QEMU heeds the limits, and `MANAGER` is the notation's."""
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
_MAX_DEPTH = 8


class Argument(Struct, frozen=True, kw_only=True):
    """One option of the command line, as it is written and taken apart."""

    text: str
    option: Option


class GuestIndex:
    """All of a guest that explanations of its disks need, gone through once for all of them."""

    def __init__(
        self,
        topology: Topology,
        *,
        arguments: Iterable[Argument] = (),
        findings: Iterable[Diagnostic] = (),
        added: Iterable[AttachedDisk] = (),
    ) -> None:
        """Sorts what there is by what it is about.

        Args:
            topology: The layout.
            arguments: The command line.
            findings: What the rules find.
            added: The disks that options of QEMU's own make.
        """
        self.topology = topology
        self.added = frozenset(attached.disk.id for attached in added)
        """The disks that options of QEMU's own make."""
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


class ServingThread(Struct, frozen=True, kw_only=True):
    """A thread that serves a disk."""

    id: str
    """An IOThread's id, or `MAIN_LOOP`."""
    thread_id: int | None
    """The host's number of it; None where the guest does not run."""
    queues: tuple[int, ...]
    """The request queues of the disk's controller that it serves."""
    disks: Sequence[str]
    """All disks that it serves, this one among them."""


class Way(Struct, frozen=True, kw_only=True):
    """The way of a request from the disk's file to the threads."""

    attached: AttachedDisk
    controller: Controller
    on_controller: Sequence[str]
    """All disks of the controller, this one among them."""
    queue_count: int
    has_one_queue: bool
    """Whether a device of the machine has one where no number is written, and not one per vCPU."""
    threads: tuple[ServingThread, ...]
    is_renamed_by_linux: bool
    """Whether its /dev/sdX can have another letter from boot to boot."""


class Setting(Struct, frozen=True, kw_only=True):
    """One setting of a disk: what is written, and what came of it."""

    name: str
    written: str
    """As it is written; empty where nothing is."""
    verdict: Verdict
    value: str
    """What is in force; empty where it does nothing."""
    by: Actor
    """Who heeds it, drops it, or chose it."""
    reason: str = ""
    """Why it is ignored; else empty."""
    became: tuple[str, ...] = ()
    """What says it on the command line."""
    remedies: tuple[Diagnostic, ...] = ()
    """Findings with a fix that would make it take effect, or better."""


class Explanation(Struct, frozen=True, kw_only=True):
    """All that is known of one disk."""

    disk: str
    vm: str
    origin: Origin
    line: str = ""
    """What is written of the disk as a whole; empty where nothing is."""
    place: str = ""
    """The file and the line."""
    way: Way | None = None
    """None for a disk that the guest does not get."""
    settings: tuple[Setting, ...] = ()
    """What is written, in its order, and then what is not."""
    arguments: tuple[str, ...] = ()
    """What makes the disk on the command line."""
    findings: tuple[Diagnostic, ...] = ()
    dropped: str = ""
    """Why the guest does not get the disk; nothing else is known of it then."""


def explain_dropped(
    problem: Problem,
    reason: str,
    *,
    vm: Vm,
    name: str,
    origin: Origin,
    findings: Iterable[Diagnostic] = (),
) -> Explanation:
    """Returns the explanation of a disk that is written and that the guest's manager drops."""
    return Explanation(
        disk=problem.subject,
        vm=name,
        origin=origin,
        place=f"{vm.source.name}:{vm.source.locate(problem.span).line}",
        findings=tuple(finding for finding in findings if finding.subject == problem.subject),
        dropped=reason,
    )


def explain_disk(
    attached: AttachedDisk,
    guest: GuestIndex,
    *,
    vm: Vm | None,
    name: str,
    origin: Origin,
) -> Explanation:
    """Returns the explanation of a disk.

    Args:
        attached: The disk.
        guest: Its guest.
        vm: What is written of the guest; None where only the running guest is known.
        name: What the guest is called.
        origin: Where the layout comes from.
    """
    disk = attached.disk
    own = tuple(_choose_arguments(attached, guest))
    about = tuple(guest.findings.get(disk.id, ()))
    line = place = ""
    if vm is not None and disk.span is not None:
        location = vm.source.locate(disk.span)
        line = vm.source.read_span(disk.span).rstrip()
        place = f"{vm.source.name}:{location.line}"
    return Explanation(
        disk=disk.id,
        vm=name,
        origin=origin,
        line=line,
        place=place,
        way=_find_way(attached, guest),
        settings=tuple(
            _list_settings(
                attached,
                vm,
                own,
                about,
                manager=vm.notation if vm is not None and disk.id not in guest.added else QEMU,
            )
        ),
        arguments=tuple(argument.text for argument in own),
        findings=about,
    )


def is_limit(name: str) -> bool:
    """Returns whether a setting throttles its disk."""
    return _LIMIT.fullmatch(name) is not None


def _find_way(attached: AttachedDisk, guest: GuestIndex) -> Way:
    topology = guest.topology
    controller = topology.controller_of(attached)
    queues = topology.virtqueues_of(controller)
    numbers = {thread.serves: thread.thread_id for thread in topology.host_threads}
    return Way(
        attached=attached,
        controller=controller,
        on_controller=guest.on_controller[controller.id],
        queue_count=len(queues),
        has_one_queue=topology.default_queues == 1,
        threads=tuple(
            ServingThread(
                id=thread,
                thread_id=numbers.get(thread),
                queues=tuple(queue.index for queue in queues if queue.served_by == thread),
                disks=guest.on_thread[thread],
            )
            for thread in topology.served_by(attached)
        ),
        is_renamed_by_linux=_is_named_sd(attached)
        and any(
            _is_named_sd(other) and other.controller != attached.controller
            for other in topology.disks
        ),
    )


def _is_named_sd(attached: AttachedDisk) -> bool:
    """Returns whether Linux calls it /dev/sdX, counted over all controllers as they are found."""
    return attached.disk.bus not in {"virtio", "nvme"} and not attached.driver.endswith("-cd")


def _list_settings(
    attached: AttachedDisk,
    vm: Vm | None,
    own: Sequence[Argument],
    findings: Sequence[Diagnostic],
    *,
    manager: Actor,
) -> Iterator[Setting]:
    told: set[str] = set()
    for written, span in _list_written(attached, vm):
        name = _NAMES.get(written, written)
        text = vm.source.read_span(span) if vm is not None else ""
        if text.startswith("-"):
            # A whole option, of which JSON does not tell where its parts are.
            inside = (each for each in own if each.option.span == span)
            text = ", ".join(word.partition(" ")[2] for word in _find_words(name, inside))
        setting = _judge(attached, name, text, manager)
        is_news = manager != QEMU and setting.verdict != "ignored"
        yield replace(
            setting,
            became=tuple(_find_words(name, own)) if is_news else (),
            remedies=tuple(_find_remedies(name, span, findings)),
        )
        told.add(name)
    for effect in attached.effects:
        if effect.setting not in told:
            setting = _judge(attached, effect.setting, "", manager)
            yield replace(setting, became=tuple(_find_words(effect.setting, own)))


def _list_written(attached: AttachedDisk, vm: Vm | None) -> Iterator[tuple[str, Span]]:
    if vm is None:
        return
    known: set[Span] = set()
    for name, span in sorted(attached.disk.spans.items(), key=lambda item: item[1]):
        if span in known or name in _PLUMBING or name.startswith("iothread_vq"):
            continue
        if not _is_known(_NAMES.get(name, name)):
            continue
        known.add(span)
        yield name, span


def _is_known(name: str) -> bool:
    return name in HEEDED_BY or is_limit(name)


def _find_remedies(name: str, span: Span, findings: Sequence[Diagnostic]) -> Iterator[Diagnostic]:
    for finding in findings:
        is_here = finding.span == span or (finding.span is None and name in finding.message)
        if finding.fix is not None and is_here:
            yield finding


def _judge(attached: AttachedDisk, name: str, text: str, manager: Actor) -> Setting:
    """Returns what a setting comes to, and who says so."""
    effect = attached.find_effect(name)
    reason = effect.reason if effect is not None and effect.verdict == "ignored" else None
    if reason is not None:
        return Setting(
            name=name, written=text, verdict="ignored", value="", by=manager, reason=reason
        )
    verdict = effect.verdict if effect is not None else "used"
    actor = HEEDED_BY.get(name, QEMU)
    return Setting(
        name=name,
        written=text,
        verdict=verdict,
        value=effect.value if effect is not None else text.partition("=")[2],
        by=manager if verdict == "default" or actor == MANAGER else actor,
    )


def _find_words(name: str, own: Iterable[Argument]) -> Iterator[str]:
    """Yields the properties that say a setting; of nested nodes, the one that opens the file."""
    pattern = _LIMIT_KEYS if is_limit(name) else _KEYS.get(name, re.escape(name))
    for argument in own:
        found: dict[str, str] = {}
        for key, value in argument.option.properties.items():
            match = re.fullmatch(rf"(?:file\.)*({pattern})", key)
            if match is not None:
                found[match[1]] = f"{key}={value}"
        for word in found.values():
            yield f"-{argument.option.name} {word}"


def _choose_arguments(attached: AttachedDisk, guest: GuestIndex) -> Iterator[Argument]:
    """Yields the options that make a disk, its chain of nodes, its controller and its threads."""
    threads = set(guest.topology.served_by(attached))
    disk = attached.disk
    options = (argument.option for argument in guest.find((disk.id,), disk.span))
    device = next((option for option in options if option.name == "device"), None)
    wanted = {device.properties.get("drive", "")} if device is not None else {disk.id}
    for _ in range(_MAX_DEPTH):
        wanted |= {
            value
            for node in (guest.nodes[name] for name in wanted if name in guest.nodes)
            for key, value in node.properties.items()
            if re.fullmatch(r"(?:.*\.)?(?:file|backing|throttle-group)", key)
        }
    for argument in guest.find({disk.id, attached.controller, *wanted, *threads}, disk.span):
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
