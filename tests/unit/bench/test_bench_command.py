"""`vmio bench` as a person calls it, as far as it goes without a guest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import pytest

from vmio import app
from vmio.bench.extent import Extent
from vmio.bench.jobs import DEFAULT_JOBS
from vmio.cli import bench as verb
from vmio.errors import UsageError
from vmio.testing import call

ROOT = Path(__file__).parents[3]
SHARED = str(ROOT / "examples" / "701.conf")
SINGLE = str(ROOT / "examples" / "virtio-scsi-single" / "701.conf")
FACTS = ("--set", "qemu_version=10.0.2")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Returns the current folder, which is empty."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("--pairs", "1"), 2, "1 is not in the range"),
        (("--margin", "lots"), 2, "--margin lots: 0.1% to 100% can be decided"),
        (("--margin", "5"), 2, "write it as --margin 5%"),
        (("--until", "0.01%"), 2, "--until 0.01%: 0.1% to 100% can be decided"),
        (("--until", "3%", "--margin", "5%"), 2, "--until and --margin exclude each other"),
        (("--time", "5m", "--pairs", "9"), 2, "--time and --pairs exclude each other"),
        (("--time", "0"), 2, "--time 0: not a time of a second or more"),
        (("--time", "soon"), 2, "write it as 5m"),
        (("--runtime", "0"), 2, "0.0 is not in the range"),
        (("--runtime", "nan"), 2, "nan is not a number"),
        (("--scratch", "lots"), 2, "--scratch lots: 16M is the least"),
        (("--scratch", "1K"), 2, "--scratch 1K: 16M is the least"),
        (("--job", "rw=trim"), 2, "rw='trim' is not one of"),
        (("--job", "bs=4k,size=1G"), 2, "cannot take 'size=1G'"),
        (("--disk", "scsi9"), 2, "has no disk 'scsi9'"),
        (("--load", "noise"), 2, "--load noise: there is no such load, and no such job file"),
        (("--load", "scsi0="), 2, "--load scsi0=: there is no such load, and no such job file"),
        (("--load", "=log"), 2, "--load =log: there is no such load, and no such job file"),
        (("--load", "scsi9=log"), 2, "has no disk 'scsi9'"),
        (("--neighbour", "noise"), 2, "--neighbour noise: there is no such neighbour"),
        (("--neighbour", "backup=2"), 2, "backup has no rate"),
        (("--from-live", "missing.jsonl"), 3, "cannot read missing.jsonl"),
        (("--live-guest", "db"), 2, "--live-guest belongs to --from-live"),
        (("--live", "poll-max-ns=0"), 2, "--live and --allow-write belong to --in-guest"),
        (("--in-guest", "pid:1"), 2, "--in-guest takes no A and B"),
        (("--html", "missing/report.html"), 4, "cannot write the report missing/report.html"),
        (("--kernel", "vmlinuz"), 2, "--kernel and --initrd go together"),
        (("--kernel", "missing", "--initrd", "missing"), 3, "missing: No such file"),
        (("--storage", "missing.cfg"), 3, "cannot read missing.cfg"),
    ],
)
def test_bench_says_what_is_wrong_before_anything_starts(
    words: tuple[str, ...],
    status: int,
    said: str,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What cannot work is told at once, in a line, with its status, and leaves nothing behind."""
    assert call("bench", SHARED, SINGLE, *FACTS, *words) == status
    out, err = capsys.readouterr()
    assert said in err
    assert "Traceback" not in err
    assert out == ""
    assert not [*folder.iterdir()]


