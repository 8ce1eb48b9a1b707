"""A domain of a real libvirt daemon measured by loads inside it, and left as it was."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from vmio.app.autopilot import list_steered, restore_polling
from vmio.autopilot.pilot import AutopilotEvent
from vmio.errors import GuestError
from vmio.guest.agent import PORT_NAME, Agent
from vmio.guest.image import GuestImage
from vmio.managers.discovery import RunningGuest, discover
from vmio.managers.libvirt.agent import DomainAgentChannel
from vmio.testing.libvirt_daemon import SessionDaemon, find_missing

pytestmark = pytest.mark.skipif(bool(find_missing()), reason=f"needs {find_missing()}")

LIMIT_S = 240.0
BOOT_S = 180.0
OWN_NS = 32_768
JOB = "rw=randread,bs=4k,iodepth=4,ramp=0"
XML = """
<domain type='qemu'>
  <name>inside</name>
  <memory unit='MiB'>384</memory>
  <iothreads>1</iothreads>
  <os>
    <type arch='x86_64' machine='pc'>hvm</type>
    <kernel>{folder}/vmlinuz</kernel>
    <initrd>{folder}/initrd</initrd>
    <cmdline>{append}</cmdline>
  </os>
  <features><acpi/></features>
  <cpu mode='maximum'/>
  <devices>
    <disk type='file' device='disk'>
      <driver name='qemu' type='raw' iothread='1'/>
      <source file='{folder}/inside.raw'/><target dev='vda' bus='virtio'/>
    </disk>
    <channel type='unix'><target type='virtio' name='{port}'/></channel>
  </devices>
</domain>
"""


@pytest.fixture
def domain(
    libvirt_daemon: SessionDaemon, guest_image: GuestImage, monkeypatch: pytest.MonkeyPatch
) -> Any:  # noqa: ANN401 - libvirt-python has no types
    """The benchmark guest as a running domain, as libvirt-python has it."""
    libvirt = pytest.importorskip("libvirt")
    monkeypatch.setenv("LIBVIRT_DEFAULT_URI", libvirt_daemon.uri)
    folder = libvirt_daemon.folder
    for source, name in ((guest_image.kernel, "vmlinuz"), (guest_image.initrd, "initrd")):
        shutil.copyfile(source, folder / name)
        (folder / name).chmod(0o644)
    disk = folder / "inside.raw"
    disk.write_bytes(b"mine" * (8 << 18))
    disk.chmod(0o666)
    before = disk.read_bytes()
    connection = libvirt.open(libvirt_daemon.uri)
    domain = connection.createXML(
        XML.format(folder=folder, append=guest_image.append, port=PORT_NAME)
    )
    yield domain
    domain.destroy()
    connection.close()
    assert disk.read_bytes() == before


def find_guest() -> RunningGuest:
    """Returns the domain as /proc shows it."""
    (found,) = [each for each in discover().guests if each.name == "inside"]
    return found


async def wait_for_boot(uri: str, guest: RunningGuest) -> None:
    """Returns when the domain's agent answers."""
    agent = Agent(DomainAgentChannel(uri, guest))
    async with asyncio.timeout(BOOT_S):
        while True:
            with suppress(GuestError):
                await agent.ping(5)
                return
            await asyncio.sleep(0.2)


def read_poll(domain: Any) -> int:  # noqa: ANN401 - it has no types
    """Returns what libvirt itself reports (`virsh domstats`)."""
    kind = pytest.importorskip("libvirt").VIR_DOMAIN_STATS_IOTHREAD
    (found,) = domain.connect().domainListGetStats([domain], kind)
    return int(found[1]["iothread.1.poll-max-ns"])


@asynccontextmanager
async def benching(state: Path, *words: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Runs `vmio bench` on the domain beside this process."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "vmio", "bench", "--in-guest", "inside"),
        *("--live", "poll-max-ns=0", "--pairs", "2", "--json", *words),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "XDG_STATE_HOME": str(state)},
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


