"""TH006."""

from __future__ import annotations

from collections.abc import Iterator

from vmio.lint.devices import find_property
from vmio.lint.diagnostic import Diagnostic, Severity
from vmio.lint.rule import Context, Rule
from vmio.model.option import Option
from vmio.model.vm import Vm

__all__ = ["IothreadUndefined"]

_PLACES = frozenset({"device", "object", "set", "export"})


class IothreadUndefined(Rule):
    """Finds references to IOThreads that nothing defines.

    ## What it does

    Compares the ids after `iothread=` in QEMU's own options, and those in an
    `iothread-vq-mapping`, with the IOThreads that the options define and those that Proxmox VE
    makes for drives with `iothread=1`. It reports nothing if options come from an
    unknown file.

    ## Why is this bad

    QEMU identifies an IOThread by its id, and refuses to start if no IOThread has that id.

    ## Example

    ```
    args: -object iothread,id=io0 -set device.virtio0.iothread=io1
    virtio0: local-lvm:vm-100-disk-0,size=32G
    ```

    ## Use instead

    ```
    args: -object iothread,id=io1 -set device.virtio0.iothread=io1
    virtio0: local-lvm:vm-100-disk-0,size=32G
    ```

    ## Fix safety

    There is no fix to apply: only a person knows whether the reference or the definition is
    misspelt or missing.

    ## References

    - QEMU 10.0.2: `Device 'io1' not found` for `iothread=`, `IOThread "io1" object does not exist`
      for `iothread-vq-mapping`
    """

    code = "TH006"
    name = "iothread-undefined"
    severity = Severity.ERROR
    blanks = (("libvirt", "The daemon refuses such a domain itself (CF020)."),)
    needs = "options"

    def check(self, context: Context) -> Iterator[Diagnostic]:
        """Yields a finding per reference."""
        vm = context.vm
        if any(option.name == "readconfig" for option in vm.options) or any(
            problem.kind == "unread-config" for problem in vm.problems
        ):
            return
        defined = {iothread.id for iothread in context.topology.iothreads}
        defined.update(iothread.id for iothread in vm.iothreads)
        for option, key, iothread in _list_references(vm):
            if iothread in defined:
                continue
            yield self.report(
                context,
                f"QEMU refuses to start: nothing defines IOThread '{iothread[:80]}'"
                f"{_name_user(option)}",
                subject=iothread,
                span=find_property(vm.source, option, key),
            )


def _list_references(vm: Vm) -> Iterator[tuple[Option, str, str]]:
    for option in vm.options:
        if option.name not in _PLACES:
            continue
        for key, value in option.properties.items():
            if value and key.rpartition(".")[2] == "iothread":
                yield option, key, value


def _name_user(option: Option) -> str:
    if option.id:
        return f", which {option.id} refers to"
    return f", which a {option.kind} refers to" if option.kind else ""
