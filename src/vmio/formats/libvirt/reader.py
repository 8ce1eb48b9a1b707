"""A domain's XML to a `Domain`, going on past what libvirt would refuse.

Source: libvirt 11.3.0, run: `virsh domxml-to-native` and its messages.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from vmio.bounds import MAX_VCPUS
from vmio.errors import InputError
from vmio.formats.libvirt.domain import (
    LIMITS,
    Boot,
    Controller,
    Disk,
    Domain,
    DriveAddress,
    Image,
    Phase,
    Pool,
    Refusal,
    ThrottleGroup,
    UsbAddress,
    UsbDevice,
    name_thread,
)
from vmio.formats.libvirt.places import PER_CONTROLLER
from vmio.formats.libvirt.versions import has_feature
from vmio.formats.libvirt.xml import Element, find_attributes, parse_xml
from vmio.model.iothread import IOThread, VirtqueueMapping
from vmio.model.source import Source, Span, Where
from vmio.model.vm import GuestOs
from vmio.values import replace

__all__ = ["find_index", "read_domain"]

_MAX_THREADS: Final = 10_000
_MAX_DISKS: Final = 10_000
_MAX_USB: Final = 1_000
_MAX_REFUSALS: Final = 1_000
_MAX_LISTED: Final = 1_000_000
"""Of all numbers of threads that schedulers are given to."""
_MAX_CONTROLLERS: Final = 1024
"""Of one type: libvirt adds those that are missing below the highest."""
_MAX_NUMBER: Final = (1 << 32) - 1
_MAX_LARGE: Final = (1 << 64) - 1
_SHOWN: Final = 80
_NUMBER = re.compile(r"\d{1,20}", re.ASCII)
_SET = re.compile(
    r"(?:\^\d{1,9}|\d{1,9}(?:-\d{1,9})?)(?:,(?:\^\d{1,9}|\d{1,9}(?:-\d{1,9})?))*+", re.ASCII
)
_HEX = re.compile(r"0x[0-9a-fA-F]{1,8}|\d{1,9}", re.ASCII)
_TARGET = re.compile(r"(fd|hd|vd|sd|xvd|ubd)([a-z]{1,6})(\d{0,9})", re.ASCII)
_BUSES: Final = {
    "fd": "fdc",
    "hd": "ide",
    "sd": "scsi",
    "ubd": "uml",
    "vd": "virtio",
    "xvd": "xen",
}
"""The bus of a disk of which none is written, by its target."""
_ON_OFF: Final = frozenset({"on", "off"})
_POLICIES: Final = frozenset({"stop", "report", "ignore", "enospace"})
_CHOICES: Final[Mapping[str, frozenset[str]]] = {
    "ats": _ON_OFF,
    "cache": frozenset({"default", "none", "writethrough", "writeback", "directsync", "unsafe"}),
    "copy_on_read": _ON_OFF,
    "detect_zeroes": frozenset({"off", "on", "unmap"}),
    "discard": frozenset({"unmap", "ignore"}),
    "discard_no_unref": _ON_OFF,
    "error_policy": _POLICIES,
    "event_idx": _ON_OFF,
    "io": frozenset({"native", "threads", "io_uring"}),
    "ioeventfd": _ON_OFF,
    "iommu": _ON_OFF,
    "packed": _ON_OFF,
    "page_per_vq": _ON_OFF,
    "rerror_policy": _POLICIES,
}
"""What an attribute of a driver can be."""
_NUMBERS: Final = frozenset({"iothread", "queues", "queue_size", "cmd_per_lun", "max_sectors"})
_DEVICES: Final = frozenset({"disk", "cdrom", "floppy", "lun"})
_TYPES: Final = frozenset(
    {"file", "block", "dir", "network", "volume", "nvme", "vhostuser", "vhostvdpa"}
)
_DISK_BUSES: Final = frozenset({"ide", "fdc", "scsi", "virtio", "xen", "usb", "uml", "sata", "sd"})
_MODELS: Final = frozenset({"virtio", "virtio-transitional", "virtio-non-transitional"})
_BOOT_DEVICES: Final = frozenset({"fd", "cdrom", "hd", "network"})
_SIZES: Final = ("logical_block_size", "physical_block_size", "discard_granularity")
_UNITS: Final[Mapping[str, int]] = {
    "": 1,
    "b": 1,
    "byte": 1,
    "bytes": 1,
    **{unit: 1 << 10 * power for power, unit in enumerate(("k", "m", "g", "t", "p"), 1)},
    **{f"{unit}ib": 1 << 10 * power for power, unit in enumerate("kmgtp", 1)},
    **{f"{unit}b": 10 ** (3 * power) for power, unit in enumerate("kmgtp", 1)},
}
_UNREAD: Final[Mapping[str, str]] = {
    "qemu:commandline": "options of QEMU's own, which can add disks and threads",
    "qemu:override": "properties of devices, which can be anything of a disk",
}
_ROOTS: Final = {
    "domstatus": "the state of a running domain, not its description: save `virsh dumpxml NAME`",
    "domainsnapshot": "a snapshot: its <domain> is the description",
    "domainbackup": "a backup",
    "domaincheckpoint": "a checkpoint",
    "network": "a network",
    "pool": "a storage pool",
    "volume": "a storage volume",
}


class _Reading:
    """One domain while it is read, and what libvirt would say."""

    def __init__(self, source: Source, version: tuple[int, int]) -> None:
        self.source = source
        self.version = version
        self.refusals: list[Refusal] = []
        self.subject = ""
        self.listed = 0

    def refuse(self, message: str, element: Element, phase: Phase = 0) -> None:
        """Notes that libvirt refuses the domain."""
        if len(self.refusals) >= _MAX_REFUSALS:
            return
        self.refusals.append(
            Refusal(
                phase=phase,
                message=message,
                span=_open_span(self.source, element),
                subject=self.subject,
            )
        )

    def choose(
        self, element: Element, name: str, choices: frozenset[str], default: str = ""
    ) -> str:
        """Returns an attribute that is one of a few words."""
        value = element.get(name)
        if value is None:
            return default
        if value in choices:
            return value
        self.refuse(_say_invalid(element, name, f"'{value}'."), element)
        return default

    def count(
        self, element: Element, name: str, *, least: int = 0, most: int = _MAX_NUMBER
    ) -> int | None:
        """Returns an attribute that is a whole number, None if it is none."""
        value = element.get(name)
        if value is None:
            return None
        if not _NUMBER.fullmatch(value) or int(value) > most:
            said = f"'{value}'. Expected non-negative integer value"
            self.refuse(_say_invalid(element, name, said), element)
            return None
        if int(value) < least:
            self.refuse(_say_invalid(element, name, "Zero is not permitted"), element)
            return None
        return int(value)

    def demand(self, element: Element, name: str, *, least: int = 0) -> int | None:
        """Returns an attribute that has to be a whole number."""
        if element.get(name) is None:
            self.refuse(_say_missing(element, name), element)
        return self.count(element, name, least=least)


def _say_invalid(element: Element, name: str, what: str) -> str:
    return f"Invalid value for attribute '{name}' in element '{element.name}': {what}"


def _say_missing(element: Element, name: str) -> str:
    return f"Missing required attribute '{name}' in element '{element.name}'"


def read_domain(source: Source, version: tuple[int, int]) -> Domain:
    """Reads a domain, with what its libvirt does not know left out as that does.

    Args:
        source: The text.
        version: The libvirt that would read it.

    Raises:
        InputError: It is no domain, or more than any that is run.
    """
    root = parse_xml(source)
    _check_root(source, root)
    reading = _Reading(source, version)
    devices = root.find("devices")
    machine = root.find_path("os", "type")
    threads = _read_threads(reading, root)
    numbers = frozenset(int(thread.id.removeprefix("iothread")) for thread in threads)
    groups = tuple(_read_groups(reading, root)) if has_feature(version, "throttle-groups") else ()
    if devices is not None and sum(each.name == "disk" for each in devices.children) > _MAX_DISKS:
        raise InputError(f"{source.name} has more disks than any QEMU is started with")
    disks = _sort_disks(_read_disks(reading, devices))
    controllers = tuple(_read_controllers(reading, devices))
    usb_devices = tuple(_read_usb_devices(devices))
    if len(usb_devices) + sum(disk.bus == "usb" for disk in disks) > _MAX_USB:
        raise InputError(f"{source.name} has more USB devices than any QEMU is started with")
    _check_indexes(source, disks, controllers)
    vcpu = root.find("vcpu")
    vcpus = _read_plain(vcpu, 1, MAX_VCPUS)
    current = vcpu.get("current") if vcpu is not None else None
    domain = Domain(
        name=_text(root.find("name")),
        kind=root.get("type") or "",
        arch=(machine.get("arch") if machine is not None else None) or "x86_64",
        machine=(machine.get("machine") if machine is not None else None) or "pc",
        vcpus=vcpus,
        current_vcpus=int(current) if current and _NUMBER.fullmatch(current) else vcpus,
        memory_mib=_read_memory(root.find("memory")),
        shares_memory=_shares_memory(root),
        system=_find_system(root),
        threads=threads,
        thread_numbers=numbers,
        default_pool=_read_default_pool(reading, root),
        groups=groups,
        boot=_read_boot(reading, root, devices),
        controllers=controllers,
        disks=disks,
        usb_devices=usb_devices,
        firmware=tuple(_read_firmware(root)),
        unreadable=tuple(_find_unread(source, root, devices)),
        unprintable=_find_unprintable(root),
    )
    _read_tuning(reading, root, domain)
    return _finish(domain, reading)


def _finish(domain: Domain, reading: _Reading) -> Domain:
    return replace(domain, refusals=tuple(reading.refusals))


def _check_root(source: Source, root: Element) -> None:
    if root.name == "domain":
        if root.find("devices") is None and root.find("name") is None:
            raise InputError(f"{source.name} has a <domain> with neither a name nor devices")
        return
    if root.find("domain") is not None and root.name not in _ROOTS:
        raise InputError(
            f"{source.name} has domains in a <{root.name[:_SHOWN]}>: each is a file of its own"
        )
    what = _ROOTS.get(root.name, f"a <{root.name[:_SHOWN]}>")
    raise InputError(f"{source.name} is no libvirt domain: it is {what}")


def _open_span(source: Source, element: Element) -> Span:
    """Returns where the start tag of an element is."""
    end = source.data.find(b">", element.start, element.end)
    return Span(element.start, end + 1 if end >= 0 else element.end)


def _text(element: Element | None) -> str:
    return element.text if element is not None else ""


def _read_plain(element: Element | None, default: int, most: int) -> int:
    text = _text(element).strip()
    return max(1, min(int(text), most)) if _NUMBER.fullmatch(text) else default


def _read_memory(element: Element | None) -> int:
    text = _text(element).strip()
    unit = ((element.get("unit") if element is not None else None) or "KiB").lower()
    if not _NUMBER.fullmatch(text):
        return 1
    return max(1, min(int(text) * _UNITS.get(unit, 1024), _MAX_LARGE) >> 20)


def _shares_memory(root: Element) -> bool:
    access = root.find_path("memoryBacking", "access")
    if access is not None and access.get("mode") == "shared":
        return True
    cells = root.find_path("cpu", "numa")
    return cells is not None and any(
        cell.get("memAccess") == "shared" for cell in cells.find_all("cell")
    )


def _find_system(root: Element) -> GuestOs:
    """Returns the family of the guest's system, which virt-install and others write down."""
    metadata = root.find("metadata")
    for info in metadata.children if metadata is not None else ():
        if not info.name.endswith(":libosinfo"):
            continue
        for child in info.children:
            name = child.get("id") or ""
            if child.name.endswith(":os") and name:
                return (
                    "windows"
                    if "//microsoft.com/" in name
                    else "linux"
                    if re.search(
                        r"//(?:almalinux|alpinelinux|archlinux|centos|debian|fedoraproject|opensuse|oracle|redhat|rockylinux|suse|ubuntu)\.",
                        name,
                    )
                    else "other"
                )
    return ""


