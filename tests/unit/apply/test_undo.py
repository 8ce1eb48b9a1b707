"""What vmio wrote is taken back, and nothing that somebody else wrote."""

from __future__ import annotations

from pathlib import Path

import pytest

from vmio.apply.journal import Journal
from vmio.apply.proxmox import Applied, Places, replace_config
from vmio.apply.undo import find_journals, prepare_undo, undo
from vmio.errors import ConflictError, UsageError


@pytest.fixture(name="places")
def make_places(tmp_path: Path) -> Places:
    """Returns places that are nobody's."""
    return Places(etc=tmp_path / "pve", state=tmp_path / "state", lock_timeout_s=0.1)


def write(path: Path, places: Places, new: bytes) -> None:
    """Makes a change as vmio does."""
    replace_config(path, path.read_bytes(), new, what=f"make it {new!r}", places=places)


def take_back(path: Path, places: Places, *, number: int | None = None) -> Applied:
    """Undoes as the verb does."""
    return undo(prepare_undo(str(path), number=number, places=places), places=places)


def make_config(tmp_path: Path, name: str = "701.conf") -> Path:
    """Returns a config that nobody has changed yet."""
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"name: a\n")
    return path


def test_undo_puts_the_old_bytes_back_and_undo_of_it_the_new(
    tmp_path: Path, places: Places
) -> None:
    """An undo is a change too, which the next undo takes back."""
    path = make_config(tmp_path)
    write(path, places, b"name: b\n")

    for expected in (b"name: a\n", b"name: b\n", b"name: a\n"):
        take_back(path, places)
        assert path.read_bytes() == expected

    whats = [entry.what for entry in Journal(places.state, path).entries()]
    assert whats == [
        r"make it b'name: b\n'",
        r"undo 1: make it b'name: b\n'",
        r"redo 1: make it b'name: b\n'",
        r"undo 3: make it b'name: b\n'",
    ]


def test_older_state_is_put_back_by_number(tmp_path: Path, places: Places) -> None:
    """Each change's number names the state before it."""
    path = make_config(tmp_path)
    write(path, places, b"name: b\n")
    write(path, places, b"name: c\n")

    take_back(path, places, number=1)

    assert path.read_bytes() == b"name: a\n"
    with pytest.raises(UsageError, match="no backup 9"):
        prepare_undo(str(path), number=9, places=places)


def test_config_that_others_changed_is_left_alone(tmp_path: Path, places: Places) -> None:
    """It is not what vmio wrote; only force puts the old state over it."""
    path = make_config(tmp_path)
    write(path, places, b"name: b\n")
    path.write_bytes(b"name: mine\n")

    with pytest.raises(ConflictError, match="is not what vmio wrote") as caught:
        prepare_undo(str(path), places=places)
    assert "--force" in caught.value.hint
    assert path.read_bytes() == b"name: mine\n"

    undo(prepare_undo(str(path), force=True, places=places), places=places)
    assert path.read_bytes() == b"name: a\n"


def test_snapshot_taken_since_survives_force(tmp_path: Path, places: Places) -> None:
    """An old state knows nothing of a new snapshot, so it does not go back."""
    path = make_config(tmp_path)
    write(path, places, b"name: b\n")
    path.write_bytes(b"name: b\n\n[snap]\nname: b\n")

    restore = prepare_undo(str(path), force=True, places=places)
    with pytest.raises(ConflictError, match="snapshots"):
        undo(restore, places=places)
    assert b"[snap]" in path.read_bytes()


def test_change_between_look_and_undo_is_refused(tmp_path: Path, places: Places) -> None:
    """What was shown is what is done."""
    path = make_config(tmp_path)
    write(path, places, b"name: b\n")
    restore = prepare_undo(str(path), places=places)
    path.write_bytes(b"name: mine\n")

    with pytest.raises(ConflictError, match="just been changed"):
        undo(restore, places=places)


def test_change_that_was_never_made_is_passed_over(tmp_path: Path, places: Places) -> None:
    """A run that was killed after it kept the old state has changed nothing."""
    path = make_config(tmp_path)
    write(path, places, b"name: b\n")
    Journal(places.state, path).record(b"name: b\n", b"name: c\n", what="killed")

    take_back(path, places)

    assert path.read_bytes() == b"name: a\n"


def test_state_that_a_person_restored_needs_no_undo(tmp_path: Path, places: Places) -> None:
    """If the file is as before, there is nothing to take back."""
    path = make_config(tmp_path)
    write(path, places, b"name: b\n")
    path.write_bytes(b"name: a\n")

    with pytest.raises(UsageError, match="as it was"):
        prepare_undo(str(path), places=places)


def test_guest_is_found_by_number_and_last_change_without_one(
    tmp_path: Path, places: Places
) -> None:
    """A number names a config that was changed; nothing names the one changed last."""
    with pytest.raises(UsageError, match="nothing yet"):
        prepare_undo("", places=places)
    one, other = make_config(tmp_path), make_config(tmp_path, "702.conf")
    write(other, places, b"name: b\n")
    write(one, places, b"name: b\n")

    assert prepare_undo("702", places=places).path == other
    times = {journal.path: journal.entries()[-1].time for journal in find_journals("", places)}
    if times[one] != times[other]:
        assert prepare_undo("", places=places).path == one
    with pytest.raises(UsageError, match="changed nothing of 703"):
        find_journals("703", places)


def test_number_of_several_configs_is_refused(tmp_path: Path, places: Places) -> None:
    """Two copies of a guest's config are told apart by their paths only."""
    one, other = make_config(tmp_path, "x/701.conf"), make_config(tmp_path, "y/701.conf")
    write(one, places, b"name: b\n")
    write(other, places, b"name: b\n")

    with pytest.raises(UsageError, match="several configs"):
        prepare_undo("701", places=places)
    assert prepare_undo(str(one), places=places).path == one
