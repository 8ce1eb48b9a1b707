"""The list of rules. A rule's file follows from its code and name, and is imported when it runs.

It is in its family's folder, or in a notation's folder if the rule is only about that notation.

Defects of QEMU releases are in one table instead, `rules/versions/defects.py`.

Importing a rule costs a fraction of a millisecond, so `vmio check` imports those that can find
something in a guest, half of them for most; listing, selecting and looking up import none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from importlib import import_module
from typing import Literal, NamedTuple, cast

from vmio.errors import UsageError
from vmio.lint.rule import Need, Rule

__all__ = [
    "FAMILIES",
    "NOTATIONS_SHOWN",
    "RULES",
    "Entry",
    "Family",
    "drop_silent",
    "find_rule",
    "load_rule",
    "select_rules",
]

NOTATIONS_SHOWN = ("libvirt", "proxmox", "qemu")
"""The notations in which cases show of every rule that it holds, or why it does not."""


class Family(NamedTuple):
    """Rules about one subject."""

    folder: str
    title: str


class Entry(NamedTuple):
    """A rule's code, name and notation, from which the place of its class follows."""

    code: str
    name: str
    notation: str = ""
    """The only notation that it is about; empty for all."""
    needs: Need | Literal[""] = ""
    """What a guest has to have for the rule to find anything; empty if that is not known."""

    @property
    def family(self) -> Family:
        """The family that its letters name."""
        return FAMILIES[self.code[:2]]


FAMILIES = {
    "CA": Family("cache", "Cache modes and AIO engines"),
    "CF": Family("config", "Form of the configuration"),
    "DI": Family("discard", "Discard and zeroes"),
    "LI": Family("limits", "Throttling limits"),
    "PL": Family("placement", "Placement on the host's processors"),
    "QU": Family("queues", "Virtqueues"),
    "SA": Family("safety", "Data safety"),
    "TH": Family("threads", "I/O threads"),
    "VE": Family("versions", "Defects of certain QEMU releases"),
}

