"""The same changes as a command of Proxmox VE's, for a person to run."""

from __future__ import annotations

from collections.abc import Sequence

from vmio.formats.base import Guest
from vmio.formats.proxmox.config import parse_config
from vmio.formats.registry import edit, spell
from vmio.formats.shell import join_words
from vmio.model.plan import Change
from vmio.model.source import Source, apply_edits

__all__ = ["render_command"]


def render_command(guest: Guest, changes: Sequence[Change]) -> str:
    """Returns the `qm set` line that makes changes; empty if there are none.

    It is one line, since the digest in it is that of the config before the first change: qm
    refuses it once the config is another. A drive is given whole, as qm takes it.

    Raises:
        PlanError: The config cannot take the changes.
        UsageError: Proxmox VE would not take what they come to.
    """
    if not changes:
        return ""
    source = guest.vm.source
    changed = Source(name=source.name, data=apply_edits(source, edit(guest, changes)))
    settings = parse_config(changed).main.settings()
    keys = list(dict.fromkeys(setting.key for setting in spell(guest, changes)))
    words = ["qm", "set", guest.vm.id]
    for key in keys:
        if key in settings:
            value = settings[key].value_span
            # Another byte in the place of one would be another volume.
            text = changed.data[value.start : value.end].decode("utf-8", "surrogateescape")
            words += [f"--{key}", text]
    gone = [key for key in keys if key not in settings]
    if gone:
        words += ["--delete", ",".join(gone)]
    return join_words([*words, "--digest", source.digest])
