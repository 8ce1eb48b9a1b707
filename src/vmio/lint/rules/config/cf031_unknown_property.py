"""CF031."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from vmio.lint.devices import find_property
from vmio.lint.diagnostic import Applicability, Diagnostic, Fix, Severity
from vmio.lint.recorded import Suggestions, find_releases, name_qemu, name_range
from vmio.lint.rule import Context, Rule
from vmio.model.option import Option

if TYPE_CHECKING:
    from vmio.formats.qemu.catalogue import Catalogue

__all__ = ["UnknownProperty"]

_MAPPING = "iothread-vq-mapping"
_OF_AN_OBJECT = frozenset({"?", "help", "id", "poll-weight", "qom-type"})
"""Properties of `-object` itself, and those that TH017 checks."""
_LABELS = {"iothread": "an IOThread"}
_SHOWN = 80
_LONGEST_NAME = 128

_NO_THREAD = "leave it out; this device cannot run in an IOThread"
_ADVICE: Sequence[tuple[str, str, str]] = (
    ("virtio-blk", "x-data-plane", "define -object iothread,id=ID and write iothread=ID"),
    ("virtio-blk", "scsi", "leave it out; a guest can send SCSI commands to a scsi-block disk"),
    ("virtio-blk", "queues", "write num-queues"),
    ("virtio-scsi", "queues", "write num_queues"),
    ("scsi-", "iothread", "write it for the virtio-scsi controller of the disk"),
    ("vhost-scsi", "iothread", "leave it out; the host's kernel serves this device"),
    ("vhost-user-", "iothread", "leave it out; another process serves this device"),
    ("virtio-net", "iothread", "leave it out; -netdev vhost=on moves its work off the main loop"),
    ("", "iothread", _NO_THREAD),
)
"""What to do instead, by how the device's name begins and by the property."""


class UnknownProperty(Rule):
    r"""Finds properties of QEMU's own options that the host's QEMU does not know.

    ## What it does

    Compares the properties of storage devices and of IOThreads with those that real QEMUs
    reported, in releases from 5.2 to 11.1. All versions of a series, such as 10.0.x, are assumed
    to have the same properties. For a version between two recorded series, a property is reported
    only if both of them lack it. Versions older or newer than all of them are not checked. If the
    host's version is not known, a property is reported only if every recorded release lacks it.

    Properties set by `-set` and `-global` are checked too if the guest has such a device. Of
    network devices, only `iothread` is checked. Values are not checked, and QU006 reports an
    `iothread-vq-mapping` that only later releases have.

    ## Why is this bad

    QEMU ends with an error before the guest starts.

    ## Example

    ```
    qemu-system-x86_64 -object iothread,id=io0 \
      -drive file=/srv/a.raw,format=raw,if=none,id=d,cache=none \
      -device virtio-blk-pci,drive=d,iothreads=io0
    ```

    ## Use instead

    ```
    qemu-system-x86_64 -object iothread,id=io0 \
      -drive file=/srv/a.raw,format=raw,if=none,id=d,cache=none,aio=io_uring \
      -device virtio-blk-pci,drive=d,iothread=io0
    ```

    ## Fix safety

    There is no fix to apply: only a person knows which property was meant.

    ## References

    - `device-list-properties` of QEMU 5.2.0, 6.2.0, 7.2.22, 8.2.2, 9.2.1, 10.0.13, 10.1.0 and
      11.1.3
    - QEMU 10.0.2, run: `Property 'virtio-blk-pci.iothreads' not found`, `Invalid parameter
      'poll-max'`
    """

    code = "CF031"
    name = "unknown-property"
    severity = Severity.ERROR
    blanks = (("libvirt", "A domain names no property of QEMU's."),)
    needs = "options"

    def check(self, context: Context) -> Iterator[Diagnostic]:
        """Yields a finding per property."""
        options = [
            option
            for option in context.vm.options
            if option.name in {"device", "global", "set"}
            or (option.name == "object" and option.kind == "iothread")
        ]
        if not options:
            return
        from vmio.formats.qemu.catalogue import load_catalogue

        catalogue = load_catalogue()
        releases = find_releases(catalogue, context.host)
        if not releases:
            return
        lookup = _Lookup(catalogue, releases)
        reported = _list_reported(context)
        suggestions: dict[str, Suggestions] = {}
        for option, key, device, full, name, owner in _list_given(context, options, catalogue):
            if not (lookup.is_unknown(device, full) and lookup.is_unknown(device, name)):
                continue
            span = find_property(context.vm.source, option, key)
            if name == "iothread" and span in reported:
                continue
            of_device = suggestions.setdefault(device, Suggestions())
            known = _list_known(catalogue, device, releases[-1])
            yield self.report(
                context,
                f"{name_qemu(context.host)} refuses {owner[:_SHOWN]}:"
                f" {_LABELS.get(device, device)} has no property {name[:_SHOWN]}"
                f"{name_range(context.host, releases)}",
                subject=owner if option.name == "set" else option.id or option.kind or option.name,
                span=span,
                notes=tuple(_list_notes(catalogue, device, name, releases)),
                fix=_propose(device, name, of_device.find(name.partition(".")[0], known)),
            )