RULES = (
    Entry("CA001", "aio-native-without-direct", needs="aio"),
    Entry("CA002", "io-uring-on-thick-lvm", needs="aio"),
    Entry("CA003", "io-uring-on-buffered-krbd", needs="aio"),
    Entry("CA004", "io-uring-on-cifs", needs="aio"),
    Entry("CA005", "io-uring-disabled-on-host"),
    Entry("CA006", "aio-contexts-exhausted"),
    Entry("CA007", "page-cache-over-zfs"),
    Entry("CA009", "every-write-is-flushed"),
    Entry("CA011", "aio-without-effect", needs="aio"),
    Entry("CA012", "aio-native-on-sparse-file", needs="aio"),
    Entry("CA014", "dirty-pages-hold-up-writers"),
    Entry("CF001", "unparsable-line", "proxmox", needs="problems"),
    Entry("CF002", "unknown-setting", "proxmox", needs="problems"),
    Entry("CF003", "bad-value", "proxmox", needs="problems"),
    Entry("CF004", "option-not-on-bus", "proxmox", needs="problems"),
    Entry("CF005", "drive-dropped", "proxmox", needs="problems"),
    Entry("CF006", "unknown-section", "proxmox", needs="problems"),
    Entry("CF007", "duplicate-section", "proxmox", needs="problems"),
    Entry("CF008", "misplaced-setting", "proxmox", needs="problems"),
    Entry("CF009", "serial-too-long", needs="serial"),
    Entry("CF010", "machine-gone", "proxmox"),
    Entry("CF011", "volume-refused", "proxmox"),
    Entry("CF012", "boot-device-missing", "proxmox"),
    Entry("CF020", "refused-option", needs="problems"),
    Entry("CF021", "missing-reference", needs="problems"),
    Entry("CF022", "duplicate-id", needs="problems"),
    Entry("CF023", "unread-config", needs="problems"),
    Entry("CF024", "partial-command", needs="problems"),
    Entry("CF030", "unknown-device", needs="options"),
    Entry("CF031", "unknown-property", needs="options"),
    Entry("CF040", "domain-part-dropped", "libvirt"),
    Entry("CF041", "domain-part-too-new", "libvirt"),
    Entry("DI001", "discard-off-on-thin-storage"),
    Entry("DI002", "ssd-emulation-missing-for-windows", needs="windows"),
    Entry("DI004", "detect-zeroes-unmap-without-discard", needs="options"),
    Entry("DI005", "qcow2-l2-cache-too-small", "proxmox"),
    Entry("DI006", "qcow2-outgrows-block-device", "proxmox"),
    Entry("LI001", "byte-limit-becomes-none", "proxmox", needs="limits"),
    Entry("LI002", "burst-without-limit", needs="limits"),
    Entry("LI003", "scsiblock-ignores-limits", "proxmox", needs="limits"),
    Entry("LI004", "burst-below-limit", needs="limits"),
    Entry("PL001", "too-many-iothreads"),
    Entry("PL002", "affinity-shares-processors", "proxmox", needs="affinity"),
    Entry("PL003", "affinity-across-nodes", "proxmox", needs="affinity"),
    Entry("PL004", "iothread-pinned-with-vcpu", "libvirt", needs="iothreads"),
    Entry("PL005", "iothreads-left-unpinned", "libvirt", needs="iothreads"),
    Entry("QU001", "many-disks-on-one-controller"),
    Entry("QU002", "queues-ignored", "proxmox"),
    Entry("QU003", "queues-exceed-vcpus"),
    Entry("QU004", "single-queue-on-smp", needs="devices"),
    Entry("QU005", "machine-type-with-one-queue", "proxmox"),
    Entry("QU006", "vq-mapping-refused", needs="options"),
    Entry("QU007", "more-iothreads-than-queues", needs="devices"),
    Entry("QU008", "vq-mapping-is-unmanaged", "proxmox", needs="options"),
    Entry("QU009", "queue-count-refused"),
    Entry("SA001", "cache-unsafe"),
    Entry("SA002", "werror-loses-writes", needs="werror"),
    Entry("SA003", "disk-left-out-of-backup", "proxmox"),
    Entry("SA004", "snapshot-flag-with-new-machine", "proxmox", needs="snapshot"),
    Entry("SA005", "volume-chain-needs-new-machine", "proxmox"),
    Entry("SA008", "vhost-user-blk-memory", needs="options"),
    Entry("TH001", "iothread-ignored-by-controller"),
    Entry("TH002", "scsihw-defaults-to-lsi", "proxmox"),
    Entry("TH003", "iothread-on-ide-or-sata"),
    Entry("TH004", "iothread-used-by-nothing", needs="iothreads"),
    Entry("TH005", "windows-on-ide", needs="windows"),
    Entry("TH006", "iothread-undefined", needs="options"),
    Entry("TH007", "change-waits-for-restart", "proxmox", needs="waiting"),
    Entry("TH008", "ioeventfd-off", needs="options"),
    Entry("TH009", "aio-threads-with-iothread", needs="aio"),
    Entry("TH010", "virtio-scsi-iothread-never-polls", needs="iothreads"),
    Entry("TH011", "polling-blocked-by-handler", needs="options"),
    Entry("TH012", "poll-factor-of-one", needs="iothreads"),
    Entry("TH013", "aio-max-batch-without-native", needs="options"),
    Entry("TH014", "iothread-name-hidden", needs="options"),
    Entry("TH015", "iothread-with-scsi-cd"),
    Entry("TH016", "legacy-windows-iothread"),
    Entry("TH017", "poll-time-out-of-range", needs="options"),
    Entry("TH018", "poll-time-unusual", needs="iothreads"),
    Entry("TH020", "disk-on-added-lsi", "libvirt"),
    Entry("TH021", "old-layout-kept", "libvirt", needs="kept"),
    Entry("VE001", "stuck-io-after-drain", needs="version"),
    Entry("VE002", "resize-deadlock", needs="version"),
    Entry("VE003", "suspend-backup-deadlock", needs="version"),
    Entry("VE004", "snapshot-crash", needs="version"),
    Entry("VE005", "task-abort-deadlock", needs="version"),
    Entry("VE006", "io-uring-stall-on-ide", needs="version"),
    Entry("VE007", "io-pressure-on-idle-guest", needs="version"),
    Entry("VE008", "throttle-group-deadlock", needs="version"),
    Entry("VE009", "qcow2-discard-corruption", needs="version"),
    Entry("VE010", "io-uring-iothread-hang", needs="version"),
    Entry("VE011", "virtio-scsi-iothread-spins", needs="version"),
    Entry("VE012", "tpm-backup-hang", needs="version"),
    Entry("VE013", "mirror-zero-write-crash", needs="version"),
    Entry("VE014", "backup-refused-with-iothread", needs="version"),
    Entry("VE015", "snapshot-resume-crash", needs="version"),
    Entry("VE016", "sata-reset-writes-sector-0", needs="version"),
)


