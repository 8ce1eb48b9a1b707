"""DI004."""

from __future__ import annotations

from collections.abc import Iterator

from vmio.lint.diagnostic import Applicability, Diagnostic, Fix, Severity
from vmio.lint.rule import Context, Rule

__all__ = ["DetectZeroesUnmapWithoutDiscard"]


class DetectZeroesUnmapWithoutDiscard(Rule):
    """Finds block nodes with `detect-zeroes=unmap` that may not discard.

    ## What it does

    Looks for `detect-zeroes=unmap` without `discard=unmap` in QEMU's own `-blockdev` options.
    `-drive` accepts one without the other. Proxmox VE writes both for the disks of a config, so
    only its `args` can contain the mistake.

    ## Why is this bad

    QEMU refuses the option, so the guest does not start.

    ## Example

    ```
    args: -blockdev driver=raw,node-name=n0,file.driver=file,file.filename=/a,detect-zeroes=unmap
    ```

    ## Use instead

    ```
    args: -blockdev driver=host_device,node-name=n0,filename=/a,detect-zeroes=unmap,discard=unmap
    ```

    ## Fix safety

    There is no fix to apply: `detect-zeroes=on` would do as well.

    ## References

    - QEMU 10.0.2, run: `setting detect-zeroes to unmap is not allowed without setting discard
      operation to unmap`; with `-drive` it starts
    """

    code = "DI004"
    name = "detect-zeroes-unmap-without-discard"
    severity = Severity.ERROR
    blanks = (("libvirt", "The daemon gives QEMU `on` instead where discard is off."),)
    needs = "options"

    def check(self, context: Context) -> Iterator[Diagnostic]:
        """Yields a finding per node."""
        for option in context.vm.options:
            properties = option.properties
            if option.name != "blockdev" or properties.get("detect-zeroes") != "unmap":
                continue
            if properties.get("discard", "ignore") != "ignore":
                continue
            node = option.id or "a node"
            yield self.report(
                context,
                f"QEMU refuses to start: {node} has detect-zeroes=unmap, but not discard=unmap",
                subject=node,
                span=option.spans.get("detect-zeroes", option.span),
                fix=Fix(
                    applicability=Applicability.MANUAL,
                    message="write discard=unmap as well, or detect-zeroes=on",
                ),
            )
