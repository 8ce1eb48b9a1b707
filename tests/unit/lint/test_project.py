"""The project configuration changes what is reported; errors in it are told with their line."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmio.errors import InputError, UsageError
from vmio.lint.diagnostic import Diagnostic, Severity
from vmio.lint.project import (
    MAX_PROJECT_BYTES,
    ProjectConfig,
    apply_project_config,
    choose_rules,
    drop_below,
    override_project_config,
    parse_project_config,
)
from vmio.model.source import Source

FULL = """\
[check]
select = ["TH", "cache-unsafe", "CA001"]
ignore = ["TH004"]
severity = "warning"
baseline = "known.json"
storage = "storage.cfg"
host = "node1.toml"

[rules.CA001]
severity = "info"

[rules."cache-unsafe"]
severity = "off"

[[exceptions]]
vm = 701
disk = "scsi0"
rules = ["TH001"]
reason = "moves in March"

[[exceptions]]
vm = "702"
rules = ["TH"]
reason = "is switched off"
"""

EXCEPTION = "[[exceptions]]\nvm='1'\nrules=['TH']\nreason='x'\n"


def parse(text: str) -> ProjectConfig:
    """Returns the configuration of a text."""
    return parse_project_config(Source(name="vmio.toml", data=text.encode()))


def make_finding(
    code: str, subject: str = "scsi0", severity: Severity = Severity.ERROR
) -> Diagnostic:
    """Returns a finding of a rule."""
    return Diagnostic(
        code=code, name="x", severity=severity, message="m", source="1", subject=subject
    )


def test_parse_project_config_reads_everything() -> None:
    """Every key has its place, rules by their codes however they are called."""
    project = parse(FULL)
    assert project.select == ("TH", "cache-unsafe", "CA001")
    assert project.severity is Severity.WARNING
    assert (project.baseline, project.storage, project.host) == (
        "known.json",
        "storage.cfg",
        "node1.toml",
    )
    assert project.levels == {"CA001": Severity.INFO}
    assert project.off == {"SA001"}
    assert [(one.vm, one.disk, one.reason) for one in project.exceptions] == [
        ("701", "scsi0", "moves in March"),
        ("702", "", "is switched off"),
    ]
    assert project.exceptions[0].codes == {"TH001"}
    assert project.exceptions[1].codes >= {"TH001", "TH004"}


def test_choose_rules_leaves_out_what_is_off() -> None:
    """A rule that is off does not run, and neither does one that is ignored."""
    codes = {entry.code for entry in choose_rules(parse(FULL))}
    assert {"TH001", "CA001"} <= codes
    assert not codes & {"TH004", "SA001", "CF001"}


def test_apply_project_config_gives_rules_their_severity_here() -> None:
    """A finding has the severity that is configured, and the most harmful still come first."""
    found = (make_finding("CA001"), make_finding("TH002", severity=Severity.WARNING))
    kept, accepted = apply_project_config(found, parse(FULL), vm="1")
    assert [(one.code, one.severity) for one in kept] == [
        ("TH002", Severity.WARNING),
        ("CA001", Severity.INFO),
    ]
    assert accepted == ()
    assert [one.code for one in drop_below(kept, Severity.WARNING)] == ["TH002"]


def test_apply_project_config_accepts_exceptions_of_one_vm_and_disk() -> None:
    """An exception holds for its VM, its disk and its rules, and says its reason."""
    found = (make_finding("TH001"), make_finding("TH001", "scsi1"), make_finding("TH002"))
    kept, (accepted,) = apply_project_config(found, parse(FULL), vm="701")
    assert kept == found[1:]
    assert (accepted.diagnostic, accepted.reason) == (found[0], "moves in March")
    assert apply_project_config(found, parse(FULL), vm="702")[0] == ()
    assert apply_project_config(found, parse(FULL), vm="703")[0] == found


def test_apply_project_config_without_rules_changes_nothing() -> None:
    """An empty file changes nothing."""
    found = (make_finding("TH001"),)
    assert apply_project_config(found, parse(""), vm="1") == (found, ())


def test_override_project_config_selects_anew_and_ignores_besides() -> None:
    """What a call selects replaces the file's selection; what it ignores adds to it."""
    project = override_project_config(
        parse(FULL), select=("CF",), ignore=("CF001",), severity=Severity.ERROR
    )
    assert project.select == ("CF",)
    assert project.ignore == ("TH004", "CF001")
    assert project.severity is Severity.ERROR
    assert override_project_config(parse(FULL)) == parse(FULL)
    with pytest.raises(UsageError):
        override_project_config(ProjectConfig(), select=("NO",))


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("[check]\n\nselct = []\n", "vmio.toml:3: there is no key 'check.selct'", "select"),
        ("[chek]\n", "vmio.toml:1: there is no key 'chek'", "did you mean check?"),
        ("a = 1\ncheck = 1\n", "vmio.toml:1: there is no key 'a'", "check, rules, exceptions"),
        ("check = 1\n", "vmio.toml:1: 'check' must be a table", ""),
        ("[check]\nselect = ['TH', 'XX9']\n", "vmio.toml:2: there is no rule 'XX9'", ""),
        ("[check]\nselect = 'TH'\n", "vmio.toml:2: 'check.select' must be a list of rules", ""),
        ("check.severity = 'bad'\n", "vmio.toml:1: 'check.severity' must be one of error, w", ""),
        ("[check]\nseverity = 'eror'\n", "vmio.toml:2: 'check.severity' must be one of", "error?"),
        ("[check]\nseverity = 'off'\n", "vmio.toml:2: 'check.severity' must be one of", ""),
        ("[check]\nhost = ''\n", "vmio.toml:2: 'check.host' must be a line of text", ""),
        ("\n[rules.TH999]\nseverity='off'", "vmio.toml:2: there is no rule 'TH999'", ""),
        ("[rules.TH001]\nseverty='off'", "vmio.toml:2: there is no key 'rules.TH001.s", "sev"),
        ("[rules.TH001]\n", "vmio.toml:1: 'rules.TH001.severity' is missing", ""),
        (
            "[rules.TH001]\nseverity='of'",
            "vmio.toml:2: 'rules.TH001.severity' must be one",
            "off?",
        ),
        ("[exceptions]\n", "vmio.toml:1: exceptions must be written as [[exceptions]]", ""),
        (
            f"{EXCEPTION}[[exceptions]]\nvm=true\n",
            "vmio.toml:5: an exception must name its rules",
            "",
        ),
        (
            f"{EXCEPTION}[[exceptions]]\nvm=true\nrules=['TH']\nreason='x'\n",
            "vmio.toml:6: 'exceptions.vm' must be a line of text",
            "",
        ),
        (
            "[[exceptions]]\nvm='1'\nrules=['TH']\n",
            "vmio.toml:1: 'exceptions.reason' is missing",
            "",
        ),
        ("[check\n", "vmio.toml is not TOML: ", ""),
    ],
)
def test_parse_project_config_tells_a_slip_with_its_line(
    text: str, message: str, hint: str
) -> None:
    """One line names the file, the line and the key, and what was meant if that is plain."""
    with pytest.raises(InputError) as caught:
        parse(text)
    assert caught.value.message.startswith(message)
    assert "\n" not in caught.value.message
    assert hint in caught.value.hint


