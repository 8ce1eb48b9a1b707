"""Every verb on a real terminal, with words in its way that a terminal would obey."""

from __future__ import annotations

import gzip
import io
import json
import os
import re
import socket
import subprocess
import sys
import threading
import tty
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from pathlib import Path

import click
import pytest

from vmio import app
from vmio.cli import progress
from vmio.cli.main import _VERBS
from vmio.cli.terminal import guard_streams
from vmio.errors import InputError, PlanError, ToolError
from vmio.testing import call

ROOT = Path(__file__).parents[3]
LIVE = ROOT / "tests" / "data" / "qmp" / "10.0.2" / "live.jsonl"
RECORDED = ROOT / "tests" / "data" / "guests" / "db.jsonl.gz"

WORD = (
    "forged [bold][link=file:x]x -x\x1b]0;title\x07"
    "\x1b]8;;file:x\x1b\\\x1b[35m\x1b[2J\x1b[8m\r\x08\x7f\x85\x9b2J"
    "\xad\u061c\u200b\u200d\u200e\u202e\u2066\u2060\u2028\u2029\ufeff\ufffe\ufe0f\u3164\U000e0041"
)
"""What a config's line can hold."""
PART = WORD.replace("\r", "")
"""What a disk's properties can hold: one with a line feed drops the disk."""
NAME = f"{WORD}\n::error::forged\n\tforged\udcff"
"""What a file's name and an argument can hold."""

QEMU = ("--qemu-version", "10.0.2")
SET = ("--set", "qemu_version=10.0.2")
TRACE = f"""\
run_poll_handlers_begin ctx {WORD} max_ns 4000 timeout -1
poll_grow ctx {WORD} old 4000 new 8000
poll_shrink ctx {WORD} old 8000 new 4000
"""
CONFIG = f"""\
# {WORD}
agent: 1,type={PART}
args: -fw_cfg 'name=opt/x,string={WORD}'
boot: order=scsi0
description: {WORD}
machine: pc-i440fx-8.1
name: {WORD}
{WORD}: 1
net0: virtio=BC:24:11:00:00:01,bridge={PART}
scsi0: local:100/vm-100-disk-0.raw,iothread=1,size=32G,serial={PART}
scsi1: local:100/{PART}.raw,iothread=1,size=32G,{PART}=1
scsi2: /dev/{PART},iothread=1,cache={PART},size=32G
scsi3: local:100/x.raw,::error::forged=1
scsihw: virtio-scsi-pci
smbios1: serial={PART}
virtio0: local:100/vm-100-disk-1.raw,aio={PART}
"""


TAME = re.sub("[; =]", "", PART)  # which would part a disk's properties
PLANNED = f"""\
# {WORD}
args: -fw_cfg 'name=opt/x,string={WORD}'
boot: order=scsi0
scsi0: local:200/vm-200-disk-0.raw,iothread=1,size=32G
scsi1: /dev/{TAME},size=32G
scsihw: virtio-scsi-pci
"""


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Returns the current folder, with a hostile file of every kind in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / NAME / "state"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / NAME / "data"))
    monkeypatch.setattr(progress, "_PATIENCE_S", float("inf"))  # a bar moves the cursor
    folder = tmp_path / NAME
    folder.mkdir()
    for path in (folder / "100.conf", folder / f"{NAME}.conf", tmp_path / "100.conf"):
        path.write_text(CONFIG)
    (tmp_path / "102.conf").write_text("scsi3: local:102/x,cache=forged,::error::forged=1\n")
    (tmp_path / "::error::forged").mkdir()
    for name in ("100.conf", "::error::forged.conf"):
        (tmp_path / "::error::forged" / name).write_text(CONFIG)
    (tmp_path / "200.conf").write_text(PLANNED)
    (tmp_path / "101.conf").write_text(f"{CONFIG}cores: {WORD}\n")
    storage = "dir: local\n\tpath /var/lib/vz\n\tcontent images\n"
    for place in (folder, tmp_path):
        (place / "storage.cfg").write_text(storage)
    quoted = WORD.replace("'", "")
    (tmp_path / "a.txt").write_text(f"kvm -name 'guest={quoted}' -device 'e1000,id={quoted}'\n")
    (tmp_path / "b.txt").write_text(f"kvm -name 'guest=b{quoted}' -m 512\n")
    (tmp_path / "trace").write_text(TRACE)
    (tmp_path / "seen").write_text(make_recording())
    return tmp_path


