"""A better layout for one guest: what to change, step by step, and why.

A plan is read from files too, and its words are put into shell commands, journals and reports. So
whatever is not one line of text cannot be part of one.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

from attrs import field, frozen
from attrs.validators import and_, deep_iterable, ge, lt, max_len, min_len, optional

from vmio.errors import PlanError
from vmio.model.topology import Topology

if TYPE_CHECKING:
    from attrs import Attribute

__all__ = ["Change", "LiveChange", "Plan", "Step", "TakesEffect"]

_CONTROL = r"\x00-\x1f\x7f-\x9f\u2028\u2029"
_NOT_IN_A_LINE = re.compile(rf"[{_CONTROL}\ud800-\udfff\ufffd]")
"""U+FFFD stands for bytes that were no text; written back, it would be another name."""
_NOT_IN_A_PATH = re.compile(rf"[{_CONTROL}]")
_NOT_IN_A_NAME = re.compile(rf"^-|{_NOT_IN_A_LINE.pattern}")
_SHOWN_CHARACTERS = 60
_MOST_STEPS = 100
_MOST_CHANGES = 256
"""More than all options that a plan changes of all disks that a guest can have."""


def _be_line(_: object, attribute: Attribute[str], value: str) -> None:
    _refuse(_NOT_IN_A_LINE.search(value), attribute, value)


def _be_value(_: object, attribute: Attribute[str], value: str) -> None:
    # Where blanks may stand in a config's line, tabs may.
    _be_line(_, attribute, value.replace("\t", " "))


def _be_path(_: object, attribute: Attribute[str], value: str) -> None:
    # Bytes that are no text are part of a file's name, as surrogate escapes.
    _refuse(_NOT_IN_A_PATH.search(value), attribute, value)


def _be_name(_: object, attribute: Attribute[str], value: str) -> None:
    # It is a word of commands, where it would be an option.
    _refuse(_NOT_IN_A_NAME.search(value), attribute, value)


def _refuse(found: re.Match[str] | None, attribute: Attribute[str], value: str) -> None:
    if found is not None:
        start = max(0, found.start() - _SHOWN_CHARACTERS // 2)
        shown = ascii(value[start : start + _SHOWN_CHARACTERS])
        raise PlanError(f"a plan cannot have {shown} as its {attribute.name}")


_be_words = and_(min_len(1), _be_line)

TakesEffect = Literal["live", "restart"]
"""live: at once, over QMP; restart: after a full stop and start, a reboot inside is not enough."""


@frozen(kw_only=True)
class Change:
    """One change of a config, in its notation's own words."""

    key: str = field(validator=_be_words)
    """The setting, such as `scsihw` or `scsi0`."""
    option: str = field(default="", validator=_be_line)
    """The option of a setting that is a list of them, such as `iothread`; empty: the setting."""
    old: str | None = field(default=None, validator=optional(_be_value))
    """What is written now; None if nothing is."""
    new: str | None = field(default=None, validator=optional(_be_value))
    """What shall be; None removes it."""


@frozen(kw_only=True)
class LiveChange:
    """One property of a running QEMU's object, set with `qom-set` and read back."""

    path: str = field(validator=_be_words)
    """The object's place, such as `/objects/iothread-virtioscsi0`."""
    property: str = field(validator=_be_words)
    """QEMU's name, such as `poll-max-ns`."""
    new: int = field(validator=and_(ge(0), lt(1 << 63)))


@frozen(kw_only=True)
class Step:
    """One thing to do; all its changes are made or none."""

    what: str = field(validator=_be_words)
    """In the imperative, one line, no full stop."""
    why: str = field(validator=_be_words)
    """What is wrong without it."""
    source: str = field(validator=_be_words)
    """The document, source file and version, or measurement that the reason comes from."""
    effect: str = field(default="", validator=_be_line)
    """What to expect of it."""
    guest_notices: str = field(default="", validator=_be_line)
    """What the guest sees: another device path, a driver it needs; empty if nothing."""
    takes_effect: TakesEffect = "restart"
    changes: tuple[Change, ...] = field(default=(), validator=max_len(_MOST_CHANGES))
    live: tuple[LiveChange, ...] = field(default=(), validator=max_len(_MOST_CHANGES))
    """What a running guest can be given at once; empty where it has to wait for a restart."""
    by_hand: str = field(default="", validator=_be_line)
    """What only a person can do, such as a command on the host; empty if the changes are all."""


@frozen(kw_only=True)
class Plan:
    """All steps for one guest under one policy, and the layouts before and after."""

    vm: str = field(validator=and_(min_len(1), _be_name))
    """What its manager calls the guest."""
    notation: str = field(validator=_be_words)
    config: str = field(validator=and_(min_len(1), _be_path))
    """The name of the file that it was made from."""
    digest: str = field(validator=_be_words)
    """Of that file's bytes (SHA-1, as Proxmox VE's own), so that a later change is noticed."""
    policy: str = field(validator=_be_words)
    notes: tuple[str, ...] = field(
        default=(), validator=and_(max_len(_MOST_CHANGES), deep_iterable(_be_line))
    )
    """What there is to know of the guest's disks that no step is about."""
    steps: tuple[Step, ...] = field(default=(), validator=max_len(_MOST_STEPS))
    before: Topology
    after: Topology
