"""`vmio ps`: which guests a call lists, its exit status, and what it says beside them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete

from vmio import app
from vmio.app import ps
from vmio.cli.main import program
from vmio.host.running import QemuProcess
from vmio.managers.discovery import Monitor, RunningGuest, RunningGuests
from vmio.managers.owners import Manager
from vmio.observe.verdicts.values import Figure, Verdict
from vmio.testing import call


def make_guest(
    pid: int, manager: Manager, number: str, name: str, *, uuid: str = "", problem: str = ""
) -> RunningGuest:
    """Returns a guest with a monitor of its own."""
    monitor = Monitor(
        protocol="qmp",
        transport="unix",
        address=f"/run/{name}.qmp",
        state="free",
        access="any",
    )
    return RunningGuest(
        process=QemuProcess(
            pid=pid,
            started_ticks=7,
            inner_pid=pid,
            owner=0,
            stopped=False,
            cgroup="",
            command=b"kvm\0",
        ),
        manager=manager,
        id=number,
        name=name,
        uptime_s=5,
        monitors=(monitor,),
        uuid=uuid,
        problem=problem,
    )


GUESTS = (
    make_guest(20, "proxmox", "172", "web1"),
    make_guest(21, "libvirt", "172", "db", uuid="6f0c8b1e-9f2b-4f1d-a3a4-0a5ad9f7c7a1"),
    make_guest(22, "kubevirt", "shop/web1", "web1"),
    make_guest(23, "none", "", "$(touch x)", problem="pid:23 has too many words"),
)


FULL = Verdict(
    kind="main-loop-full",
    subject="main loop",
    severity="warning",
    evidence=(Figure(name="cpu", subject="main loop", value=0.97, unit="processors"),),
    source="somebody",
    step="give-threads",
    disks=("scsi1",),
)
Windows = list[float]


@pytest.fixture(autouse=True)
def windows(monkeypatch: pytest.MonkeyPatch) -> Windows:
    """Has guests be found and judged that do not run; returns the windows they were judged by."""
    found = RunningGuests(guests=GUESTS, unseen=("/proc hides the processes of other users",))
    used: Windows = []

    async def judge(
        guests: Iterable[RunningGuest], window_s: float
    ) -> Mapping[str, tuple[Verdict, ...]]:
        used.append(window_s)
        verdicts = {"pid:20": (), "pid:22": (FULL,)}
        return {
            each.address: verdicts[each.address] for each in guests if each.process.pid in {20, 22}
        }

    monkeypatch.setattr(ps, "discover", lambda: found)
    monkeypatch.setattr(app, "judge_guests", judge)
    return used


def list_pids(*addresses: str) -> list[int]:
    """Returns the processes of the guests that addresses mean."""
    return [each.process.pid for each in ps.list_running(addresses).guests]


@pytest.mark.parametrize(
    ("addresses", "pids"),
    [
        ((), [20, 21, 22, 23]),
        (("172",), [20, 21]),
        (("web1",), [20, 22]),
        (("shop/web1",), [22]),
        (("pid:23", "db", "db"), [21, 23]),
        (("6f0c8b1e-9f2b-4f1d-a3a4-0a5ad9f7c7a1",), [21]),
        (("qmp:/run/../run/db.qmp",), [21]),
        (("",), []),
        (("absent",), []),
    ],
)
def test_addresses_choose_guests(addresses: tuple[str, ...], pids: list[int]) -> None:
    """By what a manager calls them, by process or by monitor; each once, in order."""
    assert list_pids(*addresses) == pids


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("absent", "no guest that is seen to run here is called 'absent'"),
        ("", "no guest that is seen to run here is called ''"),
        ("absent/701.conf", "no guest that is seen to run here is called 'absent/701.conf'"),
        ("qmp:/absent", "no QEMU that is seen to run here was started with the monitor /absent"),
        pytest.param(f"pid:{os.getpid()}", "is not a QEMU", id="itself"),
        ("pid:x", "'x' is not a process number"),
    ],
)
def test_guest_that_does_not_run_is_an_error_beside_the_others(
    address: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The others are listed all the same."""
    assert call("ps", "db", address) in {2, 3}
    out, err = capsys.readouterr()
    assert said in err
    assert "pid:21" in out


