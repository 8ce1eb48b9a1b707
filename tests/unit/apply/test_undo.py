"""What vmio wrote is taken back, and nothing that somebody else wrote."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vmio.apply.journal import Journal, make_run
from vmio.apply.proxmox import Applied, Places, replace_config
from vmio.apply.undo import (
    find_journals,
    list_runs,
    prepare_run,
    prepare_undo,
    undo,
    undo_all,
)
from vmio.errors import ConflictError, InputError, UsageError


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


@pytest.mark.parametrize("is_migrated", [False, True])
def test_old_state_of_a_config_that_is_not_there_is_named(
    tmp_path: Path, places: Places, *, is_migrated: bool
) -> None:
    """A person can put it back, and is told on which node the guest is since a migration."""
    path = tmp_path / "nodes/a/qemu-server/701.conf"
    there = tmp_path / "nodes/b/qemu-server/701.conf"
    for each in (path, there):
        each.parent.mkdir(parents=True)
    make_config(path.parent)
    write(path, places, b"name: b\n")
    if is_migrated:
        path.rename(there)
    else:
        path.unlink()

    with pytest.raises(InputError) as told:
        take_back(path, places)
    kept = f"its old states are in {Journal(places.state, path).folder}"
    moved = f"the guest is on another node now: {there}; "
    assert told.value.hint == (moved if is_migrated else "") + kept
    (left,) = prepare_run(places=places).left
    assert left.error.hint == told.value.hint


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
    """A number names a config that was changed; nothing names the run that was last."""
    with pytest.raises(UsageError, match="nothing yet"):
        prepare_run(places=places)
    one, other = make_config(tmp_path), make_config(tmp_path, "702.conf")
    write(other, places, b"name: b\n")
    write(one, places, b"name: b\n")

    assert prepare_undo("702", places=places).path == other
    times = {journal.path: journal.entries()[-1].time for journal in find_journals("", places)}
    if times[one] != times[other]:
        assert [restore.path for restore in prepare_run(places=places).restores] == [one]
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


def make_run_of_three(tmp_path: Path, places: Places) -> list[Path]:
    """Returns three configs that one call has changed from `a` to `b`."""
    run = make_run()
    paths = [make_config(tmp_path, f"70{number}.conf") for number in (1, 2, 3)]
    for path in paths:
        replace_config(path, b"name: a\n", b"name: b\n", what="all", run=run, places=places)
    return paths


def test_run_is_undone_and_redone_as_a_run(tmp_path: Path, places: Places) -> None:
    """All configs of one call go back together, and forth again."""
    paths = make_run_of_three(tmp_path, places)

    for expected in (b"name: a\n", b"name: b\n", b"name: a\n"):
        done, left = undo_all(prepare_run(places=places), places=places)
        assert [each.path for each in done] == paths
        assert left == ()
        assert {path.read_bytes() for path in paths} == {expected}
    assert [len(run.changes) for run in list_runs(places)] == [3, 3, 3, 3]


def test_run_is_undone_but_for_what_others_changed(tmp_path: Path, places: Places) -> None:
    """Each config goes back under its own lock; one that cannot says why and keeps no other."""
    one, other, third = make_run_of_three(tmp_path, places)
    other.write_bytes(b"name: mine\n")
    third.write_bytes(b"name: b\nlock: backup\n")

    reversal = prepare_run(places=places)
    assert [each.path for each in reversal.left] == [other, third]
    assert "is not what vmio wrote" in reversal.left[0].error.message

    third.write_bytes(b"name: b\n")
    reversal = prepare_run(places=places)
    third.write_bytes(b"name: c\n")
    done, left = undo_all(reversal, places=places)
    assert [each.path for each in done] == [one]
    assert [each.path for each in left] == [third]
    assert (one.read_bytes(), other.read_bytes()) == (b"name: a\n", b"name: mine\n")


def test_one_of_a_run_is_undone_by_name_and_the_rest_by_its_run(
    tmp_path: Path, places: Places
) -> None:
    """The rest is taken back by the run's name, but for what was changed again since."""
    one, other, third = make_run_of_three(tmp_path, places)
    (run,) = list_runs(places)
    take_back(other, places)
    assert other.read_bytes() == b"name: a\n"
    write(third, places, b"name: c\n")

    reversal = prepare_run(run.id, places=places)
    assert [restore.path for restore in reversal.restores] == [one]
    assert [(each.path, "again since" in each.error.message) for each in reversal.left] == [
        (third, True)
    ]
    reversal = prepare_run(run.id, force=True, places=places)
    assert [restore.path for restore in reversal.restores] == [one, third]
    with pytest.raises(UsageError, match="no run 'beef'"):
        prepare_run("beef", places=places)


def test_config_of_a_run_that_was_never_written_is_no_part_of_it(
    tmp_path: Path, places: Places
) -> None:
    """What a killed run has recorded only is passed over, and so is a run of nothing else."""
    one, other = make_config(tmp_path), make_config(tmp_path, "702.conf")
    run = make_run()
    replace_config(one, b"name: a\n", b"name: b\n", what="all", run=run, places=places)
    Journal(places.state, other).record(b"name: a\n", b"name: b\n", what="all", run=run)
    Journal(places.state, other).record(b"name: a\n", b"name: c\n", what="killed")

    reversal = prepare_run(places=places)

    assert [restore.path for restore in reversal.restores] == [one]
    assert reversal.left == ()


def test_change_of_an_older_vmio_is_a_run_by_itself(tmp_path: Path, places: Places) -> None:
    """A journal without runs is read as ever."""
    paths = make_run_of_three(tmp_path, places)
    for path in paths:
        (entry,) = (journal := Journal(places.state, path)).entries()
        about = journal.locate(entry).with_suffix(".json")
        table = json.loads(about.read_bytes())
        del table["run"]
        about.write_text(json.dumps(table), encoding="utf-8")

    assert [(run.id, len(run.changes)) for run in list_runs(places)] == [("", 1)] * 3
    undo_all(prepare_run(places=places), places=places)
    assert sorted(path.read_bytes() for path in paths) == [b"name: a\n", *[b"name: b\n"] * 2]
