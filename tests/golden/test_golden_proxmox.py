"""Configs beside the command lines that they come to.

701 and 601 are the reference guests, their lines as Proxmox VE itself prints them; the other
configs are the project's own, their lines checked against Proxmox's rules by hand.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from vmio import api

FOLDER = Path(__file__).parent / "proxmox"
CONFIGS = sorted(FOLDER.glob("*.conf"))


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_golden_command_line(config: Path) -> None:
    """A config comes to its command line, word for word."""
    reference = config.stem.isdecimal()
    host = api.read_host(str(FOLDER / "host.toml"), ["qemu_version=11.0.0"] if reference else [])
    vmid = config.stem if reference else "100"
    guest = api.load(str(config), host=host, storage=str(FOLDER / "storage.cfg"), vmid=vmid)
    assert guest.vm.problems == ()
    expected = config.with_name(f"{config.name}.cmd").read_text(encoding="utf-8")
    assert api.emit(guest, host, pretty=True) == expected.rstrip("\n")


def test_golden_configs_show_every_controller() -> None:
    """No kind of controller or bus is left without a golden."""
    text = "".join(path.read_text(encoding="utf-8") for path in FOLDER.glob("*.cmd"))
    for device in (
        "lsi,",
        "lsi53c810,",
        "megasas,",
        "pvscsi,",
        "virtio-scsi-pci,",
        "virtio-blk-pci,",
        "ahci,",
        "ide-hd,bus=ide.",
        "ide-cd,",
        "scsi-cd,",
        "scsi-hd,",
    ):
        assert f"-device '{device}" in text
