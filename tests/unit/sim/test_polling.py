"""The polling algorithm, on waits worked out by hand for each generation of QEMU."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmio.errors import CapabilityError
from vmio.model.capabilities import QemuVersion
from vmio.sim.polling import (
    PollSettings,
    WeightedTimes,
    adjust_handlers,
    adjust_time,
    adjust_weighted,
    choose_budget,
    choose_generation,
    complete_settings,
)

GROW, SHRINK, NONE = "grow", "shrink", None
DEFAULT = PollSettings()
WEIGHTED = complete_settings(DEFAULT, "weighted")


def follow(settings: PollSettings, *blocks: int) -> list[tuple[int, str | None]]:
    """Returns a polling time after each of some waits, and what QEMU would trace."""
    ns = 0
    seen: list[tuple[int, str | None]] = []
    for block_ns in blocks:
        ns, change = adjust_time(ns, block_ns, settings)
        seen.append((ns, change.kind if change else None))
    return seen


def test_default_time_doubles_and_drops() -> None:
    """A time begins at 4 µs, doubles up to the maximum, and drops to 0 after one long wait."""
    blocks = (700, 5000, 9000, 8000, 20000, 40000, 300, 3000, 4001, 8001, 16001, 32001)
    assert follow(DEFAULT, *blocks, 32768, 32769) == [
        (4000, GROW),
        (8000, GROW),
        (16000, GROW),
        (16000, NONE),
        (32000, GROW),
        (0, SHRINK),
        (4000, GROW),
        (4000, NONE),
        (8000, GROW),
        (16000, GROW),
        (32000, GROW),
        (32768, GROW),
        (32768, NONE),
        (0, SHRINK),
    ]


def test_factors_multiply_and_divide() -> None:
    """poll-grow multiplies and poll-shrink divides, whatever their descriptions say."""
    settings = PollSettings(max_ns=200000, grow=3, shrink=4)
    blocks = (1000, 4001, 12001, 36001, 108001, 199999, 200000, 200001, 300000, 60000)
    assert follow(settings, *blocks) == [
        (4000, GROW),
        (12000, GROW),
        (36000, GROW),
        (108000, GROW),
        (200000, GROW),
        (200000, NONE),
        (200000, NONE),
        (50000, SHRINK),
        (12500, SHRINK),
        (37500, GROW),
    ]


def test_shrinking_divides_and_growing_goes_on_from_there() -> None:
    """A wait within the time leaves it, long ones halve it, and the next short one doubles it."""
    settings = PollSettings(max_ns=1000000, shrink=2)
    seen = follow(settings, *[50000] * 6, *[2000000] * 3, 60000)
    assert [ns for ns, _ in seen[:5]] == [4000, 8000, 16000, 32000, 64000]
    assert seen[5:] == [
        (64000, NONE),
        (32000, SHRINK),
        (16000, SHRINK),
        (8000, SHRINK),
        (16000, GROW),
    ]


def test_loop_and_handlers_differ_on_the_same_waits() -> None:
    """A loop's one time drops where a handler that had no event keeps the budget up."""
    blocks = ((5000, "V"), (6000, "A"), (9000, "VA"), (40000, "V"))
    assert [ns for ns, _ in follow(DEFAULT, *(block for block, _ in blocks))] == [
        4000,
        8000,
        16000,
        0,
    ]
    times = {"V": 0, "A": 0}
    budgets = []
    for block_ns, ready in blocks:
        times, _ = adjust_handlers(times, ready, block_ns, DEFAULT)
        budgets.append(choose_budget(-1, max(times.values())))
    assert budgets == [4000, 4000, 8000, 8000]


@pytest.mark.parametrize(
    ("max_ns", "ns", "block_ns", "after", "kind"),
    [
        (3000, 0, 1000, 3000, GROW),
        (3000, 3000, 2999, 3000, NONE),
        (3000, 3000, 3001, 0, SHRINK),
        (32768, 16000, 32768, 16000, NONE),
        (32768, 0, 40000, 0, SHRINK),
        (32768, 0, 0, 0, NONE),
        (0, 0, 40000, 0, NONE),
    ],
)
def test_edges_of_the_rule(
    max_ns: int, ns: int, block_ns: int, after: int, kind: str | None
) -> None:
    """A maximum below the first step caps it; a wait of just the maximum changes nothing."""
    new, change = adjust_time(ns, block_ns, PollSettings(max_ns=max_ns))
    assert (new, change.kind if change else None) == (after, kind)


def test_handlers_have_their_own_times() -> None:
    """Only handlers that had an event are adjusted, each by the same wait."""
    times = {"V": 0, "A": 0}
    seen = []
    for block_ns, ready in ((5000, "V"), (6000, "A"), (9000, "VA"), (40000, "V")):
        times, changes = adjust_handlers(times, ready, block_ns, DEFAULT)
        seen.append((times["V"], times["A"], len(changes)))
    assert seen == [(4000, 0, 1), (4000, 4000, 1), (8000, 8000, 2), (0, 8000, 1)]


def test_handler_that_is_not_polled_is_not_adjusted() -> None:
    """A handler without a poll callback has no time."""
    assert adjust_handlers({"V": 4000}, ["socket"], 9000, DEFAULT) == ({"V": 4000}, ())


