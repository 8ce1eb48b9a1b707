"""What changed between two saved comparisons: what counts, what does not, and what is refused."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest

from vmio.bench.regression import (
    SavedComparison,
    SavedHost,
    SavedJob,
    SavedNeighbour,
    SavedPair,
    SavedRun,
    SavedSubject,
    SavedThread,
    find_regressions,
)
from vmio.errors import UsageError
from vmio.values import replace

HOST = SavedHost(
    cpu_model="Example",
    cpu_count=2,
    kernel="6.1",
    distribution="Debian",
    memory_bytes=1 << 33,
    governor="",
)


def make_run(iops: float, p99_ns: float = 1e6, cpu_share: float = 0.5) -> SavedRun:
    """Returns a run with a rate, a tail, and the CPU time of one thread."""
    return SavedRun(
        iops=iops,
        latency_p99_ns=p99_ns,
        latency_p999_ns=2 * p99_ns,
        threads=(SavedThread(cpu_share=cpu_share),) if cpu_share else (),
    )


def make_job(ratio: float, *, name: str = "mine", spread: float = 0.01, **other: Any) -> SavedJob:  # noqa: ANN401 - any field
    """Returns eight pairs with a ratio of B to A, on a host whose rate drifts by a factor of 3."""
    draw = random.Random(name + str(ratio))  # noqa: S311  # figures, not secrets
    pairs = tuple(
        SavedPair(
            busy=False,
            a=make_run(1000 * drift, p99_ns=1e6 / drift, cpu_share=0.5 * drift),
            b=make_run(
                1000 * drift * ratio * math.exp(draw.gauss(0, spread)),
                p99_ns=1e6 / drift,
                cpu_share=0.5 * drift * ratio,
            ),
        )
        for drift in (1, 2, 3, 1, 2, 3, 1, 2)
    )
    job = SavedJob(name=name, settings={"iodepth": 4}, anytime=False, pairs=pairs)
    return replace(job, **other)


def make_saved(*jobs: SavedJob, **other: Any) -> SavedComparison:  # noqa: ANN401 - any field
    """Returns a comparison with these jobs."""
    saved = SavedComparison(
        file="one.json",
        vmio_version="1",
        started_at="2026-01-02T03:04:05Z",
        disk="scsi0",
        volume="a file",
        where="vmio's own guest",
        neighbour=None,
        accelerator="kvm",
        qemu_version="10.0.2",
        fio_version="3.33",
        guest="a guest",
        host=HOST,
        a=SavedSubject(name="a.conf", title="A", layout={"vcpus": 2}),
        b=SavedSubject(name="b.conf", title="B", layout={"vcpus": 2}),
        jobs=jobs,
    )
    return replace(saved, **other)


@pytest.mark.parametrize(
    ("old", "new", "verdict"),
    [(1.5, 1.2, "worse"), (1.2, 1.5, "better"), (1.5, 1.51, "the same")],
)
def test_change_is_that_of_the_ratio(old: float, new: float, verdict: str) -> None:
    """A host that drifts by a factor of three changes nothing of it."""
    found = find_regressions(make_saved(make_job(old)), make_saved(make_job(new)))
    iops = found.jobs[0].figures[0]
    assert (iops.name, iops.verdict) == ("IOPS", verdict)
    assert iops.change.ratio == pytest.approx(new / old, rel=0.02)
    assert iops.change.low < new / old < iops.change.high
    assert found.is_worse is any(one.verdict == "worse" for one in found.jobs[0].figures)


def test_ratios_that_spread_cannot_be_told() -> None:
    """A fifth less is not told from chance if pairs differ by a factor of two."""
    found = find_regressions(
        make_saved(make_job(1.5, spread=0.7)), make_saved(make_job(1.2, spread=0.7))
    )
    assert found.jobs[0].figures[0].verdict == "cannot tell"


def test_higher_latency_and_more_cpu_are_worse() -> None:
    """Of a rate less is worse, of everything else more."""
    slow = make_job(1.0)
    pairs = tuple(
        replace(pair, b=make_run(pair.b.iops, 3 * pair.b.latency_p99_ns, 2 * pair.a.iops / 2000))
        for pair in slow.pairs
    )
    found = find_regressions(make_saved(make_job(1.0)), make_saved(replace(slow, pairs=pairs)))
    assert {one.name: one.verdict for one in found.jobs[0].figures} == {
        "IOPS": "the same",
        "p99": "worse",
        "p99.9": "worse",
        "CPU per request": "worse",
    }
    assert found.is_worse


def test_what_slows_both_sides_is_not_judged() -> None:
    """Between two times the host itself may have become slower; the rates show it."""
    job = make_job(1.5)
    halved = tuple(
        replace(pair, a=make_run(pair.a.iops / 2), b=make_run(pair.b.iops / 2))
        for pair in job.pairs
    )
    found = find_regressions(make_saved(job), make_saved(replace(job, pairs=halved)))
    change = found.jobs[0]
    assert change.figures[0].change.ratio == pytest.approx(1)
    assert change.new_iops == pytest.approx([rate / 2 for rate in change.old_iops])


def test_run_without_samples_has_no_cpu_time_to_compare() -> None:
    """The other figures are compared."""
    job = make_job(1.5)
    first, *others = job.pairs
    bare = replace(job, pairs=(replace(first, b=make_run(1500, cpu_share=0)), *others))
    found = find_regressions(make_saved(job), make_saved(bare))
    assert [one.name for one in found.jobs[0].figures] == ["IOPS", "p99", "p99.9"]


def test_jobs_that_ran_at_the_same_time_have_no_cpu_time_of_their_own() -> None:
    """QEMU's threads served all of them."""
    job = make_job(1.5, settings={"beside": ["log"]})
    found = find_regressions(make_saved(job), make_saved(job))
    assert [one.name for one in found.jobs[0].figures] == ["IOPS", "p99", "p99.9"]


