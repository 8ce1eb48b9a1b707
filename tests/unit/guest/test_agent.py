"""The agent's client against agents that behave, misbehave, and say nothing."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmio.errors import GuestError, UsageError
from vmio.guest import agent as module
from vmio.guest.agent import Agent, BlockDevice, agent_argv, parse_disks

RECORDED = Path(__file__).parent / "data" / "agent-7.2.json"
"""What qemu-guest-agent 7.2.22 answered in the benchmark guest, kernel 6.1."""

T = TypeVar("T")
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Answer = Callable[[dict[str, Any]], bytes]


def talk(
    folder: Path, handler: Handler, use: Callable[[Agent], Awaitable[T]], timeout_s: float = 60
) -> T:
    """Serves a socket with a handler, connects to it and returns what the client makes of it."""

    async def serve() -> T:
        path = folder / "agent.sock"
        ended: list[asyncio.Event] = []

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            ended.append(asyncio.Event())
            try:
                await handler(reader, writer)
            except ConnectionError:
                pass  # the client may leave before it has read everything
            finally:
                writer.close()
                ended[-1].set()

        server = await asyncio.start_unix_server(handle, path)
        try:
            async with Agent.connect(path, timeout_s) as agent:
                return await use(agent)
        finally:
            server.close()
            for event in ended:
                await event.wait()

    return asyncio.run(serve())


def behave(answer: Answer, *, stale: bytes = b"") -> Handler:
    """Makes a handler that synchronises as the real agent does and leaves the rest to `answer`."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(stale)
        while line := await reader.readline():
            ask = json.loads(line.lstrip(b"\xff"))
            if ask["execute"] == "guest-sync-delimited":
                writer.write(b'{"error": {"class": "GenericError", "desc": "stray"}}\n')
                writer.write(b"\xff" + json.dumps({"return": ask["arguments"]["id"]}).encode())
                writer.write(b"\n")
            else:
                writer.write(answer(ask))
            await writer.drain()

    return handle


def give(value: object) -> Answer:
    """Makes an answer that is always the same."""
    return lambda _ask: json.dumps({"return": value}).encode() + b"\n"


