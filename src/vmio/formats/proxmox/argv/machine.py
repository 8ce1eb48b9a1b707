"""The machine: its version, its flags, its clock and its IOMMU.

Source: qemu-server 9.2.6.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from vmio.errors import PlanError, UnsupportedError
from vmio.formats.proxmox.argv.context import Argument, Context, is_on
from vmio.formats.proxmox.argv.cpu import has_evmcs
from vmio.formats.proxmox.argv.devices import has_rng
from vmio.formats.proxmox.argv.display import Display
from vmio.formats.proxmox.argv.drives import is_beyond_14
from vmio.formats.proxmox.argv.firmware import has_flash_size, has_pflash
from vmio.formats.proxmox.argv.memory import VIRTIOFS_MEMORY
from vmio.formats.proxmox.argv.net import count_nets
from vmio.formats.proxmox.machine import (
    WINDOWS_VISTA,
    WINDOWS_XP,
    newest_revision,
    parse_series,
)

__all__ = [
    "check_iommu",
    "check_machine",
    "render_chipset",
    "render_hotplug_fix",
    "render_iommu",
    "render_machine",
    "render_rtc",
    "render_suspend",
]

_OLDEST_QEMU = (6, 0)
_ARCHITECTURES = frozenset({"x86_64", "aarch64"})
_FIXED_SINCE = (6, 1)
_INTEL_AW_BITS = (39, 48)


def check_machine(ctx: Context) -> None:
    """Refuses a machine that the installed QEMU, or Proxmox itself, cannot run.

    Raises:
        PlanError: It cannot be run.
        UnsupportedError: vmio does not know the architecture.
    """
    guest, host, machine = ctx.guest, ctx.host, ctx.guest.machine
    if guest.vm.arch not in _ARCHITECTURES:
        raise UnsupportedError(f"vmio cannot print the setting 'arch: {guest.vm.arch}' yet")
    if ctx.installed < _OLDEST_QEMU:
        raise PlanError(
            f"Detected old QEMU binary ('{host.qemu_version or ''}', at least 6.0 is required)"
        )
    shown, upgrade = f"{machine.type}+pve{machine.revision}", f"please upgrade node '{host.node}'"
    is_candidate = host.qemu_version is not None and host.qemu_version.is_candidate
    if is_candidate:
        ctx.warnings.append(
            f"warning: Installed QEMU version ({host.qemu_version}) is a release candidate,"
            " ignoring version checks"
        )
    if machine.version > ctx.installed and not is_candidate:
        raise PlanError(
            f"Installed QEMU version '{host.qemu_version}' is too old to run machine type"
            f" '{shown}', {upgrade}"
        )
    newest = newest_revision(machine.version)
    if machine.revision > newest and not is_candidate:
        version = f"{machine.version[0]}.{machine.version[1]}"
        raise PlanError(
            f"Installed qemu-server (max feature level for {version} is pve{newest}) is too old"
            f" to run machine type '{shown}', {upgrade}"
        )


def check_iommu(ctx: Context) -> None:
    """Refuses an IOMMU that the machine does not have, or not with that address width.

    Raises:
        PlanError: It is such an IOMMU.
    """
    options = ctx.guest.read("machine")
    kind, bits = options.get("viommu"), options.get("aw-bits")
    if kind == "intel" and not ctx.is_q35:
        raise PlanError("to use Intel vIOMMU please set the machine type to q35")
    if kind == "intel" and bits is not None and float(bits) not in _INTEL_AW_BITS:
        raise PlanError("Intel vIOMMU supports only 39 or 48 bits as address width")
    if bits is not None and kind is None:
        raise PlanError("cannot set aw-bits if no vIOMMU is configured")
    if bits is not None:
        ctx.warnings.append(
            f"vIOMMU 'aw-bits' set to {bits}. Sometimes it is necessary to set the CPU's"
            " 'guest-phys-bits' to the same value."
        )


def render_hotplug_fix(ctx: Context) -> Iterator[Argument]:
    """Yields options that keep the names of network devices, for guests created before 6.1.

    The names changed only for guests whose config gives the machine no version, and for a
    snapshot's guest that was running on a later version.
    """
    is_old = (
        ctx.is_q35
        and ctx.ostype == "l26"
        and not ctx.guest.machine.is_versioned
        and _creation_version(ctx) < _FIXED_SINCE
        and min(ctx.guest.machine.version, ctx.installed) >= _FIXED_SINCE
    )
    if is_old:
        yield "-global", "ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off"


def _creation_version(ctx: Context) -> tuple[int, int]:
    match = re.search(r"creation-qemu=([\d.]+)", ctx.guest.settings.get("meta", ""), re.ASCII)
    return parse_series(match[1]) if match else (0, 0)


def render_suspend(ctx: Context) -> Iterator[Argument]:
    """Yields the sleep states that the guest does not get; an old machine has them all."""
    if ctx.guest.vm.chipset == "virt":
        return
    is_offered = not ctx.guest.machine.is_at_least(9, 2, 1)
    device = "ICH9-LPC" if ctx.is_q35 else "PIIX4_PM"
    options = ctx.guest.read("machine")
    for state in ("s3", "s4"):
        if not is_on(options.get(f"enable-{state}"), default=is_offered):
            yield "-global", f"{device}.disable_{state}=1"


def render_iommu(ctx: Context, kind: str) -> Iterator[Argument]:
    """Yields the IOMMU that the guest sees, if it is of that kind."""
    options = ctx.guest.read("machine")
    if options.get("viommu") != kind:
        return
    bits = f",aw-bits={options['aw-bits']}" if "aw-bits" in options else ""
    device = {
        "intel": "intel-iommu,intremap=on,caching-mode=on",
        "virtio": "virtio-iommu-pci",
    }[kind]
    yield "-device", f"{device}{bits}"


def render_chipset(ctx: Context) -> Iterator[Argument]:
    """Yields the file with a q35 machine's ports and bridges."""
    name = "pve-q35-4.0.cfg" if ctx.guest.machine.is_at_least(4, 0) else "pve-q35.cfg"
    yield "-readconfig", f"/usr/share/qemu-server/{name}"


