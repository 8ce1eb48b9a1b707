"""TH011."""

from __future__ import annotations

from collections.abc import Iterator

from vmio.lint.devices import find_property
from vmio.lint.diagnostic import Applicability, Diagnostic, Fix, Severity
from vmio.lint.rule import Context, Rule
from vmio.lint.versions import Versions
from vmio.model.option import Option

__all__ = ["PollingBlockedByHandler"]

_EXPORTS_BLOCK = Versions(before="10.2")


class PollingBlockedByHandler(Rule):
    """Finds a polling time set on an IOThread that cannot poll because of another user.

    ## What it does

    Looks for a `poll-max-ns` above 0 on an IOThread that also serves a `colo-compare` object, or
    in a QEMU before 10.2 an export (`qemu-storage-daemon --export`).

    ## Why is this bad

    An IOThread busy-polls only when everything that it watches can be polled, and an export's
    sockets cannot; only from 10.2 on, where io_uring watches them, do they not matter. For
    `colo-compare` the IOThread runs another kind of loop, which never polls. `poll-max-ns` is
    shown by `query-iothreads` all the same, and does nothing.

    ## Example

    ```
    qemu-storage-daemon --object iothread,id=a,poll-max-ns=100000
    --blockdev driver=file,node-name=f,filename=/srv/f.raw
    --export type=nbd,id=e,node-name=f,iothread=a
    ```

    ## Use instead

    ```
    qemu-storage-daemon --object iothread,id=a
    --blockdev driver=file,node-name=f,filename=/srv/f.raw
    --export type=nbd,id=e,node-name=f,iothread=a
    ```

    ## Fix safety

    There is no fix to apply. Give disks that should be polled an IOThread of their own.

    ## References

    - QEMU 10.0.2, an NBD export on the IOThread: 1 phase of polling in 350,000 requests
    - QEMU 11.1.1, the same export: 3,627 phases
    - QEMU 7.2 to 11.1: the loop that an IOThread runs for `colo-compare`
    """

    code = "TH011"
    name = "polling-blocked-by-handler"
    severity = Severity.WARNING
    blanks = (("libvirt", "A domain gives IOThreads to disks and their controllers alone."),)
    needs = "options"

    def check(self, context: Context) -> Iterator[Diagnostic]:
        """Yields a finding per IOThread."""
        vm = context.vm
        polling = {iothread.id for iothread in vm.iothreads if iothread.poll_max_ns}
        blocked = {
            user.properties["iothread"]: user
            for user in (vm.options if polling else ())
            if user.properties.get("iothread") in polling and _blocks(user, context)
        }
        for option in vm.options if blocked else ():
            user = blocked.get(option.id) if option.name == "object" else None
            if user is None:
                continue
            what = user.kind if user.name == "object" else user.name
            yield self.report(
                context,
                f"poll-max-ns of {option.id} does nothing: an IOThread with {what}"
                f" {user.id[:80]} never polls",
                subject=option.id,
                span=find_property(vm.source, option, "poll-max-ns"),
                fix=Fix(
                    applicability=Applicability.MANUAL,
                    message="remove poll-max-ns, or move the disks to another IOThread",
                ),
            )


def _blocks(user: Option, context: Context) -> bool:
    if user.name == "export":
        return _EXPORTS_BLOCK.hold(context.host)
    return user.name == "object" and user.kind == "colo-compare"
