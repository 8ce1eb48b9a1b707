"""The autopilot's decisions, on guests that the simulator makes and on intervals made by hand."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from vmio.autopilot.steer import begin, steer
from vmio.autopilot.values import PRESETS_NS, Decision, Interval, Load, PollingGoal, State
from vmio.model.capabilities import QemuVersion
from vmio.model.controller import Controller
from vmio.model.disk import Disk
from vmio.model.iothread import IOThread
from vmio.model.topology import AttachedDisk, Topology
from vmio.sim.profile import DEFAULT_PROFILE
from vmio.sim.simulator import predict
from vmio.sim.workload import parse_workload
from vmio.values import replace

GOAL = PollingGoal()
LOADS = ("rate=200", "qd=1", "qd=32")
MOST = 60
"""Intervals, by which every search is over."""


class Figures(Struct, frozen=True, kw_only=True):
    """What a load does at a setting."""

    requests_per_s: float
    latency_ns: float
    cpu_ns: float
    """For a request."""


@lru_cache
def simulate(load: str, poll_max_ns: int) -> Figures:
    """Returns what the simulator predicts of a guest with one disk."""
    topology = Topology(
        iothreads=(IOThread(id="io0", poll_max_ns=poll_max_ns),),
        controllers=(Controller(id="d", model="virtio-blk-pci", bus="virtio", iothread="io0"),),
        disks=(AttachedDisk(disk=Disk(id="d", bus="virtio", index=0), controller="d"),),
        vcpus=4,
    )
    found = predict(
        topology,
        parse_workload(load),
        profile=DEFAULT_PROFILE,
        version=QemuVersion(10, 0, 2),
        seeds=2,
        requests=500,
        compiled=False,
    )
    return Figures(
        requests_per_s=found.iops.mean,
        latency_ns=found.latency_mean_ns.mean,
        cpu_ns=found.loops[0].cpu_share.mean / found.iops.mean * 1e9,
    )


class SimulatedGuest:
    """A guest that is steered; its figures are the simulator's, with a relative error."""

    def __init__(self, own_ns: int, *, goal: PollingGoal = GOAL, noise: float = 0.0) -> None:
        self.state = begin(own_ns)
        self.goal = goal
        self.poll_max_ns = own_ns
        self.seen: list[tuple[str, int]] = []
        """The load and the setting of each interval."""
        self.decisions: list[Decision] = []
        self._noise = noise
        self._random = random.Random(7)  # noqa: S311 - errors of measuring

    def measure(self, load: str) -> Interval:
        """Returns an interval of 5 s under a load."""
        self.seen.append((load, self.poll_max_ns))
        if load == "idle":
            return make_interval(poll_max_ns=self.poll_max_ns, requests_per_s=0.0)
        figures = simulate(load, self.poll_max_ns)
        return make_interval(
            poll_max_ns=self.poll_max_ns,
            requests_per_s=figures.requests_per_s,
            latency_ns=figures.latency_ns * self._err(),
            cpu_ns=figures.cpu_ns * self._err(),
        )

    def run(self, load: str, count: int) -> None:
        """Steers it under a load for some intervals."""
        for _ in range(count):
            self.decide(self.measure(load))

    def settle(self, load: str) -> None:
        """Steers it under a load until a search is over."""
        for _ in range(MOST):
            self.run(load, 1)
            if self.decisions[-1].kind in {"settle", "cheap"}:
                return
        raise AssertionError(self.decisions)

    def decide(self, interval: Interval | None) -> Decision:
        """Does what is decided by an interval."""
        self.state, decision = steer(self.goal, self.state, interval)
        self.decisions.append(decision)
        self.poll_max_ns = decision.poll_max_ns
        return decision

    def _err(self) -> float:
        return 1 + self._random.uniform(-self._noise, self._noise)


def make_interval(
    *,
    poll_max_ns: int,
    requests_per_s: float = 1000.0,
    latency_ns: float = 100_000.0,
    cpu_ns: float = 100_000.0,
    run_delay_share: float = 0.0,
    is_limited: bool = False,
) -> Interval:
    """Returns an interval of 5 s."""
    return Interval(
        duration_s=5.0,
        poll_max_ns=poll_max_ns,
        requests=round(requests_per_s * 5),
        load=Load(requests_per_s=requests_per_s, depth=requests_per_s * latency_ns * 1e-9),
        cpu_share=requests_per_s * cpu_ns * 1e-9,
        cpu_per_request_ns=cpu_ns,
        latency_mean_ns=latency_ns,
        run_delay_share=run_delay_share,
        is_limited=is_limited,
    )


