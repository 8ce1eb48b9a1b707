"""The parts of a domain's text that libvirt knows, where they decide about storage and threads.

What it does not know it drops without a word: the text that it keeps is its own.

Source: libvirt 11.3.0, its schema of domains, and run with misspelt attributes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from vmio.formats.libvirt.domain import LIMITS
from vmio.formats.libvirt.xml import Element

__all__ = ["PARTS", "find_unknown", "list_parts"]

_TEXTS: Final[Mapping[str, str]] = {
    "domain": """
        id type <blkiotune> <bootloader> <bootloader_args> <capabilities> <clock> <commandline>
        <cpu> <cputune> <currentMemory> <datacenterpath> <defaultiothread> <deprecation>
        <description> <devices> <features> <genid> <idmap> <iothreadids> <iothreads> <keywrap>
        <launchSecurity> <maxMemory> <memory> <memoryBacking> <memtune> <metadata> <name>
        <namespace> <numatune> <on_crash> <on_lockfailure> <on_poweroff> <on_reboot> <os>
        <override> <perf> <pm> <resource> <seclabel> <sysinfo> <throttlegroups> <title> <uuid>
        <vcpu> <vcpus>
    """,
    "domain/cputune": """
        <cachetune> <emulator_period> <emulator_quota> <emulatorpin> <emulatorsched>
        <global_period> <global_quota> <iothread_period> <iothread_quota> <iothreadpin>
        <iothreadsched> <memorytune> <period> <quota> <shares> <vcpupin> <vcpusched>
    """,
    "domain/cputune/emulatorpin": "cpuset",
    "domain/cputune/iothreadpin": "cpuset iothread",
    "domain/cputune/iothreadsched": "iothreads priority scheduler",
    "domain/cputune/vcpupin": "cpuset vcpu",
    "domain/defaultiothread": "thread_pool_max thread_pool_min",
    "domain/devices": """
        <audio> <channel> <console> <controller> <crypto> <disk> <emulator> <filesystem>
        <graphics> <hostdev> <hub> <input> <interface> <iommu> <lease> <memballoon> <memory>
        <nvram> <panic> <parallel> <pstore> <redirdev> <redirfilter> <rng> <serial> <shmem>
        <smartcard> <sound> <tpm> <video> <vsock> <watchdog>
    """,
    "domain/devices/controller": """
        index maxEventChannels maxGrantFrames model ports type vectors <acpi> <address> <alias>
        <driver> <master> <model> <pcihole64> <target>
    """,
    "domain/devices/controller/driver": """
        ats cmd_per_lun ioeventfd iommu iothread max_sectors packed page_per_vq queues <iothreads>
    """,
    "domain/devices/controller/driver/iothreads": "<iothread>",
    "domain/devices/controller/driver/iothreads/iothread": "id <queue>",
    "domain/devices/controller/driver/iothreads/iothread/queue": "id",
    "domain/devices/disk": """
        device model rawio sgio snapshot type <acpi> <address> <alias> <auth> <backenddomain>
        <backingStore> <blockio> <boot> <driver> <encryption> <geometry> <iotune> <mirror>
        <privateData> <product> <readonly> <serial> <shareable> <source> <target>
        <throttlefilters> <transient> <vendor> <wwn>
    """,
    "domain/devices/disk/blockio": """
        discard_granularity logical_block_size physical_block_size
    """,
    "domain/devices/disk/boot": "loadparm order",
    "domain/devices/disk/driver": """
        ats cache copy_on_read detect_zeroes discard discard_no_unref error_policy event_idx io
        ioeventfd iommu iothread name packed page_per_vq queue_size queues rerror_policy type
        <iothreads> <metadata_cache>
    """,
    "domain/devices/disk/driver/iothreads": "<iothread>",
    "domain/devices/disk/driver/iothreads/iothread": "id <queue>",
    "domain/devices/disk/driver/iothreads/iothread/queue": "id",
    "domain/devices/disk/source": """
        dev dir fdgroup file index managed mode name namespace path pool protocol query
        startupPolicy tls tlsHostname type volume <address> <auth> <config> <cookies> <dataStore>
        <encryption> <host> <identity> <initiator> <knownHosts> <privateData> <readahead>
        <reconnect> <reservations> <seclabel> <slices> <snapshot> <ssl> <timeout>
    """,
    "domain/devices/disk/target": "bus dev removable rotation_rate tray",
    "domain/devices/disk/throttlefilters": "<throttlefilter>",
    "domain/devices/disk/throttlefilters/throttlefilter": "group",
    "domain/iothreadids": "<iothread>",
    "domain/iothreadids/iothread": "id thread_pool_max thread_pool_min <poll>",
    "domain/iothreadids/iothread/poll": "grow max shrink",
    "domain/throttlegroups": "<throttlegroup>",
}
_LIMITS: Final = frozenset({"<group_name>", *(f"<{name}>" for name in LIMITS)})

PARTS: Final[Mapping[str, frozenset[str]]] = {
    **{path: frozenset(text.split()) for path, text in _TEXTS.items()},
    "domain/devices/disk/iotune": _LIMITS,
    "domain/throttlegroups/throttlegroup": _LIMITS,
}
"""What an element can have, by the elements that it is in: attributes, and elements in `<…>`."""


def list_parts(root: Element) -> Iterator[tuple[str, Element, tuple[Element, ...]]]:
    """Yields the elements of `PARTS` with their paths, and with those that each is in."""
    stack: list[tuple[str, Element, tuple[Element, ...]]] = [(root.name, root, (root,))]
    while stack:
        path, element, way = stack.pop()
        yield path, element, way
        for child in reversed(element.children):
            inner = f"{path}/{child.name}"
            if inner in PARTS:
                stack.append((inner, child, (*way, child)))


def find_unknown(path: str, element: Element) -> Iterator[tuple[str, Element | None]]:
    """Yields the attributes of an element that libvirt does not know, and the children.

    What is in a namespace belongs to somebody: `qemu:commandline`, or a program's own.
    """
    known = PARTS[path]
    for name in element.attributes:
        if name not in known and ":" not in name and name != "xmlns":
            yield name, None
    for child in element.children:
        if f"<{child.name}>" not in known and ":" not in child.name:
            yield child.name, child
