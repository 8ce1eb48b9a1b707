"""A comparison of two command lines in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final, Literal

from vmio.characters import disarm_lines, printable
from vmio.formats.qemu.diff import Change, Difference

__all__ = ["render_diff_text"]

_NAMES = {
    "blockdev": "block node",
    "chardev": "chardev",
    "device": "device",
    "drive": "drive",
    "netdev": "netdev",
    "object": "object",
}
_REFERENCES = frozenset({"iothread"})
"""Keys that are not written for a block node's default."""
_MAX_VALUE = 120


_ONLY: Final = {
    None: ("only in A", "only in B"),
    "a": ("running but not configured", "configured but not running"),
    "b": ("configured but not running", "running but not configured"),
}


def render_diff_text(
    differences: Sequence[Difference],
    *,
    a: str = "A",
    b: str = "B",
    running: Literal["a", "b"] | None = None,
) -> str:
    """Returns a line for each difference.

    Args:
        differences: The differences.
        a: The name of the first side.
        b: The name of the second side.
        running: The side that is running while the other is only configured; adds a heading line.
    """
    lines = [printable(_render(difference, *_ONLY[running])) for difference in differences]
    if running is not None and lines:
        states = ("running", "configured") if running == "a" else ("configured", "running")
        lines.insert(0, printable(f"{states[0]}: {a} → {states[1]}: {b}"))
    return disarm_lines("".join(f"{line}\n" for line in lines))


def _render(difference: Difference, only_a: str, only_b: str) -> str:
    match difference.kind:
        case "only-a":
            return f"{_name(difference)} {only_a}"
        case "only-b":
            return f"{_name(difference)} {only_b}"
        case "order":
            change = difference.changes[0]
            return (
                "devices without an address come in another order, and so get other addresses: "
                f"{change.a} → {change.b}"
            )
        case "changed":
            paths = [_shorten(change.key) for change in difference.changes]
            counts = Counter(paths)
            return f"{_name_short(difference)}: " + ", ".join(
                _render_change(change, change.key if counts[path] > 1 else path)
                for change, path in zip(difference.changes, paths, strict=True)
            )


def _render_change(change: Change, key: str) -> str:
    unset = "none" if key in _REFERENCES else "unset"
    a, b = (unset if value is None else _clip(value) for value in (change.a, change.b))
    return f"{a} → {b}" if key == "value" else f"{key} {a} → {b}"


def _shorten(key: str) -> str:
    """Returns a block node's key without the outer layers."""
    while key.startswith("file.") and key != "file.":
        key = key.removeprefix("file.")
    return key


def _name_short(difference: Difference) -> str:
    if not difference.id:
        known = difference.option in _NAMES
        return f"-{difference.option} {difference.driver}" if known else _dash(difference.option)
    if difference.option in {"device", "drive", "blockdev"}:
        return _bare(difference.id)
    return _name(difference)


def _name(difference: Difference) -> str:
    if not difference.id:
        return f"{_dash(difference.option)} {difference.driver}".strip()
    if difference.option == "object" and difference.driver == "iothread":
        return f"IOThread {difference.id}"
    name = _NAMES.get(difference.option, _dash(difference.option))
    driver = f" ({difference.driver})" if difference.driver else ""
    shown = difference.id if difference.option != "drive" else _bare(difference.id)
    return f"{name} {shown}{driver}"


def _bare(identity: str) -> str:
    """Returns the disk that a drive belongs to; Proxmox and libvirt name drives after disks."""
    return identity.removeprefix("drive-")


def _dash(option: str) -> str:
    return option if option == "program" else f"-{option}"


def _clip(value: str) -> str:
    return value if len(value) <= _MAX_VALUE else f"{value[:_MAX_VALUE]}…"
