"""TH014."""

from __future__ import annotations

import re
from collections.abc import Iterator

from vmio.lint.devices import find_property
from vmio.lint.diagnostic import Applicability, Diagnostic, Fix, Severity
from vmio.lint.rule import Context, Rule
from vmio.lint.versions import Versions

__all__ = ["IothreadNameHidden"]

_LONGEST = 12
_PROXMOX_OWN = re.compile(r"iothread-virtio(?:scsi)?\d+", re.ASCII)
_NAMED_ON_REQUEST = Versions(before="11.0")


class IothreadNameHidden(Rule):
    """Finds IOThreads that `top` and `pidstat` cannot show by name.

    ## What it does

    Looks for IOThreads of QEMU's own options whose id has more than 12 characters, and for whole
    command lines of a QEMU before 11.0 that do not switch the naming of threads on. The ids that
    Proxmox VE makes are longer too, but nobody can choose them, so they are not reported.

    ## Why is this bad

    It costs no performance. But an IOThread's thread is named `IO` and its id only if that fits
    into the 15 characters that the kernel has for a name. Otherwise it has the name of the
    process, as the main loop has, and tools on the host cannot tell them apart. `query-iothreads`
    over QMP still gives its thread id.

    ## Example

    ```
    args: -object iothread,id=database-disk-0 -set device.virtio0.iothread=database-disk-0
    virtio0: local-lvm:vm-100-disk-0,size=32G
    ```

    ## Use instead

    ```
    args: -object iothread,id=database0 -set device.virtio0.iothread=database0
    virtio0: local-lvm:vm-100-disk-0,size=32G
    ```

    ## Fix safety

    There is no fix to apply: the id may be known to other tools.

    ## References

    - QEMU 10.0.2 and 11.1.1, names under /proc: an id of 12 characters shows, one of 13 does not;
      before 11.0 only with `-name …,debug-threads=on`
    """

    code = "TH014"
    name = "iothread-name-hidden"
    severity = Severity.INFO
    blanks = (("libvirt", "The daemon gives IOThreads short ids, and has QEMU name its threads."),)
    needs = "options"

    def check(self, context: Context) -> Iterator[Diagnostic]:
        """Yields a finding per long id, and one for a command line without thread names."""
        vm = context.vm
        unnamed = not vm.names_threads and _NAMED_ON_REQUEST.hold(context.host)
        for option in vm.options:
            if option.name != "object" or option.kind != "iothread":
                continue
            if len(option.id) > _LONGEST and not _PROXMOX_OWN.fullmatch(option.id):
                message = (
                    f"the thread of {option.id[:80]} goes without a name: its id has more than"
                    f" {_LONGEST} characters"
                )
                advice = f"choose an id of at most {_LONGEST} characters"
            elif unnamed:
                message = f"the thread of {option.id[:80]} goes without a name"
                advice = "add debug-threads=on to -name"
                unnamed = False
            else:
                continue
            yield self.report(
                context,
                message,
                subject=option.id,
                span=find_property(vm.source, option, "id"),
                fix=Fix(applicability=Applicability.MANUAL, message=advice),
            )
