"""Feeds vmio's readers inputs that were mutated from real ones, and counts failures.

    fuzz.py [-n INPUTS] [--seed SEED] [--slow SECONDS] [READER...]

A reader may refuse an input only with an error of vmio's own. An accepted input is processed
further, as by the verbs: it is planned, checked, printed and written. Inputs are configs, command
lines, descriptions and recordings of this repository with bytes, words, numbers, lines and parts
of each other changed, so that many pass the first checks. The same seed gives the same inputs.

An input that fails, or takes more processor time than `--slow`, is kept in the folder
`fuzz-found`. Memory is limited to 2 GiB, so an input that requires more fails.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import io
import json
import lzma
import random
import re
import resource
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from copy import deepcopy
from functools import cache
from io import StringIO
from itertools import islice
from pathlib import Path
from typing import Any, cast

from msgspec import Struct, field
from rich.console import Console

from vmio.bench.jobs import parse_fio
from vmio.errors import VmioError
from vmio.formats.base import Guest, ReadContext
from vmio.formats.host_toml import parse_host, render_host
from vmio.formats.libvirt.guest import read_guest as read_domain
from vmio.formats.plan_file import parse_plan, render_plan
from vmio.formats.proxmox.reader import read_guest
from vmio.formats.proxmox.storage import parse_storages
from vmio.formats.qemu.argv import parse_command
from vmio.formats.qemu.diff import compare_commands
from vmio.formats.qemu.reader import read_command_vm
from vmio.formats.qemu.trace import parse_recording, parse_trace
from vmio.formats.registry import build_command, lay_out, recognise
from vmio.formats.shell import render_command
from vmio.guest.agent import Agent, SocketChannel, parse_disks
from vmio.lint.baseline import parse_baseline, render_baseline
from vmio.lint.engine import run
from vmio.lint.project import load_rules, parse_project_config
from vmio.lint.rule import Context
from vmio.managers.journal import Journal
from vmio.managers.proxmox.pmxcfs import parse_vmlist
from vmio.model.host import Cpu, Host
from vmio.model.source import Source
from vmio.model.topology import Topology
from vmio.model.version import parse_version
from vmio.observe.history import HistoryBuilder
from vmio.observe.readings import HostTracker
from vmio.observe.recording import Recording
from vmio.policy.planner import make_plan
from vmio.policy.spreads import choose_policy
from vmio.qemu.live import compare, read_live
from vmio.qemu.qmp import CommandRefusedError, QmpConnection
from vmio.report.history.html import render_history_html
from vmio.report.history.json import render_history_json
from vmio.report.history.text import print_history
from vmio.report.layout.json import render_topology_json
from vmio.report.layout.text import print_topology
from vmio.sim.polling import Generation, PollSettings
from vmio.sim.profile import DEFAULT_PROFILE, parse_profile, render_profile
from vmio.sim.replay import check_recording
from vmio.sim.trace import summarize_trace

ROOT = Path(__file__).resolve().parent.parent
GOLDENS = ROOT / "tests" / "golden"
QMP = ROOT / "tests" / "data" / "qmp"
FOUND = Path("fuzz-found")
HOST = Host(qemu_version=parse_version("10.0.2"), cpu=Cpu(count=64))
MAX_BYTES = 32 * 1024
"""Of an input; tests cover how readers treat larger ones."""
MEMORY_BYTES = 2 << 30
PROJECT_CONFIG = b"""\
[check]
select = ["TH", "CA"]
ignore = ["TH004"]
severity = "warning"
baseline = "b.json"
[rules.CA001]
severity = "info"
[[exceptions]]
vm = "701"
disk = "scsi0"
rules = ["TH001"]
reason = "moves in March"
"""
BASELINE = (
    b'{"schema": 1, "findings": [\n'
    b'{"rule": "TH001", "vm": "701", "subject": "scsi0", "fingerprint": "9f86d081884c7d65"}\n]}\n'
)
VMLIST = (
    b'{"version": 5, "ids": {"100": {"node": "alpha", "type": "qemu", "version": 17},\n'
    b'"101": {"node": "beta", "type": "lxc", "version": 4}}}\n'
)
FIO = json.dumps(
    {
        "jobs": [
            {
                "jobname": "a",
                "error": 0,
                "read": {"total_ios": 0},
                "write": {
                    "total_ios": 100,
                    "iops": 10.5,
                    "bw_bytes": 4096,
                    "runtime": 1000,
                    "lat_ns": {"mean": 5.0, "percentile": {"50.000000": 4, "99.000000": 9}},
                },
            }
        ]
    }
).encode()
DISKS = (
    b"sda\t2097152\t0\t/devices/pci0000:00/0000:00:05.0/virtio1/host2/target2:0:0/2:0:0:0"
    b"/block/sda\tx\tnaa.1\n"
)


def plan_and_print(guest: Guest, rng: random.Random) -> None:
    """Processes a guest as `show`, `check` and `plan` do."""
    vm, topology = guest.vm, lay_out(guest)
    render_topology_json(topology, vm=vm.id, origin="as fuzzed").encode()
    if rng.random() < 0.1:  # noqa: PLR2004 - the dear part, a tenth of the time
        for found in run(Context(guest=guest, topology=topology, host=HOST)):
            found.message.encode()
        console = Console(file=StringIO(), width=100)
        print_topology(topology, console, title="x")
        with suppress(VmioError):
            make_plan(guest, HOST, choose_policy("auto"))


def read_config(data: bytes, rng: random.Random) -> None:
    """Reads a config of Proxmox VE, with the storages of the goldens."""
    guest = read_guest(
        Source(name="100.conf", data=data), ReadContext(storages=storages(), host=HOST)
    )
    plan_and_print(guest, rng)
    render_command(build_command(guest, HOST).argv, pretty=True).encode()


@cache
def storages() -> Any:  # noqa: ANN401 - what its reader gives
    """Returns the storages of the goldens."""
    path = GOLDENS / "proxmox" / "storage.cfg"
    return parse_storages(Source(name="storage.cfg", data=path.read_bytes()))


def read_line(data: bytes, rng: random.Random) -> None:
    """Reads a saved command line, its other files missing, and compares it with itself."""
    source = Source(name="x.args", data=data)
    with suppress(VmioError):
        recognise(source)
    plan_and_print(read_command_vm(source, ReadContext(host=HOST)), rng)
    command = parse_command(source)
    if compare_commands(command, command):
        raise AssertionError("a command line differs from itself")


def read_libvirt(data: bytes, rng: random.Random) -> None:
    """Reads a domain, lays it out, checks it and prints its command line."""
    host = Host(libvirt_version=rng.choice(("", "9.0")))
    guest = read_domain(Source(name="vm.xml", data=data), ReadContext(host=host))
    run(Context(guest=guest, topology=lay_out(guest), host=host))
    build_command(guest, host)


def read_recording(data: bytes, rng: random.Random) -> None:
    """Computes a recording again as one of the generations."""
    generations: tuple[Generation, ...] = ("loop", "handler", "weighted")
    lines = data.splitlines(keepends=True)
    check_recording(parse_recording("r", lines), rng.choice(generations), PollSettings())


def read_trace(data: bytes, rng: random.Random) -> None:
    """Analyses the polling in a trace."""
    generations: tuple[Generation, ...] = ("loop", "handler", "weighted")
    lines = data.splitlines(keepends=True)
    summarize_trace(parse_trace("t", lines), rng.choice(generations), PollSettings(), zeros=2)


def read_journal(data: bytes, _rng: random.Random) -> None:
    """Reads the journal that `vmio undo` uses."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as name:
        journal = Journal(Path(name), Path("/etc/pve/qemu-server/100.conf"))
        journal.folder.mkdir(parents=True)
        (journal.folder / "00001.json").write_bytes(data)
        for entry in journal.entries():
            repr(entry).encode()


