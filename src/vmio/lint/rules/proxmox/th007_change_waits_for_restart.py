"""TH007."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from vmio.formats.keyval import split_parts
from vmio.formats.proxmox.perl import parse_boolean
from vmio.lint.diagnostic import Applicability, Diagnostic, Fix, Severity
from vmio.lint.rule import Context
from vmio.lint.rules.proxmox.rule import ProxmoxRule, guest_of
from vmio.model.source import Span

__all__ = ["ChangeWaitsForRestart"]

_OPTIONS = ("iothread", "queues", "aio", "cache", "discard", "ssd", "ro")


class ChangeWaitsForRestart(ProxmoxRule):
    """Finds changes of disks and of their controllers that are not in effect yet.

    ## What it does

    Compares `scsihw` and the drives of a config with its section `[PENDING]`, in which Proxmox VE
    keeps what it could not change while the guest was running.

    ## Why is this bad

    A running guest keeps its controllers, IOThreads, queues, engines and cache modes. A reboot
    from inside the guest does not start a new QEMU, so the change is still not in effect after
    it. This is the most common reason why an IOThread "made no difference".

    ## Example

    ```
    scsi0: local-lvm:vm-100-disk-0,size=32G
    scsihw: virtio-scsi-single

    [PENDING]
    scsi0: local-lvm:vm-100-disk-0,iothread=1,size=32G
    ```

    ## Use instead

    ```
    scsi0: local-lvm:vm-100-disk-0,iothread=1,size=32G
    scsihw: virtio-scsi-single
    ```

    ## Fix safety

    There is no fix to apply to the file: stop the guest and start it again, or choose "Reboot" in
    Proxmox VE, and the change moves from `[PENDING]` to where it belongs.

    ## References

    - qemu-server 9.2.6: what is skipped when a running guest's drive is updated
    - Proxmox VE's manual page qm(1), `qm pending`
    """

    code = "TH007"
    name = "change-waits-for-restart"
    severity = Severity.INFO
    elsewhere = "A command line has no pending changes."
    blanks = (("libvirt", "A domain's text has no pending changes."),)
    needs = "waiting"

    def check(self, context: Context) -> Iterator[Diagnostic]:
        """Yields a finding per setting that changes."""
        vm, guest = context.vm, guest_of(context)
        removed = re.split(r"[,;\s]+", guest.pending.get("delete", ""))
        gone = {key.lstrip("!") for key in removed}
        written = {disk.id: disk.span for disk in vm.disks if disk.media == "disk"}
        written |= {key: guest.spans[key] for key in ("scsihw",) if key in guest.spans}
        for key, span in written.items():
            after = guest.pending.get(key)
            if after is None and key not in gone:
                continue
            what = _name_change(key, guest.settings.get(key, ""), after)
            yield self.report(
                context,
                f"{key} takes effect as in [PENDING] only after the guest has been stopped:"
                f" {what}",
                subject=key,
                span=span and Span(start=span.start, end=span.start + len(key)),
                fix=Fix(
                    applicability=Applicability.MANUAL,
                    message="stop and start the guest; a reboot inside the guest is not enough",
                ),
            )


def _name_change(key: str, before: str, after: str | None) -> str:
    if after is None:
        return "it will be removed"
    if key == "scsihw":
        return f"{before} becomes {after}"
    old, new = _read_options(before), _read_options(after)
    changes = [option for option in _OPTIONS if old.get(option) != new.get(option)]
    if not changes:
        return "another volume or other options"
    return f"{', '.join(changes)} will change"


def _read_options(drive: str) -> Mapping[str, object]:
    data = drive.encode()
    parts = split_parts(data, Span(start=0, end=len(data)))
    return {part.key: _read_value(part.key, part.value) for part in parts}


def _read_value(option: str, value: str) -> object:
    """Returns an option's meaning: `on` and `1` are the same for a switch."""
    truth = parse_boolean(value) if option in {"iothread", "ssd", "ro"} else None
    return value if truth is None else truth
