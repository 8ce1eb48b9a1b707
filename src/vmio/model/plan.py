"""A better layout for one guest: what to change, step by step, and why."""

from __future__ import annotations

from typing import Literal

from attrs import field, frozen
from attrs.validators import min_len

from vmio.model.topology import Topology
from vmio.model.vm import Notation

__all__ = ["Change", "LiveChange", "Plan", "Step", "TakesEffect"]

TakesEffect = Literal["live", "restart"]
"""live: at once, over QMP; restart: after a full stop and start, a reboot inside is not enough."""


@frozen(kw_only=True)
class Change:
    """One change of a config, in its notation's own words."""

    key: str = field(validator=min_len(1))
    """The setting, such as `scsihw` or `scsi0`."""
    option: str = ""
    """The option of a setting that is a list of them, such as `iothread`; empty: the setting."""
    old: str | None = None
    """What is written now; None if nothing is."""
    new: str | None = None
    """What shall be; None removes it."""


@frozen(kw_only=True)
class LiveChange:
    """One property of a running QEMU's object, set with `qom-set` and read back."""

    path: str
    """The object's place, such as `/objects/iothread-virtioscsi0`."""
    property: str
    """QEMU's name, such as `poll-max-ns`."""
    new: int


@frozen(kw_only=True)
class Step:
    """One thing to do; all its changes are made or none."""

    what: str = field(validator=min_len(1))
    """In the imperative, one line, no full stop."""
    why: str = field(validator=min_len(1))
    """What is wrong without it."""
    source: str = field(validator=min_len(1))
    """The document, source file and version, or measurement that the reason comes from."""
    effect: str = ""
    """What to expect of it."""
    guest_notices: str = ""
    """What the guest sees: another device path, a driver it needs; empty if nothing."""
    takes_effect: TakesEffect = "restart"
    changes: tuple[Change, ...] = ()
    live: tuple[LiveChange, ...] = ()
    """What a running guest can be given at once; empty where it has to wait for a restart."""
    by_hand: str = ""
    """What only a person can do, such as a command on the host; empty if the changes are all."""


@frozen(kw_only=True)
class Plan:
    """All steps for one guest under one policy, and the layouts before and after."""

    vm: str
    """What its manager calls the guest."""
    notation: Notation
    config: str
    """The name of the file that it was made from."""
    digest: str
    """Of that file's bytes (SHA-1, as Proxmox VE's own), so that a later change is noticed."""
    policy: str
    notes: tuple[str, ...] = ()
    """What there is to know of the guest's disks that no step is about."""
    steps: tuple[Step, ...] = ()
    before: Topology
    after: Topology
