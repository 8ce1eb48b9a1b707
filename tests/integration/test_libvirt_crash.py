"""A change of a libvirt domain that is killed at any instant leaves the old domain or the new one.

VMIO_KILLS sets how often it is killed: a few times with the other tests, 200 times once.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

import pytest

from vmio.errors import UsageError
from vmio.managers.libvirt.compare import find_losses
from vmio.managers.libvirt.connection import open_connection
from vmio.managers.libvirt.find import DomainAddress
from vmio.managers.libvirt.write import read_domain
from vmio.managers.proxmox.node import Node
from vmio.managers.undo import prepare_undo, undo
from vmio.model.source import Source
from vmio.testing.libvirt_daemon import SessionDaemon, find_missing

pytestmark = pytest.mark.skipif(bool(find_missing()), reason=f"needs {find_missing()}")

KILLS: Final = int(os.environ.get("VMIO_KILLS", "8"))
XML: Final = b"""
<domain type='qemu'>
  <name>crash</name>
  <memory unit='MiB'>32</memory>
  <vcpu>2</vcpu>
  <iothreads>1</iothreads>
  <os><type arch='x86_64' machine='q35'>hvm</type></os>
  <devices>
    <disk type='file' device='disk'>
      <driver name='qemu' type='raw'/><source file='/a.raw'/><target dev='vda' bus='virtio'/>
    </disk>
    <graphics type='vnc' passwd='secret'><listen type='none'/></graphics>
  </devices>
</domain>
"""
OLD: Final = b"<driver name='qemu' type='raw'/>"
NEW: Final = b"<driver name='qemu' type='raw' iothread='1'/>"
CHANGE: Final = f"""
import sys
from pathlib import Path
from vmio.managers.libvirt.write import write_domain
import libvirt
address, state = sys.argv[1:]
print("ready", flush=True)
sys.stdin.readline()
edit = lambda source: source.data.replace({OLD!r}, {NEW!r})
write_domain(address, edit, what="a thread", state=Path(state))
print("done", flush=True)
"""
WARM_UPS: Final = 3
IDLE_LOOKS: Final = 5


def start_change(address: str, state: Path) -> subprocess.Popen[bytes]:
    """Starts a change, which begins when it is sent a line."""
    child = subprocess.Popen(
        [sys.executable, "-c", CHANGE, address, str(state)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == b"ready\n"
    return child


def begin_change(child: subprocess.Popen[bytes]) -> None:
    """Lets a change begin."""
    assert child.stdin is not None
    child.stdin.write(b"\n")
    child.stdin.flush()


def measure_change(address: str, node: Node) -> float:
    """Returns how long the fastest of some changes takes, each of which is undone, in seconds."""
    times = []
    for _ in range(WARM_UPS):
        with start_change(address, node.state) as child:
            began = time.monotonic()
            begin_change(child)
            assert child.stdout is not None
            assert child.stdout.readline() == b"done\n"
            times.append(time.monotonic() - began)
        undo(prepare_undo(address, node=node), node=node)
    return min(times)


def kill_change(address: str, state: Path, after_s: float) -> None:
    """Begins a change, and kills it after a time."""
    with start_change(address, state) as child:
        begin_change(child)
        try:
            child.wait(after_s)
        except subprocess.TimeoutExpired:
            child.kill()


def wait_until_idle(pid: int) -> None:
    """Waits until no thread of a process runs: the daemon goes on with what it was sent."""
    idle = 0
    while idle < IDLE_LOOKS:
        states = [
            path.read_text().rpartition(")")[2].split()[0]
            for path in Path(f"/proc/{pid}/task").glob("*/stat")
        ]
        idle = idle + 1 if set(states) == {"S"} else 0
        time.sleep(0.002)


def test_killed_change_leaves_the_old_domain_or_the_new_one(
    libvirt_daemon: SessionDaemon, tmp_path: Path
) -> None:
    """And what is left can be undone, with the VNC password in it."""
    libvirt = pytest.importorskip("libvirt")
    address = str(DomainAddress(uri=libvirt_daemon.uri, name="crash"))
    with open_connection(libvirt_daemon.uri, writes=True) as connection:
        connection.define(XML)
    old = read_domain(address)
    new = Source(name=address, data=old.data.replace(OLD, NEW))
    assert new.data != old.data
    whole_s = measure_change(address, Node(state=tmp_path / "measured"))

    chance = random.Random(0)  # noqa: S311 - it hides nothing
    results = {"old": 0, "new": 0}
    for number in range(KILLS):
        node = Node(state=tmp_path / f"state{number}")
        kill_change(address, node.state, chance.uniform(0, whole_s))
        wait_until_idle(libvirt_daemon.pid)
        found = read_domain(address)
        if found.data == old.data:
            results["old"] += 1
            with pytest.raises(UsageError, match=r"is in its state before|has changed nothing"):
                undo(prepare_undo(address, node=node), node=node)
        else:
            results["new"] += 1
            assert find_losses(new, found) == ""
            undo(prepare_undo(address, node=node), node=node)
        assert read_domain(address).data == old.data
    sys.stdout.write(f"{KILLS} kills within {whole_s:.3f} s: {results}\n")
    own = libvirt.open(libvirt_daemon.uri)
    own.lookupByName("crash").undefine()
    own.close()
