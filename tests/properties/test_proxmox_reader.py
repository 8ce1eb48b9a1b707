"""What holds for any text that the Proxmox readers are given."""

from __future__ import annotations

import contextlib

from hypothesis import given
from hypothesis import strategies as st

from vmio.errors import InputError, PlanError
from vmio.formats.proxmox.argv import render_argv, render_command
from vmio.formats.proxmox.reader import read_guest
from vmio.formats.proxmox.storage import parse_storages
from vmio.model.host import Cpu, Host
from vmio.model.source import Source
from vmio.plan.planner import plan_topology

HOST = Host(qemu_version="10.0.2", cpu=Cpu(count=64))

_WORDS = st.sampled_from(
    """
    scsi0 scsi30 scsi31 virtio0 ide2 sata5 scsihw args boot machine cores sockets memory vcpus
    smp [snap] [PENDING] # local:1/a.raw none cdrom /dev/sda iothread=1 media=cdrom cache=none
    size=1G , : = order=scsi0;net0 virtio-scsi-single lsi q35 pc-i440fx-8.1+pve0 0 1 999999999
    mbps=1 serial=%2C - '  -object iothread,id=x
    """.split()  # noqa: SIM905 - a list a line each would hide the words
)
CONFIGS = st.lists(
    st.tuples(st.sampled_from(["scsi0", "virtio0", "ide0", "args", "x1"]), st.lists(_WORDS)).map(
        lambda pair: f"{pair[0]}: {','.join(pair[1])}"
    )
    | st.lists(_WORDS).map(" ".join),
).map(lambda lines: "\n".join(lines).encode())


def run(data: bytes) -> None:
    """Reads, plans and prints a config."""
    source = Source(name="100.conf", data=data)
    guest = read_guest(source, storages=None, host=HOST)
    topology = plan_topology(guest.vm)
    for attached in topology.disks:
        assert topology.served_by(attached)
    for problem in guest.vm.problems:
        assert 0 <= problem.span.start <= problem.span.end <= len(data)
        source.locate(problem.span)
    with contextlib.suppress(PlanError):
        render_command(render_argv(guest, topology, HOST), pretty=True)


@given(st.binary())
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    """No bytes at all make the reader raise anything but InputError."""
    with contextlib.suppress(InputError):
        run(data)


@given(CONFIGS)
def test_any_likely_config_is_read_or_refused(data: bytes) -> None:
    """Nor do texts made of what configs are made of."""
    with contextlib.suppress(InputError):
        run(data)


@given(st.binary() | st.text().map(str.encode))
def test_any_bytes_are_storages_or_refused(data: bytes) -> None:
    """The same holds for storage.cfg."""
    with contextlib.suppress(InputError):
        parse_storages(Source(name="storage.cfg", data=data))


@given(CONFIGS)
def test_spans_lie_where_the_text_is(data: bytes) -> None:
    """The span of every option, cut out of the source, is that option's text."""
    with contextlib.suppress(InputError):
        guest = read_guest(Source(name="1.conf", data=data), storages=None, host=HOST)
        for disk in guest.vm.disks:
            for name, span in disk.spans.items():
                text = guest.vm.source.read_span(span)
                assert text == disk.volume or name in text or "volume=" in text
