"""Results that outlive the search that made them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from vmio.errors import ConflictError, InputError, OutputError, UsageError
from vmio.tune.journal import Journal, TrialResult, open_journal
from vmio.tune.objective import Gains

TASK = "0" * 64
GOOD = TrialResult(number=0, pairs=((Gains(iops=0.5, p99=-0.25),),))
FAILED = TrialResult(number=1, failure="QEMU ended")


def write(path: Path) -> None:
    """Writes a journal of two trials."""
    with open_journal(path, TASK) as journal:
        journal.append(GOOD)
        journal.append(FAILED)


def test_journal_is_read_again(tmp_path: Path) -> None:
    """A second search has the results of the first, and adds to them."""
    path = tmp_path / "journal"
    write(path)
    with open_journal(path, TASK) as journal:
        assert journal.results == [GOOD, FAILED]
        journal.append(TrialResult(number=2, failure="again"))
    with open_journal(path, TASK) as journal:
        assert len(journal.results) == 3


def test_journal_in_memory_writes_nothing() -> None:
    """Without a file, results are kept as long as the search lives."""
    with open_journal(None, TASK) as journal:
        journal.append(GOOD)
        assert journal.results == [GOOD]


def test_journal_loses_only_an_unfinished_line(tmp_path: Path) -> None:
    """Cut anywhere, it is read up to the last whole line, and can be added to."""
    path = tmp_path / "journal"
    write(path)
    data = path.read_bytes()
    lines = data.splitlines(keepends=True)
    for size in range(len(lines[0]), len(data)):
        path.write_bytes(data[:size])
        with open_journal(path, TASK) as journal:
            whole = data[:size].count(b"\n") - 1
            assert journal.results == [GOOD, FAILED][:whole]
            for result in (GOOD, FAILED)[whole:]:
                journal.append(result)
        assert path.read_bytes() == data


@pytest.mark.parametrize("end", [b"", b'{"number":2'])
def test_journal_of_another_search_is_refused(end: bytes, tmp_path: Path) -> None:
    """Results of other layouts are not taken for those of these, and are left as they are."""
    path = tmp_path / "journal"
    write(path)
    path.write_bytes(path.read_bytes() + end)
    before = path.read_bytes()
    with pytest.raises(UsageError, match="another search"), open_journal(path, "1" * 64):
        pass
    assert path.read_bytes() == before


def test_journal_that_was_ended_while_it_was_begun_is_begun_again(tmp_path: Path) -> None:
    """Its first line is missing, as a whole or in part."""
    path = tmp_path / "journal"
    write(path)
    head = path.read_bytes().splitlines(keepends=True)[0]
    for size in range(len(head)):
        path.write_bytes(head[:size])
        with open_journal(path, TASK) as journal:
            assert journal.results == []
        assert path.read_bytes() == head


@pytest.mark.parametrize(
    "text",
    [
        "precious",
        "precious\n",
        '{"schema":"precious"}',
        '{"schema":1,"precious":1}\n{"number":0',
        f'{{"schema":1,"task":"{"1" * 64}"',
        "{}\n",
        "[" * 10_000 + "\n",
        f'{{"schema":1,"task":"{TASK}"}}\n{{"number":1,"failure":"a gap"}}\n',
        f'{{"schema":1,"task":"{TASK}"}}\n{{"number":0}}\n',
        f'{{"schema":1,"task":"{TASK}"}}\n{{"number":0,"failure":"x","secret":1}}\n',
        f'{{"schema":1,"task":"{TASK}"}}\n{{"number":0,"pairs":[[{{"iops":1e9,"p99":0}}]]}}\n',
    ],
)
def test_journal_refuses_other_files(text: str, tmp_path: Path) -> None:
    """A file that is none is neither read nor changed."""
    path = tmp_path / "journal"
    path.write_text(text, encoding="ascii")
    with pytest.raises(InputError, match="not a journal"), open_journal(path, TASK):
        pass
    assert path.read_text(encoding="ascii") == text


def test_journal_has_one_writer(tmp_path: Path) -> None:
    """Two searches cannot mix their results."""
    path = tmp_path / "journal"
    with open_journal(path, TASK), pytest.raises(ConflictError), open_journal(path, TASK):
        pass


def test_journal_follows_no_link(tmp_path: Path) -> None:
    """A link that somebody else put there leads nowhere."""
    (tmp_path / "journal").symlink_to(tmp_path / "target")
    with pytest.raises(OutputError), open_journal(tmp_path / "journal", TASK):
        pass
    assert not (tmp_path / "target").exists()


def test_journal_keeps_whole_lines_on_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write that the disk cuts short leaves what was there, and ends in words."""
    path = tmp_path / "journal"
    with open_journal(path, TASK) as journal:
        journal.append(GOOD)
    before = path.read_bytes()
    real = os.write

    def write_half(descriptor: int, data: bytes) -> int:
        return real(descriptor, data[: len(data) // 2])

    def fill(journal: Journal) -> None:
        monkeypatch.setattr(os, "write", write_half)
        journal.append(FAILED)

    with pytest.raises(OutputError, match="No space left"), open_journal(path, TASK) as journal:
        fill(journal)
    assert path.read_bytes() == before
