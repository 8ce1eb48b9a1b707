"""Whatever else a config holds, a change of the guest leaves it as it is."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from vmio.formats.proxmox.changes import apply_changes
from vmio.managers.proxmox.node import Node
from vmio.managers.proxmox.write import write_config
from vmio.model.plan import Change

LINES = st.one_of(
    st.sampled_from(["scsihw: lsi", "name: x", "lock: backup", "delete: cores", "#note", ""]),
    st.text(st.characters(exclude_characters="\n\0", exclude_categories=["Cs"]), max_size=20),
)
HEADERS = st.sampled_from(["[PENDING]", "[snap]", "[special:cloudinit]", "[odd one]", "[SNAP2]"])
SECTIONS = st.lists(st.tuples(HEADERS, st.lists(LINES, max_size=4)), max_size=4)


@given(SECTIONS)
def test_snapshots_and_pending_changes_keep_every_byte(
    sections: list[tuple[str, list[str]]],
) -> None:
    """From the first section's header on, a written config has the bytes that it had."""
    rest = "".join(f"\n{header}\n" + "\n".join(lines) for header, lines in sections).encode()
    change = Change(key="memory", old="512", new="1024")
    with tempfile.TemporaryDirectory() as name:
        path = Path(name, "701.conf")
        path.write_bytes(b"memory: 512\n" + rest)
        write_config(
            path,
            lambda source: apply_changes(source, [change]),
            what="test",
            node=Node(etc=Path(name, "pve"), state=Path(name, "state")),
        )
        assert path.read_bytes() == b"memory: 1024\n" + rest