@cache
def make_recording() -> str:
    """Returns a recording of a guest that has a hostile name, as have a disk and a thread."""
    text = gzip.decompress(RECORDED.read_bytes()).decode()
    for name, hostile in (("db", f"{WORD}\n::error::forged"), ("io0", WORD), ("vd1", WORD)):
        text = text.replace(f'"{name}"', json.dumps(hostile))
    return text


@contextmanager
def serve(path: Path, replies: Mapping[str, object]) -> Iterator[None]:
    """Serves a monitor that answers what it is told to, and refuses the rest in hostile words."""

    def talk() -> None:
        with suppress(OSError), listener.accept()[0] as client:
            version = {"qemu": {"major": 10, "minor": 0, "micro": 2}, "package": WORD}
            send(client, {"QMP": {"version": version, "capabilities": []}})
            text = ""
            while piece := client.recv(65536):
                text += piece.decode()
                with suppress(ValueError):  # nothing ends a request but its own bracket
                    asked, text = json.loads(text), ""
                    key = make_key(asked)
                    refusal = {"error": {"class": WORD, "desc": NAME}}
                    answer = {"return": replies[key]} if key in replies else refusal
                    send(client, answer | {"id": asked["id"]} if "id" in asked else answer)

    def send(client: socket.socket, message: Mapping[str, object]) -> None:
        client.sendall(json.dumps(message).encode() + b"\n")

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        thread = threading.Thread(target=talk)
        thread.start()
        try:
            yield
        finally:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def make_key(record: Mapping[str, object]) -> str:
    """Returns what a recorded reply is found by."""
    return json.dumps([record["execute"], record.get("arguments", {})], sort_keys=True)


def read_replies() -> dict[str, object]:
    """Returns a recorded guest's replies, its IOThreads called hostile names."""
    text = LIVE.read_text().replace('io1"', f'io1{json.dumps(WORD)[1:-1]}"')
    records = [json.loads(line) for line in text.splitlines()]
    return AGREED | {make_key(each): each["return"] for each in records if "return" in each}


def show(*words: str, keys: str = "") -> tuple[int, str]:
    """Runs vmio with a terminal for all of its streams; returns its status and what came there."""
    main, terminal = os.openpty()
    tty.setraw(terminal)
    seen: list[bytes] = []

    def collect() -> None:
        with suppress(OSError):
            while piece := os.read(main, 65536):
                seen.append(piece)

    reader = threading.Thread(target=collect)
    reader.start()
    os.write(main, keys.encode())
    with pytest.MonkeyPatch.context() as patch:
        for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
            stream = os.fdopen(os.dup(terminal), mode, encoding="utf-8", errors="surrogateescape")
            patch.setattr(sys, name, stream)
        try:
            status = call(*words)
        finally:
            streams = sys.stdin, sys.stdout, sys.stderr
            for stream in streams:
                stream.close()
    os.close(terminal)
    reader.join()
    os.close(main)
    return status, b"".join(seen).decode("utf-8", "surrogateescape")


