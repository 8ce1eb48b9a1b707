"""What every family of a command line looks at.

Source: qemu-server 9.2.6.
"""

from __future__ import annotations

from attrs import field, frozen

from vmio.formats.proxmox.machine import parse_version, windows_version
from vmio.formats.proxmox.pci import pci_address
from vmio.formats.proxmox.perl import parse_boolean
from vmio.formats.proxmox.reader import Guest
from vmio.model.controller import PciAddress
from vmio.model.host import Host
from vmio.model.topology import Topology

__all__ = ["RUN_FOLDER", "Argument", "Context", "is_on", "render_pci"]

Argument = tuple[str, ...]
"""An option and its value, or an option alone."""

RUN_FOLDER = "/var/run/qemu-server"


def render_pci(address: PciAddress) -> str:
    """Returns the part of a `-device` that says where on the PCI buses it sits."""
    return f",bus={address.bus},addr={address.slot:#x}"


def is_on(value: str | None, *, default: bool = False) -> bool:
    """Returns the truth of a yes-or-no option, the default where it is not written."""
    return default if value is None else bool(parse_boolean(value))


@frozen(kw_only=True)
class Context:
    """A guest, its layout and its host, and what follows from the three of them alone."""

    guest: Guest
    topology: Topology
    host: Host
    installed: tuple[int, int] = field(init=False)
    """The version of the installed QEMU."""
    ostype: str = field(init=False)
    windows: int = field(init=False)
    """Its Windows version as Proxmox counts, 0 if it is none."""
    is_native: bool = field(init=False)
    """Whether the guest's architecture is the host's."""
    kvm: bool = field(init=False)
    """Whether KVM is used."""
    warnings: list[str] = field(factory=list, init=False)
    """What Proxmox says on standard error while it builds the command, as it comes up."""

    @installed.default
    def _parse_installed(self) -> tuple[int, int]:
        return parse_version(self.host.qemu_version)

    @ostype.default
    def _find_ostype(self) -> str:
        return self.guest.settings.get("ostype", "")

    @windows.default
    def _find_windows(self) -> int:
        return windows_version(self.ostype)

    @is_native.default
    def _is_native(self) -> bool:
        return self.guest.vm.arch == self.host.arch

    @kvm.default
    def _uses_kvm(self) -> bool:
        # A template is only looked at, so it is not worth KVM.
        default = self.is_native and not self.guest.is_on("template")
        return self.guest.is_on("kvm", default=default)

    @property
    def is_q35(self) -> bool:
        """Whether the machine is one with PCI Express of the PC kind."""
        return self.guest.vm.chipset == "q35"

    @property
    def is_arm(self) -> bool:
        """Whether the guest is of the 64-bit Arm architecture."""
        return self.guest.vm.arch == "aarch64"

    def pci(self, device: str) -> str:
        """Returns the part of a device's `-device` that says where it sits."""
        return render_pci(pci_address(device, self.guest.vm.chipset))
