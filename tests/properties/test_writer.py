"""What holds for any edit of any config, and for its normal form."""

from __future__ import annotations

from hypothesis import assume, given
from hypothesis import strategies as st

from vmio.errors import InputError, UsageError
from vmio.formats.proxmox.config import Config, parse_config
from vmio.formats.proxmox.strict import list_sections, valid_entries
from vmio.formats.proxmox.writer import (
    remove_setting,
    render_config,
    set_option,
    set_setting,
)
from vmio.model.source import Source, apply_edits

KEYS = st.sampled_from(
    ["boot", "cdrom", "cores", "ide2", "name", "onboot", "scsi0", "smp", "sockets", "unused0"]
)
VALUES = st.text(max_size=8) | st.sampled_from(
    ["1", "yes", "st:b", "a:b,ssd=1,size=1G", "volume=a:b", " ", "none", "x%3Ay", "é", "a,,b"]
)
LINES = (
    st.tuples(KEYS, st.sampled_from([":", ": ", ":\t"]), VALUES, st.sampled_from(["", " ", "\r"]))
    | st.tuples(st.sampled_from(["#", "description: ", "delete: "]), st.text(max_size=8))
    | st.sampled_from(
        ["", "[PENDING]", "[special:cloudinit]", "[special:fleecing]", "[snap]"]
    ).map(lambda line: (line,))
).map("".join)
CONFIGS = st.lists(LINES, max_size=12).map(
    lambda lines: "\n".join(lines).encode("utf-8", "ignore")
)


def parse(data: bytes) -> Config:
    """Reads a config, or discards the example."""
    try:
        return parse_config(Source(name="100.conf", data=data))
    except InputError:
        assume(False)
        raise


@given(CONFIGS | st.binary())
def test_writing_what_was_read_changes_nothing(data: bytes) -> None:
    """Without an edit every byte is as it was, and every value lies where its span says."""
    config = parse(data)
    assert apply_edits(config.source, []) == data
    for section in list_sections(config):
        for entry in section.entries:
            assert config.source.read_span(entry.value_span) == entry.value


@given(CONFIGS, KEYS, VALUES, st.data())
def test_setting_is_read_back_and_nothing_else_changes(
    data: bytes, key: str, value: str, draw: st.DataObject
) -> None:
    """The section has the value, all else is as it was, and so are the bytes around the edit."""
    config = parse(data)
    index = draw.draw(st.integers(0, len(list_sections(config)) - 1))
    section = list_sections(config)[index]
    try:
        edit = set_setting(config, section, key, value)
    except UsageError:
        assume(False)
        raise
    changed = apply_edits(config.source, [edit])
    start, end = edit.span.start, edit.span.end
    assert changed == data[:start] + edit.text.encode() + data[end:]
    after = list_sections(parse(changed))
    assert len(after) == len(list_sections(config))
    for number, (old, new) in enumerate(zip(list_sections(config), after, strict=True)):
        assert (old.kind, old.name, old.description) == (new.kind, new.name, new.description)
        before = {name: entry.value for name, entry in old.settings().items()}
        now = {name: entry.value for name, entry in new.settings().items()}
        if number == index:
            names = {"ide2", "cdrom"} if key == "ide2" else {key}
            # Before a carriage return another blank than the one that was set counts.
            assert value.strip() in {now[name].strip() for name in names if name in now}
            for name in names:
                before.pop(name, None)
                now.pop(name, None)
        assert now == before


@given(CONFIGS, KEYS)
def test_setting_that_is_removed_is_gone(data: bytes, key: str) -> None:
    """No line of it is left, and every other line is."""
    config = parse(data)
    changed = apply_edits(config.source, remove_setting(config, config.main, key))
    assume(changed.strip())
    try:
        after = parse_config(Source(name="100.conf", data=changed))
    except InputError:
        return  # it was the only setting
    kept = [entry.value for entry in config.main.entries if entry.key != key]
    assert [entry.value for entry in after.main.entries] == kept


@given(
    st.lists(st.sampled_from(["aio=native", "size=1G", "ssd=1", "", "discard=on"]), unique=True),
    st.sampled_from([("aio", "threads"), ("iothread", "1"), ("ssd", "0"), ("file", "st:d")]),
)
def test_option_is_read_back(options: list[str], option: tuple[str, str]) -> None:
    """After set the drive's string is still one, with the option once and the others as before."""
    line = ",".join(["st:b", *options])
    config = parse(f"scsi0: {line}\n".encode())
    name, value = option
    changed = apply_edits(config.source, [set_option(config, config.main, "scsi0", name, value)])
    after = parse(changed)
    entry = valid_entries(after.source, after.main)["scsi0"]
    parts = [part.strip() for part in entry.value.split(",") if part.strip()]
    wanted = {part.strip() for part in [line.partition(",")[0], *options] if part.strip()}
    if name == "file":
        assert set(parts) == wanted - {"st:b"} | {"st:d"}
    else:
        others = {part for part in wanted if not part.startswith(f"{name}=")}
        assert set(parts) == others | {f"{name}={value}"}


@given(CONFIGS | st.binary())
def test_normal_form_is_a_fixed_point(data: bytes) -> None:
    """What is in normal form is read without a problem and written as it is."""
    normal = render_config(parse(data))
    assume(normal.strip())
    try:
        config = parse_config(Source(name="100.conf", data=normal))
    except InputError:
        return  # nothing but a description was left
    assert render_config(config) == normal
    assert config.problems == ()
