"""The graphics card, SPICE and VNC, and the clipboard.

Source: qemu-server 9.2.6.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from vmio.errors import PlanError
from vmio.formats.proxmox.argv.context import RUN_FOLDER, Argument, Context, is_on
from vmio.formats.proxmox.machine import WINDOWS_VISTA

__all__ = [
    "Display",
    "check_clipboard",
    "choose_display",
    "render_display",
    "render_qxl_memory",
    "render_spice",
    "render_vga",
]

_DEVICES: Mapping[str, str] = {
    "cirrus": "cirrus-vga",
    "qxl": "qxl-vga",
    "std": "VGA",
    "virtio": "virtio-vga",
    "virtio-gl": "virtio-vga-gl",
    "vmware": "vmware-svga",
}
_DEVICES_ON_ARM: Mapping[str, str] = {"virtio": "virtio-gpu", "virtio-gl": "virtio-gpu-gl"}
"""Machines without VGA: their devices have other names."""
_CLIPBOARD = ("std", "cirrus", "vmware", "virtio", "qxl")
"""The prefixes of display kinds that can share a clipboard with VNC."""
_QXL_RAM, _QXL_VRAM = 128 << 20, 64 << 20
_MIB = 1 << 20


class Display(NamedTuple):
    """The guest's display."""

    kind: str
    """Its name in `vga:`; every kind of qxl is `qxl`."""
    heads: int = 0
    """The number of qxl displays."""
    memory: str = ""
    """The configured number of MiB; empty for the device's default."""
    shares_clipboard: bool = False

    @property
    def has_device(self) -> bool:
        """Whether there is a graphics card."""
        return self.kind in _DEVICES

    @property
    def is_spice(self) -> bool:
        """Whether SPICE serves it."""
        return self.kind == "qxl" or self.kind.startswith("virtio")


def choose_display(ctx: Context) -> Display:
    """Returns the configured display, or Proxmox's default."""
    if ctx.guest.is_on("template"):
        return Display("none")
    vga = ctx.guest.read("vga")
    kind = vga.get("type", "")
    if not kind:
        # Windows before Vista has no driver for a newer one; old machines had it for every guest.
        is_old = ctx.windows or not ctx.guest.machine.is_at_least(2, 9)
        kind = "cirrus" if is_old and ctx.windows < WINDOWS_VISTA else "std"
        if ctx.is_arm:
            kind = "virtio"
    heads = 0
    if kind.startswith("qxl"):
        heads = int(kind.removeprefix("qxl") or "1")
        kind = "qxl"
    return Display(kind, heads, vga.get("memory", ""), vga.get("clipboard") == "vnc")


def check_clipboard(display: Display) -> None:
    """Refuses a shared clipboard with a display that does not support it.

    Raises:
        PlanError: The display is of such a kind.
    """
    if display.shares_clipboard and not display.kind.startswith(_CLIPBOARD):
        raise PlanError(f"vga type {display.kind} is not compatible with VNC clipboard")


def render_display(ctx: Context, display: Display) -> Iterator[Argument]:
    """Yields the display's output."""
    if not display.has_device:
        if display.kind == "none":
            yield "-vga", "none"
        yield ("-nographic",)
        return
    if display.kind == "virtio-gl":
        yield "-display", "egl-headless,gl=core"
    yield "-vnc", f"unix:{RUN_FOLDER}/{ctx.guest.vm.id}.vnc,password=on"


def render_qxl_memory(ctx: Context, display: Display) -> Iterator[Argument]:
    """Yields the memory of several displays on one card; Windows has several cards instead."""
    if display.heads <= 1 or ctx.windows:
        return
    ram, vram = _QXL_RAM, _QXL_VRAM
    if display.memory:
        ram = display.heads * 4 * int(display.memory) * _MIB
        vram = display.heads * 2 * int(display.memory) * _MIB
    yield "-global", f"qxl-vga.ram_size={ram}"
    yield "-global", f"qxl-vga.vram_size={vram}"


def render_vga(ctx: Context, display: Display) -> Iterator[Argument]:
    """Yields the graphics card."""
    if not display.has_device:
        return
    device = _DEVICES[display.kind]
    if ctx.is_arm:
        device = _DEVICES_ON_ARM.get(display.kind, device)
    text = f"{device},id=vga{_render_memory(display)}"
    is_linux = ctx.ostype in {"", "other", "l24", "l26"}
    if display.kind == "qxl" and is_linux and ctx.guest.machine.is_at_least(4, 1):
        text += ",max_outputs=4"
    text += ",bus=pcie.0,addr=0x1" if ctx.is_q35 else ctx.pci("vga")
    if display.kind == "std" and ctx.windows and ctx.guest.settings.get("bios") != "ovmf":
        text += ",edid=off"
    yield "-device", text


def _render_memory(display: Display, *, extra: bool = False) -> str:
    if not display.memory:
        return ",ram_size=67108864,vram_size=33554432" if extra else ""
    memory_mib = int(display.memory)
    if display.kind == "qxl":
        rest = f",ram_size_mb={memory_mib * 4},vram_size_mb={memory_mib * 2}"
        return f",vgamem_mb={display.memory}{rest}"
    if display.kind.startswith("virtio"):
        return f",max_hostmem={memory_mib * _MIB}"
    return f",vgamem_mb={display.memory}"


def render_spice(ctx: Context, display: Display) -> Iterator[Argument]:
    """Yields SPICE and the clipboard's devices; Windows gets a card for each further display."""
    if not display.is_spice and not display.shares_clipboard:
        return
    if ctx.windows:
        for number in range(1, display.heads):
            memory = _render_memory(display, extra=True)
            yield "-device", f"qxl,id=vga{number}{memory}{ctx.pci(f'vga{number}')}"
    yield "-device", f"virtio-serial,id=spice{ctx.pci('spice')}"
    if display.shares_clipboard:
        yield "-chardev", "qemu-vdagent,id=vdagent,name=vdagent,clipboard=on"
    else:
        yield "-chardev", "spicevmc,id=vdagent,name=vdagent"
    yield "-device", "virtserialport,chardev=vdagent,name=com.redhat.spice.0"
    if not display.is_spice:
        return
    enhancements = ctx.guest.read("spice_enhancements")
    if is_on(enhancements.get("foldersharing")):
        port = "org.spice-space.webdav.0"
        yield "-chardev", f"spiceport,id=foldershare,name={port}"
        yield "-device", f"virtserialport,chardev=foldershare,name={port}"
    text = f"tls-port={ctx.host.spice_port},addr=127.0.0.1,tls-ciphers=HIGH,seamless-migration=on"
    if "videostreaming" in enhancements:
        text += f",streaming-video={enhancements['videostreaming']}"
    yield "-spice", text
