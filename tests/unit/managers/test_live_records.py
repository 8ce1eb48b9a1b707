"""Records of guests' own parameters: whole, private, of one guest, held by one at a time."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from vmio.errors import ConflictError, OutputError
from vmio.host.running import read_boot_id
from vmio.managers.live_records import (
    FoundRecord,
    GuestRecord,
    OwnValue,
    list_records,
    open_record,
)
from vmio.observe.threads import open_tasks, read_threads

RECORD = GuestRecord(
    label="701 web",
    values=(OwnValue(iothread="io0", own=32_768, ours=(0, 8_192), why="try", wall_ns=5),),
)


def find_own_key() -> tuple[int, int]:
    """Returns what tells this process, as if it were a guest."""
    with open_tasks(os.getpid()) as tasks:
        (main,) = (each for each in read_threads(tasks, {}) if each.thread_id == os.getpid())
    assert main.started_ticks is not None
    return os.getpid(), main.started_ticks


KEY = find_own_key()


def test_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    """By the next that holds the lock; listed with whether one does."""
    with open_record(KEY, folder=tmp_path / "a") as file:
        assert file.read() is None
        file.write(RECORD)
        found = FoundRecord(key=KEY, record=RECORD, is_active=True)
        assert list_records(tmp_path / "a") == (found,)
    assert [each.is_active for each in list_records(tmp_path / "a")] == [False]
    with open_record(KEY, folder=tmp_path / "a") as file:
        assert file.read() == RECORD
        file.remove()
    assert not list((tmp_path / "a").iterdir())


def test_record_has_a_guest_whose_name_is_not_text(tmp_path: Path) -> None:
    """QEMU takes any bytes for a name."""
    with open_record(KEY, folder=tmp_path) as file:
        file.write(GuestRecord(label="a\udcff"))
        assert file.read() == GuestRecord(label="a\\xff")


def test_second_that_changes_a_guest_is_refused(tmp_path: Path) -> None:
    """Until the first has ended; another guest's is not."""
    with open_record(KEY, folder=tmp_path):
        with pytest.raises(ConflictError, match="another autopilot or benchmark is at work"):
            open_record(KEY, folder=tmp_path).__enter__()
        with open_record((KEY[0], KEY[1] + 1), folder=tmp_path):
            pass
    with open_record(KEY, folder=tmp_path):
        pass


def test_records_of_guests_that_ended_are_removed(tmp_path: Path) -> None:
    """Another start of the process, another boot of the host; strangers' files stay."""
    boot = read_boot_id()
    text = msgspec.json.encode(RECORD)
    for name in (f"{boot}.{KEY[0]}.{KEY[1] + 1}.json", f"0-0.{KEY[0]}.{KEY[1]}.json", "README"):
        (tmp_path / name).write_bytes(text)
    assert list_records(tmp_path) == ()
    assert [each.name for each in tmp_path.iterdir()] == ["README"]


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[" * 10_000,
        b"{}",
        msgspec.json.encode(RECORD)[:-1],
        b'{"label":"x","values":[{"iothread":"../x","own":1}]}',
        b'{"label":"x","values":[{"iothread":"a","own":-1}]}',
        b'{"label":"x","values":[{"iothread":"a","own":1e400}]}',
        b'{"label":"x","values":[{"iothread":"a","own":1,"ours":[9223372036854775808]}]}',
        b'{"label":"x","values":[{"iothread":"a","own":1,"parameter":"limits.bps"}]}',
        b'{"label":"x","values":[{"iothread":"a","own":1,"why":"\\u001b[31m"}]}',
        b'{"label":"x","by":"me"}',
        b'{"label":"x","more":1}',
        b" " * (1 << 20) + b"{}",
    ],
)
def test_record_that_cannot_be_read_stops_everything(tmp_path: Path, text: bytes) -> None:
    """What the guest's parameters were is not known then; the list leaves it out."""
    (tmp_path / f"{read_boot_id()}.{KEY[0]}.{KEY[1]}.json").write_bytes(text)
    with (
        open_record(KEY, folder=tmp_path) as file,
        pytest.raises(OutputError, match="cannot read"),
    ):
        file.read()
    assert list_records(tmp_path) == ()


def test_folder_that_others_can_write_is_refused(tmp_path: Path) -> None:
    """Whoever can write there could have anything set."""
    tmp_path.chmod(0o777)
    with pytest.raises(OutputError):
        open_record(KEY, folder=tmp_path).__enter__()
    with pytest.raises(OutputError):
        list_records(tmp_path)


def test_missing_folder_has_no_records(tmp_path: Path) -> None:
    """As before the first run."""
    assert list_records(tmp_path / "missing") == ()