def render_rtc(ctx: Context) -> Iterator[Argument]:
    """Yields the clock, which Windows expects in local time and with lost ticks caught up."""
    settings, parts = ctx.guest.settings, []
    local = ctx.guest.is_on("localtime", default=ctx.windows >= WINDOWS_XP)
    catches_up = ctx.windows >= WINDOWS_XP and ctx.guest.is_on("acpi", default=True)
    if ctx.guest.is_on("tdf", default=catches_up):
        parts.append("driftfix=slew")
    date = settings.get("startdate", "now")
    if date != "now":
        parts.append(f"base={date}")
    elif local:
        parts.append("base=localtime")
    if parts:
        yield "-rtc", ",".join(parts)


def render_machine(ctx: Context, display: Display) -> Argument:
    """Returns the machine's flags and its type."""
    guest, machine, parts = ctx.guest, ctx.guest.machine, []
    if has_pflash(ctx):
        parts.append("pflash0=pflash0,pflash1=drive-efidisk0")
    if not guest.is_on("acpi", default=True):
        parts.append("acpi=off")
    if _drops_hpet(ctx):
        parts.append("hpet=off")
    if ctx.shares_folders and not guest.is_on("numa"):
        parts.append(f"memory-backend={VIRTIOFS_MEMORY}")
    if not ctx.kvm:
        parts.append("accel=tcg")
    uses_bios = guest.settings.get("bios", "seabios") == "seabios"
    if uses_bios and guest.vm.chipset != "virt" and not display.has_device:
        parts.append("smm=off")
    parts.append(f"type={machine.type}+pve{_needed_revision(ctx)}")
    if guest.read("machine").get("viommu") == "intel":
        parts.append("kernel-irqchip=split")
    if "amd-sev" in guest.settings:
        parts.append("confidential-guest-support=sev0")
    if not guest.is_on("allow-ksm", default=True):
        parts.append("mem-merge=off")
    return "-machine", ",".join(parts)


def _drops_hpet(ctx: Context) -> bool:
    """Returns whether the old timer is switched off for the guest."""
    if ctx.guest.vm.chipset == "virt":
        return False
    linux = ctx.ostype == "l26" and ctx.guest.machine.is_at_least(10, 1)
    return linux or ctx.windows >= WINDOWS_VISTA


def _needed_revision(ctx: Context) -> int:
    features: list[tuple[tuple[int, int], int]] = []
    if ctx.guest.vm.chipset != "virt":
        features.append(((9, 2), 1))
    beyond = any(is_beyond_14(attached.disk) for attached in ctx.topology.disks)
    if beyond or has_rng(ctx) or has_flash_size(ctx):
        features.append(((4, 1), 2))
    if count_nets(ctx):
        features.append(((10, 0), 1))
    if has_evmcs(ctx):
        features.append(((11, 0), 2))
    return ctx.guest.machine.needed_revision(*features)
