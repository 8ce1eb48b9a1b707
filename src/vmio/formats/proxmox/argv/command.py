"""The whole command line that Proxmox VE would run, in its order.

A setting that vmio cannot print yet is refused by name, never left out.

Source: qemu-server 9.2.6.
"""

from __future__ import annotations

import shlex
from base64 import b64decode
from collections.abc import Iterator

from vmio.errors import PlanError, UnsupportedError
from vmio.formats.base import CommandLine
from vmio.formats.proxmox.argv.context import RUN_FOLDER, Argument, Context, is_on
from vmio.formats.proxmox.argv.cpu import render_cpu, render_smp
from vmio.formats.proxmox.argv.devices import (
    render_agent,
    render_audio,
    render_balloon,
    render_ivshmem,
    render_ports,
    render_rng,
    render_sev,
    render_virtiofs,
    render_vmgenid,
    render_watchdog,
)
from vmio.formats.proxmox.argv.display import (
    Display,
    check_clipboard,
    choose_display,
    render_display,
    render_qxl_memory,
    render_spice,
    render_vga,
)
from vmio.formats.proxmox.argv.drives import render_bridges, render_drives, render_objects
from vmio.formats.proxmox.argv.firmware import render_firmware, render_tpm
from vmio.formats.proxmox.argv.hostpci import find_passed_gpu, render_hostpci
from vmio.formats.proxmox.argv.machine import (
    check_iommu,
    check_machine,
    render_chipset,
    render_hotplug_fix,
    render_iommu,
    render_machine,
    render_rtc,
    render_suspend,
)
from vmio.formats.proxmox.argv.memory import render_memory
from vmio.formats.proxmox.argv.net import render_nets
from vmio.formats.proxmox.argv.usb import (
    render_usb_controllers,
    render_usb_devices,
    render_usb_input,
)
from vmio.formats.proxmox.layout import lay_out_config
from vmio.formats.proxmox.machine import WINDOWS_VISTA
from vmio.formats.proxmox.problems import OF_QEMU, list_host_dependent
from vmio.formats.proxmox.reader import ProxmoxGuest
from vmio.model.disk import Backing
from vmio.model.host import Host
from vmio.model.topology import Topology

__all__ = ["build_command"]

_UNSUPPORTED = ("intel-tdx",)
_SHOWN = 60
_VOLUME_LISTS = ("efidisk0", "tpmstate0")
"""Settings with a volume among other options."""


def build_command(guest: ProxmoxGuest, host: Host) -> CommandLine:
    """Returns the command that Proxmox would run.

    Raises:
        UnsupportedError: The config uses something that vmio cannot print yet.
        PlanError: Proxmox itself would refuse it.
    """
    # The options of `args` follow all that Proxmox writes, and change none of it.
    topology = lay_out_config(guest, with_args=False)
    ctx = Context(guest=guest, topology=topology, host=host)
    _refuse(ctx)
    argv = tuple(_render(ctx))
    warnings = (
        *_warn_of_problems(guest),
        *ctx.warnings,
        *_warn_of_iothreads(topology),
        *list_host_dependent(guest.vm),
    )
    return CommandLine(argv=argv, warnings=warnings)


def _warn_of_problems(guest: ProxmoxGuest) -> Iterator[str]:
    for problem in guest.vm.problems:
        if problem.kind in OF_QEMU:
            continue
        if problem.kind != "drive-dropped":
            yield f"vm {guest.vm.id} - {problem.message}"
        elif " requires " in problem.message or problem.message.startswith("both "):
            # Proxmox does not report the other drives that it leaves out.
            yield problem.message


def _warn_of_iothreads(topology: Topology) -> Iterator[str]:
    for attached in topology.disks:
        effect = attached.find_effect("iothread")
        if effect is not None and effect.verdict == "ignored":
            yield (
                "WARN: iothread is only valid with virtio disk or virtio-scsi-single controller,"
                " ignoring"
            )


def _refuse(ctx: Context) -> None:
    check_machine(ctx)
    guest = ctx.guest
    for key in _UNSUPPORTED:
        if key in guest.settings:
            value = guest.settings[key]
            shown = value if len(value) <= _SHOWN else f"{value[:_SHOWN]}..."
            raise UnsupportedError(
                f"vmio cannot print the setting '{key}: {shown}' yet",
                hint="'vmio show' and 'vmio check' read this config nevertheless",
            )
    for volume, backing in _list_volumes(ctx):
        # Proxmox looks for each volume before it begins; it reports other faults in its own order.
        is_missing = backing.filename == volume and not volume.startswith("/")
        if backing.error and is_missing:
            raise PlanError(backing.error, hint="--storage FILE names the storage.cfg to use")


def _list_volumes(ctx: Context) -> Iterator[tuple[str, Backing]]:
    """Yields what the config opens, each with its configured name."""
    for attached in ctx.topology.disks:
        if attached.disk.backing is not None:
            yield attached.disk.volume, attached.disk.backing
    for key, backing in ctx.guest.volumes.items():
        written = ctx.guest.settings[key]
        yield ctx.guest.read(key)["file"] if key in _VOLUME_LISTS else written, backing