def find_hostile(text: str) -> set[str]:
    """Returns what came to a terminal that is no text and no colour, and forged lines."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", text.replace("\x1b[35m", "\0").replace("\x1b[8m", "\0"))
    found = {sign for sign in plain if sign != "\n" and not sign.isprintable()}
    found |= {sign for sign in plain if sign in "\ufe0f\u3164"}
    return found | {line for line in plain.split("\n") if re.match(r"\s*::error::forged", line)}


AGREED: dict[str, object] = {make_key({"execute": "qmp_capabilities"}): {}}

Call = Sequence[str]
CASES: Mapping[str, Sequence[Call]] = {
    "apply": [
        ["200.conf", "--policy", "auto", "--commands", *SET],
        ["200.conf", "--policy", "auto", "--dry-run", "--no-live", *SET],
        ["200.conf", "--policy", "auto", "--dry-run", "--json", "--no-live", *SET],
        ["100.conf", "--policy", NAME],
        [NAME],
    ],
    "autopilot": [
        ["run", "--floor", NAME],
        ["run", NAME, "--log", NAME],
        ["restore", NAME],
        ["report", NAME, "-o", f"{NAME}.html"],
        ["report", f"no{NAME}"],
        [NAME],
    ],
    "baseline": [[NAME, "-o", f"{NAME}.json"], [NAME, "-o", NAME], [f"no{NAME}"]],
    "bench": [["100.conf", f"{NAME}/100.conf", "--disk", NAME], ["100.conf", NAME]],
    "calibrate": [["--folder", f"no{NAME}"], ["--output", NAME], ["--accel", NAME]],
    "check": [
        [NAME],
        [NAME, "100.conf", f"no{NAME}"],
        *(["100.conf", NAME, "--output", form] for form in ("json", "sarif", "github", "table")),
        ["::error::forged"],
        ["::error::forged", "--output", "table"],
        [NAME, "--statistics", "--select", NAME],
        ["200.conf", "--diff", "--unsafe-fixes"],
        ["100.conf", "--config", f"no{NAME}"],
    ],
    "cmd": [
        ["200.conf", *SET],
        ["200.conf", "--pretty", *SET],
        ["101.conf", "--strict", *SET],
        ["102.conf", "--strict", *SET],
        [NAME, "100.conf", "::error::forged", *SET],
        ["100.conf", "--vmid", NAME],
        ["100.conf", "--snapshot", NAME, *SET],
        ["100.conf", "--set", f"{NAME}={NAME}"],
    ],
    "completion": [[NAME]],
    "diff": [
        ["a.txt", "b.txt"],
        ["a.txt", "b.txt", "--json"],
        [NAME, NAME],
        [f"pid:{NAME}", NAME],
    ],
    "explain": [
        ["200.conf", *SET],
        ["200.conf", "scsi1", *SET],
        ["200.conf", "scsi1", "--json", *SET],
        ["100.conf", NAME, *SET],
        ["a.txt", NAME],
        ["qmp:monitor"],
    ],
    "host": [
        [*SET, "--set", f'node="{json.dumps(WORD)[1:-1]}"'],
        [*SET, "--json", "--set", f'node="{json.dumps(WORD)[1:-1]}"'],
        [*SET, "--save", f"{NAME}/host.toml"],
        ["--host", NAME],
        ["--set", NAME],
    ],
    "plan": [
        ["200.conf", "--diff", *SET],
        ["200.conf", "--json", *SET],
        ["100.conf", *SET],
        ["100.conf", "--compare", *SET],
        ["100.conf", "--diff", *SET],
        ["100.conf", "--json", *SET],
        ["--all", NAME, f"{NAME}/100.conf", "101.conf", *SET],
        ["100.conf", "-o", f"{NAME}/plan.json", *SET],
        ["100.conf", "--policy", NAME, *SET],
    ],
    "ps": [[NAME], [f"pid:{NAME}"], [f"qmp:{NAME}"], [NAME, "--json"]],
    "exporter": [["--listen", NAME], ["--tls-cert", f"no{NAME}"]],
    "top": [["--view", NAME], ["--replay", NAME, "--json"], ["--interval", NAME]],
    "replay": [
        ["trace", "--qemu", "10.0"],
        ["trace", "--qemu", "10.0", "--json"],
        ["trace", "--qemu", "10.0", "--html", f"{NAME}.html"],
        ["trace", "--qemu", NAME],
        ["trace", "--qemu", "10.0", "--try", NAME],
        ["--qemu", "10.0", "--check", NAME],
    ],
    "record": [["-o", NAME, NAME], ["-o", "x", "--time", NAME], ["-o", NAME]],
    "report": [
        ["seen"],
        ["seen", "--json"],
        ["seen", "-o", f"{NAME}.html"],
        ["seen", "-o", NAME],
        [f"no{NAME}"],
    ],
    "rule": [[NAME]],
    "run": [["100.conf", "--qmp", NAME], ["100.conf", "--memory", NAME]],
    "show": [
        ["100.conf", *SET],
        ["100.conf", "--json", *SET],
        ["100.conf", "--svg", *SET],
        ["a.txt"],
        [f"{NAME}/100.conf", *SET],
        [f"pid:{NAME}"],
        [f"qmp:{NAME}"],
        ["qmp:monitor"],
        ["qmp:refusing"],
        [f"--{NAME}"],
        ["100.conf", NAME],
    ],
    "simulate": [
        ["200.conf", *QEMU, "--workload", NAME],
        ["200.conf", *QEMU, "--policy", NAME],
        ["200.conf", *QEMU, "--profile", NAME],
        ["200.conf", *QEMU, "--sweep", NAME],
        ["200.conf", *QEMU, "--sweep", "queues=1,2", "--scheduler", NAME],
        ["200.conf", *QEMU, "--seeds", NAME],
    ],
    "tune": [
        ["100.conf", "--disk", NAME],
        ["200.conf", "--objective", NAME, *SET],
        ["200.conf", "--journal", NAME, "--time", NAME, *SET],
        [NAME],
    ],
    "undo": [[NAME], [f"{NAME}/100.conf", "--dry-run"], ["--to", NAME], ["--list", NAME]],
}


def test_every_verb_is_tried() -> None:
    """A new verb is tried here too."""
    assert set(CASES) == set(_VERBS)


CALLS = [(verb, words) for verb, calls in CASES.items() for words in calls] + [(NAME, ())]
DATA = {"--diff", "--dry-run", "--json", "--pretty"}
"""What makes standard output a text for programs, lossless into a pipe."""


def name_case(value: object) -> str | None:
    """Returns how a verb is called in a test's name."""
    return value[:9] if isinstance(value, str) else None


