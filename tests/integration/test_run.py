"""Configs booted on a real QEMU: what was planned is what runs."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from vmio import app
from vmio.formats.base import Guest
from vmio.model.host import Host
from vmio.model.version import parse_version
from vmio.qemu.boot import Volumes
from vmio.qemu.process import QemuProcess

ROOT = Path(__file__).parents[2]
GOLDENS = ROOT / "tests" / "golden" / "proxmox"
SHARED = str(ROOT / "examples" / "701.conf")
SINGLE = str(ROOT / "examples" / "virtio-scsi-single" / "701.conf")
PROGRAM = (sys.executable, "-m", "vmio")


def load(path: Path) -> Guest:
    """Loads a golden config; without a machine version it gets the newest form."""
    host = Host(qemu_version=parse_version("10.0.2"))
    return app.load(str(path), host=host, storage=str(GOLDENS / "storage.cfg"), vmid="100")


async def differences(guest: Guest) -> tuple[str, ...]:
    """Boots a guest without an operating system and returns how it differs from its plan."""
    how, _ = app.choose_boot(accelerator="tcg", memory_mib=128)
    volumes = Volumes(scratch_bytes=64 << 20)
    async with app.boot(guest, how, volumes) as (process, planned):
        live, found = await app.verify(process, planned)
        assert {attached.disk.id for attached in live.disks} >= {
            attached.disk.id for attached in planned.disks if attached.disk.backing is not None
        }
        return found


@pytest.mark.parametrize("config", sorted(GOLDENS.glob("*.conf")), ids=lambda path: path.stem)
def test_qemu_takes_each_golden_and_runs_it_as_planned(config: Path) -> None:
    """A real QEMU boots the layout of every golden and reports it as planned."""
    guest = load(config)
    if guest.vm.chipset == "virt":
        pytest.skip("needs a QEMU for aarch64, which the set-up does not install")
    assert asyncio.run(differences(guest)) == ()


def test_layout_that_differs_from_the_plan_is_told() -> None:
    """A plan held against another guest's QEMU is not as planned, and each difference is named."""

    async def boot_other() -> tuple[str, ...]:
        how, _ = app.choose_boot(accelerator="tcg", memory_mib=128)
        planned = app.lay_out(load(Path(SINGLE)))
        async with app.boot(load(Path(SHARED)), how, Volumes(scratch_bytes=1 << 20)) as (
            process,
            _,
        ):
            return (await app.verify(process, planned))[1]

    text = "\n".join(asyncio.run(boot_other()))
    for disk in ("scsi0", "scsi1", "scsi2"):
        assert disk in text
    assert "iothread-virtioscsi0" in text


