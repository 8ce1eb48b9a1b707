"""A search in a running guest that is simulated: its space, its result, and faults."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from vmio.app.tune import make_live_tuner
from vmio.bench.in_guest import AgentSocket, LiveGuest
from vmio.bench.jobs import Job, JobFigures, parse_job
from vmio.bench.result import HostFacts, Measurement, Side, ThreadLoad
from vmio.errors import ConflictError, UsageError
from vmio.host.running import QemuProcess
from vmio.managers.discovery import RunningGuest
from vmio.managers.owners import Manager
from vmio.model.controller import Controller
from vmio.model.disk import Disk
from vmio.model.iothread import IOThread
from vmio.model.plan import LiveChange
from vmio.model.topology import AttachedDisk, Topology
from vmio.report.tuning.html import render_tuning_html
from vmio.report.tuning.text import print_task, print_tuning
from vmio.report.tuning.words import describe_task, summarise_tuning
from vmio.tune import in_guest as home
from vmio.tune import tuner
from vmio.tune.in_guest import (
    LIVE_PARTS,
    LiveTask,
    list_live_candidate,
    tell_commands,
    tell_keeping,
)
from vmio.tune.objective import parse_objective
from vmio.tune.search import Effort
from vmio.values import replace

PLACE = ("/objects/io0", "poll-max-ns")
JOB = parse_job("rw=randread,iodepth=4")


def make_guest(manager: Manager = "none") -> RunningGuest:
    """Returns a guest that runs here."""
    process = QemuProcess(
        pid=os.getpid(),
        started_ticks=5,
        inner_pid=1,
        owner=0,
        stopped=False,
        cgroup="",
        command=b"",
    )
    return RunningGuest(process=process, manager=manager, id="7", name="web", uptime_s=1.0)


def make_task(folder: Path, thread: str = "io0") -> LiveTask:
    """Returns a search in a guest whose disk has an IOThread."""
    disk = Disk(id="scsi0", bus="virtio", index=0, volume="x")
    live = LiveGuest(
        guest=make_guest(),
        name="web",
        topology=Topology(
            iothreads=(IOThread(id="io0"),),
            controllers=(
                Controller(id="vd0", model="virtio-blk-pci", bus="virtio", iothread=thread),
            ),
            disks=(AttachedDisk(disk=disk, controller="vd0"),),
        ),
        agent=AgentSocket(pid=1, path=Path("/none")),
    )
    return LiveTask(
        name="web",
        live=live,
        candidates=(list_live_candidate(live, "scsi0", LIVE_PARTS),),
        disk="scsi0",
        jobs=(JOB,),
        objective=parse_objective("iops"),
        effort=Effort(),
        seed=0,
        journal=folder / "journal",
    )


class Guest:
    """A guest that does requests by how long its IOThread polls.

    Attributes:
        own: Its values.
        rate: Returns its requests a second by `poll-max-ns`.
        is_open: Whether a search is at work in it.
        runs: How many runs there were.
        error: What each run from the fifth on fails with.
    """

    device = "/dev/vda"

    def __init__(self) -> None:
        self.own = {
            PLACE: 32_768,
            (PLACE[0], "poll-grow"): 0,
            (PLACE[0], "poll-shrink"): 0,
        }
        self.rate: Callable[[int], float] = lambda ns: 2000.0 if ns == 0 else 1000.0
        self.is_open = False
        self.runs = 0
        self.error: Exception | None = None
        self._choices: Sequence[Sequence[LiveChange]] = ()
        self._choice = 0

    @asynccontextmanager
    async def open(
        self, _live: LiveGuest, choices: Sequence[Sequence[LiveChange]], **_how: object
    ) -> AsyncIterator[Guest]:
        """Stands for `open_runs`."""
        self._choices, self.is_open = choices, True
        try:
            yield self
        finally:
            self.is_open = False

    async def choose(self, choice: int) -> None:
        """Makes B another choice."""
        self._choice = choice

    async def run(self, side: Side, _job: Job) -> Measurement:
        """Runs a job."""
        assert self.is_open
        self.runs += 1
        if self.error is not None and self.runs > 4:
            raise self.error
        values = dict(self.own)
        if side == "B":
            values.update({(c.path, c.property): c.new for c in self._choices[self._choice]})
        noise = 1 + 0.01 * (self.runs * 7 % 5 - 2)
        iops = self.rate(values[PLACE]) * noise
        figures = JobFigures(
            iops=iops,
            bandwidth_bytes_per_s=iops,
            requests=1,
            runtime_s=1,
            latency_mean_ns=1e9 / iops,
            latency_p50_ns=1e9 / iops,
            latency_p99_ns=1e9 / iops,
            latency_p999_ns=1e9 / iops,
            guest_cpu_user_share=0,
            guest_cpu_system_share=0,
        )
        load = ThreadLoad(name="io0", kind="iothread", cpu_share=0.5)
        return Measurement(figures=figures, threads=(load,))


@pytest.fixture
def guest(monkeypatch: pytest.MonkeyPatch) -> Guest:
    """The guest that every search is in."""
    made = Guest()
    monkeypatch.setattr(home, "open_runs", made.open)
    monkeypatch.setattr(tuner, "read_host_facts", HostFacts)
    return made


def show(print_it: Callable[[Console], None]) -> str:
    """Returns what is printed."""
    console = Console(record=True, width=150, file=StringIO())
    print_it(console)
    return console.export_text()


def test_best_setting_is_found_and_told(guest: Guest, tmp_path: Path) -> None:
    """With the line that sets it, and how it is kept; no word of boots or of a scratch disk."""
    task = make_task(tmp_path)
    assert describe_task(task).startswith(
        "7 live settings of what serves scsi0 in the running guest web, by iops of"
    )
    tuning = asyncio.run(make_live_tuner(task, folder=tmp_path).run())
    assert tuning.better
    assert tuning.winner is not None
    assert (tuning.winner.layout, tuning.winner.setting) == ("", "poll_max_ns=0")
    assert tuning.in_guest is not None
    assert tuning.in_guest.commands == (
        "in its human monitor: qom-set /objects/io0 poll-max-ns 0",
    )
    assert tuning.in_guest.keep == (
        "in QEMU's command line: -object iothread,id=io0,poll-max-ns=0",
    )
    assert (tuning.plan, tuning.left, tuning.accelerator) == (None, (), "as it runs")
    assert not guest.is_open
    assert summarise_tuning(tuning).startswith("Use poll_max_ns=0: ")
    text = show(lambda console: print_tuning(tuning, console))
    assert "to set the winner until the guest stops:" in text
    assert "qom-set /objects/io0 poll-max-ns 0" in text
    assert "id=io0,poll-max-ns=0" in text
    assert not {"layout", "boot", "scratch"} & {*text.split()}
    task_text = show(lambda console: print_task(task, console))
    assert "its own" in task_text
    assert not {"layout", "layouts", "booted", "boots"} & {*task_text.split()}
    page = render_tuning_html(tuning)
    assert "qom-set /objects/io0 poll-max-ns 0" in page
    assert "the guest&#39;s own disk, read only" in page
    assert "boot" not in page.partition("<body")[2]
    assert "scratch" not in page


def test_what_the_guest_has_already_is_not_tried(guest: Guest, tmp_path: Path) -> None:
    """Whatever it was started with: else chance could advise what it has."""
    guest.own[PLACE] = 0
    tuning = asyncio.run(make_live_tuner(make_task(tmp_path), folder=tmp_path).run())
    tried = {each.setting for each in tuning.tried}
    assert "poll_max_ns=0" not in tried
    assert "poll_max_ns=32768" in tried
    assert len(tried) == 6
    assert (tuning.finished, tuning.winner) == (True, None)
    assert tuning.in_guest is not None
    assert (tuning.in_guest.commands, tuning.in_guest.keep) == ((), ())


def test_search_goes_on_only_for_the_same_values(guest: Guest, tmp_path: Path) -> None:
    """Results against other values of the guest's own say nothing."""
    guest.error = ConflictError("held")
    task = make_task(tmp_path)
    with pytest.raises(ConflictError):
        asyncio.run(make_live_tuner(task, folder=tmp_path).run())
    guest.error = None
    first = asyncio.run(make_live_tuner(task, folder=tmp_path).run())
    guest.runs = 0
    again = asyncio.run(make_live_tuner(task, folder=tmp_path).run())
    assert guest.runs == 2  # fio is loaded
    assert replace(again, duration_s=0.0) == replace(first, duration_s=0.0)
    guest.own[PLACE] = 8192
    with pytest.raises(UsageError, match="journal of another search"):
        asyncio.run(make_live_tuner(task, folder=tmp_path).run())
    assert not guest.is_open


