"""The config file's lines and sections."""

from __future__ import annotations

import pytest

from vmio.errors import InputError
from vmio.formats.proxmox.config import MAX_CONFIG_BYTES, Config, parse_config
from vmio.model.source import Source


def parse(text: str | bytes) -> Config:
    """Parses a text as the config of VM 100."""
    data = text if isinstance(text, bytes) else text.encode()
    return parse_config(Source(name="100.conf", data=data))


def test_setting_has_the_place_of_its_value() -> None:
    """A span covers the value's own bytes, blanks around it excluded."""
    config = parse("name: a\nscsi0:   local:100/x.raw,iothread=1  \n")
    entry = config.main.settings()["scsi0"]
    assert entry.value == "local:100/x.raw,iothread=1"
    assert config.source.read_span(entry.value_span) == entry.value
    assert config.source.read_span(entry.span) == "scsi0:   local:100/x.raw,iothread=1  "


def test_later_line_of_a_key_counts() -> None:
    """Of two lines with one key the last one holds."""
    assert parse("cores: 1\ncores: 4\n").main.settings()["cores"].value == "4"


def test_snapshot_is_not_the_vm() -> None:
    """What a snapshot says never shows in the VM's own section."""
    config = parse("cores: 2\n\n[before-upgrade]\ncores: 8\nscsihw: lsi\nsnapstate: prepare\n")
    assert set(config.main.settings()) == {"cores"}
    snapshot = config.find_snapshot("before-upgrade")
    assert snapshot is not None
    assert snapshot.settings()["cores"].value == "8"
    assert snapshot.settings()["snapstate"].value == "prepare"


def test_pending_and_special_sections_are_apart() -> None:
    """Pending changes and cloud-init's record are sections of their own, in any case."""
    config = parse(
        "cores: 2\n[pEnding]\ncores: 4\ndelete: net0\n"
        "[special:cloudinit]\nname: x\n[cloudinit]\ncores: 1\n"
    )
    assert config.pending is not None
    assert config.pending.settings()["delete"].value == "net0"
    assert [section.name for section in config.special] == ["cloudinit"]
    assert [section.name for section in config.snapshots] == ["cloudinit"]
    assert config.problems == ()


@pytest.mark.parametrize(
    ("text", "kind", "message", "under"),
    [
        ("a: 1\nwhat\n", "unparsable-line", "unable to parse config: what", "what"),
        ("a: 1\nboot:\n", "unparsable-line", "unable to parse config: boot:", "boot:"),
        ("a: 1\n[:3]\nx: 1\n", "unknown-section", "skipping unknown section: ':3'", "[:3]"),
        ("a: 1\n[special:x]\n", "unknown-section", "skipping unknown section: 'special:x'", None),
        ("a: 1\n[PENDING]\n[pending]\n", "duplicate-section", "duplicate section: pending", None),
        (
            "a: 1\n[snap]\n[snap]\n",
            "duplicate-section",
            "duplicate snapshot section: snap",
            None,
        ),
        (
            "a: 1\n[special:cloudinit]\n[special:cloudinit]\n",
            "duplicate-section",
            "duplicate special section: cloudinit",
            None,
        ),
        (
            "a: 1\ndelete: x\n",
            "misplaced-setting",
            "property 'delete' is only allowed in [PENDING]",
            "delete: x",
        ),
        ("a: 1\nsnapstate: prepare\n", "unparsable-line", None, "snapstate: prepare"),
        ("a: 1\n[snap]\nsnapstate: maybe\n", "unparsable-line", None, "snapstate: maybe"),
    ],
)
def test_bad_line_is_a_problem_with_its_place(
    text: str, kind: str, message: str | None, under: str | None
) -> None:
    """A line that cannot be taken is reported where it stands, and reading goes on."""
    config = parse(text)
    (problem,) = config.problems
    assert problem.kind == kind
    assert message is None or problem.message == message
    assert under is None or config.source.read_span(problem.span) == under
    assert config.main.settings()["a"].value == "1"


def test_unknown_section_hides_its_lines() -> None:
    """Lines below a header that means nothing belong to nothing."""
    config = parse("a: 1\n[]\na: 2\n")
    assert config.main.settings()["a"].value == "1"
    assert config.snapshots == ()


def test_lone_blank_is_a_value() -> None:
    """`boot: ` with a blank and nothing else says that nothing boots."""
    assert parse("boot: \n").main.settings()["boot"].value == " "


def test_description_is_decoded_and_joined() -> None:
    """Every `#` line is a line of the description, percent-decoded; there are no comments."""
    config = parse("#first%3A %C3%A9\ncores: 1\n# second\n#\n")
    assert config.main.description == "first: é\n second"


def test_args_are_kept_as_they_are() -> None:
    """The value of `args` may hold colons and quotes."""
    config = parse("args: -object 'iothread,id=a:b'  -S\n")
    assert config.main.settings()["args"].value == "-object 'iothread,id=a:b'  -S"


def test_carriage_returns_do_not_belong_to_values() -> None:
    """A file from another system reads the same."""
    assert parse("scsihw: lsi\r\n[snap]\r\nx: 1\r\n").main.settings()["scsihw"].value == "lsi"


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "empty"),
        (b" \n\n", "empty"),
        (b"\x7fELF\0\0", "binary"),
        (b"hello world\n", "no line of the form"),
        (b"x: 1\n" * (MAX_CONFIG_BYTES // 5 + 1), "too large"),
    ],
)
def test_text_that_is_no_config_is_refused(data: bytes, why: str) -> None:
    """What cannot be a config at all is an error that names the file and says why."""
    with pytest.raises(InputError, match=why) as caught:
        parse(data)
    assert "100.conf" in caught.value.message


def test_long_line_of_blanks_is_read_at_once() -> None:
    """A line built to make a matcher go back and forth is read in one pass."""
    config = parse("a: x" + " " * 900_000 + "y\n")
    assert len(config.main.settings()["a"].value) == 900_002
