"""A search on real guests with real fio."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path

import pytest

from vmio import app
from vmio.bench.course import Progress
from vmio.guest.image import GuestImage
from vmio.tune.booted import TuneTask
from vmio.tune.search import Effort
from vmio.tune.space import AS_BOOTED, LiveSetting
from vmio.values import replace

ROOT = Path(__file__).parents[2]
SINGLE = ROOT / "examples" / "virtio-scsi-single" / "701.conf"
STORAGES = ROOT / "examples" / "storage.cfg"


@pytest.fixture
def task(tmp_path: Path) -> TuneTask:
    """A guest with one vCPU and nothing to choose from but its own threads' settings."""
    text = SINGLE.read_text(encoding="utf-8").replace("\ncores: 2\n", "\ncores: 1\n")
    (tmp_path / "701.conf").write_text(text, encoding="utf-8")
    shutil.copy(STORAGES, tmp_path)
    guest = app.open_guest(str(tmp_path / "701.conf"))
    task = app.prepare_tune(
        guest,
        guest.context.host,
        vary=("polling", "pinning"),
        jobs=["rw=randread,bs=4k,iodepth=1,runtime=0.1,ramp=0"],
        scratch="16M",
        journal=str(tmp_path / "journal"),
    )
    (own,) = task.candidates
    settings = (AS_BOOTED, LiveSetting(poll_max_ns=0, poll_grow=4, pinned=True))
    return replace(
        task,
        candidates=(replace(own, settings=settings),),
        effort=Effort(pairs=1, confirmation=4),
    )


def test_tune_measures_live_settings(
    task: TuneTask, guest_image: GuestImage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A setting is measured and its figures kept in the journal; nothing outlives the search."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))
    how, _ = app.choose_boot(
        accelerator="tcg",
        kernel=str(guest_image.kernel),
        initrd=str(guest_image.initrd),
        append=guest_image.append,
        memory_mib=app.BENCH_MEMORY_MIB,
    )
    seen: list[Progress] = []
    tuning = asyncio.run(app.make_tuner(task, how).run(seen.append))
    assert tuning.failures == ()
    assert tuning.finished
    assert tuning.winner is not None
    assert tuning.winner.setting == "poll_max_ns=0, poll_grow=4, pinned"
    assert tuning.confirmed is not None
    assert tuning.confirmed.pairs == 4
    assert tuning.trials == 2
    assert len((tmp_path / "journal").read_text(encoding="ascii").splitlines()) == 3
    children = Path(f"/proc/{os.getpid()}/task").glob("*/children")
    assert not [pid for each in children for pid in each.read_text(encoding="ascii").split()]
    assert not [*scratch.iterdir()]
    again = asyncio.run(app.make_tuner(task, how).run())
    assert again.confirmed == tuning.confirmed
