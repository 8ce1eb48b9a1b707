"""The whole command line that Proxmox VE would run.

A family of settings that is not printed yet is refused by name, never left out.

Source: qemu-server 9.2.6.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Iterator

from vmio.errors import PlanError, UnsupportedError
from vmio.formats.keyval import split_parts
from vmio.formats.proxmox.argv_drives import (
    Argument,
    render_drives,
    render_objects,
    render_pci,
)
from vmio.formats.proxmox.machine import is_windows, parse_version
from vmio.formats.proxmox.pci import pci_address
from vmio.formats.proxmox.reader import Guest
from vmio.formats.proxmox.schema import parse_bool
from vmio.model.host import Host
from vmio.model.source import Span
from vmio.model.topology import Topology

__all__ = ["render_argv", "render_bridges", "render_command"]

_RUN = "/var/run/qemu-server"
_HANDLED = frozenset(
    """
    autostart balloon boot bootdisk cdrom cicustom cipassword citype ciupgrade ciuser cores
    cpulimit cpuunits description digest hookscript lock memory meta migrate_downtime
    migrate_speed name nameserver onboot ostype parent protection scsihw searchdomain shares
    smbios1 smp snaptime sockets sshkeys startup tablet tags vcpus vmgenid vmstatestorage
    """.split()  # noqa: SIM905 - a list a line each would hide the words
)
"""Settings that are printed below or elsewhere, or that are on no command line."""
_PRINTED = re.compile(r"(ide|scsi|virtio|sata|unused|ipconfig)\d+|machine", re.ASCII)
_NEUTRAL = {
    "acpi": "1",
    "kvm": "1",
    "numa": "0",
    "template": "0",
    "freeze": "0",
    "reboot": "1",
    "agent": "0",
    "bios": "seabios",
    "vga": "std",
    "arch": "x86_64",
    "hotplug": "network,disk,usb",
    "localtime": "0",
}
"""Settings that change nothing when they say this."""
_OLDEST_QEMU = (6, 0)
_SHOWN = 60
_FIRST_SCSI_BEYOND_14 = 14


def render_argv(guest: Guest, topology: Topology, host: Host) -> tuple[Argument, ...]:
    """Returns the command, an option with its value at a time; the first is the program.

    Raises:
        UnsupportedError: The config uses something that vmio cannot print yet.
        PlanError: Proxmox itself would refuse.
    """
    _refuse_unsupported(guest, topology, host)
    return tuple(_render(guest, topology, host))


def render_command(argv: tuple[Argument, ...], *, pretty: bool = False) -> str:
    """Returns a command as `qm showcmd` prints it, each word quoted for a shell."""
    line = " ".join(_quote(word) for argument in argv for word in argument)
    return line.replace(" -", " \\\n  -") if pretty else line


def _quote(word: str) -> str:
    if re.fullmatch(r"[A-Za-z0-9_!%+,\-./:@^]+", word, re.ASCII):
        return word
    # A single quote ends the quoting, comes escaped, and begins it again; several in a row come
    # in double quotes instead.
    body = re.sub(
        r"'+",
        lambda found: r"'\''" if len(found[0]) == 1 else f"'\"{found[0]}\"'",
        word,
    )
    quoted = f"'{body}'"
    return quoted.removeprefix("''").removesuffix("''") or "''"


def _refuse_unsupported(guest: Guest, topology: Topology, host: Host) -> None:
    installed = parse_version(host.qemu_version)
    if installed < _OLDEST_QEMU:
        raise PlanError(
            f"Detected old QEMU binary ('{host.qemu_version}', at least 6.0 is required)"
        )
    if guest.machine.version > installed:
        raise PlanError(
            f"Installed QEMU version '{host.qemu_version}' is too old to run machine type"
            f" '{guest.machine.type}+pve{guest.machine.revision}', please upgrade node"
            f" '{host.node}'"
        )
    for attached in topology.disks:
        backing = attached.disk.backing
        if backing is not None and backing.error:
            raise PlanError(backing.error, hint="--storage FILE names the storage.cfg to go by")
    for key, value in guest.settings.items():
        if key in _HANDLED or _PRINTED.fullmatch(key):
            continue
        if _NEUTRAL.get(key) != value:
            raise _unsupported(key, value)
    ostype, machine = guest.settings.get("ostype", ""), guest.settings.get("machine", "")
    if is_windows(ostype) or ostype in {"solaris", "l24"}:
        raise _unsupported("ostype", ostype)
    if guest.vm.chipset != "i440fx" or "," in machine or ".pxe" in machine:
        raise _unsupported("machine", machine)


def _unsupported(key: str, value: str) -> UnsupportedError:
    shown = value if len(value) <= _SHOWN else f"{value[:_SHOWN]}..."
    return UnsupportedError(
        f"vmio cannot print the setting '{key}: {shown}' yet",
        hint="'vmio show' and 'vmio check' read this config nevertheless",
    )


def _render(guest: Guest, topology: Topology, host: Host) -> Iterator[Argument]:
    vmid = guest.vm.id
    installed = parse_version(host.qemu_version)
    yield ("/usr/bin/kvm",)
    yield "-id", vmid
    naming = ",debug-threads=on" if installed < (11, 0) else ""
    yield "-name", f"{guest.vm.name or f'vm{vmid}'}{naming}"
    yield ("-no-shutdown",)
    yield "-chardev", f"socket,id=qmp,path={_RUN}/{vmid}.qmp,server=on,wait=off"
    yield "-mon", "chardev=qmp,mode=control"
    if guest.machine.is_at_least(2, 12):
        reconnect = "reconnect-ms=5000" if installed >= (9, 2) else "reconnect=5"
        yield "-chardev", f"socket,id=qmp-event,path=/var/run/qmeventd.sock,{reconnect}"
        yield "-mon", "chardev=qmp-event,mode=control"
    yield "-pidfile", f"{_RUN}/{vmid}.pid"
    yield ("-daemonize",)
    if "smbios1" in guest.settings:
        yield "-smbios", f"type=1{_render_smbios(guest.settings['smbios1'])}"
    yield "-smp", _render_smp(guest, host)
    yield ("-nodefaults",)
    splash = "splash=/usr/share/qemu-server/bootsplash.jpg"
    yield "-boot", f"menu=on,strict=on,reboot-timeout=1000,{splash}"
    yield "-vnc", f"unix:{_RUN}/{vmid}.vnc,password=on"
    yield "-cpu", "kvm64,enforce,+kvm_pv_eoi,+kvm_pv_unhalt,+lahf_lm,+sep"
    yield "-m", str(guest.vm.memory_mib)
    yield from render_objects(guest, topology)
    if guest.machine.is_at_least(9, 2, 1):
        yield "-global", "PIIX4_PM.disable_s3=1"
        yield "-global", "PIIX4_PM.disable_s4=1"
    yield from _render_devices(guest, topology, host)
    yield from render_drives(guest, topology)
    yield "-machine", _render_machine(guest, topology)


def _render_smbios(text: str) -> str:
    data = text.encode()
    parts = {part.key: part.value for part in split_parts(data, Span(start=0, end=len(data)))}
    encoded = parse_bool(parts.pop("base64", "0"))
    shown = []
    for key, value in sorted(parts.items()):
        plain = value
        if encoded and key != "uuid":
            try:
                plain = b64decode(value, validate=True).decode("utf-8", "replace")
            except ValueError as error:
                raise PlanError(f"smbios1: '{key}' is not base64: {error}") from error
        if plain not in {"", "0"}:
            shown.append(f",{key}={plain.replace(',', ',,')}")
    return "".join(shown)


def _render_smp(guest: Guest, host: Host) -> str:
    sockets = int(guest.settings.get("sockets", guest.settings.get("smp", "1"))) or 1
    cores = int(guest.settings.get("cores", "1")) or 1
    most = sockets * cores
    if most > host.cpu.count:
        raise PlanError(f"MAX {host.cpu.count} vcpus allowed per VM on this node")
    return f"{guest.vm.vcpus},sockets={sockets},cores={cores},maxcpus={most}"


def render_bridges(guest: Guest, topology: Topology) -> Iterator[Argument]:
    """Yields the PCI bridges of an i440fx machine, of which pci.3 needs no disk to be there."""
    used = {c.pci.bus for c in topology.controllers if c.pci is not None}
    bridges = {"pci.1", "pci.2"} | (used & {"pci.4"})
    if guest.vm.scsihw == "virtio-scsi-single":
        bridges.add("pci.3")
    for bridge in sorted(bridges):
        number = bridge.rpartition(".")[2]
        address = render_pci(pci_address(bridge))
        yield "-device", f"pci-bridge,id={bridge},chassis_nr={number}{address}"


def _render_devices(guest: Guest, topology: Topology, host: Host) -> Iterator[Argument]:
    yield from render_bridges(guest, topology)
    if guest.settings.get("vmgenid", "0") != "0":
        yield "-device", f"vmgenid,guid={guest.settings['vmgenid']}"
    yield "-device", "piix3-usb-uhci,id=uhci,bus=pci.0,addr=0x1.0x2"
    if guest.is_on("tablet", default=True):
        yield "-device", "usb-tablet,id=tablet,bus=uhci.0,port=1"
    yield "-device", f"VGA,id=vga{render_pci(pci_address('vga'))}"
    if guest.settings.get("balloon") != "0":
        reporting = ",free-page-reporting=on" if guest.machine.is_at_least(6, 2) else ""
        address = render_pci(pci_address("balloon0"))
        yield "-device", f"virtio-balloon-pci,id=balloon0{address}{reporting}"
    if host.iscsi_initiator:
        yield "-iscsi", f"initiator-name={host.iscsi_initiator}"


def _render_machine(guest: Guest, topology: Topology) -> str:
    features: list[tuple[tuple[int, int], int]] = [((9, 2), 1)]
    if any(a.disk.bus == "scsi" and a.disk.index >= _FIRST_SCSI_BEYOND_14 for a in topology.disks):
        features.append(((4, 1), 2))
    machine = f"type={guest.machine.type}+pve{guest.machine.needed_revision(*features)}"
    linux = guest.settings.get("ostype") == "l26"
    return f"hpet=off,{machine}" if linux and guest.machine.is_at_least(10, 1) else machine