class Monitor:
    """Answers like a recorded QEMU, except for one reply."""

    def __init__(self, replies: Mapping[str, Any], key: str, reply: object) -> None:
        self.replies = {**replies, key: reply}

    async def execute(self, command: str, arguments: Mapping[str, object] | None) -> object:
        """Answers as recorded."""
        reply = self.replies.get(json.dumps([command, arguments or {}], sort_keys=True))
        if reply is None:
            raise CommandRefusedError("refused", error_class="GenericError")
        return reply


def read_monitor(data: bytes, rng: random.Random) -> None:
    """Reads the layout of a QEMU after one of its recorded replies was mutated."""
    key, reply = split_answer(data)
    replies = recorded(rng.choice(("7.2.22", "10.0.2")))
    connection = QmpConnection(cast("Any", Monitor(replies, key, reply)), "the monitor", None)
    topology = asyncio.run(read_live(connection))
    render_topology_json(topology, vm="1", origin="live").encode()
    console = Console(file=StringIO(), width=100)
    print_topology(topology, console, title="x")
    compare(topology, Topology())


def split_answer(data: bytes) -> tuple[str, object]:
    """Returns a recorded command and its reply; the QMP client itself refuses invalid JSON."""
    try:
        record = json.loads(data)
        return json.dumps(
            [record["execute"], record.get("arguments") or {}], sort_keys=True
        ), record["return"]
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
        raise VmioError(str(error)) from error