def list_allowed(own_ns: int) -> Sequence[int]:
    """Returns the settings that can be chosen for a guest."""
    return sorted({*PRESETS_NS, own_ns, GOAL.ceiling_ns})


@pytest.mark.parametrize("own_ns", [0, 32_768, 1_000_000])
@pytest.mark.parametrize("load", LOADS)
def test_setting_that_it_settles_at_is_the_cheapest_that_holds_the_latency(
    load: str, own_ns: int
) -> None:
    """Within 5 %, of all settings, under every load and from every setting."""
    guest = SimulatedGuest(own_ns)
    guest.settle(load)
    own, found = simulate(load, own_ns), simulate(load, guest.poll_max_ns)
    assert found.latency_ns <= 1.1 * own.latency_ns
    assert found.cpu_ns <= 1.1 * own.cpu_ns
    holding = [
        simulate(load, each)
        for each in list_allowed(own_ns)
        if each <= own_ns and simulate(load, each).latency_ns <= 1.1 * own.latency_ns
    ]
    assert found.cpu_ns <= min(each.cpu_ns for each in holding) / 0.95


@pytest.mark.parametrize("noise", [0.02, 0.05, 0.1])
@pytest.mark.parametrize("load", LOADS)
def test_noise_does_not_make_a_guest_slower(load: str, noise: float) -> None:
    """Whatever it settles at, its true latency is within the bound and the error."""
    guest = SimulatedGuest(1_000_000, noise=noise)
    guest.run(load, 200)
    slow = [
        simulate(load, setting).latency_ns > 1.3 * simulate(load, 1_000_000).latency_ns
        for _, setting in guest.seen
    ]
    assert not any(now and then for now, then in pairwise(slow))


def test_slower_setting_is_never_in_force_for_two_intervals() -> None:
    """Over loads that alternate, what is slower than the guest's own goes after one interval."""
    guest = SimulatedGuest(1_000_000)
    for load in ("idle", "rate=200", "qd=1", "qd=32") * 6:
        guest.run(load, 12)
    slow = [
        load != "idle"
        and simulate(load, setting).latency_ns > 1.1 * simulate(load, 1_000_000).latency_ns
        for load, setting in guest.seen
    ]
    assert any(slow)
    assert not any(now and then for now, then in pairwise(slow))


def test_known_load_gets_its_setting_after_one_interval() -> None:
    """Once both are searched, the setting of a load follows, however long it was away."""
    guest = SimulatedGuest(1_000_000)
    guest.settle("rate=200")
    trickle = guest.poll_max_ns
    guest.settle("qd=1")
    guest.run("qd=1", 100)
    guest.settle("qd=1")
    assert guest.poll_max_ns != trickle
    guest.run("rate=200", 1)
    assert guest.poll_max_ns == trickle
    assert guest.decisions[-1].kind == "known load"


def test_search_that_finds_the_same_is_repeated_less_and_less() -> None:
    """A load that stays is searched after 1, 2, 4 … minutes, and an hour at most."""
    guest = SimulatedGuest(1_000_000)
    guest.run("rate=200", 12 * 60 * 8)
    at = [number for number, each in enumerate(guest.decisions) if each.kind == "settle"]
    gaps = [then - now for now, then in pairwise(at)]
    assert gaps == sorted(gaps)
    assert 12 * 60 <= gaps[-1] < 12 * 60 + 20


def test_idle_guest_is_left_alone() -> None:
    """Nothing is set, from the first interval on or after a search."""
    guest = SimulatedGuest(1_000_000)
    guest.run("idle", 50)
    assert {setting for _, setting in guest.seen} == {1_000_000}
    guest.settle("rate=200")
    settled = guest.poll_max_ns
    guest.run("idle", 50)
    assert {each.poll_max_ns for each in guest.decisions[-50:]} == {settled}
    assert {each.kind for each in guest.decisions[-50:]} == {"idle"}


@pytest.mark.parametrize(
    ("interval", "kind"),
    [
        (make_interval(poll_max_ns=524_288, requests_per_s=1.0), "idle"),
        (make_interval(poll_max_ns=524_288, run_delay_share=0.06), "contended"),
        (make_interval(poll_max_ns=524_288, is_limited=True), "limited"),
        (make_interval(poll_max_ns=524_288, requests_per_s=9000.0), "other load"),
        (None, "unread"),
    ],
)
def test_trial_that_shows_nothing_is_taken_back_at_once(
    interval: Interval | None, kind: str
) -> None:
    """What was not seen to be better does not stay."""
    guest = SimulatedGuest(1_000_000)
    assert guest.decide(make_interval(poll_max_ns=1_000_000)).poll_max_ns == 524_288
    decision = guest.decide(interval)
    assert (decision.kind, decision.poll_max_ns) == (kind, 1_000_000)
    assert guest.state.search is None


