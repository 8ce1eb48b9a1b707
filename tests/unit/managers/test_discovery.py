"""Guests of each manager in a /proc of the test's own, where one cannot be had for real."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from vmio.formats.qemu.argv import parse_words
from vmio.formats.qemu.monitors import list_monitors
from vmio.host.running import QemuProcess
from vmio.managers.discovery import RunningGuest, discover
from vmio.managers.owners import Manager, choose_access, identify

GOLDEN = Path(__file__).parents[2] / "golden"
TICKS = os.sysconf("SC_CLK_TCK")
POD = "3f2b7a9c-58d1-4f0e-9a6b-7c1d2e3f4a5b"

Start = Callable[..., None]
Find = Callable[[], tuple[RunningGuest, ...]]


@pytest.fixture(name="start")
def make_start(tmp_path: Path) -> Start:
    """Returns what puts a guest into a proc of the test's own."""

    def start(
        pid: int,
        words: list[str],
        *,
        cgroup: str = "0::/\n",
        sockets: str = "",
        fds: dict[int, int] | None = None,
        inner: str = "",
        state: str = "S",
    ) -> None:
        home = tmp_path / "proc" / str(pid)
        (home / "net").mkdir(parents=True)
        (home / "fd").mkdir()
        (home / "cmdline").write_bytes("".join(f"{word}\0" for word in words).encode())
        rest = " ".join(["1", *["0"] * 17, str(100 * TICKS), "0"])
        (home / "stat").write_text(f"{pid} (qemu) x) {state} {rest}\n")
        (home / "status").write_text(
            f"Name:\tqemu\nUid:\t107\t107\t107\t107\nNSpid:\t{pid}{inner}\n"
        )
        (home / "cgroup").write_text(cgroup)
        (home / "net" / "unix").write_text(
            f"Num       RefCount Protocol Flags    Type St Inode Path\n{sockets}"
        )
        for number, inode in (fds or {}).items():
            (home / "fd" / str(number)).symlink_to(f"socket:[{inode}]")

    return start


@pytest.fixture(name="found")
def make_find(tmp_path: Path) -> Find:
    """Returns what finds the guests of that proc, 160 s after its boot."""
    return lambda: discover(root=tmp_path, now_s=160).guests


def libvirt_words(name: str, folder: str, fd: int = 23) -> list[str]:
    """Returns a command line as libvirt's, with a disk on an IOThread and one on none."""
    key = {"qom-type": "secret", "id": "masterKey0", "format": "raw"}
    return [
        *("/usr/bin/qemu-system-x86_64", "-name", f"guest={name},debug-threads=on", "-S"),
        *("-object", json.dumps(key | {"file": f"{folder}/master-key.aes"})),
        *("-object", '{"qom-type":"iothread","id":"iothread1"}'),
        *("-chardev", f"socket,id=charmonitor,fd={fd},server=on,wait=off"),
        *("-mon", "chardev=charmonitor,id=monitor,mode=control"),
        *("-uuid", "6f0c8b1e-9f2b-4f1d-a3a4-0a5ad9f7c7a1"),
        *("-blockdev", '{"driver":"null-co","node-name":"a"}'),
        *("-device", '{"driver":"virtio-blk-pci","iothread":"iothread1","drive":"a","id":"v0"}'),
        *("-blockdev", '{"driver":"null-co","node-name":"b"}'),
        *("-device", '{"driver":"virtio-blk-pci","drive":"b","id":"v1"}'),
    ]


