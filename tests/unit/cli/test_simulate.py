"""`vmio simulate` on configs."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq  # type: ignore[import-untyped]
import pytest

from vmio import app
from vmio.cli.main import main
from vmio.errors import CapabilityError, InputError
from vmio.host.local import identify_host
from vmio.model.version import QemuVersion
from vmio.sim.costs import Costs
from vmio.sim.profile import DEFAULT_PROFILE, render_profile
from vmio.values import replace

VM = str(Path(__file__).parents[3] / "examples" / "virtio-scsi-single" / "701.conf")
QEMU = ("--qemu-version", "10.0.2", "--requests", "300", "--seeds", "2")


def run(*arguments: str) -> int:
    """Runs vmio in this process and returns its exit status."""
    with pytest.raises(SystemExit) as caught:
        main(("simulate", VM, *arguments))
    assert isinstance(caught.value.code, int)
    return caught.value.code


def test_table_says_that_it_is_predicted_and_by_what(capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody can take it for a measurement of this host."""
    assert run(*QEMU, "--set", "poll_max_ns=0") == 0
    out = capsys.readouterr().out
    assert out.startswith("predicted: 4k-randread-qd1 on every disk, QEMU 10.0.2, default profile")
    assert "not this host" in out
    assert all(f"iothread-virtioscsi{number}" in out for number in range(3))


def test_json_is_the_same_each_time(capsys: pytest.CaptureFixture[str]) -> None:
    """With every loop of the policy's layout in it."""
    texts = []
    for _ in range(2):
        assert run(*QEMU, "--json", "--workload", "qd=2", "--set", "poll_max_ns=0") == 0
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1]
    found = json.loads(texts[0])["data"]
    assert len(found["loops"]) == 3
    assert found["iops"]["low"] <= found["iops"]["mean"] <= found["iops"]["high"]


def test_profile_from_a_file_is_gone_by(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The output names it, and its costs count."""
    path = tmp_path / "fast.toml"
    free = {name: 0 for name in Costs.__struct_fields__ if name.startswith("guest_")}
    costs = replace(DEFAULT_PROFILE.costs, **free)
    fast = replace(DEFAULT_PROFILE, name="fast", is_this_host=True, costs=costs)
    path.write_text(render_profile(fast))
    iops = []
    for arguments in ((), ("--profile", str(path))):
        assert run(*QEMU, "--json", "--set", "poll_max_ns=0", *arguments) == 0
        found = json.loads(capsys.readouterr().out)["data"]
        iops.append(found["iops"])
    assert found["profile"] == "fast"
    # Beyond chance; by how much depends on what the default profile was measured on.
    assert iops[1]["low"] > iops[0]["high"]
    path.write_text("name = 5")
    assert run(*QEMU, "--profile", str(path)) == 3


@pytest.mark.parametrize("host", ["", "elsewhere, a processor"])
def test_profile_is_known_as_this_hosts_without_what_measures(host: str, tmp_path: Path) -> None:
    """Whether it was measured here is read of the host; QEMU and fio are no part of that."""
    profile = replace(DEFAULT_PROFILE, name="mine", host=host or identify_host())
    path = tmp_path / "vmio" / "profile.toml"
    path.parent.mkdir()
    path.write_text(render_profile(profile))
    code = (
        "import sys; from vmio.cli.main import _run; _run(sys.argv[1:]);"
        "print(*sorted(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "simulate", VM, *QEMU, "--json"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "XDG_DATA_HOME": str(tmp_path)},
    )
    assert ("not this host" in json.loads(done.stdout)["data"]["profile"]) is bool(host)
    modules = done.stderr.splitlines()[-1].split()
    assert "vmio.sim.simulator" in modules
    unwanted = ("vmio.bench", "vmio.guest", "vmio.qemu", "qemu")
    assert [name for name in modules if name.startswith(unwanted)] == []


def test_sweep_marks_today_and_says_that_it_is_predicted(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A line for each value; today's is marked, and bars show latency and processor time."""
    assert run(*QEMU, "--sweep", "poll_max_ns=0:60000", "--jobs", "1") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("predicted: ")
    assert "not this host" in lines[0]
    today = [line.split() for line in lines if line.rstrip().endswith("today")]
    assert [words[0] for words in today] == ["32768"]
    assert sum("█" in line for line in lines) == 12


def test_sweep_over_processes_is_that_of_one(capsys: pytest.CaptureFixture[str]) -> None:
    """The same values in the same order with the same figures."""
    texts = []
    for jobs in ("1", "2"):
        assert run(*QEMU, "--sweep", "poll_grow=1:3", "--jobs", jobs, "--json") == 0
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1]
    found = json.loads(texts[0])["data"]
    assert [point["values"] for point in found["points"]] == [
        {"poll_grow": grow} for grow in (1, 2, 3)
    ]


