"""`vmio exporter` with real guests, and scraped by a real Prometheus."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, closing, contextmanager, suppress
from functools import wraps
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from msgspec import Struct
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.samples import Sample as Series

from vmio import app
from vmio.exporter.listening import Address, open_listener
from vmio.guest.agent import Agent, agent_argv
from vmio.guest.image import GuestImage
from vmio.model.machine import Machine
from vmio.model.topology import Topology
from vmio.qemu.boot import render_boot
from vmio.qemu.brief import BriefMonitor
from vmio.qemu.folder import open_runtime_folder
from vmio.qemu.process import QemuProcess
from vmio.qemu.questions import Question

ROOT = Path(__file__).parents[2]
RULES = ROOT / "contrib" / "prometheus"
DASHBOARD = ROOT / "contrib" / "grafana" / "vmio.json"
UNIT = ROOT / "contrib" / "systemd" / "vmio-exporter.service"
OPENMETRICS = "application/openmetrics-text;version=1.0.0"
LIMIT_S = 90.0
_SOMEBODY = 54321

BARE = (
    *("qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-S"),
    *("-machine", "pc", "-accel", "tcg", "-m", "16"),
)
ONE_DISK = (
    *("-object", "iothread,id=io0", "-blockdev", "driver=null-co,node-name=n0"),
    *("-device", "virtio-blk-pci,iothread=io0,drive=n0,id=vd0"),
)
MAPPED = (
    '{"driver":"virtio-blk-pci","drive":"n0","id":"vd0","num-queues":2,'
    '"iothread-vq-mapping":[{"iothread":"io0"},{"iothread":"io1"}]}'
)
THREE_DISKS = (
    *("-object", "iothread,id=io0", "-object", "iothread,id=io1", "-object", "iothread,id=io2"),
    *("-blockdev", "driver=null-co,node-name=n0,latency-ns=100000"),
    "-device",
    MAPPED,
    "-drive",
    "if=none,id=d1,driver=null-co,throttling.iops-total=100,throttling.bps-total=100000000",
    *("-device", "virtio-blk-pci,drive=d1,id=vd1"),
    *("-device", "virtio-scsi-pci,id=s0,iothread=io2", "-blockdev", "driver=null-co,node-name=n2"),
    *("-device", "scsi-hd,bus=s0.0,drive=n2,id=sd0"),
)
"""Of one the queues are mapped to two IOThreads, one is on the main loop and has limits, of which
the load reaches one on any host, so that there is a verdict, and one is on virtio-scsi."""
LOAD = (
    *("fio", "--ioengine=libaio", "--direct=1", "--rw=randrw", "--bs=4k", "--size=64m"),
    *("--iodepth=4", "--fsync=8", "--time_based", "--runtime=200s", "--allow_file_create=0"),
)


class Guest(Struct, frozen=True, kw_only=True):
    """A guest with a monitor that others may use."""

    process: QemuProcess
    socket: Path

    @property
    def address(self) -> str:
        """What the exporter is told to watch."""
        return f"pid:{self.process.pid}"

    async def read_disk(self, disk: str, count: int = 1) -> None:
        """Has a disk read, without the guest."""
        for command in (*('"aio_read 0 4k"',) * count, "aio_flush"):
            line = f"qemu-io -d {disk}/virtio-backend {command}"
            answer = await self.process.qmp.execute(
                "human-monitor-command", {"command-line": line}
            )
            assert answer == ""


class Exporter(Struct, frozen=True, kw_only=True):
    """A `vmio exporter` that runs."""

    process: subprocess.Popen[str]
    url: str

    async def scrape(self, **headers: str) -> list[Series]:
        """Returns what is scraped."""
        text = await fetch(f"{self.url}/metrics", Accept=OPENMETRICS, **headers)
        parse: Callable[[str], Iterator[Family]] = openmetrics.text_string_to_metric_families
        families = parse(text)
        return [each for family in families for each in family.samples]

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        """Ends it; returns its exit status and what it said meanwhile."""
        self.process.send_signal(number)
        _, said = self.process.communicate(timeout=60)
        return self.process.returncode, said


def in_event_loop(test: Callable[..., Coroutine[None, None, None]]) -> Callable[..., None]:
    """Returns a test that runs a coroutine."""

    @wraps(test)
    def run(*arguments: object, **named: object) -> None:
        asyncio.run(asyncio.wait_for(test(*arguments, **named), 240))

    return run


async def fetch(url: str, **headers: str) -> str:
    """Returns what is at an address."""

    def read() -> str:
        host, port, path = re.fullmatch(r"http://(.+):(\d+)(/.*)", url).groups()  # type: ignore[union-attr]
        connection = HTTPConnection(host, int(port), timeout=60)
        with closing(connection):
            connection.request(
                "GET", path, headers={k.replace("_", "-"): v for k, v in headers.items()}
            )
            answer = connection.getresponse()
            assert answer.status == HTTPStatus.OK, answer.read()
            return answer.read().decode()

    return await asyncio.to_thread(read)


async def wait_until(is_so: Callable[[], Awaitable[bool]], what: object) -> None:
    """Waits until something is so; says what is not, if it takes too long."""
    until_s = time.monotonic() + LIMIT_S
    while not await is_so():
        assert time.monotonic() < until_s, what
        await asyncio.sleep(0.1)


@asynccontextmanager
async def started(name: str, *more: str) -> AsyncIterator[Guest]:
    """Starts a guest of a name."""
    with open_runtime_folder() as folder:
        argv = (*BARE, *(more or ONE_DISK), "-name", f"guest={name},debug-threads=on")
        async with QemuProcess.start(argv, qmp_socket=folder / "q") as process:
            yield Guest(process=process, socket=folder / "q")


@contextmanager
def exporting(*words: str, before: tuple[str, ...] = ()) -> Iterator[Exporter]:
    """Runs `vmio exporter`."""
    argv = (*before, sys.executable, "-m", "vmio", "exporter", "--listen", "127.0.0.1:0", *words)
    process = subprocess.Popen(argv, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        assert process.stderr is not None
        said = process.stderr.readline()
        while "no guest that is seen to run" in said:  # yet
            said = process.stderr.readline()
        match = re.fullmatch(r"vmio: metrics are at (http://\S+)/metrics\n", said)
        assert match, said + process.stderr.read()
        yield Exporter(process=process, url=match[1])
    finally:
        process.kill()
        process.communicate()


def find(series: list[Series], name: str, **labels: str) -> float | None:
    """Returns the value of the only series with these labels, None if there is none."""
    found = [
        each.value
        for each in series
        if each.name == name and labels.items() <= each.labels.items()
    ]
    assert len(found) <= 1, found
    return found[0] if found else None


def find_program(name: str) -> str:
    """Returns where a program of Prometheus is, or skips the test."""
    own = ROOT / ".venv" / "prometheus" / name
    found = shutil.which(name) or (str(own) if own.exists() else None)
    if found is None:
        pytest.skip(f"needs {name} on PATH")
    return found


def run_promtool(*words: str, text: str = "") -> None:
    """Runs promtool, which has to find nothing."""
    argv = (find_program("promtool"), *words)
    done = subprocess.run(argv, input=text, capture_output=True, text=True, check=False, cwd=RULES)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr


@in_event_loop
async def test_figures_are_those_of_the_guest() -> None:
    """Requests, threads and the layout of a real guest, in both formats without a complaint."""
    async with started('a "b" \\c') as guest:
        with exporting(guest.address, "--latencies", "--queues") as exporter:
            await exporter.scrape()
            await guest.read_disk("vd0", 7)
            series = await exporter.scrape()
            text = await fetch(f"{exporter.url}/metrics")
    name = {"guest": 'a "b" \\c'}
    assert find(series, "vmio_disk_read_requests_total", **name, disk="vd0") == 7
    assert find(series, "vmio_disk_read_bytes_total", **name, disk="vd0") == 7 * 4096
    counted = find(series, "vmio_disk_latency_seconds_count", **name, operation="read")
    assert counted == 7
    assert find(series, "vmio_disk_thread_info", **name, disk="vd0", thread="io0") == 1
    assert (
        find(series, "vmio_thread_cpu_seconds_total", **name, thread="io0", mode="user")
        is not None
    )
    assert find(series, "vmio_virtqueue_size_requests", **name, device="vd0", queue="0") == 256
    run_promtool("check", "metrics", text=text)


@in_event_loop
async def test_hostile_names_are_read_back_by_prometheus_own_parser() -> None:
    """A guest's name is what its owner chose."""
    names = ("a\nvmio_up 1", "\x1b[2J", "x" * 10_000, "a}", "-")
    async with AsyncExitStack() as stack:
        guests = [await stack.enter_async_context(started(each)) for each in names]
        with exporting(*(each.address for each in guests)) as exporter:
            series = await exporter.scrape()
            text = await fetch(f"{exporter.url}/metrics")
    found = {each.labels["guest"] for each in series if each.name == "vmio_guest_info"}
    assert len(found) == len(names)
    assert {"a\\nvmio_up 1", "\\x1b[2J", "a}", "-"} <= found
    assert find(series, "vmio_guests") == len(names)
    run_promtool("check", "metrics", text=text)


