"""What is read of a process's threads, from a folder that looks like the kernel's and from it."""

from __future__ import annotations

import errno
import os
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from vmio.errors import ToolError
from vmio.model.iothread import IOThread
from vmio.observe import threads
from vmio.observe.sample import ThreadName, ThreadSample
from vmio.observe.threads import Tasks, name_threads, open_tasks, read_threads
from vmio.qemu.threads import ReportedThreads

STATUS = (
    "Name:\tx\nCpus_allowed_list:\t0-2,5\n"
    "voluntary_ctxt_switches:\t{}\nnonvoluntary_ctxt_switches:\t{}\n"
)
TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def write_thread(
    proc: Path,
    thread: int,
    name: str = "qemu-system-x86",
    *,
    state: str = "S",
    schedstat: str | None = "5000 700 3\n",
    status: str | None = STATUS.format(11, 12),
) -> None:
    """Writes what the kernel would say of a thread of process 7; None for nothing."""
    folder = proc / "7" / "task" / str(thread)
    folder.mkdir(parents=True)
    fields = [state, *["0"] * 10, "2", "3", *["0"] * 6, "77", *["0"] * 16, "5", "0"]
    (folder / "stat").write_text(f"{thread} ({name}) {' '.join(fields)}\n")
    for file, text in (("schedstat", schedstat), ("status", status)):
        if text is not None:
            (folder / file).write_text(text)


def read(proc: Path, names: dict[int, ThreadName] | None = None) -> tuple[ThreadSample, ...]:
    """Returns the threads of process 7, in the order of their ids."""
    with open_tasks(7, proc=proc) as tasks:
        return tuple(sorted(read_threads(tasks, names or {}), key=lambda each: each.thread_id))


def test_thread_has_all_that_the_kernel_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Processor time and delay by the scheduler's count, switches, and where it runs."""
    monkeypatch.setattr(threads, "read_processor_nodes", lambda: {4: 0, 5: 1})
    write_thread(tmp_path, 8)
    assert read(tmp_path, {8: ThreadName(name="io0", role="iothread")}) == (
        ThreadSample(
            thread_id=8,
            name="io0",
            role="iothread",
            owner="io0",
            cpu_ns=5000,
            user_ns=2 * TICK_NS,
            system_ns=3 * TICK_NS,
            run_delay_ns=700,
            voluntary_switches=11,
            involuntary_switches=12,
            processor=5,
            node=1,
            affinity=(0, 1, 2, 5),
            state="S",
            started_ticks=77,
        ),
    )


@pytest.mark.parametrize("schedstat", [None, "", "0 0 0\n", "1 2\n", "x y z\n", "\xff"])
@pytest.mark.parametrize("status", [None, "", "voluntary_ctxt_switches:\tx\n"])
def test_what_the_kernel_does_not_say_is_unknown(
    tmp_path: Path, schedstat: str | None, status: str | None
) -> None:
    """Without scheduler statistics the processor time is counted in ticks."""
    write_thread(tmp_path, 8, schedstat=schedstat, status=status)
    (found,) = read(tmp_path)
    assert found.cpu_ns == 5 * TICK_NS
    assert found.run_delay_ns is found.voluntary_switches is found.involuntary_switches is None


@pytest.mark.parametrize(
    ("kernel", "role", "name"),
    [
        ("IO iothread0", "iothread", "iothread0"),
        ("IO mon_iothread", "other", "IO mon_iothread"),
        ("CPU 12/KVM", "vcpu", "vCPU 12"),
        ("CPU 0/TCG", "vcpu", "vCPU 0"),
        ("worker", "worker", "worker"),
        ("iou-wrk-21439", "io_uring", "iou-wrk-21439"),
        ("iou-wrk-x", "other", "iou-wrk-x"),
        ("a) S 1 (b", "other", "a) S 1 (b"),
        ("", "other", ""),
    ],
)
def test_thread_goes_by_the_kernels_name_without_another(
    tmp_path: Path, kernel: str, role: str, name: str
) -> None:
    """QEMU names its threads where it is told to; blanks and brackets in a name are no fields."""
    write_thread(tmp_path, 8, kernel)
    (found,) = read(tmp_path)
    assert (found.role, found.name, found.processor) == (role, name, 5)


@pytest.mark.parametrize(
    ("kernel", "owners"),
    [
        (
            {7: "IO main", 8: "IO io0", 9: "iou-wrk-8", 10: "iou-wrk-7", 11: "iou-wrk-99"},
            ("main loop", "io0", "io0", "main loop", None),
        ),
        ({7: "x", 8: "IO io0", 9: "worker"}, ("main loop", "io0", None)),
        ({7: "x", 8: "CPU 0/KVM", 9: "worker"}, ("main loop", None, "main loop")),
    ],
)
def test_helper_thread_works_for_a_loop(
    tmp_path: Path, kernel: dict[int, str], owners: tuple[str | None, ...]
) -> None:
    """An io_uring worker for whose number it has; a pool's for the loop, where there is one."""
    for thread, name in kernel.items():
        write_thread(tmp_path, thread, name)
    found = read(tmp_path, {7: ThreadName(name="main loop", role="main loop")})
    assert tuple(each.owner for each in found) == owners


@pytest.mark.parametrize("text", ["", "0-", "x", "3-1", "0-99999999", "9000"])
def test_affinity_that_is_none_is_unknown(tmp_path: Path, text: str) -> None:
    """The rest of the file is read."""
    status = STATUS.format(11, 12).replace("0-2,5", text)
    write_thread(tmp_path, 8, status=status)
    (found,) = read(tmp_path)
    assert found.affinity == (() if not text else None)
    assert found.voluntary_switches == 11