def run(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Runs vmio as a person does."""
    return subprocess.run(
        [*PROGRAM, *arguments], capture_output=True, text=True, check=False, cwd=cwd, timeout=120
    )


def test_verify_says_what_the_running_qemu_says() -> None:
    """The reference guest's disks are in the main loop; moved, each has its thread."""
    done = run("run", SHARED, "--scratch", "1G", "--verify", "--accel", "tcg")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("main loop") == 4
    assert "as planned: 3 disks" in done.stdout
    done = run("run", SINGLE, "--scratch", "1G", "--verify", "--accel", "tcg")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("iothread-virtioscsi1") == 2


HOSTILE = "no\x1b]0;x\x07\u202e\n::error::forged"


def test_what_qemu_says_begins_no_line() -> None:
    """QEMU's own words of a name with a newline are quoted, and the name is spelled out."""
    done = run("run", SINGLE, "--scratch", "1M", "--verify", "--accel", "tcg", "--kernel", HOSTILE)
    assert done.returncode == 4
    assert "    | ::error::forged" in done.stderr
    assert all(line.startswith(("vmio: ", "    | ")) for line in done.stderr.splitlines())
    assert done.stderr.replace("\n", "").isprintable()


def test_dry_run_is_a_line_for_a_shell() -> None:
    """A hostile word is quoted so that a terminal shows it and a shell reads it back."""
    done = run(
        "run", SINGLE, "--scratch", "1M", "--dry-run", "--accel", "tcg", "--kernel", HOSTILE
    )
    assert r"-kernel $'no\033]0;x\007\342\200\256\n::error::forged'" in done.stdout
    assert done.stdout.removesuffix("\n").isprintable()


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        ([], 3, "scsi0: /dev/zvol/nvmpool/data/vm-701-disk-1 is not on this host"),
        (["--scratch", "lots"], 2, "'lots' is not a size"),
        (["--disk", "scsi0"], 2, "'scsi0' is not of the form DISK=PATH"),
        (["--disk", "scsi9=/tmp/x", "--scratch", "1M"], 2, "there is no disk 'scsi9'"),
        (["--disk", "scsi0=absent.raw", "--scratch", "1M"], 3, "absent.raw does not exist"),
    ],
)
def test_wrong_volume_is_one_line(
    arguments: list[str], status: int, words: str, tmp_path: Path
) -> None:
    """What is wrong with a volume is said with the right status, and nothing is started."""
    done = run("run", SHARED, "--verify", "--accel", "tcg", *arguments, cwd=tmp_path)
    assert done.returncode == status
    assert words in done.stderr
    assert done.stdout == ""
    assert list(tmp_path.iterdir()) == []


def test_named_disk_is_opened_and_left_in_place(tmp_path: Path) -> None:
    """A disk given by name is used as it is; vmio removes only what it made."""
    image = tmp_path / "mine.raw"
    image.write_bytes(bytes(1 << 20))
    done = run("run", SINGLE, "--disk", f"scsi0={image}", "--scratch", "1M", "--verify")
    assert done.returncode == 0, done.stderr
    assert image.read_bytes() == bytes(1 << 20)


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)]
)
def test_nothing_outlives_run(number: signal.Signals, status: int, tmp_path: Path) -> None:
    """Whatever ends `vmio run`, its QEMU goes with it; only a kill leaves files behind."""
    socket = tmp_path / "qmp"
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        [*PROGRAM, "run", SHARED, "--scratch", "1G", "--qmp", str(socket), "--accel", "tcg"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        assert process.stderr is not None
        line = next(line for line in process.stderr if "QEMU is process" in line)
        pid = int(line.split("process ")[1].split(";")[0])
        shown = json.loads(run("show", f"qmp:{socket}", "--json").stdout)["data"]
        assert [disk["id"] for disk in shown["disks"]] == ["scsi0", "scsi1", "scsi2"]
        process.send_signal(number)
        process.communicate(timeout=240)
        assert process.returncode == status
    for _ in range(100):  # a QEMU whose owner was killed is reaped by init, in its own time
        if not Path(f"/proc/{pid}").exists() or is_zombie(pid):
            break
        time.sleep(0.05)
    else:
        pytest.fail("QEMU is still there")
    if number != signal.SIGKILL:
        assert list(tmp_path.iterdir()) == []


def is_zombie(pid: int) -> bool:
    """Returns whether a process has ended and only waits to be reaped."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return True
    return stat.rpartition(")")[2].split()[0] == "Z"


def test_refusal_of_qemu_is_its_own_last_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What QEMU itself refuses is told in its own words, and no scratch disk stays."""
    from vmio.errors import ToolError
    from vmio.qemu import boot

    monkeypatch.setattr(boot, "find_scratch_folder", lambda: str(tmp_path))
    monkeypatch.setattr(boot, "render_layout", lambda _: iter([("-device", "no-such-device")]))

    async def start() -> QemuProcess:
        how, _ = app.choose_boot(accelerator="tcg", memory_mib=128)
        async with app.boot(load(Path(SHARED)), how, Volumes(scratch_bytes=1 << 20)) as (p, _):
            return p

    with pytest.raises(ToolError, match="'no-such-device' is not a valid device model name"):
        asyncio.run(start())
    assert list(tmp_path.iterdir()) == []
