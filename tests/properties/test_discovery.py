"""Whatever processes there are on a host, looking at it ends with a list."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given
from hypothesis import strategies as st

from vmio.managers.discovery import RunningGuests, discover
from vmio.report.guests.json import render_guests_json

WORDS = st.lists(
    st.sampled_from(
        [
            b"-qmp",
            b"-mon",
            b"-chardev",
            b"-name",
            b"-object",
            b"-device",
            b"-pidfile",
            b"-uuid",
            b"unix:/run/a,server=on",
            b"chardev=c,mode=control",
            b"socket,id=c,fd=3,server=on",
            b"socket,id=charmonitor,path=\xff,server",
            b"guest=a_b,debug-threads=on",
            b'{"qom-type":"secret","id":"masterKey0","file":"/domain-7-x/k"}',
            b"/var/run/qemu-server/100.pid",
            b"virtio-blk,drive=absent",
        ]
    )
    | st.binary(max_size=40).map(lambda word: word.replace(b"\0", b"")),
    max_size=12,
)
GROUPS = st.sampled_from([b"0::/kubepods/pod\n", b"0::/qemu.slice/100.scope\n"]) | st.binary()
SOCKETS = (
    st.sampled_from([b"0: 2 0 00010000 0001 01 9 /run/a\n", b"0: 3 0 00000000 0001 03 9 \xff\n"])
    | st.binary()
)


@given(words=WORDS, cgroup=GROUPS, sockets=SOCKETS)
def test_any_process_is_a_guest_or_none(words: list[bytes], cgroup: bytes, sockets: bytes) -> None:
    """No word of a command line, and no name of a socket, stops the look at all others."""
    with TemporaryDirectory() as name:
        home = Path(name, "proc", "20")
        (home / "net").mkdir(parents=True)
        (home / "cmdline").write_bytes(b"\0".join([b"kvm", *words]) + b"\0")
        (home / "stat").write_text(f"20 (kvm) S 1 {'0 ' * 17}7 0\n")
        (home / "cgroup").write_bytes(cgroup)
        (home / "net" / "unix").write_bytes(sockets)
        found: RunningGuests = discover(root=Path(name), now_s=9)

    assert len(found.guests) == 1
    data = json.loads(render_guests_json(found.guests, found.unseen))["data"]
    assert data["guests"][0]["address"] == "pid:20"
