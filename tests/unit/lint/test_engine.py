"""The engine runs rules in a fixed order, within bounds, and names one that fails."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from vmio.formats.base import ReadContext
from vmio.formats.proxmox.reader import read_guest
from vmio.lint import engine
from vmio.lint.diagnostic import Diagnostic, Severity
from vmio.lint.engine import MAX_FINDINGS_PER_RULE, run, run_rules
from vmio.lint.registry import Entry, load_rule
from vmio.lint.rule import Context, Rule
from vmio.model.host import Host
from vmio.model.source import Problem, Source, Span
from vmio.model.topology import Topology
from vmio.values import replace


def make_context(problems: tuple[Problem, ...] = ()) -> Context:
    """Returns a guest with nothing but problems."""
    read = read_guest(Source(name="100.conf", data=b"cores: 1\n"), ReadContext(host=Host()))
    guest = replace(read, vm=replace(read.vm, problems=problems))
    return Context(guest=guest, topology=Topology(), host=Host())


class Everywhere(Rule):
    """Finds something at each of three places, the last one the worst."""

    code = "XX001"
    name = "everywhere"
    severity = Severity.WARNING

    def check(self, context: Context) -> Iterator[Diagnostic]:
        """Yields them out of order."""
        yield self.report(context, "nowhere")
        yield self.report(context, "late", span=Span(start=5, end=6))
        yield self.report(context, "early", span=Span(start=1, end=2))
        yield self.report(context, "worst", span=Span(start=7, end=8), severity=Severity.ERROR)


class Ours(Everywhere):
    """Finds the same, in Proxmox VE's configs alone."""

    notation = "proxmox"


class Broken(Rule):
    """Fails."""

    code = "XX002"
    name = "broken"
    severity = Severity.INFO

    def check(self, context: Context) -> Iterator[Diagnostic]:
        """Fails after a finding."""
        yield self.report(context, "fine so far")
        raise KeyError("scsi7")


class Endless(Rule):
    """Never ends."""

    code = "XX003"
    name = "endless"
    severity = Severity.INFO

    def check(self, context: Context) -> Iterator[Diagnostic]:
        """Yields forever."""
        while True:
            yield self.report(context, "again", span=Span(start=0, end=1))


def test_run_rules_orders_by_harm_then_place() -> None:
    """Errors come first, then what stands first; what stands nowhere comes last."""
    found = run_rules(make_context(), (Everywhere,))
    assert [diagnostic.message for diagnostic in found] == ["worst", "early", "late", "nowhere"]


def test_run_rules_fills_in_rule_and_source() -> None:
    """A finding carries its rule's code and name and the name of the text."""
    found = run_rules(make_context(), (Everywhere,))
    assert {(d.code, d.name, d.source) for d in found} == {("XX001", "everywhere", "100.conf")}


def test_run_rules_names_a_rule_that_fails() -> None:
    """A rule's bug ends the run with an error that says which rule and on what."""
    with pytest.raises(RuntimeError, match=r"XX002 broken failed on 100\.conf.*scsi7"):
        run_rules(make_context(), (Everywhere, Broken))


def test_run_rules_skips_what_is_about_another_notation() -> None:
    """A rule of one notation runs for its guests alone, and one of none for every guest."""
    context = make_context()
    other = replace(context.guest, vm=replace(context.vm, notation="qemu"))
    assert run_rules(context, (Ours,)) != ()
    assert run_rules(replace(context, guest=other), (Ours,)) == ()
    assert run_rules(replace(context, guest=other), (Everywhere,)) != ()


def test_run_loads_no_rule_that_has_nothing_to_look_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rules of other notations, and about problems, are not imported for a guest that has none."""
    loaded: list[str] = []

    def load(entry: Entry) -> type[Rule]:
        loaded.append(entry.code)
        return load_rule(entry)

    monkeypatch.setattr(engine, "load_rule", load)
    run(make_context(), select=["CF", "VE"])
    assert loaded == ["CF010", "CF011", "CF012"]

    loaded.clear()
    problem = Problem(kind="bad-value", message="?", span=Span(start=0, end=1))
    run(make_context((problem,)), select=["CF"])
    assert {"CF003", "CF010"} <= {*loaded}
    assert not {"CF040", "CF041"} & {*loaded}


def test_run_rules_stops_a_rule_that_finds_too_much() -> None:
    """A rule's findings are bounded, and one more says that they are."""
    found = run_rules(make_context(), (Endless,))
    assert len(found) == MAX_FINDINGS_PER_RULE + 1
    assert found[-1].message == "endless was found more than 100 times"
    assert found[-1].span is None


def test_run_selects_and_ignores() -> None:
    """Only the rules that are asked for run."""
    span = Span(start=0, end=5)
    problems = (
        Problem(kind="unparsable-line", message="unable to parse config: x", span=span),
        Problem(kind="unknown-section", message="skipping unknown section: 'x'", span=span),
    )
    context = make_context(problems)
    assert {d.code for d in run(context)} == {"CF001", "CF006"}
    assert {d.code for d in run(context, select=["CF"], ignore=["CF001"])} == {"CF006"}
