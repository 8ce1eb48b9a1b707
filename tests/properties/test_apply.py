"""Whatever else a config holds, a change of the guest leaves it as it is."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from vmio.formats.base import ReadContext
from vmio.formats.registry import edit, read
from vmio.managers.proxmox.node import Node
from vmio.managers.write import write_config
from vmio.model.host import Host
from vmio.model.plan import Change
from vmio.model.source import Source, apply_edits

LINES = st.one_of(
    st.sampled_from(["scsihw: lsi", "name: x", "lock: backup", "delete: cores", "#note", ""]),
    st.text(st.characters(exclude_characters="\n\0", exclude_categories=["Cs"]), max_size=20),
)
HEADERS = st.sampled_from(["[PENDING]", "[snap]", "[special:cloudinit]", "[odd one]", "[SNAP2]"])
SECTIONS = st.lists(st.tuples(HEADERS, st.lists(LINES, max_size=4)), max_size=4)


CHANGE = Change(subject="virtio0", property="aio", old="threads", new="native")


def change(source: Source) -> bytes:
    """Returns a config with the engine of its disk changed."""
    guest = read(source, ReadContext(host=Host()))
    return apply_edits(source, edit(guest, [CHANGE]))


@given(SECTIONS)
def test_snapshots_and_pending_changes_keep_every_byte(
    sections: list[tuple[str, list[str]]],
) -> None:
    """From the first section's header on, a written config has the bytes that it had."""
    rest = "".join(f"\n{header}\n" + "\n".join(lines) for header, lines in sections).encode()
    with tempfile.TemporaryDirectory() as name:
        path = Path(name, "701.conf")
        path.write_bytes(b"virtio0: /dev/a,aio=threads\n" + rest)
        write_config(
            path,
            change,
            what="test",
            node=Node(etc=Path(name, "pve"), state=Path(name, "state")),
        )
        assert path.read_bytes() == b"virtio0: /dev/a,aio=native\n" + rest