@in_event_loop
async def test_guest_that_does_not_answer_delays_no_other() -> None:
    """One that is stopped, one whose monitor is held, one that is killed, and one that answers."""
    async with AsyncExitStack() as stack:
        stopped, held, killed, well = [
            await stack.enter_async_context(started(each))
            for each in ("stopped", "held", "killed", "well")
        ]
        addresses = [each.address for each in (stopped, held, killed, well)]
        with exporting(*addresses) as exporter:
            assert find(await exporter.scrape(), "vmio_guests") == 4
            client = stack.enter_context(socket.socket(socket.AF_UNIX))
            client.connect(str(held.socket))
            client.recv(1)
            os.kill(stopped.process.pid, signal.SIGSTOP)
            try:
                os.kill(killed.process.pid, signal.SIGKILL)
                await killed.process.wait()
                series = await exporter.scrape(X_Prometheus_Scrape_Timeout_Seconds="5")
            finally:
                os.kill(stopped.process.pid, signal.SIGCONT)
    found = {
        each.labels["guest"]: each.value
        for each in series
        if each.name == "vmio_guest_sample_success"
    }
    assert found == {"stopped": 0, "held": 0, "well": 1}
    assert find(series, "vmio_guest_monitor_busy", guest="held") == 1
    assert find(series, "vmio_guest_monitor_busy", guest="stopped") == 0
    for name in ("stopped", "held"):
        assert find(series, "vmio_thread_sleeps_total", guest=name, role="main") is not None
        assert find(series, "vmio_disk_read_requests_total", guest=name) is None
    assert find(series, "vmio_disk_read_requests_total", guest="well") == 0


