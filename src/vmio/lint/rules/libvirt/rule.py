"""The base of the rules about libvirt domains."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from vmio.formats.libvirt.xml import Element
from vmio.lint.rule import Context, Rule

if TYPE_CHECKING:
    from vmio.formats.libvirt.guest import LibvirtGuest

__all__ = ["LibvirtRule", "guest_of", "name_owner", "name_version"]

_SHOWN = 40


class LibvirtRule(Rule):
    """A rule about libvirt domains."""

    notation = "libvirt"


def guest_of(context: Context) -> LibvirtGuest:
    """Returns the guest as its domain says it; the engine has skipped all other guests."""
    return cast("LibvirtGuest", context.guest)


def name_version(context: Context) -> str:
    """Returns the libvirt that a domain is read as: `libvirt 11.3`."""
    major, minor = guest_of(context).version
    return f"libvirt {major}.{minor}"


def name_owner(way: Sequence[Element]) -> str:
    """Returns of what an element is a part, such as ` of vda`; empty for other parts."""
    for element in way:
        target = element.find("target") if element.name == "disk" else None
        if target is not None and target.get("dev"):
            return f" of {(target.get('dev') or '')[:_SHOWN]}"
        if element.name == "controller":
            kind, index = element.get("type") or "", element.get("index") or ""
            return f" of {kind[:_SHOWN]}{index[:_SHOWN]}"
        if element.name == "iothread" and element.get("id"):
            return f" of iothread{(element.get('id') or '')[:_SHOWN]}"
    return ""