def test_json_has_a_range_and_no_mean_where_it_is_bistable(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Between two outcomes there is nothing that could be seen."""
    call = ("--qemu-version", "10.0.2", "--set", "poll_max_ns=65536", "--json")
    assert run(*call) == 0
    found = json.loads(capsys.readouterr().out)["data"]
    assert found["bistable"] is True
    assert found["iops"]["mean"] is None
    assert all(loop["cpu_share"]["mean"] is None for loop in found["loops"])
    assert found["cpu_share"]["high"] > 1.2 * found["cpu_share"]["low"]


@pytest.mark.parametrize(
    "arguments", [("--set", "poll_max_ns=0"), ("--sweep", "poll_max_ns=0:60000", "--jobs", "1")]
)
def test_page_is_written_beside_what_is_printed(
    arguments: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of one prediction and of a sweep; where it is stands on standard error."""
    path = tmp_path / "page.html"
    assert run(*QEMU, *arguments, "--json", "--html", str(path)) == 0
    told = capsys.readouterr()
    assert json.loads(told.out)["kind"] == ("sweep" if "--sweep" in arguments else "prediction")
    assert str(path) in told.err
    page = path.read_text(encoding="utf-8")
    assert "701 storage-a" in page
    assert "default profile, not this host" in page
    assert "http" not in page
    assert [*tmp_path.iterdir()] == [path]


@pytest.mark.parametrize(
    ("arguments", "head"),
    [
        ((), "Today: as it is"),
        (("--set", "poll_max_ns=0"), "as it is, poll_max_ns=0"),
        (("--policy", "shared"), "shared"),
    ],
)
def test_page_says_which_layout_it_is_of(
    arguments: tuple[str, ...], head: str, tmp_path: Path
) -> None:
    """Only the guest as it is counts as today's."""
    path = tmp_path / "page.html"
    assert run(*QEMU, *arguments, "--html", str(path)) == 0
    assert f"<h3>{head}</h3>" in path.read_text(encoding="utf-8")


def test_page_that_cannot_be_written_is_refused_before_anything_is_simulated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As that of vmio bench."""
    assert run(*QEMU, "--html", str(tmp_path)) == 4
    assert run(*QEMU, "--html", str(tmp_path / "missing" / "page.html")) == 4
    told = capsys.readouterr()
    assert not told.out
    assert "it is a folder" in told.err


def test_terminal_without_unicode_gets_a_table_and_a_chart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every sign is ASCII, microseconds are us, and nothing ends in an error."""
    data = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(data, encoding="ascii"))
    assert run(*QEMU, "--sweep", "poll_max_ns=0:60000", "--jobs", "1") == 0
    sys.stdout.flush()
    text = data.getvalue().decode("ascii")
    assert " us" in text
    assert "latency, mean" in text
    assert "?" not in text


