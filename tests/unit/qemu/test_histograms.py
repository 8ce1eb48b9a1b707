"""Commands about latency histograms, of which one could crash a QEMU."""

from __future__ import annotations

from pathlib import Path

import pytest

import vmio
from vmio.qemu.histograms import HistogramKind, ask_to_count, ask_to_stop_counting


def test_command_sets_the_kinds_that_are_asked_for() -> None:
    """The others stay as they are."""
    question = ask_to_count("/machine/x", (10, 100), ("reads", "flushes"))
    assert question.command == "block-latency-histogram-set"
    assert question.arguments == {
        "id": "/machine/x",
        "boundaries-read": [10, 100],
        "boundaries-flush": [10, 100],
    }
    assert ask_to_stop_counting("/machine/x").arguments == {"id": "/machine/x"}


@pytest.mark.parametrize(
    "boundaries_ns",
    [(), (0, 1), (-1, 1), (10, 10), (10, 9), (1 << 64,), tuple(range(1, 1026))],
)
def test_boundaries_that_qemu_does_not_bear_are_refused(boundaries_ns: tuple[int, ...]) -> None:
    """An empty list crashes QEMU 10.0.2 at the next request."""
    with pytest.raises(ValueError, match="histogram"):
        ask_to_count("/machine/x", boundaries_ns, ("reads",))


@pytest.mark.parametrize(("place", "kinds"), [("", ("reads",)), ("x", ())])
def test_histogram_of_nothing_is_refused(place: str, kinds: tuple[HistogramKind, ...]) -> None:
    """Without a kind the command would remove all that the disk has."""
    with pytest.raises(ValueError, match="histogram"):
        ask_to_count(place, (10,), kinds)


def test_removing_is_of_a_disk() -> None:
    """An empty name is none."""
    with pytest.raises(ValueError, match="histogram"):
        ask_to_stop_counting("")


def test_no_other_module_makes_the_command() -> None:
    """Else boundaries could be sent unchecked."""
    source = Path(vmio.__file__).parent
    makers = [
        path.relative_to(source).as_posix()
        for path in source.rglob("*.py")
        if '"block-latency-histogram-set"' in path.read_text(encoding="utf-8")
    ]
    assert makers == ["qemu/histograms.py"]
