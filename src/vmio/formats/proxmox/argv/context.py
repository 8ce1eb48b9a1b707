"""What every family of a command line needs.

Source: qemu-server 9.2.6.
"""

from __future__ import annotations

from functools import cached_property

from msgspec import Struct, field

from vmio.formats.proxmox.machine import windows_version
from vmio.formats.proxmox.pci import pci_address
from vmio.formats.proxmox.perl import parse_boolean
from vmio.formats.proxmox.reader import ProxmoxGuest
from vmio.model.controller import PciAddress
from vmio.model.host import Host
from vmio.model.topology import Topology

__all__ = ["RUN_FOLDER", "Argument", "Context", "is_on", "render_pci"]

Argument = tuple[str, ...]
"""An option and its value, or an option alone."""

RUN_FOLDER = "/var/run/qemu-server"


def render_pci(address: PciAddress) -> str:
    """Returns the part of a `-device` that gives its place on the PCI buses."""
    return f",bus={address.bus},addr={address.slot:#x}"


def is_on(value: str | None, *, default: bool = False) -> bool:
    """Returns the value of a boolean option, or the default if it is not configured."""
    return default if value is None else bool(parse_boolean(value))


class Context(Struct, frozen=True, kw_only=True, dict=True):
    """A guest, its layout and its host, and what follows from them."""

    guest: ProxmoxGuest
    topology: Topology
    host: Host
    warnings: list[str] = field(default_factory=list)
    """Proxmox's messages on standard error while it builds the command, in their order."""

    @cached_property
    def installed(self) -> tuple[int, int]:
        """The version of the installed QEMU."""
        return self.host.qemu_series

    @cached_property
    def ostype(self) -> str:
        """The operating system that the config names; empty if it names none."""
        return self.guest.settings.get("ostype", "")

    @cached_property
    def windows(self) -> int:
        """Its Windows version as Proxmox counts; 0 if it is not Windows."""
        return windows_version(self.ostype)

    @cached_property
    def is_native(self) -> bool:
        """Whether the guest's architecture is the host's."""
        return self.guest.vm.arch == self.host.arch

    @cached_property
    def kvm(self) -> bool:
        """Whether KVM is used."""
        # A template is only examined, so it does not need KVM.
        default = self.is_native and not self.guest.is_on("template")
        return self.guest.is_on("kvm", default=default)

    @cached_property
    def shares_folders(self) -> bool:
        """Whether folders of the host are shared, which requires shared guest memory."""
        return any(key.startswith("virtiofs") for key in self.guest.settings)

    @property
    def is_q35(self) -> bool:
        """Whether the machine is a PC with PCI Express."""
        return self.guest.vm.chipset == "q35"

    @property
    def is_arm(self) -> bool:
        """Whether the guest is of the 64-bit Arm architecture."""
        return self.guest.vm.arch == "aarch64"

    @property
    def vm_name(self) -> str:
        """The guest's name; its number if it has no name, or is named 0."""
        return self.written("name") or f"vm{self.guest.vm.id}"

    def written(self, key: str) -> str:
        """Returns a setting if it is true in Perl; empty for `0` and for a missing one."""
        value = self.guest.settings.get(key, "")
        return "" if value == "0" else value

    def pci(self, device: str) -> str:
        """Returns the part of a device's `-device` that gives its place."""
        return render_pci(pci_address(device, self.guest.vm.arch))
