"""Rows of guests, threads and disks, made of looks."""

from __future__ import annotations

import json

import pytest

from vmio.host.running import QemuProcess
from vmio.managers.discovery import RunningGuest
from vmio.managers.owners import Manager
from vmio.model.controller import Controller
from vmio.model.disk import Backing, Disk
from vmio.model.iothread import IOThread
from vmio.model.topology import AttachedDisk, Topology
from vmio.observe.readings import HostTracker, Look, Observation, Reading
from vmio.observe.sample import (
    DiskSample,
    Limits,
    Operations,
    QueueSample,
    Role,
    Sample,
    ThreadSample,
)
from vmio.report.live.json import render_top_json
from vmio.report.live.rows import HostRows, make_rows
from vmio.report.live.words import list_notes
from vmio.values import replace

S = 1_000_000_000
BACKING = Backing(filename="/dev/pve/vm-172-disk-0", format="raw", driver="host_device")
LAYOUT = Topology(
    vcpus=2,
    iothreads=(IOThread(id="io0"),),
    controllers=(
        Controller(id="vd0", model="virtio-blk-pci", bus="virtio", iothread="io0", num_queues=2),
        Controller(id="ide", model="piix3-ide", bus="ide"),
    ),
    disks=(
        AttachedDisk(
            disk=Disk(id="vd0", bus="virtio", index=0, backing=BACKING),
            controller="vd0",
            cache="none",
            aio="io_uring",
        ),
        AttachedDisk(disk=Disk(id="ide0", bus="ide", index=0), controller="ide"),
    ),
)


def make_guest(
    manager: Manager = "proxmox", number: str = "172", name: str = "web"
) -> RunningGuest:
    """Returns a guest with a disk on an IOThread and one on the main loop."""
    process = QemuProcess(
        pid=100,
        started_ticks=5,
        inner_pid=100,
        owner=0,
        stopped=False,
        cgroup="",
        command=b"",
    )
    return RunningGuest(
        process=process, manager=manager, id=number, name=name, uptime_s=60.0, layout=LAYOUT
    )


def make_thread(
    number: int, name: str, role: Role, cpu_s: float, owner: str | None = None
) -> ThreadSample:
    """Returns a thread with the processor time that it has used, all of it the kernel's."""
    return ThreadSample(
        thread_id=number,
        name=name,
        role=role,
        owner=owner,
        cpu_ns=int(cpu_s * S),
        user_ns=0,
        system_ns=int(cpu_s * S),
        run_delay_ns=int(cpu_s * S / 10),
        processor=3,
        node=1,
        affinity=(0, 1, 2, 3),
    )


def make_look(at_s: float, *, requests: int = 0, disk: str = "vd0", device: str = "") -> Look:
    """Returns a look at a guest whose threads use 50, 25 and 10 % of a processor."""
    done = Operations(
        count=requests, transferred_bytes=requests * 4096, time_ns=requests * 200_000, failed=0
    )
    sample = Sample(
        monotonic_ns=int(at_s * S) + 1,
        wall_ns=int(at_s * S),
        threads=(
            make_thread(103, "worker", "worker", at_s * 0.05, "io0"),
            make_thread(104, "vnc_worker", "other", 0.0),
            make_thread(105, "iou-wrk-101", "io_uring", at_s * 0.05, "io0"),
            make_thread(102, "vCPU 0", "vcpu", at_s * 0.25),
            make_thread(101, "io0", "iothread", at_s * 0.5, "io0"),
            make_thread(100, "main loop", "main loop", at_s * 0.1, "main loop"),
        ),
        iothreads=(IOThread(id="io0", poll_max_ns=32768, poll_grow=0, poll_shrink=0),),
        disks=(
            DiskSample(
                id=disk, device=device, reads=done, writes=done, limits=Limits(), in_flight=3
            ),
        ),
        queues=(QueueSample(device="vd0", index=0, in_flight=3, size=256),),
        monitor="answered",
    )
    return Look(
        monotonic_ns=int(at_s * S) + 1,
        wall_ns=int(at_s * S),
        duration_s=0.01,
        observations=(Observation(guest=make_guest(), sample=sample),),
        host_processors=4,
    )


def make_all(*looks: Look, confirm: bool = False) -> HostRows:
    """Returns the rows of the last look."""
    tracker = HostTracker(confirm=confirm)
    rows = [make_rows(each, tracker.add(each)) for each in looks]
    return rows[-1]


def test_first_look_has_names_and_no_figures() -> None:
    """What a guest did since its start says nothing of now."""
    (guest,) = make_all(make_look(10)).guests
    assert guest.window_s is None
    assert guest.cpu_share is None
    assert guest.operations_per_s is None
    assert not guest.is_judged
    assert [each.name for each in guest.threads] == ["main loop", "io0", "vCPU 0", "vnc_worker"]
    assert guest.threads[1].poll_max_ns == 32768