@in_event_loop
async def test_guest_whose_main_loop_hangs_has_a_metric_that_says_so() -> None:
    """Its monitor is free and silent; the look ends in time, and the other guest has all."""
    slow = ("-blockdev", "driver=null-co,node-name=slow,latency-ns=60000000000")
    async with started("hangs", *ONE_DISK, *slow) as hangs, started("well") as well:
        with exporting(hangs.address, well.address) as exporter:
            # QEMU itself waits for this read, in its main loop.
            line = {"command-line": 'qemu-io slow "read 0 4k"'}
            reading = asyncio.create_task(hangs.process.qmp.execute("human-monitor-command", line))
            series: list[Series] = []

            async def is_silent() -> bool:
                series[:] = await exporter.scrape(X_Prometheus_Scrape_Timeout_Seconds="5")
                return find(series, "vmio_guest_sample_success", guest="hangs") == 0

            await wait_until(is_silent, "it answers")
            os.kill(hangs.process.pid, signal.SIGKILL)
            await hangs.process.wait()
            await asyncio.gather(reading, return_exceptions=True)
    assert find(series, "vmio_guest_monitor_busy", guest="hangs") == 0
    assert find(series, "vmio_thread_sleeps_total", guest="hangs", role="main") is not None
    assert find(series, "vmio_guest_sample_success", guest="well") == 1
    assert find(series, "vmio_disk_read_requests_total", guest="well") == 0


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_latencies_are_counted_no_longer_than_it_runs(number: int, status: int) -> None:
    """SIGTERM and Ctrl-C end it without a complaint, and leave no histogram."""

    async def has_histogram(guest: Guest) -> bool:
        monitor = BriefMonitor(guest.socket, pid=guest.process.pid)
        (stats,) = await monitor.execute_all([Question(command="query-blockstats")])
        return "rd_latency_histogram" in stats[0]["stats"]

    async def run() -> None:
        async with started("counted") as guest:
            with exporting(guest.address, "--latencies") as exporter:
                await exporter.scrape()
                assert await has_histogram(guest)
                assert await asyncio.to_thread(exporter.stop, number) == (
                    status,
                    "\nvmio: interrupted\n" if number == signal.SIGINT else "",
                )
            assert not await has_histogram(guest)

    asyncio.run(asyncio.wait_for(run(), 120))


