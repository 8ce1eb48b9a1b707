"""The command line that Proxmox VE would run: one file per family, in the order of `command.py`.

Source: qemu-server 9.2.6.
"""

from __future__ import annotations

from vmio.formats.proxmox.argv.command import build_command

__all__ = ["build_command"]
