"""A sweep as a table with bars, and its chart below."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest
from rich.console import Console

from vmio.report.prediction.sweep import print_sweep
from vmio.sim.simulator import Prediction
from vmio.sim.sweep import Sweep, SweepPoint

Make = Callable[..., Prediction]


def show(points: list[SweepPoint], *, columns: int, encoding: str = "utf-8") -> list[str]:
    """Returns what is printed on a terminal of that width."""
    data = io.BytesIO()
    file = io.TextIOWrapper(data, encoding=encoding, errors="replace")
    sweep = Sweep(parameter="iothread-virtioscsi0.poll_max_ns", values=(0, 1_000_000))
    print_sweep(sweep, points, Console(file=file, width=columns, highlight=False))
    file.flush()
    return data.getvalue().decode(encoding).splitlines()


def make_points(make: Make) -> list[SweepPoint]:
    """Returns today's value, and one that is a range, as wide as ranges are written."""
    return [
        SweepPoint(values=(0,), is_today=True, prediction=make(116, 0.7, notes=("a note",))),
        SweepPoint(
            values=(1_000_000,), is_today=False, prediction=make((98.6, 1161), (0.7, 11.42))
        ),
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_print_sweep_fits_a_terminal(make_prediction: Make, encoding: str) -> None:
    """A row of the table stays one line of 80 columns, with bars in what room is left."""
    lines = show(make_points(make_prediction), columns=80, encoding=encoding)
    assert max(map(len, lines)) <= 80
    row = next(line for line in lines if line.startswith("    1000000"))
    assert "0.70 to 11.42" in row
    assert "░" in row or "." in row.split("11.42")[1]
    today = [line for line in lines if line.rstrip().endswith("today") and "0.70" in line]
    assert len(today) == 1


def test_print_sweep_cuts_no_figure_off(make_prediction: Make) -> None:
    """On a terminal that is too narrow a row is folded, and there is no room for bars."""
    lines = show(make_points(make_prediction), columns=50)
    assert max(map(len, lines)) <= 50
    words = " ".join(lines).split()
    assert {"1000000", "11.42", "861", "10.1k", "98.6", "ms", "today"} <= {*words}
    assert "█" not in words


def test_print_sweep_says_what_a_range_is(make_prediction: Make) -> None:
    """With the chart, its key and the notes below the table."""
    text = "\n".join(show(make_points(make_prediction), columns=100))
    assert text.startswith("predicted: 4k-randread-qd1 on every disk, QEMU 10.0.2, bench-host")
    assert "not this host" in text
    assert "sweep of iothread-virtioscsi0.poll_max_ns" in text
    assert text.index("latency, mean") < text.index("A 0 today   b 1000000")
    assert "a range, in the chart a box: bistable" in text
    assert "note: a note" in text


def test_print_sweep_without_a_range_explains_none(make_prediction: Make) -> None:
    """Nothing is said of what is not there; a processor time of 0 has no bar."""
    points = [SweepPoint(values=(1,), is_today=False, prediction=make_prediction(100, 0))]
    text = "\n".join(show(points, columns=100))
    assert "bistable" not in text
    assert "today" not in text