@cache
def load_rule(entry: Entry) -> type[Rule]:
    """Imports the class of a rule."""
    if entry.family is FAMILIES["VE"]:
        from vmio.lint.defects import make_rule

        defects = import_module("vmio.lint.rules.versions.defects")
        return make_rule(entry.code, entry.name, getattr(defects, entry.code))
    stem = f"{entry.code.lower()}_{entry.name.replace('-', '_')}"
    folder = entry.notation or entry.family.folder
    module = import_module(f"vmio.lint.rules.{folder}.{stem}")
    return cast("type[Rule]", getattr(module, entry.name.title().replace("-", "")))


def drop_silent(
    entries: Iterable[Entry], notation: str, present: frozenset[Need]
) -> tuple[Entry, ...]:
    """Returns the rules that can find something in a guest, those of its notation last.

    Args:
        entries: The rules.
        notation: The guest's notation.
        present: What the guest has, from its `Context`.
    """
    by_notation: dict[str, list[Entry]] = {}
    for entry in entries:
        if not entry.needs or entry.needs in present:
            by_notation.setdefault(entry.notation, []).append(entry)
    return (*by_notation.get("", ()), *by_notation.get(notation, ()))


def find_rule(text: str) -> Entry:
    """Returns the rule with a code or a name.

    Raises:
        UsageError: There is no such rule.
    """
    for entry in RULES:
        if text.upper() == entry.code or text.lower() == entry.name:
            return entry
    raise _unknown(text)


def select_rules(select: Iterable[str] = (), ignore: Iterable[str] = ()) -> tuple[Entry, ...]:
    """Returns the selected rules, in the registry's order.

    Args:
        select: Codes, prefixes of codes such as `TH`, and names; none means every rule.
        ignore: The same, for rules to leave out.

    Raises:
        UsageError: One of them matches no rule.
    """
    chosen = set(RULES)
    if selected := tuple(select):
        chosen = {entry for text in selected for entry in _match(text)}
    chosen -= {entry for text in ignore for entry in _match(text)}
    return tuple(entry for entry in RULES if entry in chosen)


def _match(text: str) -> tuple[Entry, ...]:
    found = _index().get(text.lower())
    if found is None:
        raise _unknown(text)
    return found


@cache
def _index() -> Mapping[str, tuple[Entry, ...]]:
    """Returns the rules by each name and each prefix of a code."""
    found: dict[str, tuple[Entry, ...]] = {}
    for entry in RULES:
        code = entry.code.lower()
        for word in (entry.name, *(code[:end] for end in range(1, len(code) + 1))):
            found[word] = (*found.get(word, ()), entry)
    return found


def _unknown(text: str) -> UsageError:
    from difflib import get_close_matches

    known = [word for entry in RULES for word in (entry.code, entry.name)]
    word = text[:80]
    close = get_close_matches(word.upper(), known, n=1) or get_close_matches(word.lower(), known)
    hint = f"did you mean {close[0]}?" if close else "`vmio rule` lists the rules"
    return UsageError(f"there is no rule '{word}'", hint=hint)
