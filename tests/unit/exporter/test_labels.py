"""What guests and things of theirs are called in series."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from vmio.exporter.labels import MAX_CHARACTERS, GuestNames, make_value
from vmio.managers.discovery import RunningGuest

MakeGuest = Callable[..., RunningGuest]


def name(guest: RunningGuest) -> str:
    """Returns what a guest is called that is the only one."""
    return GuestNames().assign([((4711, 5), guest)])[4711, 5]


@pytest.mark.parametrize(
    ("guest", "expected"),
    [("by hand", "by hand"), ("", "unnamed"), ("a\nb\x1b[2J\u202e", "a\\nb\\x1b[2J\\u202e")],
)
def test_guest_is_called_as_its_manager_calls_it(
    make_guest: MakeGuest, guest: str, expected: str
) -> None:
    """No name has the number of a process in it, nor a control character."""
    assert name(make_guest(guest, pid=4711)) == expected


def test_guest_without_a_name_is_called_by_its_uuid(make_guest: MakeGuest) -> None:
    """It is the same after the next start."""
    assert name(make_guest("", uuid="c0ffee")) == "c0ffee"


def test_long_value_is_cut_and_stays_different_from_others() -> None:
    """Ten thousand characters are no label."""
    values = {make_value("x" * 10_000 + end) for end in "abc"}
    assert len(values) == 3
    assert {len(each) for each in values} == {MAX_CHARACTERS}
    assert make_value("x" * MAX_CHARACTERS) == "x" * MAX_CHARACTERS


def test_value_can_always_be_encoded() -> None:
    """A byte that is not UTF-8 is escaped."""
    assert make_value("\udcff\udcfe").encode() == b"\\xff\\xfe"


def test_guests_of_one_name_have_names_of_their_own(make_guest: MakeGuest) -> None:
    """The one that started first has the bare name; each keeps its name while it runs."""
    old, new = make_guest(pid=9, started_ticks=1), make_guest(pid=3, started_ticks=2)
    other = make_guest(pid=5, started_ticks=3)
    names = GuestNames()
    assert dict(names.assign((each.process.key, each) for each in (new, old))) == {
        old.process.key: "web",
        new.process.key: "web #2",
    }
    assert dict(names.assign([(new.process.key, new)])) == {new.process.key: "web #2"}
    assert (
        names.assign((each.process.key, each) for each in (new, other))[other.process.key] == "web"
    )
