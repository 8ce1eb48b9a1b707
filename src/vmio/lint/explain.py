"""Explains one disk: its path from the file to the thread that serves it, and each setting.

It combines what a layout says, what the rules find, and the options of the command line, and
decides nothing itself. `vmio.report.explanation` puts it into words.

Source of who uses an option: qemu-server 9.2.6, QEMU 10.0.
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
    "USED_BY",
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
USED_BY: Mapping[str, Actor] = {
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
"""Who uses a setting; QEMU uses the limits, and `MANAGER` is the notation's."""
_NAMES = {"num_queues": "queues", "readonly": "read_only", "ro": "read_only", "volume": "file"}
"""Other names of settings."""
_PLUMBING = frozenset(
    "addr bus channel drive driver id if lun rotation_rate scsi_id unit node_name".split()  # noqa: SIM905
)
"""Properties of a device that give its place, which the path to its thread shows."""
_KEYS: Mapping[str, str] = {
    "cache": r"cache|cache\.direct|cache\.no-flush|write-cache",
    "detect_zeroes": "detect-zeroes",
    "file": "file|filename|path|image|portal",
    "iothread": r"iothread|iothread-vq-mapping\.\d+\.iothread",
    "queues": "num[-_]queues",
    "read_only": "read-?only",
    "ssd": "rotation_rate",
}
"""Which properties of QEMU's options set a setting, where they do not have its name."""
_LIMIT = re.compile(r"(?:m?bps|iops)(?:_.*)?")
_LIMIT_KEYS = r"(?:throttling\.|limits\.|x-)?(?:bps|iops)-.*"
_MAX_DEPTH = 8


class Argument(Struct, frozen=True, kw_only=True):
    """One option of the command line, as text and parsed."""

    text: str
    option: Option


class GuestIndex:
    """What the explanations of a guest's disks need, indexed once for all of them."""

    def __init__(
        self,
        topology: Topology,
        *,
        arguments: Iterable[Argument] = (),
        findings: Iterable[Diagnostic] = (),
        added: Iterable[AttachedDisk] = (),
    ) -> None:
        """Indexes a guest's layout, command line and findings.

        Args:
            topology: The layout.
            arguments: The command line.
            findings: What the rules find.
            added: The disks that QEMU's own options create.
        """
        self.topology = topology
        self.added = frozenset(attached.disk.id for attached in added)
        """The disks that QEMU's own options create."""
        self.findings: dict[str, list[Diagnostic]] = {}
        """By the disk."""
        self.on_controller: dict[str, list[str]] = {}
        """Disks by their controller."""
        self.on_thread: dict[str, list[str]] = {}
        """Disks by the thread that serves them."""
        self.nodes: dict[str, Option] = {}
        """Options that define a node of a disk's chain, by its name."""
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
        """Yields the options with these ids, or at this place, in their order."""
        found = {at for name in names if name for at in self._by_id.get(name, ())}
        if span is not None:
            found.update(self._by_span.get(span, ()))
        return (self._arguments[at] for at in sorted(found))


class ServingThread(Struct, frozen=True, kw_only=True):
    """A thread that serves a disk."""

    id: str
    """An IOThread's id, or `MAIN_LOOP`."""
    thread_id: int | None
    """Its number on the host; None if the guest does not run."""
    queues: tuple[int, ...]
    """The request queues of the disk's controller that it serves."""
    disks: Sequence[str]
    """All disks that it serves, including this one."""


class Way(Struct, frozen=True, kw_only=True):
    """The path of a request from the disk's file to the threads."""

    attached: AttachedDisk
    controller: Controller
    on_controller: Sequence[str]
    """All disks of the controller, including this one."""
    queue_count: int
    has_one_queue: bool
    """Whether a device of the machine has one queue by default, not one per vCPU."""
    threads: tuple[ServingThread, ...]
    is_renamed_by_linux: bool
    """Whether its /dev/sdX can have another letter from boot to boot."""


