"""Saved comparisons: what was written is read, and anything else is refused in a line."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vmio.bench.regression import find_regressions
from vmio.bench.result import Comparison
from vmio.errors import InputError
from vmio.model.source import Source
from vmio.report.comparison.json import JobData, render_comparison_json
from vmio.report.comparison.saved import MEASURED, parse_comparison


def parse(document: object) -> Any:  # noqa: ANN401 - whatever it returns
    """Parses a document."""
    return parse_comparison(Source(name="old.json", data=json.dumps(document).encode()))


def test_saved_comparison_has_the_ratios_that_were_measured(comparison: Comparison) -> None:
    """Figure by figure, as the comparison itself decided them."""
    saved = parse_comparison(
        Source(name="old.json", data=render_comparison_json(comparison).encode())
    )
    found = find_regressions(saved, saved)
    assert (saved.file, saved.qemu_version, found.left_out) == ("old.json", "10.0.2", ())
    for job, result in zip(found.jobs, comparison.jobs, strict=True):
        assert result.cpu_ratio is not None
        assert {one.name: one.new_ratio for one in job.figures} == pytest.approx(
            {
                "IOPS": result.iops_ratio.ratio,
                "p99": result.latency_p99_ratio.ratio,
                "p99.9": result.latency_p999_ratio.ratio,
                "CPU per request": result.cpu_ratio.ratio,
            }
        )


def test_each_field_of_a_job_defines_it_or_was_measured(comparison: Comparison) -> None:
    """A field that is added to a job has to be put on one of the two sides."""
    saved = parse_comparison(
        Source(name="old.json", data=render_comparison_json(comparison).encode())
    )
    assert {*JobData.__annotations__} >= MEASURED
    assert [*saved.jobs[0].settings] == [
        *("rw", "block_size_bytes", "iodepth", "runtime_s", "ramp_s", "batch", "work_us"),
        *("read_percent", "flush_every", "rate_per_s", "disk", "beside"),
    ]


def test_layouts_of_two_boots_are_the_same(make_comparison: Callable[..., Comparison]) -> None:
    """Threads have other numbers and scratch files other names in each boot."""
    texts = [render_comparison_json(make_comparison()) for _ in range(2)]
    other = re.sub(r'"nvmpool[^"]*"', '"elsewhere/other"', texts[1])
    other = other.replace("4711", "5812")
    assert (other.count("elsewhere/other") >= 6, "4711" in other) == (True, False)
    old, new = (
        parse_comparison(Source(name="x", data=text.encode())) for text in (texts[0], other)
    )
    assert old.a.layout == new.a.layout
    assert find_regressions(old, new).differences == ()


def test_fields_of_a_later_vmio_are_not_looked_at(comparison: Comparison) -> None:
    """Within a schema number fields may be added."""
    document = json.loads(render_comparison_json(comparison))
    document["data"]["mood"] = document["data"]["jobs"][0]["pairs"][0]["mood"] = "fine"
    assert len(parse(document).jobs) == 3


def test_result_of_an_earlier_vmio_has_the_usual_place_and_no_neighbour(
    comparison: Comparison,
) -> None:
    """It was measured before these fields were added to the schema."""
    document = json.loads(render_comparison_json(comparison))
    new = parse(document)
    del document["data"]["where"], document["data"]["neighbour"]
    assert find_regressions(parse(document), new).differences == ()


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("kind",), "plan", "is not the result of a comparison$"),
        (("schema",), 2, "in a form that this vmio does not know"),
        (("data",), [], "it has no data"),
        (("data", "jobs"), [], "the number of jobs must be at least 1"),
        (("data", "jobs"), 3, "'jobs': expected array, got int"),
        (("data", "jobs", 0), "x", "'jobs.0': expected object, got str"),
        (("data", "jobs", 0, "name"), "\x1b[31m", "name cannot be"),
        (("data", "jobs", 0, "pairs"), [], "the number of pairs must be at least 2"),
        (("data", "jobs", 0, "pairs", 1, "a", "iops"), 0, "iops must be at least 1e-09, not 0"),
        (("data", "jobs", 0, "pairs", 1, "a", "iops"), float("nan"), "not nan"),
        (("data", "jobs", 0, "pairs", 1, "a", "iops"), 1e300, "iops must be at most 1e\\+18"),
        (("data", "a", "topology"), None, "there is no 'a.layout'"),
        (("vmio",), None, "'vmio_version': expected str, got null"),
    ],
)
def test_document_that_is_no_result_is_refused(
    comparison: Comparison, path: tuple[str | int, ...], value: object, said: str
) -> None:
    """The message names the file and the place."""
    document = json.loads(render_comparison_json(comparison))
    place = document
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(InputError, match=said) as caught:
        parse(document)
    assert caught.value.message.startswith("old.json ")
    assert caught.value.hint or path != ("kind",)


@pytest.mark.parametrize("data", [b"", b"\xff", b"[" * 100_000, b'{"kind": "comparison"'])
def test_text_that_is_no_json_is_refused(data: bytes) -> None:
    """However deep its brackets are."""
    with pytest.raises(InputError, match=r"old\.json is not JSON"):
        parse_comparison(Source(name="old.json", data=data))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda part: (
        st.lists(part, max_size=3) | st.dictionaries(st.text(max_size=8), part, max_size=3)
    ),
    max_leaves=6,
)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(draw=st.data(), value=JSON)
def test_any_change_of_a_result_is_read_or_refused(
    comparison: Comparison, draw: st.DataObject, value: object
) -> None:
    """Whatever is in the place of any part, nothing but InputError is raised."""
    document = json.loads(render_comparison_json(comparison))
    place: Any = document
    while True:
        keys = [*place] if isinstance(place, dict) else [*range(len(place))]
        key = draw.draw(st.sampled_from(keys))
        if not isinstance(place[key], dict | list) or not place[key] or draw.draw(st.booleans()):
            break
        place = place[key]
    place[key] = value
    try:
        saved = parse(document)
    except InputError:
        return
    assert len(saved.jobs) == 3
