"""Whether a guest can use virtio-scsi controllers, and how a person finds that out.

Only a disk that is on virtio-scsi shows that its guest has the driver: a virtio network card and a
virtio-blk disk have drivers of their own. What no config shows is a person's to find out.

Source: Linux 3.4 (virtio_scsi), and the man pages of lsinitramfs, lsinitrd and dracut; virtio-win:
vioscsi for Windows since Vista; FreeBSD virtio_scsi(4), OpenBSD and NetBSD vioscsi(4). A driver
that Windows has, but has never had a device for, is not loaded at boot: issue 61 of
virtio-win-guest-tools-installer.
"""

from __future__ import annotations

import re
from shlex import quote

from vmio.formats.proxmox.hardware import PROXMOX
from vmio.model.vm import Vm

__all__ = [
    "SHARED",
    "SINGLE",
    "has_single",
    "is_macos",
    "is_virtio_scsi",
    "may_set_single",
    "name_old_system",
    "names_controller",
    "names_virtio_scsi",
    "qm_set",
    "tell_how_to_find_out",
]

SINGLE = "virtio-scsi-single"
SHARED = "virtio-scsi-pci"

_CONTROLLER = re.compile(r"\b(?:scsihw|virtioscsi|scsi)\d+\b", re.ASCII)
_MACOS = re.compile(r"isa-applesmc|\bosk=|ourhardworkbythesewordsguardedplease", re.IGNORECASE)
"""What only a macOS guest has in `args`: Apple's SMC, and the key that it holds."""
_TOO_OLD = {
    "l24": "Linux 2.4",
    "w2k": "Windows 2000",
    "w2k3": "Windows Server 2003",
    "wxp": "Windows XP",
}
"""Systems for which nobody has made the driver, by Proxmox VE's name."""
_PROBE = "-device virtio-scsi-pci,id=probe"

_LINUX = (
    "see whether the initramfs that the guest boots from has virtio_scsi: 'lsinitramfs"
    " /boot/initrd.img-$(uname -r) | grep virtio_scsi' on Debian and Ubuntu, 'lsinitrd | grep"
    " virtio_scsi' on Fedora, RHEL and SUSE; where 'modinfo virtio_scsi' says (builtin), the"
    " kernel itself has it. If it is missing, add a line virtio_scsi to"
    " /etc/initramfs-tools/modules and run 'update-initramfs -u -k all', or run 'dracut -f"
    " --regenerate-all --add-drivers virtio_scsi'"
)
_OTHER = (
    "find out whether the guest's system has a driver for virtio-scsi and has it when it boots:"
    " FreeBSD, OpenBSD and NetBSD have one in their kernels, Linux has virtio_scsi, which its"
    " initramfs must have too, ESXi and macOS have none, and of an appliance its maker knows. If"
    " there is none, leave the disks where they are"
)


def is_virtio_scsi(vm: Vm) -> bool:
    """Returns whether the guest's SCSI disks are on virtio-scsi, so that it has the driver."""
    return names_virtio_scsi(vm.scsihw)


def names_virtio_scsi(scsihw: str | None) -> bool:
    """Returns whether a `scsihw` comes to virtio-scsi, as some do that are not in the schema."""
    return PROXMOX.find_scsi_hardware(scsihw).model == SHARED


def has_single(vm: Vm) -> bool:
    """Returns whether each SCSI disk has a controller to itself."""
    return PROXMOX.find_scsi_hardware(vm.scsihw).dedicated


def names_controller(args: str) -> bool:
    """Returns whether QEMU's own options in `args` name SCSI controllers or disks by their ids.

    With another `scsihw` there are no such ids, and QEMU does not start.
    """
    return _CONTROLLER.search(args) is not None


def may_set_single(vm: Vm) -> bool:
    """Returns whether a controller for each SCSI disk leaves the guest every disk that it has."""
    return is_virtio_scsi(vm) and not names_controller(vm.settings.get("args", ""))


def is_macos(vm: Vm) -> bool:
    """Returns whether a guest is macOS, which has no driver for virtio-scsi at all."""
    return _MACOS.search(vm.settings.get("args", "")) is not None


def name_old_system(vm: Vm) -> str | None:
    """Returns what the guest's system is called, if it is older than its driver; None if not."""
    return _TOO_OLD.get(vm.settings.get("ostype", ""))


def qm_set(vm: Vm) -> str:
    """Returns the beginning of the command that changes a guest's config."""
    # What is in a config can be anybody's, and a person may paste this into a shell.
    return f"qm set {quote(vm.id)}"


def tell_how_to_find_out(vm: Vm) -> str:
    """Returns how a person sees whether the guest has the driver, and what to install first."""
    old = name_old_system(vm)
    if old is not None:
        return (
            f"nobody is known to have made a virtio-scsi driver for {old}: unless the guest shows"
            f" one, leave the disks where they are. To see it, {_probe(vm)}"
        )
    match vm.os:
        case "linux":
            return _LINUX
        case "windows":
            return (
                "install the virtio-win drivers in the guest, and let it see a virtio-scsi"
                " controller once, since Windows does not load at boot what it has never had a"
                f" device for: {_probe(vm)}. Device Manager has to show a Red Hat VirtIO SCSI"
                " controller without a warning"
            )
        case _:
            return f"{_OTHER}. To see it, {_probe(vm)}"


def _probe(vm: Vm) -> str:
    """Returns how a guest gets a controller without a disk for a while, whatever scsihw is."""
    args = vm.settings.get("args", "")
    back = f"--args {quote(args)}" if args else "--delete args"
    given = quote(f"{args} {_PROBE}".strip())
    return (
        f"stop it, run as root: {qm_set(vm)} --args {given}, start it and look what it makes of"
        f" that controller, stop it and run: {qm_set(vm)} {back}"
    )
