"""Profiles of costs as files."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmio.errors import InputError
from vmio.model.source import Source
from vmio.sim.profile import DEFAULT_PROFILE, Profile, ServiceTimes, parse_profile, render_profile
from vmio.values import replace


def parse(text: str) -> Profile:
    """Reads a text as the file profile.toml."""
    return parse_profile(Source(name="profile.toml", data=text.encode()))


def test_default_profile_comes_back_from_its_file() -> None:
    """Costs, tables of service times and the sources of the numbers are all in the file."""
    assert parse(render_profile(DEFAULT_PROFILE)) == DEFAULT_PROFILE


@given(
    name=st.text(max_size=40),
    tables=st.dictionaries(
        st.integers(2, 1024),
        st.lists(st.integers(1, 10**10), min_size=2, max_size=12).map(sorted),
        max_size=4,
    ),
    wake_ns=st.integers(0, 10**10),
)
def test_any_profile_comes_back_from_its_file(
    name: str, tables: dict[int, list[int]], wake_ns: int
) -> None:
    """Whatever a calibration finds is read as it was written."""
    profile = replace(
        DEFAULT_PROFILE,
        name=name,
        is_this_host=True,
        costs=replace(DEFAULT_PROFILE.costs, wake_ns=wake_ns),
        service=(
            DEFAULT_PROFILE.service[0],
            *(ServiceTimes(depth=d, quantiles_ns=tuple(tables[d])) for d in sorted(tables)),
        ),
    )
    assert parse(render_profile(profile)) == profile


WAKE = f"\nwake_ns = {DEFAULT_PROFILE.costs.wake_ns}"
SECOND = f"{DEFAULT_PROFILE.service[0].quantiles_ns[1]}, "


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("processors = 2", "processors = 0", "processors"),
        ("processors = 2", 'processors = "2"', "'processors': expected int, got str"),
        ("processors = 2", "processors = true", "expected int, got bool"),
        ("processors = 2", "", "there is no 'processors'"),
        (WAKE, "", "there is no 'costs.wake_ns'"),
        ("processors = 2", "processors = 2\nthreads = 1", "a profile has no key 'threads'"),
        (WAKE, "\nwake_ns = -1", "'costs': wake_ns must be at least 0, not -1"),
        ("depth = 1", "depth = 4", "must ascend from depth 1"),
        (SECOND, "99000000, ", "quantiles must ascend"),
        ("name = ", "name name", "is not a profile"),
    ],
)
def test_wrong_profile_says_what_in_one_line(old: str, new: str, why: str) -> None:
    """The message names the file and the key, and is one line."""
    text = render_profile(DEFAULT_PROFILE)
    assert old in text
    with pytest.raises(InputError) as caught:
        parse(text.replace(old, new, 1))
    assert caught.value.message.startswith("profile.toml")
    assert why in caught.value.message
    assert "\n" not in caught.value.message


@given(st.binary(max_size=300))
def test_any_bytes_are_a_profile_or_an_input_error(data: bytes) -> None:
    """What is no profile raises nothing else."""
    with pytest.raises(InputError):
        parse_profile(Source(name="profile.toml", data=data))
