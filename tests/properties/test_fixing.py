"""Fixing a config changes the VM's own section and nothing else."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vmio.formats.base import ReadContext
from vmio.formats.proxmox.config import parse_config
from vmio.formats.proxmox.reader import read_guest
from vmio.formats.registry import lay_out
from vmio.lint.checking import check_context
from vmio.lint.diagnostic import Diagnostic
from vmio.lint.fixing import fix_source
from vmio.lint.project import ProjectConfig
from vmio.lint.rule import Context
from vmio.model.host import Host
from vmio.model.source import Source, Span
from vmio.model.version import parse_version

HOST = Host(qemu_version=parse_version("10.0.2"))
LINES = st.sampled_from(
    [
        "scsi0: local-lvm:vm-1-disk-0,aio=native,cache=writeback,iothread=1",
        "scsi1: local-lvm:vm-1-disk-1,cache=unsafe,discard=on",
        "virtio0: local-lvm:vm-1-disk-2,aio=native,iothread=1",
        "sata0: local-lvm:vm-1-disk-3,iothread=1",
        "scsihw: virtio-scsi-pci",
        "scsihw: lsi\r",
        "cores: 4",
        "args: -object iothread,id=spare",
        "delete: scsi1",
        "# aio=native: a word",
        "junk",
        "",
    ]
)
HEADERS = st.sampled_from(["[PENDING]", "[before]", "[before]\r", "[special:cloudinit]", "[x y]"])
SECTIONS = st.lists(st.tuples(HEADERS, st.lists(LINES, max_size=5)), max_size=3)


def find_editable(text: Source) -> Span:
    """Returns the VM's own section."""
    return parse_config(text).main.span


def check(text: Source) -> tuple[Diagnostic, ...]:
    """Returns what is found in a config."""
    guest = read_guest(text, ReadContext(storages=None, host=HOST))
    context = Context(guest=guest, topology=lay_out(guest), host=HOST)
    return check_context(context, project=ProjectConfig()).diagnostics


@given(st.lists(LINES, max_size=8), SECTIONS, st.booleans(), st.booleans())
def test_fixing_touches_no_snapshot_and_nothing_pending(
    lines: list[str],
    sections: list[tuple[str, list[str]]],
    ends: bool,  # noqa: FBT001 - hypothesis passes what it drew
    unsafe: bool,  # noqa: FBT001 - as above
) -> None:
    """Every byte from the first header on stays as it is, and fixing again changes nothing."""
    words = ["cores: 1", *lines]
    for header, body in sections:
        words += [header, *body]
    text = "\n".join(words) + ("\n" if ends else "")
    source = Source(name="100.conf", data=text.encode())
    fixed = fix_source(source, check, unsafe=unsafe, find_editable=find_editable)
    before, after = find_editable(source), find_editable(fixed.after)
    assert fixed.data[after.end :] == source.data[before.end :]
    again = fix_source(fixed.after, check, unsafe=unsafe, find_editable=find_editable)
    assert again.data == fixed.data
    assert bool(fixed.applied) == fixed.changed
