"""Changes of the model as edits of a config's text.

Source: qemu-server 9.2.6.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from vmio.errors import ConflictError, PlanError
from vmio.formats.base import Setting
from vmio.formats.keyval import split_parts
from vmio.formats.proxmox.config import Config, Entry, parse_config
from vmio.formats.proxmox.drivers import SINGLE
from vmio.formats.proxmox.layout import lay_out_config
from vmio.formats.proxmox.pci import has_scsi_bridge, pci_address
from vmio.formats.proxmox.reader import ProxmoxGuest
from vmio.formats.proxmox.schema import normalize
from vmio.formats.proxmox.strict import is_valid
from vmio.formats.proxmox.threads import cut_ours, has_ours, render_ours
from vmio.formats.proxmox.writer import remove_option, remove_setting, set_option, set_setting
from vmio.model.controller import PciAddress
from vmio.model.disk import Disk
from vmio.model.lines import check_line
from vmio.model.plan import OWN, PER_DISK, Change
from vmio.model.source import Edit, Source, Span, apply_edits
from vmio.model.topology import Topology
from vmio.patterns import compile_late
from vmio.values import replace

__all__ = ["edit_config", "list_settings"]

_NUMBERED = compile_late(r"(?:net|hostpci)\d+|watchdog|ivshmem|rng0|audio0|vga", re.ASCII)
_SHARED_HARDWARE = "virtio-scsi-pci"
_OF_THREADS = frozenset({"controllers", "iothread", "poll_max_ns"})
"""Changes that can concern `args`."""


def edit_config(guest: ProxmoxGuest, changes: Sequence[Change]) -> tuple[Edit, ...]:
    """Returns the edits that make changes in a config's main section.

    Snapshots and pending changes are not changed, nor is any byte that no change is about.

    Raises:
        PlanError: The config has no place for them: they need `args`, which are not used, or a
            device is in the way.
        ConflictError: Proxmox VE does not accept the last line of a setting to be changed.
        UsageError: Proxmox VE would not accept the result.
    """
    wanted = tuple(_list_wanted(guest, changes))
    config = guest.config
    written = config.main.settings()
    keys = tuple(dict.fromkeys(key for key, _, _ in wanted))
    for key in keys:
        if key in written and not _is_valid(guest, written[key]):
            raise ConflictError(
                f"{config.source.name}: Proxmox VE does not accept the last line of {key}",
                hint="correct or remove that line, and plan again",
            )
    # Several new options of a drive can have the same place, in the order of the edits.
    ordered = sorted(wanted, key=lambda one: (keys.index(one[0]), one[1]))
    edits = [edit for one in ordered for edit in _make_edits(config, *one)]
    if _clash(edits):
        return _edit_in_turn(config, wanted)
    return tuple(edits)


def list_settings(guest: ProxmoxGuest, changes: Sequence[Change]) -> tuple[Setting, ...]:
    """Returns the settings that changes need in the config, each setting and option once.

    Raises:
        PlanError: They need `args`, which are not used, or a device is in the way.
    """
    return tuple(
        Setting(key, option, _read_written(guest.config, key, option), new)
        for key, option, new in _list_wanted(guest, changes)
    )


def _is_valid(guest: ProxmoxGuest, entry: Entry) -> bool:
    """Returns whether Proxmox VE accepts a line; it does if the line was used when it was read."""
    if guest.spans.get(entry.key) == entry.span:
        return True
    return is_valid(guest.config.source, guest.config.main, entry)


_Wanted = tuple[str, str, str | None]
"""A setting, an option of it, and its new value."""


def _read_written(config: Config, key: str, option: str) -> str | None:
    entry = config.main.settings().get(key)
    if entry is None:
        return None
    if not option:
        return normalize(key, entry.value)
    parts = split_parts(config.source.data, entry.value_span)
    return next((part.value for part in parts if part.key == option), None)


def _list_wanted(guest: ProxmoxGuest, changes: Sequence[Change]) -> Iterator[_Wanted]:
    after = guest
    polls: dict[str, str | None] = {}
    threads = _name_threads(guest) if has_ours(guest.args) else {}
    for change in changes:
        disk = next((each for each in after.vm.disks if each.id == change.subject), None)
        match change.property:
            case "controllers":
                scsihw = SINGLE if change.new == PER_DISK else _SHARED_HARDWARE
                after = replace(after, settings={**after.settings, "scsihw": scsihw})
                yield ("scsihw", "", scsihw)
            case "poll_max_ns":
                polls[change.subject] = change.new
            case "iothread" if disk is not None:
                threads.pop(disk.id, None)
                if change.new not in {None, OWN}:
                    threads[disk.id] = str(change.new)
                yield from _ask(disk, own=change.new == OWN)
                after = _set_thread(after, disk, own=change.new == OWN)
            case _:
                new = "on" if (change.property, change.new) == ("discard", "unmap") else change.new
                yield (change.subject, change.property, new)
    if after.scsihw != guest.scsihw:
        _check_places(after)
    touched = any(change.property in _OF_THREADS for change in changes)
    if touched and (threads or has_ours(guest.args)):
        yield from _change_args(guest, after, threads, polls)


def _ask(disk: Disk, *, own: bool) -> Iterator[_Wanted]:
    if own and not disk.iothread:
        yield (disk.id, "iothread", "1")
    elif not own and disk.iothread:
        # Proxmox VE would create a thread that serves nothing.
        yield (disk.id, "iothread", None)


def _set_thread(guest: ProxmoxGuest, disk: Disk, *, own: bool) -> ProxmoxGuest:
    disks = (
        replace(each, iothread=own or None) if each is disk else each for each in guest.vm.disks
    )
    return replace(guest, vm=replace(guest.vm, disks=tuple(disks)))


def _name_threads(guest: ProxmoxGuest) -> dict[str, str]:
    """Returns vmio's thread for each disk that has one; for a template, those of its clones."""
    ours = {thread.id for thread in guest.vm.iothreads if re.fullmatch(r"vmio\d+", thread.id)}
    topology = lay_out_config(replace(guest, vm=replace(guest.vm, template=False)))
    return {
        attached.disk.id: by
        for attached in topology.disks
        for by in topology.served_by(attached)
        if by in ours
    }