def test_parse_project_config_is_bounded() -> None:
    """A file that is far too large is not even parsed."""
    with pytest.raises(InputError, match="too large"):
        parse("#" * (MAX_PROJECT_BYTES + 1))


WORDS = st.sampled_from(
    [
        *("[check]", "[rules.TH001]", "[[exceptions]]", "vm=", '"701"', "rules=", '["TH"]'),
        *("reason=", "severity=", '"off"', "select=", "=", "\n", "é", "[", "]", "{", "}", "1"),
    ]
)


@given(st.binary(max_size=60) | st.lists(WORDS, max_size=20).map(lambda w: "".join(w).encode()))
def test_parse_project_config_raises_nothing_but_input_errors(data: bytes) -> None:
    """No bytes make it raise anything else, and its message is one line."""
    with contextlib.suppress(InputError):
        parse_project_config(Source(name="vmio.toml", data=data))


def test_rules_that_are_named_often_are_named_once() -> None:
    """A hundred thousand codes are as good as one, and as dear."""
    words = '"TH001", "th001", ' * 50_000
    project = parse(f"[check]\nselect = [{words}]")
    assert [word.upper() for word in project.select] == ["TH001"]


@pytest.mark.parametrize(
    "text",
    [
        ".".join(["a"] * 40_000) + " = 1",
        f"[rules.CA001]\nseverity = {'9' * 5000}",
        "[check]\nbaseline" + " " * 200_000 + "x = 1",
    ],
    ids=["dots", "digits", "blanks"],
)
def test_project_config_that_would_take_long_is_refused(text: str) -> None:
    """In one line, and as quickly as others."""
    with pytest.raises(InputError) as told:
        parse(text)
    assert len(told.value.message) < 300
