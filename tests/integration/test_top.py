"""`vmio top` and `vmio ps` on real QEMUs, and on a real terminal, which is left as it was."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import wraps
from pathlib import Path

import pytest

from vmio.app.top import open_top
from vmio.errors import CapabilityError, QmpError
from vmio.qemu.folder import open_runtime_folder
from vmio.qemu.process import QemuProcess
from vmio.testing import call

BARE = (
    *("qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-S"),
    *("-machine", "pc", "-accel", "tcg", "-m", "16", "-object", "iothread,id=io0"),
    *("-blockdev", "driver=null-co,node-name=n0"),
    *("-device", "virtio-blk-pci,iothread=io0,drive=n0,id=vd0,num-queues=2"),
)
LIMIT_S = 60.0
_ESCAPES = re.compile(
    r"\x1b(?:\[[0-9;?<>=]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[()][A-Z0-9]|.)"
)
MAIN = "from vmio.cli.main import main; main()"
BROKEN = f"""
import vmio.app.top as top
make, looks = top.make_rows, []
def make_rows(*words):
    looks.append(words)
    if len(looks) > 1:
        raise RuntimeError("forged fault")
    return make(*words)
top.make_rows = make_rows
{MAIN}
"""


def in_event_loop(test: Callable[[], Coroutine[None, None, None]]) -> Callable[[], None]:
    """Returns a test that runs a coroutine."""

    @wraps(test)
    def run() -> None:
        asyncio.run(asyncio.wait_for(test(), 120))

    return run


@pytest.fixture(name="guest", scope="module")
def _guest() -> Iterator[str]:
    """Yields the name of a guest that runs meanwhile, with a monitor that others may use."""
    name = f"top-{os.getpid()}"
    with open_runtime_folder() as folder:
        monitor = f"unix:{folder / 'qmp'},server=on,wait=off"
        with subprocess.Popen(
            [*BARE, "-name", f"{name},debug-threads=on", "-qmp", monitor],
            stdin=subprocess.DEVNULL,
        ) as process:
            try:
                end_s = time.monotonic() + LIMIT_S
                while not (folder / "qmp").exists():
                    assert time.monotonic() < end_s
                    time.sleep(0.01)
                yield name
            finally:
                process.kill()


class Terminal:
    """A program on a terminal of its own."""

    def __init__(self, master: int, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.output = b""
        self._master = master

    @property
    def text(self) -> str:
        """What was printed, without what moves and colours it."""
        return _ESCAPES.sub(" ", self.output.decode(errors="replace"))

    def wait_for(self, found: Callable[[str], object]) -> None:
        """Reads until something is in the text."""
        end_s = time.monotonic() + LIMIT_S
        while not found(self.text):
            assert time.monotonic() < end_s, self.text[-2000:]
            if not self._read(0.2) and self.process.poll() is not None:
                assert found(self.text), self.text[-2000:]

    def press(self, keys: str) -> None:
        """Types keys, and forgets what was printed before."""
        self.output = b""
        os.write(self._master, keys.encode())

    def finish(self) -> int:
        """Reads until the program ends, and returns its status."""
        end_s = time.monotonic() + LIMIT_S
        while self.process.poll() is None:
            assert time.monotonic() < end_s, self.text[-2000:]
            self._read(0.2)
        while self._read(0.0):
            pass
        return self.process.returncode

    def _read(self, wait_s: float) -> bool:
        if not select.select([self._master], [], [], wait_s)[0]:
            return False
        data = os.read(self._master, 1 << 16)
        self.output += data
        return bool(data)


@contextmanager
def on_terminal(
    *words: str,
    columns: int = 80,
    lines: int = 24,
    script: str = MAIN,
    environment: Mapping[str, str] | None = None,
    has_screen: bool = True,
) -> Iterator[Terminal]:
    """Runs vmio on a terminal, and checks at the end that the terminal is as it was."""
    master, slave = pty.openpty()
    try:
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("4H", lines, columns, 0, 0))
        before = termios.tcgetattr(slave)
        variables = {**os.environ, "TERM": "xterm-256color", **(environment or {})}
        if environment is None:
            variables.pop("NO_COLOR", None)
        with subprocess.Popen(
            [sys.executable, "-c", script, *words],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            env=variables,
        ) as process:
            try:
                terminal = Terminal(master, process)
                yield terminal
                assert process.poll() is not None
            finally:
                process.kill()
        assert termios.tcgetattr(slave) == before
        assert has_screen == (b"?1049" in terminal.output)
        for on, off in ((b"?1049h", b"?1049l"), (b"?25l", b"?25h"), (b"?1000h", b"?1000l")):
            assert terminal.output.rfind(off) >= terminal.output.rfind(on), off
    finally:
        os.close(master)
        os.close(slave)


@pytest.mark.parametrize(("columns", "lines"), [(80, 24), (160, 50)])
def test_screen_shows_a_guest_its_threads_and_its_disks(
    guest: str, columns: int, lines: int
) -> None:
    """With the path of a disk; `q` ends it."""
    with on_terminal("top", "--interval", "0.5", guest, columns=columns, lines=lines) as terminal:
        terminal.wait_for(lambda text: guest[:12] in text and "what limits it" in text)
        terminal.press("2")
        terminal.wait_for(lambda text: "io0" in text and "main loop" in text)
        terminal.press("3")
        terminal.wait_for(lambda text: "vd0" in text)
        terminal.press("\r")
        terminal.wait_for(lambda text: "virtio-blk-pci" in text and "2 queues of 256" in text)
        terminal.press("q")
        assert terminal.finish() == 0


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)]
)
def test_signal_ends_the_screen_and_leaves_the_terminal_as_it_was(
    guest: str, number: signal.Signals, status: int
) -> None:
    """As every other verb does."""
    with on_terminal("top", guest) as terminal:
        terminal.wait_for(lambda text: "what limits it" in text)
        terminal.process.send_signal(number)
        assert terminal.finish() == status


def test_fault_leaves_the_terminal_as_it_was(guest: str) -> None:
    """It is said in one line, below what was on the screen before."""
    with on_terminal("top", "--interval", "0.5", guest, script=BROKEN) as terminal:
        assert terminal.finish() == 70
        assert "this is a bug in vmio: RuntimeError: forged fault" in terminal.text
        assert "Traceback" not in terminal.text


@pytest.mark.parametrize("kind", ["tmux-256color", "screen-256color"])
def test_screen_is_the_same_in_a_terminal_multiplexer(guest: str, kind: str) -> None:
    """With colours, and keys that work."""
    with on_terminal("top", guest, environment={"TERM": kind, "NO_COLOR": ""}) as terminal:
        terminal.wait_for(lambda text: "what limits it" in text)
        assert re.search(rb"\x1b\[[0-9;]*\b38;[25];", terminal.output)
        terminal.press("2")
        terminal.wait_for(lambda text: "io0" in text and "main loop" in text)
        terminal.press("q")
        assert terminal.finish() == 0


def test_screen_has_no_colour_where_nobody_wants_it(guest: str) -> None:
    """NO_COLOR is for screens, too."""
    with on_terminal("top", guest, environment={"NO_COLOR": "1"}) as terminal:
        terminal.wait_for(lambda text: "what limits it" in text)
        terminal.press("q")
        assert terminal.finish() == 0
        assert not re.search(rb"\x1b\[[0-9;]*\b3[1-6]m", terminal.output)


def test_once_tells_what_threads_and_disks_do(
    guest: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a real QEMU, over one interval."""
    assert call("top", "--once", "--json", guest) == 0
    (found,) = json.loads(capsys.readouterr().out)["data"]["guests"]
    assert found["name"] == guest
    assert found["monitor"] == "answered"
    assert found["window_seconds"] >= 1.9
    assert found["verdicts"] is not None
    threads = {each["name"]: each for each in found["threads"]}
    assert {"main loop", "io0", "vCPU 0"} <= threads.keys()
    assert threads["io0"]["poll_max_ns"] == 32768
    assert threads["io0"]["cpu_share"] is not None
    (disk,) = found["disks"]
    assert (disk["id"], disk["served_by"]) == ("vd0", ["io0"])
    assert disk["reads"]["operations_per_second"] == 0
    assert [each["served_by"] for each in disk["queues"]] == ["io0", "io0"]