def _change_args(
    guest: ProxmoxGuest,
    after: ProxmoxGuest,
    threads: Mapping[str, str],
    polls: Mapping[str, str | None],
) -> Iterator[_Wanted]:
    written = guest.args
    known = {each.id: each.poll_max_ns for each in guest.vm.iothreads}
    spins = {name: None if ns is None else str(ns) for name, ns in known.items()} | dict(polls)
    own = lay_out_config(after, with_args=False)
    ours = render_ours(
        {
            attached.controller: threads[attached.disk.id]
            for attached in own.disks
            if attached.disk.id in threads
        },
        {name: poll for name, poll in spins.items() if poll is not None},
    )
    if ours:
        _check_args(guest, threads.values())
    args = f"{cut_ours(written)} {ours}".strip()
    if args != written:
        # An unreadable part of it would be written back as another text.
        check_line(args.replace("\t", " "), "args")
        yield ("args", "", args or None)


def _check_args(guest: ProxmoxGuest, threads: Collection[str]) -> None:
    if guest.vm.template:
        raise PlanError(
            f"{guest.vm.id} is a template, whose args nothing uses",
            hint="per-disk needs no args; or plan the guests that are cloned from it",
        )
    if any(problem.subject == "args" for problem in guest.vm.problems):
        raise PlanError(
            f"the args of {guest.vm.id} cannot be read, so options added to them would not be used"
            " either",
            hint="'vmio check' reports what is wrong with them",
        )
    for option in guest.vm.options:
        if option.name == "object" and option.kind != "iothread" and option.id in threads:
            raise PlanError(
                f"the object {option.id} in the args of {guest.vm.id} is not an IOThread"
            )


def _check_places(guest: ProxmoxGuest) -> None:
    """Refuses controllers in the place of another device."""
    topology: Topology = lay_out_config(guest, with_args=False)
    places = (each.pci for each in topology.controllers if each.pci is not None)
    for place, count in Counter((*places, *_list_taken(guest))).items():
        if count > 1:
            raise PlanError(
                f"this layout is not possible: the PCI address {place} exists {count} times"
            )


def _list_taken(guest: ProxmoxGuest) -> Iterator[PciAddress]:
    """Yields the places of devices other than disk controllers: Proxmox's, and those in `args`."""
    vm, settings = guest.vm, guest.settings
    bridges = ("pci.1", "pci.2", *(("pci.3",) if has_scsi_bridge(guest.scsihw) else ()))
    balloon = () if settings.get("balloon") == "0" else ("balloon0",)
    for name in (*bridges, *balloon, *filter(_NUMBERED.fullmatch, settings)):
        yield pci_address(name, vm.arch)
    for option in vm.options:
        bus, addr = option.properties.get("bus", ""), option.properties.get("addr", "")
        match = re.fullmatch(r"(?:0x)?([0-9a-f]{1,2})(?:\.(?:0x)?([0-7]))?", addr, re.IGNORECASE)
        if option.name == "device" and bus and match is not None:
            yield PciAddress(bus=bus, slot=int(match[1], 16), function=int(match[2] or "0", 16))


def _make_edits(config: Config, key: str, option: str, new: str | None) -> tuple[Edit, ...]:
    main = config.main
    if not option:
        if new is None:
            return remove_setting(config, main, key)
        return (set_setting(config, main, key, new),)
    if new is None:
        return (remove_option(config, main, key, option),)
    return (set_option(config, main, key, option, new),)


def _clash(edits: Iterable[Edit]) -> bool:
    done = 0
    for edit in sorted(edits, key=lambda edit: edit.span):
        if edit.span.start < done:
            return True
        done = edit.span.end
    return False


def _edit_in_turn(config: Config, wanted: Iterable[_Wanted]) -> tuple[Edit, ...]:
    """Returns one edit of the whole section, for changes that touch the same bytes of it."""
    source = config.source
    for one in wanted:
        now = parse_config(source)
        source = Source(name=source.name, data=apply_edits(source, _make_edits(now, *one)))
    old, new = config.main.span, parse_config(source).main.span
    text = source.data[new.start : new.end].decode("utf-8", "surrogateescape")
    return (Edit(span=Span(start=old.start, end=old.end), text=text),)
