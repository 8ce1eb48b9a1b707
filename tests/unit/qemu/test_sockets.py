"""Who is connected to a socket, by the kernel's list."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from vmio.qemu import sockets
from vmio.qemu.sockets import count_clients

PID = os.getpid()
LIST = """\
Num       RefCount Protocol Flags    Type St Inode Path
0000000000000000: 00000002 00000000 00010000 0001 01 11 /run/a b
0000000000000000: 00000003 00000000 00000000 0001 03 12 /run/a b
0000000000000000: 00000003 00000000 00000000 0001 02 13 /run/a b
0000000000000000: 00000002 00000000 00010000 0001 01 14 /run/a
0000000000000000: 00000003 00000000 00000000 0001 03 15 /run/a b c
0000000000000000: 00000003 00000000 00000000 0001 03 16 /other/run/a
0000000000000000: 00000003 00000000 00000000 0001 03 17
"""


@pytest.fixture(autouse=True)
def _forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test reads the list."""
    monkeypatch.setattr(sockets, "_lists", {})


@pytest.mark.parametrize(
    ("path", "clients"),
    [("/run/a b", 2), ("/run/a", 0), ("b", None), ("/run/x", None), ("/run/a b\nx", None)],
)
def test_clients_are_those_of_the_socket(tmp_path: Path, path: str, clients: int | None) -> None:
    """Its name may hold blanks, and be the end of another's."""
    (tmp_path / "7/net").mkdir(parents=True)
    (tmp_path / "7/net/unix").write_text(LIST)
    assert count_clients(7, Path(path), proc=tmp_path) == clients
    assert count_clients(8, Path(path), proc=tmp_path) is None


def test_clients_are_counted_until_they_leave(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is not accepted yet waits, and counts."""
    monkeypatch.setattr(sockets, "_FRESH_S", -1.0)
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(2)
        assert count_clients(PID, path) == 0
        with socket.socket(socket.AF_UNIX) as first:
            first.connect(str(path))
            assert count_clients(PID, path) == 1
            accepted, _ = listener.accept()
            with accepted:
                assert count_clients(PID, path) == 1
                with socket.socket(socket.AF_UNIX) as second:
                    second.connect(str(path))
                    assert count_clients(PID, path) == 2


def test_list_is_read_once_for_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The guests of a host share its list for a moment."""
    path = tmp_path / "socket"
    monkeypatch.setattr(sockets, "_FRESH_S", 60.0)
    with socket.socket(socket.AF_UNIX) as listener:
        assert count_clients(PID, path) is None
        listener.bind(str(path))
        listener.listen()
        assert count_clients(PID, path) is None
        assert count_clients(PID, path, fresh=True) == 0
