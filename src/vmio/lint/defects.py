"""Defects of certain QEMU releases as values, and the rule made of each."""

from __future__ import annotations

from abc import ABC
from collections.abc import Callable, Iterable, Iterator
from typing import ClassVar, Literal, NamedTuple

from vmio.lint.diagnostic import Applicability, Diagnostic, Fix, Severity
from vmio.lint.rule import Context, Need, Rule
from vmio.lint.versions import Versions
from vmio.model.host import Host
from vmio.model.source import Span

__all__ = ["Defect", "Hit", "make_rule"]

_ELSEWHERE = (
    ("libvirt", "Only Proxmox VE's packages of QEMU have it, and no libvirt runs them."),
)
"""Of a defect of these packages alone: a guest of QEMU's own notation can be theirs, too."""
_FIX_SAFETY = """\
There is no fix to apply: the configuration is right. Install the newer QEMU, then stop and
start the guest or migrate it to a host that has it; a guest that runs on keeps the old one.
"""


class Hit(NamedTuple):
    """What a defect affects in a guest."""

    subject: str
    span: Span | None
    disks: str = ""
    """The names of all affected disks, for the message."""
    threads: str = ""
    """The names of the threads that serve them, for a message that needs them."""


class Defect(NamedTuple):
    """A defect of certain QEMU releases: its versions, its condition and its page."""

    severity: Severity
    versions: Versions
    find: Callable[[Context], Iterable[Hit]]
    """Returns what the defect affects in a guest; it is not called for a template."""
    message: str
    """The finding's message; `{disks}` and `{threads}` are replaced by the names in a `Hit`."""
    affected: str
    """The version in the page's *Example*: a Proxmox VE package or a release of QEMU."""
    unaffected: str
    """The version in *Use instead*."""
    config: str
    """The config in *Example*."""
    page: str
    """Markdown: one line that says what the rule finds, then the other sections; the usual *Fix
    safety* is added where there is none."""
    config_instead: str = ""
    """The config in *Use instead*, where it differs."""
    storage: str = ""
    """The storage.cfg of both examples."""
    blanks: tuple[tuple[str, str], ...] = ()
    """Notations in which nothing can be found, each with the reason."""


class _DefectRule(Rule, ABC):
    """A rule about a defect of QEMU: the config is right, so its fix changes nothing in it."""

    defect: ClassVar[Defect]
    needs: ClassVar[Need | Literal[""]] = "version"

    @classmethod
    def describe(cls) -> str:
        """Returns the defect's page with its examples."""
        from inspect import cleandoc

        defect = cls.defect
        body, _, references = cleandoc(defect.page).partition("## References\n")
        body, _, safety = body.partition("## Fix safety\n\n")
        example = _render_example(defect.config, defect.storage, defect.affected)
        instead = _render_example(
            defect.config_instead or defect.config, defect.storage, defect.unaffected
        )
        return (
            f"{body}## Example\n\n{example}\n## Use instead\n\n{instead}\n"
            f"## Fix safety\n\n{safety or _FIX_SAFETY}\n## References\n{references}"
        )

    def check(self, context: Context) -> Iterator[Diagnostic]:
        """Yields a finding for each `Hit`."""
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
    """Returns the rule that finds what a defect affects."""
    members = {
        "code": code,
        "name": name,
        "severity": defect.severity,
        "versions": defect.versions,
        "blanks": (*defect.blanks, *(_ELSEWHERE if defect.versions.pve_only else ())),
        "defect": defect,
    }
    return type(code, (_DefectRule,), members)


def _render_example(config: str, storage: str, version: str) -> str:
    release, dash, _ = version.partition("-")
    host = f'qemu_version = "{release}"\n' + (f'pve_qemu_version = "{version}"\n' if dash else "")
    fences = {"": config, "storage": storage, "host": host}
    return "\n".join(f"```{label}\n{text}```\n" for label, text in fences.items() if text)


def _propose_upgrade(versions: Versions, host: Host) -> Fix:
    """Returns the advice to install the first QEMU without a defect."""
    package = host.pve_qemu_version
    name, installed, fixed = (
        ("pve-qemu-kvm", package, versions.pve_before or versions.before)
        if package is not None
        else ("QEMU", host.qemu_version, versions.before)
    )
    return Fix(
        applicability=Applicability.MANUAL,
        message=f"upgrade {name} {installed} to {fixed} or later, then stop and start the guest",
    )
