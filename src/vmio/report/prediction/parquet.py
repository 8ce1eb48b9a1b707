"""Points of a sweep as a Parquet file, one row each."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, get_args, get_origin, get_type_hints

from msgspec import Struct

from vmio import __version__
from vmio.errors import MissingExtraError
from vmio.host.save import naming_failure, open_whole
from vmio.report.prediction.json import describe_prediction
from vmio.sim.simulator import Prediction
from vmio.sim.sweep import Grid, SweepPoint

if TYPE_CHECKING:
    import pyarrow as pa  # type: ignore[import-untyped]

__all__ = ["SCHEMA", "save_points"]

SCHEMA = 1
"""The schema number, kept in the file's metadata as `vmio.schema`."""

_ROWS = 1000
"""Rows of a row group, which is held in memory."""


def save_points(
    grid: Grid, points: Generator[SweepPoint, None, None], path: Path, *, force: bool
) -> Generator[SweepPoint, None, None]:
    """Yields points unchanged and writes them; the file appears when all are written.

    The columns are each swept parameter, `is_today`, the fields of `Prediction`, and
    `vmio_version`. An estimate is a struct of mean, low and high, as in JSON, and `loops` a list
    of structs.

    Args:
        grid: The grid of the points.
        points: The points; the generator is closed at the end.
        path: The file.
        force: Whether to replace an existing file.

    Raises:
        MissingExtraError: pyarrow is not installed.
        UsageError: The file exists already.
        OutputError: It cannot be written.
    """
    if find_spec("pyarrow") is None:
        raise MissingExtraError(
            "Parquet requires pyarrow, which is not installed", hint="pip install 'vmio[fleet]'"
        )
    names = [sweep.parameter for sweep in grid.sweeps]
    rows: list[dict[str, Any]] = []
    with closing(points), open_whole(path, force=force) as file, ExitStack() as stack:
        writer = None
        for point in points:
            # Not before the first point: pyarrow starts threads, and processes are forked first.
            writer = writer or stack.enter_context(_open_table(file, path, names))
            rows.append(_tabulate(names, point))
            if len(rows) == _ROWS:
                writer(rows)
                rows.clear()
            yield point
        if writer is not None and rows:
            writer(rows)


@contextmanager
def _open_table(
    file: BinaryIO, path: Path, names: list[str]
) -> Iterator[Callable[[list[dict[str, Any]]], None]]:
    """Yields a function that writes rows as a group."""
    import pyarrow as pa
    import pyarrow.parquet as pq  # type: ignore[import-untyped]

    schema = _make_schema(names)

    def write(rows: list[dict[str, Any]]) -> None:
        group = pa.Table.from_pylist(rows, schema=schema)
        with naming_failure(path):
            writer.write_table(group)

    with naming_failure(path):
        writer = pq.ParquetWriter(file, schema)
    try:
        yield write
    except BaseException:
        # Otherwise it writes its footer when it is collected, to a closed file.
        with suppress(OSError, ValueError):
            writer.close()
        raise
    with naming_failure(path):
        writer.close()


def _tabulate(names: list[str], point: SweepPoint) -> dict[str, Any]:
    return {
        **dict(zip(names, point.values, strict=True)),
        "is_today": point.is_today,
        **describe_prediction(point.prediction),
        "vmio_version": __version__,
    }


def _make_schema(names: list[str]) -> pa.Schema:
    import pyarrow as pa

    fields = [
        *(pa.field(name, pa.int64(), nullable=False) for name in names),
        pa.field("is_today", pa.bool_(), nullable=False),
        *_list_fields(Prediction),
        pa.field("vmio_version", pa.string(), nullable=False),
    ]
    return pa.schema(fields, metadata={"vmio.schema": str(SCHEMA), "vmio.predicted": "true"})


def _list_fields(value: type[Struct]) -> list[pa.Field]:
    """Returns a value's fields as Parquet fields; only a mean may be missing."""
    import pyarrow as pa

    hints = get_type_hints(value)
    return [
        pa.field(name, _choose_type(hints[name]), nullable=name == "mean")
        for name in value.__struct_fields__
    ]


def _choose_type(hint: Any) -> pa.DataType:  # noqa: ANN401 - a type, or what a tuple of one says
    import pyarrow as pa

    if get_origin(hint) is tuple:
        return pa.list_(pa.field("item", _choose_type(get_args(hint)[0]), nullable=False))
    if isinstance(hint, type) and issubclass(hint, Struct):
        return pa.struct(_list_fields(hint))
    plain = {bool: pa.bool_(), int: pa.int64(), float: pa.float64(), str: pa.string()}
    return plain[hint]
