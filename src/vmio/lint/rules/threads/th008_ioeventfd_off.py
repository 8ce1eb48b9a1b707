"""TH008."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from vmio.formats.qemu.argv import read_mapping
from vmio.lint.devices import find_property, is_off, list_devices, list_made_disks
from vmio.lint.diagnostic import Applicability, Diagnostic, Fix, Severity
from vmio.lint.rule import Context, Rule
from vmio.model.option import Option

__all__ = ["IoeventfdOff"]


class IoeventfdOff(Rule):
    """Finds virtio devices that have an IOThread and whose ioeventfd is off.

    ## What it does

    Looks for `ioeventfd=off` on a virtio-blk or virtio-scsi device that runs in an IOThread,
    whether it stands in `-device` itself, in a `-global` for all devices of that kind, or in a
    `-set` for one of them.

    ## Why is this bad

    A guest's request reaches an IOThread through an eventfd that the kernel signals. Without it
    the virtual processor itself would have to do the work, and no IOThread could. QEMU refuses
    the combination, so the guest does not start.

    ## Example

    ```
    args: -global virtio-blk-pci.ioeventfd=off
    virtio0: local-lvm:vm-100-disk-0,iothread=1,size=32G
    ```

    ## Use instead

    ```
    virtio0: local-lvm:vm-100-disk-0,iothread=1,size=32G
    ```

    ## Fix safety

    There is no fix to apply: somebody wrote the option for a reason, and either it or the
    IOThread has to go.

    ## References

    - QEMU 10.0.2 ends with `ioeventfd is required for iothread`, for `iothread` and for
      `iothread-vq-mapping`, with the option in `-device`, `-set` and `-global`, there under
      `virtio-blk-pci`, `virtio-scsi-pci` and `virtio-pci`
    """

    code = "TH008"
    name = "ioeventfd-off"
    severity = Severity.ERROR
    blanks = (("libvirt", "It is reported with whatever else QEMU refuses of a domain (CF020)."),)
    needs = "options"

    def check(self, context: Context) -> Iterator[Diagnostic]:
        """Yields a finding per place where ioeventfd is switched off."""
        vm = context.vm
        if not any("ioeventfd" in key for option in vm.options for key in option.properties):
            return
        devices = tuple(_list_users(context))
        for option in vm.options:
            for key, value in option.properties.items():
                if not is_off(value):
                    continue
                hit = [device.id for device in devices if _means(option, key, device)]
                if not hit:
                    continue
                yield self.report(
                    context,
                    f"QEMU refuses to start: ioeventfd is off for {', '.join(hit)},"
                    " and an IOThread needs it",
                    subject="ioeventfd",
                    span=find_property(vm.source, option, key),
                    fix=Fix(
                        applicability=Applicability.MANUAL,
                        message="remove ioeventfd=off, or take the IOThread away",
                    ),
                )


class _Device(NamedTuple):
    id: str
    """Its name in the finding: the device, or the disk whose device a manager creates."""
    kind: str
    controller: str
    """Its name for `-set`."""
    option: Option | None


def _list_users(context: Context) -> Iterator[_Device]:
    """Yields the devices that run in an IOThread: those of options and a manager's."""
    made = set()
    for option in list_devices(context.vm):
        made.add(option.id)
        if option.properties.get("iothread") or read_mapping(option):
            kind = option.kind if option.kind.count("-") > 1 else f"{option.kind}-pci"
            yield _Device(option.id or option.kind, kind, option.id, option)
    for attached in list_made_disks(context):
        controller = context.topology.controller_of(attached)
        has_thread = controller.iothread is not None and controller.takes_iothread
        if has_thread and controller.id not in made:
            yield _Device(attached.disk.id, controller.model, controller.id, None)


def _means(option: Option, key: str, device: _Device) -> bool:
    """Returns whether a property is the ioeventfd of a device."""
    match option.name:
        case "device":
            return key == "ioeventfd" and option is device.option
        case "set":
            return key == f"device.{device.controller}.ioeventfd"
        case "global":
            driver, _, name = key.rpartition(".")
            is_pci = driver == "virtio-pci" and "-pci" in device.kind
            return name == "ioeventfd" and (driver == device.kind or is_pci)
        case _:
            return False
