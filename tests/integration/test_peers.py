"""Proxmox VE's own command lines and recorded event loops, where they lie beside the checkout."""

from __future__ import annotations

import io
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
from contextlib import nullcontext, redirect_stderr, redirect_stdout
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import SimpleNamespace

import pytest

from vmio.cli.main import main

SHARED = Path(__file__).parents[2].parent / "shared"
SCORER = SHARED / "peers" / "cfg2cmd" / "score.py"

pytestmark = pytest.mark.skipif(
    not SCORER.is_file(), reason="Proxmox VE's own command lines do not lie beside the checkout"
)


def score(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Compares every config of a folder with its command line."""
    program = shlex.join((sys.executable, "-m", "vmio"))
    return subprocess.run(
        [sys.executable, str(SCORER), str(folder), "--vmio", program, *options],
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )


def run_here(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
    """Runs a command of vmio in this process, which is all that a process of its own would do."""
    words = command[command.index("cmd") :]
    output, talk = io.StringIO(), io.StringIO()
    with redirect_stdout(output), redirect_stderr(talk), pytest.raises(SystemExit) as ended:
        main(words)
    status = ended.value.code
    assert isinstance(status, int)
    return subprocess.CompletedProcess(words, status, output.getvalue(), talk.getvalue())


def score_here(folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[int, str]:
    """Compares as `score` does; hundreds of starts of a process would take most of the time."""
    spec = spec_from_file_location("score", SCORER)
    assert spec is not None
    assert spec.loader is not None
    scorer = module_from_spec(spec)
    spec.loader.exec_module(scorer)
    monkeypatch.setattr(scorer, "subprocess", SimpleNamespace(run=run_here))
    # Standard output is one for the whole process, so that one config comes at a time.
    serial = SimpleNamespace(map=map)
    monkeypatch.setattr(scorer, "ThreadPoolExecutor", lambda _: nullcontext(serial))
    monkeypatch.setattr(sys, "argv", [str(SCORER), str(folder), "--show", "20"])
    output = io.StringIO()
    with redirect_stdout(output):
        status = scorer.main()
    return status, output.getvalue()


@pytest.mark.parametrize("name", ["extra", "found", "upstream"])
def test_lines_equal_those_of_proxmox(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every whole line is Proxmox's, word for word, and so is every error."""
    folder = tmp_path / name
    shutil.copytree(SCORER.parent / name, folder)
    # The lines of this folder are for the usual host too, unless they say otherwise.
    if (folder / "aarch64").is_dir():
        (folder / "aarch64").rename(folder / "other-architectures")
    status, output = score_here(folder, monkeypatch)
    assert status == 0, output


def test_lines_of_random_configs_equal_those_of_proxmox(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five hundred configs made at random come to Proxmox's lines and errors, word for word."""
    with tarfile.open(SCORER.parent / "random.tar.xz") as archive:
        for member in archive:
            if (file := archive.extractfile(member)) is not None:
                (tmp_path / Path(member.name).name).write_bytes(file.read())
    status, output = score_here(tmp_path, monkeypatch)
    assert re.search(r"whole lines equal (\d+)/\1, storage halves equal (\d+)/\2\n$", output), (
        output
    )
    assert len(list(tmp_path.rglob("*.conf"))) == 500
    assert status == 0


def test_lines_equal_those_of_the_reference_note() -> None:
    """The reference guests' lines come out word for word."""
    result = score(SHARED / "seed", "--storage", str(SHARED / "seed" / "storage.cfg"))
    assert result.returncode == 0, result.stdout
    assert re.search(r"whole lines equal 2/2", result.stdout)


@pytest.mark.parametrize("version", ["7.2", "10.0", "11.1"])
def test_recorded_loops_polled_as_computed(version: str) -> None:
    """Every change of a polling time and every budget of a real QEMU comes out."""
    recording = SHARED / "peers" / "polling" / f"replay-{version}.txt.xz"
    result = subprocess.run(
        [sys.executable, "-m", "vmio", "replay", "--check", str(recording), "--qemu", version],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    counts = re.fullmatch(r"events (\d+)/(\d+), budgets (\d+)/(\d+)\n", result.stdout)
    assert counts is not None, result.stderr
    assert int(counts[2]) > 2000
    assert (counts[1], counts[3], result.returncode) == (counts[2], counts[4], 0)


def test_recorded_loop_is_not_that_of_another_qemu() -> None:
    """The check can fail: the rule of 7.2 does not come to what 10.0 did."""
    recording = SHARED / "peers" / "polling" / "replay-10.0.txt.xz"
    result = subprocess.run(
        [sys.executable, "-m", "vmio", "replay", "--check", str(recording), "--qemu", "7.2"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 1
