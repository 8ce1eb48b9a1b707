"""TH010."""

from __future__ import annotations

from collections.abc import Iterator

from vmio.lint.devices import find_parameter, list_devices, list_written_controllers
from vmio.lint.diagnostic import Applicability, Diagnostic, Fix, Severity
from vmio.lint.rule import Context, Rule
from vmio.lint.versions import Versions
from vmio.lint.words import name_parameter

__all__ = ["VirtioScsiIothreadNeverPolls"]


class VirtioScsiIothreadNeverPolls(Rule):
    """Finds a polling time set on an IOThread that cannot poll because of virtio-scsi.

    ## What it does

    Looks for a `poll-max-ns` above 0 on an IOThread that a virtio-scsi controller runs in, where
    QEMU is older than 10.0. An IOThread with default settings is not reported: it loses
    little.

    ## Why is this bad

    An IOThread busy-polls only when everything that it watches can be polled. Before QEMU 10.0
    virtio-scsi's event queue was served there, too, and cannot be. So the whole IOThread, with
    all other disks on it, never polls, whatever `poll-max-ns` says; `query-iothreads` shows the
    value all the same.

    ## Example

    ```
    args: -object iothread,id=io0,poll-max-ns=200000 -drive file=/a,if=none,id=d -device virtio-scsi-pci,iothread=io0 -device scsi-hd,drive=d
    ```

    ```host
    qemu_version = "9.2.0"
    ```

    ## Use instead

    ```
    args: -object iothread,id=io0,poll-max-ns=200000 -drive file=/a,if=none,id=d -device virtio-scsi-pci,iothread=io0 -device scsi-hd,drive=d
    ```

    ```host
    qemu_version = "10.0.2"
    ```

    ## Fix safety

    There is no fix to apply. Move disks that should be polled to virtio-blk, on an IOThread
    without virtio-scsi, or update QEMU to 10.0 or later.

    ## References

    - QEMU 7.2.22, virtio-scsi in an IOThread: 3 phases of polling in 75,000 requests
    - QEMU 10.0: virtio-scsi's control and event queues moved to the main loop
    """  # noqa: E501 - a config has no way to break a line

    code = "TH010"
    name = "virtio-scsi-iothread-never-polls"
    severity = Severity.WARNING
    needs = "iothreads"
    versions = Versions(before="10.0")

    def check(self, context: Context) -> Iterator[Diagnostic]:
        """Yields a finding per IOThread."""
        vm = context.vm
        polling = [iothread for iothread in vm.iothreads if iothread.poll_max_ns]
        blocked = _find_scsi_users(context) if polling else {}
        for iothread in polling:
            if iothread.id not in blocked:
                continue
            yield self.report(
                context,
                f"{name_parameter(context, 'poll_max_ns')} of {iothread.id} does nothing: before"
                f" QEMU 10.0 an IOThread with a virtio-scsi controller ({blocked[iothread.id]})"
                " never polls",
                subject=iothread.id,
                span=find_parameter(vm, iothread, "poll_max_ns"),
                fix=Fix(
                    applicability=Applicability.MANUAL,
                    message="give the controller an IOThread of its own, use virtio-blk,"
                    " or update QEMU",
                ),
            )


def _find_scsi_users(context: Context) -> dict[str, str]:
    """Returns a virtio-scsi controller that runs in an IOThread, by the IOThread's id."""
    users = {
        option.properties["iothread"]: option.id or option.kind
        for option in list_devices(context.vm)
        if option.kind.startswith("virtio-scsi") and "iothread" in option.properties
    }
    for controller in list_written_controllers(context):
        if controller.bus == "scsi" and controller.iothread is not None:
            users[controller.iothread] = controller.id
    return users