@contextmanager
def serve_all(words: Call, folder: Path) -> Iterator[None]:
    """Serves the monitors that a call asks."""
    replies = {"qmp:monitor": read_replies, "qmp:refusing": AGREED.copy}
    with ExitStack() as stack:
        for word in replies.keys() & set(words):
            path = folder / word.removeprefix("qmp:")
            stack.enter_context(serve(path, replies[word]()))
            stack.callback(path.unlink)
        yield


@pytest.mark.parametrize(("verb", "words"), CALLS, ids=name_case)
def test_terminal_gets_nothing_hostile(verb: str, words: Call, there: Path) -> None:
    """Whatever a config, a name, an argument or a monitor holds, a terminal is shown its words."""
    with serve_all(words, there):
        status, text = show(verb, *words)
    assert status in {0, 1, 2, 3, 4}, text
    assert find_hostile(text) == set(), text
    assert "forged" in text


@pytest.mark.parametrize(
    ("verb", "words"), [each for each in CALLS if not DATA & set(each[1])], ids=name_case
)
def test_pipe_gets_no_forged_line(
    verb: str, words: Call, there: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where nothing is a terminal, as in a job of a CI, what people read is as safe."""
    with serve_all(words, there):
        status = call(verb, *words)
    captured = capsys.readouterr()
    assert status in {0, 1, 2, 3, 4}, captured
    assert find_hostile(captured.out) | find_hostile(captured.err) == set(), captured


def test_guard_outlives_its_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream that is closed first is not told of when the guard is collected."""
    ignored: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", ignored.append)
    with io.TextIOWrapper(io.BytesIO()) as stream, monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", stream)
        with guard_streams():
            guard = sys.stderr.buffer
    guard.flush()
    del guard
    assert ignored == []


def test_progress_may_move_the_cursor(there: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The guard is for words: a bar is still drawn in its place, and taken away."""
    assert there.is_dir()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(progress, "_PATIENCE_S", 0)
    _, text = show("check", NAME, "--output", "table")
    assert "\x1b[?25l" in text
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h")
    assert "checking" in text
    assert find_hostile(re.sub(r"\x1b\[\??\d+[A-Klh]|\r", "", text)) == set(), text


@pytest.mark.parametrize(
    "error",
    [
        InputError(NAME, hint=NAME),
        ToolError(NAME, output=NAME, hint=NAME),
        PlanError(f"a\n{WORD}", has_lines=True),
        click.UsageError(NAME),
        click.FileError(NAME, NAME),
        ValueError(NAME),
        OSError(28, NAME),
        KeyboardInterrupt(NAME),
    ],
    ids=lambda error: type(error).__name__,
)
def test_no_error_forges_a_line(
    error: BaseException, there: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is raised, with whatever words, it is told on lines of vmio's own."""

    def fail(*_: object, **__: object) -> None:
        raise error

    assert there.is_dir()
    monkeypatch.setenv("VMIO_DEBUG", "1")
    monkeypatch.setattr(app, "lay_out", fail)
    status, text = show("show", "200.conf", *SET)
    assert status
    assert text
    assert find_hostile(text) == set(), text


def test_patch_is_lossless_in_a_pipe(
    there: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """What goes into `patch` has the config's bytes, whatever they are."""
    config = there / "200.conf"
    config.write_bytes(config.read_bytes() + b"#\xff\r\n")
    for words in (["plan", "--diff", *SET], ["check", "--diff", "--unsafe-fixes"]):
        call(words[0], "200.conf", *words[1:])
        out = capfdbinary.readouterr().out
        lines = [line[1:] for line in out.split(b"\n")[3:] if not line.startswith(b"+")]
        assert b"\n".join(lines).rstrip(b"\n") in config.read_bytes()


@pytest.mark.parametrize("form", [(), ("--pretty",)])
def test_command_line_is_read_back_by_a_shell(
    form: Call, there: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What vmio cmd prints of hostile words a shell runs as the words that they are."""
    assert there.is_dir()
    assert call("cmd", "200.conf", *form, *SET) == 0
    line = capsys.readouterr().out
    done = subprocess.run(
        ["bash", "-c", f"printf '%s\\0' {line}"], capture_output=True, check=True
    )
    words = done.stdout.decode("utf-8", "surrogateescape").split("\0")
    assert f"name=opt/x,string={WORD}" in words
    (there / "line.txt").write_text(line)
    assert call("diff", "line.txt", "200.conf", *SET) == 0


def test_colours_of_others_are_spelled_out(capsys: pytest.CaptureFixture[str]) -> None:
    """What no verb spelled out the guard does: all but the colours that are vmio's own."""
    with guard_streams():
        sys.stderr.write("\x1b[31mred\x1b[0m \x1b[8mhidden\x1b[0m\x1b[2J\n")
        sys.stderr.buffer.write(b"\xff\x9b\r\n")
    assert capsys.readouterr().err == (
        "\x1b[31mred\x1b[0m \\x1b[8mhidden\x1b[0m\\x1b[2J\n\\xff\\x9b\\r\n"
    )


@pytest.mark.usefixtures("there")
@pytest.mark.parametrize("plain", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
@pytest.mark.parametrize(
    "words", [("check", "200.conf"), ("explain", "200.conf", "scsi0"), ("explain", "missing")]
)
def test_nothing_is_coloured_where_that_is_not_wanted(
    words: tuple[str, ...], plain: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reports, errors and hints alike go by NO_COLOR, and by a terminal that can do nothing."""
    monkeypatch.setenv("TERM", "xterm")
    assert "\x1b[" in show(*words)[1]
    for name, value in plain.items():
        monkeypatch.setenv(name, value)
    assert "\x1b" not in show(*words)[1]
