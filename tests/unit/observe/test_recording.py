"""Recordings of looks: what is in the file, what becomes of damaged and hostile ones."""

from __future__ import annotations

import gzip
import io
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, get_args, get_type_hints

import msgspec
import pytest
from msgspec import Struct, structs

from vmio.errors import InputError, OutputError, UsageError
from vmio.host.pressure import IoWaits
from vmio.host.running import QemuProcess
from vmio.managers.discovery import Monitor, RunningGuest
from vmio.model.controller import Controller
from vmio.model.disk import Backing, Disk
from vmio.model.iothread import IOThread
from vmio.model.topology import AttachedDisk, Topology
from vmio.model.version import parse_version
from vmio.observe.kernel_trace import TracedLoop
from vmio.observe.readings import HostTracker, Look, Observation
from vmio.observe.recording import (
    Header,
    Recording,
    _find_changes,
    conceal,
    create_recording,
    open_recording,
    read_recording,
)
from vmio.observe.sample import DiskSample, Histogram, Operations, Sample, ThreadSample
from vmio.values import replace

S = 1_000_000_000
HEADER = '{"format":"vmio-recording","schema":1,"vmio":"1.0","interval_s":1.0}\n'


def make_layout(filename: str = "/images/db.raw") -> Topology:
    """Returns a layout with a disk of an image on an IOThread."""
    disk = Disk(
        id="vd0",
        bus="virtio",
        index=0,
        volume=filename,
        backing=Backing(filename=filename, format="raw", options=(("password", "secret"),)),
    )
    return Topology(
        vcpus=2,
        iothreads=(IOThread(id="io0", poll_max_ns=0),),
        controllers=(Controller(id="vd0", model="virtio-blk-pci", bus="virtio", iothread="io0"),),
        disks=(AttachedDisk(disk=disk, controller="vd0", address=(("addr", "0x5"),)),),
    )


def make_guest(pid: int = 100, *, layout: Topology | None = None) -> RunningGuest:
    """Returns a guest with a monitor."""
    process = QemuProcess(
        pid=pid,
        started_ticks=5,
        inner_pid=pid,
        owner=0,
        stopped=False,
        cgroup="",
        command=b"qemu\0-object\0secret,data=hunter2\0",
    )
    monitor = Monitor(
        protocol="qmp", transport="unix", address="/run/x", state="free", access="any"
    )
    return RunningGuest(
        process=process,
        manager="none",
        id="",
        name=f"guest{pid}",
        uptime_s=1.0,
        monitors=(monitor,),
        layout=layout or make_layout(),
    )


def observe(at_s: float, guest: RunningGuest | None = None, *, requests: int = 0) -> Observation:
    """Returns an observation at a time; each request takes the IOThread 50 µs."""
    counts = (0, requests, 0)
    done = Operations(
        count=requests,
        transferred_bytes=4096 * requests,
        time_ns=requests * 1000,
        histogram=Histogram(boundaries_ns=(1000, 10_000), counts=counts),
    )
    busy_ns = requests * 50_000
    return Observation(
        guest=guest or make_guest(),
        sample=Sample(
            monotonic_ns=int(at_s * S) + 1,
            wall_ns=int(at_s * S),
            threads=(
                ThreadSample(thread_id=100, name="main loop", role="main loop", cpu_ns=7),
                ThreadSample(
                    thread_id=101,
                    name="io0",
                    role="iothread",
                    cpu_ns=busy_ns,
                    run_delay_ns=0,
                    user_ns=0,
                    system_ns=busy_ns,
                    affinity=(0, 1),
                ),
            ),
            iothreads=(IOThread(id="io0", poll_max_ns=0),),
            disks=(DiskSample(id="vd0", reads=done),),
            monitor="answered",
        ),
        qemu_version=parse_version("10.0.2"),
        io_waits=IoWaits(some_us=requests, full_us=0),
        traced=(
            TracedLoop(
                name="io0",
                thread_id=101,
                duration_s=1.0,
                poll_s=0.25,
                user_s=0.5,
                kernel_s=0.1,
                poll_count=3,
                syscall_count=7,
                sleep_count=1,
                lost_events=0,
            ),
        ),
    )


def look(at_s: float, *observations: Observation, unseen: tuple[str, ...] = ()) -> Look:
    """Returns a look at a time."""
    return Look(
        monotonic_ns=int(at_s * S),
        wall_ns=int(at_s * S) + 1_800_000_000 * S,
        duration_s=0.01,
        observations=observations,
        unseen=unseen,
        host_processors=2,
    )


