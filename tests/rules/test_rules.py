"""Every rule does what its page and its cases say.

A file of cases has a heading per case and under it fences: `conf`, the config, `cmd`, a QEMU
command line, or `xml`, a libvirt domain; `storage`, the storage.cfg if it matters; `host`, the
host's facts in TOML if they matter (without them it has QEMU 10.0.2); `saved` and `snapshot`, what
libvirt keeps of a domain in a managed save and in a snapshot; `findings`, a line for each thing
that the rule has to find and for each of its notes, none if it has to be silent; `fixed`, what its
fix makes of the config, if it has one to apply.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from vmio import formats
from vmio.errors import PlanError
from vmio.formats.base import KeptConfig, ReadContext
from vmio.formats.host_toml import parse_host
from vmio.formats.proxmox.storage import parse_storages
from vmio.formats.registry import build_command, lay_out, read
from vmio.lint import registry
from vmio.lint.diagnostic import Diagnostic
from vmio.lint.engine import run
from vmio.lint.fixing import apply_fixes
from vmio.lint.pages import SECTIONS, Page, parse_page, render_pages
from vmio.lint.problems import ProblemRule
from vmio.lint.registry import FAMILIES, NOTATIONS_SHOWN, RULES, Entry, load_rule
from vmio.lint.rule import Context
from vmio.lint.rules.versions import defects
from vmio.model.host import Host
from vmio.model.source import Source
from vmio.model.version import parse_version

FENCES = {"conf": "proxmox", "cmd": "qemu", "xml": "libvirt"}
"""The notation of a case, by the label of its text."""
KEPT = {"saved": "", "snapshot": "old"}
"""The snapshot of what libvirt keeps, by the label of its text."""
PROXMOX_WORDS = re.compile(
    r"\b(?:scsihw|args|ostype|hugepages|[mb]?bps_\w+|mbps|iops_\w+|ssd=|discard=on|iothread=1)\b"
)
FOREIGN_WORDS = {
    "libvirt": re.compile(
        rf"{PROXMOX_WORDS.pattern}|(?<![.\w-])[a-z_]+=(?!')|\b-(?:drive|device)\b"
    ),
    "qemu": PROXMOX_WORDS,
}
"""What no message for a notation may say, since only another one has it."""
CASES_FOLDER = Path(__file__).parent / "cases"
DOCS_FOLDER = Path(__file__).parents[2] / "docs" / "rules"

_HEADING = re.compile(r"^## (.+)$", re.MULTILINE)
_FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Case(Struct, frozen=True, kw_only=True):
    """One heading of a file of cases."""

    code: str
    title: str
    conf: str
    notation: str
    storage: str | None
    host: str | None
    kept: tuple[KeptConfig, ...]
    findings: str
    fixed: str | None

    def __str__(self) -> str:
        return f"{self.code} {self.title}"


def parse_cases(code: str, text: str) -> Iterator[Case]:
    """Yields the cases of one rule's file."""
    _, *parts = _HEADING.split(text)
    for title, body in zip(parts[::2], parts[1::2], strict=True):
        fences = dict(_FENCE.findall(body))
        assert set(fences) <= {"storage", "host", *KEPT, *FENCES, "findings", "fixed"}, title
        [label] = FENCES.keys() & fences
        yield Case(
            code=code,
            title=title,
            conf=fences[label],
            notation=FENCES[label],
            storage=fences.get("storage"),
            host=fences.get("host"),
            kept=find_kept(fences),
            findings=fences.get("findings", ""),
            fixed=fences.get("fixed"),
        )


def find_kept(fences: Mapping[str, str]) -> tuple[KeptConfig, ...]:
    """Returns the copies that libvirt keeps of a case's domain."""
    return tuple(
        KeptConfig(snapshot=name, source=Source(name=label, data=fences[label].encode()))
        for label, name in KEPT.items()
        if label in fences
    )


CASES = tuple(
    case
    for path in sorted(CASES_FOLDER.glob("*.md"))
    for case in parse_cases(path.stem, path.read_text(encoding="utf-8"))
)

every_case = pytest.mark.parametrize("case", CASES, ids=str)
every_rule = pytest.mark.parametrize("entry", RULES, ids=lambda entry: entry.code)


EXTRA = """\
# what `-readconfig extra.cfg` of a case reads
[object "io9"]
  qom-type = "iothread"
"""


