"""The page on the method has what the recorded pairs in tests/data come to, with today's code."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import msgspec
import pytest

from vmio.bench.statistics import SPREADS, welch_interval

ROOT = Path(__file__).parents[2]


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The program that prints the page's tables."""
    monkeypatch.syspath_prepend(ROOT / "bench")
    spec = importlib.util.spec_from_file_location("method", ROOT / "bench/method.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module


def test_page_has_what_the_recordings_come_to(
    program: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every table that bench/method.py prints is on the page."""
    monkeypatch.setattr(sys, "argv", ["method.py"])
    program.main()
    page = (ROOT / "docs/concepts/method.md").read_text(encoding="utf-8")
    tables = capsys.readouterr().out.strip().split("\n\n")
    assert len(tables) == 7
    for table in tables:
        assert table in page


def test_spreads_are_those_of_the_recordings(program: ModuleType) -> None:
    """What bench says beforehand lies within what was recorded, busy pairs and others."""
    busy: list[float] = []
    others: list[float] = []
    for series in program.read_series(program.RECORDINGS.glob("*.jsonl")):
        if series.alike:
            for pair, log in zip(series.pairs, series.logs, strict=True):
                (busy if pair.busy else others).append(float(log))
    found = [program.np.std(logs, ddof=1) for logs in (others, busy)]
    assert found == pytest.approx(SPREADS, rel=0.35)


def test_program_judges_what_is_known(program: ModuleType) -> None:
    """Of normal values each interval contains the mean in about 95 of 100."""
    draw = program.np.random.default_rng(1)
    logs = draw.standard_normal((4000, 8))
    for name, method in program.METHODS.items():
        low, high = method(logs[:400] if name == "bootstrap-t" else logs, draw)
        assert program.np.mean((low <= 0) & (high >= 0)) == pytest.approx(0.95, abs=0.04)
    # Tables of Wilcoxon's test: the greatest sum of ranks that is significant, two-sided, at 5 %.
    found = [program.count_outside(count) for count in (5, 6, 8, 10, 12, 20)]
    assert found == [0, 0, 3, 8, 13, 52]


def test_changes_are_judged_with_the_interval_that_bench_uses(program: ModuleType) -> None:
    """What is drawn a thousand times at once is, row by row, what `--compare` computes."""
    draw = program.np.random.default_rng(1)
    before, after = draw.standard_normal((5, 8)), 3 * draw.standard_normal((5, 6))
    low, high = program.welch(before, after, 0.99)
    for number in range(5):
        _, *ends = welch_interval(list(before[number]), list(after[number]), 0.99)
        assert (low[number], high[number]) == pytest.approx(ends)


def test_recording_that_was_interrupted_goes_on_with_whole_comparisons(
    program: ModuleType, tmp_path: Path
) -> None:
    """Rounds of a boot that did not have all of its eight are dropped, and a line's first half."""
    recorder = sys.modules["record_pairs"]
    run = recorder.RecordedRun(
        iops=1000.0, p50_ns=1, p99_ns=2, p999_ns=3, cpu_share=0.5, run_delay_share=0.5
    )
    file = tmp_path / "some.jsonl"
    assert recorder.prepare(file) == 0
    with file.open("ab") as out:
        for number in range(19):
            for job, share in recorder.SERIES:
                pair = recorder.RecordedPair(
                    series=recorder.name_series(job, share),
                    ratio=share or 1.0,
                    round=number,
                    first="A",
                    a=run,
                    b=run,
                )
                assert pair.busy
                out.write(msgspec.json.encode(pair) + b"\n")
        out.write(b'{"series":"rand')
    assert recorder.prepare(file) == 16
    found = program.read_series([file])
    assert [len(series.pairs) for series in found] == [16] * 6
    assert {series.name: series.ratio for series in found if not series.alike} == {
        "limited-0.8": 0.8,
        "limited-0.9": 0.9,
        "limited-1.25": 1.25,
    }
