"""How much of vmio still asks which notation a guest is written in; it should be its home alone.

Imports of a notation are counted by the contract `notations` in pyproject.toml.
"""

from __future__ import annotations

import ast
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src" / "vmio"
GUESTS = frozenset({"Guest", "ProxmoxGuest", "QemuGuest"})
HOMES = frozenset({"formats", "managers"})
"""What is in a folder of these may know the notation of that folder."""
TESTS = 0
"""Of a notation, outside those. Whoever removes one lowers this; nobody raises it."""


def is_test(node: ast.AST) -> bool:
    """Returns whether code compares a notation, or asks of which class a guest is."""
    if isinstance(node, ast.Compare):
        sides = (node.left, *node.comparators)
        return any(isinstance(side, ast.Attribute) and side.attr == "notation" for side in sides)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        names = {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}
        return node.func.id == "isinstance" and bool(names & GUESTS)
    return False


def is_home(path: Path) -> bool:
    """Returns whether a module is in the folder of one notation or one manager."""
    top, *below = path.relative_to(SOURCE).parts
    return top in HOMES and (top == "formats" or len(below) > 1)


def count_tests(source: str) -> int:
    """Returns how many such tests a module has."""
    return sum(map(is_test, ast.walk(ast.parse(source))))


def test_notation_is_asked_for_less_and_less() -> None:
    """The number of tests outside the notations' folders only falls."""
    counts = {
        str(path.relative_to(SOURCE)): count
        for path in sorted(SOURCE.rglob("*.py"))
        if not is_home(path) and (count := count_tests(path.read_text(encoding="utf-8")))
    }
    assert sum(counts.values()) == TESTS, counts


def test_tests_of_a_notation_are_found() -> None:
    """Both ways to ask are counted, and what only names a notation is not."""
    assert count_tests("if vm.notation != 'proxmox' or 'qemu' == guest.vm.notation: pass") == 2
    assert count_tests("isinstance(guest, Guest); isinstance(guest, str)") == 1
    assert count_tests("notation = vm.notation") == 0
