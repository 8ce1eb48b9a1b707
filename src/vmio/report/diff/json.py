"""A comparison of two command lines as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

from vmio.formats.qemu.diff import Difference, DifferenceKind
from vmio.report.envelope import render_document

__all__ = ["DiffData", "render_diff_json"]


class KeyChangeData(TypedDict):
    """A key with different values; null if it is missing on a side."""

    key: str
    a: str | None
    b: str | None


class DifferenceData(TypedDict):
    """An object, device or option that differs between the sides."""

    kind: DifferenceKind
    """`order`: devices without an address of their own are in a different order."""
    option: str
    """QEMU's option without its dash; `program` for the program itself."""
    id: str
    driver: str
    """Such as `virtio-scsi-pci` or `iothread`; empty if the option has no type."""
    changes: list[KeyChangeData]


class DiffData(TypedDict):
    """Where two command lines differ."""

    a: str
    """As given on the command line."""
    b: str
    equal: bool
    differences: list[DifferenceData]


def render_diff_json(a: str, b: str, differences: Sequence[Difference]) -> str:
    """Returns the sides' names, whether they are equal, and the differences as a document."""
    data: DiffData = {
        "a": a,
        "b": b,
        "equal": not differences,
        "differences": [_describe(difference) for difference in differences],
    }
    return render_document("diff", data)


def _describe(difference: Difference) -> DifferenceData:
    return {
        "kind": difference.kind,
        "option": difference.option,
        "id": difference.id,
        "driver": difference.driver,
        "changes": [
            {"key": change.key, "a": change.a, "b": change.b} for change in difference.changes
        ],
    }