# Threads


def _read_threads(reading: _Reading, root: Element) -> tuple[IOThread, ...]:
    """Returns the threads: those that are listed, then the lowest free numbers up to the count."""
    count = 0
    written = root.find("iothreads")
    if written is not None:
        if _NUMBER.fullmatch(written.text) and int(written.text) <= _MAX_NUMBER:
            count = int(written.text)
        else:
            reading.refuse(f"invalid iothreads count '{written.text[:_SHOWN]}'", written)
    if count > _MAX_THREADS:
        raise InputError(
            f"{reading.source.name} has {count} IOThreads, more than any QEMU is started with"
        )
    threads: dict[int, IOThread] = {}
    listed = root.find("iothreadids")
    for element in listed.find_all("iothread") if listed is not None else ():
        number = reading.demand(element, "id", least=1)
        if number is None:
            continue
        if number in threads:
            reading.refuse(f"duplicate iothread id '{number}' found", element)
            continue
        threads[number] = _read_thread(reading, element, number)
    free = 1
    where = Where(span=written.span) if written is not None else Where()
    while len(threads) < count:
        if free not in threads:
            threads[free] = IOThread(id=name_thread(free), where=where)
        free += 1
    return tuple(threads.values())


def _read_thread(reading: _Reading, element: Element, number: int) -> IOThread:
    poll = element.find("poll") if has_feature(reading.version, "poll") else None
    values = {
        f"poll_{name}": reading.count(poll, name, most=_MAX_LARGE) if poll is not None else None
        for name in ("max", "grow", "shrink")
    }
    pool = _read_pool(reading, element)
    return IOThread(
        id=name_thread(number),
        poll_max_ns=values["poll_max"],
        poll_grow=values["poll_grow"],
        poll_shrink=values["poll_shrink"],
        thread_pool_min=pool.least,
        thread_pool_max=pool.most or None,
        where=Where(span=element.span),
    )