def test_guest_short_of_processors_polls_no_longer_than_its_own() -> None:
    """A setting above it is given up; one below stays."""
    for settled, expected in ((32_768, 8_192), (0, 0)):
        state = replace(begin(8_192), wanted_ns=settled, last_ns=settled)
        interval = make_interval(poll_max_ns=settled, run_delay_share=0.2)
        _, decision = steer(GOAL, state, interval)
        assert decision == Decision(kind="contended", poll_max_ns=expected)


def test_raise_has_to_pay() -> None:
    """From 0 upwards: a tenth faster at no more cost than a tenth; otherwise 0 stays."""
    for latency_ns, settled in ((85_000.0, 8_192), (95_000.0, 0)):
        guest = SimulatedGuest(0)
        for _ in range(12):
            is_own = guest.poll_max_ns == 0
            guest.decide(
                make_interval(
                    poll_max_ns=guest.poll_max_ns,
                    latency_ns=100_000.0 if is_own else latency_ns,
                    cpu_ns=50_000.0 + guest.poll_max_ns / 2,
                )
            )
        assert guest.poll_max_ns == settled


def test_setting_that_becomes_slower_is_given_up_after_one_interval() -> None:
    """The reference is the latency at the guest's own setting, however slow the trial was."""
    guest = SimulatedGuest(1_000_000)
    guest.settle("rate=200")
    reference_ns = simulate("rate=200", 1_000_000).latency_ns
    decision = guest.decide(
        make_interval(
            poll_max_ns=guest.poll_max_ns,
            requests_per_s=200.0,
            latency_ns=1.25 * reference_ns,
            cpu_ns=simulate("rate=200", guest.poll_max_ns).cpu_ns,
        )
    )
    assert (decision.kind, decision.poll_max_ns) == ("slower", 1_000_000)


def test_change_that_was_not_made_is_wanted_again() -> None:
    """A monitor can be in use; the interval at the old setting is not taken for the trial."""
    guest = SimulatedGuest(1_000_000)
    guest.decide(make_interval(poll_max_ns=1_000_000))
    decision = guest.decide(make_interval(poll_max_ns=1_000_000))
    assert (decision.kind, decision.poll_max_ns) == ("waiting", 524_288)
    assert guest.decide(make_interval(poll_max_ns=524_288)).kind == "compare"


def test_setting_of_somebody_else_stays() -> None:
    """Whoever sets it meanwhile has the say."""
    guest = SimulatedGuest(1_000_000)
    guest.decide(make_interval(poll_max_ns=1_000_000))
    for _ in range(3):
        decision = guest.decide(make_interval(poll_max_ns=777))
        assert (decision.kind, decision.poll_max_ns) == ("left", 777)


def test_loop_that_takes_next_to_nothing_is_left_alone() -> None:
    """There is nothing to save."""
    guest = SimulatedGuest(32_768)
    assert guest.decide(make_interval(poll_max_ns=32_768, requests_per_s=5.0)).kind == "cheap"


@st.composite
def intervals(draw: st.DrawFn) -> Interval:
    """Intervals of any guest."""
    figures = st.floats(0, 1e12)
    return draw(
        st.builds(
            Interval,
            duration_s=st.floats(0, 1e6),
            poll_max_ns=st.sampled_from((0, 8_192, 32_768, 131_072, 524_288, 1_000_000)),
            requests=st.integers(20, 10**9),
            load=st.builds(Load, requests_per_s=st.floats(1e-3, 1e9), depth=st.floats(0, 1e4)),
            cpu_share=figures,
            cpu_per_request_ns=figures,
            latency_mean_ns=figures,
            run_delay_share=st.floats(0, 1),
            is_limited=st.booleans(),
        )
    )


@given(seen=st.lists(st.none() | intervals(), max_size=30))
def test_any_intervals_keep_to_the_bounds(seen: list[Interval | None]) -> None:
    """No figures end in an error, or in a setting out of bounds that is not the guest's own."""
    goal = PollingGoal(floor_ns=8_192, ceiling_ns=131_072)
    state: State = begin(1_000_000)
    for each in seen:
        interval = each and replace(each, poll_max_ns=state.wanted_ns)
        state, decision = steer(goal, state, interval)
        assert decision.poll_max_ns in {1_000_000, 8_192, 32_768, 131_072}
        assert len(state.lessons) <= 16
