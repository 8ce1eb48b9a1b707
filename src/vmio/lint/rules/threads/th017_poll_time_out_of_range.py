"""TH017."""

from __future__ import annotations

import re
from collections.abc import Iterator

from vmio.lint.devices import find_property
from vmio.lint.diagnostic import Diagnostic, Severity
from vmio.lint.rule import Context, Rule
from vmio.lint.versions import Versions
from vmio.model.host import Host
from vmio.model.iothread import DEFAULT_POOL_MAX, MAX_POLL_WEIGHT
from vmio.model.option import Option

__all__ = ["PollTimeOutOfRange"]

_TIMES = ("poll-max-ns", "poll-grow", "poll-shrink", "poll-weight", "aio-max-batch")
_POOL = ("thread-pool-min", "thread-pool-max")
_NUMBER = re.compile(r"[+-]?(?:0[xX][0-9a-fA-F]{1,16}|[1-9]\d{0,18}|0[0-7]{0,22})", re.ASCII)
_WITHOUT_WEIGHT = Versions(before="11.1")
_LARGEST = 2**63 - 1
_LARGEST_POOL = 2**31 - 1


class PollTimeOutOfRange(Rule):
    """Finds parameters of IOThreads that QEMU refuses.

    ## What it does

    Checks `poll-max-ns`, `poll-grow`, `poll-shrink`, `poll-weight`, `aio-max-batch` and
    `thread-pool-min` and `-max` of every `-object iothread`: whole numbers without a unit, none
    of them negative, at least one thread in a pool, and a minimum not above the maximum.
    `poll-weight` is at most 63 and exists from QEMU 11.1 on.

    ## Why is this bad

    QEMU does not start.

    ## Example

    ```
    args: -object iothread,id=io0,poll-max-ns=32us -set device.virtio0.iothread=io0
    virtio0: local-lvm:vm-100-disk-0,size=32G
    ```

    ## Use instead

    ```
    args: -object iothread,id=io0,poll-max-ns=32000 -set device.virtio0.iothread=io0
    virtio0: local-lvm:vm-100-disk-0,size=32G
    ```

    ## Fix safety

    There is no fix to apply: only a person knows which value was meant.

    ## References

    - QEMU 10.0.2: `Parameter 'poll-max-ns' expects an int64 value`, `poll-max-ns value must be in
      range [0, 9223372036854775807]`, `bad thread-pool-min/thread-pool-max values` (the default
      maximum is 64), `Invalid parameter 'poll-weight'`
    - QEMU 11.1.1: `poll-weight value must be in range [0, 63]`
    """

    code = "TH017"
    name = "poll-time-out-of-range"
    severity = Severity.ERROR
    blanks = (("libvirt", "It is reported with whatever else QEMU refuses of a domain (CF020)."),)
    needs = "options"

    def check(self, context: Context) -> Iterator[Diagnostic]:
        """Yields a finding per parameter."""
        vm = context.vm
        for option in vm.options:
            if option.name != "object" or option.kind != "iothread":
                continue
            for key, reason in _find_refusals(option, context.host):
                yield self.report(
                    context,
                    f"QEMU refuses to start: {key} of {option.id[:80]} {reason}",
                    subject=f"{option.id} {key}",
                    span=find_property(vm.source, option, key),
                )


def _find_refusals(option: Option, host: Host) -> Iterator[tuple[str, str]]:
    """Yields the parameters that QEMU refuses, each with the reason."""
    pool = {"thread-pool-min": 0, "thread-pool-max": DEFAULT_POOL_MAX}
    refused = False
    for key in (*_TIMES, *_POOL):
        written = option.properties.get(key)
        if written is None:
            continue
        reason = _refuse(key, written, host)
        if reason:
            refused = refused or key in _POOL
            yield key, reason
        elif key in _POOL:
            pool[key] = _parse_number(written)
    least, most = pool["thread-pool-min"], pool["thread-pool-max"]
    if not refused and least > most:
        key = "thread-pool-min" if "thread-pool-min" in option.properties else "thread-pool-max"
        yield key, f"is out of range: at least {least} threads and at most {most}"


def _refuse(key: str, written: str, host: Host) -> str:
    if key == "poll-weight" and _WITHOUT_WEIGHT.hold(host):
        return "is not known before QEMU 11.1"
    if not _NUMBER.fullmatch(written):
        return f"must be a whole number without a unit, not '{written[:40]}'"
    limits = {"poll-weight": MAX_POLL_WEIGHT, **dict.fromkeys(_POOL, _LARGEST_POOL)}
    least = 1 if key == "thread-pool-max" else 0
    most = limits.get(key, _LARGEST)
    if not least <= _parse_number(written) <= most:
        return f"must be in the range from {least} to {most}"
    return ""


def _parse_number(text: str) -> int:
    """Returns a number as C reads it, octal behind a leading zero."""
    digits = text.lstrip("+-")
    base = 16 if digits[:2].lower() == "0x" else 8 if digits[0] == "0" else 10
    return int(digits, base) * (-1 if text.startswith("-") else 1)