def _read_pool(reading: _Reading, element: Element) -> Pool:
    pool = Pool(
        least=reading.count(element, "thread_pool_min"),
        most=reading.count(element, "thread_pool_max"),
    )
    if pool.most == 0:
        reading.refuse("thread_pool_max must be a positive integer", element, 2)
    elif pool.least is not None and pool.least > (-1 if pool.most is None else pool.most):
        said = "thread_pool_min must be smaller or equal to thread_pool_max"
        reading.refuse(said, element, 2)
    return pool


def _read_default_pool(reading: _Reading, root: Element) -> Pool | None:
    element = root.find("defaultiothread")
    if element is None:
        return None
    pool = _read_pool(reading, element)
    return pool if pool != Pool() else None


def _read_tuning(reading: _Reading, root: Element, domain: Domain) -> None:
    """Notes what libvirt refuses of pins, schedulers and the rest of a thread's tuning."""
    tune = root.find("cputune")
    if tune is None:
        return
    known = domain.thread_numbers
    for name, most in (("iothread_period", 1_000_000), ("iothread_quota", 17_592_186_044_415)):
        element = tune.find(name)
        text = _text(element).strip()
        if element is not None and _NUMBER.fullmatch(text) and not 1000 <= int(text) <= most:  # noqa: PLR2004 - libvirt's own limit
            said = f"Value of cputune '{name}' must be in range [1000, {most}]"
            reading.refuse(said, element)
    pinned: set[int] = set()
    for element in tune.find_all("iothreadpin"):
        number = reading.demand(element, "iothread", least=1)
        if number is None:
            continue
        cpus = element.get("cpuset")
        if number not in known:
            reading.refuse(f"Cannot find 'iothread' : {number}", element)
        elif cpus is None:
            reading.refuse("missing cpuset for iothreadpin", element)
        elif not _is_set(cpus):
            reading.refuse(f"Failed to parse bitmap '{cpus}'", element)
        elif number in pinned:
            reading.refuse(f"duplicate iothreadpin for same iothread '{number}'", element)
        pinned.add(number)
    _check_schedulers(reading, tune, known)


