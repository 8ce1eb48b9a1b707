"""Limits of disks and of the groups that they share.

Source: libvirt 11.3.0, run: `virsh domxml-to-native` and its messages.
"""

from __future__ import annotations

from collections.abc import Iterator

from vmio.formats.libvirt.domain import LIMITS, ThrottleGroup
from vmio.formats.libvirt.reading import MAX_LARGE, NUMBER, Reading, get_text
from vmio.formats.libvirt.versions import has_feature
from vmio.formats.libvirt.xml import Element

__all__ = ["read_filters", "read_groups", "read_iotune"]


def read_groups(reading: Reading, root: Element) -> Iterator[ThrottleGroup]:
    """Yields the groups of limits, of which an older libvirt has none."""
    if not has_feature(reading.version, "throttle-groups"):
        return
    groups = root.find("throttlegroups")
    seen: set[str] = set()
    for element in groups.find_all("throttlegroup") if groups is not None else ():
        limits = _read_limits(reading, element, "throttle group")
        name = get_text(element.find("group_name"))
        if not name:
            reading.refuse("missing group name", element)
            continue
        if name in seen:
            reading.refuse(f"duplicate group name '{name}' found", element)
            continue
        seen.add(name)
        yield ThrottleGroup(name=name, limits=limits)


def read_iotune(reading: Reading, element: Element) -> tuple[tuple[tuple[str, int], ...], str]:
    """Returns a disk's own limits, and the group that it shares them with."""
    tune = element.find("iotune")
    if tune is None:
        return (), ""
    limits, group = _read_limits(reading, tune, "disk iotune"), get_text(tune.find("group_name"))
    if group and not limits:
        reading.refuse("group_name can be configured only together with settings", tune)
    return limits, group


def read_filters(reading: Reading, element: Element) -> tuple[str, ...]:
    """Returns the groups whose limits a disk has."""
    filters = element.find("throttlefilters")
    if filters is None or not has_feature(reading.version, "throttle-groups"):
        return ()
    names: dict[str, None] = {}
    for child in filters.find_all("throttlefilter"):
        group = child.get("group") or ""
        if group in names:
            reading.refuse(f"duplicate filter name '{group}' found", child)
        names[group] = None
    return tuple(names)


def _read_limits(reading: Reading, element: Element, what: str) -> tuple[tuple[str, int], ...]:
    found: dict[str, int] = {}
    for child in element.children:
        if child.name not in LIMITS:
            continue
        text = child.text.strip()
        if not NUMBER.fullmatch(text) or int(text) > MAX_LARGE:
            reading.refuse(f"{what} field '{child.name}' must be an integer", child)
        elif int(text):
            found[LIMITS[child.name]] = int(text)
    for unit, name in (("bps", "bytes"), ("iops", "iops")):
        for end in ("", "-max"):
            sides = (f"{unit}-read{end}", f"{unit}-write{end}")
            if f"{unit}-total{end}" in found and any(side in found for side in sides):
                word = f"{name}_sec{end.replace('-', '_')}"
                said = f"total and read/write {word} cannot be set at the same time"
                reading.refuse(said, element)
    order = list(LIMITS.values())
    return tuple(sorted(found.items(), key=lambda item: order.index(item[0])))
