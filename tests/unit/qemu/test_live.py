"""What a QEMU reports, replayed from recordings of two versions, and compared with plans."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmio.errors import QmpError
from vmio.model.controller import Controller, PciAddress
from vmio.model.iothread import MAIN_LOOP, IOThread, VirtqueueMapping
from vmio.model.topology import Topology
from vmio.qemu import live as module
from vmio.qemu import threads
from vmio.qemu.live import compare, read_live
from vmio.qemu.qmp import CommandRefusedError, QmpConnection
from vmio.values import replace

DATA = Path(__file__).parents[2] / "data" / "qmp"
VERSIONS = ("7.2.22", "10.0.2")


class Replay(QmpConnection):
    """A connection that answers from a recording."""

    def __init__(self, replies: Mapping[str, object], *, fallback: object = None) -> None:
        self.name = "replay"
        self.peer_pid = None
        self.asked: list[str] = []
        self._replies = replies
        self._fallback = fallback

    async def execute(
        self,
        command: str,
        arguments: Mapping[str, object] | None = None,
        *,
        timeout_s: float = 10.0,
    ) -> Any:  # noqa: ANN401 - as what it stands in for
        """Answers a command as it was answered once; the rest is refused."""
        assert timeout_s > 0
        key = make_key(command, arguments)
        self.asked.append(key)
        reply = self._replies.get(key, self._fallback)
        if reply is None:
            raise CommandRefusedError(f"replay refused {key}", error_class="GenericError")
        return reply


def make_key(command: str, arguments: Mapping[str, object] | None) -> str:
    """Returns what a recorded reply is found by."""
    return json.dumps([command, arguments or {}], sort_keys=True)


def read_recorded(version: str) -> dict[str, object]:
    """Returns the replies that were recorded from a guest with every kind of controller."""
    text = (DATA / version / "live.jsonl").read_text(encoding="utf-8")
    records = [json.loads(line) for line in text.splitlines()]
    return {
        make_key(record["execute"], record.get("arguments")): record["return"]
        for record in records
        if "return" in record
    }


def replay(replies: Mapping[str, object]) -> Topology:
    """Returns the topology that replies come to, on a host where that QEMU does not run."""
    return asyncio.run(read_live(Replay(replies)))


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keeps recorded thread ids from meaning threads of this host."""
    monkeypatch.setattr(threads, "_find_owner", lambda _thread: None)


@pytest.mark.parametrize("version", VERSIONS)
def test_live_tells_which_thread_serves_each_disk(version: str) -> None:
    """Every disk is served by what its controller's IOThread or mapping says."""
    topology = replay(read_recorded(version))

    served = {attached.disk.id: topology.served_by(attached) for attached in topology.disks}
    assert served == {
        "scsi0": ("io0",),
        "virtio0": ("io1",),
        "ide0": (MAIN_LOOP,),
        "sata0": (MAIN_LOOP,),
        "scsi7": (MAIN_LOOP,),
        "ide2": (MAIN_LOOP,),
        "peripheral-anon/device[0]": (MAIN_LOOP,),
        "vq0": ("io0", "io1") if version == "10.0.2" else (MAIN_LOOP,),
    }
    assert topology.vcpus == 2


@pytest.mark.parametrize("version", VERSIONS)
def test_live_tells_the_cache_mode_of_each_disk(version: str) -> None:
    """The three flags of a drive come to the mode that people write."""
    topology = replay(read_recorded(version))

    assert {attached.disk.id: attached.cache for attached in topology.disks} == {
        "scsi0": "none",
        "virtio0": "writethrough",
        "ide0": "unsafe",
        "sata0": "directsync",
        "scsi7": "writeback",
        "ide2": None,
        "peripheral-anon/device[0]": "writeback",
        "vq0": "none",  # only the node below the one that the disk uses says so
    }
    read_only = topology.find_disk("scsi7")
    assert read_only is not None
    assert read_only.disk.read_only


