"""The golden command lines, whole, on a real QEMU.

What only a Proxmox node has is replaced: files by empty ones, its sockets' folder, tap devices by
user networking, KVM's processor by TCG's. Everything else stays as it is printed, and QEMU has to
take it. What needs hardware or a module that the set-up does not install is named below.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from vmio.formats.shell import split_words
from vmio.qemu.process import QemuProcess

GOLDENS = Path(__file__).parents[1] / "golden" / "proxmox"

LACKING = {
    "vfio-pci": "a PCI device to pass through",
    "usb-host": "a USB device to pass through",
    "-spice": "QEMU's SPICE module",
    "spicevmc": "QEMU's SPICE module",
    "qxl": "QEMU's SPICE module",
    "virtio-vga-gl": "a GPU",
    "egl-headless": "a GPU",
    "sev-": "a processor with SEV",
    "vhost-user-fs-pci": "a running virtiofsd",
    "tpm-tis": "a running swtpm",
    "scsi-generic": "a SCSI device",
    "-loadstate": "a saved state",
    "hugetlb": "huge pages",
    "host_tunnel": "QEMU 11.0",
    "-11.0+pve": "QEMU 11.0",
    "hugepages": "huge pages",
    "qemu-system-aarch64": "a QEMU for aarch64",
    "type=virt": "a QEMU for aarch64",
}
"""What a command has that this host or the set-up's QEMU cannot have, and what it is."""

FILES = ("file", "host_device", "host_cdrom", "iscsi", "rbd")
BRIDGES = (
    "i82801b11-bridge,id=node-bridge,bus=pcie.0,addr=1e.0",
    *(
        f"pci-bridge,id=pci.{n},bus=node-bridge,addr={n + 1:#x},chassis_nr={n + 10}"
        for n in range(4)
    ),
    "ich9-usb-ehci1,id=ehci,bus=pcie.0,addr=1d.7,multifunction=on",
    "ich9-usb-uhci1,id=uhci,bus=pcie.0,addr=1d.0,masterbus=ehci.0,firstport=0,multifunction=on",
    *(
        f"ioh3420,id=ich9-pcie-port-{n},bus=pcie.0,addr=1c.{n - 1},chassis={n},multifunction=on"
        for n in range(1, 5)
    ),
)
"""What a Proxmox node's own file for q35 machines defines."""


class Files:
    """Empty files that stand in for a node's."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.paths: dict[str, str] = {}

    def place(self, original: str) -> str:
        """Returns the stand-in of a file, one for each name."""
        if original not in self.paths:
            path = self.folder / f"file-{len(self.paths)}.raw"
            with path.open("wb") as file:
                file.truncate(1 << 20)
            self.paths[original] = str(path)
        return self.paths[original]

    def place_node(self, node: Any) -> Any:  # noqa: ANN401 - JSON
        """Returns a block node over stand-ins, its formats made raw."""
        if not isinstance(node, dict):
            return node
        placed = {key: self.place_node(value) for key, value in node.items()}
        if placed.get("driver") in FILES and "file" not in placed:
            kept = {"aio", "cache", "detect-zeroes", "discard", "node-name", "read-only"}
            name = json.dumps(node.get("filename", node), sort_keys=True)
            placed = {key: value for key, value in placed.items() if key in kept}
            placed |= {"driver": "file", "filename": self.place(name)}
        elif "file" in placed and placed.get("driver") not in {"raw", "throttle"}:
            placed["driver"] = "raw"
            placed.pop("discard-no-unref", None)
            placed.pop("backing", None)
        return placed


def rewrite_readconfig(_value: str, _files: Files) -> Iterator[str]:
    """Yields the devices that a node's file for q35 machines defines."""
    for bridge in BRIDGES:
        yield from ("-device", bridge)


def rewrite_machine(value: str, _files: Files) -> Iterator[str]:
    """Yields the machine without Proxmox's suffix and firmware, which stand-ins cannot be."""
    value = re.sub(r"\+pve\d+|pflash\d=[^,]*,", "", value)
    yield from ("-machine", re.sub(r",?(?:accel|kernel-irqchip)=[^,]*", "", value).lstrip(","))