def list_files() -> list[str]:
    """Returns the open files of threads, this process's and others'."""
    found = []
    for each in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # the listing's own
            found.append(str(each.readlink()))
    return [each for each in found if "/task" in each]


def test_files_of_a_thread_stay_open_until_it_ends() -> None:
    """And none is left behind."""
    end = threading.Event()
    other = threading.Thread(target=end.wait)
    with open_tasks(os.getpid()) as tasks:
        before = len(read_threads(tasks, {}))
        kept = Tasks.kept
        other.start()
        found = read_threads(tasks, {})
        assert (len(found), Tasks.kept) == (before + 1, kept + 3)
        assert len(list_files()) == 1 + Tasks.kept
        end.set()
        other.join()
        while len(read_threads(tasks, {})) > before:  # the kernel takes a moment
            pass
        assert Tasks.kept == kept
    assert Tasks.kept == 0
    assert list_files() == []


def test_files_are_closed_at_once_where_too_many_are_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process may have as many for other things."""
    monkeypatch.setattr(threads, "_find_most_kept", lambda: 0)
    with open_tasks(os.getpid()) as tasks:
        assert read_threads(tasks, {})
        assert len(list_files()) == 1
        assert read_threads(tasks, {})


def start_as(pid: int) -> subprocess.Popen[bytes] | None:
    """Starts a process with a number that is free; None where another one was faster."""
    Path("/proc/sys/kernel/ns_last_pid").write_text(str(pid - 1), encoding="ascii")
    process = subprocess.Popen(["sleep", "60"])
    if process.pid == pid:
        return process
    process.kill()
    process.wait()
    return None


def test_open_folder_does_not_show_who_got_the_number() -> None:
    """A fresh path would."""
    first = subprocess.Popen(["sleep", "60"])
    with open_tasks(first.pid) as tasks:
        assert len(read_threads(tasks, {})) == 1
        first.kill()
        first.wait()
        try:
            second = next(filter(None, (start_as(first.pid) for _ in range(50))), None)
        except OSError:
            pytest.skip("needs to choose a process's number, which root can")
        if second is None:
            pytest.skip("other processes took the number each time")
        try:
            assert read_threads(tasks, {}) == ()
            with open_tasks(first.pid) as fresh:
                assert len(read_threads(fresh, {})) == 1
        finally:
            second.kill()
            second.wait()


def test_process_that_is_not_ours_to_see_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """As with /proc mounted with hidepid=1; with hidepid=2 it is not there."""

    def refuse(*_: object, **__: object) -> int:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(ToolError, match="cannot look at process 1: Operation"), open_tasks(1):
        pass


def test_thread_that_ends_meanwhile_is_left_out(tmp_path: Path) -> None:
    """Its files are gone, empty or cut off; what is no thread is none."""
    write_thread(tmp_path, 8)
    (tmp_path / "7" / "task" / "9").mkdir()
    (tmp_path / "7" / "task" / "x").mkdir()
    for number, text in enumerate(("", "10 (qemu", "10 (qemu) S 1 2\n")):
        write_thread(tmp_path, 10 + number)
        (tmp_path / "7" / "task" / str(10 + number) / "stat").write_text(text)
    assert [each.thread_id for each in read(tmp_path)] == [8]


@pytest.mark.parametrize("state", ["Z", "X"])
def test_process_whose_threads_are_dead_has_ended(tmp_path: Path, state: str) -> None:
    """One that nobody has waited for still has its first thread's files."""
    write_thread(tmp_path, 7, state=state)
    assert read(tmp_path) == ()


def test_process_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """In one line."""
    with pytest.raises(ToolError, match="there is no process 7"), open_tasks(7, proc=tmp_path):
        pass


def test_open_folder_shows_no_other_process() -> None:
    """Of a process that has ended it shows no thread, whoever has its number then."""
    with subprocess.Popen(["sleep", "60"]) as process, open_tasks(process.pid) as tasks:
        assert [each.thread_id for each in read_threads(tasks, {})] == [process.pid]
        process.kill()
        process.wait()
        assert read_threads(tasks, {}) == ()


def test_own_threads_are_read_again_and_again() -> None:
    """The count of a thread grows as it works, and so does that of its sleeps."""
    own = threading.get_native_id()
    with open_tasks(os.getpid()) as tasks:
        (before,) = (each for each in read_threads(tasks, {}) if each.thread_id == own)
        deadline_s = time.thread_time() + 0.02
        while time.thread_time() < deadline_s:
            pass
        subprocess.run(["true"], check=True)
        (after,) = (each for each in read_threads(tasks, {}) if each.thread_id == own)
    assert after.cpu_ns > before.cpu_ns
    assert after.voluntary_switches is not None
    assert before.voluntary_switches is not None
    assert after.voluntary_switches > before.voluntary_switches


def test_own_processor_is_told() -> None:
    """Of a thread that may run on one only."""
    allowed = os.sched_getaffinity(0)
    own = threading.get_native_id()
    try:
        for processor in allowed:
            os.sched_setaffinity(0, {processor})
            with open_tasks(os.getpid()) as tasks:
                found = {each.thread_id: each.processor for each in read_threads(tasks, {})}
            assert found[own] == processor
    finally:
        os.sched_setaffinity(0, allowed)


def test_standing_threads_are_named_as_the_monitor_reports_them() -> None:
    """The first thread is the main loop; what has no number or id is not named."""
    reported = ReportedThreads(
        iothreads=((IOThread(id="io0"), 11), (IOThread(id="gone"), None)),
        vcpus=((0, 12), (1, None), (None, 13)),
    )
    assert name_threads(10, reported) == {
        10: ThreadName(name="main loop", role="main loop"),
        11: ThreadName(name="io0", role="iothread"),
        12: ThreadName(name="vCPU 0", role="vcpu"),
    }
