"""What can be a part of a plan at all, whoever makes it."""

from __future__ import annotations

from typing import Any

import pytest

from vmio.errors import PlanError
from vmio.model.plan import Change, LiveChange, Plan, Step
from vmio.model.topology import Topology
from vmio.values import replace

CHANGE = Change(subject="scsi0", property="queues", old="4", new="2")
LIVE = LiveChange(path="/objects/a", property="poll-max-ns", new=1)
STEP = Step(kind="choose-queues", disks=("scsi0",), changes=(CHANGE,))
PLAN = Plan(
    vm="701",
    notation="proxmox",
    config="701.conf",
    digest="0" * 40,
    policy="auto",
    before=Topology(disks=(), controllers=(), iothreads=()),
    after=Topology(disks=(), controllers=(), iothreads=()),
)
VALUES: tuple[Any, ...] = (CHANGE, LIVE, STEP, PLAN)
CLOSED = {(Step, "kind"), (Step, "obstacle"), (Step, "takes_effect"), (Change, "property")}
"""Texts that are one of a few."""


def list_texts() -> list[tuple[Any, str]]:
    """Returns every field of a plan's values that holds a text of any kind."""
    return [
        (value, name)
        for value in VALUES
        for name in value.__struct_fields__
        if isinstance(getattr(value, name), str) and (type(value), name) not in CLOSED
    ]


@pytest.mark.parametrize("sign", ["\n", "\r", "\0", "\x1b", "\x7f", "\x85", "\x9b", "\u2028"])
def test_every_text_of_a_plan_is_one_line(sign: str) -> None:
    """A control character is refused where the value is born, whatever it is for."""
    texts = list_texts()
    assert len(texts) == 3 + 2 + 0 + 5
    for value, name in texts:
        with pytest.raises(PlanError, match=f"as its {name}"):
            replace(value, **{name: f"a{sign}b"})


def test_half_of_a_surrogate_pair_is_part_of_a_path_only() -> None:
    """A file's name may hold bytes that are no text; nothing else can be written with them."""
    for value, name in list_texts():
        if name == "config":
            assert replace(value, config="a\udcff").config == "a\udcff"
            continue
        with pytest.raises(PlanError):
            replace(value, **{name: "a\ud800"})


def test_sign_for_bytes_that_are_no_text_is_part_of_no_plan() -> None:
    """Such a text is not what a config says, and would be written into it or into a command."""
    for value, name in list_texts():
        if name != "config":
            with pytest.raises(PlanError):
                replace(value, **{name: "caf\ufffd"})


def test_value_of_a_config_may_hold_tabs() -> None:
    """They are blanks in a config's line, and no other text of a plan has any."""
    assert replace(CHANGE, old="-a\tb", new="-a\tc").new == "-a\tc"
    with pytest.raises(PlanError):
        replace(CHANGE, subject="scsi0\tx")
    with pytest.raises(PlanError):
        replace(STEP, disks=("scsi0\n",))


@pytest.mark.parametrize("vm", ["--force", "-1", ""])
def test_guest_is_no_option(vm: str) -> None:
    """Its name is a word of commands that a person runs."""
    with pytest.raises((PlanError, ValueError)):
        replace(PLAN, vm=vm)


@pytest.mark.parametrize(
    ("value", "wrong"),
    [
        (PLAN, {"steps": (STEP,) * 101}),
        (STEP, {"changes": (CHANGE,) * 257}),
        (STEP, {"live": (LIVE,) * 257}),
        (LIVE, {"new": -1}),
        (LIVE, {"new": 1 << 63}),
    ],
)
def test_plan_is_bounded(value: Any, wrong: dict[str, object]) -> None:  # noqa: ANN401 - each kind
    """No guest needs so many, and QEMU's numbers end there."""
    with pytest.raises(ValueError, match="must be"):
        replace(value, **wrong)