@cache
def recorded(version: str) -> Mapping[str, Any]:
    """Returns the answers of a QEMU by command."""
    lines = (QMP / version / "live.jsonl").read_bytes().splitlines()
    return dict(split_answer(line) for line in lines if b'"return"' in line)


class AgentEnd:
    """The guest's end of an agent's socket: it synchronises, then sends the mutated reply."""

    def __init__(self, reader: asyncio.StreamReader, answer: bytes) -> None:
        self.reader = reader
        self.answer = answer
        self.answered = False

    def write(self, data: bytes) -> None:
        """Answers a command."""
        if not self.answered and (found := re.search(rb'"id": (\d+)', data)):
            self.reader.feed_data(b'\xff{"return": %s}\n' % found[1])
        elif data.startswith(b"{") and not self.answered:
            self.answered = True
            self.reader.feed_data(self.answer + b"\n")
            self.reader.feed_eof()

    async def drain(self) -> None:
        """Waits for nothing."""


def read_agent(data: bytes, rng: random.Random) -> None:
    """Reads a guest agent's replies, and the guest's list of its disks."""
    parse_disks(data)

    async def ask() -> None:
        reader = asyncio.StreamReader()
        end = cast("Any", AgentEnd(reader, data))
        agent = Agent(SocketChannel(Path("agent"), reader, end))
        await (agent.info() if rng.random() < 0.5 else agent.disks())  # noqa: PLR2004 - half

    asyncio.run(ask())


def list_configs() -> Iterator[bytes]:
    """Yields configs of Proxmox VE."""
    for path in sorted((GOLDENS / "proxmox").glob("*.conf")) + sorted(
        ROOT.glob("examples/**/*.conf")
    ):
        yield path.read_bytes()


def list_cases(fence: str) -> Iterator[bytes]:
    """Yields the inputs of the rules' cases in one notation."""
    for path in sorted((ROOT / "tests" / "rules" / "cases").glob("*.md")):
        for text in re.findall(rf"(?s)```{fence}\n(.*?)```", path.read_text()):
            yield text.encode()


def list_lines() -> Iterator[bytes]:
    """Yields command lines."""
    for folder, ending in (("proxmox", "*.cmd"), ("qemu", "*.args")):
        for path in sorted((GOLDENS / folder).glob(ending)):
            yield path.read_bytes()


def list_domains() -> Iterator[bytes]:
    """Yields libvirt's domains."""
    for path in sorted((GOLDENS / "libvirt").glob("*.xml")):
        yield path.read_bytes()


def list_plans() -> Iterator[bytes]:
    """Yields plan files."""
    for data in list_configs():
        try:
            guest = read_guest(
                Source(name="100.conf", data=data), ReadContext(storages={}, host=HOST)
            )
            yield render_plan(make_plan(guest, HOST, choose_policy("auto"))).encode()
        except VmioError:
            continue


def list_recordings(folder: str) -> Iterator[bytes]:
    """Yields pieces of recordings or traces."""
    for path in sorted((ROOT / "tests" / "data" / folder).glob("*.xz")):
        with lzma.open(path) as file:
            while piece := b"".join(islice(file, 60)):
                yield piece
                if file.tell() > 1 << 18:
                    break


@cache
def list_looks() -> tuple[bytes, ...]:
    """Returns the lines of a recording of a guest up to the first requests."""
    path = ROOT / "tests" / "data" / "guests" / "db.jsonl.gz"
    return tuple(gzip.decompress(path.read_bytes()).splitlines(keepends=True)[:12])