def record(path: Path, looks: Sequence[Look], *, max_bytes: int = 1 << 20) -> int:
    """Writes a recording and returns how many looks had room."""
    with create_recording(path, interval_s=1.0, max_bytes=max_bytes) as writer:
        return sum([writer.write(each) for each in looks])


def hide(looks: Sequence[Look]) -> list[Look]:
    """Returns looks without their secrets."""
    return [replace(each, observations=tuple(map(conceal, each.observations))) for each in looks]


LOOKS = [
    look(0, observe(0)),
    look(1, observe(1, requests=100), unseen=("a process cannot be seen",)),
    look(2, observe(2, requests=300), observe(2, make_guest(200))),
    look(3, observe(3, make_guest(200), requests=1)),
    look(4),
    look(5, observe(5, make_guest(300))),
]


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz"])
def test_recording_gives_the_looks_that_were_written(tmp_path: Path, name: str) -> None:
    """Guests come and go in it; all but the secrets is as it was, and so are the readings."""
    record(tmp_path / name, LOOKS)
    looks = list(read_recording(str(tmp_path / name)))
    assert looks == hide(LOOKS)
    live, played = HostTracker(), HostTracker()
    for before, after in zip(hide(LOOKS), looks, strict=True):
        assert live.add(before) == played.add(after)


@pytest.mark.parametrize("name", ["x.jsonl", "x.jsonl.gz"])
def test_share_that_was_read_grows_to_all(tmp_path: Path, name: str) -> None:
    """Of the file as it is on the disk; standard input has no size."""
    path = tmp_path / name
    record(path, LOOKS)
    with open_recording(str(path)) as recording:
        shares = [recording.find_share() or 0.0 for _ in recording]
    assert shares == sorted(shares)
    assert shares[-1] == 1


def test_stream_has_no_share(tmp_path: Path) -> None:
    """Standard input has no size."""
    record(tmp_path / "x", LOOKS)
    stream = io.BytesIO((tmp_path / "x").read_bytes())
    assert Recording("standard input", stream).find_share() is None


def test_guest_without_a_change_takes_a_line_of_few_bytes(tmp_path: Path) -> None:
    """Only what changed is written, and the layout does not."""
    record(tmp_path / "a", [look(at, observe(at)) for at in range(3)])
    header, first, second, third = (tmp_path / "a").read_text().splitlines()
    assert json.loads(header)["schema"] == 1
    assert len(first) > 1000
    assert json.loads(second) == {
        "monotonic_ns": S,
        "wall_ns": 1_800_000_001 * S,
        "observations": {"100-5": {"sample": {"monotonic_ns": S + 1, "wall_ns": S}}},
    }
    assert len(third) == len(second)


def test_no_secret_of_a_command_line_is_in_the_file(tmp_path: Path) -> None:
    """Neither the command line nor an image's address with a password is kept."""
    urls = (
        "https://user:hunter2@host/a.iso",
        "rbd:pool/image:id=admin:key=hunter2",
        'json:{"driver":"ssh","password":"hunter2"}',
        "iscsi://user%hunter2@host/target/1",
        "hunter2@x",
    )
    guests = [make_guest(at, layout=make_layout(url)) for at, url in enumerate(urls, 100)]
    broken = replace(make_guest(99), layout=None, problem="pid:99: -drive file=hunter2: no")
    record(tmp_path / "a", [look(0, observe(0, broken), *(observe(0, each) for each in guests))])
    text = (tmp_path / "a").read_text()
    assert "hunter2" not in text
    assert '"password"' not in text
    (found,) = read_recording(str(tmp_path / "a"))
    names = [
        each.guest.layout.disks[0].disk.volume for each in found.observations if each.guest.layout
    ]
    assert names == ["https:", "rbd:", "json:", "iscsi:", ""]


@pytest.mark.parametrize("name", ["/images/a b.raw", "local-lvm:vm-100-disk-0", "a.qcow2"])
def test_plain_names_of_images_are_kept(name: str) -> None:
    """A path and a volume's name say which disk it is."""
    layout = conceal(observe(0, make_guest(layout=make_layout(name)))).guest.layout
    assert layout is not None
    assert layout.disks[0].disk.volume == name