@pytest.mark.parametrize(
    "form", [(), ("--sweep", "qd=1:2"), ("--sweep", "qd=1:2", "--sweep", "poll_max_ns=0:1")]
)
def test_costs_of_another_host_are_warned_of_above_all_figures(
    form: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In every form: text, JSON and the page."""
    words = "WARNING: these costs do not apply to this guest's host"
    assert run(*QEMU, *form) == 0
    out = capsys.readouterr().out
    assert out.index(words) < out.index("IOPS")
    assert run(*QEMU, *form, "--json") == 0
    found = json.loads(capsys.readouterr().out)["data"]
    for each in [point["prediction"] for point in found["points"]] if form else [found]:
        assert any("measured under TCG on another host" in text for text in each["warnings"])
    if len(form) <= 2:
        page = tmp_path / "page.html"
        assert run(*QEMU, *form, "--html", str(page)) == 0
        text = page.read_text(encoding="utf-8")
        assert text.index("measured under TCG on another host") < text.index("Predicted, not")


def test_processors_are_those_of_the_guests_host(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By a fact or a description; where neither is there, it is said what is taken."""
    description = tmp_path / "host.toml"
    description.write_text('qemu_version = "10.0.2"\n[cpu]\ncount = 64\n')
    texts = []
    for arguments in (("--set", "cpu.count=64"), ("--host", str(description)), ()):
        assert run(*QEMU, "--workload", "qd=16", "--json", *arguments) == 0
        texts.append(json.loads(capsys.readouterr().out)["data"])
    assert texts[0] == texts[1]
    assert texts[2]["latency_mean_ns"]["low"] > texts[0]["latency_mean_ns"]["high"]
    unknown = "the number of processors of the guest's host is not known: 2 is assumed"
    assert [unknown in " ".join(found["warnings"]) for found in texts] == [False, False, True]


def test_qemu_that_is_not_known_is_the_installed_one_with_a_warning(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without any it is an error."""
    monkeypatch.setattr("vmio.qemu.binary.find_qemu", lambda: Path("/nowhere"))
    monkeypatch.setattr("vmio.qemu.binary.read_version", lambda _: QemuVersion(8, 2, 2))
    assert run(*QEMU[2:], "--json") == 0
    found = json.loads(capsys.readouterr().out)["data"]
    assert found["qemu_version"] == "8.2.2"
    assert any(
        "8.2.2, which is installed here, is assumed" in warning for warning in found["warnings"]
    )

    def find_none() -> Path:
        raise CapabilityError("no QEMU")

    monkeypatch.setattr("vmio.qemu.binary.find_qemu", find_none)
    assert run(*QEMU[2:]) == 4
    assert "the guest's QEMU version is not known" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("--workload", "qd=0"), 2, "--workload 'qd=0'"),
        (("--set", "nix.poll_max_ns=0"), 2, "there is no IOThread 'nix'"),
        (("--policy", "nix"), 2, "there is no policy 'nix'"),
        (("--sweep", "poll_max_ns=5"), 2, "--sweep 'poll_max_ns=5' is not a range"),
        (("--seeds", "1"), 2, "cannot be simulated"),
        (("--qemu-version", "6.0.0"), 4, "is not known"),
    ],
)
def test_wrong_call_is_told_in_one_line(
    arguments: tuple[str, ...], status: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a hint below it, and nothing on standard output."""
    assert run(*QEMU, *arguments) == status
    told = capsys.readouterr()
    assert not told.out
    assert words in told.err.splitlines()[0]


def test_grid_shows_a_line_for_each_combination(capsys: pytest.CaptureFixture[str]) -> None:
    """With a column for each parameter; what nothing beats and today's point are marked."""
    assert run(*QEMU, "--sweep", "poll_max_ns=32767:32768", "--sweep", "qd=1:2") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("predicted: each load on every disk, QEMU 10.0.2")
    head = next(at for at, line in enumerate(lines) if line.split()[:2] == ["poll_max_ns", "qd"])
    rows = [line.split()[:2] for line in lines[head + 2 : head + 6]]
    assert rows == [["32767", "1"], ["32767", "2"], ["32768", "1"], ["32768", "2"]]
    assert [line.split()[:2] for line in lines if "today" in line] == [["32768", "1"]]
    assert "4 of 4 points" in "\n".join(lines)


def test_large_grid_is_cut_down_to_what_nothing_beats(capsys: pytest.CaptureFixture[str]) -> None:
    """And the line below the table says how many there are; today's is there, beaten or not."""
    sweeps = ("--sweep", "poll_max_ns=0:50000:2000", "--sweep", "poll_grow=0:1")
    assert run(*QEMU, *sweeps, "--jobs", "2") == 0
    out = capsys.readouterr().out
    shown, size = (int(number) for number in out.split(" points;")[0].split()[-3::2])
    assert size == 54
    assert 1 <= shown <= 41
    assert out.count("unbeaten") == shown + 1


def test_grid_as_json_has_each_combination(capsys: pytest.CaptureFixture[str]) -> None:
    """By the parameters' names, the same over processes as in one."""
    texts = []
    for jobs in ("1", "2"):
        sweeps = ("--sweep", "poll_max_ns=0:1", "--sweep", "think_ns=0:1")
        assert run(*QEMU, *sweeps, "--json", "--jobs", jobs) == 0
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1]
    found = json.loads(texts[0])["data"]
    assert found["parameters"] == [
        {"name": "poll_max_ns", "today": 32768},
        {"name": "think_ns", "today": 0},
    ]
    assert [point["values"] for point in found["points"]] == [
        {"poll_max_ns": ns, "think_ns": think_ns} for ns in (0, 1) for think_ns in (0, 1)
    ]
    assert [point["prediction"]["workload"] for point in found["points"][:2]] == [
        "qd=1",
        "qd=1,think=1ns",
    ]


def test_parquet_holds_the_points_that_are_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of one parameter too; where it is was talk, so it is on standard error."""
    path = tmp_path / "x.parquet"
    call = (*QEMU, "--sweep", "poll_grow=1:3", "--json", "--parquet", str(path))
    assert run(*call) == 0
    told = capsys.readouterr()
    points = json.loads(told.out)["data"]["points"]
    rows = pq.read_table(path).to_pylist()
    assert [row["poll_grow"] for row in rows] == [1, 2, 3]
    assert [row["iops"] for row in rows] == [point["prediction"]["iops"] for point in points]
    assert told.err == f"vmio: 3 points written to {path}\n"
    assert run(*call) == 2
    assert f"{path} exists already" in capsys.readouterr().err
    assert run(*call, "--force") == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--parquet", "x"), "--parquet FILE requires --sweep"),
        (("--scheduler", "tcp://x:1"), "--scheduler ADDRESS requires --sweep"),
        (("--sweep", "qd=1:2", "--force"), "--force requires --parquet"),
        (
            ("--sweep", "qd=1:2", "--jobs", "2", "--scheduler", "tcp://x:1"),
            "--jobs and --scheduler exclude each other",
        ),
        (
            ("--sweep", "qd=1:2", "--scheduler", "x:1"),
            "'x:1' is not an address of a Dask scheduler",
        ),
    ],
)
def test_option_that_would_do_nothing_is_refused(
    arguments: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Rather than ignored."""
    assert run(*QEMU, *arguments) == 2
    told = capsys.readouterr()
    assert not told.out
    assert words in told.err.splitlines()[0]


@pytest.mark.parametrize("version", ["9" * 5000 + ".0", "10." + "9" * 5000, "10", "a.b"])
def test_version_that_is_none_is_refused(version: str) -> None:
    """A host's description may say anything; Python takes no number of 5,000 digits."""
    with pytest.raises(InputError, match="is not a QEMU version"):
        app.read_host(None, (f'qemu_version="{version}"',))
