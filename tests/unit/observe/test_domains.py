"""Figures of running domains by their daemon, which a stub stands for here."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import TypeVar

import pytest

from vmio.errors import InputError, LibvirtError
from vmio.formats.base import ReadContext
from vmio.formats.qemu.layout import lay_out_command
from vmio.formats.qemu.reader import read_process_vm
from vmio.host.running import QemuProcess
from vmio.managers.discovery import RunningGuest
from vmio.model.host import Host
from vmio.model.source import Source
from vmio.observe import domains
from vmio.observe.domains import DomainDaemon, DomainReader
from vmio.observe.rates import compare_samples
from vmio.observe.sample import Histogram, Limits, Sample
from vmio.qemu.brief import HeldMonitorError

T = TypeVar("T")
UUID = "14809507-6231-4df5-b757-980937d676ce"
XML = b"""
<domain type='qemu' id='3'>
  <name>web</name>
  <iothreads>1</iothreads>
  <os><type arch='x86_64' machine='q35'>hvm</type></os>
  <devices>
    <disk type='file' device='disk'>
      <driver name='qemu' type='raw' iothread='1'/><source file='/a.raw'/>
      <target dev='vda' bus='virtio'/><iotune><total_iops_sec>100</total_iops_sec></iotune>
    </disk>
    <disk type='file' device='disk'>
      <driver name='qemu' type='raw'/><source file='/b.raw'/><target dev='sda' bus='scsi'/>
    </disk>
    <controller type='scsi' index='0' model='virtio-scsi'/>
  </devices>
</domain>
"""
STORED = XML.replace(b" iothread='1'", b"")
VALUES: Mapping[str, object] = {
    "block.count": 2,
    "block.0.name": "vda",
    "block.0.rd.reqs": 7,
    "block.0.rd.bytes": 4096,
    "block.0.rd.times": 1000,
    "block.0.wr.reqs": 2,
    "block.0.fl.reqs": 1,
    "block.0.latency_histogram.read.bin.count": 3,
    "block.0.latency_histogram.read.bin.0.start": 0,
    "block.0.latency_histogram.read.bin.0.value": 4,
    "block.0.latency_histogram.read.bin.1.start": 1000,
    "block.0.latency_histogram.read.bin.1.value": 3,
    "block.0.latency_histogram.read.bin.2.start": 5000,
    "block.0.latency_histogram.read.bin.2.value": 0,
    "block.1.name": "sda",
    "block.1.rd.reqs": -1,
    "iothread.count": 2,
    "iothread.12.poll-max-ns": 5,
    "iothread.1.poll-max-ns": 32768,
    "iothread.1.poll-grow": 0,
}


class StubConnection:
    """Answers as a daemon does."""

    is_lost = False
    values: Mapping[str, object] = VALUES
    texts = (XML, STORED)
    asked: list[str]
    error: Exception | None = None

    def __init__(self, uri: str, **_: float) -> None:
        self.asked = []
        if uri.startswith("nowhere"):
            raise LibvirtError(f"no libvirt daemon answers at {uri}")

    def read_libvirt_version(self) -> str:
        """Returns a version."""
        return "11.3.0"

    def read_statistics(self, uuid: str, number: int, *, threads: bool) -> Mapping[str, object]:
        """Returns the values."""
        assert (uuid, number) == (UUID, 3)
        self.asked.append("threads" if threads else "disks")
        if self.error is not None:
            raise self.error
        return self.values

    def read_running(self, uuid: str, number: int) -> tuple[bytes, bytes]:
        """Returns the texts."""
        assert (uuid, number) == (UUID, 3)
        self.asked.append("texts")
        return self.texts

    def close(self) -> None:
        """Closes."""
        self.asked.append("close")


class StubDaemon:
    """A daemon's connection and the reader of one domain of it."""

    def __init__(self, daemon: DomainDaemon, reader: DomainReader) -> None:
        self.daemon = daemon
        self.reader = reader

    @property
    def connection(self) -> StubConnection:
        """The connection, once something was asked."""
        connection = self.daemon._connection
        assert isinstance(connection, StubConnection)
        return connection

    def run(self, *questions: Callable[[], Awaitable[T]]) -> list[T]:
        """Returns the answers to questions, one after the other."""

        async def ask() -> list[T]:
            return [await each() for each in questions]

        return asyncio.run(ask())


def make_guest(*words: str) -> RunningGuest:
    """Returns a domain that runs."""
    data = b"".join(f"{word}\0".encode() for word in ("qemu-system-x86_64", *words))
    vm = read_process_vm(Source(name="pid:5", data=data), ReadContext(host=Host())).vm
    return RunningGuest(
        process=QemuProcess(
            pid=5, started_ticks=1, inner_pid=5, owner=0, stopped=False, cgroup="", command=data
        ),
        manager="libvirt",
        id="3",
        name="web",
        uuid=UUID,
        uptime_s=1.0,
        layout=lay_out_command(vm),
    )


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Iterator[StubDaemon]:
    """A domain of a daemon that answers."""
    monkeypatch.setattr(domains, "Connection", StubConnection)
    daemon = DomainDaemon("qemu:///system")
    yield StubDaemon(daemon, DomainReader(daemon, make_guest("-object", "iothread,id=iothread1")))
    daemon.close()


def test_disks_have_the_names_of_their_devices(stub: StubDaemon) -> None:
    """Libvirt's statistics call them by their targets."""
    (told,) = stub.run(stub.reader.read)
    first, second = told.disks
    assert (first.id, first.qdev) == ("virtio-disk0", "/machine/peripheral/virtio-disk0")
    assert (first.reads.count, first.reads.transferred_bytes, first.reads.time_ns) == (
        7,
        4096,
        1000,
    )
    assert (first.writes.count, first.flushes.count, first.unmaps.count) == (2, 1, None)
    assert first.limits == Limits(iops=100)
    assert (second.id, second.reads.count, second.limits) == ("scsi0-0-0-0", None, Limits())