def read_looks(data: bytes, rng: random.Random) -> None:
    """Reports a recording in which a look is another one."""
    header, *looks = list_looks()
    looks[rng.choice((0, 0, 1, 5))] = data.replace(b"\n", b" ") + b"\n"
    tracker, builder = HostTracker(), HistoryBuilder(step_s=1.0)
    for look in Recording("r", io.BytesIO(b"".join((header, *looks)))):
        builder.add(look, tracker.add(look))
    history = builder.finish(most_guests=4, most_values=10_000)
    render_history_json(history, incomplete="").encode()
    render_history_html(history, name="r", incomplete="").encode()
    print_history(history, Console(file=io.StringIO(), width=80))


def list_hosts() -> Iterator[bytes]:
    """Yields descriptions of hosts."""
    for path in (GOLDENS / "proxmox" / "host.toml", *sorted(ROOT.glob("examples/**/host.toml"))):
        yield path.read_bytes()
    yield render_host(HOST).encode()


def list_storages() -> Iterator[bytes]:
    """Yields descriptions of a cluster's storages."""
    for path in sorted(ROOT.glob("**/storage.cfg")):
        if ".venv" not in path.parts:
            yield path.read_bytes()


def list_answers() -> Iterator[bytes]:
    """Yields commands of a monitor with their answers."""
    for path in sorted(QMP.glob("*/live.jsonl")):
        yield from (line for line in path.read_bytes().splitlines() if b'"return"' in line)


def list_agents() -> Iterator[bytes]:
    """Yields answers of a guest's agent."""
    path = ROOT / "tests" / "unit" / "guest" / "data" / "agent-7.2.json"
    for answer in json.loads(path.read_bytes()):
        yield json.dumps(answer["reply"]).encode()
    yield DISKS


def read_description(data: bytes, _rng: random.Random) -> None:
    """Reads a host's description and writes it again."""
    host = parse_host(Source(name="host.toml", data=data))
    json.dumps(render_host(host)).encode()


def read_storages(data: bytes, rng: random.Random) -> None:
    """Reads storages, and a config that uses them."""
    found = parse_storages(Source(name="storage.cfg", data=data))
    if rng.random() < 0.1:  # noqa: PLR2004 - the dear part, a tenth of the time
        config = rng.choice(READERS["config"].seeds)
        guest = read_guest(
            Source(name="1.conf", data=config), ReadContext(storages=found, host=HOST)
        )
        render_topology_json(lay_out(guest), vm="1", origin="x").encode()


def read_project_config(data: bytes, _rng: random.Random) -> None:
    """Reads a vmio.toml and the rules that it selects."""
    load_rules(parse_project_config(Source(name="vmio.toml", data=data)))


def list_journals() -> Iterator[bytes]:
    """Yields entries as they are written."""
    with tempfile.TemporaryDirectory() as name:
        journal = Journal(Path(name), Path("/etc/pve/qemu-server/100.conf"))
        journal.record(b"a", b"b", what="test")
        for path in sorted(journal.folder.glob("*.json")):
            yield path.read_bytes()


def read_profile(data: bytes, _rng: random.Random) -> None:
    """Reads a profile of costs and writes it again."""
    render_profile(parse_profile(Source(name="profile.toml", data=data)))


def read_baseline(data: bytes, _rng: random.Random) -> None:
    """Reads known findings and writes them again."""
    render_baseline(parse_baseline(Source(name="baseline.json", data=data))).encode()


def read_plan(data: bytes, _rng: random.Random) -> None:
    """Reads a plan's file and writes it again."""
    render_plan(parse_plan(Source(name="plan.json", data=data))).encode()


def read_fio(data: bytes, _rng: random.Random) -> None:
    """Reads fio's output from a guest."""
    parse_fio(data)


def read_vmlist(data: bytes, _rng: random.Random) -> None:
    """Reads the list of VMs of the file system at /etc/pve."""
    parse_vmlist(data)


class Reader(Struct, frozen=True):
    """One kind of input."""

    read: Callable[[bytes, random.Random], None]
    list_seeds: Callable[[], Iterable[bytes]]
    weight: int
    """Its share of the inputs: larger for cheap ones."""

    @property
    def seeds(self) -> tuple[bytes, ...]:
        """The inputs that are mutated."""
        return list_once(self.list_seeds)


@cache
def list_once(list_seeds: Callable[[], Iterable[bytes]]) -> tuple[bytes, ...]:
    """Returns the yield of a function, read once."""
    return tuple(data[:MAX_BYTES] for data in list_seeds())


