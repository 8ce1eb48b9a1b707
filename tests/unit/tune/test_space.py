"""What a search can choose from."""

from __future__ import annotations

from pathlib import Path

import pytest

from vmio import app
from vmio.app import Guest
from vmio.errors import UsageError
from vmio.policy.scope import check_changes
from vmio.tune import space
from vmio.tune.space import (
    AS_BOOTED,
    PARTS,
    LiveSetting,
    digest_space,
    keep_setting,
    list_candidates,
    list_left,
)

ROOT = Path(__file__).parents[3]
STORAGES = str(ROOT / "examples" / "storage.cfg")


@pytest.fixture
def guest() -> Guest:
    """Three disks on one controller that the main loop serves."""
    return app.open_guest(str(ROOT / "examples" / "701.conf"), storage=STORAGES)


def test_space_begins_with_the_guest_as_it_is(guest: Guest) -> None:
    """The first layout is the guest's own, and every layout's first setting changes nothing."""
    first, *others = list_candidates(guest, guest.context.host, "scsi0")
    assert first.name == "as it is"
    assert first.layout.topology == app.lay_out(guest)
    assert {"per-disk", "shared", "pool:2"} <= {each.name for each in others}
    assert all(each.settings[0] == AS_BOOTED for each in (first, *others))


def test_space_has_no_setting_for_the_main_loop(guest: Guest) -> None:
    """Only IOThreads have parameters; QEMU's default is not tried twice."""
    first, second, *_ = list_candidates(guest, guest.context.host, "scsi0")
    assert first.settings == (AS_BOOTED,)
    assert LiveSetting(poll_max_ns=0) in second.settings
    assert LiveSetting(poll_max_ns=32768) not in second.settings


def test_space_lists_what_runs_alike_once(guest: Guest) -> None:
    """What is written and changes nothing is no choice: queues as many as QEMU makes anyway."""
    names = {each.name for each in list_candidates(guest, guest.context.host, "scsi0", PARTS)}
    assert "scsi0 aio=native" in names
    assert not {"scsi0 aio=io_uring", "scsi0 cache=none", "scsi0 queues=2"} & names


def test_space_never_has_an_unsafe_cache(guest: Guest) -> None:
    """No layout ignores the guest's flushes, and none is one that QEMU refuses to open."""
    for candidate in list_candidates(guest, guest.context.host, "scsi0", PARTS):
        attached = candidate.layout.topology.find_disk("scsi0")
        assert attached is not None
        assert attached.cache != "unsafe"
        assert not attached.cache_no_flush
        assert attached.aio != "native" or attached.cache_direct


@pytest.mark.parametrize("parts", [("threads", "polling"), PARTS])
def test_space_needs_the_guest_as_it_is(
    parts: tuple[app.TunePart, ...], guest: Guest, tmp_path: Path
) -> None:
    """A disk that QEMU refuses to open is nothing that another layout could be better than."""
    text = (ROOT / "examples" / "701.conf").read_text()
    path = tmp_path / "701.conf"
    path.write_text(text.replace("iothread=1", "iothread=1,aio=native,cache=writeback", 1))
    refused = app.open_guest(str(path), storage=STORAGES)
    with pytest.raises(UsageError, match="QEMU would not open scsi0 as it is"):
        list_candidates(refused, guest.context.host, "scsi0", parts)


def test_space_varies_what_is_asked_for(guest: Guest) -> None:
    """Without threads there is no other policy; pinning is a setting of its own."""
    (only,) = list_candidates(guest, guest.context.host, "scsi0", ("polling",))
    assert only.settings == (AS_BOOTED,)
    candidates = list_candidates(guest, guest.context.host, "scsi0", ("threads", "pinning"))
    assert candidates[1].settings == (AS_BOOTED, LiveSetting(pinned=True))


def test_space_is_limited(guest: Guest, monkeypatch: pytest.MonkeyPatch) -> None:
    """More layouts than can be booted in a day are refused."""
    monkeypatch.setattr(space, "MAX_LAYOUTS", 2)
    with pytest.raises(UsageError, match="4 layouts"):
        list_candidates(guest, guest.context.host, "scsi0")


@pytest.mark.parametrize("policy", ["shared", "pool:2"])
def test_plan_has_the_polling_of_shared_threads(policy: str, guest: Guest) -> None:
    """What a plan can set is in it, and apply takes it; nothing is left to a person."""
    host = guest.context.host
    found = {each.name: each for each in list_candidates(guest, host, "scsi0")}
    setting = LiveSetting(poll_max_ns=0)
    plan = keep_setting(guest, host, found[policy], setting)
    assert plan is not None
    check_changes(guest, plan.changes)
    assert plan.policy == policy
    attached = plan.after.find_disk("scsi0")
    assert attached is not None
    polls = {each.id: each.poll_max_ns for each in plan.after.iothreads}
    assert polls[plan.after.served_by(attached)[0]] == 0
    assert list_left(guest, plan, "scsi0", found[policy], setting) == ()


def test_what_a_plan_cannot_set_is_left(guest: Guest) -> None:
    """Polling of a thread that its manager makes, other parameters, engines and pinning."""
    host = guest.context.host
    found = {each.name: each for each in list_candidates(guest, host, "scsi0", PARTS)}
    candidate = found["per-disk, scsi0 aio=native"]
    setting = LiveSetting(poll_max_ns=0, aio_max_batch=1, pinned=True)
    plan = keep_setting(guest, host, candidate, setting)
    assert list_left(guest, plan, "scsi0", candidate, setting) == (
        "scsi0: aio=native",
        "iothread-virtioscsi0: poll-max-ns=0",
        "iothread-virtioscsi0: aio-max-batch=1",
        "iothread-virtioscsi0: a host processor of its own",
    )


def test_plan_for_a_guest_that_keeps_its_threads_changes_their_polling_at_once(
    tmp_path: Path, guest: Guest
) -> None:
    """With another setting of the threads that serve it already, a guest is not restarted."""
    host = guest.context.host
    found = {each.name: each for each in list_candidates(guest, host, "scsi0")}
    plan = keep_setting(guest, host, found["shared"], LiveSetting(poll_max_ns=8192))
    assert plan is not None
    path = tmp_path / "701.conf"
    path.write_bytes(app.preview_plan(guest, plan))
    after = app.open_guest(str(path), storage=STORAGES)
    own, *_ = list_candidates(after, host, "scsi0")
    plan = keep_setting(after, host, own, LiveSetting(poll_max_ns=0))
    assert plan is not None
    assert [step.takes_effect for step in plan.steps if not step.obstacle] == ["live"]
    kept = keep_setting(after, host, own, AS_BOOTED)
    assert kept is not None
    assert kept.changes == ()


def test_what_wins_without_a_plan_is_left_whole(guest: Guest) -> None:
    """Where no plan can be made, everything is for a person to set."""
    host = guest.context.host
    found = {each.name: each for each in list_candidates(guest, host, "scsi0")}
    setting = LiveSetting(poll_max_ns=0)
    assert list_left(guest, None, "scsi0", found["shared"], setting) == ("vmio0: poll-max-ns=0",)


def test_digest_is_that_of_the_whole_search(guest: Guest) -> None:
    """Other layouts or another seed are another search."""
    candidates = list_candidates(guest, guest.context.host, "scsi0")
    assert digest_space(candidates, 1) == digest_space(candidates, 1)
    assert digest_space(candidates, 1) != digest_space(candidates, 2)
    assert digest_space(candidates, 1) != digest_space(candidates[1:], 1)
