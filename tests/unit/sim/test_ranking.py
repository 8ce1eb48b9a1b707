"""Layouts in order: as far as predictions tell them apart, and no further."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmio.errors import PlanError
from vmio.model.capabilities import QemuVersion
from vmio.model.iothread import MAIN_LOOP, IOThread
from vmio.model.topology import Topology
from vmio.sim.profile import DEFAULT_PROFILE
from vmio.sim.ranking import (
    CRITERIA,
    Criterion,
    NamedLayout,
    Ranking,
    join_layouts,
    predict_layouts,
    rank_layouts,
)
from vmio.sim.simulator import Prediction
from vmio.sim.workload import Workload

Make = Callable[..., Prediction]
SPANS = st.floats(1, 1e6) | st.tuples(st.floats(1, 1e6), st.floats(1, 1e6)).map(
    lambda ends: (min(ends), max(ends))
)


def rank(
    make: Make, *latencies_us: float | tuple[float, float], by: Criterion = "latency"
) -> Ranking:
    """Ranks layouts that are called by the letters of the alphabet."""
    return rank_layouts(
        by,
        [
            (NamedLayout(names=("abcdefgh"[at],), topology=Topology()), make(latency, 1))
            for at, latency in enumerate(latencies_us)
        ],
    )


def list_places(ranking: Ranking) -> list[tuple[str, int, int]]:
    """Returns each name with its first and last place."""
    return [(each.layout.names[0], each.first, each.last) for each in ranking.layouts]


def test_rank_layouts_puts_the_best_first(make_prediction: Make) -> None:
    """Low latencies before high ones, and many IOPS before few."""
    expected = [("b", 1, 1), ("c", 2, 2), ("a", 3, 3)]
    assert list_places(rank(make_prediction, 300, 100, 200)) == expected
    assert list_places(rank(make_prediction, 300, 100, 200, by="iops")) == expected


def test_rank_layouts_shows_overlapping_ranges_as_a_tie(make_prediction: Make) -> None:
    """A range that reaches over two others can be in any of the places."""
    ranking = rank(make_prediction, 300, (90, 310), 100)
    assert list_places(ranking) == [("c", 1, 2), ("b", 1, 3), ("a", 2, 3)]


def test_rank_layouts_does_not_tell_apart_what_no_measurement_would(
    make_prediction: Make,
) -> None:
    """Less than 5 % apart is a tie, however narrow the intervals are; more is none."""
    assert list_places(rank(make_prediction, 104, 100)) == [("a", 1, 2), ("b", 1, 2)]
    assert list_places(rank(make_prediction, 106, 100)) == [("b", 1, 1), ("a", 2, 2)]


def test_rank_layouts_takes_processors_that_are_idle(make_prediction: Make) -> None:
    """No processor time at all is the least, and two of it are a tie."""
    results = [
        (NamedLayout(names=(name,), topology=Topology()), make_prediction(100, cpu))
        for name, cpu in (("busy", 0.5), ("idle", 0), ("still", 0))
    ]
    assert list_places(rank_layouts("cpu", results)) == [
        ("idle", 1, 2),
        ("still", 1, 2),
        ("busy", 3, 3),
    ]


def test_rank_layouts_keeps_what_could_not_be_predicted(make_prediction: Make) -> None:
    """Each of its names has the reason; where nothing could be, it is raised."""
    hopeless = (NamedLayout(names=("x", "y"), topology=Topology()), PlanError("no"))
    good = (NamedLayout(names=("a",), topology=Topology()), make_prediction(100, 1))
    ranking = rank_layouts("iops", [hopeless, good], left_out=[("z", "never")])
    assert ranking.left_out == (("z", "never"), ("x", "no"), ("y", "no"))
    assert list_places(ranking) == [("a", 1, 1)]
    with pytest.raises(PlanError, match="no"):
        rank_layouts("iops", [hopeless])


def test_rank_layouts_says_what_is_not_known_of_the_main_loop(make_prediction: Make) -> None:
    """Its other work takes nothing from its disks in the prediction: that flatters it."""
    results = [
        (NamedLayout(names=(name,), topology=Topology()), make_prediction(100, 1, loop=loop))
        for name, loop in (("as it is", MAIN_LOOP), ("auto", "iot0"))
    ]
    assert rank_layouts("cpu", results, notes=["first"]).notes == (
        "first",
        "as it is: the main loop is assumed to serve only these disks",
    )
    assert rank_layouts("cpu", results[1:]).notes == ()


@given(latencies=st.lists(SPANS, min_size=1, max_size=8), by=st.sampled_from(CRITERIA))
def test_rank_layouts_leaves_each_place_to_somebody(
    make_prediction: Make, latencies: list[float], by: Criterion
) -> None:
    """The order is one of those that the places allow, whatever overlaps what."""
    ranking = rank(make_prediction, *latencies, by=by)
    assert len(ranking.layouts) == len(latencies)
    for place, each in enumerate(ranking.layouts, start=1):
        assert each.first <= place <= each.last


def test_join_layouts_joins_what_is_the_same() -> None:
    """In the order of the first of its names."""
    one, other = Topology(), Topology(iothreads=(IOThread(id="a"),))
    joined = join_layouts([("x", one), ("y", other), ("z", Topology())])
    assert [(each.names, each.topology) for each in joined] == [
        (("x", "z"), one),
        (("y",), other),
    ]


def test_predict_layouts_says_why_there_is_no_prediction() -> None:
    """A layout without a disk is no reason not to go on."""
    results = predict_layouts(
        Workload(name="a"),
        [NamedLayout(names=("a",), topology=Topology())] * 2,
        profile=DEFAULT_PROFILE,
        version=QemuVersion(10, 0, 2),
        seeds=2,
        requests=100,
    )
    assert [str(result) for result in results] == ["there is no disk to simulate"] * 2


def test_rank_layouts_says_why_a_plan_proposes_another(make_prediction: Make) -> None:
    """Only where the proposed layout is certainly not the best; the reason is of that one."""

    def note(proposed: str, *, loop: str = "iot0") -> str:
        results = [
            (
                NamedLayout(names=(name,), topology=Topology()),
                make_prediction(latency, 1, loop=loop),
            )
            for name, latency in (("today", 100), ("tie", 101), ("worse", 200))
        ]
        return " ".join(rank_layouts("latency", results, proposed=proposed).notes)

    assert "vmio plan proposes worse, though 'today' is ranked first" in note("worse")
    assert "takes disks off the main loop" in note("worse", loop=MAIN_LOOP)
    for proposed in ("tie", "today", "absent", ""):
        assert "vmio plan proposes" not in note(proposed)