def test_every_field_that_can_be_missing_has_a_default() -> None:
    """A merge patch has no null, so a field that can be None has to be that without it."""

    def walk(kind: Any, seen: set[Any]) -> None:  # noqa: ANN401 - any type
        for part in get_args(kind):
            walk(part, seen)
        if not isinstance(kind, type) or not issubclass(kind, Struct) or kind in seen:
            return
        seen.add(kind)
        hints = get_type_hints(kind)
        for each in structs.fields(kind):
            assert not (each.required and type(None) in get_args(hints[each.name])), each.name
            walk(hints[each.name], seen)

    found: set[Any] = set()
    walk(Look, found)
    assert {Topology, Sample, TracedLoop} <= found
    closed = {each for each in found if each.__struct_config__.forbid_unknown_fields}
    assert {each.__name__ for each in found - closed} == {"Span", "Where"}


def test_recording_stops_before_it_is_too_large(tmp_path: Path) -> None:
    """What has no room is not written, and the file is whole."""
    for name in ("a.jsonl", "a.jsonl.gz"):
        path = tmp_path / name
        count = record(
            path, [look(at, observe(at, requests=at)) for at in range(500)], max_bytes=4000
        )
        assert 1 < count < 500
        assert path.stat().st_size <= 4000
        with open_recording(str(path)) as recording:
            assert len(list(recording)) == count
            assert recording.note == ""
    gzip.decompress((tmp_path / "a.jsonl.gz").read_bytes())


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz"])
def test_file_of_a_killed_vmio_can_be_read_up_to_its_last_whole_line(
    tmp_path: Path, name: str
) -> None:
    """Wherever it ends, each whole look before the end is read, and the rest is told."""
    path = tmp_path / name
    record(path, LOOKS[:3])
    whole = path.read_bytes()
    counts = set()
    for size in range(len(whole) - 1, 200, -7):
        path.write_bytes(whole[:size])
        with open_recording(str(path)) as recording:
            looks = list(recording)
        assert looks == hide(LOOKS)[: len(looks)]
        assert recording.note or name.endswith("l")
        counts.add(len(looks))
    assert counts >= {0, 1, 2}


def test_partial_last_line_is_told(tmp_path: Path) -> None:
    """The note names the line."""
    path = tmp_path / "a"
    path.write_text(HEADER + '{"monotonic_ns":1,')
    with open_recording(str(path)) as recording:
        assert list(recording) == []
        assert recording.note.endswith("a ends in the middle of line 2, which was left out")


