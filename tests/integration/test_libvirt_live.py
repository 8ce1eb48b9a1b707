"""Domains that run on a real libvirt daemon: their disks' figures, their layout, what is set."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from vmio.app.live import judge_guests, watch_guests
from vmio.app.show import observe_domain
from vmio.app.top import open_top
from vmio.errors import InputError, LibvirtError
from vmio.managers.discovery import RunningGuest, discover
from vmio.managers.libvirt.connection import Connection, open_connection
from vmio.managers.libvirt.find import DomainAddress
from vmio.managers.libvirt.live import set_guest
from vmio.model.plan import LiveChange
from vmio.observe.readings import HostTracker, Look, Observation
from vmio.observe.recording import read_recording
from vmio.observe.sample import Limits
from vmio.testing import call
from vmio.testing.libvirt_daemon import SessionDaemon, find_missing, run_session_daemon

pytestmark = pytest.mark.skipif(bool(find_missing()), reason=f"needs {find_missing()}")

READ_FOR_EVER = bytes.fromhex("b80102 bb007e b90200 cd13 ebf3").ljust(510, b"\0") + b"\x55\xaa"
"""A boot sector that reads the second sector again and again, by the firmware (INT 13h)."""
LOOKS = 600
"""Looks until something must have happened that takes a guest a moment."""
XML = """
<domain type='qemu' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
  <name>{name}</name>
  <memory unit='MiB'>32</memory>
  <iothreads>2</iothreads>
  <os><type arch='x86_64' machine='q35'>hvm</type></os>
  <devices>
    <disk type='file' device='disk'>
      <driver name='qemu' type='raw' iothread='1'/>
      <source file='{folder}/{name}.raw'/><target dev='vda' bus='virtio'/>
      <iotune><total_iops_sec>100000</total_iops_sec></iotune>
    </disk>
    <disk type='file' device='disk'>
      <driver name='qemu' type='raw'/>
      <source file='{folder}/{name}.2.raw'/><target dev='sda' bus='scsi'/>
    </disk>
    <controller type='scsi' model='virtio-scsi'><driver iothread='2'/></controller>
  </devices>
</domain>
"""
PLUGGED = """
<disk type='file' device='disk'>
  <driver name='qemu' type='raw' iothread='2'/>
  <source file='{folder}/{name}.3.raw'/><target dev='vdb' bus='virtio'/>
</disk>
"""


def make_disks(folder: Path, name: str) -> None:
    """Makes a domain's images, of which the first one boots."""
    for end in ("", ".2", ".3"):
        path = folder / f"{name}{end}.raw"
        path.write_bytes(b"" if end else READ_FOR_EVER)
        os.truncate(path, 1 << 20)
        path.chmod(0o666)


@pytest.fixture
def domain(
    libvirt_daemon: SessionDaemon, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Any]:
    """A running domain of its own that reads from its first disk, as libvirt-python has it."""
    libvirt = pytest.importorskip("libvirt")
    monkeypatch.setenv("LIBVIRT_DEFAULT_URI", libvirt_daemon.uri)
    name = f"live-{abs(hash(request.node.name))}"
    make_disks(libvirt_daemon.folder, name)
    connection = libvirt.open(libvirt_daemon.uri)
    domain = connection.defineXML(XML.format(name=name, folder=libvirt_daemon.folder))
    domain.create()
    yield domain
    domain.destroy()
    domain.undefine()
    connection.close()


def find_guest(domain: Any) -> RunningGuest:  # noqa: ANN401 - it has no types
    """Returns the domain as /proc shows it."""
    (found,) = [each for each in discover().guests if each.name == domain.name()]
    return found


def find(look: Look) -> Observation:
    """Returns the one guest of a look."""
    (found,) = look.observations
    return found


def count_reads(domain: Any, target: str = "vda") -> int:  # noqa: ANN401 - it has no types
    """Returns how many reads libvirt itself reports of a disk (`virsh domblkstat`)."""
    return int(domain.blockStats(target)[0])