def _check_schedulers(reading: _Reading, tune: Element, known: frozenset[int]) -> None:
    seen: set[int] = set()
    for element in tune.find_all("iothreadsched"):
        listed = element.get("iothreads")
        numbers = _parse_set(reading, listed or "")
        if listed is None:
            reading.refuse(_say_missing(element, "iothreads"), element)
            continue
        if numbers is None:
            reading.refuse(f"Failed to parse bitmap '{listed}'", element)
            continue
        choices = frozenset({"batch", "idle", "fifo", "rr"})
        scheduler = reading.choose(element, "scheduler", choices)
        if scheduler in {"fifo", "rr"}:
            reading.demand(element, "priority")
        missing = sorted(numbers - known)
        if numbers & seen:
            said = "'iothreadsched' attributes 'iothreads' must not overlap"
            reading.refuse(said, element)
        elif missing:
            reading.refuse(f"Cannot find 'iothread' : {missing[0]}", element)
        seen |= numbers


def _is_set(text: str) -> bool:
    """Returns whether a text is a list of numbers such as `0-3,^2`."""
    return _SET.fullmatch(text.replace(" ", "")) is not None


def _parse_set(reading: _Reading, text: str) -> frozenset[int] | None:
    """Returns the numbers of such a list, None if it is none or has too many."""
    if not _is_set(text):
        return None
    numbers: set[int] = set()
    for piece in text.replace(" ", "").split(","):
        first, _, last = piece.removeprefix("^").partition("-")
        size = int(last or first) - int(first) + 1
        reading.listed += max(size, 1)
        if size < 1 or reading.listed > _MAX_LISTED:
            return None
        if piece.startswith("^"):
            numbers.discard(int(first))
        else:
            numbers.update(range(int(first), int(first) + size))
    return frozenset(numbers)


# Limits


def _read_groups(reading: _Reading, root: Element) -> Iterator[ThrottleGroup]:
    groups = root.find("throttlegroups")
    seen: set[str] = set()
    for element in groups.find_all("throttlegroup") if groups is not None else ():
        limits = _read_limits(reading, element, "throttle group")
        name = _text(element.find("group_name"))
        if not name:
            reading.refuse("missing group name", element)
            continue
        if name in seen:
            reading.refuse(f"duplicate group name '{name}' found", element)
            continue
        seen.add(name)
        yield ThrottleGroup(name=name, limits=limits)


def _read_limits(reading: _Reading, element: Element, what: str) -> tuple[tuple[str, int], ...]:
    found: dict[str, int] = {}
    for child in element.children:
        if child.name not in LIMITS:
            continue
        text = child.text.strip()
        if not _NUMBER.fullmatch(text) or int(text) > _MAX_LARGE:
            reading.refuse(f"{what} field '{child.name}' must be an integer", child)
        elif int(text):
            found[LIMITS[child.name]] = int(text)
    for unit, name in (("bps", "bytes"), ("iops", "iops")):
        for end in ("", "-max"):
            sides = (f"{unit}-read{end}", f"{unit}-write{end}")
            if f"{unit}-total{end}" in found and any(side in found for side in sides):
                word = f"{name}_sec{end.replace('-', '_')}"
                said = f"total and read/write {word} cannot be set at the same time"
                reading.refuse(said, element)
    order = list(LIMITS.values())
    return tuple(sorted(found.items(), key=lambda item: order.index(item[0])))


# Controllers


def _read_controllers(reading: _Reading, devices: Element | None) -> Iterator[Controller]:
    """Yields the controllers; one without an index has the lowest that is free of its type."""
    elements = [*devices.find_all("controller")] if devices is not None else []
    taken: dict[str, set[int]] = {}
    free: dict[str, int] = {}
    for element in elements:
        written = element.get("index")
        if written is not None and _NUMBER.fullmatch(written):
            taken.setdefault(element.get("type") or "", set()).add(int(written))
    seen: set[tuple[str, int]] = set()
    for element in elements:
        kind = element.get("type") or ""
        index = reading.count(element, "index")
        is_companion = element.find("master") is not None
        if index is None:
            used = taken.setdefault(kind, set())
            index = free.get(kind, 0)
            while index in used:
                index += 1
            used.add(index)
            free[kind] = index
        elif (kind, index) in seen and not (kind == "usb" and is_companion):
            said = f"Multiple '{kind}' controllers with index '{index}'"
            reading.refuse(said, element, 2)
            continue
        seen.add((kind, index))
        yield _read_controller(reading, element, kind, index)


