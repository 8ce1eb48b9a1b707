"""A course in few pieces."""

from __future__ import annotations

import pytest

from vmio.sim.timeline import Timeline, join_pieces


@pytest.mark.parametrize("phases", [0, 1, 511, 512, 513, 5_000, 40_000])
def test_every_phase_is_in_a_piece(phases: int) -> None:
    """However many there are, the pieces stay few, and none is counted twice or lost."""
    timeline = Timeline()
    for number in range(phases):
        timeline.add(1_000 + number)
        if number % 3 == 0:
            timeline.mark_in_vain()
    pieces = timeline.pieces
    assert len(pieces) <= 512
    assert sum(piece.phases for piece in pieces) == phases
    assert sum(piece.in_vain for piece in pieces) == -(-phases // 3)
    if phases:
        assert pieces[0].least_ns == 1_000
        assert pieces[-1].most_ns == 1_000 + phases - 1


def test_piece_begins_with_its_first_phase() -> None:
    """However many phases it comes to hold."""
    timeline = Timeline()
    for number in range(5_000):
        timeline.add(1_000, number * 7)
    before = 0
    for piece in timeline.pieces:
        assert piece.begin_ns == before * 7
        before += piece.phases


def test_joined_pieces_keep_their_extremes() -> None:
    """Fewer pieces have the same phases, and the least and the longest of them."""
    timeline = Timeline()
    for budget_ns in (4_000, 8_000, 16_000, 32_000, 0, 4_000, 8_000):
        timeline.add(budget_ns)
    two = join_pieces(timeline.pieces, 2)
    assert [(each.least_ns, each.most_ns, each.phases) for each in two] == [
        (4_000, 16_000, 3),
        (0, 32_000, 4),
    ]
