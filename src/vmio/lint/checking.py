"""One configuration checked as the project configuration says."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmio.lint.diagnostic import CheckedFile
from vmio.lint.engine import run_rules
from vmio.lint.project import (
    ProjectConfig,
    apply_project_config,
    choose_rules,
    drop_below,
    load_rules,
)
from vmio.lint.rule import Context

if TYPE_CHECKING:
    from vmio.lint.baseline import Baseline

__all__ = ["check_context"]


def check_context(
    context: Context, *, project: ProjectConfig, baseline: Baseline | None = None, node: str = ""
) -> CheckedFile:
    """Returns a configuration's findings, the reported and the suppressed ones.

    Args:
        context: The configuration.
        project: Which findings are reported, and with which severity.
        baseline: The known findings.
        node: The host that the VM belongs to, for reports.
    """
    vm = context.vm
    rules = load_rules(project, context)
    findings, accepted = apply_project_config(run_rules(context, rules), project, vm=vm.id)
    stale = 0
    if baseline is not None:
        from vmio.lint.baseline import hide_known

        codes = {entry.code for entry in choose_rules(project)}
        findings, known, stale = hide_known(
            findings, baseline, vm=vm.id, source=vm.source, codes=codes
        )
        accepted += known
    return CheckedFile(
        name=vm.source.name,
        source=vm.source,
        diagnostics=drop_below(findings, project.severity),
        node=node,
        vm=vm.id,
        vm_name=vm.name,
        disks=len(vm.disks),
        suppressed=accepted,
        stale=stale,
    )