def test_what_is_not_seen_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    """On standard error, as is a command line that cannot be read."""
    assert call("ps") == 0
    out, err = capsys.readouterr()
    assert err == (
        "vmio: pid:23 has too many words\nvmio: /proc hides the processes of other users\n"
    )
    assert len(out.splitlines()) == 2 + len(GUESTS)
    assert call("ps", "--json") == 0
    data = json.loads(capsys.readouterr().out)["data"]
    assert {each["pid"] for each in data["guests"]} == {20, 21, 22, 23}
    errors = {each["pid"]: each["error"] for each in data["guests"]}
    assert errors[23] == "pid:23 has too many words"
    assert data["guests"][3]["disks"] is None
    assert data["unseen"] == ["/proc hides the processes of other users"]


def test_host_without_guests_is_no_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is said, and a program gets an empty list."""
    monkeypatch.setattr(ps, "discover", lambda: RunningGuests(guests=()))
    assert call("ps") == 0
    assert capsys.readouterr() == ("", "vmio: no QEMU is seen to run on this host\n")
    assert call("ps", "--json") == 0
    assert json.loads(capsys.readouterr().out)["data"] == {"guests": [], "unseen": []}


def test_config_of_this_node_means_its_guest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As /etc/pve/qemu-server/172.conf, but not what libvirt gave the same number."""
    from vmio.managers.proxmox import node

    monkeypatch.setattr(node, "find_vmid", lambda path, _: path.stem if path.is_file() else "")
    config = tmp_path / "172.conf"
    config.touch()
    assert list_pids(str(config)) == [20]
    assert list_pids(str(tmp_path / "absent.conf")) == []


def test_shell_is_offered_what_runs() -> None:
    """Addresses, ids and names, but no word that a shell would read as more than a word."""
    shell = ShellComplete(program, {}, "vmio", "_VMIO_COMPLETE")
    offered = [item.value for item in shell.get_completions(["ps"], "")]

    assert offered[:4] == ["pid:20", "pid:21", "pid:22", "pid:23"]
    assert {"172", "web1", "db", "shop/web1"} <= {*offered}
    assert not any("$" in word for word in offered)


def test_worst_guest_comes_first_with_its_verdict_last(
    windows: Windows, capsys: pytest.CaptureFixture[str]
) -> None:
    """Then those that nobody could judge, and those that nothing limits."""
    assert call("ps") == 0
    lines = capsys.readouterr().out.splitlines()[-4:]
    assert [line.split()[0] for line in lines] == ["pid:22", "pid:21", "pid:23", "pid:20"]
    assert lines[0].endswith("main loop full")
    assert lines[1].endswith("-")
    assert lines[3].endswith("nothing limits it")
    assert windows == [2.0]


def test_json_has_the_verdicts(capsys: pytest.CaptureFixture[str]) -> None:
    """With evidence and the step that would help; null where a guest was not judged."""
    assert call("ps", "--json", "--time", "5") == 0
    guests = json.loads(capsys.readouterr().out)["data"]["guests"]
    assert [each["pid"] for each in guests] == [22, 21, 23, 20]
    assert [each["verdicts"] for each in guests[1:]] == [None, None, []]
    (verdict,) = guests[0]["verdicts"]
    assert (verdict["kind"], verdict["step"], verdict["disks"]) == (
        "main-loop-full",
        "give-threads",
        ["scsi1"],
    )
    assert verdict["evidence"][0]["value"] == 0.97


def test_without_a_time_nobody_is_looked_at(
    windows: Windows, capsys: pytest.CaptureFixture[str]
) -> None:
    """The guests are in the order of their processes, and there is no such column."""
    assert call("ps", "--time", "0") == 0
    text = capsys.readouterr().out
    assert "what limits it" not in text
    assert [line.split()[0] for line in text.splitlines()[-4:]] == [
        f"pid:{number}" for number in (20, 21, 22, 23)
    ]
    assert call("ps", "--time", "0", "--json") == 0
    guests = json.loads(capsys.readouterr().out)["data"]["guests"]
    assert {each["verdicts"] for each in guests} == {None}
    assert not windows


@pytest.mark.parametrize("seconds", ["1", "-1", "3601", "nan", "x"])
def test_time_that_tells_nothing_is_refused(
    seconds: str, windows: Windows, capsys: pytest.CaptureFixture[str]
) -> None:
    """The kernel samples what verdicts are made of."""
    assert call("ps", "--time", seconds) == 2
    assert "--time" in capsys.readouterr().err
    assert not windows


def test_nobody_is_waited_for_where_no_guest_is_found(windows: Windows) -> None:
    """The answer is there at once."""
    assert call("ps", "absent") == 3
    assert not windows
