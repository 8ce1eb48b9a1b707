"""CF030."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from vmio.lint.devices import find_property
from vmio.lint.diagnostic import Applicability, Diagnostic, Fix, Severity
from vmio.lint.recorded import Suggestions, find_releases, name_qemu, name_range
from vmio.lint.rule import Context, Rule

if TYPE_CHECKING:
    from vmio.formats.qemu.catalogue import Catalogue

__all__ = ["UnknownDevice"]

_SUCCESSORS: Mapping[str, str] = {
    "ide-drive": "name it ide-hd if it is a disk, ide-cd if it is a cd-rom",
    "scsi-disk": "name it scsi-hd if it is a disk, scsi-cd if it is a cd-rom",
}
"""Source: the data; each release that has the old device has the new ones, with its properties."""
_STORAGE = (
    *("ide-", "nvme-", "scsi-", "vhost-scsi", "vhost-user-blk", "vhost-user-scsi"),
    *("virtio-blk", "virtio-scsi"),
)
"""Prefixes of storage devices: an unknown name that begins so was meant as a storage device."""
_SLIP = 0.9
"""The similarity to a storage device's name that a name without these prefixes needs."""
_SHOWN = 80


class UnknownDevice(Rule):
    r"""Finds storage devices of QEMU's own options that the host's QEMU does not have.

    ## What it does

    Compares each `-device` with the devices that real QEMUs reported, in releases from 5.2 to 11.1
    and for x86_64, s390x and aarch64. All versions of a series, such as 10.0.x, are assumed to
    have the same devices. For a version between two recorded series, a device is reported only if
    both of them lack it. Versions older or newer than all of them are not checked. If the host's
    version is not known, a device is reported only if every recorded release lacks it. Devices
    that are not storage are ignored.

    ## Why is this bad

    QEMU ends with an error before the guest starts.

    ## Example

    ```
    qemu-system-x86_64 -drive file=/srv/a.raw,format=raw,if=none,id=d,cache=none \
      -device ide-drive,drive=d
    ```

    ## Use instead

    ```
    qemu-system-x86_64 -drive file=/srv/a.raw,format=raw,if=none,id=d,cache=none \
      -device ide-hd,drive=d
    ```

    ## Fix safety

    There is no fix to apply: only a person knows which device was meant.

    ## References

    - `-device help` of QEMU 5.2.0, 6.2.0, 7.2.22, 8.2.2, 9.2.1, 10.0.13, 10.1.0 and 11.1.3
    - QEMU 10.0.2, run: `'ide-drive' is not a valid device model name`
    """

    code = "CF030"
    name = "unknown-device"
    severity = Severity.ERROR
    blanks = (("libvirt", "A domain names no device of QEMU's."),)
    needs = "options"

    def check(self, context: Context) -> Iterator[Diagnostic]:
        """Yields a finding per device."""
        options = [option for option in context.vm.options if option.name == "device"]
        if not options:
            return
        from vmio.formats.qemu.catalogue import NOT_STORAGE, load_catalogue

        catalogue = load_catalogue()
        host, arch = context.host, context.vm.arch
        releases = find_releases(catalogue, host, arch)
        if not releases:
            return
        known = catalogue.others.union(*(catalogue.list_devices(arch, each) for each in releases))
        suggestions, slips = Suggestions(), Suggestions(cutoff=_SLIP)
        for option in options:
            kind = option.kind
            if not kind or kind in known or kind.startswith(NOT_STORAGE):
                continue
            if catalogue.is_optional(kind, arch):
                continue
            is_storage = catalogue.is_storage(kind) or kind.startswith(_STORAGE)
            meant = (suggestions if is_storage else slips).find(kind, known)
            if not is_storage and (not meant or meant in catalogue.others):
                continue
            yield self.report(
                context,
                f"{name_qemu(host)} refuses {option.id[:_SHOWN] or '-device'}: for {arch} there"
                f" is no device {kind[:_SHOWN]}{name_range(host, releases)}",
                subject=option.id or kind,
                span=find_property(context.vm.source, option, "driver"),
                notes=tuple(_list_notes(catalogue, kind, releases)),
                fix=_propose(kind, meant),
            )


def _list_notes(catalogue: Catalogue, kind: str, releases: Sequence[str]) -> Iterator[str]:
    """Yields which releases and which architectures have a device."""
    having = [each for each in catalogue.releases if catalogue.has_device(kind, each)]
    targets = sorted(set().union(*(catalogue.list_targets(kind, each) for each in releases)))
    if targets:
        yield f"QEMU has it for {', '.join(targets)}"
    elif history := catalogue.describe(releases, having):
        yield history


def _propose(kind: str, meant: str) -> Fix | None:
    message = _SUCCESSORS.get(kind) or (f"name it {meant}, if that was meant" if meant else "")
    return Fix(applicability=Applicability.MANUAL, message=message) if message else None