def test_failure_is_no_result(guest: Guest, tmp_path: Path) -> None:
    """There is no other layout to go on with: it ends, and nothing is advised."""
    guest.error = ConflictError("its agent is held")
    search = make_live_tuner(make_task(tmp_path), folder=tmp_path)
    with pytest.raises(ConflictError, match="its agent is held"):
        asyncio.run(search.run())
    tuning = search.summarise()
    assert (tuning.finished, tuning.winner) == (False, None)
    assert "nothing is known yet" in summarise_tuning(tuning)
    assert not guest.is_open


def test_disk_that_no_iothread_serves_has_nothing_to_choose_from(tmp_path: Path) -> None:
    """The main loop's polling is not for one disk."""
    task = make_task(tmp_path, thread="")
    assert len(task.candidates[0].settings) == 1


@pytest.mark.parametrize(
    ("manager", "thread", "commands", "keep"),
    [
        (
            "libvirt",
            "iothread1",
            ("virsh iothreadset web 1 --poll-max-ns 1000000 --poll-grow 4",),
            (
                "in virsh edit web, in <iothreadids>, since libvirt 9.4:"
                " <iothread id='1'><poll max='1000000' grow='4'/></iothread>"
            ),
        ),
        (
            "proxmox",
            "iothread-scsi0",
            (
                "in qm monitor 7: qom-set /objects/iothread-scsi0 poll-max-ns 1000000",
                "in qm monitor 7: qom-set /objects/iothread-scsi0 poll-grow 4",
            ),
            "Proxmox VE has no setting for iothread-scsi0: set it again after each start",
        ),
        (
            "proxmox",
            "vmio0",
            (
                "in qm monitor 7: qom-set /objects/vmio0 poll-max-ns 1000000",
                "in qm monitor 7: qom-set /objects/vmio0 poll-grow 4",
            ),
            "in the config's args: -object iothread,id=vmio0,poll-max-ns=1000000,poll-grow=4",
        ),
    ],
)
def test_managers_own_words_set_a_winner(
    manager: Manager, thread: str, commands: tuple[str, ...], keep: str
) -> None:
    """Each by what it has for that."""
    values = {"poll-max-ns": 1_000_000, "poll-grow": 4}
    assert tell_commands(make_guest(manager), thread, values) == commands
    assert tell_keeping(make_guest(manager), thread, values) == keep


def test_what_libvirt_does_not_set_is_not_told_as_its_own() -> None:
    """By a monitor that the domain has besides; its XML cannot keep it."""
    values = {"aio-max-batch": 1}
    guest = make_guest("libvirt")
    assert tell_commands(guest, "iothread1", values) == (
        "in its human monitor: qom-set /objects/iothread1 aio-max-batch 1",
    )
    assert tell_keeping(guest, "iothread1", values) == ""
