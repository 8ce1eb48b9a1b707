"""Applies a profile to a guest on its host, and reports where its costs may not fit."""

from __future__ import annotations

from typing import Final

from vmio.model.host import Host, parse_processors
from vmio.model.vm import Vm
from vmio.sim.profile import DEFAULT_PROFILE, MAX_PROCESSORS, Accelerator, Profile
from vmio.values import replace

__all__ = ["place_profile"]

_WORDS: Final = {"kvm": "KVM", "tcg": "TCG"}


def place_profile(
    profile: Profile, vm: Vm, host: Host, *, accelerator: Accelerator
) -> tuple[Profile, tuple[str, ...]]:
    """Returns a profile with the processors of the guest's host, and warnings about its fit.

    Args:
        profile: The costs.
        vm: The guest.
        host: Its host; bare if nothing is known of it.
        accelerator: The guest's accelerator; empty if not known.
    """
    warnings = [*_doubt_costs(profile, host, accelerator)]
    count = host.cpu.count
    if count and vm.vcpus > count:
        warnings.append(
            f"the guest has {vm.vcpus} vCPUs but its host only {count} processors, which run no"
            " more at once"
        )
    pinned = parse_processors(vm.affinity)
    if count:
        pinned &= (1 << count) - 1
    usable = pinned.bit_count() or count
    if usable:
        return replace(profile, processors=min(usable, MAX_PROCESSORS)), tuple(warnings)
    warnings.append(
        f"the number of processors of the guest's host is not known: {profile.processors} is"
        " assumed, as on the host of the costs; --host FILE or --set cpu.count=N sets it"
    )
    return profile, tuple(warnings)


def _doubt_costs(profile: Profile, host: Host, accelerator: Accelerator) -> list[str]:
    if profile == DEFAULT_PROFILE:
        runs = ", and this guest runs under KVM" if accelerator == "kvm" else ""
        doubt = (
            "these costs do not apply to this guest's host: the default profile was measured under"
            f" TCG on another host, with two processors{runs}; vmio calibrate takes two minutes"
        )
        return [doubt]
    found = []
    node = profile.host.partition(", ")[0].partition(".")[0]
    is_its = node == host.node if profile.host else profile.is_this_host
    if not is_its:
        where = profile.host or "another host"
        known = "not on" if host.cpu.count else "and nothing is known about"
        found.append(f"the costs were measured on {where}, {known} the guest's host")
    measured = profile.accelerator
    if measured and accelerator and measured != accelerator:
        found.append(
            f"the costs were measured under {_WORDS[measured]}, and this guest runs under"
            f" {_WORDS[accelerator]}"
        )
    return found