def test_threads_come_with_their_helpers_together() -> None:
    """Workers come and go, so that each alone would be a row that does."""
    (guest,) = make_all(make_look(0), make_look(2)).guests
    names = [(each.name, each.owner, each.count) for each in guest.threads]
    assert names == [
        ("main loop", "main loop", 1),
        ("io0", "io0", 1),
        ("vCPU 0", None, 1),
        ("workers", "io0", 2),
        ("vnc_worker", None, 1),
    ]
    assert guest.threads[3].cpu_share == pytest.approx(0.1)
    assert guest.cpu_share == pytest.approx(0.95)
    assert guest.main_loop_share == pytest.approx(0.1)
    assert guest.vcpu_share == pytest.approx(0.25)
    assert guest.busiest_iothread is guest.threads[1]
    assert guest.run_delay_share == pytest.approx(0.05)


def test_user_share_of_little_processor_time_is_not_told() -> None:
    """The kernel samples it, and did so too rarely."""
    (guest,) = make_all(make_look(0), make_look(0.5)).guests
    assert [each.user_share for each in guest.threads[:2]] == [None, 0.0]


def test_disk_has_its_path_and_its_figures() -> None:
    """From the file over the controller and its queues to the loop that serves it."""
    (guest,) = make_all(make_look(0), make_look(2, requests=400)).guests
    disk, other = guest.disks
    assert (disk.file, disk.driver, disk.cache, disk.aio) == (
        "/dev/pve/vm-172-disk-0",
        "host_device",
        "none",
        "io_uring",
    )
    assert (disk.controller, disk.model, disk.served_by) == ("vd0", "virtio-blk-pci", ("io0",))
    assert [(each.served_by, each.in_flight, each.size) for each in disk.queues] == [
        ("io0", 3, 256),
        ("io0", None, None),
    ]
    assert disk.operations_per_s == 400
    assert disk.bytes_per_s == 400 * 4096
    assert disk.latency_mean_ns == 200_000
    assert disk.depth_mean == pytest.approx(0.08)
    assert disk.binding == ()
    assert guest.operations_per_s == 400
    assert guest.latency_mean_ns == 200_000
    assert (other.id, other.served_by, other.operations_per_s) == ("ide0", ("main loop",), None)


def test_disk_that_was_plugged_has_no_path() -> None:
    """The command line does not have it, and its figures are shown all the same."""
    rows = make_all(make_look(0, disk="new"), make_look(2, disk="new", requests=400))
    disk = rows.guests[0].disks[-1]
    assert (disk.id, disk.served_by, disk.operations_per_s) == ("new", (), 400)


def test_drive_without_a_device_id_is_one_disk() -> None:
    """QEMU reports a name of its own for the device, and the drive's name."""
    looks = [
        make_look(at_s, disk="peripheral-anon/device[0]", device="vd0", requests=at_s * 200)
        for at_s in (0, 2)
    ]
    (guest,) = make_all(*looks).guests
    assert [each.id for each in guest.disks] == ["vd0", "ide0"]
    assert guest.disks[0].operations_per_s == 400


def test_guest_that_was_not_read_says_why() -> None:
    """It stays in the list, with no figures."""
    look = make_look(0)
    late = Observation(guest=make_guest(), problem="not read within 1 s", notes=("a note",))
    (guest,) = make_all(replace(look, observations=(late,))).guests
    assert guest.notes == ("not read within 1 s", "a note")
    assert guest.threads == ()
    assert [each.operations_per_s for each in guest.disks] == [None, None]


def test_json_is_in_base_units_and_on_one_line_if_wanted() -> None:
    """A stream has a document a line."""
    rows = make_all(make_look(0), make_look(2, requests=400))
    line = render_top_json(rows, in_a_line=True)
    assert "\n" not in line
    document = json.loads(line)
    assert document == json.loads(render_top_json(rows))
    assert document["kind"] == "top"
    (guest,) = document["data"]["guests"]
    assert (guest["address"], guest["id"], guest["verdicts"]) == ("pid:100", "172", [])
    disk = guest["disks"][0]
    assert disk["reads"]["latency_mean_seconds"] == pytest.approx(0.0002)
    assert disk["limits"]["iops"] is None
    assert guest["threads"][1]["poll_max_ns"] == 32768


def test_json_of_a_first_look_has_no_verdicts() -> None:
    """Null is not yet judged, which an empty list would deny."""
    guest = json.loads(render_top_json(make_all(make_look(0))))["data"]["guests"][0]
    assert guest["verdicts"] is None
    assert guest["window_seconds"] is None


@pytest.mark.parametrize(
    ("count", "names"),
    [(1, "0 web"), (4, "0 web, 1 web, 2 web, 3 web"), (5, "0 web, 1 web, 2 web and 2 others")],
)
def test_note_of_several_guests_is_one_line(count: int, names: str) -> None:
    """A user without rights sees all guests of a host without their monitors."""
    note = "its monitor is another user's"
    rows = make_rows(
        make_look(0),
        [
            Reading(
                observation=Observation(guest=make_guest(number=str(at)), notes=(note,)),
                layout=None,
            )
            for at in range(count)
        ],
    )
    assert list_notes(rows) == (f"{names}: {note}",)


def test_note_of_guests_of_one_name_has_it_once() -> None:
    """Two layouts of a guest that are compared are both called as it."""
    reading = Reading(observation=Observation(guest=make_guest(), notes=("a",)), layout=None)
    rows = make_rows(make_look(0), [reading, reading])
    assert list_notes(rows) == (f"{reading.observation.guest.label}: a",)