def read_context(
    conf: bytes | str,
    storage: str | None = None,
    host_text: str | None = None,
    kept: tuple[KeptConfig, ...] = (),
) -> Context:
    """Returns what rules see of a config."""
    data = conf.encode() if isinstance(conf, str) else conf
    host = Host(qemu_version=parse_version("10.0.2"))
    if host_text is not None:
        host = parse_host(Source(name="host.toml", data=host_text.encode()))
    storages = None
    if storage is not None:
        storages = parse_storages(Source(name="storage.cfg", data=storage.encode()))
    source = Source(name="100.conf", data=data)
    context = ReadContext(storages=storages, host=host, kept=kept, read_file=read_extra)
    guest = read(source, context)
    return Context(guest=guest, topology=lay_out(guest), host=host)


def read_extra(name: str) -> Source | str:
    """Returns the only other file that there is in a case."""
    if name != "extra.cfg":
        return "it was not read"
    return Source(name=name, data=EXTRA.encode())


def describe(diagnostic: Diagnostic, source: Source) -> str:
    """Returns a finding as the lines that stand for it in a case."""
    assert diagnostic.span is not None
    place = source.locate(diagnostic.span)
    where = f"{place.line}:{place.column}-{place.column + place.width}"
    notes = "".join(f"    note: {note}\n" for note in diagnostic.notes)
    return f"{where} {diagnostic.severity}: {diagnostic.message}\n{notes}"


def fix(context: Context, found: tuple[Diagnostic, ...]) -> bytes:
    """Returns the config with all fixes of some findings applied."""
    return apply_fixes(context.vm.source, found, unsafe=True)


def name_findings(found: tuple[Diagnostic, ...]) -> set[tuple[str, str]]:
    """Returns what findings are about, which stays the same when lines move."""
    return {(diagnostic.code, diagnostic.subject) for diagnostic in found}


@every_case
def test_case_finds_what_it_lists(case: Case) -> None:
    """A rule finds what its case lists, at that place and in those words, and nothing else."""
    context = read_context(case.conf, case.storage, case.host, case.kept)
    found = run(context, select=[case.code])
    assert (
        "".join(describe(diagnostic, context.vm.source) for diagnostic in found) == case.findings
    )


@pytest.mark.parametrize("case", [case for case in CASES if case.code == "CF011"], ids=str)
def test_volume_that_is_refused_has_no_command(case: Case) -> None:
    """What `check` says that Proxmox VE refuses, `cmd` refuses too, volume by volume."""
    context = read_context(case.conf, case.storage, case.host, case.kept)
    found = run(context, select=[case.code])
    for line in case.conf.splitlines():
        one = read_context(f"bios: ovmf\n{line}\n", case.storage, case.host)
        key = line.partition(":")[0]
        if key in {finding.subject for finding in found}:
            with pytest.raises(PlanError):
                build_command(one.guest, one.host)
        elif case.title == "What Proxmox VE takes" and key != "scsihw":
            build_command(one.guest, one.host)


@every_case
def test_case_is_fixed_as_it_says(case: Case) -> None:
    """A rule's fixes make a case's fixed config of it, and change nothing if it has none."""
    context = read_context(case.conf, case.storage, case.host, case.kept)
    fixed = fix(context, run(context, select=[case.code]))
    assert fixed.decode() == (case.conf if case.fixed is None else case.fixed)
    assert case.fixed != case.conf


def check_fixes(
    conf: bytes | str,
    storage: str | None = None,
    host: str | None = None,
    kept: tuple[KeptConfig, ...] = (),
) -> None:
    """Asserts what holds of every set of fixes."""
    context = read_context(conf, storage, host, kept)
    before = run(context)
    fixed = fix(context, before)
    again = read_context(fixed, storage, host, kept)
    after = run(again)
    assert name_findings(after) <= name_findings(before)
    assert fix(again, after) == fixed
    applied = {d.code for d in before if d.fix is not None and d.fix.edits}
    assert not applied & {d.code for d in after}


@every_case
def test_fixing_a_case_once_is_enough(case: Case) -> None:
    """Fixing adds no finding, settles what it was made for, and a second time changes nothing."""
    check_fixes(case.conf, case.storage, case.host, case.kept)


_CONFIGS = [case for case in CASES if case.notation == "proxmox"]
_LINES = sorted({line for case in _CONFIGS for line in case.conf.splitlines()} | {"scsihw: lsi\r"})


@given(st.lists(st.sampled_from(_LINES), min_size=1, max_size=8))
def test_fixing_any_mixture_of_lines_once_is_enough(lines: list[str]) -> None:
    """The same holds of the cases' lines put together at random, whatever that comes to."""
    check_fixes("\n".join(["cores: 1", *lines]))