def _read_controller(reading: _Reading, element: Element, kind: str, index: int) -> Controller:
    driver = element.find("driver")
    mapping: tuple[VirtqueueMapping, ...] = ()
    attributes: Mapping[str, str] = {}
    if driver is not None:
        attributes = _read_driver(reading, driver)
        if has_feature(reading.version, "scsi-mapping"):
            mapping = _read_mapping(reading, driver)
    ports = element.get("ports")
    if kind == "usb" and ports is not None and _NUMBER.fullmatch(ports):
        attributes = {**attributes, "ports": ports}
    pci = _read_address(element)[2]
    return Controller(
        type=kind,
        index=index,
        model=element.get("model") or "",
        driver=attributes,
        mapping=mapping,
        alias=_read_alias(element),
        pci=pci,
        is_companion=element.find("master") is not None,
        span=_open_span(reading.source, element),
    )


def _read_driver(reading: _Reading, driver: Element) -> Mapping[str, str]:
    """Returns the attributes of a driver that libvirt takes."""
    found: dict[str, str] = {}
    for name, value in driver.attributes.items():
        if name in _CHOICES:
            if chosen := reading.choose(driver, name, _CHOICES[name]):
                found[name] = chosen
        elif name in _NUMBERS:
            if number := reading.count(driver, name, least=int(name == "iothread")):
                found[name] = str(number)
        else:
            found[name] = value
    if not has_feature(reading.version, "discard-no-unref"):
        found.pop("discard_no_unref", None)
    return found


def _read_mapping(reading: _Reading, driver: Element) -> tuple[VirtqueueMapping, ...]:
    listed = driver.find("iothreads")
    entries = []
    for element in listed.find_all("iothread") if listed is not None else ():
        number = reading.demand(element, "id")
        queues = [reading.demand(queue, "id") for queue in element.find_all("queue")]
        if number is not None:
            vqs = tuple(queue for queue in queues if queue is not None)
            entries.append(VirtqueueMapping(iothread=name_thread(number), vqs=vqs))
    return tuple(entries)


def _read_alias(element: Element) -> str:
    """Returns the alias that is the user's own, which libvirt keeps."""
    alias = element.find("alias")
    name = (alias.get("name") if alias is not None else None) or ""
    is_own = name.startswith("ua-") and re.fullmatch(r"[A-Za-z0-9_.-]{1,255}", name, re.ASCII)
    return name if is_own else ""


def _read_address(
    element: Element,
) -> tuple[str, Mapping[str, str], tuple[int, int, int] | None]:
    """Returns an address's type, its attributes, and the slot if it is one of PCI."""
    address = element.find("address")
    if address is None:
        return "", {}, None
    kind = address.get("type") or ""
    if kind != "pci":
        return kind, address.attributes, None
    numbers = [address.get(name) or "0" for name in ("bus", "slot", "function")]
    if address.get("slot") is None or not all(map(_HEX.fullmatch, numbers)):
        return "", {}, None
    bus, slot, function = (int(number, 16 if "x" in number else 10) for number in numbers)
    return kind, address.attributes, (bus, slot, function)


# Disks


def _read_disks(reading: _Reading, devices: Element | None) -> Iterator[Disk]:
    for element in devices.find_all("disk") if devices is not None else ():
        disk = _read_disk(reading, element)
        if disk is not None:
            yield disk
    reading.subject = ""


def _sort_disks(disks: Iterator[Disk]) -> tuple[Disk, ...]:
    """Returns disks by bus, in the order in which the buses are met, and by target."""
    buses: dict[str, list[Disk]] = {}
    for disk in disks:
        buses.setdefault(disk.bus, []).append(disk)
    return tuple(
        disk for group in buses.values() for disk in sorted(group, key=lambda each: each.index)
    )


def find_index(target: str) -> int | None:
    """Returns what the letters of a target come to: 0 for vda, 26 for vdaa; None if it is none."""
    match = _TARGET.fullmatch(target)
    if match is None:
        return None
    index = 0
    for letter in match[2]:
        index = index * 26 + ord(letter) - ord("a") + 1
    return index - 1


