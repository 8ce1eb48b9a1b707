"""Texts of other kinds: what each is, and what vmio reads instead.

A kind that becomes a notation moves from here into a folder beside `qemu` and `proxmox`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from vmio.errors import InputError
from vmio.model.source import Source

__all__ = ["explain_stranger"]

_HEAD_BYTES = 64 * 1024
"""The first lines show the kind of a text."""


class _Kind(NamedTuple):
    """A kind of text that does not describe a guest."""

    what: str
    hint: str
    matches: Callable[[str], object]


def _searching(pattern: str) -> Callable[[str], object]:
    return re.compile(pattern, re.MULTILINE | re.ASCII).search


_KINDS = (
    _Kind(
        "libvirt's XML of a guest with other text around it",
        "the XML alone, as 'virsh dumpxml --inactive NAME > NAME.xml' writes it",
        _searching(r"<dom(?:ain|ainsnapshot|status)\b"),
    ),
    _Kind(
        "XML, not a VM config or a QEMU command line",
        "a Proxmox VE config, or a QEMU command line as ps prints it",
        _searching(r"\A\s*(?:<\?xml\b|<!|<[a-z][\w:-]*[ >])"),
    ),
    _Kind(
        "a manifest of KubeVirt, which is not read yet",
        "the command line is in its pod: kubectl exec POD -- ps -ww -e -o args, and give that",
        _searching(r"^\s*apiVersion: *[\"']?kubevirt\.io/"),
    ),
    _Kind(
        "a manifest of Kubernetes, not a VM config or a QEMU command line",
        "the command line is in the pod: kubectl exec POD -- ps -ww -e -o args, and give that",
        _searching(r"^apiVersion: "),
    ),
    _Kind(
        "the config of a container, which has no QEMU",
        "the configs of VMs are in /etc/pve/qemu-server",
        _searching(r"^rootfs: "),
    ),
    _Kind(
        "a storage.cfg, which describes the storages of a cluster and no guest",
        "name a VM's config or its folder; --storage FILE names the storage.cfg to go by",
        _searching(
            r"\A(?:\s*#.*\n|\s*\n)*(?:btrfs|cephfs|cifs|dir|esxi|glusterfs|iscsi|iscsidirect|lvm"
            r"|lvmthin|nfs|pbs|rbd|zfs|zfspool):[ \t]*[A-Za-z][\w.-]*[ \t]*\r?\n[ \t]+[a-z]"
        ),
    ),
    _Kind(
        "a command of Proxmox VE, or its log, not a VM's config",
        "qm config VMID prints the config of a VM",
        _searching(
            r"^(?:.*[#$] )?(?:sudo )?qm (?:create|set|importdisk|clone)\b|\bupdate VM \d+: -"
        ),
    ),
    _Kind(
        "what a QEMU says of one of its options, not the command line",
        "the whole command: 'ps -ww -e -o args', 'qm showcmd VMID', a script or a log that has it",
        _searching(r"\b(?:qemu-system-\w+|qemu-kvm|kvm): -[a-z-]{1,30} [^\n]{1,2000}: "),
    ),
    _Kind(
        "a few options of a QEMU, without the program",
        "the whole command from its program on, or put qemu-system-x86_64 before the first option",
        _searching(r"^[ \t>]*-(?:blockdev|device|drive|object) [\"']?(?:\{|[\w.-]{1,99}[,=])"),
    ),
    _Kind(
        "a file of options for QEMU's -readconfig, not a whole command line",
        "a command line that names it with -readconfig, as: qemu-system-x86_64 -readconfig FILE",
        _searching(r'^\[[a-z][\w-]*(?: "[^"\n]{1,99}")?\]\s*\n(?:\s*(?:#.*)?\n)*\s*[\w.-]+ *= *"'),
    ),
    _Kind(
        "a shell script that calls no QEMU with its options written out",
        "what it runs is shown by: bash -x SCRIPT; or name pid:PID while the guest runs",
        _searching(r"\A#!.*\b(?:sh|bash|zsh|dash)\b"),
    ),
    _Kind(
        "JSON, but neither a VM's config nor the words of a QEMU command line",
        "pvesh get /nodes/NODE/qemu/VMID/config --output-format json prints a config",
        _searching(r'\A\s*[{\[]\s*(?:["{\[\]}])'),
    ),
    _Kind(
        "YAML, not a VM config or a QEMU command line",
        "a Proxmox VE config, or a QEMU command line as ps prints it",
        _searching(
            r"\A(?:\s*#.*\n)*"
            r"(?:---\s*$|- [\w.-]+: .*\n +|\s*(?:- )?[\w.-]+:\s*\n\s+(?:- )?[\w.\"'-]+)"
        ),
    ),
)


def explain_stranger(source: Source) -> InputError:
    """Returns the error that says what a text is, and what to give instead."""
    name, data = source.name, source.data
    if not data.strip():
        return InputError(f"{name} is empty, not a VM config")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return InputError(
            f"{name} is text in UTF-16, as PowerShell's > writes it",
            hint="save it in UTF-8; in PowerShell: COMMAND | Out-File -Encoding utf8 FILE",
        )
    if b"\0" in data:
        return InputError(f"{name} is binary, not a VM config")
    head = data[:_HEAD_BYTES].decode("utf-8", "replace")
    for kind in _KINDS:
        if kind.matches(head):
            return InputError(f"{name} is {kind.what}", hint=kind.hint)
    return InputError(
        f"{name} is not a VM config, and no QEMU command line is in it",
        hint="give a config, a QEMU command line as ps or qm showcmd prints it, or pid:PID",
    )