@pytest.mark.parametrize(
    "cgroup",
    [
        f"0::/kubepods.slice/kubepods-pod{POD.replace('-', '_')}.slice/cri-containerd-0a.scope\n",
        f"1:name=systemd:/kubepods/besteffort/pod{POD}/0a1b\n0::/\n",
    ],
)
def test_guest_of_kubevirt_has_its_namespace_and_pod(
    cgroup: str, start: Start, found: Find
) -> None:
    """Its domain is NAMESPACE_NAME, and its monitor is that of libvirt's daemon in the pod."""
    words = libvirt_words("shop_db-1", "/var/run/kubevirt-private/libvirt/qemu/lib/domain-1-x")
    listener = "0: 00000002 00000000 00010000 0001 01   812 /var/lib/monitor.sock\n"
    held = "0: 00000003 00000000 00000000 0001 03 12812 /var/lib/monitor.sock\n"
    start(4711, words, cgroup=cgroup, sockets=listener + held, fds={23: 812}, inner="\t71")
    (guest,) = found()

    assert (guest.manager, guest.id, guest.name, guest.pod) == (
        "kubevirt",
        "shop/db-1",
        "db-1",
        POD,
    )
    assert (guest.process.pid, guest.process.inner_pid, guest.process.owner) == (4711, 71, 107)
    assert guest.uptime_s == 60
    assert guest.monitor is not None
    assert (guest.monitor.state, guest.monitor.access) == ("held", "none")
    assert guest.monitor.address == "/var/lib/monitor.sock"
    assert guest.layout is not None
    assert len(guest.layout.disks) == 2


def test_guest_in_a_pod_is_told_by_its_words_where_its_group_is_not_seen(
    start: Start, found: Find
) -> None:
    """In the pod itself the control group is the root of what can be seen."""
    start(71, libvirt_words("shop_db-1", "/var/run/kubevirt-private/libvirt/qemu/domain-1-x"))
    (guest,) = found()

    assert (guest.manager, guest.id, guest.pod) == ("kubevirt", "shop/db-1", "")


@pytest.mark.parametrize(
    ("folder", "cgroup", "number"),
    [
        ("/var/lib/libvirt/qemu/domain-12-web", "", "12"),
        ("/home/me/.config/libvirt/qemu/lib/domain-3-web", "", "3"),
        ("x", "0::/machine.slice/machine-qemu\\x2d4\\x2dweb.scope/libvirt/emulator\n", "4"),
        ("x", "9:name=systemd:/machine/qemu-4-web.libvirt-qemu/emulator\n", "4"),
        ("x", "", ""),
    ],
)
def test_guest_of_libvirt_has_the_number_of_its_run(
    folder: str, cgroup: str, number: str, start: Start, found: Find
) -> None:
    """As `virsh list` shows it."""
    start(20, libvirt_words("a_web", folder), cgroup=cgroup)
    (guest,) = found()

    assert (guest.manager, guest.id, guest.name) == ("libvirt", number, "a_web")
    assert guest.uuid == "6f0c8b1e-9f2b-4f1d-a3a4-0a5ad9f7c7a1"


@pytest.mark.parametrize(
    ("manager", "number", "name", "label"),
    [
        ("proxmox", "172", "web", "172 web"),
        ("proxmox", "172", "", "172"),
        ("libvirt", "3", "db", "db"),
        ("kubevirt", "shop/web", "web", "shop/web"),
        ("none", "", "by hand", "by hand"),
        ("none", "7", "", "7"),
        ("none", "", "", "pid:100"),
    ],
)
def test_guest_is_called_as_its_manager_calls_it(
    manager: Manager, number: str, name: str, label: str
) -> None:
    """The same after each start, unless nobody gave it a name."""
    process = QemuProcess(
        pid=100, started_ticks=5, inner_pid=100, owner=0, stopped=False, cgroup="", command=b""
    )
    guest = RunningGuest(process=process, manager=manager, id=number, name=name, uptime_s=1.0)
    assert guest.label == label
    assert guest.full_name == label.removeprefix("pid:100")


def test_unit_is_the_innermost_one(start: Start, found: Find) -> None:
    """Its name is shown as people write it."""
    scope = "/machine.slice/machine-qemu\\x2d4\\x2dweb.scope/libvirt/emulator"
    start(20, libvirt_words("web", "x"), cgroup=f"12:cpuset:/\n1:name=systemd:{scope}\n0::/\n")
    start(21, ["kvm", "-S"], cgroup="0::/system.slice/system-vm.slice/vm@web.service\n")
    units = [each.process.unit for each in found()]

    assert units == ["machine-qemu-4-web.scope", "vm@web.service"]