def _read_disk(reading: _Reading, element: Element) -> Disk | None:
    kind = reading.choose(element, "type", _TYPES, "file")
    device = reading.choose(element, "device", _DEVICES, "disk")
    model = reading.choose(element, "model", _MODELS)
    target = element.find("target")
    name = (target.get("dev") if target is not None else None) or ""
    source = element.find("source")
    if not name or target is None:
        path = _find_path(kind, source)
        reading.refuse(f"missing target information for device {path}".rstrip(), element)
        return None
    reading.subject = name
    match = _TARGET.fullmatch(name)
    default = "fdc" if device == "floppy" else _BUSES[match[1]] if match else "ide"
    bus = reading.choose(target, "bus", _DISK_BUSES, default)
    driver = element.find("driver")
    attributes = _read_driver(reading, driver) if driver is not None else {}
    mapping: tuple[VirtqueueMapping, ...] = ()
    if driver is not None and has_feature(reading.version, "blk-mapping"):
        mapping = _read_mapping(reading, driver)
    index = find_index(name)
    address, own, pci = _read_address(element)
    if index is None and address != "drive":
        reading.refuse(f"Unknown disk name '{name}' and no address specified", element)
    elif match is not None and match[3]:
        said = f"invalid disk target '{name}', partitions can't appear in disk targets"
        reading.refuse(said, element, 2)
    image = _read_chain(reading, element, kind, attributes.get("type", ""))
    _check_source(reading, element, kind, device, image)
    limits, group = _read_iotune(reading, element)
    wwn = _text(element.find("wwn"))
    if wwn and not re.fullmatch(r"[0-9a-fA-F]{16}", wwn, re.ASCII):
        reading.refuse(f"Malformed wwn: {wwn}", element)
        wwn = ""
    boot = element.find("boot")
    blockio = element.find("blockio")
    return Disk(
        target=name,
        bus=bus,
        index=index or 0,
        device=device,
        image=image,
        driver=attributes,
        mapping=mapping,
        cache_size=_read_cache_size(driver),
        model=model,
        removable=reading.choose(target, "removable", _ON_OFF),
        tray=reading.choose(target, "tray", frozenset({"open", "closed"})),
        rotation_rate=reading.count(target, "rotation_rate"),
        read_only=element.find("readonly") is not None or device == "cdrom",
        shareable=element.find("shareable") is not None,
        serial=_text(element.find("serial")),
        wwn=wwn,
        vendor=_text(element.find("vendor")),
        product=_text(element.find("product")),
        boot_order=reading.demand(boot, "order", least=1) if boot is not None else None,
        alias=_read_alias(element),
        sizes={
            name: size
            for name in _SIZES
            if blockio is not None
            and (name != "discard_granularity" or has_feature(reading.version, "granularity"))
            and (size := reading.count(blockio, name))
        },
        geometry=_read_geometry(element),
        limits=limits,
        group=group,
        filters=_read_filters(reading, element),
        address_type="drive"
        if address == "drive"
        else "usb"
        if address == "usb"
        else "pci"
        if pci is not None
        else "other"
        if address
        else "",
        drive=_read_drive(own) if address == "drive" else None,
        usb=_read_usb(own) if address == "usb" else None,
        pci=pci,
        span=_open_span(reading.source, element),
        spans=_find_spans(reading.source, element, driver),
    )


def _find_spans(source: Source, element: Element, driver: Element | None) -> Mapping[str, Span]:
    spans = dict(find_attributes(source, driver)) if driver is not None else {}
    if driver is not None:
        listed = driver.find("iothreads")
        if listed is not None:
            spans["iothreads"] = listed.span
    for name in ("source", "target", "serial", "iotune", "boot", "wwn"):
        child = element.find(name)
        if child is not None:
            spans[name] = child.span
    return spans


def _read_drive(attributes: Mapping[str, str]) -> DriveAddress:
    numbers = {
        name: int(value)
        for name in ("controller", "bus", "target", "unit")
        if _NUMBER.fullmatch(value := attributes.get(name, "0")) and int(value) <= _MAX_NUMBER
    }
    return DriveAddress(
        controller=numbers.get("controller", 0),
        bus=numbers.get("bus", 0),
        target=numbers.get("target", 0),
        unit=numbers.get("unit", 0),
    )


def _read_usb(attributes: Mapping[str, str]) -> UsbAddress:
    bus, port = attributes.get("bus", ""), attributes.get("port", "")
    return UsbAddress(
        bus=int(bus) if re.fullmatch(r"\d{1,4}", bus, re.ASCII) else None,
        port=port if re.fullmatch(r"\d{1,3}(?:\.\d{1,3}){0,3}", port, re.ASCII) else "",
    )


def _read_cache_size(driver: Element | None) -> int | None:
    size = driver.find_path("metadata_cache", "max_size") if driver is not None else None
    text = _text(size).strip()
    if size is None or not _NUMBER.fullmatch(text):
        return None
    return min(int(text) * _UNITS.get((size.get("unit") or "bytes").lower(), 1), _MAX_LARGE)


def _read_geometry(element: Element) -> Mapping[str, int | str]:
    geometry = element.find("geometry")
    if geometry is None:
        return {}
    found: dict[str, int | str] = {
        name: int(text)
        for name in ("cyls", "heads", "secs")
        if re.fullmatch(r"\d{1,9}", text := geometry.get(name) or "", re.ASCII)
    }
    trans = geometry.get("trans")
    if trans in {"none", "auto", "lba"}:
        found["bios-chs-trans"] = trans
    return found


