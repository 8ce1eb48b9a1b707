"""The storage half under its former name."""

from __future__ import annotations

from vmio.formats.proxmox.argv import Argument, render_drives, render_objects

__all__ = ["Argument", "render_drives", "render_objects"]
