"""SA008."""

from __future__ import annotations

from collections.abc import Iterator

from vmio.lint.devices import is_off
from vmio.lint.diagnostic import Applicability, Diagnostic, Fix, Severity
from vmio.lint.rule import Context, Rule
from vmio.lint.words import name_setting
from vmio.model.option import Option

__all__ = ["VhostUserBlkMemory"]


class VhostUserBlkMemory(Rule):
    """Finds vhost-user-blk disks of a guest whose memory is not shared.

    ## What it does

    Looks for `vhost-user-blk` devices among QEMU's own options when no memory backend has
    `share=on`. Under Proxmox VE memory is shared too where the guest has `hugepages` or a
    `virtiofs` device.

    ## Why is this bad

    The process behind a vhost-user device reads and writes requests in the guest's memory, and
    QEMU can share only memory that is mapped as shared. Otherwise the guest starts, but its disk
    does not work: the process finds no valid virtqueue and may end.

    ## Example

    ```
    args: -chardev socket,id=spdk,path=/run/spdk.sock -device vhost-user-blk-pci,chardev=spdk
    memory: 4096
    ```

    ## Use instead

    ```
    args: -chardev socket,id=spdk,path=/run/spdk.sock -device vhost-user-blk-pci,chardev=spdk
    hugepages: 2
    memory: 4096
    numa: 1
    ```

    ## Fix safety

    There is no fix to apply: the host must have huge pages.

    ## References

    - QEMU 10.0.2 with the vhost-user-blk export of qemu-storage-daemon, run: `vhost start failed:
      Error starting vhost` without a shared backend, no message with `memory-backend-memfd` and
      `share=on`
    """

    code = "SA008"
    name = "vhost-user-blk-memory"
    severity = Severity.ERROR
    blanks = (("libvirt", "The daemon refuses such a domain itself (CF020)."),)
    needs = "options"

    def check(self, context: Context) -> Iterator[Diagnostic]:
        """Yields a finding per device."""
        vm = context.vm
        devices = [
            option
            for option in vm.options
            if option.name == "device" and option.kind.startswith("vhost-user-blk")
        ]
        if not devices or vm.shares_memory or any(map(_is_shared_backend, vm.options)):
            return
        sharing = name_setting(context, "", "shared_memory", "on")
        for option in devices:
            identity = option.id or option.kind
            yield self.report(
                context,
                f"{identity} does not work: vhost-user-blk needs guest memory that is shared,"
                " and no memory backend has share=on",
                subject=identity,
                span=option.span,
                fix=Fix(
                    applicability=Applicability.MANUAL,
                    message=f"share the guest's memory: {sharing}",
                ),
            )


def _is_shared_backend(option: Option) -> bool:
    if option.name != "object" or not option.kind.startswith("memory-backend-"):
        return False
    default = "on" if option.kind == "memory-backend-shm" else "off"
    return not is_off(option.properties.get("share", default))
