"""Virtqueues over several IOThreads, as the step by hand of vq-map leaves them."""

from __future__ import annotations

from pathlib import Path

import pytest

from vmio import app
from vmio.model.topology import Topology
from vmio.policy.mapping import map_queues
from vmio.policy.planner import make_layout
from vmio.policy.spreads import choose_policy
from vmio.report.plan.words import describe_plan

ROOT = Path(__file__).parents[3]
SINGLE = str(ROOT / "examples" / "virtio-scsi-single" / "701.conf")
HOST = app.read_host(None, ("cpu.count=8",), qemu_version="10.0.2")


def list_served(topology: Topology) -> list[tuple[str, ...]]:
    """Returns by what each disk is served."""
    return [topology.served_by(attached) for attached in topology.disks]


def test_map_queues_serves_every_disk_by_all_threads() -> None:
    """Threads that serve nothing any more are gone, and those of other disks stay."""
    today = app.lay_out(app.load(SINGLE, host=HOST))
    mapped = map_queues(today, {"scsi0", "scsi2"}, 2)
    both = ("vmio0", "vmio1")
    assert list_served(mapped) == [both, ("iothread-virtioscsi1",), both]
    assert [each.id for each in mapped.iothreads] == ["iothread-virtioscsi1", "vmio0", "vmio1"]


@pytest.mark.parametrize("name", ["per-disk", "shared", "pool:2"])
def test_lay_out_is_the_plan_where_a_config_can_say_it(name: str) -> None:
    """Only a mapping is more than what a plan has."""
    guest = app.load(SINGLE, host=HOST)
    plan = app.make_plan(guest, HOST, name)
    assert make_layout(guest, HOST, choose_policy(name)) == (plan.after, plan)
    assert plan.by_hand == ()


def test_lay_out_has_the_mapping_that_is_made_by_hand() -> None:
    """No more threads than the guest has queues; the step is in it, so it is not told of."""
    guest = app.load(SINGLE, host=HOST)
    layout, plan = make_layout(guest, HOST, choose_policy("vq-map:4"))
    assert list_served(layout) == [("vmio0", "vmio1")] * 3
    assert plan.by_hand == ()


def test_lay_out_tells_what_else_is_left_to_a_person(tmp_path: Path) -> None:
    """A disk on IDE stays there in the layout, whatever the plan advises."""
    config = tmp_path / "100.conf"
    config.write_text("ide0: /dev/a\nscsi0: /dev/b\nscsihw: virtio-scsi-single\n")
    guest = app.load(str(config), host=HOST)
    _, plan = make_layout(guest, HOST, choose_policy("per-disk"))
    (step,) = describe_plan(guest, plan).by_hand
    assert step.words.what == "Move ide0 to a virtio-scsi controller"
