"""Points of a sweep as a Parquet file."""

from __future__ import annotations

import errno
from collections.abc import Generator
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest

from vmio import __version__
from vmio.errors import MissingExtraError, OutputError, UsageError
from vmio.report.prediction import parquet as simulation_parquet
from vmio.report.prediction.json import describe_prediction
from vmio.report.prediction.parquet import save_points
from vmio.sim.simulator import Estimate, LoopEstimate, Prediction
from vmio.sim.sweep import Grid, Sweep, SweepPoint

GRID = Grid(
    sweeps=(
        Sweep(parameter="iot0.poll_max_ns", values=(0, 2**63 - 1), today=0),
        Sweep(parameter="qd", values=(1, 2, 3)),
    )
)


def make_points(*, closed: list[bool] | None = None) -> Generator[SweepPoint, None, None]:
    """Yields a point for each of the grid, the last one bistable; says whether it was closed."""
    try:
        for number, values in enumerate(GRID.list_points()):
            one = Estimate(mean=number + 0.5, low=number, high=number + 1)
            prediction = Prediction(
                profile="a profile",
                workload=f"qd={values[1]}",
                qemu_version="10.0.2",
                seeds=2,
                requests=500,
                bistable=number == GRID.size - 1,
                iops=one,
                latency_mean_ns=one,
                latency_p50_ns=one,
                latency_p95_ns=one,
                latency_p99_ns=one,
                cpu_share=one,
                vcpu_share=one,
                loops=tuple(
                    LoopEstimate(
                        id=name,
                        cpu_share=one,
                        polling_share=one,
                        work_share=one,
                        sleeps_per_request=one,
                        polled_share=one,
                    )
                    for name in ("iot0", "iot1")
                ),
                notes=("a note",) * (number % 2),
            )
            yield SweepPoint(values=values, is_today=number == 0, prediction=prediction)
    finally:
        if closed is not None:
            closed.append(True)


def test_file_holds_every_figure_of_every_point(tmp_path: Path) -> None:
    """Each parameter is a column, and the rest is what JSON has; where bistable no mean."""
    path = tmp_path / "x.parquet"
    points = list(save_points(GRID, make_points(), path, force=False))
    assert points == list(make_points())
    rows = pq.read_table(path).to_pylist()
    assert [(row.pop("iot0.poll_max_ns"), row.pop("qd")) for row in rows] == [
        point.values for point in points
    ]
    for row, point in zip(rows, points, strict=True):
        assert row.pop("is_today") is point.is_today
        assert row.pop("vmio_version") == __version__
        assert row == describe_prediction(point.prediction)
    assert rows[-1]["iops"] == {"mean": None, "low": 5, "high": 6}


def test_schema_says_what_each_column_is(tmp_path: Path) -> None:
    """Names carry their units, only a mean may be missing, and the form has a version."""
    path = tmp_path / "x.parquet"
    assert list(save_points(GRID, make_points(), path, force=False))
    schema = pq.read_schema(path)
    assert schema.metadata[b"vmio.schema"] == b"1"
    assert schema.metadata[b"vmio.predicted"] == b"true"
    numbers, texts = pa.int64(), pa.string()
    estimate = pa.struct([
        pa.field("mean", pa.float64()),
        pa.field("low", pa.float64(), nullable=False),
        pa.field("high", pa.float64(), nullable=False),
    ])  # fmt: skip
    assert {name: schema.field(name).type for name in schema.names if name != "loops"} == {
        "iot0.poll_max_ns": numbers,
        "qd": numbers,
        "is_today": pa.bool_(),
        "profile": texts,
        "workload": texts,
        "qemu_version": texts,
        "seeds": numbers,
        "requests": numbers,
        "bistable": pa.bool_(),
        "iops": estimate,
        "latency_mean_ns": estimate,
        "latency_p50_ns": estimate,
        "latency_p95_ns": estimate,
        "latency_p99_ns": estimate,
        "cpu_share": estimate,
        "vcpu_share": estimate,
        "notes": pa.list_(pa.field("element", texts, nullable=False)),
        "warnings": pa.list_(pa.field("element", texts, nullable=False)),
        "vmio_version": texts,
    }
    loop = schema.field("loops").type.value_type
    assert [field.name for field in loop] == [
        "id",
        "cpu_share",
        "polling_share",
        "work_share",
        "sleeps_per_request",
        "polled_share",
    ]
    assert not any(schema.field(name).nullable for name in schema.names)


def test_points_are_written_group_by_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So memory does not grow with their number; an unfinished group is written at the end."""
    monkeypatch.setattr(simulation_parquet, "_ROWS", 4)
    path = tmp_path / "x.parquet"
    assert list(save_points(GRID, make_points(), path, force=False))
    groups = pq.ParquetFile(path).metadata
    assert [groups.row_group(at).num_rows for at in range(groups.num_row_groups)] == [4, 2]


def test_file_is_there_only_when_all_are_through(tmp_path: Path) -> None:
    """Ending early leaves nothing, and ends what the points came from."""
    closed: list[bool] = []
    results = save_points(GRID, make_points(closed=closed), tmp_path / "x.parquet", force=False)
    next(results)
    assert [path.name for path in tmp_path.iterdir()] != ["x.parquet"]
    results.close()
    assert closed == [True]
    assert list(tmp_path.iterdir()) == []


def test_file_that_is_there_is_refused_before_anything_is_simulated(tmp_path: Path) -> None:
    """Unless it is to be replaced."""
    path = tmp_path / "x.parquet"
    path.write_text("old")
    with pytest.raises(UsageError, match="exists already"):
        next(save_points(GRID, make_points(), path, force=False))
    assert path.read_text() == "old"
    assert list(save_points(GRID, make_points(), path, force=True))
    assert pq.read_table(path).num_rows == GRID.size


def test_full_disk_is_told_and_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In one line with the system's reason, whatever the library makes of it."""
    path = tmp_path / "x.parquet"
    path.write_text("old")

    class Full:
        def __init__(self, file: BinaryIO) -> None:
            self._file = file

        def write(self, _: bytes) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

        def __getattr__(self, name: str) -> object:
            return getattr(self._file, name)

    plain = pq.ParquetWriter
    monkeypatch.setattr(pq, "ParquetWriter", lambda file, schema: plain(Full(file), schema))
    with pytest.raises(OutputError, match=r"^cannot write .*x\.parquet: .*No space left"):
        list(save_points(GRID, make_points(), path, force=True))
    assert [each.name for each in tmp_path.iterdir()] == ["x.parquet"]
    assert path.read_text() == "old"


def test_place_that_cannot_be_written_is_told_of(tmp_path: Path) -> None:
    """Before anything is simulated."""
    with pytest.raises(OutputError, match="No such file or directory"):
        next(save_points(GRID, make_points(), tmp_path / "none" / "x.parquet", force=False))


def test_missing_library_is_named_with_its_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is simulated."""
    monkeypatch.setattr(simulation_parquet, "find_spec", lambda _: None)
    with pytest.raises(MissingExtraError) as told:
        next(save_points(GRID, make_points(), tmp_path / "x.parquet", force=False))
    assert "vmio[fleet]" in told.value.hint
    assert list(tmp_path.iterdir()) == []
