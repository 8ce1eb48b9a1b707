"""USB: its controllers, the tablet and the keyboard, and devices passed through.

Source: qemu-server 9.2.6.
"""

from __future__ import annotations

from collections.abc import Iterator

from vmio.errors import PlanError
from vmio.formats.proxmox.argv.context import Argument, Context, is_on
from vmio.formats.proxmox.argv.display import Display
from vmio.formats.proxmox.machine import WINDOWS_8
from vmio.formats.proxmox.properties import Properties

__all__ = ["render_usb_controllers", "render_usb_devices", "render_usb_input"]

_KEYS = tuple(f"usb{index}" for index in range(14))
_MAX_OLD_DEVICES = 5


def _has_new_controller(ctx: Context) -> bool:
    """Returns whether one controller serves every device, for which guests need its driver."""
    knows = ctx.windows >= WINDOWS_8 or ctx.ostype == "l26"
    return knows and ctx.guest.machine.is_at_least(7, 1)


def _list_devices(ctx: Context) -> list[tuple[int, Properties]]:
    return [
        (index, ctx.guest.read(key))
        for index, key in enumerate(_KEYS)
        if key in ctx.guest.settings
    ]


def render_usb_controllers(ctx: Context) -> Iterator[Argument]:
    """Yields the controllers of the guest's USB devices that no `-readconfig` defines.

    Raises:
        PlanError: There are more devices than the machine's controllers support.
    """
    devices, is_new = _list_devices(ctx), _has_new_controller(ctx)
    for index, _ in devices:
        if index >= _MAX_OLD_DEVICES and not is_new:
            raise PlanError(
                f"using usb{index} is only possible with machine type >= 7.1 and ostype l26 or"
                " windows > 7"
            )
    has_usb3 = any(is_on(device.get("usb3")) for _, device in devices)
    has_usb2 = any(not is_on(device.get("usb3")) for _, device in devices)
    if ctx.is_arm:
        yield "-device", f"usb-ehci,id=ehci{ctx.pci('ehci')}"
    elif not ctx.is_q35:
        yield "-device", f"piix3-usb-uhci,id=uhci{ctx.pci('piix3')}.0x2"
        if has_usb2 and not is_new:
            yield "-readconfig", "/usr/share/qemu-server/pve-usb.cfg"
    if is_new and devices:
        yield "-device", f"qemu-xhci,p2=15,p3=15,id=xhci{ctx.pci('xhci')}"
    elif has_usb3:
        yield "-device", f"nec-usb-xhci,id=xhci{ctx.pci('xhci')}"


def render_usb_input(ctx: Context, display: Display) -> Iterator[Argument]:
    """Yields the tablet, which VNC needs for its pointer, and Arm's keyboard."""
    needed = display.kind != "qxl" and not display.kind.startswith("serial")
    bus = "ehci.0" if ctx.is_q35 or ctx.is_arm else "uhci.0"
    if ctx.guest.is_on("tablet", default=needed):
        yield "-device", f"usb-tablet,id=tablet,bus={bus},port=1"
        if ctx.is_arm:
            yield "-device", f"usb-kbd,id=keyboard,bus={bus},port=2"


def render_usb_devices(ctx: Context) -> Iterator[Argument]:
    """Yields the devices of the host and the sockets for those of a SPICE client.

    Raises:
        PlanError: A name does not refer to a device of this host.
    """
    is_new = _has_new_controller(ctx)
    for index, device in _list_devices(ctx):
        usb3 = is_on(device.get("usb3"))
        port = f",port={index + 1}" if is_new else ""
        if device.get("host") == "spice":
            bus = "xhci" if is_new or (usb3 and ctx.guest.machine.is_at_least(4, 0)) else "ehci"
            name = f"usbredirchardev{index}"
            yield "-chardev", f"spicevmc,id={name},name=usbredir"
            yield "-device", f"usb-redir,chardev={name},id=usbredirdev{index},bus={bus}.0{port}"
            if f"usb{index}" in ctx.guest.bootindex:
                ctx.warnings.append("warning: spice usb port set as bootdevice, ignoring")
            continue
        text = "usb-host"
        if is_new or usb3:
            text += f",bus=xhci.0{port}"
        text += f"{_render_host_device(ctx, device)},id=usb{index}"
        if f"usb{index}" in ctx.guest.bootindex:
            text += f",bootindex={ctx.guest.bootindex[f'usb{index}']}"
        yield "-device", text


def _render_host_device(ctx: Context, device: Properties) -> str:
    host = device.get("host", "")
    if "mapping" in device:
        if host:
            raise PlanError("no usb id or path given")
        name = device["mapping"]
        host = ctx.host.usb.mappings.get(name, "")
        if not host:
            raise PlanError(f"USB device mapping not found for '{name}'")
    if ":" in host:
        vendor, product = (part.removeprefix("0x") for part in host.split(":", 1))
        return f",vendorid=0x{vendor},productid=0x{product}"
    bus, dash, port = host.partition("-")
    if not dash:
        raise PlanError("no usb id or path given")
    return f",hostbus={bus},hostport={port}"