@pytest.mark.parametrize("version", VERSIONS)
def test_live_tells_where_each_controller_sits(version: str) -> None:
    """Controllers have QEMU's type, their bus and their PCI address."""
    topology = replay(read_recorded(version))

    places = {c.id: (c.model, c.bus, str(c.pci) if c.pci else None) for c in topology.controllers}
    assert places == {
        "scsihw0": ("virtio-scsi-pci", "scsi", "pci.0:0x5"),
        "scsihw1": ("lsi53c895a", "scsi", "pci.0:0x6"),
        "virtio0": ("virtio-blk-pci", "virtio", "pci.0:0xa"),
        "vq0": ("virtio-blk-pci", "virtio", "pci.0:0x3"),
        "ahci0": ("ich9-ahci", "sata", "pci.0:0x7"),
        "ide": ("piix3-ide", "ide", None),
        "peripheral-anon/device[0]": ("virtio-blk-pci", "virtio", "pci.0:0x2"),
    }
    scsi0 = topology.find_disk("scsi0")
    assert scsi0 is not None
    assert scsi0.address == (("bus", "scsihw0.0"), ("channel", 0), ("scsi-id", 0), ("lun", 0))
    assert topology.controller_of(scsi0).num_queues == 2


@pytest.mark.parametrize("version", VERSIONS)
def test_live_tells_iothreads_in_the_order_of_the_command_line(version: str) -> None:
    """QEMU lists the newest first; parameters come from its list and from the object."""
    topology = replay(read_recorded(version))

    assert [iothread.id for iothread in topology.iothreads] == ["io0", "io1"]
    assert topology.iothreads[0] == IOThread(
        id="io0",
        poll_max_ns=1000,
        poll_grow=0,
        poll_shrink=0,
        aio_max_batch=0,
        thread_pool_min=0,
        thread_pool_max=64,
    )


def test_live_of_another_host_has_no_times() -> None:
    """Threads that are not of this host have a number and no time; the main loop not even one."""
    topology = replay(read_recorded("10.0.2"))

    assert [thread.serves for thread in topology.host_threads] == ["io0", "io1"]
    assert all(thread.cpu_ns is None for thread in topology.host_threads)


@pytest.mark.parametrize(
    ("owners", "candidate", "found"),
    [
        ({1: 7, 2: 7}, 7, 7),  # the socket's maker is QEMU
        ({1: 7, 2: 8}, 7, None),  # the numbers are of several processes: of another namespace
        ({1: 7, 2: None}, 7, None),  # or of none
        ({}, 7, None),
    ],
)
def test_process_is_the_one_that_all_threads_are_of(
    monkeypatch: pytest.MonkeyPatch,
    owners: dict[int, int | None],
    candidate: int,
    found: int | None,
) -> None:
    """A process is believed only when every reported thread is of it."""
    monkeypatch.setattr(threads, "_find_owner", owners.get)

    assert threads.find_process(candidate, tuple(owners)) == found


def test_process_of_another_name_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the socket was made by another process, the owner must at least be called QEMU."""
    monkeypatch.setattr(threads, "_find_owner", lambda _thread: os.getpid())

    assert threads.find_process(1, (1,)) is None
    assert threads.find_process(os.getpid(), (1,)) == os.getpid()


def test_live_asks_only_for_what_it_needs() -> None:
    """A thousand other devices cost not one more question."""
    replies = read_recorded("10.0.2")
    connection = Replay(replies)
    asyncio.run(read_live(connection))
    key = make_key("qom-list", {"path": "/machine/peripheral"})
    listed = cast("list[object]", replies[key])
    others = [{"name": f"dimm{number}", "type": "child<pc-dimm>"} for number in range(1000)]
    crowded = Replay({**replies, key: [*listed, *others]})
    asyncio.run(read_live(crowded))

    assert crowded.asked == connection.asked
    assert len(connection.asked) < 10 * 16


def test_live_refuses_devices_without_end() -> None:
    """A monitor that lists more devices than any guest has is not followed."""
    key = make_key("qom-list", {"path": "/machine/peripheral"})
    many = [{"name": f"d{number}", "type": "child<virtio-blk-pci>"} for number in range(5000)]

    with pytest.raises(QmpError, match="more than 4096 devices"):
        replay({**read_recorded("10.0.2"), key: many})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["id", "name", "type", "iothread"]), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.data())
def test_live_of_a_hostile_monitor_is_no_crash(data: st.DataObject) -> None:
    """Whatever replies are exchanged for others, there is a topology or an error about QMP."""
    replies = read_recorded("10.0.2")
    for key in data.draw(st.lists(st.sampled_from(sorted(replies)), max_size=5)):
        replies[key] = data.draw(JSON)
    try:
        topology = asyncio.run(read_live(Replay(replies)))
    except QmpError:
        return
    assert compare(topology, topology) == ()


@given(JSON)
def test_live_of_junk_is_no_crash(reply: object) -> None:
    """A monitor that says the same to everything is understood as nothing or refused."""
    try:
        topology = asyncio.run(read_live(Replay({}, fallback=reply)))
    except QmpError:
        return
    assert topology.disks == ()


def test_layout_compares_equal_to_itself() -> None:
    """A plan that QEMU carries out to the letter shows no difference."""
    topology = replay(read_recorded("10.0.2"))

    assert compare(topology, topology) == ()


def test_plan_may_use_the_names_that_device_takes() -> None:
    """Lsi and ahci are the command line's names for types that QEMU reports by another."""
    live = replay(read_recorded("10.0.2"))
    names = {"lsi53c895a": "lsi", "ich9-ahci": "ahci"}
    planned = replace(
        live,
        controllers=tuple(replace(c, model=names.get(c.model, c.model)) for c in live.controllers),
    )

    assert compare(planned, live) == ()


