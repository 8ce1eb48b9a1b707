"""How long a loop's phases polled over a whole trace, in a fixed number of pieces."""

from __future__ import annotations

from typing import Final

from msgspec import Struct, field

from vmio.values import replace

__all__ = ["Piece", "Timeline", "join_pieces"]

_MAX_PIECES: Final = 512


class Piece(Struct, frozen=True, kw_only=True):
    """A series of consecutive phases.

    Units: nanoseconds.
    """

    least_ns: int
    most_ns: int
    """The shortest and the longest budget."""
    phases: int
    in_vain: int
    begin_ns: int | None = None
    """Of the first phase, since the loop's first event; None without timestamps."""

    def join(self, later: Piece) -> Piece:
        """Returns this piece and the next as one."""
        return Piece(
            least_ns=min(self.least_ns, later.least_ns),
            most_ns=max(self.most_ns, later.most_ns),
            phases=self.phases + later.phases,
            in_vain=self.in_vain + later.in_vain,
            begin_ns=self.begin_ns,
        )


class Timeline(Struct):
    """Pieces with equal numbers of phases, which get longer as the trace does."""

    pieces: list[Piece] = field(default_factory=list)
    _per_piece: int = 1

    def add(self, budget_ns: int, begin_ns: int | None = None) -> None:
        """Adds the next phase, which counts as successful until it is marked as in vain."""
        one = Piece(least_ns=budget_ns, most_ns=budget_ns, phases=1, in_vain=0, begin_ns=begin_ns)
        if self.pieces and self.pieces[-1].phases < self._per_piece:
            self.pieces[-1] = self.pieces[-1].join(one)
            return
        if len(self.pieces) == _MAX_PIECES:
            self.pieces = join_pieces(self.pieces, _MAX_PIECES // 2)
            self._per_piece *= 2
        self.pieces.append(one)

    def mark_in_vain(self) -> None:
        """Marks the last phase as having found nothing."""
        if self.pieces:
            last = self.pieces[-1]
            self.pieces[-1] = replace(last, in_vain=min(last.phases, last.in_vain + 1))


def join_pieces(pieces: list[Piece], count: int) -> list[Piece]:
    """Returns the same phases in at most the given number of pieces."""
    if len(pieces) <= count:
        return list(pieces)
    found: list[Piece] = []
    for number in range(count):
        group = pieces[number * len(pieces) // count : (number + 1) * len(pieces) // count]
        joined = group[0]
        for piece in group[1:]:
            joined = joined.join(piece)
        found.append(joined)
    return found
