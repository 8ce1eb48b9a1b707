"""The QEMU releases that a rule applies to."""

from __future__ import annotations

from msgspec import Struct

from vmio.model.host import Host
from vmio.model.version import parse_version

__all__ = ["Versions"]


class Versions(Struct, frozen=True, kw_only=True):
    """A range of QEMU releases, and of Proxmox VE's packages if those differ.

    Proxmox VE's package has fixes that the upstream release does not have, so if a host's
    package is known, its version decides.
    """

    since: str = ""
    """The first affected release, such as `10.0`; empty if every older one is affected."""
    before: str = ""
    """The first release that is no longer affected; empty if there is none yet."""
    pve_since: str = ""
    """The first affected package, such as `8.1.2-1`, if not the first one of the release."""
    pve_before: str = ""
    """The first package no longer affected, such as `10.1.2-1`; empty if as the release."""
    pve_only: bool = False
    """Whether it applies to Proxmox VE's packages only."""

    def __str__(self) -> str:
        ranges = [] if self.pve_only else [_describe("QEMU", self.since, self.before)]
        if self.pve_only or self.pve_since or self.pve_before:
            before = self.pve_before or self.before
            ranges.append(_describe("pve-qemu", self.pve_since or self.since, before))
        return "; ".join(ranges)

    def hold(self, host: Host) -> bool:
        """Returns whether a host's QEMU is in the range; an unknown QEMU never is."""
        if host.pve_qemu_version is not None:
            version = host.pve_qemu_version
            since, before = self.pve_since or self.since, self.pve_before or self.before
        elif host.qemu_version is not None and not self.pve_only:
            version, since, before = host.qemu_version, self.since, self.before
        else:
            return False
        return (not since or parse_version(since) <= version) and (
            not before or version < parse_version(before)
        )


def _describe(what: str, since: str, before: str) -> str:
    match bool(since), bool(before):
        case True, True:
            return f"{what} from {since}, before {before}"
        case True, False:
            return f"{what} {since} and later"
        case False, True:
            return f"{what} before {before}"
        case _:
            return f"every {what}"