class _GivenProperty(NamedTuple):
    """A property of an option, and the device that it belongs to."""

    option: Option
    key: str
    device: str
    name: str
    outer: str
    """The outermost key if it is nested in JSON; else its own name, which may have dots."""
    owner: str
    """The name of the device, or else of the option."""


def _list_given(
    context: Context, options: Sequence[Option], catalogue: Catalogue
) -> Iterator[_GivenProperty]:
    """Yields the properties of devices and IOThreads that options give."""
    arch = context.vm.arch
    topology = context.topology
    models = {each.id: each.model for each in topology.controllers if not each.built_in}
    models |= {each.disk.id: each.driver for each in topology.disks}
    made = {option.kind for option in options if option.name == "device"} | {*models.values()}
    made = {catalogue.resolve(kind, arch) for kind in made}
    for option in options:
        for key in option.properties:
            kind, name, owner = option.kind, key, option.id or f"-{option.name}"
            if option.name == "global":
                kind, _, name = key.partition(".")
                if catalogue.resolve(kind, arch) not in made:
                    continue
            elif option.name == "set":
                group, _, path = key.partition(".")
                owner, _, name = path.partition(".")
                kind = models.get(owner, "") if group == "device" else ""
            outer = (
                name.partition(".")[0] if option.name == "device" and not option.spans else name
            )
            yield _GivenProperty(option, key, catalogue.resolve(kind, arch), name, outer, owner)


class _Lookup:
    """Finds out whether a host's QEMU has a property; each device is looked up once."""

    def __init__(self, catalogue: Catalogue, releases: Sequence[str]) -> None:
        self._catalogue = catalogue
        self._releases = releases
        self._taken: dict[str, frozenset[str] | None] = {}

    def is_unknown(self, device: str, name: str) -> bool:
        """Returns whether the releases have a device, and none of them has its property."""
        if device not in self._taken:
            self._taken[device] = self._list_taken(device)
        taken = self._taken[device]
        # `no` before the name of a switch turns it off.
        if taken is None or name in taken or name.removeprefix("no") in taken:
            return False
        if name.startswith("legacy-") or len(name) > _LONGEST_NAME:
            return False
        return device == "iothread" or name == "iothread" or self._catalogue.is_storage(device)

    def _list_taken(self, device: str) -> frozenset[str] | None:
        """Returns the properties of a device; None if these releases do not have the device."""
        from vmio.formats.qemu.catalogue import IMPLICIT

        catalogue, releases = self._catalogue, self._releases
        if device == "iothread":
            of_each = map(catalogue.list_iothread_properties, releases)
            return _OF_AN_OBJECT.union(*of_each)
        # A release without the device refuses it, whatever its properties.
        if not any(catalogue.has_device(device, each) for each in releases):
            return None
        taken = IMPLICIT.union(*(catalogue.list_properties(device, each) for each in releases))
        later = (catalogue.list_properties(device, each) for each in catalogue.releases)
        return taken | {_MAPPING} if any(_MAPPING in names for names in later) else taken


def _list_reported(context: Context) -> frozenset[object]:
    """Returns the places of `iothread` that another rule reports."""
    vm = context.vm
    refused = {problem.span for problem in vm.problems if problem.kind == "refused-option"}
    on_ata = {
        disk.spans.get("iothread", disk.span) for disk in vm.disks if disk.bus in {"ide", "sata"}
    }
    return frozenset(refused | on_ata)


def _list_known(catalogue: Catalogue, device: str, release: str) -> frozenset[str]:
    if device == "iothread":
        return catalogue.list_iothread_properties(release)
    return catalogue.list_properties(device, release)


def _list_notes(
    catalogue: Catalogue, device: str, name: str, releases: Sequence[str]
) -> Iterator[str]:
    """Yields which releases have a property."""
    having = [each for each in catalogue.releases if name in _list_known(catalogue, device, each)]
    if history := catalogue.describe(releases, having):
        yield history


def _propose(device: str, name: str, meant: str) -> Fix | None:
    advice = next(
        (said for start, key, said in _ADVICE if key == name and device.startswith(start)), ""
    )
    if name.startswith(f"{meant}."):
        advice = f"write the whole -device in JSON, where {meant} is a list"
    message = advice or (f"write {meant}, if that was meant" if meant else "")
    return Fix(applicability=Applicability.MANUAL, message=message) if message else None