def succeeds(*argv: str) -> bool:
    """Returns whether a program ends without an error."""
    return not subprocess.run(argv, check=False, capture_output=True, cwd=ROOT).returncode


@in_event_loop
async def test_other_user_gets_the_threads_alone() -> None:
    """Without root /proc is enough for the threads, and a metric says that it is not all."""
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("needs root and setpriv, to become somebody else")
    before = ("setpriv", f"--reuid={_SOMEBODY}", f"--regid={_SOMEBODY}", "--clear-groups")
    if not await asyncio.to_thread(succeeds, *before, sys.executable, "-c", "import vmio.app"):
        pytest.skip("needs a checkout that others may read")
    async with started("others") as guest:
        with exporting(guest.address, before=before) as exporter:
            series = await exporter.scrape()
    assert find(series, "vmio_thread_sleeps_total", guest="others", thread="io0") is not None
    assert find(series, "vmio_disk_read_requests_total", guest="others") is None
    assert find(series, "vmio_guest_sample_success", guest="others") == 1
    assert find(series, "vmio_guest_monitor_usable", guest="others") == 0


@in_event_loop
async def test_capabilities_of_the_unit_are_enough() -> None:
    """Root with what the unit leaves reads another user's guest."""
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("needs root and setpriv, to drop capabilities")
    unit = UNIT.read_text(encoding="utf-8")
    kept = re.search(r"^CapabilityBoundingSet=(.+)$", unit, re.MULTILINE)
    assert kept
    names = ",".join(f"+{each.removeprefix('CAP_').lower()}" for each in kept[1].split())
    with started_by_another() as (guest_pid, name):
        before = ("setpriv", f"--bounding-set=-all,{names}", "--inh-caps=-all", "--no-new-privs")
        with exporting(f"pid:{guest_pid}", before=before) as exporter:
            series = await exporter.scrape()
    assert find(series, "vmio_disk_read_requests_total", guest=name) == 0


@contextmanager
def started_by_another() -> Iterator[tuple[int, str]]:
    """Starts a guest as another user; gives its process and its name."""
    with open_runtime_folder() as folder:
        folder.chmod(0o755)
        own = folder / "own"
        own.mkdir(mode=0o700)
        os.chown(own, _SOMEBODY, _SOMEBODY)
        user = ("setpriv", f"--reuid={_SOMEBODY}", f"--regid={_SOMEBODY}", "--clear-groups")
        argv = (*user, *BARE, *ONE_DISK, "-name", "guest=theirs,debug-threads=on")
        monitor = ("-qmp", f"unix:{own / 'q'},server=on,wait=off")
        with subprocess.Popen((*argv, *monitor)) as process:
            try:
                until_s = time.monotonic() + LIMIT_S
                while not (own / "q").exists():
                    assert time.monotonic() < until_s
                    time.sleep(0.05)
                yield process.pid, "theirs"
            finally:
                process.kill()


