"""TH013."""

from __future__ import annotations

from collections.abc import Iterator

from vmio.formats.qemu.argv import read_mapping
from vmio.lint.devices import find_property, list_devices
from vmio.lint.diagnostic import Applicability, Diagnostic, Fix, Severity
from vmio.lint.rule import Context, Rule
from vmio.model.option import Option
from vmio.model.vm import Vm

__all__ = ["AioMaxBatchWithoutNative"]

_MAX_DEPTH = 8


class AioMaxBatchWithoutNative(Rule):
    """Finds `aio-max-batch` on IOThreads that serve no disk with native AIO.

    ## What it does

    Follows the disks of an IOThread that has `aio-max-batch` to what they are opened with. It
    reports the IOThread only if every device on it is a virtio-blk disk whose `-drive` or
    `-blockdev` has `aio=io_uring` or `aio=threads`.

    ## Why is this bad

    The option says how many requests are collected before they are submitted together, and only
    Linux's native AIO uses it. io_uring has a ring of its own, and worker threads take requests
    one by one, so the option has no effect.

    ## Example

    ```
    args: -object iothread,id=io0,aio-max-batch=8 -drive if=none,id=d,file=/dev/null,format=raw,aio=io_uring -device virtio-blk-pci,drive=d,iothread=io0
    ```

    ## Use instead

    ```
    args: -object iothread,id=io0 -drive if=none,id=d,file=/dev/null,format=raw,aio=io_uring -device virtio-blk-pci,drive=d,iothread=io0
    ```

    ## Fix safety

    There is no fix to apply: remove the option, or choose `aio=native` with `cache=none`.

    ## References

    - QEMU 10.0.2, largest submission at depth 64: 4 with native AIO and `aio-max-batch=4`, up to
      64 with io_uring and the same setting; 11.1.1: up to 65
    """  # noqa: E501 - a config has no way to break a line

    code = "TH013"
    name = "aio-max-batch-without-native"
    severity = Severity.WARNING
    blanks = (("libvirt", "A domain has no setting for it."),)
    needs = "options"

    def check(self, context: Context) -> Iterator[Diagnostic]:
        """Yields a finding per IOThread."""
        vm = context.vm
        limited = {iothread.id for iothread in vm.iothreads if iothread.aio_max_batch}
        for option in vm.options if limited else ():
            if option.name != "object" or option.id not in limited:
                continue
            engines = _find_engines(vm, option.id)
            if not engines or None in engines or "native" in engines:
                continue
            yield self.report(
                context,
                f"aio-max-batch of {option.id} does nothing: its disks use"
                f" {' and '.join(sorted(map(str, engines)))}, and only native AIO uses it",
                subject=option.id,
                span=find_property(vm.source, option, "aio-max-batch"),
                fix=Fix(
                    applicability=Applicability.MANUAL,
                    message="remove aio-max-batch, or use aio=native with O_DIRECT: cache=none of"
                    " a -drive, cache.direct=on of a -blockdev",
                ),
            )


def _find_engines(vm: Vm, iothread: str) -> set[str | None]:
    """Returns the engines of all that runs in an IOThread, None for an unknown one."""
    nodes = {option.id: option for option in vm.options if option.name in {"blockdev", "drive"}}
    engines: set[str | None] = set()
    devices = {id(option) for option in list_devices(vm)}
    for option in vm.options:
        served = {option.properties.get("iothread"), *(m.iothread for m in read_mapping(option))}
        if option.name == "set" and iothread in option.properties.values():
            engines.add(None)
        elif iothread in served:
            known = id(option) in devices and option.kind.startswith("virtio-blk")
            engines.add(_find_engine(nodes, option.properties.get("drive", "")) if known else None)
    return engines


def _find_engine(nodes: dict[str, Option], name: str) -> str | None:
    """Returns the engine configured for a block node, or for a node below it."""
    for _ in range(_MAX_DEPTH):
        written = nodes[name].properties if name in nodes else {}
        engine = written.get("aio", written.get("file.aio"))
        if engine is not None:
            return engine
        name = written.get("file", "")
    return None