READERS: Mapping[str, Reader] = {
    "config": Reader(read_config, lambda: [*list_configs(), *list_cases("conf")], 6),
    "command line": Reader(read_line, lambda: [*list_lines(), *list_cases("args")], 4),
    "domain": Reader(read_libvirt, list_domains, 6),
    "storage.cfg": Reader(read_storages, list_storages, 30),
    "host.toml": Reader(read_description, list_hosts, 8),
    "vmio.toml": Reader(read_project_config, lambda: (PROJECT_CONFIG,), 12),
    "profile": Reader(read_profile, lambda: (render_profile(DEFAULT_PROFILE).encode(),), 4),
    "baseline": Reader(read_baseline, lambda: (BASELINE,), 24),
    "plan": Reader(read_plan, list_plans, 2),
    "journal": Reader(read_journal, list_journals, 4),
    "vmlist": Reader(read_vmlist, lambda: (VMLIST,), 24),
    "recording": Reader(read_recording, lambda: list_recordings("recordings"), 5),
    "trace": Reader(read_trace, lambda: list_recordings("traces"), 5),
    "guests": Reader(read_looks, lambda: list_looks()[1:7], 1),
    "monitor": Reader(read_monitor, list_answers, 1),
    "agent": Reader(read_agent, list_agents, 5),
    "fio": Reader(read_fio, lambda: (FIO,), 24),
}

WORDS = rb"""
0 -1 1 2 00 +5 .5 3. 1e2 1e999 -1e999 0x10 0xffffffffffffffff 4294967296 18446744073709551616
20000000 99999999999999999999 NaN Infinity null true false on off [] {} "" \ud800 \udc80 \u0000 ..
/ , ; : = - % %00 file.file.file. backing.backing. none cdrom local: json:{} [PENDING] 0-999999999
iothread-vq-mapping num_queues queues=1023 cores: memory: affinity: args: -set -device -global
\xff \xed\xa0\x80 \xe2\x80\xae \x1b[31m \x00 \r \t
""".split()
"""Words to insert; the escapes are turned into bytes below."""
TOKENS = (
    *(
        word.decode("unicode_escape").encode("latin-1") if b"\\x" in word else word
        for word in WORDS
    ),
    b"9" * 5000,
    b"\n",
)


VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 1.5, 4097, 20_000_000, 1 << 63, 1 << 64, 1e308, float("inf")),
    *(
        "",
        "x",
        "a/b",
        "..",
        "\ud800",
        "\n",
        "0x5",
        "json:{}",
        "9" * 5000,
        [],
        {},
        [[[]]],
        {"id": 1},
    ),
)


def mutate_json(data: bytes, rng: random.Random) -> bytes:
    """Returns a JSON text with a few values replaced, removed or repeated."""
    document = json.loads(data)
    for _ in range(rng.choice((1, 1, 2, 4))):
        inner, key = document, next(iter(document))
        while isinstance(inner, (dict, list)) and inner:
            key = rng.choice(list(inner) if isinstance(inner, dict) else range(len(inner)))
            if not isinstance(inner[key], (dict, list)) or rng.random() < 0.3:  # noqa: PLR2004 - here
                break
            inner = inner[key]
        if isinstance(inner, dict) and inner:
            match rng.randrange(4):
                case 0:
                    del inner[key]
                case 1:
                    inner[rng.choice(("x", "\ud800", key))] = deepcopy(rng.choice(VALUES))
                case _:
                    inner[key] = deepcopy(rng.choice(VALUES))
        elif isinstance(inner, list) and inner:
            inner[key] = deepcopy(rng.choice(VALUES))
            inner *= rng.choice((1, 1, 2, 9))
        if not document:
            break
    return json.dumps(document).encode()[:MAX_BYTES]


