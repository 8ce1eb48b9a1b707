"""The same changes as Proxmox VE's own command, for a person to run."""

from __future__ import annotations

from collections.abc import Sequence

from vmio.formats.proxmox.config import parse_config
from vmio.formats.proxmox.edit import edit_config, list_settings
from vmio.formats.proxmox.reader import ProxmoxGuest
from vmio.formats.shell import join_words
from vmio.model.plan import Change
from vmio.model.source import Source, apply_edits

__all__ = ["render_command"]


def render_command(guest: ProxmoxGuest, changes: Sequence[Change]) -> str:
    """Returns the `qm set` command for changes; empty if there are none.

    It is a single command, because its digest is that of the config before the first change: qm
    refuses it once the config has changed. A drive is written whole, as qm requires.

    Raises:
        PlanError: The config cannot express the changes.
        UsageError: Proxmox VE would refuse the resulting values.
    """
    if not changes:
        return ""
    source = guest.vm.source
    changed = Source(name=source.name, data=apply_edits(source, edit_config(guest, changes)))
    settings = parse_config(changed).main.settings()
    keys = list(dict.fromkeys(setting.key for setting in list_settings(guest, changes)))
    words = ["qm", "set", guest.vm.id]
    for key in keys:
        if key in settings:
            value = settings[key].value_span
            # Another character in place of such a byte would name another volume.
            text = changed.data[value.start : value.end].decode("utf-8", "surrogateescape")
            words += [f"--{key}", text]
    gone = [key for key in keys if key not in settings]
    if gone:
        words += ["--delete", ",".join(gone)]
    return join_words([*words, "--digest", source.digest])
