"""Defects of certain QEMU releases as values, and the rule that each of them makes."""

from __future__ import annotations

from abc import ABC
from collections.abc import Callable, Iterable, Iterator
from typing import ClassVar, NamedTuple

from vmio.lint.diagnostic import Applicability, Diagnostic, Fix, Severity
from vmio.lint.rule import Context, Rule
from vmio.lint.versions import Versions
from vmio.model.host import Host
from vmio.model.source import Span

__all__ = ["Defect", "Hit", "make_rule"]

_FIX_SAFETY = """\
There is no fix to apply: the configuration is right. Install the newer QEMU, then stop and
start the guest or migrate it to a host that has it; a guest that runs on keeps the old one.
"""


class Hit(NamedTuple):
    """What of a guest a defect can hit."""

    subject: str
    span: Span | None
    disks: str = ""
    """The names of all disks concerned, for the message."""
    threads: str = ""
    """The names of the threads that serve them, where the message has them."""


class Defect(NamedTuple):
    """A defect of certain QEMU releases: whom it can hit, and its page."""

    severity: Severity
    versions: Versions
    find: Callable[[Context], Iterable[Hit]]
    """Returns what it can hit of a guest on one of these versions; no template is asked for."""
    message: str
    """The finding's; `{disks}` and `{threads}` stand for the names in a `Hit`."""
    hit: str
    """The version on which the page's example triggers the rule: a package, or a release."""
    spared: str
    """A version on which the same does not."""
    config: str
    """The example's."""
    page: str
    """Markdown: what it finds in one line, then the page's sections but for the examples. A
    section *Fix safety* is added where there is none."""
    config_instead: str = ""
    """The config that does not trigger the rule, where it is another one."""
    storage: str = ""
    """The storage.cfg of both examples."""


class _DefectRule(Rule, ABC):
    """A rule about a defect: the config is right and the QEMU is not, so no fix changes it."""

    defect: ClassVar[Defect]

    @classmethod
    def describe(cls) -> str:
        """Returns the defect's page with its examples."""
        from inspect import cleandoc

        defect = cls.defect
        body, _, references = cleandoc(defect.page).partition("## References\n")
        body, _, safety = body.partition("## Fix safety\n\n")
        example = _render_example(defect.config, defect.storage, defect.hit)
        instead = _render_example(
            defect.config_instead or defect.config, defect.storage, defect.spared
        )
        return (
            f"{body}## Example\n\n{example}\n## Use instead\n\n{instead}\n"
            f"## Fix safety\n\n{safety or _FIX_SAFETY}\n## References\n{references}"
        )

    def check(self, context: Context) -> Iterator[Diagnostic]:
        """Yields a finding for each thing that the defect can hit."""
        if context.vm.template:
            return
        for hit in self.defect.find(context):
            yield self.report(
                context,
                self.defect.message.format(disks=hit.disks, threads=hit.threads),
                subject=hit.subject,
                span=hit.span,
                fix=_propose_upgrade(self.defect.versions, context.host),
            )


def make_rule(code: str, name: str, defect: Defect) -> type[Rule]:
    """Returns the rule that finds whom a defect can hit."""
    members = {
        "code": code,
        "name": name,
        "severity": defect.severity,
        "versions": defect.versions,
        "defect": defect,
    }
    return type(code, (_DefectRule,), members)


def _render_example(config: str, storage: str, version: str) -> str:
    release, dash, _ = version.partition("-")
    host = f'qemu_version = "{release}"\n' + (f'pve_qemu_version = "{version}"\n' if dash else "")
    fences = {"": config, "storage": storage, "host": host}
    return "\n".join(f"```{label}\n{text}```\n" for label, text in fences.items() if text)


def _propose_upgrade(versions: Versions, host: Host) -> Fix:
    """Returns what to install instead of a host's QEMU that is among some versions."""
    package = host.pve_qemu_version
    name, installed, fixed = (
        ("pve-qemu-kvm", package, versions.pve_before or versions.before)
        if package is not None
        else ("QEMU", host.qemu_version, versions.before)
    )
    return Fix(
        applicability=Applicability.DISPLAY,
        message=f"upgrade {name} {installed} to {fixed} or later, then stop and start the guest",
    )
