"""The table of `vmio ps`: what fits, what is left out, and foreign words in it."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

import pytest
from rich.console import Console

from vmio.host.running import QemuProcess
from vmio.managers.discovery import Monitor, RunningGuest
from vmio.model.iothread import IOThread
from vmio.model.topology import Topology
from vmio.observe.verdicts.values import Verdict
from vmio.report.guests.age import format_age
from vmio.report.guests.text import print_guests
from vmio.values import replace

SOCKET = Monitor(
    protocol="qmp",
    transport="unix",
    address="/var/run/qemu-server/172.qmp",
    state="free",
    access="brief",
)
GUEST = RunningGuest(
    process=QemuProcess(
        pid=4711,
        started_ticks=1,
        inner_pid=4711,
        owner=0,
        stopped=False,
        cgroup="/qemu.slice/172.scope",
        command=b"kvm\0",
    ),
    manager="proxmox",
    id="172",
    name="web1",
    uptime_s=3 * 86400 + 4 * 3600,
    monitors=(SOCKET,),
    layout=Topology(iothreads=(IOThread(id="a"), IOThread(id="b"))),
)


FULL = Verdict(
    kind="waits-for-processors",
    subject="the guest",
    severity="warning",
    evidence=(),
    source="somebody",
)


def render(
    *guests: RunningGuest, width: int, verdicts: Mapping[str, Sequence[Verdict]] | None = None
) -> str:
    """Returns what a terminal of this width shows."""
    text = io.StringIO()
    print_guests(guests, Console(file=text, width=width, color_system=None), verdicts)
    return text.getvalue()


def test_verdict_is_the_last_column_and_stays_on_a_narrow_terminal() -> None:
    """One line a guest; what could not be judged is not said to be well."""
    other = replace(GUEST, process=replace(GUEST.process, pid=4712))
    third = replace(GUEST, process=replace(GUEST.process, pid=4713))
    verdicts = {"pid:4711": (FULL, FULL), "pid:4712": ()}
    for width in (80, 160):
        _, *_, first, second, last = render(
            GUEST, other, third, width=width, verdicts=verdicts
        ).splitlines()
        assert first.endswith("waits for processors (+1)")
        assert second.endswith("nothing limits it")
        assert last.endswith(" -")
        assert len(first) <= width
        assert all(word in first for word in ("pid:4711", "web1", "172", "free"))


def test_wide_table_has_the_socket_and_the_unit() -> None:
    """All that is known, on one line a guest."""
    _, heads, _, line = render(GUEST, width=160).splitlines()

    told = "guest name manager id up disks loop IOThreads monitor socket unit"
    assert heads.split() == told.split()
    told = "pid:4711 web1 Proxmox 172 3d 4h 0 0 2 free /var/run/qemu-server/172.qmp 172.scope"
    assert line.split() == told.split()


def test_narrow_table_stays_one_line_a_guest() -> None:
    """What a person needs least goes first, and a long name is cut."""
    long = replace(GUEST, name="a-very-long-name-of-a-guest-that-nobody-would-type")
    text = render(GUEST, long, width=80)

    assert len(text.splitlines()) <= 5
    assert max(map(len, text.splitlines())) <= 80
    assert all(word in text for word in ("pid:4711", "web1", "Proxmox", "172", "3d 4h", "free"))
    assert "…" in text
    assert "scope" not in text


@pytest.mark.parametrize("width", [40, 60, 80])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    """An id that is too long, as of KubeVirt, pushes out others, or moves below its row."""
    name = "postgres-primary-0"
    pod = replace(GUEST, manager="kubevirt", id=f"production-shop/{name}", name=name)
    text = render(GUEST, pod, width=width)

    assert max(map(len, text.splitlines())) <= width
    assert f"production-shop/{name}" in text


def test_column_without_content_is_left_out() -> None:
    """Guests started by hand have no id and no unit."""
    process = replace(GUEST.process, cgroup="")
    text = render(replace(GUEST, id="", name="", monitors=(), process=process), width=160)

    heads = text.split("─")[0].split()
    assert not {"name", "id", "socket", "unit"} & {*heads}
    assert "none" in text


@pytest.mark.parametrize(
    ("guest", "said"),
    [
        (replace(GUEST, monitors=(replace(SOCKET, state="held"),)), "in use"),
        (replace(GUEST, monitors=(replace(SOCKET, state="absent"),)), "gone"),
        (replace(GUEST, monitors=(replace(SOCKET, state="unknown"),)), "not seen"),
        (
            replace(GUEST, monitors=(replace(SOCKET, state="outgoing", access="none"),)),
            "its starter's",
        ),
        (
            replace(
                GUEST, manager="libvirt", monitors=(replace(SOCKET, state="held", access="none"),)
            ),
            "libvirt's",
        ),
        (replace(GUEST, process=replace(GUEST.process, stopped=True)), "stopped"),
        (replace(GUEST, monitors=(replace(SOCKET, protocol="hmp"),)), "none"),
    ],
)
def test_monitor_is_told_in_words(guest: RunningGuest, said: str) -> None:
    """One word or two for each state."""
    assert said in render(guest, width=160)


def test_foreign_words_stay_in_their_cells() -> None:
    """A name, a socket and a unit can be anybody's."""
    word = "x\x1b[2J\n::error::\u202e"
    process = replace(GUEST.process, cgroup=f"/{word}.service")
    monitor = replace(SOCKET, address=f"/{word}")
    guest = replace(GUEST, name=word, id=word, monitors=(monitor,), process=process)
    text = render(guest, width=400)

    assert "\x1b" not in text
    assert "\u202e" not in text
    assert len(text.splitlines()) == 4


@pytest.mark.parametrize(
    ("age_s", "text"),
    [
        (0.9, "0s"),
        (59, "59s"),
        (60, "1m 0s"),
        (3599, "59m 59s"),
        (86399, "23h 59m"),
        (90000, "1d 1h"),
        (1e9, "11574d 1h"),
    ],
)
def test_age_is_in_its_two_largest_units(age_s: float, text: str) -> None:
    """Rounded down."""
    assert format_age(age_s) == text