def test_rules_are_correct_and_fire() -> None:
    """Promtool's lint has nothing to say, and its unit tests pass."""
    rules = ("recording.yml", "alerts.yml")
    run_promtool("check", "rules", "--lint=all", "--lint-fatal", *rules)
    run_promtool("test", "rules", "recording_test.yml", "alerts_test.yml")


def test_unit_is_correct() -> None:
    """Systemd finds no mistake in it, and that it is confined."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("needs systemd-analyze")

    def analyze(*words: str) -> str:
        argv = ("systemd-analyze", *words)
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        return done.stdout + done.stderr

    # It also reads the host's own units, and tells what this systemd does not know in them.
    said = [each for each in analyze("verify", str(UNIT)).splitlines() if UNIT.name in each]
    assert [each for each in said if "/usr/bin/vmio is not executable" not in each] == []
    level = re.search(
        r"exposure level for vmio-exporter\.service: ([\d.]+)",
        analyze("security", "--offline=yes", "--no-pager", str(UNIT)),
    )
    if level is None:
        pytest.skip("needs a systemd-analyze that looks at a unit offline")
    assert float(level[1]) < 3


class Prometheus(Struct, frozen=True, kw_only=True):
    """A Prometheus that runs."""

    url: str

    async def ask(self, path: str) -> Any:  # noqa: ANN401 - as its API has it
        """Returns an answer of its API."""
        answer = json.loads(await fetch(f"{self.url}/api/v1/{path}"))
        assert answer["status"] == "success", answer
        return answer["data"]

    async def query(self, expression: str) -> list[Mapping[str, Any]]:
        """Returns the result of a query now."""
        found: list[Mapping[str, Any]] = (
            await self.ask(f"query?query={quote(expression, safe='')}")
        )["result"]
        return found


@asynccontextmanager
async def scraping(url: str, folder: Path) -> AsyncIterator[Prometheus]:
    """Runs a Prometheus that scrapes every second."""
    program = find_program("prometheus")
    with open_listener(Address(host="127.0.0.1", port=0)) as free:
        address = "{}:{}".format(*free.getsockname()[:2])
    config = folder / "prometheus.yml"
    config.write_text(
        json.dumps(
            {
                "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
                "rule_files": [str(RULES / "recording.yml"), str(RULES / "alerts.yml")],
                "scrape_configs": [
                    {
                        "job_name": "vmio",
                        "static_configs": [{"targets": [url.removeprefix("http://")]}],
                    }
                ],
            }
        )
    )
    run_promtool("check", "config", str(config))
    argv = (
        program,
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={address}",
        "--log.level=warn",
    )
    prometheus = Prometheus(url=f"http://{address}")
    with running(argv, folder / "log") as process:

        async def is_ready() -> bool:
            assert process.poll() is None, (folder / "log").read_text()
            with suppress(OSError, AssertionError):  # it answers 503 until it has loaded
                await fetch(f"{prometheus.url}/-/ready")
                return True
            return False

        await wait_until(is_ready, "Prometheus is not ready")
        yield prometheus
        # It warns of samples that it refuses: twice the same, out of order.
        assert (folder / "log").read_text() == ""


@contextmanager
def running(argv: tuple[str, ...], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Runs a program that writes what it says into a file."""
    with log.open("wb") as output, subprocess.Popen(argv, stderr=output) as process:
        try:
            yield process
        finally:
            process.terminate()