@every_rule
def test_rule_is_where_the_registry_says(entry: Entry) -> None:
    """A rule's class has the code, name and notation of its entry, and a known family."""
    rule = load_rule(entry)
    assert (rule.code, rule.name, rule.notation) == entry[:3]
    assert rule.needs in {"", entry.needs}
    assert re.fullmatch(r"[A-Z]{2}\d{3}", rule.code)
    assert entry.code[:2] in FAMILIES


def test_registry_is_sorted_and_unique() -> None:
    """Codes are in order and no code or name comes twice."""
    codes = [entry.code for entry in RULES]
    assert codes == sorted(set(codes))
    assert len({entry.name for entry in RULES}) == len(RULES)


def test_registry_lists_every_rule_file() -> None:
    """No file of a rule and no defect of the table is forgotten in the registry."""
    folder = Path(registry.__file__).parent / "rules"
    files = {path.stem for path in folder.rglob("*.py") if path.parent.name != "versions"}
    listed = {f"{each.code.lower()}_{each.name.replace('-', '_')}" for each in RULES}
    assert files - {"__init__", "rule"} == {stem for stem in listed if stem < "ve"}
    table = [name for name in vars(defects) if re.fullmatch(r"VE\d{3}", name)]
    assert table == [each.code for each in RULES if each.code > "VE"]


@every_rule
def test_rule_has_cases_for_and_against(entry: Entry) -> None:
    """Every rule has a case that it speaks up in and one in which it must not."""
    cases = [case for case in CASES if case.code == entry.code]
    assert any(case.findings for case in cases)
    assert any(not case.findings for case in cases)


@pytest.mark.parametrize(
    "case", [case for case in CASES if case.notation in FOREIGN_WORDS], ids=str
)
def test_guest_is_told_of_in_its_own_words(case: Case) -> None:
    """No message and no fix names a setting as only another notation has it."""
    context = read_context(case.conf, case.storage, case.host, case.kept)
    for found in run(context):
        text = f"{found.message} {found.fix.message if found.fix is not None else ''}"
        assert not FOREIGN_WORDS[case.notation].search(text), text


@every_rule
@pytest.mark.parametrize("notation", NOTATIONS_SHOWN)
def test_rule_holds_where_its_cases_show_it(entry: Entry, notation: str) -> None:
    """A rule finds something in a case of each notation, or has a sentence on why it does not."""
    reason = load_rule(entry).explain_blank(notation)
    found = {case.notation for case in CASES if case.code == entry.code and case.findings}
    assert (notation in found) != bool(reason)
    assert not reason or re.fullmatch(r"[A-Z`][^|\n]{10,98}\.", reason)


def test_cases_belong_to_rules() -> None:
    """No file of cases is left over from a rule that is gone."""
    assert {case.code for case in CASES} == {entry.code for entry in RULES}


@every_rule
def test_rule_page_has_every_section(entry: Entry) -> None:
    """A rule's docstring has one summary line and all sections in their order, none empty."""
    page = parse_page(load_rule(entry))
    assert page.summary.endswith(".")
    assert "\n" not in page.summary
    assert tuple(heading for heading, _ in page.sections) == SECTIONS
    assert all(text for _, text in page.sections)


@every_rule
def test_rule_example_triggers_it(entry: Entry) -> None:
    """A rule's Example makes it speak up, and what its page says to use instead does not."""
    page = parse_page(load_rule(entry))
    assert run(read_page(page, "Example"), select=[entry.code])
    found = run(read_page(page, "Use instead"))
    assert [one for one in found if one.code == entry.code or one.severity != "info"] == []


def read_page(page: Page, heading: str) -> Context:
    """Returns what rules see of the config, and its storages and host, under a page's heading."""
    fences = page.find_fences(heading)
    storage, host = fences.get("storage"), fences.get("host")
    return read_context(fences[""], storage, host, find_kept(fences))


def test_docs_are_current() -> None:
    """docs/rules holds what `python -m vmio.lint.pages docs/rules` writes, and nothing else."""
    written = {path.name: path.read_text(encoding="utf-8") for path in DOCS_FOLDER.iterdir()}
    assert written == render_pages(), "run `python -m vmio.lint.pages docs/rules`"


def test_every_kind_of_problem_has_its_rule() -> None:
    """No problem that a reader can have goes without a finding."""
    folder = Path(formats.__path__[0])
    kinds: set[str] = set()
    for path in folder.glob("*/*.py"):
        for line in re.findall(r"\bkind ?=(?!=) ?(.+)", path.read_text(encoding="utf-8")):
            kinds.update(re.findall(r'"([a-z]+(?:-[a-z]+)+)"', line))
    rules = [load_rule(entry) for entry in RULES]
    carried = {rule.kind for rule in rules if issubclass(rule, ProblemRule)}
    assert kinds == carried