class Setting(Struct, frozen=True, kw_only=True):
    """One setting of a disk: what is configured, and the result."""

    name: str
    written: str
    """As it is configured; empty if it is not."""
    verdict: Verdict
    value: str
    """The value in effect; empty if it has no effect."""
    by: Actor
    """Who uses it, drops it, or chose it."""
    reason: str = ""
    """Why it is ignored; empty if it is not."""
    became: tuple[str, ...] = ()
    """Its properties on the command line."""
    remedies: tuple[Diagnostic, ...] = ()
    """Findings with a fix that would make it take effect, or better."""


class Explanation(Struct, frozen=True, kw_only=True):
    """All that is known of one disk."""

    disk: str
    vm: str
    origin: Origin
    line: str = ""
    """The disk's whole configuration; empty if there is none."""
    place: str = ""
    """The file and the line."""
    way: Way | None = None
    """None for a disk that the guest does not get."""
    settings: tuple[Setting, ...] = ()
    """The configured ones, in their order, then the others."""
    arguments: tuple[str, ...] = ()
    """The options of the command line that create the disk."""
    findings: tuple[Diagnostic, ...] = ()
    dropped: str = ""
    """Why the guest does not get the disk; then nothing else is known of it."""


def explain_dropped(
    problem: Problem,
    reason: str,
    *,
    vm: Vm,
    name: str,
    origin: Origin,
    findings: Iterable[Diagnostic] = (),
) -> Explanation:
    """Returns the explanation of a configured disk that the guest's manager drops."""
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
        vm: The guest's configuration; None if only the running guest is known.
        name: The guest's name.
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
    """Returns whether Linux names it /dev/sdX, in the order in which it finds controllers."""
    return attached.disk.bus not in {"virtio", "nvme"} and not attached.driver.endswith("-cd")


def _list_settings(
    attached: AttachedDisk,
    vm: Vm | None,
    own: Sequence[Argument],
    findings: Sequence[Diagnostic],
    *,
    manager: Actor,
) -> Iterator[Setting]:
    listed: set[str] = set()
    for written, span in _list_written(attached, vm):
        name = _NAMES.get(written, written)
        text = vm.source.read_span(span) if vm is not None else ""
        if text.startswith("-"):
            # A whole option: in JSON the places of its parts are not known.
            inside = (each for each in own if each.option.span == span)
            text = ", ".join(word.partition(" ")[2] for word in _find_words(name, inside))
        setting = _judge(attached, name, text, manager)
        is_news = manager != QEMU and setting.verdict != "ignored"
        yield replace(
            setting,
            became=tuple(_find_words(name, own)) if is_news else (),
            remedies=tuple(_find_remedies(name, span, findings)),
        )
        listed.add(name)
    for effect in attached.effects:
        if effect.setting not in listed:
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
    return name in USED_BY or is_limit(name)


def _find_remedies(name: str, span: Span, findings: Sequence[Diagnostic]) -> Iterator[Diagnostic]:
    for finding in findings:
        is_here = finding.span == span or (finding.span is None and name in finding.message)
        if finding.fix is not None and is_here:
            yield finding


def _judge(attached: AttachedDisk, name: str, text: str, manager: Actor) -> Setting:
    """Returns a setting's effect, and who decides it."""
    effect = attached.find_effect(name)
    reason = effect.reason if effect is not None and effect.verdict == "ignored" else None
    if reason is not None:
        return Setting(
            name=name, written=text, verdict="ignored", value="", by=manager, reason=reason
        )
    verdict = effect.verdict if effect is not None else "used"
    actor = USED_BY.get(name, QEMU)
    return Setting(
        name=name,
        written=text,
        verdict=verdict,
        value=effect.value if effect is not None else text.partition("=")[2],
        by=manager if verdict == "default" or actor == MANAGER else actor,
    )


def _find_words(name: str, own: Iterable[Argument]) -> Iterator[str]:
    """Yields the properties that set a setting; of nested nodes, the one that opens the file."""
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
    """Yields the options that define a disk, its block nodes, its controller and its threads."""
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
