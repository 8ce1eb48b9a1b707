"""The list of rules. A rule's file is found by its code and name and imported when it runs.

It is in its family's folder, or in that of a notation where the rule is about that one alone.

Defects of QEMU releases have no file each: they are one table, `rules/versions/defects.py`.

Importing a rule costs a fraction of a millisecond, so `vmio check` imports all that are selected;
listing, selecting and looking up import none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from importlib import import_module
from typing import NamedTuple, cast

from vmio.errors import UsageError
from vmio.lint.rule import Rule

__all__ = [
    "FAMILIES",
    "NOTATIONS_SHOWN",
    "RULES",
    "Entry",
    "Family",
    "find_rule",
    "load_rule",
    "select_rules",
]

NOTATIONS_SHOWN = ("proxmox", "qemu")
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
    """The only notation that it is about; empty for every."""

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
    Entry("CA001", "aio-native-without-direct"),
    Entry("CA002", "io-uring-on-thick-lvm"),
    Entry("CA003", "io-uring-on-buffered-krbd"),
    Entry("CA004", "io-uring-on-cifs"),
    Entry("CA005", "io-uring-disabled-on-host"),
    Entry("CA006", "aio-contexts-exhausted"),
    Entry("CA007", "page-cache-over-zfs"),
    Entry("CA009", "every-write-is-flushed"),
    Entry("CA011", "aio-without-effect"),
    Entry("CA012", "aio-native-on-sparse-file"),
    Entry("CA014", "dirty-pages-hold-up-writers"),
    Entry("CF001", "unparsable-line", "proxmox"),
    Entry("CF002", "unknown-setting", "proxmox"),
    Entry("CF003", "bad-value", "proxmox"),
    Entry("CF004", "option-not-on-bus", "proxmox"),
    Entry("CF005", "drive-dropped", "proxmox"),
    Entry("CF006", "unknown-section", "proxmox"),
    Entry("CF007", "duplicate-section", "proxmox"),
    Entry("CF008", "misplaced-setting", "proxmox"),
    Entry("CF009", "serial-too-long"),
    Entry("CF010", "machine-gone", "proxmox"),
    Entry("CF011", "volume-refused", "proxmox"),
    Entry("CF020", "refused-option"),
    Entry("CF021", "missing-reference"),
    Entry("CF022", "duplicate-id"),
    Entry("CF023", "unread-config", "qemu"),
    Entry("CF030", "unknown-device"),
    Entry("CF031", "unknown-property"),
    Entry("DI001", "discard-off-on-thin-storage"),
    Entry("DI002", "ssd-emulation-missing-for-windows"),
    Entry("DI004", "detect-zeroes-unmap-without-discard"),
    Entry("DI005", "qcow2-l2-cache-too-small", "proxmox"),
    Entry("DI006", "qcow2-outgrows-block-device", "proxmox"),
    Entry("LI001", "byte-limit-becomes-none", "proxmox"),
    Entry("LI002", "burst-without-limit"),
    Entry("LI003", "scsiblock-ignores-limits", "proxmox"),
    Entry("LI004", "burst-below-limit"),
    Entry("PL001", "too-many-iothreads"),
    Entry("PL002", "affinity-shares-processors", "proxmox"),
    Entry("PL003", "affinity-across-nodes", "proxmox"),
    Entry("QU001", "many-disks-on-one-controller"),
    Entry("QU002", "queues-ignored", "proxmox"),
    Entry("QU003", "queues-exceed-vcpus"),
    Entry("QU004", "single-queue-on-smp"),
    Entry("QU005", "machine-type-with-one-queue", "proxmox"),
    Entry("QU006", "vq-mapping-refused"),
    Entry("QU007", "more-iothreads-than-queues"),
    Entry("QU008", "vq-mapping-is-unmanaged", "proxmox"),
    Entry("QU009", "queue-count-refused"),
    Entry("SA001", "cache-unsafe"),
    Entry("SA002", "werror-loses-writes"),
    Entry("SA003", "disk-left-out-of-backup", "proxmox"),
    Entry("SA004", "snapshot-flag-with-new-machine", "proxmox"),
    Entry("SA005", "volume-chain-needs-new-machine", "proxmox"),
    Entry("SA008", "vhost-user-blk-memory"),
    Entry("TH001", "iothread-ignored-by-controller"),
    Entry("TH002", "scsihw-defaults-to-lsi", "proxmox"),
    Entry("TH003", "iothread-on-ide-or-sata"),
    Entry("TH004", "iothread-used-by-nothing"),
    Entry("TH005", "windows-on-ide"),
    Entry("TH006", "iothread-undefined"),
    Entry("TH007", "change-waits-for-restart", "proxmox"),
    Entry("TH008", "ioeventfd-off"),
    Entry("TH009", "aio-threads-with-iothread"),
    Entry("TH010", "virtio-scsi-iothread-never-polls"),
    Entry("TH011", "polling-blocked-by-handler"),
    Entry("TH012", "poll-factor-of-one"),
    Entry("TH013", "aio-max-batch-without-native"),
    Entry("TH014", "iothread-name-hidden"),
    Entry("TH015", "iothread-with-scsi-cd"),
    Entry("TH016", "legacy-windows-iothread"),
    Entry("TH017", "poll-time-out-of-range"),
    Entry("TH018", "poll-time-unusual"),
    Entry("VE001", "stuck-io-after-drain"),
    Entry("VE002", "resize-deadlock"),
    Entry("VE003", "suspend-backup-deadlock"),
    Entry("VE004", "snapshot-crash"),
    Entry("VE005", "task-abort-deadlock"),
    Entry("VE006", "io-uring-stall-on-ide"),
    Entry("VE007", "io-pressure-on-idle-guest"),
    Entry("VE008", "throttle-group-deadlock"),
    Entry("VE009", "qcow2-discard-corruption"),
    Entry("VE010", "io-uring-iothread-hang"),
    Entry("VE011", "virtio-scsi-iothread-spins"),
    Entry("VE012", "tpm-backup-hang"),
    Entry("VE013", "mirror-zero-write-crash"),
    Entry("VE014", "backup-refused-with-iothread"),
    Entry("VE015", "snapshot-resume-crash"),
    Entry("VE016", "sata-reset-writes-sector-0"),
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


def find_rule(text: str) -> Entry:
    """Returns the rule of a code or a name.

    Raises:
        UsageError: There is none.
    """
    for entry in RULES:
        if text.upper() == entry.code or text.lower() == entry.name:
            return entry
    raise _unknown(text)


def select_rules(select: Iterable[str] = (), ignore: Iterable[str] = ()) -> tuple[Entry, ...]:
    """Returns the selected rules, in the registry's order.

    Args:
        select: Codes, beginnings of codes such as `TH`, and names; none means every rule.
        ignore: The same, taken away again.

    Raises:
        UsageError: One of them means no rule.
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
    """Returns the rules by each name and each beginning of a code."""
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