@asynccontextmanager
async def loaded(image: GuestImage) -> AsyncIterator[Guest]:
    """Boots the benchmark guest with three disks, and has fio read, write and flush two."""
    how, _ = app.choose_boot(
        accelerator="tcg",
        kernel=str(image.kernel),
        initrd=str(image.initrd),
        append=image.append,
        memory_mib=512,
    )
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(open_runtime_folder())
        argv = render_boot(Machine(name="loaded"), Topology(), how)
        start = QemuProcess.start(
            (*argv, *agent_argv(folder / "agent"), *THREE_DISKS), qmp_socket=folder / "q"
        )
        process = await stack.enter_async_context(start)
        agent = await stack.enter_async_context(Agent.connect(folder / "agent", 180))
        disks: list[str] = []
        while len(disks) < 2:
            disks = [each.path for each in await agent.disks() if each.name.startswith("vd")]
        jobs = [word for each in disks for word in (f"--name={each[-1]}", f"--filename={each}")]
        load = asyncio.create_task(agent.run((*LOAD, *jobs), timeout_s=300))
        try:
            yield Guest(process=process, socket=folder / "q")
        finally:
            load.cancel()
            await asyncio.wait([load])


def list_queries() -> dict[str, list[str]]:
    """Returns the queries of the dashboard as they are for all guests, by the panel's title."""
    document = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    queries = {
        panel["title"]: [
            re.sub(r"\$(job|instance|guest)\b", ".*", target["expr"]).replace(
                "$__rate_interval", "5s"
            )
            for target in panel["targets"]
        ]
        for panel in document["panels"]
        if panel["type"] != "row"
    }
    for variable in document["templating"]["list"]:
        if variable["type"] == "query":
            query = variable["query"]["query"]
            match = re.fullmatch(r"label_values\((.+), (\w+)\)", query)
            assert match, query
            expression = re.sub(r"\$(job|instance|guest)\b", ".*", match[1])
            queries[f"variable {variable['name']}"] = [f"count by ({match[2]}) ({expression})"]
    return queries


@in_event_loop
async def test_prometheus_scrapes_guests_that_come_and_go(
    tmp_path: Path, guest_image: GuestImage
) -> None:
    """No scrape fails, every query of the dashboard and every recording rule returns data."""
    find_program("prometheus")
    missing = {each for expressions in list_queries().values() for each in expressions}
    missing |= set(re.findall(r"record: (\S+)", (RULES / "recording.yml").read_text("utf-8")))
    async with AsyncExitStack() as stack:
        guest = await stack.enter_async_context(loaded(guest_image))
        words = (guest.address, "comes", "--latencies", "--queues")
        exporter = stack.enter_context(exporting(*words))
        prometheus = await stack.enter_async_context(scraping(exporter.url, tmp_path))

        async def is_complete() -> bool:
            for expression in tuple(missing):
                found = await prometheus.query(expression)
                if any(each["value"][1] != "NaN" for each in found):
                    missing.discard(expression)
            return not missing and bool(await prometheus.query("count_over_time(up[1h]) >= 15"))

        for _ in range(3):
            async with started("comes"):
                await wait_until(is_seen(prometheus, "comes", 1), "it did not come")
            await wait_until(is_seen(prometheus, "comes", 0), "it did not go")
        await wait_until(is_complete, missing)
        assert await prometheus.query("min_over_time(up[1h]) == 1")
        (target,) = (await prometheus.ask("targets"))["activeTargets"]
        assert target["lastError"] == ""
        threads = await prometheus.query('vmio_disk_thread_info{disk="vd0", guest="loaded"}')
        assert {each["metric"]["thread"] for each in threads} == {"io0", "io1"}


def is_seen(prometheus: Prometheus, guest: str, count: int) -> Callable[[], Awaitable[bool]]:
    """Returns what tells whether Prometheus sees a guest, or does not."""

    async def look() -> bool:
        return len(await prometheus.query(f'vmio_guest_info{{guest="{guest}"}}')) == count

    return look
