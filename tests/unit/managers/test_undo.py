"""What vmio wrote is taken back, and nothing that somebody else wrote."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vmio.errors import ConflictError, InputError, UsageError
from vmio.managers.journal import Journal, WrittenConfig, make_run
from vmio.managers.proxmox.node import Node
from vmio.managers.undo import (
    find_journals,
    list_runs,
    prepare_run,
    prepare_undo,
    undo,
    undo_all,
)
from vmio.managers.write import replace_config


@pytest.fixture(name="node")
def make_node(tmp_path: Path) -> Node:
    """Returns a node whose places are nobody's."""
    return Node(etc=tmp_path / "pve", state=tmp_path / "state", lock_timeout_s=0.1)


def write(path: Path, node: Node, new: bytes) -> None:
    """Makes a change as vmio does."""
    replace_config(path, path.read_bytes(), new, what=f"make it {new!r}", node=node)


def take_back(path: Path, node: Node, *, number: int | None = None) -> WrittenConfig:
    """Undoes as the verb does."""
    return undo(prepare_undo(str(path), number=number, node=node), node=node)


def make_config(tmp_path: Path, name: str = "701.conf") -> Path:
    """Returns a config that nobody has changed yet."""
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"name: a\n")
    return path


def test_undo_puts_the_old_bytes_back_and_undo_of_it_the_new(tmp_path: Path, node: Node) -> None:
    """An undo is a change too, which the next undo takes back."""
    path = make_config(tmp_path)
    write(path, node, b"name: b\n")

    for expected in (b"name: a\n", b"name: b\n", b"name: a\n"):
        take_back(path, node)
        assert path.read_bytes() == expected

    whats = [entry.what for entry in Journal(node.state, path).entries()]
    assert whats == [
        r"make it b'name: b\n'",
        r"undo 1: make it b'name: b\n'",
        r"redo 1: make it b'name: b\n'",
        r"undo 3: make it b'name: b\n'",
    ]


def test_older_state_is_put_back_by_number(tmp_path: Path, node: Node) -> None:
    """Each change's number names the state before it."""
    path = make_config(tmp_path)
    write(path, node, b"name: b\n")
    write(path, node, b"name: c\n")

    take_back(path, node, number=1)

    assert path.read_bytes() == b"name: a\n"
    with pytest.raises(UsageError, match="no backup 9"):
        prepare_undo(str(path), number=9, node=node)


def test_config_that_others_changed_is_left_alone(tmp_path: Path, node: Node) -> None:
    """It is not what vmio wrote; only force puts the old state over it."""
    path = make_config(tmp_path)
    write(path, node, b"name: b\n")
    path.write_bytes(b"name: mine\n")

    with pytest.raises(ConflictError, match="has changed since vmio wrote it") as caught:
        prepare_undo(str(path), node=node)
    assert "--force" in caught.value.hint
    assert path.read_bytes() == b"name: mine\n"

    undo(prepare_undo(str(path), force=True, node=node), node=node)
    assert path.read_bytes() == b"name: a\n"


@pytest.mark.parametrize("is_migrated", [False, True])
def test_old_state_of_a_config_that_is_not_there_is_named(
    tmp_path: Path, node: Node, *, is_migrated: bool
) -> None:
    """A person can put it back, and is told on which node the guest is since a migration."""
    path = tmp_path / "nodes/a/qemu-server/701.conf"
    there = tmp_path / "nodes/b/qemu-server/701.conf"
    for each in (path, there):
        each.parent.mkdir(parents=True)
    make_config(path.parent)
    write(path, node, b"name: b\n")
    if is_migrated:
        path.rename(there)
    else:
        path.unlink()

    with pytest.raises(InputError) as told:
        take_back(path, node)
    kept = f"its old states are in {Journal(node.state, path).folder}"
    moved = f"the guest is on another node now: {there}; "
    assert told.value.hint == (moved if is_migrated else "") + kept
    (left,) = prepare_run(node=node).left
    assert left.error.hint == told.value.hint


def test_snapshot_taken_since_survives_force(tmp_path: Path, node: Node) -> None:
    """An old state knows nothing of a new snapshot, so it does not go back."""
    path = make_config(tmp_path)
    write(path, node, b"name: b\n")
    path.write_bytes(b"name: b\n\n[snap]\nname: b\n")

    restore = prepare_undo(str(path), force=True, node=node)
    with pytest.raises(ConflictError, match="snapshots"):
        undo(restore, node=node)
    assert b"[snap]" in path.read_bytes()


def test_change_between_look_and_undo_is_refused(tmp_path: Path, node: Node) -> None:
    """What was shown is what is done."""
    path = make_config(tmp_path)
    write(path, node, b"name: b\n")
    restore = prepare_undo(str(path), node=node)
    path.write_bytes(b"name: mine\n")

    with pytest.raises(ConflictError, match="just been changed"):
        undo(restore, node=node)


def test_change_that_was_never_made_is_passed_over(tmp_path: Path, node: Node) -> None:
    """A run that was killed after it kept the old state has changed nothing."""
    path = make_config(tmp_path)
    write(path, node, b"name: b\n")
    Journal(node.state, path).record(b"name: b\n", b"name: c\n", what="killed")

    take_back(path, node)

    assert path.read_bytes() == b"name: a\n"


def test_state_that_a_person_restored_needs_no_undo(tmp_path: Path, node: Node) -> None:
    """If the file is as before, there is nothing to take back."""
    path = make_config(tmp_path)
    write(path, node, b"name: b\n")
    path.write_bytes(b"name: a\n")

    with pytest.raises(UsageError, match="in its state before"):
        prepare_undo(str(path), node=node)