def _read_iotune(reading: _Reading, element: Element) -> tuple[tuple[tuple[str, int], ...], str]:
    tune = element.find("iotune")
    if tune is None:
        return (), ""
    return _read_limits(reading, tune, "disk iotune"), _text(tune.find("group_name"))


def _read_filters(reading: _Reading, element: Element) -> tuple[str, ...]:
    filters = element.find("throttlefilters")
    if filters is None or not has_feature(reading.version, "throttle-groups"):
        return ()
    names: dict[str, None] = {}
    for child in filters.find_all("throttlefilter"):
        group = child.get("group") or ""
        if group in names:
            reading.refuse(f"duplicate filter name '{group}' found", child)
        names[group] = None
    return tuple(names)


# Images


def _find_path(kind: str, source: Element | None) -> str:
    if source is None:
        return ""
    attribute = {"file": "file", "block": "dev", "dir": "dir", "network": "name"}.get(kind)
    return (source.get(attribute) if attribute is not None else None) or ""


def _read_chain(reading: _Reading, element: Element, kind: str, form: str) -> Image:
    """Returns a disk's image and those that it is an overlay of."""
    layers: list[tuple[str, str, Element | None, bool]] = []
    place: Element | None = element
    while place is not None:
        store = place.find("backingStore")
        is_end = store is not None and store.get("type") is None and store.find("source") is None
        layers.append((kind, form or "raw", place.find("source"), is_end))
        if store is None or is_end:
            break
        kind = reading.choose(store, "type", _TYPES, "file")
        written = store.find("format")
        form = (written.get("type") if written is not None else None) or ""
        if not form:
            reading.refuse("missing disk backing store format", store)
        place = store
    image: Image | None = None
    for depth in range(len(layers) - 1, -1, -1):
        of_kind, of_form, source, is_end = layers[depth]
        image = _read_image(
            reading,
            of_kind,
            of_form,
            source,
            image,
            ends_chain=is_end,
            disk=element if depth == 0 else None,
        )
    assert image is not None  # noqa: S101 - there is one layer at least
    return image


def _read_image(
    reading: _Reading,
    kind: str,
    form: str,
    source: Element | None,
    backing: Image | None,
    *,
    ends_chain: bool,
    disk: Element | None,
) -> Image:
    part = source.find_path("slices", "slice") if source is not None else None
    bounds = None
    if part is not None and part.get("type") == "storage":
        offset, size = (
            reading.count(part, "offset", most=_MAX_LARGE),
            reading.count(part, "size", most=_MAX_LARGE),
        )
        bounds = (offset or 0, size or 0)
    encryption = _find_in(source, disk, "encryption")
    return Image(
        kind=kind,
        path=_find_path(kind, source),
        format=form,
        source=source,
        backing=backing,
        ends_chain=ends_chain,
        slice=bounds,
        encryption=(encryption.get("format") or "default") if encryption is not None else "",
        encrypted_by=(encryption.get("engine") or "") if encryption is not None else "",
        auth=_find_in(source, disk, "auth"),
    )


def _find_in(source: Element | None, disk: Element | None, name: str) -> Element | None:
    """Returns a part of a source, which an older text has in the disk."""
    found = source.find(name) if source is not None else None
    return found if found is not None or disk is None else disk.find(name)


def _check_source(
    reading: _Reading, element: Element, kind: str, device: str, image: Image
) -> None:
    """Notes what libvirt refuses of a source as it reads it."""
    source = image.source
    if kind == "network" and source is not None:
        _check_network(reading, source)
    elif kind == "nvme" and source is not None:
        if source.get("namespace") is None:
            reading.refuse(_say_missing(source, "namespace"), source)
        elif source.find("address") is None:
            reading.refuse("NVMe disk source is missing address", source)
    elif image.is_empty and device not in {"cdrom", "floppy"}:
        reading.refuse(f"missing source information for device {reading.subject}", element)


_PROTOCOLS: Final = frozenset(
    "nbd rbd sheepdog gluster iscsi http https ftp ftps tftp ssh vxhs nfs".split()  # noqa: SIM905
)


def _check_network(reading: _Reading, source: Element) -> None:
    if source.get("protocol") is None:
        reading.refuse(_say_missing(source, "protocol"), source)
        return
    protocol = reading.choose(source, "protocol", _PROTOCOLS)
    if protocol and protocol != "nbd" and source.get("name") is None:
        reading.refuse("missing name for disk source", source)
    for host in source.find_all("host"):
        transports = frozenset({"tcp", "unix", "rdma"})
        transport = reading.choose(host, "transport", transports, "tcp")
        if transport == "unix":
            if host.get("socket") is None:
                reading.refuse("missing socket for unix transport", host)
        elif host.get("name") is None:
            reading.refuse("missing name for host", host)


# The rest