def test_histogram_that_libvirt_keeps_is_read(stub: StubDaemon) -> None:
    """Where nobody has it keep one there is none."""
    (told,) = stub.run(stub.reader.read)
    assert told.disks[0].reads.histogram == Histogram(boundaries_ns=(1000, 5000), counts=(4, 3, 0))
    assert told.disks[0].writes.histogram is None


@pytest.mark.parametrize("count", [10**12, 1, 0, -1, "3", None])
def test_number_of_bins_decides_no_memory(stub: StubDaemon, count: object) -> None:
    """One that no histogram has is none."""
    (_,) = stub.run(stub.reader.read)
    stub.connection.values = {**VALUES, "block.0.latency_histogram.read.bin.count": count}
    stub.reader._told = None
    (told,) = stub.run(stub.reader.read)
    assert told.disks[0].reads.histogram is None


def test_iothreads_are_in_the_order_of_their_numbers(stub: StubDaemon) -> None:
    """With their polling parameters; the kernel's names of the threads tell which they are."""
    (told,) = stub.run(stub.reader.read)
    assert [(each.id, each.poll_max_ns) for each in told.iothreads] == [
        ("iothread1", 32768),
        ("iothread12", 5),
    ]
    assert told.threads is None


def test_layouts_are_those_that_run_and_start_next(stub: StubDaemon) -> None:
    """By QEMU's names."""
    stub.run(stub.reader.read)
    assert stub.reader.layout is not None
    assert stub.reader.configured is not None
    runs, starts = (
        layout.served_by(layout.disks[0])
        for layout in (stub.reader.layout, stub.reader.configured)
    )
    assert (runs, starts) == (("iothread1",), ("main loop",))
    assert [each.disk.id for each in stub.reader.layout.disks] == ["virtio-disk0", "scsi0-0-0-0"]


def test_texts_are_read_again_for_a_disk_that_is_new(stub: StubDaemon) -> None:
    """Else every ten seconds."""
    stub.run(stub.reader.read)
    stub.reader._told = None
    stub.run(stub.reader.read)
    assert stub.connection.asked == ["threads", "texts", "threads"]
    stub.connection.values = {**VALUES, "block.1.name": "vdb"}
    stub.connection.texts = (XML.replace(b"dev='sda' bus='scsi'", b"dev='vdb' bus='virtio'"), b"")
    stub.reader._told = None
    (told,) = stub.run(stub.reader.read)
    assert told.disks[1].id == "virtio-disk1"
    assert stub.reader.configured is None


def test_daemon_is_left_alone_for_a_multiple_of_what_a_round_takes(stub: StubDaemon) -> None:
    """The last answer stands until then; rates have no disks that were not read again."""
    (told,) = stub.run(stub.reader.read)
    stub.daemon._costs_s["another"] = 1000.0
    assert stub.daemon.rest_s > 4000
    (again,) = stub.run(stub.reader.read)
    assert again is told
    first, second = (
        Sample(
            monotonic_ns=at,
            wall_ns=at,
            threads=(),
            disks=told.disks,
            disks_monotonic_ns=told.monotonic_ns,
        )
        for at in (1, 2)
    )
    rates = compare_samples(first, second)
    assert (rates.disks, rates.disks_duration_s) == ((), None)
    stub.daemon.forget("another")
    stub.reader.forget()
    assert stub.daemon.rest_s == 0


def test_domain_that_libvirt_is_busy_with_is_held(stub: StubDaemon) -> None:
    """Its answer comes at once, without figures."""
    stub.run(stub.reader.read)
    stub.connection.values = {"block.count": 1, "block.0.name": "vda"}
    stub.reader._told = None
    with pytest.raises(HeldMonitorError, match="libvirt is busy"):
        stub.run(stub.reader.read)


def test_iothreads_that_libvirt_did_not_name_are_not_asked_for(stub: StubDaemon) -> None:
    """Its daemon would crash."""
    reader = DomainReader(stub.daemon, make_guest("-object", "iothread,id=myio"))
    stub.run(reader.read)
    assert stub.connection.asked[0] == "disks"


def test_daemon_that_does_not_answer_is_not_asked_again_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The same error is told meanwhile."""
    monkeypatch.setattr(domains, "Connection", StubConnection)
    daemon = DomainDaemon("nowhere:///")
    reader = DomainReader(daemon, make_guest())
    stub = StubDaemon(daemon, reader)
    for _ in range(2):
        with pytest.raises(LibvirtError, match="no libvirt daemon answers"):
            stub.run(reader.read)
        monkeypatch.setattr(domains, "Connection", None)
    daemon.close()


def test_lost_connection_is_made_anew(stub: StubDaemon) -> None:
    """A call that failed for the domain alone keeps it."""
    stub.run(stub.reader.read)
    first = stub.connection
    first.error = InputError("no such domain")
    stub.reader._told = None
    with pytest.raises(InputError):
        stub.run(stub.reader.read)
    assert stub.connection is first
    first.is_lost = True
    stub.daemon._retry_s = 0.0
    stub.run(stub.reader.read)
    assert stub.connection is not first


def test_too_many_disks_are_refused(stub: StubDaemon) -> None:
    """No guest has them."""
    stub.run(stub.reader.read)
    stub.connection.values = {"block.count": 5000} | {
        f"block.{number}.name": "vda" for number in range(5000)
    }
    stub.reader._told = None
    with pytest.raises(Exception, match="more than 4096 blocks"):
        stub.run(stub.reader.read)