def test_disks_are_those_of_domblkstat(
    domain: Any,  # noqa: ANN401 - it has no types
) -> None:
    """A sample lies between two questions to libvirt itself; the load gives rates."""

    async def run() -> None:
        tracker = HostTracker()
        rates = None
        async with watch_guests([domain.name()]) as watcher:
            for _ in range(LOOKS):
                least, began_ns = count_reads(domain), time.monotonic_ns()
                look = await watcher.look()
                most = count_reads(domain)
                observation = find(look)
                assert observation.sample is not None, observation.problem
                if observation.sample.monitor != "answered":  # a busy host's daemon took too long
                    await asyncio.sleep(0.02)
                    continue
                disk, idle = observation.sample.disks
                assert disk.reads.count is not None
                assert disk.reads.count <= most
                # Until the daemon is asked again, the last figures stand.
                if (observation.sample.disks_monotonic_ns or 0) >= began_ns:
                    assert least <= disk.reads.count
                (reading,) = tracker.add(look)
                rates = reading.rates
                if rates is not None and rates.disks and (rates.disks[0].reads.count or 0) > 0:
                    break
                await asyncio.sleep(0.02)
        assert rates is not None
        assert observation.sample is not None
        assert rates.disks[0].reads.bytes_per_s == 512 * (
            rates.disks[0].reads.operations_per_s or 0
        )
        assert (rates.disks[0].reads.latency_mean_ns or 0) > 0
        assert (disk.id, disk.limits) == ("virtio-disk0", Limits(iops=100_000))
        assert (idle.id, idle.limits) == ("scsi0-0-0-0", Limits())
        assert [(each.id, each.poll_max_ns) for each in observation.sample.iothreads] == [
            ("iothread1", 32768),
            ("iothread2", 32768),
        ]
        layout = observation.guest.layout
        assert layout is not None
        assert [layout.served_by(each) for each in layout.disks] == [
            ("iothread1",),
            ("iothread2",),
        ]
        assert observation.configured is not None
        assert {each.disk.id for each in observation.configured.disks} == {disk.id, idle.id}
        names = {each.name for each in observation.sample.threads}
        assert {"main loop", "iothread1", "iothread2", "vCPU 0"} <= names

    asyncio.run(run())


def test_domain_is_judged_and_its_next_start_compared(domain: Any) -> None:  # noqa: ANN401
    """A change of its configuration waits for a restart."""

    async def run() -> None:
        text = domain.XMLDesc(2)
        domain.connect().defineXML(text.replace("iothread='2'", "iothread='1'"))
        guest = find_guest(domain)
        verdicts = await judge_guests([guest], 2.0)
        kinds = {(each.kind, each.subject) for each in verdicts[guest.address]}
        assert ("restart-pending", "scsi0-0-0-0") in kinds

    asyncio.run(run())


def test_disk_that_is_plugged_is_followed(
    domain: Any,  # noqa: ANN401 - it has no types
    libvirt_daemon: SessionDaemon,
) -> None:
    """With its IOThread, by libvirt's XML of the running domain."""

    async def run() -> None:
        async with watch_guests([domain.name()]) as watcher:
            assert len(find(await watcher.look()).sample.disks) == 2  # type: ignore[union-attr]
            domain.attachDevice(PLUGGED.format(name=domain.name(), folder=libvirt_daemon.folder))
            for _ in range(LOOKS):
                observation = find(await watcher.look())
                assert observation.sample is not None
                if len(observation.sample.disks) == 3:
                    break
                await asyncio.sleep(0.02)
        layout = observation.guest.layout
        assert layout is not None
        plugged = layout.find_disk("virtio-disk1")
        assert plugged is not None
        assert layout.served_by(plugged) == ("iothread2",)

    asyncio.run(run())