def test_difference_in_what_serves_a_disk_is_told() -> None:
    """A disk on another thread than planned is named with both."""
    live = replay(read_recorded("10.0.2"))
    planned = replace(
        live,
        controllers=tuple(
            replace(c, iothread=None) if c.id == "scsihw0" else c for c in live.controllers
        ),
    )

    assert compare(planned, live) == ("scsi0: served by is io0, planned was main loop",)


def test_every_difference_is_told() -> None:
    """Missing and surplus disks and IOThreads, addresses, queues and settings are all named."""
    live = replay(read_recorded("10.0.2"))
    changed: dict[str, dict[str, Any]] = {
        "scsihw0": {"pci": PciAddress(bus="pci.1", slot=2), "num_queues": 9},
        "scsihw1": {"model": "megasas"},
        "vq0": {"iothread_vq_mapping": (VirtqueueMapping(iothread="io0"),)},
    }
    planned = Topology(
        iothreads=(IOThread(id="io0", poll_max_ns=5), IOThread(id="gone")),
        controllers=(
            *(replace(c, **changed.get(c.id, {})) for c in live.controllers),
            Controller(id="other", model="ahci", bus="sata"),
        ),
        disks=(
            *(
                replace(d, controller="other", aio="native", cache_direct=True)
                if d.disk.id == "sata0"
                else d
                for d in live.disks
                if d.disk.id != "ide0"
            ),
            replace(live.disks[0], disk=replace(live.disks[0].disk, id="gone")),
        ),
        vcpus=live.vcpus,
    )

    assert compare(planned, live) == (
        "io0: poll_max_ns is 1000, planned was 5",
        "gone: QEMU has no such IOThread",
        "io1: QEMU has this IOThread, and the plan does not",
        "scsi0: PCI address of scsihw0 is pci.0:0x5, planned was pci.1:0x2",
        "scsi0: queues of scsihw0 is 2, planned was 9",
        "sata0: controller is ahci0, planned was other",
        "scsi7: model of scsihw1 is lsi53c895a, planned was megasas",
        "vq0: served by is io0, io1, planned was io0",
        "gone: QEMU has no such disk",
        "ide0: QEMU has this disk, and the plan does not",
    )


def test_live_refuses_queues_without_end() -> None:
    """Numbers that a monitor makes up decide no memory."""
    key = make_key("qom-list", {"path": "/machine/peripheral"})
    many = [{"name": f"d{number}", "type": "child<virtio-blk-pci>"} for number in range(300)]
    queues = {
        make_key("qom-get", {"path": f"/machine/peripheral/d{n}", "property": "num-queues"}): 10**9
        for n in range(300)
    }
    with pytest.raises(QmpError, match="reports 307"):
        replay({**read_recorded("10.0.2"), key: many, **queues})


def test_live_gives_up_a_monitor_that_takes_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each answer may be in time, and all of them together not."""
    monkeypatch.setattr(module, "_PATIENCE_S", 0.0)

    class Slow(Replay):
        async def execute(self, *arguments: Any, **keywords: Any) -> Any:  # noqa: ANN401
            await asyncio.sleep(0.001)
            return await super().execute(*arguments, **keywords)

    with pytest.raises(QmpError, match="did not report its whole layout"):
        asyncio.run(read_live(Slow(read_recorded("10.0.2"))))
