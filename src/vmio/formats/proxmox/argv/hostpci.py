"""PCI devices of the host, passed through.

Source: qemu-server 9.2.6.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from vmio.errors import PlanError
from vmio.formats.proxmox.argv.context import Argument, Context, is_on
from vmio.formats.proxmox.machine import WINDOWS_7
from vmio.formats.proxmox.properties import Properties

__all__ = ["find_passed_gpu", "render_hostpci"]

_KEYS = tuple(f"hostpci{number}" for number in range(16))
_PORTS_AT_HAND = 4
"""The number of PCI Express ports in the file with a q35 machine's devices."""
_OVERRIDES = ("vendor-id", "device-id", "sub-vendor-id", "sub-device-id")
_WIN7_SLOTS = (*range(0x10, 0x14), *range(9, 16), *range(21, 26))
"""Windows 7 needs its devices on the root bus itself."""


class _Device(NamedTuple):
    """A `hostpciN` line and the host's devices that it may refer to."""

    number: int
    options: Properties
    choices: list[list[str]]
    """Devices to choose from, each as its functions."""

    @property
    def is_mediated(self) -> bool:
        """Whether it is a part of a device that others may share."""
        return self.options.get("mdev", "0") != "0"

    @property
    def is_multifunction(self) -> bool:
        """Whether one of the devices to choose from has several functions."""
        return any(len(functions) > 1 for functions in self.choices)

    def is_set(self, option: str) -> bool:
        return is_on(self.options.get(option))


def _read_options(ctx: Context) -> Iterator[tuple[int, Properties]]:
    for number, key in enumerate(_KEYS):
        if key in ctx.guest.settings:
            yield number, ctx.guest.read(key)


def find_passed_gpu(ctx: Context) -> bool:
    """Returns whether a graphics card of the host becomes the guest's first."""
    return any(is_on(options.get("x-vga")) for _, options in _read_options(ctx))


def _read_devices(ctx: Context) -> list[_Device]:
    """Returns the lines with the devices that each may refer to.

    Raises:
        PlanError: Proxmox would refuse a line by itself.
    """
    devices: list[_Device] = []
    for number, options in _read_options(ctx):
        device = _Device(number, options, _find_choices(ctx, options))
        if device.is_mediated and device.is_multifunction:
            raise PlanError("cannot use mediated device with multifunction device")
        if device.is_set("pcie") and not ctx.is_q35:
            raise PlanError("q35 machine model is not enabled")
        if device.is_set("legacy-igd"):
            if any(other.is_set("legacy-igd") for other in devices):
                raise PlanError("only one device can be assigned in legacy-igd mode")
            _check_legacy_igd(ctx, device)
        devices.append(device)
    return devices


def _find_choices(ctx: Context, options: Properties) -> list[list[str]]:
    """Returns the functions of the host's device, or of each device of a cluster's mapping."""
    if "host" in options and "mapping" in options:
        raise PlanError("Cannot set both 'host' and 'mapping'.")
    if "mapping" in options:
        mapping = ctx.host.pci.mappings.get(options["mapping"])
        if mapping is None or not mapping.functions:
            raise PlanError(f"PCI device mapping not found for '{options['mapping']}'")
        entries = mapping.functions
    elif "host" in options:
        entries = (options["host"],)
    else:
        raise PlanError("Either 'host' or 'mapping' must be set.")
    return [_find_all(ctx, entry) for entry in entries]


def _choose_functions(device: _Device, used: set[str]) -> list[str]:
    """Returns the functions that a line gets: the first free choice, if it has several.

    Raises:
        PlanError: Other lines have its only choice, or all of its choices.
    """
    if device.is_mediated:
        return [device.choices[0][0]]
    choices = device.choices
    if len(choices) > 1:
        choices = [functions for functions in choices if used.isdisjoint(functions)]
    if not choices:
        raise PlanError(f"could not find a free device for 'hostpci{device.number}'")
    for name in choices[0]:
        if name in used:
            raise PlanError(f"device '{name}' assigned more than once")
        used.add(name)
    return choices[0]


def _find_all(ctx: Context, text: str) -> list[str]:
    return [name for part in text.split(";") for name in _find(ctx, part)]


