"""Configs beside the command lines that they come to.

701 and 601 are the reference guests, their lines as Proxmox VE itself prints them; the other
configs are the project's own, their lines checked against Proxmox's rules by hand.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from vmio import api
from vmio.formats.proxmox.reader import Guest
from vmio.model.host import Host

FOLDER = Path(__file__).parent / "proxmox"
CONFIGS = sorted(FOLDER.glob("*.conf"))


def load(config: Path) -> tuple[Guest, Host]:
    """Reads a golden config; its description says what of the host or the guest is different."""
    text = config.read_text(encoding="utf-8")
    overrides = re.findall(r"^# host: (.+)$", text, re.MULTILINE)
    snapshot = re.search(r"^# snapshot: (.+)$", text, re.MULTILINE)
    reference = config.stem.isdecimal()
    if reference:
        overrides.append("qemu_version=11.0.0")
    host = api.read_host(str(FOLDER / "host.toml"), overrides)
    guest = api.load_config(
        str(config),
        host=host,
        storage=str(FOLDER / "storage.cfg"),
        vmid=config.stem if reference else "100",
        snapshot=snapshot[1] if snapshot else None,
    )
    return guest, host


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_golden_command_line(config: Path) -> None:
    """A config comes to its command line, word for word."""
    guest, host = load(config)
    assert guest.vm.problems == ()
    expected = config.with_name(f"{config.name}.cmd").read_text(encoding="utf-8")
    assert api.emit(guest, host, pretty=True)[0] == expected.rstrip("\n")


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
