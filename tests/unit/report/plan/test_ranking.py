"""A ranking for people and for programs: nobody can take it for a measurement."""

from __future__ import annotations

import io
import json
from collections.abc import Callable

from rich.console import Console

from vmio.model.iothread import IOThread
from vmio.model.topology import Topology
from vmio.report.plan.ranking_json import render_ranking_json
from vmio.report.plan.ranking_text import print_ranking
from vmio.sim.ranking import NamedLayout, Ranking, rank_layouts
from vmio.sim.simulator import Prediction

Make = Callable[..., Prediction]


def make_ranking(make: Make) -> Ranking:
    """Returns a range, a tie with it that has a note, a clear last one, and one without a plan."""
    outcomes = (
        (("as it is",), make(300, 1)),
        (("auto", "per-disk"), make((90, 110), (0.7, 1.4))),
        (("shared",), make(100, 0.5, notes=("limits are left out",))),
    )
    return rank_layouts(
        "latency",
        [
            (
                NamedLayout(names=names, topology=Topology(iothreads=(IOThread(id=names[0]),))),
                found,
            )
            for names, found in outcomes
        ],
        left_out=[("vq-map:2", "one processor\x1b")],
        notes=["a note"],
    )


def show(ranking: Ranking, *, columns: int) -> list[str]:
    """Returns what is printed."""
    file = io.StringIO()
    print_ranking(ranking, Console(file=file, width=columns, highlight=False, markup=False))
    return [line.rstrip() for line in file.getvalue().splitlines()]


def test_print_ranking_says_what_it_is_and_how_far_it_goes(make_prediction: Make) -> None:
    """Predicted, by which costs and for which load first; ties and ranges are explained."""
    assert show(make_ranking(make_prediction), columns=120) == """\
predicted, nothing was measured: 4k-randread-qd1 on every disk, QEMU 10.0.2, bench-host, not this host
ranked by mean latency, lowest first

rank    layout          IOThreads            IOPS       latency           CPU
─────────────────────────────────────────────────────────────────────────────
1 to 2  auto, per-disk          1  9.09k to 11.1k  90 to 110 µs  0.70 to 1.40
1 to 2  shared                  1             10k        100 µs          0.50
3       as it is                1           3.33k        300 µs          1.00

more than one rank: a tie, as the intervals overlap or are less than 5 % apart
a range: bistable, depends on the initial polling times
CPU: all event loops together, in processors
not ranked: vq-map:2: one processor\\x1b
note: a note
note: shared: limits are left out
measure what matters: vmio bench""".splitlines()  # fmt: skip  # noqa: E501


def test_print_ranking_fits_a_terminal(make_prediction: Make) -> None:
    """On 80 columns names are folded and no figure is cut off."""
    lines = show(make_ranking(make_prediction), columns=80)
    assert max(map(len, lines)) <= 80
    assert any("0.70 to 1.40" in line and "9.09k to 11.1k" in line for line in lines)


def test_print_ranking_without_a_tie_explains_none(make_prediction: Make) -> None:
    """One layout has one place."""
    layout = NamedLayout(names=("as it is",), topology=Topology())
    text = "\n".join(show(rank_layouts("cpu", [(layout, make_prediction(1, 1))]), columns=80))
    assert "tie" not in text
    assert "bistable" not in text


def test_render_ranking_json_has_all_of_it(make_prediction: Make) -> None:
    """Places with both ends, and no mean where there is a range."""
    found = json.loads(render_ranking_json(make_ranking(make_prediction)))["data"]
    assert found["ranked_by"] == "latency"
    assert [(each["names"], each["place"]) for each in found["layouts"]] == [
        (["auto", "per-disk"], {"first": 1, "last": 2}),
        (["shared"], {"first": 1, "last": 2}),
        (["as it is"], {"first": 3, "last": 3}),
    ]
    assert found["layouts"][0]["prediction"]["iops"]["mean"] is None
    assert found["layouts"][0]["prediction"]["profile"] == "bench-host, not this host"
    assert found["left_out"] == [{"name": "vq-map:2", "reason": "one processor\x1b"}]
    assert found["notes"] == ["a note"]