def test_daemon_that_hangs_or_is_gone_leaves_the_threads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A look has a limit, and the processes are the kernel's."""

    async def run() -> None:
        libvirt = pytest.importorskip("libvirt")
        with run_session_daemon() as daemon:
            monkeypatch.setenv("LIBVIRT_DEFAULT_URI", daemon.uri)
            make_disks(daemon.folder, "gone")
            connection = libvirt.open(daemon.uri)
            domain = connection.createXML(XML.format(name="gone", folder=daemon.folder))
            guest = find_guest(domain)
            try:
                async with watch_guests([guest.address]) as watcher:
                    assert find(await watcher.look()).sample is not None
                    os.kill(daemon.pid, signal.SIGSTOP)
                    for _ in range(LOOKS):
                        sample = find(await watcher.look()).sample
                        assert sample is not None
                        if sample.monitor == "failed":
                            break
                    assert sample is not None
                    assert "did not read the statistics" in sample.monitor_note
                    os.kill(daemon.pid, signal.SIGKILL)
                    sample = find(await watcher.look()).sample
                    assert sample is not None
                    assert {"main loop", "iothread1"} <= {each.name for each in sample.threads}
            finally:
                os.kill(guest.process.pid, signal.SIGKILL)

    asyncio.run(run())


def test_another_run_of_a_domain_is_not_taken_for_it(
    domain: Any,  # noqa: ANN401 - it has no types
    libvirt_daemon: SessionDaemon,
) -> None:
    """The number of a run is libvirt's, and never used again while its daemon runs."""
    with open_connection(libvirt_daemon.uri) as connection:
        with pytest.raises(InputError, match="does not run the domain"):
            connection.read_statistics(domain.UUIDString(), domain.ID() + 1, threads=True)
        with pytest.raises(InputError, match="does not run the domain"):
            connection.read_running(domain.UUIDString(), domain.ID() + 1)


def test_iothreads_that_crash_the_daemon_are_not_asked_for(
    libvirt_daemon: SessionDaemon,
) -> None:
    """Libvirt 11.3 crashes where one has an id that libvirt did not give it."""
    libvirt = pytest.importorskip("libvirt")
    own = "".join(f"<qemu:arg value='{each}'/>" for each in ("-object", "iothread,id=own"))
    make_disks(libvirt_daemon.folder, "own")
    text = XML.format(name="own", folder=libvirt_daemon.folder).replace(
        "</domain>", f"<qemu:commandline>{own}</qemu:commandline></domain>"
    )
    connection = libvirt.open(libvirt_daemon.uri)
    domain = connection.createXML(text)
    try:
        with open_connection(libvirt_daemon.uri) as reading:
            with pytest.raises(LibvirtError, match="crashes"):
                reading.read_threads("own")
            shown = observe_domain(str(DomainAddress(uri=libvirt_daemon.uri, name="own")))
            assert shown is not None
            assert "crashes" in shown.notes[0]
            assert reading.is_usable()
    finally:
        domain.destroy()
        connection.close()


def test_polling_is_set_by_libvirt(
    domain: Any,  # noqa: ANN401 - it has no types
    libvirt_daemon: SessionDaemon,
) -> None:
    """As `vmio top` does; another run of the domain is refused."""

    async def run() -> None:
        async with open_top([domain.name()]) as top:
            (row,) = (await top.look()).guests
            change = await top.set_polling(row, "iothread1", {"poll-max-ns": 0, "poll-grow": 4})
        assert change.old == {"poll-max-ns": 32768, "poll-grow": 0}
        with open_connection(libvirt_daemon.uri) as connection:
            threads = connection.read_threads(domain.name())
        assert (threads[1]["poll-max-ns"], threads[1]["poll-grow"]) == (0, 4)
        guest = find_guest(domain)
        domain.destroy()
        domain.create()
        wanted = LiveChange(path="/objects/iothread1", property="poll-max-ns", new=1)
        with pytest.raises(InputError, match="runs another"):
            set_guest(libvirt_daemon.uri, guest, [wanted])

    asyncio.run(run())