def test_failed_write_leaves_whole_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a full disk, what was written of a line is taken back."""
    path = tmp_path / "a"
    real = os.write

    def fail(descriptor: int, data: bytes) -> int:
        if len(data) < 200:
            raise OSError(28, "No space left on device")
        return real(descriptor, data[:-150])

    def run() -> None:
        with create_recording(path, interval_s=1, max_bytes=1 << 20) as writer:
            assert writer.write(LOOKS[0])
            monkeypatch.setattr(os, "write", fail)
            writer.write(LOOKS[1])

    with pytest.raises(OutputError, match="No space left"):
        run()
    monkeypatch.undo()
    assert list(read_recording(str(path))) == hide(LOOKS[:1])


def test_existing_file_is_replaced_only_if_told(tmp_path: Path) -> None:
    """As everywhere."""
    path = tmp_path / "a"
    record(path, LOOKS[:2])
    with pytest.raises(UsageError, match="exists already"):
        record(path, LOOKS)
    with create_recording(path, interval_s=1, max_bytes=1 << 20, force=True) as writer:
        writer.write(LOOKS[0])
    assert len(list(read_recording(str(path)))) == 1


def test_name_that_is_no_text_is_written(tmp_path: Path) -> None:
    """A byte that is not UTF-8 becomes a question mark."""
    guest = replace(make_guest(), name="a\udcff")
    record(tmp_path / "a", [look(0, observe(0, guest))])
    (found,) = read_recording(str(tmp_path / "a"))
    assert found.observations[0].guest.name == "a?"


def damage(change: Callable[[dict[str, Any]], object]) -> str:
    """Returns the text of a recording of one look that was changed."""
    (hidden,) = hide(LOOKS[:1])
    tree: dict[str, Any] = json.loads(msgspec.json.encode(_find_changes(None, hidden)))
    change(tree)
    return HEADER + json.dumps(tree) + "\n"


def guest_of(tree: dict[str, Any]) -> dict[str, Any]:
    """Returns the only observation."""
    found: dict[str, Any] = tree["observations"]["100-5"]
    return found


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is not a recording"),
        ("{}\n", "is not a recording"),
        ("[" * 100_000 + "\n", "is not a recording"),
        ('{"format":"other","schema":1,"vmio":"1","interval_s":1}\n', "is not a recording"),
        (HEADER.replace("1.0,", "NaN,").replace(":1.0}", ":NaN}"), "is not a recording"),
        (HEADER.replace('"schema":1', '"schema":2'), "recorded by vmio 1.0, whose schema is 2"),
        (HEADER + "\n", "line 2"),
        (HEADER + "[1]\n", "line 2: it is not a look"),
        (HEADER + "{}\n", "line 2"),
        (HEADER + "[" * 100_000 + "\n", "line 2"),
        (HEADER + '{"observations":7}\n', "line 2: 'observations' are not named"),
        (HEADER + '{"observations":{"1-1":7}}\n', "line 2: '1-1' is not an observation"),
        (damage(lambda tree: tree.update(surprise=1)), "a look has no key 'surprise'"),
        (damage(lambda tree: tree.update(wall_ns=-1)), "line 2: wall_ns"),
        (damage(lambda tree: tree.update(duration_s=float("inf"))), "not finite"),
        (damage(lambda tree: guest_of(tree).update(x=1)), "an observation has no key 'x'"),
        (damage(lambda tree: guest_of(tree)["guest"].update(x=1)), "has no key 'x'"),
        (damage(lambda tree: guest_of(tree).update(duration_s=-1)), "duration_s"),
        (
            damage(lambda tree: tree["observations"].update({"1-1": guest_of(tree)})),
            "'1-1' is not the name of its guest",
        ),
        (
            damage(lambda tree: guest_of(tree)["guest"]["layout"].update(vcpus=1 << 40)),
            "vcpus must be at most",
        ),
        (
            damage(lambda tree: guest_of(tree)["sample"]["threads"].pop("0")),
            "a position is missing",
        ),
        (
            damage(
                lambda tree: guest_of(tree)["sample"]["disks"]["0"]["reads"]["histogram"].update(
                    boundaries_ns=[1]
                )
            ),
            "a histogram does not fit its boundaries",
        ),
        (
            damage(lambda tree: guest_of(tree)["sample"]["threads"]["0"].update(cpu_ns="x")),
            "line 2",
        ),
    ],
)
def test_text_that_is_no_recording_is_refused_in_one_line(
    tmp_path: Path, text: str, reason: str
) -> None:
    """Whatever is wrong, it is one error, with the number of the line."""
    path = tmp_path / "a"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        list(read_recording(str(path)))
    assert reason in caught.value.message
    assert "\n" not in caught.value.message


def test_clock_that_goes_back_is_refused(tmp_path: Path) -> None:
    """Looks are in the order of time."""
    record(tmp_path / "a", [LOOKS[2], LOOKS[0]])
    with pytest.raises(InputError, match="line 3: monotonic_ns must be at least"):
        list(read_recording(str(tmp_path / "a")))


def test_line_without_end_is_refused(tmp_path: Path) -> None:
    """A small archive can hold a line that is larger than memory."""
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(HEADER.encode() + b" " * (33 << 20) + b"\n", 1))
    with pytest.raises(InputError, match="line 2: the size of the line must be at most"):
        list(read_recording(str(path)))


def test_look_that_grows_line_by_line_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each line is small, and what they come to is not."""
    monkeypatch.setattr("vmio.observe.recording._MAX_STATE_BYTES", 20_000)
    guests = [
        look(0, *(observe(0, make_guest(pid)) for pid in range(100, 100 + n))) for n in (1, 20)
    ]
    record(tmp_path / "a", guests)
    with pytest.raises(InputError, match="the size of a look must be at most"):
        list(read_recording(str(tmp_path / "a")))


def test_damaged_archive_is_refused(tmp_path: Path) -> None:
    """A changed byte in the middle is no end of the file."""
    path = tmp_path / "a.gz"
    record(path, LOOKS)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(bytes(data))
    with pytest.raises(InputError):
        list(read_recording(str(path)))


def test_missing_file_is_named() -> None:
    """As everywhere."""
    with pytest.raises(InputError, match="cannot read no-such-file: No such file"):
        list(read_recording("no-such-file"))


def test_header_says_who_wrote_it(tmp_path: Path) -> None:
    """With the interval that was asked for."""
    record(tmp_path / "a", [])
    with open_recording(str(tmp_path / "a")) as recording:
        assert isinstance(recording.header, Header)
        assert recording.header.interval_s == 1.0
        assert list(recording) == []