def test_domain_is_measured_and_left_as_it_was(
    domain: Any,  # noqa: ANN401 - it has no types
    libvirt_daemon: SessionDaemon,
    tmp_path: Path,
    subtests: pytest.Subtests,
) -> None:
    """By libvirt's own calls alone; a killed run is made good by `restore`."""
    folder = tmp_path / "vmio" / "autopilot"

    async def check() -> None:
        guest = find_guest()
        await wait_for_boot(libvirt_daemon.uri, guest)
        with subtests.test("each side has its parameters"):
            async with benching(tmp_path, "--fio-job", f"{JOB},runtime=0.3") as process:
                out, err = await process.communicate()
            assert process.returncode == 0, err
            told = json.loads(out)["data"]
            assert told["where"] == "the running guest inside"
            assert told["b"]["title"] == "iothread1 poll-max-ns=0"
            assert told["device"] == "/dev/vda"
            assert told["jobs"][0]["a"]["iops"] > 1
            assert read_poll(domain) == OWN_NS
            assert not list(folder.iterdir())
        with subtests.test("libvirt's note about the agent is told, and none about the monitor"):
            assert b"tainted: custom guest agent control commands issued" in err
            assert domain.messages() == ["tainted: custom guest agent control commands issued"]
        with subtests.test("a program that the guest does not have is no answer"):
            agent = Agent(DomainAgentChannel(libvirt_daemon.uri, guest))
            with pytest.raises(GuestError, match="inside"):
                await agent.run(("no-such-program",), timeout_s=5)
            done = await agent.run(("sh", "-c", "cat; exit 3"), input=b"x", timeout_s=20)
            assert (done.status, done.stdout) == (3, b"x")
        with subtests.test("what a kill leaves is put back"):
            async with benching(tmp_path, "--fio-job", f"{JOB},runtime=20") as process:
                while read_poll(domain) != 0:
                    assert process.returncode is None, "it ended without a change"
                    await asyncio.sleep(0.05)
                process.send_signal(signal.SIGKILL)
                await process.communicate()
            assert read_poll(domain) == 0
            (left,) = list_steered(folder=folder)
            assert (left.record.by, left.is_active) == ("bench", False)
            events: list[AutopilotEvent] = []
            assert await restore_polling(["inside"], folder=folder, report=events.append)
            assert [each.restored and each.restored.outcome for each in events] == ["restored"]
            assert read_poll(domain) == OWN_NS

    asyncio.run(asyncio.wait_for(check(), LIMIT_S))


def test_domain_is_tuned_and_left_as_it_was(
    domain: Any,  # noqa: ANN401 - it has no types
    libvirt_daemon: SessionDaemon,
    tmp_path: Path,
) -> None:
    """By libvirt's own calls alone, and what they cannot set is not tried."""

    async def check() -> None:
        await wait_for_boot(libvirt_daemon.uri, find_guest())
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "vmio", "tune", "--in-guest", "inside", "--json"),
            *("--fio-job", f"{JOB},runtime=0.2", "--time", "60s"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "XDG_STATE_HOME": str(tmp_path)},
        )
        out, err = await process.communicate()
        told = json.loads(out)["data"]
        assert process.returncode == (0 if told["verdict"] == "higher" else 1), err
        assert told["finished"]
        assert len(told["tried"]) == 6
        assert all("batch" not in each["setting"] for each in told["tried"])
        lines = told["in_guest"]["commands"]
        assert bool(lines) == (told["verdict"] == "higher")
        assert all(line.startswith("virsh iothreadset inside 1 --poll-") for line in lines)
        assert read_poll(domain) == OWN_NS
        assert domain.messages() == ["tainted: custom guest agent control commands issued"]
        assert not list((tmp_path / "vmio" / "autopilot").iterdir())

    asyncio.run(asyncio.wait_for(check(), LIMIT_S))
