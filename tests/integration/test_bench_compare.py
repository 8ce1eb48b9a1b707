"""Two real guests measured against each other with real fio."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from vmio.bench.neighbours import neighbour_argv, open_neighbour, parse_neighbour
from vmio.guest.image import GuestImage
from vmio.qemu.process import QemuProcess
from vmio.testing import call

ROOT = Path(__file__).parents[2]
SHARED = str(ROOT / "examples" / "701.conf")
SINGLE = str(ROOT / "examples" / "virtio-scsi-single" / "701.conf")
STORAGES = str(ROOT / "examples" / "storage.cfg")
QUICK = ("--accel", "tcg", "--scratch", "64M", "--pairs", "2")
VMIO = (sys.executable, "-m", "vmio")
PROGRAM = (*VMIO, "bench", SHARED, SINGLE, *QUICK)

pytestmark = pytest.mark.usefixtures("guest_image")


@pytest.fixture
def small(guest_image: GuestImage, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """What measures the same layouts of guests with one vCPU, whose image is not looked up.

    For what is not about their figures; to boot them takes a third less.
    """
    paths = []
    for name, path in (("a", SHARED), ("b", SINGLE)):
        text = Path(path).read_text(encoding="utf-8")
        assert "\ncores: 2\n" in text
        paths.append(tmp_path_factory.mktemp(name) / "701.conf")
        paths[-1].write_text(text.replace("\ncores: 2\n", "\ncores: 1\n"), encoding="utf-8")
    given = ("--kernel", str(guest_image.kernel), "--initrd", str(guest_image.initrd))
    return ("bench", *map(str, paths), "--storage", STORAGES, *QUICK, *given)


def environment(folder: Path) -> dict[str, str]:
    """Returns an environment with this vmio, and with a folder of its own for temporary files."""
    return {**os.environ, "TMPDIR": str(folder), "PYTHONPATH": str(ROOT / "src")}


def list_children(pid: int) -> list[int]:
    """Lists the processes that a process has started and that still run."""
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(word) for task in tasks for word in task.read_text(encoding="ascii").split()]


def test_bench_measures_both_layouts(tmp_path: Path) -> None:
    """Jobs have their pairs in turn, and the thread that serves the disk did the work."""
    report = tmp_path / "report.html"
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    done = subprocess.run(
        [
            *PROGRAM,
            *("--job", "rw=randread,bs=4k,iodepth=32,runtime=0.5,ramp=0.2", "--disk", "scsi1"),
            *("--job", "rw=randwrite,bs=4k,iodepth=1,runtime=0.5,ramp=0.2"),
            *("--json", "--html", str(report)),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
        env=environment(scratch),
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)["data"]
    assert (told["disk"], told["accelerator"]) == ("scsi1", "tcg")
    for side, thread in (("a", "main loop"), ("b", "iothread-virtioscsi1")):
        disks = {disk["id"]: disk["served_by"] for disk in told[side]["topology"]["disks"]}
        assert disks["scsi1"] == [thread]
    for job in told["jobs"]:
        assert [pair["first"] for pair in job["pairs"]] == ["A", "B"]
        for side, thread in (("a", "main loop"), ("b", "iothread-virtioscsi1")):
            assert job[side]["iops"] > 1
            shares = {load["name"]: load["cpu_share"] for load in job[side]["threads"]}
            assert {"main loop", "vCPU 0", "vCPU 1", "workers"} <= shares.keys()
            assert shares[thread] > 0
            idle = shares.get("iothread-virtioscsi0", 0.0)
            assert idle < shares[thread]
    assert report.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert "http" not in report.read_text(encoding="utf-8")
    assert not [*scratch.iterdir()]


def test_bench_measures_until_there_is_a_verdict(
    small: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """Pairs end with the verdict, or with their number; the tail and CPU are compared too."""
    job = "rw=randread,bs=4k,iodepth=1,runtime=0.5,ramp=0"
    assert call(*small, "--pairs", "12", "--until", "100%", "--job", job, "--json") == 0
    (told,) = json.loads(capsys.readouterr().out)["data"]["jobs"]
    assert (told["anytime"], told["margin"]) == (True, 1.0)
    assert 5 <= len(told["pairs"]) <= 12
    assert (told["verdict"] != "cannot tell") or len(told["pairs"]) == 12
    for name in ("latency_p99_ratio", "latency_p999_ratio", "cpu_ratio"):
        ratio = told[name]
        assert 0 < ratio["low"] <= ratio["ratio"] <= ratio["high"]
    for pair in told["pairs"]:
        for side in ("a", "b"):
            run = pair[side]
            assert run["latency_p50_ns"] <= run["latency_p99_ns"] <= run["latency_p999_ns"]
            assert any(load["run_delay_share"] > 0 for load in run["threads"])


@pytest.mark.skipif(shutil.which("fio") is None, reason="needs fio on this host")
def test_bench_loads_several_disks_beside_a_neighbour_and_on_the_host(
    small: tuple[str, ...],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each load has its disk and its result; the neighbour works beside A and beside B alike."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    words = ("--load", "scsi0=database", "--load", "scsi1=log", "--runtime", "0.3")
    assert call(*small, *words, "--neighbour", "backup", "--on-host", "--json") == 0
    told = json.loads(capsys.readouterr().out)["data"]
    assert [(job["name"], job["disk"]) for job in told["jobs"]] == [
        ("scsi0-database", "scsi0"),
        ("scsi1-log", "scsi1"),
    ]
    assert told["neighbour"]["name"] == "backup"
    assert min(told["neighbour"]["alone_a"], told["neighbour"]["alone_b"]) > 0
    database, log = told["jobs"]
    assert database["beside"] == ["scsi1-log"]
    assert log["flush_p99_ratio"]["ratio"] > 0
    for job in told["jobs"]:
        for pair in job["pairs"]:
            assert pair["host"]["iops"] > 1
            for side in ("a", "b"):
                assert pair[side]["iops"] > 1
                assert pair[side]["neighbour_per_s"] > 0
        for side in ("host_share_a", "host_share_b"):
            assert job[side]["ratio"] > 0
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("kind", ["monitor", "mirror", "screen", "network"])
def test_neighbour_keeps_the_main_loop_busy(kind: str, tmp_path: Path) -> None:
    """It works in a QEMU without a guest, its main loop takes processor time, and it ends."""

    async def work() -> tuple[float, float]:
        neighbour = parse_neighbour(kind)
        argv = (
            *("qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none"),
            *("-machine", "pc", "-accel", "tcg", "-m", "16"),
            *neighbour_argv(neighbour, tmp_path),
        )
        async with (
            QemuProcess.start(argv) as process,
            open_neighbour(neighbour, process.qmp, tmp_path, tmp_path) as running,
        ):
            before = read_cpu_ns(process.pid)
            async with running.busy() as turn:
                while turn.done < 3:  # noqa: ASYNC110 - QEMU's answers do it
                    await asyncio.sleep(0.02)
            used_ns = read_cpu_ns(process.pid) - before
            assert await process.qmp.execute("query-block-jobs") == []
        return turn.per_s, used_ns

    per_s, used_ns = asyncio.run(asyncio.wait_for(work(), 120))
    assert per_s > 0
    assert used_ns > 0


def read_cpu_ns(pid: int) -> int:
    """Returns the processor time of a process's main thread."""
    return int(Path(f"/proc/{pid}/task/{pid}/schedstat").read_text(encoding="ascii").split()[0])


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_bench_leaves_nothing_when_it_is_ended(
    number: signal.Signals, status: int, small: tuple[str, ...], tmp_path: Path
) -> None:
    """Ended in the middle of a measurement, both guests and all their files are gone."""
    with subprocess.Popen(
        [*VMIO, *small, "--html", "report.html", "--job", "rw=read,bs=4k,iodepth=1,runtime=60"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env=environment(tmp_path),
    ) as process:
        assert process.stderr is not None
        assert next(line for line in process.stderr if "pair 1 of 2, A" in line)
        guests = list_children(process.pid)
        assert len(guests) == 2
        process.send_signal(number)
        out, _ = process.communicate(timeout=240)
    assert process.returncode == status
    assert out == ""
    assert not [*tmp_path.iterdir()]
    assert not [pid for pid in guests if Path(f"/proc/{pid}").exists()]


def test_bench_says_what_qemu_says_of_a_bad_kernel(tmp_path: Path) -> None:
    """A kernel that is none ends in QEMU's own words, and nothing is left."""
    junk = tmp_path / "kernel"
    junk.write_bytes(b"no kernel at all" * 64)
    folder = tmp_path / "scratch"
    folder.mkdir()
    done = subprocess.run(
        [*PROGRAM, "--kernel", str(junk), "--initrd", str(junk)],
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
        env=environment(folder),
    )
    assert done.returncode == 4
    assert "Traceback" not in done.stderr
    assert "vmio: error:" in done.stderr
    assert not [*folder.iterdir()]


def test_guest_that_never_boots_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    small: tuple[str, ...],
    tmp_path: Path,
) -> None:
    """A guest whose agent never answers ends in one line with the status of a failed guest."""
    from vmio import app
    from vmio.bench import compare
    from vmio.cli.main import main
    from vmio.qemu.boot import Boot

    def boot_nothing(**_: object) -> tuple[Boot, str]:
        """Returns how to boot empty disks: the firmware finds nothing and waits."""
        how, reason = choose_boot(accelerator="tcg", memory_mib=128)
        return how, reason

    choose_boot = app.choose_boot
    monkeypatch.setattr(app, "choose_boot", boot_nothing)
    monkeypatch.setattr(compare, "_BOOT_TIMEOUT_S", 2.0)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with pytest.raises(SystemExit) as caught:
        main(small)
    assert caught.value.code == 4
    captured = capsys.readouterr()
    assert "did not boot" in captured.err
    assert captured.out == ""
    assert list_children(os.getpid()) == []
    assert not [*tmp_path.iterdir()]
