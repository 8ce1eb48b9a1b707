"""Which storage devices each release of QEMU has, and which properties each device takes.

The data is in catalogue.json beside this file: reports of real QEMUs, written by
`tools/record_devices.py`. It is read on first use. For a version between two recorded releases,
only what both have in common is known; for a version before the first or after the last, nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache, lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from vmio.model.version import QemuVersion, parse_version

__all__ = [
    "DATA_FILE",
    "IMPLICIT",
    "NOT_STORAGE",
    "Catalogue",
    "expand_range",
    "load_catalogue",
    "order_releases",
]

DATA_FILE: Final = Path(__file__).with_name("catalogue.json")

NOT_STORAGE: Final = "virtio-net"
"""Prefixes of device names that are recorded because people give the devices an IOThread."""

IMPLICIT: Final = frozenset(
    """
    ? bus driver failover_pair_id help hotpluggable hotplugged id parent_bus realized type
    """.split()  # noqa: SIM905 - a list a line each would hide the words
)
"""Properties of `-device` itself, and those of every device that QEMU's lists leave out."""
_SAME: Final[Mapping[str, str]] = {"i386": "x86_64"}
"""Targets that have the same devices as another one."""


class Catalogue:
    """The devices and properties that were recorded.

    Releases have the names under which they were recorded, such as `10.0.13`. Devices have the
    names in QEMU's own list; `resolve` turns other names, such as `virtio-blk`, into these.

    Args:
        document: The data, in the form of the file beside this module.
    """

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document
        self._devices: Mapping[str, Any] = document["devices"]
        self._properties: dict[tuple[str, str], frozenset[str]] = {}
        self._targets: dict[tuple[str, str], tuple[str, ...]] = {}
        self._listed: dict[tuple[str, str], frozenset[str]] = {}
        self.releases: Final = order_releases(document["releases"])
        """The recorded releases, the oldest first."""
        self.others: Final = frozenset(document["others"])
        """The names of devices that are not about storage, of any release and any target."""

    def list_devices(self, arch: str, release: str) -> frozenset[str]:
        """Returns the storage devices of a release for an architecture, by all their names."""
        target = _SAME.get(arch, arch)
        known = self._listed.get((target, release))
        if known is None:
            names = {each for each in self._devices if self.has_device(each, release, arch)}
            aliases: Mapping[str, Mapping[str, str]] = self._document["aliases"]
            names |= {alias for alias, meant in aliases.items() if meant.get(target) in names}
            known = frozenset(name for name in names if not name.startswith(NOT_STORAGE))
            self._listed[target, release] = known
        return known

    def find_releases(self, version: QemuVersion | None) -> tuple[str, ...]:
        """Returns the recorded releases that apply to a version: all must agree.

        These are the releases of its series, or else the one before and the one after it; none
        for a version older or newer than all recorded ones; all of them for an unknown version.
        """
        if version is None:
            return self.releases
        known = [(parse_version(name), name) for name in self.releases]
        if not version.is_candidate:
            same = tuple(name for each, name in known if each.series == version.series)
            if same:
                return same
        older = [name for each, name in known if each < version.release]
        newer = [name for each, name in known if each > version.release]
        return (older[-1], newer[0]) if older and newer else ()

    def knows_target(self, arch: str, release: str) -> bool:
        """Returns whether the devices of an architecture are recorded for a release."""
        return _SAME.get(arch, arch) in self._document["releases"][release]["targets"]

    def resolve(self, name: str, arch: str) -> str:
        """Returns the device that a name means: `virtio-blk-ccw` for `virtio-blk` on s390x."""
        meant: Mapping[str, str] = self._document["aliases"].get(name, {})
        return meant.get(_SAME.get(arch, arch), name)

    def is_storage(self, name: str) -> bool:
        """Returns whether a name is that of a storage device of any release and any target."""
        is_known = name in self._devices or name in self._document["aliases"]
        return is_known and not name.startswith(NOT_STORAGE)

    def is_optional(self, device: str, arch: str) -> bool:
        """Returns whether a device is missing in a release between two that have it.

        Then it depends on the build.
        """
        recorded = [each for each in self.releases if self.knows_target(arch, each)]
        having = [self.has_device(device, each, arch) for each in recorded]
        return sum(before != after for before, after in pairwise(having)) > 1

    def list_targets(self, device: str, release: str) -> tuple[str, ...]:
        """Returns the architectures that a release has a device for."""
        if device not in self._devices:
            return ()
        known = self._targets.get((device, release))
        if known is None:
            recorded = self._document["releases"][release]["targets"]
            ranges: Mapping[str, Sequence[str]] = self._devices[device]["targets"]
            known = self._targets[device, release] = tuple(
                target
                for target, spans in ranges.items()
                if target in recorded and any(release in self._expand(span) for span in spans)
            )
        return known

    def has_device(self, device: str, release: str, arch: str = "") -> bool:
        """Returns whether a release has a device, for one architecture or for any of them."""
        targets = self.list_targets(device, release)
        return _SAME.get(arch, arch) in targets if arch else bool(targets)

    def list_properties(self, device: str, release: str) -> frozenset[str]:
        """Returns the properties of a release's device; none if the release has no such device."""
        if not self.has_device(device, release):
            return frozenset()
        known = self._properties.get((device, release))
        if known is None:
            ranges = self._devices[device]["properties"]
            known = self._properties[device, release] = self._select(ranges, release)
        return known

    def list_iothread_properties(self, release: str) -> frozenset[str]:
        """Returns the properties of `-object iothread`."""
        return self._select(self._document["iothread"], release)

    def describe(self, releases: Sequence[str], having: Iterable[str]) -> str:
        """Returns which releases have something: `QEMU 5.2.0 has it, 6.2.0 no longer`; or nothing.

        Args:
            releases: The releases in question, which do not have it.
            having: All releases that have it.
        """
        known = frozenset(having)
        first, last = self.releases.index(releases[0]), self.releases.index(releases[-1])
        older = next((n for n in range(first, -1, -1) if self.releases[n] in known), None)
        if older is not None:
            return f"QEMU {self.releases[older]} has it, {self.releases[older + 1]} no longer"
        after = range(last, len(self.releases))
        newer = next((n for n in after if self.releases[n] in known), None)
        if newer is not None:
            return f"QEMU {self.releases[newer]} has it, {self.releases[newer - 1]} not yet"
        return ""

    def _select(self, ranges: Mapping[str, Sequence[str]], release: str) -> frozenset[str]:
        spans = (span for span in ranges if release in self._expand(span))
        return frozenset(name for span in spans for name in ranges[span])

    def _expand(self, span: str) -> Sequence[str]:
        return expand_range(span, self.releases)


@cache
def load_catalogue() -> Catalogue:
    """Returns the recorded data."""
    import json

    return Catalogue(json.loads(DATA_FILE.read_bytes()))


def order_releases(releases: Iterable[str]) -> tuple[str, ...]:
    """Returns releases, the oldest first."""
    return tuple(sorted(releases, key=parse_version))


@lru_cache(maxsize=256)
def expand_range(span: str, releases: tuple[str, ...]) -> tuple[str, ...]:
    """Returns the releases of `FIRST..LAST`, both included; an end that is missing is open."""
    first, _, last = span.partition("..")
    start = releases.index(first) if first else 0
    end = releases.index(last) + 1 if last else len(releases)
    return releases[start:end]
