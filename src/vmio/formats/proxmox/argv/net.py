"""The network devices.

Source: qemu-server 9.2.6.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from vmio.errors import PlanError, UnsupportedError
from vmio.formats.proxmox.argv.context import Argument, Context, is_on
from vmio.formats.proxmox.perl import is_true
from vmio.formats.proxmox.properties import Properties

__all__ = ["count_nets", "render_nets"]

_DEFAULT_MTU = 1500
_LEAST_MTU = 576
_SCRIPTS = "/usr/libexec/qemu-server"
_ROMS: Mapping[str, str] = {
    "e1000": "pxe-e1000.rom",
    "e1000e": "pxe-e1000e.rom",
    "pcnet": "pxe-pcnet.rom",
    "rtl8139": "pxe-rtl8139.rom",
    "virtio": "pxe-virtio.rom",
}
"""The boot ROMs of `.pxe` machines and of machines before 2.4."""


def _list_nets(ctx: Context) -> list[str]:
    # No other setting of Proxmox has this prefix.
    keys = [key for key in ctx.guest.settings if key.startswith("net")]
    return sorted(keys, key=lambda key: int(key.removeprefix("net")))


def count_nets(ctx: Context) -> int:
    """Returns how many network devices the guest has."""
    return len(_list_nets(ctx))


def render_nets(ctx: Context) -> Iterator[Argument]:
    """Yields each device after its backend.

    Raises:
        PlanError: Proxmox would refuse it.
    """
    for key in _list_nets(ctx):
        net = ctx.guest.read(key)
        yield "-netdev", _render_netdev(ctx, key, net)
        yield "-device", _render_device(ctx, key, net)


def _render_netdev(ctx: Context, key: str, net: Properties) -> str:
    vm = ctx.guest.vm
    if "bridge" in net:
        name = f"tap{vm.id}i{key.removeprefix('net')}"
        text = (
            f"type=tap,id={key},ifname={name},script={_SCRIPTS}/pve-bridge,"
            f"downscript={_SCRIPTS}/pve-bridgedown"
        )
        if net["model"] == "virtio" and ctx.is_native and ctx.host.vhost_net:
            text += ",vhost=on"
    else:
        text = f"type=user,id={key},hostname={ctx.vm_name}"
    queues = net.get("queues")
    if net["model"] == "virtio" and is_true(queues):
        text += f",queues={queues}"
    return text


def _render_device(ctx: Context, key: str, net: Properties) -> str:
    machine, model = ctx.guest.machine, net["model"]
    if "macaddr" not in net:
        raise UnsupportedError(
            f"{key} has no MAC address, so Proxmox VE would make one up at every start",
            hint=f"write one, as in '{key}: {model}=BC:24:11:00:00:01'",
        )
    is_virtio = model == "virtio"
    device = "virtio-net-pci" if is_virtio else model
    parts = [f"{device},mac={net['macaddr']},netdev={key}{ctx.pci(key)},id={key}"]
    queues = int(net.get("queues", "0"))
    if is_virtio and queues > 1:
        parts.append(f"vectors={queues * 2 + 2},mq=on")
        if machine.is_at_least(7, 1):
            parts.append("packed=on")
    if is_virtio and machine.is_at_least(7, 1):
        parts.append("rx_queue_size=1024,tx_queue_size=256")
    if key in ctx.guest.bootindex:
        parts.append(f"bootindex={ctx.guest.bootindex[key]}")
    mtu = _choose_mtu(ctx, key, net)
    if mtu:
        parts.append(f"host_mtu={mtu}")
    if (machine.is_pxe or not machine.is_at_least(2, 4)) and model in _ROMS:
        parts.append(f"romfile={_ROMS[model]}")
    if is_virtio and machine.is_at_least(11, 0, 1) and not is_on(net.get("host-tunnel")):
        parts.append("host_tunnel=off")
    return ",".join(parts)


def _read_running_mtu(ctx: Context, key: str) -> int | None:
    """Returns the MTU that a snapshot's guest had, 0 for none; None if it is not recorded."""
    if ctx.guest.snapshot is None:
        return None
    kept = ctx.guest.settings.get("running-nets-host-mtu", "")
    match = re.search(rf"(?:^|,)\s*{key}=(\d{{1,5}})(?![\d])", kept, re.ASCII)
    return int(match[1]) if match else None


def _choose_mtu(ctx: Context, key: str, net: Properties) -> str:
    """Returns the MTU for the guest, in its configured form; empty for none.

    Raises:
        PlanError: The network does not support this MTU.
    """
    text = net.get("mtu")
    written = int(text) if text is not None else None
    running = _read_running_mtu(ctx, key)
    always = ctx.guest.machine.is_at_least(10, 0, 1)
    if net["model"] != "virtio" or "bridge" not in net or running == 0:
        why = "not using VirtIO" if "bridge" in net else "no bridge configured"
        if running == 0:
            why = "not used on the source side according to migration parameters"
        if written is not None and (running != 0 or always or written != _DEFAULT_MTU):
            ctx.warnings.append(f"WARN: netdev {key}: ignoring MTU '{text}', {why}")
        return ""
    bridge_mtu = ctx.host.bridges.get(net["bridge"], _DEFAULT_MTU)
    wanted = running or written or 1
    mtu = bridge_mtu if wanted == 1 else wanted
    # A number keeps its text, with a plus or leading zeroes.
    used = text if text is not None and not running and wanted != 1 else str(mtu)
    if mtu < _LEAST_MTU and wanted != 1:
        raise PlanError(
            f"netdev {key}: MTU '{used}' is smaller than the IP minimum MTU '{_LEAST_MTU}'"
        )
    if mtu > bridge_mtu:
        raise PlanError(
            f"netdev {key}: MTU '{used}' is bigger than the bridge MTU '{bridge_mtu}' - adjust the"
            " MTU for the network device in the VM configuration, while ensuring that the bridge"
            " is configured as desired."
        )
    return used if always or running or mtu != _DEFAULT_MTU else ""
