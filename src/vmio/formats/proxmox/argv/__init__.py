"""The command line that Proxmox VE would run: one file a family, `command.py` has their order.

Source: qemu-server 9.2.6.
"""

from __future__ import annotations

from vmio.formats.proxmox.argv.command import (
    CommandLine,
    build_command,
    render_argv,
    render_command,
)
from vmio.formats.proxmox.argv.context import Argument
from vmio.formats.proxmox.argv.drives import render_bridges, render_drives, render_objects

__all__ = [
    "Argument",
    "CommandLine",
    "build_command",
    "render_argv",
    "render_bridges",
    "render_command",
    "render_drives",
    "render_objects",
]