@pytest.mark.usefixtures("folder")
def test_bench_needs_a_disk_that_both_have(capsys: pytest.CaptureFixture[str]) -> None:
    """Layouts without a disk of the same name cannot be compared."""
    Path("100.conf").write_text("scsi0: local:100/a.raw\n", encoding="utf-8")
    Path("101.conf").write_text("virtio1: local:101/a.raw\n", encoding="utf-8")
    assert call("bench", "100.conf", "101.conf", *FACTS) == 2
    assert "100.conf and 101.conf have no disk in common" in capsys.readouterr().err


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("data", [b"\0\x01\x02\x03", None])
def test_bench_names_the_config_that_it_cannot_read(
    data: bytes | None, capsys: pytest.CaptureFixture[str]
) -> None:
    """A missing file and binary junk end in one line that names the file."""
    if data is not None:
        Path("junk.conf").write_bytes(data)
    assert call("bench", SHARED, "junk.conf", *FACTS) == 3
    assert "junk.conf" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "extent"),
    [
        ({}, Extent(pairs=8, margin=0.05)),
        ({"pairs": 3, "margin": "10%"}, Extent(pairs=3, margin=0.1)),
        ({"time": "5m"}, Extent(pairs=37, margin=0.05)),
        ({"time": "1s"}, Extent(pairs=2)),
        ({"until": "0.03"}, Extent(pairs=200, margin=0.03, until_verdict=True)),
        (
            {"until": "3%", "pairs": 50, "time": "1.5h"},
            Extent(pairs=50, margin=0.03, until_verdict=True, time_s=5400.0),
        ),
    ],
)
def test_extent_follows_from_the_options(options: dict[str, Any], extent: Extent) -> None:
    """Eight pairs, as many as given, as many as there is time for, or until there is a verdict."""
    assert app.plan_extent(DEFAULT_JOBS, **options) == extent


def test_bench_says_how_long_it_will_take(capsys: pytest.CaptureFixture[str]) -> None:
    """Before anything is booted."""
    given = ("--kernel", "x", "--initrd", "y")
    assert call("bench", SHARED, SINGLE, *FACTS, "--time", "2m", *given) == 3
    assert "3 jobs, 14 pairs each, about 1 min 59 s" in capsys.readouterr().err


def test_bench_of_a_layout_against_itself_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    """It may be meant, to see how much figures differ by chance; more often it is a slip."""
    for b, said in ((SHARED, True), (SINGLE, False)):
        assert call("bench", SHARED, b, *FACTS, "--kernel", "x", "--initrd", "y") == 3
        assert ("A and B are the same layout" in capsys.readouterr().err) is said


@pytest.mark.usefixtures("folder")
def test_bench_refuses_a_job_file_that_names_files(capsys: pytest.CaptureFixture[str]) -> None:
    """With the line and the reason; fio never sees it."""
    Path("db.fio").write_text("[a]\nrw=read\nfilename=/etc/passwd\n", encoding="utf-8")
    assert call("bench", SHARED, SINGLE, *FACTS, "--load", "db.fio") == 3
    assert "db.fio:3: 'filename' is refused: it names files" in capsys.readouterr().err


def test_loads_of_several_disks_run_at_once() -> None:
    """Those without a disk run in turn; the first disk that is named is the measured one."""
    inputs = app.prepare_bench(
        SHARED,
        SINGLE,
        host=app.read_host(None, ("qemu_version=10.0.2",)),
        loads=("streaming", "scsi1=database", "scsi2=log"),
        runtime_s=2.0,
    )
    assert [[part.name for part in job.all] for job in inputs.jobs] == [
        ["streaming"],
        ["scsi1-database", "scsi2-log"],
    ]
    assert [part.disk for part in inputs.jobs[1].all] == ["scsi1", "scsi2"]
    assert {part.runtime_s for job in inputs.jobs for part in job.all} == {2.0}
    assert inputs.disk == "scsi1"


@pytest.mark.usefixtures("folder")
def test_recorded_load_needs_the_disks_of_its_guest() -> None:
    """Several disks are repeated on those of the same ids."""
    recording = str(ROOT / "tests" / "data" / "guests" / "db.jsonl.gz")
    host = app.read_host(None, ("qemu_version=10.0.2",))
    with pytest.raises(UsageError, match="'db' used vd0, vd1, vd2, vd3, vd4, which the layouts"):
        app.prepare_bench(SHARED, SINGLE, host=host, recording=recording)
    with pytest.raises(UsageError, match="has no guest 'web' with a load") as caught:
        app.prepare_bench(SHARED, SINGLE, host=host, recording=recording, recorded_guest="web")
    assert "choose with --live-guest: db" in caught.value.hint


def test_bench_needs_two_guests_or_a_running_one(capsys: pytest.CaptureFixture[str]) -> None:
    """It says which."""
    assert call("bench", SHARED) == 2
    assert "two guests are needed, A and B" in capsys.readouterr().err
    assert call("bench", "--in-guest", "pid:1", "--live", "poll-max-ns=0") != 0
    assert "Traceback" not in capsys.readouterr().err


