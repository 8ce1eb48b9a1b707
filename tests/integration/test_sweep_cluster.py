"""A sweep on a real Dask cluster of this host."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

import dask
import pytest
from distributed import Client, LocalCluster

from vmio import app
from vmio.errors import CapabilityError, ToolError
from vmio.fleet import cluster as fleet_cluster
from vmio.fleet.runner import map_in_order
from vmio.report.prediction.json import render_sweep_json

ROOT = Path(__file__).parents[2]
VM = str(ROOT / "examples" / "virtio-scsi-single" / "701.conf")
VMIO = (sys.executable, "-m", "vmio", "simulate", VM, "--qemu-version", "10.0.2")
ANY_PORT = "127.0.0.1:0"
"""Of its HTTP server, which takes port 8787 of all addresses if it is told to have none."""
SWEEPS = ("poll_max_ns=16384:32768:4096", "qd=1:3")


@pytest.fixture(scope="module")
def running() -> Iterator[LocalCluster]:
    """Two worker processes and a scheduler, gone at the end."""
    logger = logging.getLogger("distributed")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    # A cluster forgets a worker that is not back in time, and gets no other in its place: on a
    # busy host a process that was killed may take longer than the 15 s of Dask's own to be back.
    patience = dask.config.set({"distributed.deploy.lost-worker-timeout": "300s"})
    with (
        patience,
        LocalCluster(  # type: ignore[no-untyped-call]
            processes=True, n_workers=2, threads_per_worker=1, dashboard_address=ANY_PORT
        ) as running,
    ):
        yield running
    logger.setLevel(level)
    # What Python itself starts beside spawned processes; it would end with this one.
    resource_tracker._resource_tracker._stop()  # type: ignore[attr-defined]


@pytest.fixture
def cluster(running: LocalCluster) -> LocalCluster:
    """The same with both workers there, whatever the test before did to them."""
    with Client(running.scheduler_address, set_as_default=False) as client:  # type: ignore[no-untyped-call]
        client.wait_for_workers(2, timeout=240)
    return running


def list_tasks(cluster: LocalCluster) -> list[str]:
    """Returns what the scheduler knows of, whoever sent it."""
    assert cluster.scheduler is not None
    return list(cluster.scheduler.tasks)


def run_sweep(**where: Any) -> str:  # noqa: ANN401 - whatever the sweep shall run on
    """Returns a sweep as JSON."""
    host = app.read_host(None, qemu_version="10.0.2")
    guest = app.load(VM, host=host)
    grid, points = app.simulate_sweep(guest, host, "qd=1", SWEEPS, seeds=2, requests=300, **where)
    return render_sweep_json(grid, list(points))


def run_vmio(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs `vmio simulate` as a process of its own."""
    return subprocess.run(
        [*VMIO, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


Work = Callable[[list[int]], list[int]]


def make_work() -> tuple[Work, Work, Callable[[str, list[int]], list[int]]]:
    """Returns functions that Dask sends as code, since its workers cannot import this file.

    They tell which process they are in; end their process as the kernel does where memory runs
    out; and do that only if nobody did before.
    """

    def tell(numbers: list[int]) -> list[int]:
        return [os.getpid()] * len(numbers)

    def die(numbers: list[int]) -> list[int]:
        os.kill(os.getpid(), signal.SIGKILL)
        return numbers

    def die_once(mark: str, numbers: list[int]) -> list[int]:
        try:
            Path(mark).touch(exist_ok=False)
        except FileExistsError:
            return numbers
        return die(numbers)

    return tell, die, die_once


TELL, DIE, DIE_ONCE = make_work()


def test_sweep_is_the_same_wherever_it_runs(cluster: LocalCluster) -> None:
    """One process, several, threads, an executor of processes and a cluster: byte for byte."""
    texts = [run_sweep(workers=1), run_sweep(workers=2)]
    with ThreadPoolExecutor(2) as threads, ProcessPoolExecutor(2) as processes:
        texts += [run_sweep(executor=threads), run_sweep(executor=processes)]
    with app.connect_cluster(cluster.scheduler_address) as found:
        assert found.workers == 2
        texts.append(run_sweep(executor=found.executor, workers=found.workers))
    with Client(cluster.scheduler_address, set_as_default=False) as client:  # type: ignore[no-untyped-call]
        texts.append(run_sweep(executor=client.get_executor()))
    assert len(json.loads(texts[0])["data"]["points"]) == 15
    assert set(texts) == {texts[0]}


def test_work_is_done_by_the_workers_of_the_cluster(cluster: LocalCluster) -> None:
    """And by no process here."""
    with app.connect_cluster(cluster.scheduler_address) as found:
        where = set(map_in_order(TELL, range(50), chunk_size=1, executor=found.executor))
    assert len(where) == 2
    assert os.getpid() not in where


def test_program_prints_the_sweep_and_nothing_else(cluster: LocalCluster, tmp_path: Path) -> None:
    """What Dask logs or warns of is neither in the data nor in the talk; the file is written."""
    call = ("--sweep", "poll_grow=1:3", "--json", "--seeds", "2", "--requests", "300")
    table = tmp_path / "x.parquet"
    here = run_vmio(*call, "--jobs", "1")
    there = run_vmio(*call, "--scheduler", cluster.scheduler_address, "--parquet", str(table))
    assert (there.returncode, there.stdout) == (0, here.stdout)
    assert there.stderr == f"vmio: 3 points written to {table}\n"
    assert table.stat().st_size > 0


def test_worker_that_dies_is_replaced(cluster: LocalCluster, tmp_path: Path) -> None:
    """Its work is done by another one."""
    once = partial(DIE_ONCE, str(tmp_path / "died"))
    with app.connect_cluster(cluster.scheduler_address) as found:
        done = map_in_order(once, range(8), chunk_size=1, executor=found.executor)
        assert list(done) == list(range(8))
    assert (tmp_path / "died").exists()


def test_work_that_kills_every_worker_is_told_of(cluster: LocalCluster) -> None:
    """In one line, when Dask has given it up."""
    with (
        pytest.raises(ToolError, match="died one after the other"),
        app.connect_cluster(cluster.scheduler_address) as found,
    ):
        list(map_in_order(DIE, range(1), executor=found.executor))


def test_ending_early_leaves_nothing_queued(cluster: LocalCluster, tmp_path: Path) -> None:
    """What the workers have not begun is taken back."""
    gate = tmp_path / "gate"

    def pass_gate(numbers: list[int]) -> list[int]:
        Path(tmp_path, f"begun-{numbers[0]}").touch()
        with gate.open() as file:
            fcntl.flock(file, fcntl.LOCK_SH if numbers[0] else fcntl.LOCK_UN)
        return numbers

    def count_tasks(dask_worker: Any) -> int:  # noqa: ANN401 - as Dask calls it
        return len(dask_worker.state.tasks)

    # A client that connects while tasks are taken back can fail, as Dask 2026.8 tells every client
    # of that, and this one expects to be greeted first.
    with (
        Client(cluster.scheduler_address, set_as_default=False) as client,  # type: ignore[no-untyped-call]
        gate.open("w") as held,
    ):
        fcntl.flock(held, fcntl.LOCK_EX)
        with app.connect_cluster(cluster.scheduler_address) as found:
            results = map_in_order(
                pass_gate, range(1000), chunk_size=1, executor=found.executor, workers=100
            )
            assert next(results) == 0
            results.close()
        while list_tasks(cluster):
            client.processing()
        # The workers learn of it after the scheduler; what they are at stays.
        while max(client.run(count_tasks).values()) > 1:
            pass
    # Each worker was at one, and may have had the next one in hand.
    assert 1 <= len(list(tmp_path.glob("begun-*"))) <= 5


def test_ctrl_c_takes_back_what_is_queued(cluster: LocalCluster) -> None:
    """The program says one word, and the scheduler forgets all thousand points."""
    sweep = ("--sweep", "poll_max_ns=0:1000:1", "--requests", "300", "--seeds", "2")
    with (
        Client(cluster.scheduler_address, set_as_default=False) as client,  # type: ignore[no-untyped-call]
        subprocess.Popen(
            [*VMIO, *sweep, "--scheduler", cluster.scheduler_address],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as program,
    ):
        while not any(client.processing().values()):
            assert program.poll() is None
        program.send_signal(signal.SIGINT)
        assert program.communicate() == ("", "\nvmio: interrupted\n")
        assert program.returncode == 130
        while list_tasks(cluster):
            client.processing()


@pytest.mark.parametrize(
    ("name", "version", "words"),
    [
        ("vmio", "0.0.1", "has vmio 0.0.1"),
        ("vmio", None, "has no vmio"),
        ("python", "2.7.18.final.0", "has python 2.7"),
        ("distributed", "2024.1.0", "has distributed 2024.1.0"),
    ],
)
def test_other_version_on_the_cluster_is_refused(
    cluster: LocalCluster,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    version: str | None,
    words: str,
) -> None:
    """Before anything is sent there, and with what would be needed."""
    plain = fleet_cluster._compare

    def compare(versions: dict[str, Any], dask: str) -> None:
        worker = next(where for where in versions if where.startswith("worker "))
        versions[worker]["packages"][name] = version
        plain(versions, dask)

    monkeypatch.setattr(fleet_cluster, "_compare", compare)
    with (
        pytest.raises(CapabilityError, match=words) as told,
        app.connect_cluster(cluster.scheduler_address),
    ):
        pass
    assert "worker tcp://" in told.value.message
    assert told.value.hint.endswith("as here")


@pytest.mark.parametrize("answers", [False, True])
def test_nobody_there_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch, answers: bool) -> None:  # noqa: FBT001
    """Somebody who takes a connection and says nothing is nobody, too."""
    monkeypatch.setattr(fleet_cluster, "_PATIENCE_S", 0.5)
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        if answers:
            one.listen()
        address = f"tcp://127.0.0.1:{one.getsockname()[1]}"
        with pytest.raises(ToolError, match=f"^no Dask scheduler answers at {address}"):
            fleet_cluster.connect_cluster(address).__enter__()


def test_cluster_without_workers_is_told_of_at_once() -> None:
    """Dask itself would wait for some."""
    with (
        LocalCluster(n_workers=0, dashboard_address=ANY_PORT) as empty,  # type: ignore[no-untyped-call]
        pytest.raises(ToolError, match=r"has no workers$"),
        app.connect_cluster(empty.scheduler_address),
    ):
        pass


def test_cluster_whose_workers_leave_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where Dask itself would wait for new ones for ever."""
    monkeypatch.setattr(fleet_cluster, "_WATCH_S", 0.1)
    with LocalCluster(  # type: ignore[no-untyped-call]
        n_workers=1, processes=False, protocol="tcp://", dashboard_address=ANY_PORT
    ) as lonely:

        def run() -> None:
            with app.connect_cluster(lonely.scheduler_address) as found:
                with Client(lonely.scheduler_address, set_as_default=False) as client:  # type: ignore[no-untyped-call]
                    client.retire_workers()
                list(map_in_order(TELL, range(8), chunk_size=1, executor=found.executor))

        with pytest.raises(ToolError, match="has gone, or has no workers left"):
            run()


def test_scheduler_that_goes_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was sent to it is lost, and nobody waits for it."""
    monkeypatch.setattr(fleet_cluster, "_WATCH_S", 0.1)
    monkeypatch.setattr(fleet_cluster, "_PATIENCE_S", 1.0)
    with LocalCluster(  # type: ignore[no-untyped-call]
        n_workers=1, processes=False, protocol="tcp://", dashboard_address=ANY_PORT
    ) as gone:

        def run() -> None:
            with app.connect_cluster(gone.scheduler_address) as found:
                results = map_in_order(TELL, range(80), chunk_size=1, executor=found.executor)
                next(results)
                gone.close()
                list(results)

        with pytest.raises(ToolError, match="has gone"):
            run()