def test_guest_is_found_by_number_and_last_change_without_one(tmp_path: Path, node: Node) -> None:
    """A number names a config that was changed; nothing names the run that was last."""
    with pytest.raises(UsageError, match="nothing yet"):
        prepare_run(node=node)
    one, other = make_config(tmp_path), make_config(tmp_path, "702.conf")
    write(other, node, b"name: b\n")
    write(one, node, b"name: b\n")

    assert prepare_undo("702", node=node).path == other
    times = {journal.path: journal.entries()[-1].time for journal in find_journals("", node)}
    if times[one] != times[other]:
        assert [restore.path for restore in prepare_run(node=node).restores] == [one]
    with pytest.raises(UsageError, match="changed nothing of 703"):
        find_journals("703", node)


def test_number_of_several_configs_is_refused(tmp_path: Path, node: Node) -> None:
    """Two copies of a guest's config are told apart by their paths only."""
    one, other = make_config(tmp_path, "x/701.conf"), make_config(tmp_path, "y/701.conf")
    write(one, node, b"name: b\n")
    write(other, node, b"name: b\n")

    with pytest.raises(UsageError, match="several configs"):
        prepare_undo("701", node=node)
    assert prepare_undo(str(one), node=node).path == one


def make_run_of_three(tmp_path: Path, node: Node) -> list[Path]:
    """Returns three configs that one call has changed from `a` to `b`."""
    run = make_run()
    paths = [make_config(tmp_path, f"70{number}.conf") for number in (1, 2, 3)]
    for path in paths:
        replace_config(path, b"name: a\n", b"name: b\n", what="all", run=run, node=node)
    return paths


def test_run_is_undone_and_redone_as_a_run(tmp_path: Path, node: Node) -> None:
    """All configs of one call go back together, and forth again."""
    paths = make_run_of_three(tmp_path, node)

    for expected in (b"name: a\n", b"name: b\n", b"name: a\n"):
        done, left = undo_all(prepare_run(node=node), node=node)
        assert [each.path for each in done] == paths
        assert left == ()
        assert {path.read_bytes() for path in paths} == {expected}
    assert [len(run.changes) for run in list_runs(node)] == [3, 3, 3, 3]


def test_run_is_undone_but_for_what_others_changed(tmp_path: Path, node: Node) -> None:
    """Each config goes back under its own lock; one that cannot says why and keeps no other."""
    one, other, third = make_run_of_three(tmp_path, node)
    other.write_bytes(b"name: mine\n")
    third.write_bytes(b"name: b\nlock: backup\n")

    reversal = prepare_run(node=node)
    assert [each.path for each in reversal.left] == [other, third]
    assert "has changed since vmio wrote it" in reversal.left[0].error.message

    third.write_bytes(b"name: b\n")
    reversal = prepare_run(node=node)
    third.write_bytes(b"name: c\n")
    done, left = undo_all(reversal, node=node)
    assert [each.path for each in done] == [one]
    assert [each.path for each in left] == [third]
    assert (one.read_bytes(), other.read_bytes()) == (b"name: a\n", b"name: mine\n")


def test_one_of_a_run_is_undone_by_name_and_the_rest_by_its_run(
    tmp_path: Path, node: Node
) -> None:
    """The rest is taken back by the run's name, but for what was changed again since."""
    one, other, third = make_run_of_three(tmp_path, node)
    (run,) = list_runs(node)
    take_back(other, node)
    assert other.read_bytes() == b"name: a\n"
    write(third, node, b"name: c\n")

    reversal = prepare_run(run.id, node=node)
    assert [restore.path for restore in reversal.restores] == [one]
    assert [(each.path, "again since" in each.error.message) for each in reversal.left] == [
        (third, True)
    ]
    reversal = prepare_run(run.id, force=True, node=node)
    assert [restore.path for restore in reversal.restores] == [one, third]
    with pytest.raises(UsageError, match="no run 'beef'"):
        prepare_run("beef", node=node)


def test_config_of_a_run_that_was_never_written_is_no_part_of_it(
    tmp_path: Path, node: Node
) -> None:
    """What a killed run has recorded only is passed over, and so is a run of nothing else."""
    one, other = make_config(tmp_path), make_config(tmp_path, "702.conf")
    run = make_run()
    replace_config(one, b"name: a\n", b"name: b\n", what="all", run=run, node=node)
    Journal(node.state, other).record(b"name: a\n", b"name: b\n", what="all", run=run)
    Journal(node.state, other).record(b"name: a\n", b"name: c\n", what="killed")

    reversal = prepare_run(node=node)

    assert [restore.path for restore in reversal.restores] == [one]
    assert reversal.left == ()


def test_change_of_an_older_vmio_is_a_run_by_itself(tmp_path: Path, node: Node) -> None:
    """A journal without runs is read as ever."""
    paths = make_run_of_three(tmp_path, node)
    for path in paths:
        (entry,) = (journal := Journal(node.state, path)).entries()
        about = journal.locate(entry).with_suffix(".json")
        table = json.loads(about.read_bytes())
        del table["run"]
        about.write_text(json.dumps(table), encoding="utf-8")

    assert [(run.id, len(run.changes)) for run in list_runs(node)] == [("", 1)] * 3
    undo_all(prepare_run(node=node), node=node)
    assert sorted(path.read_bytes() for path in paths) == [b"name: a\n", *[b"name: b\n"] * 2]
