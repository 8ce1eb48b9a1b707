"""Whether the file of a domain may be written: not one of libvirt's own.

Source: libvirt 11.3.0, run: its daemon reads its own files when it starts and at SIGHUP, sees no
change in between, and writes them anew with the next change of its own.
"""

from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path
from typing import Final

from vmio.errors import ConflictError
from vmio.formats.libvirt.doors import recognise
from vmio.formats.shell import join_words
from vmio.model.source import Source

__all__ = ["check_place", "remind_of_file"]

_FOLDERS: Final = ("/etc/libvirt", "/run/libvirt", "/var/run/libvirt", "/var/lib/libvirt")
_OF_USER: Final = (".config", "libvirt")
"""Where the daemon of a user's session keeps its domains, in the user's home."""


def check_place(path: Path) -> None:
    """Refuses a file in a folder of libvirt's.

    Raises:
        ConflictError: It is in one.
    """
    real = path.resolve()
    folders = [Path(folder) for folder in _FOLDERS]
    for name in ("XDG_CONFIG_HOME", "XDG_RUNTIME_DIR"):
        home = os.environ.get(name, "")
        folders += [Path(home) / "libvirt"] if home.startswith("/") else []
    parts = real.parent.parts
    is_user_s = _OF_USER in pairwise(parts)
    if is_user_s or any(real.is_relative_to(folder.resolve()) for folder in folders):
        raise ConflictError(
            f"{path} is libvirt's own file, whose changes its daemon neither sees nor keeps",
            hint=f"name the domain instead: libvirt:{path.stem}",
        )


def remind_of_file(source: Source) -> tuple[str, ...]:
    """Returns how a daemon learns of a domain's file, which it does not read by itself."""
    if not recognise(source):
        return ()
    command = join_words(["virsh", "define", "--validate", source.name])
    return (f"libvirt has the change after: {command}",)