def _render(ctx: Context) -> Iterator[Argument]:
    """Yields the command in its order, after its parts were built in Proxmox's order.

    Of several faults, Proxmox reports the first that it finds.
    """
    guest, settings = ctx.guest, ctx.guest.settings
    display = choose_display(ctx)
    is_gpu_passed = find_passed_gpu(ctx)
    # The tablet depends on the configured display, the picture on the actual one.
    shown = Display("none") if is_gpu_passed and "vga" not in settings else display
    firmware = (*render_firmware(ctx), *render_hotplug_fix(ctx))
    inputs = (
        *render_vmgenid(ctx),
        *render_usb_controllers(ctx),
        *render_usb_input(ctx, display),
        *render_hostpci(ctx),
        *render_usb_devices(ctx),
    )
    processors = tuple(render_smp(ctx))
    model = render_cpu(ctx, is_gpu_passed=is_gpu_passed)
    memory = tuple(render_memory(ctx))
    check_clipboard(display)
    drives_and_nets = (*render_drives(guest, ctx.topology), *render_nets(ctx))
    check_iommu(ctx)
    shared = (*render_sev(ctx), *render_virtiofs(ctx))
    yield from _render_program(ctx)
    yield from firmware
    yield from processors
    yield ("-nodefaults",)
    splash = "splash=/usr/share/qemu-server/bootsplash.jpg"
    yield "-boot", f"menu=on,strict=on,reboot-timeout=1000,{splash}"
    if not guest.is_on("reboot", default=True):
        yield ("-no-reboot",)
    yield from render_display(ctx, shown)
    if ctx.windows >= WINDOWS_VISTA:
        yield "-global", "kvm-pit.lost_tick_policy=discard"
    yield model
    yield from memory
    if guest.is_on("freeze"):
        yield ("-S",)
    if "keyboard" in settings:
        yield "-k", settings["keyboard"]
    yield from render_qxl_memory(ctx, shown)
    yield from render_objects(guest, ctx.topology)
    yield from render_suspend(ctx)
    yield from render_iommu(ctx, "intel")
    yield from _render_buses(ctx)
    yield from inputs
    yield from _render_small_devices(ctx, shown)
    yield from drives_and_nets
    yield from render_ivshmem(ctx)
    yield from render_iommu(ctx, "virtio")
    yield from shared
    yield from render_rtc(ctx)
    yield render_machine(ctx, shown)
    if "vmstate" in guest.volumes:
        ctx.warnings.append(f"activating and using '{settings['vmstate']}' as vmstate")
        yield "-loadstate", guest.volumes["vmstate"].filename
    if guest.is_on("template"):
        yield ("-snapshot",)
    yield from _split_args(ctx.written("args"))


def _render_program(ctx: Context) -> Iterator[Argument]:
    guest, vmid = ctx.guest, ctx.guest.vm.id
    cpus = ctx.written("affinity")
    if cpus:
        yield "/usr/bin/taskset", "--cpu-list", "--all-tasks", cpus
    yield (f"/usr/bin/{'kvm' if ctx.is_native else f'qemu-system-{guest.vm.arch}'}",)
    yield "-id", vmid
    naming = ",debug-threads=on" if ctx.installed < (11, 0) else ""
    yield "-name", f"{ctx.vm_name}{naming}"
    yield ("-no-shutdown",)
    yield "-chardev", f"socket,id=qmp,path={RUN_FOLDER}/{vmid}.qmp,server=on,wait=off"
    yield "-mon", "chardev=qmp,mode=control"
    if guest.machine.is_at_least(2, 12):
        reconnect = "reconnect-ms=5000" if ctx.installed >= (9, 2) else "reconnect=5"
        yield "-chardev", f"socket,id=qmp-event,path=/var/run/qmeventd.sock,{reconnect}"
        yield "-mon", "chardev=qmp-event,mode=control"
    yield "-pidfile", f"{RUN_FOLDER}/{vmid}.pid"
    yield ("-daemonize",)
    if "smbios1" in guest.settings:
        yield "-smbios", f"type=1{_render_smbios(ctx)}"


def _render_smbios(ctx: Context) -> str:
    parts = dict(ctx.guest.read("smbios1"))
    encoded = is_on(parts.pop("base64", None))
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


def _render_buses(ctx: Context) -> Iterator[Argument]:
    bridges = render_bridges(ctx.guest, ctx.topology)
    if ctx.is_q35:
        yield from render_chipset(ctx)
        yield from (bridge for bridge in bridges if "id=pci.4," in bridge[1])
    else:
        yield from bridges


def _render_small_devices(ctx: Context, shown: Display) -> Iterator[Argument]:
    yield from render_ports(ctx)
    yield from render_audio(ctx)
    yield from render_tpm(ctx)
    yield from render_vga(ctx, shown)
    yield from render_agent(ctx)
    yield from render_rng(ctx)
    yield from render_spice(ctx, shown)
    yield from render_balloon(ctx)
    yield from render_watchdog(ctx)
    if ctx.host.iscsi_initiator:
        yield "-iscsi", f"initiator-name={ctx.host.iscsi_initiator}"


def _split_args(text: str) -> Iterator[Argument]:
    try:
        words = shlex.split(text)
    except ValueError:
        return  # the reader has reported it; Proxmox adds no option for it
    if words:
        yield tuple(words)