@pytest.fixture
def results(folder: Path) -> tuple[str, str]:
    """Returns two saved results, in the later one B does half of what it did."""
    spread = (1.0, 1.02, 0.99, 1.01)
    for name, ratio in (("old.json", 1.5), ("new.json", 0.75)):
        runs = [
            {"busy": False, "a": make_run(1000.0), "b": make_run(1000.0 * ratio * each)}
            for each in spread
        ]
        subject = {"name": "701.conf", "title": "it", "topology": {"disks": []}}
        data = {
            **dict.fromkeys(("volume", "fio_version", "guest"), "it"),
            "started_at": "2026-01-02T03:04:05Z",
            "disk": "scsi0",
            "where": "vmio's own guest",
            "neighbour": None,
            "accelerator": "tcg",
            "qemu_version": "10.0.2",
            "host": {
                **dict.fromkeys(("cpu_model", "kernel", "distribution", "governor"), "it"),
                **dict.fromkeys(("cpu_count", "memory_bytes"), 2),
            },
            "a": subject,
            "b": subject,
            "jobs": [{"name": "mine", "anytime": False, "pairs": runs}],
        }
        document = {"schema": 3, "vmio": "0.1.0", "kind": "comparison", "data": data}
        (folder / name).write_text(json.dumps(document), encoding="utf-8")
    return "old.json", "new.json"


def make_run(iops: float) -> dict[str, Any]:
    """Returns a run with a rate."""
    return {"iops": iops, "latency_p99_ns": 1e6, "latency_p999_ns": 2e6, "threads": []}


def test_compare_exits_with_one_if_b_got_worse(
    results: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    """As `vmio check` does with findings; what got better or stayed is no reason to fail."""
    old, new = results
    assert call("bench", "--compare", old, new) == 1
    assert capsys.readouterr().out.startswith("B got worse, compared with A: mine IOPS times 0.50")
    assert call("bench", "--compare", new, old) == 0
    assert capsys.readouterr().out.startswith(
        "B got better, compared with A: mine IOPS times 2.00"
    )
    assert call("bench", "--compare", old, old, "--json") == 0
    assert json.loads(capsys.readouterr().out)["data"]["worse"] is False
    assert call("bench", "--compare", old, new, "--markdown") == 1
    assert capsys.readouterr().out.startswith("**B got worse")


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("--pairs", "8"), 2, "--pairs and --compare exclude each other"),
        (("--html", "x.html"), 2, "--html and --compare exclude each other"),
        (("--margin", "lots"), 2, "--margin lots"),
        (("--json", "--markdown"), 2, "--json and --markdown exclude each other"),
    ],
)
def test_compare_refuses_what_is_about_a_measurement(
    words: tuple[str, ...],
    status: int,
    said: str,
    results: tuple[str, str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Nothing is measured, so that an option about it is a slip."""
    assert call("bench", "--compare", *results, *words) == status
    out, err = capsys.readouterr()
    assert (said in err, out) == (True, "")


def test_compare_needs_two_results(capsys: pytest.CaptureFixture[str]) -> None:
    """One has nothing to be compared with."""
    assert call("bench", "--compare", "old.json") == 2
    assert "two results are needed" in capsys.readouterr().err


def test_compare_names_the_file_that_it_cannot_read(
    results: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    """A config in the place of a result, and a file that is not there."""
    for name, said in ((SHARED, "701.conf is not JSON"), ("missing.json", "cannot read missing")):
        assert call("bench", "--compare", results[0], name) == 3
        assert said in capsys.readouterr().err


def test_output_that_cannot_be_written_does_not_cost_the_page(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A measurement takes long: its page is there though the reader of the output has gone."""

    def refuse(*_: object, **__: object) -> None:
        raise BrokenPipeError

    def write(_: object, path: Path) -> None:
        path.write_text("page")

    monkeypatch.setattr(verb, "_print", refuse)
    monkeypatch.setattr("vmio.report.comparison.html.write_comparison_html", write)
    with pytest.raises(BrokenPipeError):
        verb._print_result(
            cast("app.Comparison", None),
            as_json=False,
            as_markdown=False,
            report_path=folder / "page.html",
        )
    assert (folder / "page.html").read_text() == "page"
    assert "page.html" in capsys.readouterr().err