def test_flushes_are_compared_if_all_runs_have_some() -> None:
    """Their tail, of which more is worse."""
    job = make_job(1.5)
    old, new = (
        replace(
            job,
            pairs=tuple(
                replace(
                    pair,
                    a=replace(pair.a, flush_p99_ns=1e6),
                    b=replace(pair.b, flush_p99_ns=each_ns),
                )
                for pair in job.pairs
            ),
        )
        for each_ns in (1e6, 2e6)
    )
    found = find_regressions(make_saved(old), make_saved(new))
    assert {one.name: one.verdict for one in found.jobs[0].figures}["p99 of fdatasync"] == "worse"
    assert len(find_regressions(make_saved(job), make_saved(old)).jobs[0].figures) == 4


def test_more_figures_have_wider_intervals() -> None:
    """All of them together contain the truth with 95 %."""
    alone, among = (
        find_regressions(make_saved(*jobs), make_saved(*jobs)).jobs[0].figures[0].change
        for jobs in (
            (make_job(1.0),),
            tuple(make_job(1.0, name=name) for name in ("mine", *"abcdefgh")),
        )
    )
    assert among.low < alone.low < 1 < alone.high < among.high


def test_pairs_until_a_verdict_have_the_wider_interval() -> None:
    """One of the two comparisons is enough for that."""
    fixed, anytime = (
        find_regressions(make_saved(make_job(1.0)), make_saved(make_job(1.0, anytime=flag)))
        .jobs[0]
        .figures[0]
        .change
        for flag in (False, True)
    )
    assert anytime.low < fixed.low < fixed.high < anytime.high


def test_job_that_is_not_the_same_is_left_out_with_the_reason() -> None:
    """Jobs of only one result, of another depth, and two of one name."""
    old = make_saved(
        *(make_job(1.0, name=name) for name in ("same", "deeper", "gone", "twice", "twice"))
    )
    new = make_saved(
        make_job(1.0, name="same"),
        make_job(1.0, name="deeper", settings={"iodepth": 8, "work_us": 1}),
        make_job(1.0, name="added"),
        make_job(1.0, name="twice"),
    )
    found = find_regressions(old, new)
    assert [job.name for job in found.jobs] == ["same"]
    assert dict(found.left_out) == {
        "deeper": "is another job: iodepth 4 → 8, work_us not set → 1",
        "added": "is only in the new result",
        "twice": "is the name of several jobs",
        "gone": "is only in the old result",
    }


def test_conditions_that_differ_are_named() -> None:
    """A change may come from another QEMU, another host or another layout of B."""
    job = make_job(1.0)
    other = make_saved(
        job,
        qemu_version="10.1.0",
        host=replace(HOST, cpu_count=4),
        b=SavedSubject(name="b.conf", title="C", layout={"vcpus": 3}),
    )
    found = find_regressions(make_saved(job), other)
    assert [(each.what, each.old, each.new) for each in found.differences] == [
        ("QEMU", "10.0.2", "10.1.0"),
        ("processors", "2", "4"),
        ("layout of B", "B", "C"),
    ]


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"accelerator": "tcg"}, "the accelerator was kvm, and is tcg"),
        ({"where": "pid:4711"}, "the place of the jobs was vmio's own guest, and is pid:4711"),
        (
            {"neighbour": SavedNeighbour(name="backup")},
            "the neighbour was none, and is backup",
        ),
        ({"disk": "scsi1"}, "the disk was scsi0, and is scsi1"),
        (
            {"a": SavedSubject(name="a.conf", title="A", layout={"vcpus": 4})},
            "the layout of A differs",
        ),
        ({"jobs": (make_job(1.0, name="other"),)}, "they have no job in common"),
    ],
)
def test_comparisons_of_other_things_are_refused(other: dict[str, Any], said: str) -> None:
    """Their ratios are no ratios of the same thing, and no exit status would be right."""
    saved = make_saved(make_job(1.0))
    with pytest.raises(UsageError, match=said) as caught:
        find_regressions(saved, replace(saved, **other))
    assert caught.value.hint
