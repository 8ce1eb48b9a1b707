"""TH021."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from vmio.errors import VmioError
from vmio.formats.base import KeptConfig
from vmio.formats.shell import quote
from vmio.lint.diagnostic import Applicability, Diagnostic, Fix, Severity
from vmio.lint.rule import Context
from vmio.lint.rules.libvirt.rule import LibvirtRule, guest_of
from vmio.model.iothread import MAIN_LOOP
from vmio.model.topology import Topology
from vmio.values import replace

__all__ = ["OldLayoutKept"]

_MOST_TOLD = 3
_SHOWN = 40


class OldLayoutKept(LibvirtRule):
    """Finds managed saves and snapshots that bring another layout of threads back.

    ## What it does

    Of a domain that it reads from a daemon, it compares which threads serve which disks with the
    same in the managed save and in the snapshots. A saved XML file does not show what the daemon
    keeps beside it.

    ## Why is this bad

    A managed save is a guest's memory with its devices. The next start restores it, with the
    layout that it was saved with, and a change of the domain since then has no effect until the
    guest is shut down and started again. Reverting to a snapshot replaces the configuration by the
    snapshot's copy.

    ## Example

    ```saved
    <domain type="kvm">
      <name>web</name>
      <devices>
        <disk type="block">
          <driver name="qemu" type="raw" cache="none" io="native"/>
          <source dev="/dev/vg0/web"/>
          <target dev="vda" bus="virtio"/>
        </disk>
      </devices>
    </domain>
    ```

    ```
    <domain type="kvm">
      <name>web</name>
      <iothreads>1</iothreads>
      <devices>
        <disk type="block">
          <driver name="qemu" type="raw" cache="none" io="native" iothread="1"/>
          <source dev="/dev/vg0/web"/>
          <target dev="vda" bus="virtio"/>
        </disk>
      </devices>
    </domain>
    ```

    ## Use instead

    ```
    <domain type="kvm">
      <name>web</name>
      <iothreads>1</iothreads>
      <devices>
        <disk type="block">
          <driver name="qemu" type="raw" cache="none" io="native" iothread="1"/>
          <source dev="/dev/vg0/web"/>
          <target dev="vda" bus="virtio"/>
        </disk>
      </devices>
    </domain>
    ```

    ## Fix safety

    There is no fix to apply: a managed save is the guest's memory, and a snapshot is kept on
    purpose.

    ## References

    - libvirt 11.3.0 with QEMU 10.0.2, run: a start after `virsh managedsave` has the threads from
      before, whatever was defined since; so has a guest after `virsh snapshot-revert`
    """

    code = "TH021"
    name = "old-layout-kept"
    severity = Severity.WARNING
    needs = "kept"
    elsewhere = "Only libvirt's daemon keeps copies of a domain beside it."

    def check(self, context: Context) -> Iterator[Diagnostic]:
        """Yields a finding for the managed save, and one for all snapshots."""
        guest = guest_of(context)
        root = guest.domain.root
        name = root.find("name") if root is not None else None
        span = name.span if name is not None else None
        snapshots: dict[str, str] = {}
        for kept in guest.context.kept:
            difference = _find_difference(context, kept)
            if not difference:
                continue
            if kept.snapshot:
                snapshots[kept.snapshot] = difference
                continue
            yield self.report(
                context,
                "the next start restores the managed save, which has another layout:"
                f" {difference}",
                subject="managed save",
                span=span,
                fix=Fix(
                    applicability=Applicability.MANUAL,
                    message="start the guest, shut it down and start it again; or discard its"
                    f" memory: virsh managedsave-remove {quote(guest.vm.id)}",
                ),
            )
        if snapshots:
            yield self.report(
                context,
                f"reverting to {_name_snapshots(tuple(snapshots))} brings another layout back:"
                f" {next(iter(snapshots.values()))}",
                subject="snapshots",
                span=span,
                severity=Severity.INFO,
                fix=Fix(
                    applicability=Applicability.MANUAL,
                    message="plan again after reverting, or delete a snapshot that nobody needs",
                ),
            )


def _name_snapshots(names: Sequence[str]) -> str:
    shown = [f"'{name[:_SHOWN]}'" for name in names[:_MOST_TOLD]]
    if names[_MOST_TOLD:]:
        shown.append(f"{len(names) - _MOST_TOLD} more")
    listed = f"{', '.join(shown[:-1])} or {shown[-1]}" if shown[1:] else shown[0]
    return f"the snapshot{'s' if names[1:] else ''} {listed}"


def _find_difference(context: Context, kept: KeptConfig) -> str:
    """Returns how a copy's layout differs, in words; empty if it does not, or cannot be read."""
    from vmio.formats.registry import lay_out, read

    try:
        other = lay_out(read(kept.source, replace(context.guest.context, kept=())))
    except VmioError:
        return ""
    now, then = _list_threads(context.topology), _list_threads(other)
    missing = [disk for disk in now if disk not in then]
    if missing:
        return f"it has no {_join(missing)}"
    by_threads: dict[tuple[str, ...], list[str]] = {}
    for disk, threads in now.items():
        if then[disk] != threads:
            by_threads.setdefault(then[disk], []).append(disk)
    told = []
    for threads, disks in by_threads.items():
        others = dict.fromkeys(thread for disk in disks for thread in now[disk])
        verb = "are" if disks[1:] else "is"
        told.append(
            f"{_join(disks)} {verb} served by {_name(threads)}, not by {_name(tuple(others))}"
        )
    return "; ".join(told[:_MOST_TOLD])


def _list_threads(topology: Topology) -> Mapping[str, tuple[str, ...]]:
    """Returns the threads that serve each disk with data."""
    return {
        each.disk.id: tuple(sorted(topology.served_by(each)))
        for each in topology.disks
        if each.disk.keeps_data
    }


def _name(threads: Sequence[str]) -> str:
    return _join(["the main loop" if each == MAIN_LOOP else each for each in threads])


def _join(names: Sequence[str]) -> str:
    shown = [*names[:_MOST_TOLD]]
    if names[_MOST_TOLD:]:
        shown.append(f"{len(names) - _MOST_TOLD} more")
    return f"{', '.join(shown[:-1])} and {shown[-1]}" if shown[1:] else shown[0]