async def wait_for_end(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """Accepts, listens, and never answers."""
    await reader.read()


class Replay:
    """Answers as the recorded agent did, and checks that it is asked the same."""

    def __init__(self) -> None:
        self.left: list[dict[str, Any]] = json.loads(RECORDED.read_text())

    def __call__(self, ask: dict[str, Any]) -> bytes:
        """Gives the next recorded answer."""
        pair = self.left.pop(0)
        words = ask.get("arguments", {}).get("arg", [""])
        if "/sys/block" in words[-1]:
            words[-1] = "(the script that lists disks)"
        assert ask == pair["ask"]
        return json.dumps(pair["reply"]).encode() + b"\n"


def test_agent_speaks_as_the_real_one_was_recorded(tmp_path: Path) -> None:
    """Questions and answers are those that a real agent was asked and gave."""
    replay = Replay()

    async def use(agent: Agent) -> None:
        await agent.ping()
        info = await agent.info()
        assert info.version == "7.2.22"
        assert "guest-exec" in info.commands
        disks = {disk.name: disk for disk in await agent.disks()}
        assert disks["sda"] == BlockDevice(
            name="sda",
            size_bytes=256 << 20,
            pci_path=("05.0", "02.0"),
            scsi=(0, 0, 2),
            ata=None,
            serial="abc",
            wwid="",
            read_only=False,
        )
        assert (disks["sdb"].pci_path, disks["sdb"].ata) == (("01.1",), 2)
        assert (disks["sdb"].serial, disks["sdb"].path) == ("QM00003", "/dev/sdb")
        assert (disks["vda"].pci_path, disks["vda"].scsi) == (("0a.0",), None)
        assert (disks["vda"].serial, disks["vda"].read_only) == ("defghijk", True)
        done = await agent.run(
            ("sh", "-c", "cat; echo no >&2; exit 3"), input=b"hello\n", timeout_s=60
        )
        assert (done.status, done.stdout, done.stderr) == (3, b"hello\n", b"no\n")
        assert not done.truncated
        assert (await agent.run(("sh", "-c", "kill -9 $$"), timeout_s=60)).status == -9

    talk(tmp_path, behave(replay), use)
    assert replay.left == []


def test_connect_skips_what_earlier_clients_left(tmp_path: Path) -> None:
    """Answers that nobody waited for, half lines and old sentinels are passed over."""
    stale = b'{"return": {"pid": 7}}\n\xff{"return": 12}\n\xff{"ret\xff\n' + b"x" * 300_000
    talk(tmp_path, behave(give({}), stale=stale), lambda agent: agent.ping())


def test_connect_asks_again_while_the_guest_boots(tmp_path: Path) -> None:
    """A question that was lost before the agent was up is asked again."""

    async def lose_first(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        await behave(give({}))(reader, writer)

    talk(tmp_path, lose_first, lambda agent: agent.ping())


def test_connect_to_nothing_names_the_socket(tmp_path: Path) -> None:
    """A path where nobody listens is an error at once, with a hint."""

    async def connect() -> None:
        async with Agent.connect(tmp_path / "gone.sock", 60):
            pass

    with pytest.raises(GuestError, match=r"gone\.sock: no guest agent's socket") as caught:
        asyncio.run(connect())
    assert "QEMU" in caught.value.hint


def test_connect_gives_up_on_silence(tmp_path: Path) -> None:
    """A socket that accepts and never answers ends in an error that says what to check."""
    with pytest.raises(GuestError, match=r"no guest agent answers within 0\.2 s") as caught:
        talk(tmp_path, wait_for_end, lambda agent: agent.ping(), timeout_s=0.2)
    assert "qemu-guest-agent" in caught.value.hint


def test_connect_gives_up_on_endless_junk(tmp_path: Path) -> None:
    """A flood without a sentinel costs neither memory nor more than the time limit."""

    async def flood(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(b"x" * 65536)
            await writer.drain()

    with pytest.raises(GuestError, match="no guest agent answers"):
        talk(tmp_path, flood, lambda agent: agent.ping(), timeout_s=0.3)


def test_connect_notices_a_closed_connection(tmp_path: Path) -> None:
    """A QEMU that ends while its guest boots is noticed at once, not at the time limit."""

    async def leave(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.readline()

    with pytest.raises(GuestError, match="was closed") as caught:
        talk(tmp_path, leave, lambda agent: agent.ping())
    assert "QEMU may have ended" in caught.value.hint


def test_command_notices_a_reply_that_breaks_off(tmp_path: Path) -> None:
    """Half an answer and then the end is the end."""

    async def break_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = json.loads((await reader.readline()).lstrip(b"\xff"))["arguments"]["id"]
        writer.write(b'\xff{"return": %d}\n' % number)
        await reader.readline()
        writer.write(b'{"return": {')

    with pytest.raises(GuestError, match="was closed"):
        talk(tmp_path, break_off, lambda agent: agent.ping())


def test_command_bounds_the_length_of_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer without an end is refused when it is too long to be one."""
    monkeypatch.setattr(module, "MAX_REPLY_BYTES", 1 << 20)
    with pytest.raises(GuestError, match="longer than 1 MiB"):
        talk(tmp_path, behave(lambda _ask: b"x" * (3 << 20)), lambda agent: agent.ping())


@pytest.mark.parametrize(
    "reply",
    [
        b"\n",
        b"junk\n",
        b"\xff\xfe\n",
        b"[]\n",
        b"{}\n",
        b'{"return": []}\n',
        b'{"return": {"pid": "7"}}\n',
        b'{"return": {"pid": true}}\n',
        b"[" * 100_000 + b"\n",
        b'{"return": ' + b"9" * 10_000 + b"}\n",
    ],
)
def test_command_refuses_what_is_no_answer(tmp_path: Path, reply: bytes) -> None:
    """Junk of any kind is one clear error that names the socket."""
    with pytest.raises(GuestError, match=r"agent\.sock: not a guest agent's answer"):
        talk(tmp_path, behave(lambda _ask: reply), lambda agent: agent.run(("x",), timeout_s=60))


@pytest.mark.parametrize(
    "state",
    [
        {"exited": True, "exitcode": "0"},
        {"exited": True, "exitcode": 0, "out-data": "%"},
        {"exited": True, "exitcode": 0, "out-data": "abc"},
        {"exited": True, "exitcode": 0, "err-data": 1},
    ],
)
def test_run_refuses_a_state_that_makes_no_sense(tmp_path: Path, state: dict[str, Any]) -> None:
    """An end without a number, or output that is no base64, is refused."""
    with pytest.raises(GuestError, match="not a guest agent's answer"):
        talk(
            tmp_path,
            behave(give({"pid": 1, **state})),
            lambda agent: agent.run(("x",), timeout_s=60),
        )


def test_run_says_that_output_was_cut(tmp_path: Path) -> None:
    """Output beyond what the agent keeps is flagged."""
    state = {"pid": 1, "exited": True, "exitcode": 0, "out-truncated": True}
    done = talk(tmp_path, behave(give(state)), lambda agent: agent.run(("x",), timeout_s=60))
    assert done.truncated


def test_run_asks_as_often_as_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses stop growing where the caller says."""
    asked = 0
    pauses_s: list[float] = []
    sleep = asyncio.sleep

    async def note(pause_s: float) -> None:
        pauses_s.append(pause_s)
        await sleep(0)

    def answer(ask: dict[str, Any]) -> bytes:
        nonlocal asked
        asked += ask["execute"] == "guest-exec-status"
        return json.dumps({"return": {"pid": 1, "exited": asked > 12}}).encode() + b"\n"

    monkeypatch.setattr("vmio.guest.agent.asyncio.sleep", note)
    talk(
        tmp_path,
        behave(answer),
        lambda agent: agent.run(("x",), timeout_s=60, longest_pause_s=0.03),
    )
    assert len(pauses_s) == 13
    assert pauses_s[:2] == [0.02, 0.02]
    assert set(pauses_s[2:]) == {0.03}


def test_run_passes_on_why_the_agent_refuses(tmp_path: Path) -> None:
    """The agent's own words are in the error; a disabled command has a hint."""

    def refuse(_ask: dict[str, Any]) -> bytes:
        error = {"class": "CommandNotFound", "desc": "Command guest-exec\nhas been disabled"}
        return json.dumps({"error": error}).encode() + b"\n"

    with pytest.raises(GuestError, match="guest-exec has been disabled") as caught:
        talk(tmp_path, behave(refuse), lambda agent: agent.run(("x",), timeout_s=60))
    assert "--allow-rpcs" in caught.value.hint


@pytest.mark.parametrize("error", ["no", {"desc": None}, {}, [1]])
def test_run_takes_an_odd_refusal_for_one(tmp_path: Path, error: object) -> None:
    """An error of an unknown shape is an error all the same."""
    reply = json.dumps({"error": error}).encode() + b"\n"
    with pytest.raises(GuestError, match="refuses guest-ping"):
        talk(tmp_path, behave(lambda _ask: reply), lambda agent: agent.ping())


class Endless:
    """An agent with one program that never ends unless it is killed."""

    def __init__(self, deadly: str = "-TERM") -> None:
        self.deadly = deadly
        self.asked: list[str] = []
        self.killed = False

    def __call__(self, ask: dict[str, Any]) -> bytes:
        """Starts whatever it is asked to, and says of all of it whether a kill has worked."""
        arguments = ask.get("arguments", {})
        if ask["execute"] == "guest-exec":
            self.asked.append(" ".join((arguments["path"], *arguments["arg"])))
            self.killed |= self.deadly in arguments["arg"]
            return b'{"return": {"pid": 42}}\n'
        if ask["execute"] == "guest-exec-status":
            return b'{"return": {"exited": %s, "signal": 15}}\n' % (
                b"true" if self.killed else b"false"
            )
        return b'{"return": {}}\n'


@pytest.mark.parametrize(
    ("deadly", "words"),
    [("-TERM", ["kill -TERM 42"]), ("-KILL", ["kill -TERM 42", "kill -KILL 42"])],
)
def test_run_kills_a_program_whose_time_is_up(
    tmp_path: Path, deadly: str, words: list[str]
) -> None:
    """What does not end in time is asked to end, then made to, and the agent stays usable."""
    endless = Endless(deadly)

    async def use(agent: Agent) -> None:
        with pytest.raises(GuestError, match=r"`fio -x` did not end in the guest within 0\.1 s"):
            await agent.run(("fio", "-x"), timeout_s=0.1)
        await agent.ping()

    talk(tmp_path, behave(endless), use)
    assert endless.asked == ["fio -x", *words]


def test_run_kills_the_program_of_a_caller_who_leaves(tmp_path: Path) -> None:
    """Ctrl-C on the host does not leave a program running in the guest."""
    endless = Endless()

    async def use(agent: Agent) -> None:
        running = asyncio.create_task(agent.run(("fio",), timeout_s=60))
        while not endless.asked:
            await agent.ping()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    talk(tmp_path, behave(endless), use)
    assert endless.asked == ["fio", "kill -TERM 42"]


def test_command_finds_the_stream_again_after_a_late_answer(tmp_path: Path) -> None:
    """An answer that comes after its time limit is not taken for the next command's."""
    asked: list[str] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            ask = json.loads(line.lstrip(b"\xff"))
            asked.append(ask["execute"])
            if ask["execute"] == "guest-sync-delimited":
                if "guest-ping" in asked:
                    writer.write(b'{"return": {"version": "late", "supported_commands": []}}\n')
                reply = json.dumps({"return": ask["arguments"]["id"]}).encode()
                writer.write(b"\xff" + reply + b"\n")
            elif ask["execute"] == "guest-info":
                writer.write(b'{"return": {"version": "now", "supported_commands": []}}\n')

    async def use(agent: Agent) -> None:
        with pytest.raises(GuestError, match="no answer to guest-ping"):
            await agent.ping(timeout_s=0.1)
        assert (await agent.info()).version == "now"

    talk(tmp_path, handle, use)
    assert asked == ["guest-sync-delimited", "guest-ping", "guest-sync-delimited", "guest-info"]


def test_run_refuses_what_the_agent_cannot_take(tmp_path: Path) -> None:
    """No program, or more input than fits, is the caller's mistake."""

    async def use(agent: Agent) -> None:
        with pytest.raises(UsageError):
            await agent.run((), timeout_s=60)
        with pytest.raises(UsageError):
            await agent.run(("x",), input=b"x" * (module.MAX_INPUT_BYTES + 1), timeout_s=60)

    talk(tmp_path, behave(give({})), use)


def list_disks(*lines: str) -> Answer:
    """Makes an agent whose every program prints these lines and ends."""
    output = base64.b64encode("\n".join(lines).encode()).decode()
    return give({"pid": 1, "exited": True, "exitcode": 0, "out-data": output})


PCI = "/sys/devices/pci0000:00/0000:00:05.0/0000:01:01.0/virtio3"
DISKS = (
    f"sda\t8\t0\t{PCI}/host0/target0:0:0/0:0:0:1/block/sda\tone\t",
    f"sdb\t8\t0\t{PCI}/host0/target0:0:0/0:0:0:2/block/sdb\tlonger-than-twenty-c\t",
    "vda\t8\t0\t/sys/devices/pci0000:00/0000:00:0a.0/virtio1/block/vda\t\t",
)


@pytest.mark.parametrize(
    ("marks", "name"),
    [
        ({"scsi": (0, 0, 2)}, "sdb"),
        ({"pci_path": ("05.0", "01.0"), "scsi": (0, 0, 1)}, "sda"),
        ({"pci_path": ("0a.0",)}, "vda"),
        ({"serial": "one"}, "sda"),
        ({"serial": "longer-than-twenty-characters"}, "sdb"),
    ],
)
def test_find_takes_the_one_disk_that_all_marks_fit(
    tmp_path: Path, marks: dict[str, Any], name: str
) -> None:
    """A disk is found by its place or by its serial number, of which guests see 20 characters."""
    disk = talk(
        tmp_path, behave(list_disks(*DISKS)), lambda agent: agent.find_block_device(**marks)
    )
    assert disk.name == name


def test_find_names_what_there_is_instead(tmp_path: Path) -> None:
    """A disk that is not there, or is there twice, is an error that lists the guest's disks."""

    async def use(agent: Agent) -> None:
        with pytest.raises(GuestError, match="no disk that fits pci") as caught:
            await agent.find_block_device(pci_path=("1f.0",), timeout_s=0)
        assert "/dev/vda" in caught.value.hint
        with pytest.raises(GuestError, match=r"more than one disk fits .*: /dev/sda, /dev/sdb"):
            await agent.find_block_device(pci_path=("05.0", "01.0"))

    talk(tmp_path, behave(list_disks(*DISKS)), use)


def test_find_waits_for_a_disk_that_is_still_being_found(tmp_path: Path) -> None:
    """A disk that shows up after the agent is found."""
    lists = iter((DISKS[:1], DISKS[:1], DISKS))
    answer = list_disks()

    def grow(ask: dict[str, Any]) -> bytes:
        nonlocal answer
        if ask["execute"] == "guest-exec":
            answer = list_disks(*next(lists))
        return answer(ask)

    disk = talk(
        tmp_path,
        behave(grow),
        lambda agent: agent.find_block_device(pci_path=("0a.0",), timeout_s=60),
    )
    assert disk.name == "vda"


def test_disks_that_cannot_be_listed_say_why(tmp_path: Path) -> None:
    """A guest whose shell fails is an error with the shell's words."""
    state = {"pid": 1, "exited": True, "exitcode": 2, "err-data": base64.b64encode(b"oh").decode()}
    with pytest.raises(GuestError, match="cannot list its disks: oh"):
        talk(tmp_path, behave(give(state)), lambda agent: agent.disks())


@given(st.binary() | st.text("sda0\t\n/:.x").map(str.encode))
def test_disks_are_parsed_out_of_any_bytes(output: bytes) -> None:
    """Whatever a guest prints, what comes out has a name that is safe to use in a path."""
    for disk in parse_disks(output):
        assert "/" not in disk.path.removeprefix("/dev/")
        assert ".." not in disk.path


def test_argv_gives_the_port_a_place_of_its_own() -> None:
    """The controller goes where it is told to, and a comma in a path is doubled."""
    argv = agent_argv(Path("/run/a,b.sock"), name="qga", bus="pci.1", addr="0x8")
    assert argv == (
        "-chardev",
        "socket,id=qga,path=/run/a,,b.sock,server=on,wait=off",
        "-device",
        "virtio-serial-pci,id=qga-bus,bus=pci.1,addr=0x8",
        "-device",
        "virtserialport,bus=qga-bus.0,chardev=qga,name=org.qemu.guest_agent.0",
    )


def test_argv_refuses_a_path_that_no_socket_can_have() -> None:
    """The kernel's limit is told before QEMU fails on it."""
    with pytest.raises(UsageError, match="107 bytes"):
        agent_argv(Path("/" + "x" * 107))


def test_disk_at_a_place_of_many_digits_has_none() -> None:
    """A guest can print whatever it likes; Python takes no number of 5,000 digits."""
    digits = "9" * 5000
    path = f"/ata{digits}/host2/target2:0:0/2:0:0:{digits}/block/sda"
    (disk,) = parse_disks(f"sda\t8\t0\t{path}\t\t\n".encode())
    assert (disk.scsi, disk.ata) == (None, None)