def test_mean_of_one_handler_is_weighted() -> None:
    """Since 11.1 a wait counts one eighth, and the loop follows the mean upwards by doubling."""
    state: WeightedTimes[str] = WeightedTimes(means={"V": 0})
    means, polled = [], []
    for block_ns in (10000, 10000, 18000, 30000, 30000, 2000, 2000, 40000, 5000):
        state, _ = adjust_weighted(state, ["V"], block_ns, WEIGHTED)
        means.append(state.means["V"])
        polled.append(state.poll_ns)
    assert means == [10000, 10000, 11000, 13375, 15454, 13773, 12302, 15765, 14420]
    assert polled == [10000, 10000, *[20000] * 7]


def test_inactive_handler_counts_the_time_since_its_event() -> None:
    """An inactive handler's mean grows by the wait, and drops to 0 above the maximum."""
    state: WeightedTimes[str] = WeightedTimes(means={"V": 0, "A": 0})
    seen = []
    for block_ns, active in (
        (12000, "V"),
        (6000, "A"),
        (9000, "V"),
        (6000, "A"),
        (9000, "V"),
        (50000, "V"),
        (6000, "A"),
        (9000, "V"),
    ):
        state, _ = adjust_weighted(state, active, block_ns, WEIGHTED)
        seen.append((state.means["V"], state.means["A"], state.poll_ns))
    assert seen == [
        (12000, 0, 12000),
        (18000, 6000, 12000),
        (16875, 15000, 24000),
        (22875, 13875, 24000),
        (21141, 22875, 24000),
        (24749, 0, 32768),
        (30749, 6000, 16384),
        (28031, 15000, 32768),
    ]


def test_weighted_time_decays_to_one() -> None:
    """Halving rounds down and stops at 1, so that a loop of 11.1 goes on polling for 1 ns."""
    state: WeightedTimes[str] = WeightedTimes(poll_ns=20000, means={"V": 0})
    polled, kinds = [], []
    for _ in range(16):
        state, change = adjust_weighted(state, ["V"], 90000, WEIGHTED)
        polled.append(state.poll_ns)
        kinds.append(change.kind if change else None)
    decay = [10000, 5000, 2500, 1250, 625, 312, 156, 78, 39, 19, 9, 4, 2, 1]
    assert polled == [*decay, 1, 1]
    assert kinds == [*[SHRINK] * len(decay), NONE, NONE]


def test_weight_of_one_counts_half() -> None:
    """The parameters of 11.1 are a factor, a divisor and a shift."""
    settings = PollSettings(max_ns=1000000, grow=3, shrink=4, weight=1)
    state: WeightedTimes[str] = WeightedTimes(means={"V": 0})
    seen = []
    for block_ns in (100000, 400000, 900000, 1500000, 100, 100, 100):
        state, _ = adjust_weighted(state, ["V"], block_ns, settings)
        seen.append((state.means["V"], state.poll_ns))
    assert seen == [
        (100000, 100000),
        (250000, 300000),
        (575000, 900000),
        (0, 225000),
        (100, 56250),
        (100, 14062),
        (100, 3515),
    ]


@pytest.mark.parametrize(
    ("version", "generation"),
    [
        ((7, 2, 22), "loop"),
        ((9, 2, 0), "loop"),
        ((10, 0, 2), "handler"),
        ((10, 2, 2), "handler"),
        ((11, 0, 0), "handler"),
        ((11, 1, 1), "weighted"),
    ],
)
def test_generation_follows_the_version(version: tuple[int, int, int], generation: str) -> None:
    """The algorithm changed with 10.0 and with 11.1."""
    assert choose_generation(QemuVersion(*version)) == generation


def test_older_qemu_is_refused() -> None:
    """What is not known is not guessed."""
    with pytest.raises(CapabilityError, match=r"6\.2\.0"):
        choose_generation(QemuVersion(6, 2))


def test_zeroes_mean_defaults() -> None:
    """Up to 10.2 a 0 keeps its own meaning; 11.1 replaces it."""
    assert complete_settings(DEFAULT, "handler") == DEFAULT
    assert PollSettings(grow=2, shrink=2, weight=3) == WEIGHTED


@pytest.mark.parametrize(
    ("timeout_ns", "budget"), [(-1, 8000), (0, 0), (5000, 5000), (9000, 8000)]
)
def test_timer_that_is_due_cuts_the_budget(timeout_ns: int, budget: int) -> None:
    """A pass polls no longer than until its next timer."""
    assert choose_budget(timeout_ns, 8000) == budget


SETTINGS = st.builds(
    PollSettings,
    max_ns=st.integers(0, 10**7),
    grow=st.integers(0, 16),
    shrink=st.integers(0, 16),
    weight=st.integers(0, 63),
)
BLOCKS = st.lists(st.integers(0, 10**8), max_size=60)


@given(SETTINGS, BLOCKS)
def test_time_stays_in_its_range(settings: PollSettings, blocks: list[int]) -> None:
    """A polling time is never negative, and never above the maximum or the first step."""
    for ns, _ in follow(settings, *blocks):
        assert 0 <= ns <= settings.max_ns


@given(SETTINGS, st.lists(st.tuples(st.integers(0, 10**8), st.sets(st.sampled_from("VAN")))))
def test_weighted_time_stays_in_its_range(
    settings: PollSettings, passes: list[tuple[int, set[str]]]
) -> None:
    """Neither a mean nor the loop's time is ever negative or above the maximum."""
    complete = complete_settings(settings, "weighted")
    state: WeightedTimes[str] = WeightedTimes(means=dict.fromkeys("VAN", 0))
    for block_ns, active in passes:
        before = state.poll_ns
        state, change = adjust_weighted(state, active, block_ns, complete)
        assert all(0 <= ns <= complete.max_ns for ns in (*state.means.values(), state.poll_ns))
        assert (change is None) == (state.poll_ns == before) or complete.shrink == 1