def test_guest_of_proxmox_is_told_by_its_command_line() -> None:
    """The socket of its daemon is the one that QEMU connects to itself."""
    words = shlex.split((GOLDEN / "proxmox" / "701.conf.cmd").read_text().replace("\\\n", " "))
    options = parse_words(words).options
    monitors = list_monitors(options)
    owner = identify("storage-a", options, monitors, "")

    assert (owner.manager, owner.id) == ("proxmox", "701")
    assert [choose_access(owner, each) for each in monitors] == ["brief", "none"]
    alone = identify("x", parse_words(["kvm", "-S"]).options, (), "/qemu.slice/901.scope")
    assert (alone.manager, alone.id) == ("proxmox", "901")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("-qmp unix:/run/a,,b,server,nowait", [("qmp", "unix", "/run/a,b", True)]),
        ("-qmp-pretty unix:q,server=on,wait=off", [("qmp", "unix", "q", True)]),
        ("-qmp tcp:localhost:4444,server=on", [("qmp", "tcp", "localhost:4444", True)]),
        ("-qmp unix:/run/of-a-daemon", [("qmp", "unix", "/run/of-a-daemon", False)]),
        ("-qmp stdio", [("qmp", "other", "", False)]),
        ("-monitor none -qmp none", []),
        ("-monitor unix:/run/hmp,server=on", [("hmp", "unix", "/run/hmp", True)]),
        (
            "-chardev socket,id=c,path=n,abstract=on,server=on -qmp chardev:c",
            [("qmp", "abstract", "n", True)],
        ),
        (
            "-chardev socket,id=c,host=::1,port=4,server=on -mon c,mode=control",
            [("qmp", "tcp", "::1:4", True)],
        ),
        ("-mon chardev=absent", [("hmp", "other", "", False)]),
    ],
)
def test_monitors_are_read_from_every_way_to_write_them(
    words: str, told: list[tuple[object, ...]]
) -> None:
    """Short and long, old and new; one that connects to somebody is no place to connect to."""
    found = list_monitors(parse_words(["kvm", *words.split()]).options)
    assert [(each.protocol, each.transport, each.address, each.listens) for each in found] == told


LISTENS = "0: 00000002 00000000 00010000 0001 01 {} {}\n"
SERVED = "0: 00000003 00000000 00000000 0001 03 {} {}\n"
WAITS = "0: 00000002 00000000 00000000 0001 02     0 {}\n"


@pytest.mark.parametrize(
    ("sockets", "state", "waiting"),
    [
        ("", "absent", 0),
        (LISTENS.format(9, "/run/other"), "absent", 0),
        (LISTENS.format(5, "/run/a b"), "free", 0),
        (LISTENS.format(5, "/run/a b") + SERVED.format(6, "/run/a b"), "held", 0),
        (LISTENS.format(5, "/run/a b") + WAITS.format("/run/a b"), "held", 1),
        # Two of one name: that of the process counts, and who is at the other does not.
        (LISTENS.format(9, "/run/a b") + LISTENS.format(5, "/run/a b"), "free", 0),
        (
            LISTENS.format(9, "/run/a b")
            + LISTENS.format(5, "/run/a b")
            + SERVED.format(8, "/run/a b"),
            "free",
            0,
        ),
        (
            LISTENS.format(9, "/run/a b")
            + LISTENS.format(5, "/run/a b")
            + SERVED.format(6, "/run/a b"),
            "held",
            0,
        ),
        (
            LISTENS.format(9, "/run/a b")
            + LISTENS.format(5, "/run/a b")
            + SERVED.format(8, "/run/a b")
            + WAITS.format("/run/a b"),
            "free",
            0,
        ),
        (LISTENS.format(9, "/run/a b") + LISTENS.format(8, "/run/a b"), "absent", 0),
    ],
)
def test_state_of_a_monitor_is_that_of_its_own_socket(
    sockets: str, state: str, waiting: int, start: Start, found: Find
) -> None:
    """As the kernel lists it: who listens, who is served, and who waits."""
    words = ["kvm", "-qmp", "unix:/run/a b,server=on"]
    start(20, words, sockets=sockets, fds={3: 5, 4: 6})
    (guest,) = found()

    assert guest.monitor is not None
    assert (guest.monitor.state, guest.monitor.waiting) == (state, waiting)


