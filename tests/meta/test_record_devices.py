"""The tool that records devices: what it writes is the data, in whatever order it is told."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from vmio.formats.qemu.catalogue import DATA_FILE, Catalogue

CHECK = """
import sys
from contextlib import suppress
from vmio.cli.main import main
sys.argv[1:] = ["check", *sys.argv[1:], "--qemu-version", "10.0.2"]
with suppress(SystemExit):
    main()
print("vmio.formats.qemu.catalogue" in sys.modules)
"""
ROOT = Path(__file__).parents[2]
TOOL = runpy.run_path(str(ROOT / "tools" / "record_devices.py"))


def make_recording(release: str, target: str, **devices: str) -> Any:  # noqa: ANN401 - the tool's
    """Returns a recording of some devices with their properties."""
    return TOOL["Recording"](
        release=release,
        package="",
        target=target,
        devices={name: frozenset(names.split()) for name, names in devices.items()},
        aliases={"disk": next(iter(devices))},
        iothread=frozenset({"poll-max-ns"} if release.startswith("7") else {"poll-max-ns", "new"}),
        others=frozenset({"cirrus-vga"}),
    )


RECORDINGS = (
    make_recording("7.2.0", "x86_64", pci="drive old", gone="drive"),
    make_recording("9.2.1", "x86_64", pci="drive old switch"),
    make_recording("10.0.2", "x86_64", pci="drive switch"),
    make_recording("10.0.2", "s390x", ccw="drive", pci="drive switch loadparm"),
)


def merge_all(recordings: tuple[Any, ...]) -> dict[str, Any]:
    """Returns the data of some recordings, made one after the other."""
    document: dict[str, Any] = {
        "releases": {},
        "iothread": {},
        "devices": {},
        "aliases": {},
        "others": [],
    }
    for recording in recordings:
        document = TOOL["merge"](document, recording)
    return document


def test_order_of_recordings_makes_no_difference() -> None:
    """Whichever QEMU is asked first, the data is the same, and asking again changes nothing."""
    documents = {TOOL["render"](merge_all(order)) for order in permutations(RECORDINGS)}
    assert len(documents) == 1
    assert TOOL["render"](merge_all((*RECORDINGS, *RECORDINGS))) in documents


def test_data_says_what_each_qemu_said() -> None:
    """Nothing of a recording is lost; targets of one release share what a device takes."""
    catalogue = Catalogue(merge_all(RECORDINGS))
    for recording in RECORDINGS:
        release, target = recording.release, recording.target
        assert catalogue.list_devices(target, release) == {*recording.devices, "disk"}
        for name, properties in recording.devices.items():
            shared = {"loadparm"} if (release, name) == ("10.0.2", "pci") else set()
            assert catalogue.list_properties(name, release) == properties | shared
        assert catalogue.list_iothread_properties(release) == recording.iothread


def test_file_is_as_the_tool_writes_it() -> None:
    """The next recording shows in a diff what is new, and nothing else."""
    text = DATA_FILE.read_text(encoding="utf-8")
    assert TOOL["render"](json.loads(text)) == text
    assert max(map(len, text.splitlines())) <= 100


@pytest.mark.parametrize(("args", "loaded"), [("", "False"), ("args: -device lsi,x=1\n", "True")])
def test_data_is_read_for_a_guest_with_devices_of_its_own(
    args: str, loaded: str, tmp_path: Path
) -> None:
    """A config without options of QEMU's own is checked without the data."""
    config = tmp_path / "100.conf"
    config.write_text(f"{args}cores: 1\nvirtio0: local-lvm:vm-100-disk-0,size=1G\n")
    argv = (sys.executable, "-c", CHECK, str(config))
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == loaded
