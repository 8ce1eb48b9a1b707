"""The QEMU releases that a claim holds for."""

from __future__ import annotations

from msgspec import Struct

from vmio.model.host import Host
from vmio.model.version import parse_version

__all__ = ["Versions"]


class Versions(Struct, frozen=True, kw_only=True):
    """A range of QEMU releases, and of Proxmox VE's packages where those differ.

    Proxmox VE's package carries fixes that its upstream release has not, so a host whose package
    is known goes by that one.
    """

    since: str = ""
    """The first release that it holds for, such as `10.0`; empty for every older one."""
    before: str = ""
    """The first release that it holds for no more; empty if there is none yet."""
    pve_since: str = ""
    """The first package, such as `8.1.2-1`, where that is not the first of the release."""
    pve_before: str = ""
    """The first package that it holds for no more, such as `10.1.2-1`; empty: as the release."""
    pve_only: bool = False
    """Whether it is a claim about Proxmox VE's packages and about no other QEMU."""

    def __str__(self) -> str:
        ranges = [] if self.pve_only else [_describe("QEMU", self.since, self.before)]
        if self.pve_only or self.pve_since or self.pve_before:
            before = self.pve_before or self.before
            ranges.append(_describe("pve-qemu", self.pve_since or self.since, before))
        return "; ".join(ranges)

    def hold(self, host: Host) -> bool:
        """Returns whether a host's QEMU is among them; one that is not known never is."""
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