def _find(ctx: Context, text: str) -> list[str]:
    """Returns the functions of an address: itself, or all functions of its slot."""
    full = text.lower() if text.count(":") > 1 else f"0000:{text.lower()}"
    known = ctx.host.pci.functions
    if "." in full:
        found = [full] if not known or full in known else []
    else:
        found = sorted(name for name in known if name.rpartition(".")[0] == full)
    if not found:
        raise PlanError(
            f"no PCI device found for '{text}'",
            hint="the host description lists the functions under [pci]",
        )
    return found


def render_hostpci(ctx: Context) -> Iterator[Argument]:
    """Yields the devices, and the PCI Express ports that the machine does not have.

    Raises:
        PlanError: Proxmox would refuse one.
    """
    devices, used = _read_devices(ctx), set[str]()
    chosen = [(device, _choose_functions(device, used)) for device in devices]
    for device, functions in chosen:
        is_far = device.is_set("pcie") and device.number >= _PORTS_AT_HAND
        if is_far and ctx.windows != WINDOWS_7:
            yield "-device", _render_root_port(device.number)
        yield from _render_functions(ctx, device, functions)


def _check_legacy_igd(ctx: Context, device: _Device) -> None:
    wrong = ""
    if ctx.guest.settings.get("vga") != "none":
        wrong = "requires VGA mode to be 'none'"
    elif not is_on(device.options.get("rombar"), default=True):
        wrong = "requires rombar to be enabled"
    elif device.is_set("x-vga"):
        wrong = "is not compatible with x-vga"
    elif device.is_mediated:
        wrong = "is not compatible with mdev"
    elif ctx.is_q35:
        wrong = "is not compatible with q35"
    elif device.is_multifunction:
        wrong = "is not compatible with multifunction devices"
    elif len(device.choices) > 1:
        wrong = "is not compatible with alternate devices"
    elif not device.choices[0][0].endswith("02.0"):
        wrong = "only works for devices on host bus 00:02.0"
    if wrong:
        raise PlanError(f"legacy IGD assignment {wrong}")


def _render_root_port(index: int) -> str:
    slot, function = divmod(index - _PORTS_AT_HAND, 8)
    port = index + 1
    return (
        f"pcie-root-port,id=ich9-pcie-port-{port},addr={0x10 + slot:x}.{function},x-speed=16,"
        f"x-width=32,multifunction=on,bus=pcie.0,port={port},chassis={port}"
    )


def _place(ctx: Context, device: _Device) -> str:
    if device.is_set("pcie"):
        if ctx.windows == WINDOWS_7:
            return f",bus=pcie.0,addr={_WIN7_SLOTS[device.number]:#x}"
        return f",bus=ich9-pcie-port-{device.number + 1},addr=0x0"
    return ctx.pci("legacy-igd" if device.is_set("legacy-igd") else f"hostpci{device.number}")


def _render_functions(
    ctx: Context, device: _Device, functions: Sequence[str]
) -> Iterator[Argument]:
    name, place, options = f"hostpci{device.number}", _place(ctx, device), device.options
    is_multifunction = len(functions) > 1
    for order, function in enumerate(functions):
        if device.is_mediated:
            uuid = f"{device.number:08d}-0000-0000-0000-{ctx.guest.vm.id:0>12}"
            source = f"sysfsdev=/sys/bus/mdev/devices/{uuid}"
        else:
            source = f"host={function}"
        suffix = f".{order}" if is_multifunction else ""
        parts = [f"vfio-pci,{source},id={name}{suffix}{place}{suffix}"]
        if order == 0:
            if not is_on(options.get("rombar"), default=True):
                parts.append("rombar=0")
            if device.is_set("x-vga") and ctx.guest.settings.get("bios") != "ovmf":
                parts.append("x-vga=on")
            if is_multifunction:
                parts.append("multifunction=on")
            if "romfile" in options:
                parts.append(f"romfile=/usr/share/kvm/{options['romfile']}")
            if name in ctx.guest.bootindex:
                parts.append(f"bootindex={ctx.guest.bootindex[name]}")
            parts += [f"x-pci-{key}={options[key]}" for key in _OVERRIDES if key in options]
        yield "-device", ",".join(parts)