def _read_boot(reading: _Reading, root: Element, devices: Element | None) -> Boot:
    system = root.find("os")
    names = []
    for element in system.find_all("boot") if system is not None else ():
        name = reading.choose(element, "dev", _BOOT_DEVICES)
        if name:
            names.append(name)
    numbered = [
        child
        for child in (devices.children if devices is not None else ())
        if child.name in {"disk", "interface", "hostdev", "redirdev"}
        and child.find("boot") is not None
    ]
    if numbered and names:
        said = "per-device boot elements cannot be used together with os/boot elements"
        reading.refuse(said, numbered[0], 1)
    seen: set[str] = set()
    for child in numbered:
        boot = child.find("boot")
        order = (boot.get("order") if boot is not None else None) or ""
        if order in seen:
            said = f"boot order '{order}' used for more than one device"
            reading.refuse(said, child, 1)
        seen.add(order)
    if not numbered and not names:
        names = ["hd"]
    return Boot(devices=tuple(names), by_device=bool(numbered))


def _read_usb_devices(devices: Element | None) -> Iterator[UsbDevice]:
    """Yields what takes ports of USB besides disks, as far as it is written."""
    for child in devices.children if devices is not None else ():
        kind, bus = child.get("type"), child.get("bus")
        is_usb = (
            (child.name in {"hub", "hostdev"} and kind == "usb")
            or (child.name == "redirdev" and (bus or "usb") == "usb")
            or (child.name == "input" and (bus or ("usb" if kind == "tablet" else "")) == "usb")
            or (child.name == "sound" and child.get("model") == "usb")
            or (child.name == "smartcard" and _is_usb_address(child))
            or (child.name in {"serial", "console"} and _is_usb_address(child))
        )
        if is_usb:
            address, own, _ = _read_address(child)
            yield UsbDevice(
                kind="hub"
                if child.name == "hub"
                else "before"
                if child.name == "hostdev"
                else "after",
                address=_read_usb(own) if address == "usb" else None,
            )


def _is_usb_address(element: Element) -> bool:
    return _read_address(element)[0] == "usb"


def _read_firmware(root: Element) -> Iterator[tuple[Image, bool]]:
    """Yields the images of a firmware in flash memory."""
    loader = root.find_path("os", "loader")
    if loader is None or loader.get("type") != "pflash" or not loader.text:
        return
    form = loader.get("format") or "raw"
    read_only = loader.get("readonly") == "yes"
    yield Image(kind="file", path=loader.text, format=form), read_only
    variables = root.find_path("os", "nvram")
    if variables is None:
        return
    kind = variables.get("type") or "file"
    source = variables.find("source")
    path = _find_path(kind, source) if source is not None else variables.text.strip()
    if path:
        form = variables.get("format") or form
        yield Image(kind=kind, path=path, format=form, source=source), False


def _find_unprintable(root: Element) -> str:
    system = root.find("os")
    if root.get("type") not in {"qemu", "kvm"}:
        return f"a domain of type='{(root.get('type') or '')[:_SHOWN]}' is not known to be QEMU's"
    machine = root.find_path("os", "type")
    name = (machine.get("machine") if machine is not None else None) or "pc"
    arch = (machine.get("arch") if machine is not None else None) or "x86_64"
    if arch not in {"x86_64", "i686"} or not re.match(r"pc\b|q35\b", name):
        return f"only PCs are known, and it is a {arch[:_SHOWN]} machine '{name[:_SHOWN]}'"
    if system is not None and system.get("firmware") is not None and system.find("loader") is None:
        return "libvirt chooses the firmware among the host's (<os firmware=…>)"
    loader = root.find_path("os", "loader")
    if loader is not None and loader.get("type") == "pflash":
        nvram = root.find_path("os", "nvram")
        if loader.get("readonly") == "yes" and loader.get("stateless") != "yes" and nvram is None:
            return "libvirt names the file of the firmware's variables itself (<nvram>)"
    return ""


def _find_unread(
    source: Source, root: Element, devices: Element | None
) -> Iterator[tuple[str, Span]]:
    for child in root.children:
        if child.name in _UNREAD:
            what = f"<{child.name}> has {_UNREAD[child.name]}; vmio does not read it"
            yield what, _open_span(source, child)
    for child in devices.children if devices is not None else ():
        if child.name == "hostdev" and child.get("type") in {"scsi", "scsi_host"}:
            what = f"<hostdev type='{child.get('type')}'> is a SCSI device that vmio does not read"
            yield what, _open_span(source, child)


def _check_indexes(
    source: Source, disks: tuple[Disk, ...], controllers: tuple[Controller, ...]
) -> None:
    """Refuses numbers of controllers that would make libvirt add thousands."""
    numbers = [each.index for each in controllers if each.type != "pci"]
    for disk in disks:
        if disk.drive is not None:
            numbers.append(disk.drive.controller)
        elif disk.bus in PER_CONTROLLER:
            numbers.append(disk.index // PER_CONTROLLER[disk.bus])
        if disk.usb is not None:
            numbers.append(disk.usb.bus or 0)
    if max(numbers, default=0) >= _MAX_CONTROLLERS:
        raise InputError(
            f"{source.name} has a controller with the number {max(numbers)}, and all below it"
            " would be made: more than any QEMU is started with"
        )