def test_ps_judges_a_guest(guest: str, capsys: pytest.CaptureFixture[str]) -> None:
    """One that does nothing is limited by nothing, unless this host is too busy to tell."""
    assert call("ps", "--json", guest) == 0
    (found,) = json.loads(capsys.readouterr().out)["data"]["guests"]
    assert {each["kind"] for each in found["verdicts"]} <= {"waits-for-processors"}
    assert call("ps", guest) == 0
    assert "what limits it" in capsys.readouterr().out


def test_recording_is_shown_as_it_was(
    guest: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As lines, and on the screen, which stays on the last look."""
    recording = str(tmp_path / "looks.jsonl")
    assert call("record", guest, "-o", recording, "--interval", "1", "--time", "2s") == 0
    capsys.readouterr()
    assert call("top", "--replay", recording, "--json") == 0
    looks = [json.loads(line)["data"] for line in capsys.readouterr().out.splitlines()]
    assert len(looks) >= 2
    assert {each["guests"][0]["name"] for each in looks} == {guest}
    assert looks[0]["guests"][0]["window_seconds"] is None
    assert looks[1]["guests"][0]["disks"][0]["reads"]["operations_per_second"] == 0
    with on_terminal("top", "--replay", recording, "--interval", "0.5") as terminal:
        terminal.wait_for(lambda text: "ENDED" in text and guest[:12] in text)
        terminal.press("q")
        assert terminal.finish() == 0


def test_file_that_is_no_recording_is_one_line(tmp_path: Path) -> None:
    """The screen does not begin."""
    file = tmp_path / "x"
    file.write_text("{}\n")
    with on_terminal("top", "--replay", str(file), has_screen=False) as terminal:
        assert terminal.finish() == 3
        assert "is not a recording" in terminal.text


@in_event_loop
async def test_polling_of_a_running_guest_is_set_and_undone() -> None:
    """The next look has it; of an IOThread that there is not, nothing is set."""
    name = f"polls-{os.getpid()}"
    with open_runtime_folder() as folder:
        argv = (*BARE, "-name", name)
        async with (
            QemuProcess.start(argv, qmp_socket=Path(folder) / "qmp"),
            open_top([name]) as source,
        ):
            (row,) = (await source.look()).guests
            change = await source.set_polling(row, "io0", {"poll-max-ns": 0, "poll-grow": 4})
            assert change.old == {"poll-max-ns": 32768, "poll-grow": 0}
            assert await read_polling(source.look) == (0, 4)
            await source.set_polling(row, "io0", change.old)
            assert await read_polling(source.look) == (32768, 0)
            with pytest.raises(QmpError, match="io9"):
                await source.set_polling(row, "io9", {"poll-max-ns": 0})


async def read_polling(look: Callable[[], Coroutine[None, None, object]]) -> Sequence[int | None]:
    """Returns the polling parameters of the only guest's IOThread, as QEMU reports them."""
    (row,) = (await look()).guests  # type: ignore[attr-defined]
    (thread,) = (each for each in row.threads if each.name == "io0")
    return thread.poll_max_ns, thread.poll_grow


@in_event_loop
async def test_polling_is_not_set_over_a_monitor_that_is_a_managers() -> None:
    """A guest of libvirt is shown without its monitor, and its daemon's is left alone."""
    name = f"managed-{os.getpid()}"
    with open_runtime_folder() as folder:
        monitor = f"socket,id=charmonitor,path={folder}/qmp,server=on,wait=off"
        argv = (
            *(*BARE, "-name", f"guest={name},debug-threads=on"),
            *("-chardev", monitor, "-mon", "chardev=charmonitor,id=monitor,mode=control"),
        )
        async with QemuProcess.start(argv), open_top([name]) as source:
            (row,) = (await source.look()).guests
            assert row.manager == "libvirt"
            assert row.monitor == "not asked"
            with pytest.raises(CapabilityError, match="its monitor is libvirt's alone"):
                await source.set_polling(row, "io0", {"poll-max-ns": 0})
