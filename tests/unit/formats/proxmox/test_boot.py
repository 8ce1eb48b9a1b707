"""The boot order."""

from __future__ import annotations

from vmio.formats.proxmox.boot import boot_indices

DRIVES = (("ide0", False), ("ide2", True), ("scsi0", False), ("scsi1", False))


def test_order_numbers_by_position_even_what_is_missing() -> None:
    """A device that is not there still uses up a number; a repeated one keeps its last."""
    found = boot_indices("order=scsi0;net9;ide2;scsi0", None, DRIVES, ["net0"])
    assert found == {"scsi0": 103, "net9": 101, "ide2": 102}


def test_nothing_written_numbers_cdroms_and_nets_but_no_disk() -> None:
    """Without `boot` and `bootdisk` the letters are cdn, and no disk is bootable."""
    assert boot_indices(None, None, DRIVES, ["net0", "net1"]) == {
        "ide2": 200,
        "net0": 300,
        "net1": 301,
    }


def test_bootdisk_counts_the_disks_before_it() -> None:
    """The boot disk's number goes up with every disk visited before it."""
    assert boot_indices("c", "scsi0", DRIVES, ["net0"]) == {"scsi0": 101}


def test_letters_decide_the_hundreds() -> None:
    """A letter's place is its hundred; a repeated letter takes its last place."""
    assert boot_indices("legacy=dnd", "scsi0", DRIVES, ["net0"]) == {"ide2": 300, "net0": 200}


def test_lone_blank_boots_nothing() -> None:
    """One blank switches every boot device off."""
    assert boot_indices(" ", "scsi0", DRIVES, ["net0"]) == {}


def test_legacy_wins_over_order() -> None:
    """With both forms the letters hold."""
    assert boot_indices("legacy=c,order=ide2", "ide0", DRIVES, []) == {"ide0": 100}