def mutate(data: bytes, seeds: tuple[bytes, ...], rng: random.Random) -> bytes:  # noqa: C901
    """Returns an input with a few changes."""
    if data[:1] == b"{" and rng.random() < 0.7:  # noqa: PLR2004 - JSON that stays JSON mostly
        return mutate_json(data, rng)
    for _ in range(rng.choice((1, 1, 2, 3, 6))):
        start = rng.randrange(len(data) + 1)
        end = min(len(data), start + rng.choice((0, 1, 1, 4, 20, 200)))
        match rng.randrange(9):
            case 0:
                data = data[:start] + bytes((rng.randrange(256),)) + data[end:]
            case 1:
                data = data[:start] + data[end:]
            case 2 | 3:
                data = data[:start] + rng.choice(TOKENS) + data[end:]
            case 4:
                numbers = list(islice(re.finditer(rb"\d+", data), 500))
                if numbers:
                    start, end = rng.choice(numbers).span()
                    data = data[:start] + rng.choice(TOKENS) + data[end:]
            case 5:
                data = data[:start] + data[start:end] * rng.choice((2, 3, 50)) + data[end:]
            case 6:
                lines = data.split(b"\n")
                lines.insert(rng.randrange(len(lines) + 1), rng.choice(lines))
                del lines[rng.randrange(len(lines))]
                data = b"\n".join(lines)
            case 7:
                other = rng.choice(seeds)
                begin = rng.randrange(len(other) + 1)
                data = (
                    data[:start] + other[begin : begin + rng.choice((10, 100, 1000))] + data[end:]
                )
            case _:
                opening, closing = rng.choice(((b"[", b"]"), (b"{", b"}"), (b'{"file":', b"}")))
                count = rng.choice((1, 2, 70, 2000))
                data = (
                    data[:start] + opening * count + data[start:end] + closing * count + data[end:]
                )
    return data[:MAX_BYTES]


class Tally(Struct):
    """The results of one reader's inputs."""

    inputs: int = 0
    refused: int = 0
    faults: int = 0
    slow: int = 0
    longest_s: float = 0.0
    total_s: float = 0.0
    seen: set[str] = field(default_factory=set)
    """Where faults happened; the first one of each place is kept."""


def try_one(name: str, number: int, seed: int, slow_s: float, tally: Tally) -> None:
    """Mutates one input, passes it to its reader, and counts the result."""
    # With its own seed, so that an input does not depend on those before it.
    rng = random.Random(f"{seed} {name} {number}")  # noqa: S311 - nothing secret
    reader = READERS[name]
    data = mutate(rng.choice(reader.seeds), reader.seeds, rng)
    begin_s = time.process_time()
    trouble = ""
    try:
        reader.read(data, rng)
    except VmioError:
        tally.refused += 1
    except Exception:  # noqa: BLE001 - each of them is what is looked for
        tally.faults += 1
        trouble = traceback.format_exc()
    taken_s = time.process_time() - begin_s
    tally.inputs += 1
    tally.total_s += taken_s
    tally.longest_s = max(tally.longest_s, taken_s)
    if taken_s > slow_s:
        tally.slow += 1
        trouble = trouble or f"{taken_s:.1f} s"
    if trouble:
        place = trouble.strip().splitlines()[-1][:60] + "".join(trouble.splitlines()[-4:-2])
        if place not in tally.seen:
            tally.seen.add(place)
            FOUND.mkdir(exist_ok=True)
            path = FOUND / f"{name.replace(' ', '-')}-{number}"
            path.write_bytes(data)
            sys.stderr.write(f"{path}:\n{trouble}\n")


def main() -> int:
    """Runs the named readers, or all, and prints a line for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-n", type=int, default=100_000, help="inputs over all readers")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--slow", type=float, default=1.0, help="seconds of the processor")
    parser.add_argument("readers", nargs="*", choices=[*READERS, []], metavar="READER")
    asked = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    names = asked.readers or list(READERS)
    weights = sum(READERS[name].weight for name in names)
    heads = (
        ("inputs", 9),
        ("refused", 9),
        ("faults", 8),
        ("slow", 6),
        ("longest", 9),
        ("mean", 10),
    )
    print(f"{'reader':14}" + "".join(f"{head:>{width}}" for head, width in heads))
    tallies = []
    for name in names:
        tally = Tally()
        for number in range(-(-asked.n * READERS[name].weight // weights)):
            try_one(name, number, asked.seed, asked.slow, tally)
        tallies.append(tally)
        mean_us = 1e6 * tally.total_s / max(1, tally.inputs)
        print(
            f"{name:14}{tally.inputs:9}{tally.refused:9}{tally.faults:8}{tally.slow:6}"
            f"{tally.longest_s:7.2f} s{mean_us:7.0f} µs",
            flush=True,
        )
    inputs, faults, slow = (
        sum(getattr(one, key) for one in tallies) for key in ("inputs", "faults", "slow")
    )
    print(f"{'all':14}{inputs:9}{sum(one.refused for one in tallies):9}{faults:8}{slow:6}")
    return int(bool(faults or slow))


if __name__ == "__main__":
    sys.exit(main())
