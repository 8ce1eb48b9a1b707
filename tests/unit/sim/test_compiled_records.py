"""Records as compiled code sees them, and the heap that it has instead of the interpreter's."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmio.sim.kernel import _make_heap, _pop, _push

numba = pytest.importorskip("numba")

from vmio.sim.compiled_records import Block, find_record  # noqa: E402


@dataclass(eq=False, slots=True)
class Leaf:
    """A record without others."""

    number: int
    flag: bool = False


@dataclass(eq=False, slots=True)
class Tree:
    """A record with each kind of field."""

    leaf: Leaf
    leaves: list[Leaf]
    numbers: list[int] = field(default_factory=list)
    again: Tree = field(init=False)
    answer: int = 0


def run(function: Any, root: object) -> Any:  # noqa: ANN401 - what it returns
    """Runs a function on a record, compiled, and reads back what it did."""
    compiled, find = numba.njit(function), find_record(type(root))
    block = Block(root)
    returned = numba.njit(lambda address: compiled(find(address)))(block.address)
    block.read_back()
    return returned


def make() -> Tree:
    """Returns a tree whose leaves are its leaf, another and its leaf again."""
    leaf, other = Leaf(5), Leaf(-7, flag=True)
    tree = Tree(leaf, [leaf, other, leaf], [10, 20, 2**62])
    tree.again = tree
    return tree


def test_compiled_code_reads_every_kind_of_field() -> None:
    """The same function answers the same, compiled or not."""

    def add(tree: Tree) -> int:
        total = tree.again.leaf.number
        for leaf in tree.leaves:
            if leaf.flag:
                total += leaf.number
            if leaf is tree.leaf:
                total += 1000
            if leaf is not tree.leaf:
                total += 100_000
        for number in tree.numbers:
            total += number
        return total + tree.numbers[1] + tree.leaves[1].number + len(tree.leaves)

    tree = make()
    assert run(add, tree) == add(tree) == 5 - 7 + 2000 + 100_000 + 30 + 2**62 + 20 - 7 + 3


def test_what_compiled_code_writes_comes_back() -> None:
    """Numbers and truths of records, and elements of lists; one record stays one."""

    def write(tree: Tree) -> None:
        tree.answer = 42
        tree.leaf.number += 1
        tree.leaves[2].number += 1
        tree.leaves[1].flag = False
        tree.leaf.flag = tree.answer > 41
        tree.numbers[0] = -1

    tree = make()
    run(write, tree)
    assert (tree.answer, tree.leaf.number, tree.numbers) == (42, 7, [-1, 20, 2**62])
    assert (tree.leaf.flag, tree.leaves[1].flag) == (True, False)
    assert tree.leaves[0] is tree.leaves[2] is tree.leaf


def test_fields_that_were_never_set_stay_so() -> None:
    """Compiled code may set one; there is nothing in the interpreter that it would be."""

    def write(tree: Tree) -> None:
        tree.again = tree

    tree = Tree(Leaf(1), [])
    run(write, tree)
    assert not hasattr(tree, "again")
    assert tree.numbers == []


EVENTS = st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=60)


@given(EVENTS)
def test_heap_gives_back_the_earliest_first(steps: list[tuple[int, bool]]) -> None:
    """Of one time, in the order in which they arose, while others come and go."""
    heap = _make_heap()
    inside: list[tuple[int, int, int, int, int]] = []
    for order, (time, leaves) in enumerate(steps):
        # What goes with an event decides nothing, so it stands against the order.
        event = (time, order - 1, 3, 100 - order, -order)
        _push(heap, event)
        inside = sorted([*inside, event])
        if leaves:
            assert _pop(heap) == inside.pop(0)
    assert [_pop(heap) for _ in inside] == inside
