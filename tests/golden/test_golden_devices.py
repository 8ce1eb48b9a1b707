"""No golden command line has a device or a property that recorded releases of QEMU refuse."""

from __future__ import annotations

from pathlib import Path

import pytest

from vmio.formats.base import ReadContext
from vmio.formats.registry import lay_out, read
from vmio.lint.engine import run
from vmio.lint.rule import Context
from vmio.model.host import Host
from vmio.model.source import Source
from vmio.model.version import parse_version

FOLDER = Path(__file__).parent
COMMANDS = sorted((*FOLDER.glob("*/*.cmd"), *FOLDER.glob("*/*.args")))


@pytest.mark.parametrize("path", COMMANDS, ids=lambda path: path.name)
def test_qemu_has_what_golden_commands_ask_for(path: Path) -> None:
    """What vmio prints for a Proxmox config, and what others start, newer QEMUs take too."""
    for version in ("10.0.2", "10.1.0", "11.1.0"):
        host = Host(qemu_version=parse_version(version))
        source = Source(name=path.name, data=path.read_bytes())
        guest = read(source, ReadContext(host=host))
        context = Context(guest=guest, topology=lay_out(guest), host=host)
        assert [found.message for found in run(context, select=["CF030", "CF031"])] == []
