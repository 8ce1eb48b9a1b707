"""Costs put to a guest on its host: its processors, and what is wrong with costs of elsewhere."""

from __future__ import annotations

import pytest

from vmio.model.host import Cpu, Host
from vmio.model.source import Source
from vmio.model.vm import Vm
from vmio.sim.placing import place_profile
from vmio.sim.profile import DEFAULT_PROFILE, MAX_PROCESSORS, Accelerator, Profile
from vmio.values import replace

HERE = Host(node="pve1", cpu=Cpu(count=16))
MINE = replace(
    DEFAULT_PROFILE, name="mine", host="pve1.lan, a CPU", is_this_host=True, accelerator="kvm"
)


def make_vm(*, vcpus: int = 4, affinity: str = "") -> Vm:
    """Returns a guest without disks."""
    source = Source(name="100.conf", data=b"")
    return Vm(id="100", notation="proxmox", source=source, vcpus=vcpus, affinity=affinity)


def warn(profile: Profile, host: Host, accelerator: Accelerator = "kvm") -> str:
    """Returns what is told of a profile."""
    return "\n".join(place_profile(profile, make_vm(), host, accelerator=accelerator)[1])


@pytest.mark.parametrize(
    ("host", "affinity", "processors"),
    [
        (Host(), "", 2),
        (HERE, "", 16),
        (HERE, "0-3,8", 5),
        (HERE, "12-20", 4),
        (Host(), "0-3", 4),
        (HERE, "99", 16),
        (Host(cpu=Cpu(count=8000)), "", MAX_PROCESSORS),
    ],
)
def test_processors_are_those_that_the_guest_may_use(
    host: Host, affinity: str, processors: int
) -> None:
    """Of the host, as affinity leaves them; where nobody knows them, the profile's."""
    placed, _ = place_profile(MINE, make_vm(affinity=affinity), host, accelerator="kvm")
    assert placed.processors == processors


def test_costs_of_the_guests_own_host_have_no_warning() -> None:
    """Nor has a file that somebody wrote for it."""
    assert warn(MINE, HERE) == ""
    assert warn(replace(MINE, host=""), HERE) == ""


def test_default_profile_is_nobodys() -> None:
    """Whatever its host is called, and under TCG too."""
    for host in (HERE, Host()):
        assert "measured under TCG on another host, with two processors" in warn(
            DEFAULT_PROFILE, host, "tcg"
        )
    assert "this guest runs under KVM" in warn(DEFAULT_PROFILE, HERE)


def test_costs_of_another_host_are_told() -> None:
    """And those under another accelerator; of a guest nobody knows where it runs."""
    other = replace(HERE, node="pve2")
    assert "were measured on pve1.lan, a CPU, not on the guest's host" in warn(MINE, other)
    assert "and nothing is known about the guest's host" in warn(MINE, Host())
    assert "measured under KVM, and this guest runs under TCG" in warn(MINE, HERE, "tcg")
    assert warn(MINE, HERE, "") == ""


def test_guest_that_its_host_is_too_small_for_is_told() -> None:
    """Proxmox VE does not start it."""
    _, (warning,) = place_profile(MINE, make_vm(vcpus=32), HERE, accelerator="kvm")
    assert "32 vCPUs but its host only 16 processors" in warning
