"""Plans as files."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmio import app
from vmio.errors import InputError
from vmio.formats.plan_file import parse_plan, render_plan
from vmio.model.host import Host
from vmio.model.plan import Change, LiveChange, Plan, Step
from vmio.model.source import Source
from vmio.model.version import parse_version
from vmio.values import replace

GUEST = app.load(
    str(Path(__file__).parents[3] / "examples" / "701.conf"),
    host=Host(qemu_version=parse_version("9.2.0")),
)
PLAN = Plan(
    vm="701",
    notation="proxmox",
    config="examples/701.conf",
    digest=GUEST.vm.source.digest,
    policy="per-disk",
    steps=(
        Step(
            kind="separate-controllers",
            disks=("scsi0",),
            changes=(Change(subject="scsi", property="controllers", new="per-disk"),),
            live=(LiveChange(path="/objects/a", property="poll-max-ns", new=0),),
        ),
    ),
    before=app.lay_out(GUEST),
    after=app.lay_out(GUEST),
)
TEXT = render_plan(PLAN)


def parse(data: bytes) -> Plan:
    """Reads a plan from bytes."""
    return parse_plan(Source(name="plan.json", data=data))


def test_plan_is_read_back() -> None:
    """A written plan is the same plan when it is read, and written again the same file."""
    assert parse(TEXT.encode()) == PLAN
    assert render_plan(parse(TEXT.encode())) == TEXT


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"schema": 2', '"schema": 1', "does not know"),
        ('"schema": 2,', "", "no number 'schema'"),
        ('"schema": 2', '"schema": true', "no number 'schema'"),
        ('"new": 0', '"new": "0"', r"'steps\.0\.live\.0\.new': expected int, got str"),
        ('"vm": "701"', '"vm": "701", "more": 1', "more"),
        ('"id": "scsi0"', '"id": "scsi0", "where": {}', "a plan has no key 'where'"),
        ('"notes": []', '"notes": {}', "notes"),
        ('"notes": []', '"notes": "ab"', "notes"),
        ('"kind": "separate-controllers"', '"kind": "erase"', r"steps\.0"),
        ('"property": "controllers"', '"property": "args"', r"changes\.0"),
        ('"subject": "scsi"', '"subject": "a\\nrm -rf /"', "cannot have .* as its subject"),
        ('"scsi0"\n', '"\\u001b[2J"\n', "as its disks"),
        ('"vm": "701"', '"vm": "--force"', "cannot have '--force' as its vm"),
        ('"policy": "per', '"policy": "\\ud800', "half of a surrogate pair"),
        ('"new": 0', f'"new": {1 << 63}', r"live\.0"),
        ('"new": 0', '"new": ' + "9" * 5000, "is not a plan"),
        ('"new": "per-disk"', '"new": "a\\nhookscript: x"', "as its new"),
    ],
)
def test_what_is_no_plan_is_refused(old: str, new: str, message: str) -> None:
    """A file that differs from what a plan can be is refused with the place in it."""
    assert old in TEXT
    with pytest.raises(InputError, match=message):
        parse(TEXT.replace(old, new).encode())


@pytest.mark.parametrize("depth", [500, 5_000, 100_000])
def test_nested_plan_is_refused(depth: int) -> None:
    """However deep it is, that ends as any other thing that is no plan."""
    for key in ("steps", "before", "vm", "more"):
        nested = f'"schema": 2, "{key}": {"[" * depth}{"]" * depth}, "x"'
        with pytest.raises(InputError, match="is not a plan"):
            parse(
                TEXT.replace('"schema": 2, "x"', nested, 1).replace('"schema": 2', nested).encode()
            )


def test_reason_is_short_however_much_is_wrong() -> None:
    """What is wrong with a file is said in a line of bounded length."""
    more = {f"key{number}" * 10: 1 for number in range(1000)}
    with pytest.raises(InputError) as caught:
        parse(json.dumps(json.loads(TEXT) | more).encode())
    assert len(caught.value.message) < 400


@pytest.mark.parametrize("step", [{"what": 1}, 1, None, {}])
def test_plan_of_too_many_values_is_not_looked_into(step: object) -> None:
    """A file that is wrong a hundred thousand times is refused for its size."""
    table = json.loads(TEXT) | {"steps": [step] * 100_000}
    with pytest.raises(InputError, match="too large for a plan"):
        parse(json.dumps(table).encode())


def test_path_that_is_no_text_is_read_back() -> None:
    """A file's name is any bytes; the plan's file is text all the same."""
    plan = replace(PLAN, config="caf\udce9/701.conf")
    text = render_plan(plan)
    assert parse(text.encode()) == plan


@given(st.binary() | st.recursive(st.none() | st.text(), st.lists).map(str).map(str.encode))
def test_any_bytes_are_a_plan_or_refused(data: bytes) -> None:
    """No bytes make the reader raise anything but `InputError`."""
    with suppress(InputError):
        parse(data)


@given(
    st.sampled_from(sorted(json.loads(TEXT))),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    ),
)
def test_any_value_of_a_field_is_a_plan_or_refused(key: str, value: object) -> None:
    """A field that is anything at all makes the reader raise nothing but `InputError`."""
    data = json.dumps(json.loads(TEXT) | {key: value}).encode()
    with suppress(InputError):
        assert render_plan(parse(data)) != TEXT or value == json.loads(TEXT)[key]
