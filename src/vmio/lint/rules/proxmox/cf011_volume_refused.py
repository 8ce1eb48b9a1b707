"""CF011."""

from __future__ import annotations

import re
from collections.abc import Iterator

from vmio.formats.proxmox.reader import ProxmoxGuest
from vmio.lint.diagnostic import Applicability, Diagnostic, Fix, Severity
from vmio.lint.rule import Context
from vmio.lint.rules.proxmox.rule import ProxmoxRule, guest_of
from vmio.model.disk import Backing
from vmio.model.source import Span

__all__ = ["VolumeRefused"]

_FIX = Fix(applicability=Applicability.MANUAL, message="write media=cdrom")
_NEEDS_MEDIA = "explicit media parameter is required for iso images"
_UNKNOWN_STORAGE = re.compile(r"storage '[^']*' does not exist")


class VolumeRefused(ProxmoxRule):
    """Finds volumes that Proxmox VE refuses to start the guest with.

    ## What it does

    Reports volumes that Proxmox VE refuses before it starts the guest: a drive with an ISO image
    but without `media=`, a `format=` that is not the volume's, a storage that may not contain
    such volumes, a name that no volume of that storage has. Storages that are not in the
    storage.cfg are left out, as vmio does not know every kind of storage.

    ## Why is this bad

    The line is valid, so Proxmox VE keeps it and shows the drive. The guest does not start: the
    task ends with the message.

    ## Example

    ```
    ide0: local:iso/debian.iso,size=600M
    ```

    ```storage
    dir: local
        path /var/lib/vz
        content iso,images
    ```

    ## Use instead

    ```
    ide0: local:iso/debian.iso,media=cdrom,size=600M
    ```

    ```storage
    dir: local
        path /var/lib/vz
        content iso,images
    ```

    ## Fix safety

    There is no fix to apply: only a person knows which volume was meant. An ISO image is nearly
    always a cd-rom; `media=disk` is accepted too.

    ## References

    - qemu-server 9.2.6 with pve-storage 9.1.7: `ide3: explicit media parameter is required for
      iso images`, `option different from storage format`, `does not support content-type`
    """

    code = "CF011"
    name = "volume-refused"
    severity = Severity.ERROR
    elsewhere = "Only Proxmox VE looks at volumes before it starts QEMU."

    def check(self, context: Context) -> Iterator[Diagnostic]:
        """Yields a finding per volume."""
        if context.vm.template:
            return
        for subject, reason, span in _list_refused(guest_of(context)):
            yield self.report(
                context,
                f"Proxmox VE refuses to start the guest because of {subject}: {reason}",
                subject=subject,
                span=span,
                fix=_FIX if reason == _NEEDS_MEDIA else None,
            )


def _list_refused(guest: ProxmoxGuest) -> Iterator[tuple[str, str, Span | None]]:
    """Yields the setting that names a volume, why it is refused, and its place."""
    for disk in guest.vm.disks:
        span = disk.spans.get("file", disk.span)
        if ":iso/" in disk.volume and "media" not in disk.spans:
            yield disk.id, _NEEDS_MEDIA, span
        elif disk.backing is not None and _is_known(guest, disk.backing):
            yield disk.id, disk.backing.error, span
    for key, backing in guest.volumes.items():
        if _is_known(guest, backing):
            yield key, backing.error, guest.spans.get(key)


def _is_known(guest: ProxmoxGuest, backing: Backing) -> bool:
    """Returns whether a volume is refused because of its storage."""
    if not backing.error or _UNKNOWN_STORAGE.fullmatch(backing.error):
        return False
    return not backing.storage or guest.context.storages is not None