def rewrite_netdev(value: str, _files: Files) -> Iterator[str]:
    """Yields user networking, for which a host needs no bridge."""
    identity = re.search(r"id=(net\d+)", value)
    assert identity is not None
    yield from ("-netdev", f"user,id={identity[1]}")


def rewrite_chardev(value: str, files: Files) -> Iterator[str]:
    """Yields a socket in another folder, or nothing behind what would be the host's own port."""
    value = re.sub(r"^serial(.*?),path=.*", r"null\1", value)
    yield from ("-chardev", re.sub(r"path=[^,]*/", f"path={files.folder}/", value))


def rewrite_blockdev(value: str, files: Files) -> Iterator[str]:
    """Yields the same nodes over stand-ins."""
    yield from ("-blockdev", json.dumps(files.place_node(json.loads(value))))


def rewrite_drive(value: str, files: Files) -> Iterator[str]:
    """Yields the same drive over a stand-in; firmware is left out."""
    if "if=pflash" not in value:
        value = re.sub(r"file=([^,]*)", lambda match: f"file={files.place(match[1])}", value)
        yield from ("-drive", re.sub(r"format=\w+", "format=raw", value))


def rewrite_device(value: str, _files: Files) -> Iterator[str]:
    """Yields a device without what hangs on its network back end or on a node's ROM file."""
    yield from ("-device", re.sub(r",romfile=[^,]*|,packed=on|,mq=on", "", value))


NODE_ONLY = ("-id", "-pidfile", "-daemonize", "-vnc", "-iscsi", "-display", "-snapshot")
REWRITES: dict[str, Callable[[str, Files], Iterator[str]]] = {
    "-readconfig": rewrite_readconfig,
    "-machine": rewrite_machine,
    "-netdev": rewrite_netdev,
    "-chardev": rewrite_chardev,
    "-blockdev": rewrite_blockdev,
    "-drive": rewrite_drive,
    "-device": rewrite_device,
    "-cpu": lambda _value, _files: iter(("-cpu", "max")),
    "-boot": lambda value, _files: iter(("-boot", re.sub(r",splash=[^,]*", "", value))),
}


def localise(words: list[str], files: Files) -> Iterator[str]:
    """Yields a golden command's words for this host."""
    yield from ("qemu-system-x86_64", "-S", "-display", "none", "-accel", "tcg")
    position = words.index("-id")
    while position < len(words):
        option, *rest = words[position : position + 2]
        value = rest[0] if rest and not rest[0].startswith("-") else None
        position += 1 if value is None else 2
        if option in NODE_ONLY:
            continue
        if option in REWRITES and value is not None:
            yield from REWRITES[option](value, files)
        else:
            yield from (option,) if value is None else (option, value)


def list_devices(words: list[str]) -> set[str]:
    """Returns the ids of the devices that a command line makes."""
    devices = [value for option, value in pairwise(words) if option == "-device"]
    found = (re.search(r"(?:^|,)id=([^,]+)", device) for device in devices)
    return {match[1] for match in found if match is not None}


@pytest.mark.parametrize("path", sorted(GOLDENS.glob("*.cmd")), ids=lambda p: p.name[:-9])
def test_qemu_takes_the_whole_line(path: Path, tmp_path: Path) -> None:
    """QEMU starts with every option of the line, and has every device of it."""
    text = path.read_text(encoding="utf-8")
    lacking = sorted({what for mark, what in LACKING.items() if mark in text})
    if lacking:
        pytest.skip(f"needs {', '.join(lacking)}")
    words = list(localise(split_words(text), Files(tmp_path)))

    async def start() -> set[str]:
        async with QemuProcess.start(tuple(words)) as process:
            listed = await process.qmp.qom_list("/machine/peripheral")
            return {name for name, _ in listed}

    assert asyncio.run(start()) >= list_devices(words)
