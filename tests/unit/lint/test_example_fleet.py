"""What the rules say of a small cluster of ordinary guests, `examples/fleet`.

Each guest is what one finds on a real host: most of it right, some of it not. The golden file has
a line per finding, and every line has been read: when a rule is added or changed, read the lines
that change before they are written there.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from vmio.formats.base import ReadContext
from vmio.formats.host_toml import parse_host
from vmio.formats.proxmox.reader import read_guest
from vmio.formats.proxmox.storage import parse_storages
from vmio.formats.registry import lay_out
from vmio.lint.engine import run
from vmio.lint.rule import Context
from vmio.model.source import Source

FLEET = Path(__file__).parents[3] / "examples" / "fleet"
GOLDEN = Path(__file__).parents[2] / "golden" / "fleet.txt"


def describe_findings() -> Iterator[str]:
    """Yields a line per guest of the fleet, and under it one per finding."""
    storages = parse_storages(read(FLEET / "storage.cfg"))
    for path in sorted(FLEET.glob("nodes/*/qemu-server/*.conf")):
        host = parse_host(read(path.parents[1] / "host.toml"))
        guest = read_guest(read(path), ReadContext(storages=storages, host=host))
        yield f"{host.node} {guest.vm.id} {guest.vm.name}"
        for found in run(Context(guest=guest, topology=lay_out(guest), host=host)):
            yield f"  {found.severity} {found.code} {found.name} {found.subject}"


def read(path: Path) -> Source:
    """Returns a file's text."""
    return Source(name=path.name, data=path.read_bytes())


def test_example_fleet_has_the_findings_that_were_read() -> None:
    """Every guest has the findings of the golden file and no other."""
    assert list(describe_findings()) == GOLDEN.read_text(encoding="utf-8").splitlines()


def test_example_fleet_is_all_resolved() -> None:
    """Every disk's storage is known, so that no rule is silent for want of it."""
    storages = parse_storages(read(FLEET / "storage.cfg"))
    for path in sorted(FLEET.glob("nodes/*/qemu-server/*.conf")):
        host = parse_host(read(path.parents[1] / "host.toml"))
        guest = read_guest(read(path), ReadContext(storages=storages, host=host))
        assert guest.vm.disks
        assert [disk.backing.error for disk in guest.vm.disks if disk.backing is not None] == [
            "" for _ in guest.vm.disks
        ]
