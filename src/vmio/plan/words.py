"""Words that several steps say."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from vmio.model.vm import Vm

__all__ = ["GUIDE", "are", "cite_controllers", "join", "name_scsihw", "tell_controllers"]

GUIDE = "Proxmox VE Administration Guide, 'IO Thread'; qemu-server 9.2.6"

_ORDER = (
    "siderolabs/talos issue 11173; linux-kernel, 2019-10-03, on commit f049cf1a7b67 of Linux 5.3"
)
_SAN = "Microsoft, diskpart: san"


def join(names: Iterable[str]) -> str:
    """Returns names as a sentence has them: a, b and c."""
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last


def are(names: Sequence[object]) -> str:
    """Returns the verb for one thing or for several."""
    return "is" if len(names) == 1 else "are"


def name_scsihw(vm: Vm) -> str:
    """Returns which SCSI controller is written, or which one there is then."""
    return f"scsihw is {vm.scsihw}" if vm.scsihw is not None else "scsihw is not set, so lsi"


def tell_controllers(vm: Vm) -> str:
    """Returns what a guest notices once each SCSI disk has a controller of its own."""
    moved = "its SCSI disks are on other controllers at other PCI addresses"
    if vm.os == "windows":
        return (
            f"{moved}; Windows finds new controllers for the vioscsi driver that it has, and its"
            " SAN policy can leave disks other than the boot disk offline: Disk Management or"
            " diskpart brings them online"
        )
    return (
        f"{moved}: names under /dev/disk/by-path change, those by UUID, label and id stay. Linux"
        " probes controllers side by side, so /dev/sdX can come in another order from boot to"
        " boot: what picks its disk by that name, or takes the first one that it finds, stalls or"
        " takes the wrong one (reported for Talos Linux)"
    )


def cite_controllers(vm: Vm) -> str:
    """Returns where `tell_controllers` has it from."""
    return _SAN if vm.os == "windows" else _ORDER