PORT = "   1: {} 00000000:0000 {} 00000000:00000000 00:00000000 00000000     0   0 {} 1 0 0 0\n"
SIX = "0" * 32


def test_port_that_is_listened_on_in_both_families_is_one_monitor(
    start: Start, found: Find, tmp_path: Path
) -> None:
    """A connection in either of them holds it; one to another port does not."""
    start(20, ["kvm", "-qmp", "tcp:localhost:4444,server=on"], fds={3: 5, 4: 6, 5: 7})
    net = tmp_path / "proc" / "20" / "net"
    other = PORT.format("0100007F:115D", "01", 7)
    (net / "tcp").write_text(PORT.format("0100007F:115C", "0A", 5) + other)
    (net / "tcp6").write_text(PORT.format(f"{SIX}:115C", "0A", 6))
    assert [each.monitor.state for each in found() if each.monitor is not None] == ["free"]
    with (net / "tcp6").open("a") as file:
        file.write(PORT.format(f"{SIX}:115C", "01", 7))
    assert [each.monitor.state for each in found() if each.monitor is not None] == ["held"]


def test_state_that_cannot_be_seen_is_not_guessed(
    start: Start, found: Find, tmp_path: Path
) -> None:
    """Of a port, of a socket that was passed on and may not be looked at, of a broken name."""
    listeners = LISTENS.format(5, "/run/a") * 2
    start(20, ["kvm", "-qmp", "tcp:localhost:4444,server=on"])
    start(21, libvirt_words("x", "y", fd=99))
    start(22, ["kvm", "-qmp", "unix:/run/a,server=on"], sockets=listeners)
    (tmp_path / "proc" / "22" / "fd").rmdir()
    start(23, ["kvm", "-qmp", "unix:/run/\udcff,server=on".encode("utf-8", "replace").decode()])
    (tmp_path / "proc" / "23" / "cmdline").write_bytes(b"kvm\0-qmp\0unix:/run/\xff,server=on\0")
    start(24, ["kvm", "-qmp", "unix:/run/a,server=on"])
    (tmp_path / "proc" / "24" / "net" / "unix").unlink()

    assert [each.monitor.state for each in found() if each.monitor is not None] == ["unknown"] * 5


def test_command_line_that_cannot_be_read_is_a_guest_all_the_same(
    start: Start, found: Find
) -> None:
    """With what is known of it without, and why there is no more."""
    start(20, ["kvm", *["-device", "virtio-scsi,num_queues=1022"] * 300, "-smp", "4096"])
    start(21, ["kvm", *["-device", "x"] * 200_000], state="T")
    first, second = found()

    assert "virtqueues, more than any QEMU is started with" in first.problem
    assert (second.layout, second.manager, second.name) == (None, "none", "")
    assert "words, more than any QEMU is started with" in second.problem
    assert second.process.stopped


@pytest.mark.parametrize("name", ["stat", "status", "cgroup", "net/unix", "cmdline"])
def test_process_that_ends_while_it_is_looked_at_is_left_out_or_told_in_part(
    name: str, start: Start, found: Find, tmp_path: Path
) -> None:
    """Whichever of its files is gone by then."""
    start(20, ["kvm", "-qmp", "unix:/run/a,server=on"])
    (tmp_path / "proc" / "20" / name).unlink()
    assert len(found()) == (name not in {"stat", "cmdline"})
