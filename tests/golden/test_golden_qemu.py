"""Command lines beside the layouts that they say.

They are the project's own, in the style of libvirt, of QEMU's manual and of people. Proxmox's are
beside their configs, and have to say the layout that the config is planned to.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vmio.cli.main import main

LINES = sorted((Path(__file__).parent / "qemu").glob("*.args"))


@pytest.mark.parametrize("line", LINES, ids=lambda path: path.stem)
def test_golden_layout(
    line: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A command line says its layout, and nothing in it goes unread."""
    monkeypatch.chdir(line.parent)
    with pytest.raises(SystemExit) as caught:
        main(("show", line.name, "--json"))
    out, err = capsys.readouterr()
    assert (caught.value.code, err) == (0, "")
    told = json.loads(out)["data"]
    assert told == json.loads(line.with_suffix(".json").read_text(encoding="utf-8"))


def test_golden_lines_show_every_kind_of_controller() -> None:
    """No kind of disk that the reader knows is left without a golden."""
    text = "".join(line.with_suffix(".json").read_text(encoding="utf-8") for line in LINES)
    for model in (
        "ahci",
        "ich9-ahci",
        "megasas",
        "nvme",
        "piix3-ide",
        "usb-storage",
        "virtio-blk-pci",
        "virtio-scsi-pci",
    ):
        assert f'"model": "{model}"' in text