def test_show_tells_what_runs_from_what_is_stored(
    domain: Any,  # noqa: ANN401 - it has no types
    capsys: pytest.CaptureFixture[str],
) -> None:
    """With its threads and how they poll; a saved XML says which of both it is."""
    name = domain.name()
    domain.setIOThreadParams(1, {"poll_max_ns": 4096}, 1)
    assert call("show", name, "--json") == 0
    data = json.loads(capsys.readouterr().out)["data"]
    assert data["origin"] == "running"
    assert data["iothreads"][0]["poll_max_ns"] == 4096
    assert [each["serves"] for each in data["host_threads"]] == [
        "main loop",
        "iothread1",
        "iothread2",
    ]
    domain.connect().defineXML(domain.XMLDesc(2).replace(" iothread='1'", ""))
    assert call("show", name) == 0
    shown = capsys.readouterr()
    assert f"{name}, as libvirt runs it" in shown.out
    assert "it starts next with another layout" in shown.err
    assert call("show", "--stored", name) == 0
    shown = capsys.readouterr()
    assert "as planned" in shown.out
    assert shown.err == ""


def test_qemu_itself_is_asked_on_request_alone(
    domain: Any,  # noqa: ANN401 - it has no types
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It proves what runs; libvirt then calls the domain tainted."""
    name = domain.name()
    assert call("show", name, "--json") == 0
    assert domain.messages() == []
    as_libvirt_says = json.loads(capsys.readouterr().out)["data"]
    assert call("show", name, "--passthrough", "--json") == 0
    as_qemu_says = json.loads(capsys.readouterr().out)["data"]
    assert any("tainted" in each for each in domain.messages())
    served = [
        [(each["controller"], each["served_by"]) for each in data["disks"]]
        for data in (as_libvirt_says, as_qemu_says)
    ]
    assert sorted(served[0]) == sorted(served[1])
    assert [each["aio_max_batch"] for each in as_libvirt_says["iothreads"]] == [None, None]
    assert [each["aio_max_batch"] for each in as_qemu_says["iothreads"]] == [0, 0]
    threads = [
        {each["serves"]: each["thread_id"] for each in data["host_threads"]}
        for data in (as_libvirt_says, as_qemu_says)
    ]
    assert threads[0] == threads[1]
    domain.destroy()
    assert call("show", name, "--passthrough") == 3
    assert "is not running, so there is no QEMU to ask" in capsys.readouterr().err
    domain.create()


def test_saved_xml_of_a_running_domain_is_told(
    domain: Any,  # noqa: ANN401 - it has no types
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    """From the one with which it starts next."""
    live, stored = tmp_path / "live.xml", tmp_path / "stored.xml"
    live.write_text(domain.XMLDesc(0))
    stored.write_text(domain.XMLDesc(2))
    assert call("show", str(live)) == 0
    shown = capsys.readouterr()
    assert "that of a running domain" in shown.err
    assert call("show", str(stored)) == 0
    assert capsys.readouterr().err == ""


def test_recording_of_a_domain_has_its_disks(
    domain: Any,  # noqa: ANN401 - it has no types
    tmp_path: Path,
) -> None:
    """As of every other guest."""
    path = tmp_path / "one.vmio"
    assert call("record", domain.name(), "-o", str(path), "--time", "1s", "--interval", "0.2") == 0
    looks = list(read_recording(str(path)))
    samples = [find(each).sample for each in looks]
    assert {len(each.disks) for each in samples if each is not None} >= {2}


def test_busy_domain_is_not_waited_for(
    domain: Any,  # noqa: ANN401 - it has no types
    libvirt_daemon: SessionDaemon,
) -> None:
    """Libvirt waits for a QEMU that is stopped; a second question is answered at once."""
    guest = find_guest(domain)
    os.kill(guest.process.pid, signal.SIGSTOP)
    try:
        uuid, number = domain.UUIDString(), domain.ID()
        with pytest.raises(LibvirtError, match=r"within 0\.5 s"):
            Connection(libvirt_daemon.uri, deadline_s=0.5).read_statistics(
                uuid, number, threads=True
            )
        with open_connection(libvirt_daemon.uri) as connection:
            values = connection.read_statistics(uuid, number, threads=True)
        assert values["block.0.name"] == "vda"
        assert not {"block.0.rd.reqs", "iothread.count"} & values.keys()
    finally:
        os.kill(guest.process.pid, signal.SIGCONT)
