"""Small stand-ins for what the guest is made of: ELF files, packages and apt itself."""

from __future__ import annotations

import io
import struct
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from vmio.guest import packages


def make_elf(*, needed: tuple[str, ...] = (), modinfo: dict[str, str] | None = None) -> bytes:
    """Makes the smallest ELF file that is linked with libraries, or is a kernel module."""
    names = b"\0.dynamic\0.modinfo\0.names\0"
    strings = b"\0" + b"".join(name.encode() + b"\0" for name in needed)
    dynamic = b""
    offset = 1
    for name in needed:
        dynamic += struct.pack("<QQ", 1, offset)
        offset += len(name) + 1
    dynamic += struct.pack("<QQ", 0, 0) * 2
    pairs = (modinfo or {}).items()
    info = b"".join(f"{key}={value}\0".encode() for key, value in pairs)
    kinds: tuple[tuple[int, int, bytes, int], ...] = (
        (0, 0, b"", 0),
        (0, 3, strings, 0),
        (1, 6, dynamic, 1),
        (18, 3, names, 0),
    )
    if modinfo is not None:
        kinds += ((10, 1, info, 0),)
    body, table = b"", b""
    for name_offset, kind, data, link in kinds:
        table += struct.pack(
            "<IIQQQQIIQQ", name_offset, kind, 0, 0, 64 + len(body), len(data), link, 0, 1, 0
        )
        body += data
    header = struct.pack(
        *("<16sHHIQQQIHHHHHH", b"\x7fELF\x02\x01\x01", 3, 62, 1, 0, 0, 64 + len(body)),
        *(0, 64, 0, 0, 64, len(kinds), 3),
    )
    return header + body + table


def make_deb(path: Path, files: dict[str, bytes], links: dict[str, str] | None = None) -> None:
    """Makes what the stand-in for dpkg-deb takes for a package: a plain tar archive."""
    with tarfile.open(path, "w") as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(f"./{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
        for name, target in (links or {}).items():
            member = tarfile.TarInfo(f"./{name}")
            member.type, member.linkname = tarfile.SYMTYPE, target
            archive.addfile(member)


STANZA = "Package: {name}\nVersion: {version}\nSection: {section}\nSize: 1000\nDepends: {needs}\n"
PACKAGES = (
    ("linux-image-cloud-amd64", "kernel", "linux-image-6.1-cloud-amd64 (= 1)"),
    ("linux-image-6.1-cloud-amd64", "kernel", "kmod"),
    ("linux-image-amd64", "kernel", "linux-image-6.1-amd64 (= 1)"),
    ("linux-image-6.1-amd64", "kernel", "kmod"),
    ("kmod", "admin", ""),
    ("busybox-static", "shells", ""),
    ("fio", "utils", "libc6 (>= 2.34), python3"),
    ("qemu-guest-agent", "otherosfs", "libc6"),
    ("libc6", "libs", ""),
    ("python3", "python", "libc6"),
)

# They talk, fail and answer as the real ones do. `calls` counts, `refuse` makes downloads fail.
FAKES = {
    "apt-cache": (
        'echo "$1" >>"$FAKE/questions"\n'
        'case "$1" in depends) cat "$FAKE/depends" ;; show) cat "$FAKE/show" ;; esac'
    ),
    "apt-get": (
        'echo "$@" >>"$FAKE/calls"\n'
        'if [ -e "$FAKE/refuse" ]; then cat "$FAKE/refuse" >&2; exit 100; fi\n'
        'echo "dlstatus:1:50.0:Retrieving"\n'
        'cp "$FAKE"/debs/*.deb .'
    ),
    "dpkg-deb": 'cat "$2"',
}


class Archive:
    """A distribution's archive and its tools, in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "debs").mkdir(parents=True)
        self.write_lists("1")
        for name, script in FAKES.items():
            path = folder / "bin" / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(f'#!/bin/sh\nFAKE="{folder}"\n{script}\n')
            path.chmod(0o755)
        module = "lib/modules/6.1/kernel/drivers"
        make_deb(
            folder / "debs" / "linux-image-6.1-cloud-amd64_1_amd64.deb",
            {
                "boot/vmlinuz-6.1": b"kernel",
                "lib/modules/6.1/modules.builtin": b"kernel/drivers/scsi/sd_mod.ko\n",
                f"{module}/virtio/virtio.ko": make_elf(modinfo={}),
                f"{module}/virtio/virtio_pci.ko": make_elf(modinfo={"depends": "virtio"}),
                f"{module}/net/big.ko": b"not asked for",
            },
        )
        make_deb(folder / "debs" / "busybox-static_1_amd64.deb", {"bin/busybox": make_elf()})
        make_deb(
            folder / "debs" / "fio_1_amd64.deb", {"usr/bin/fio": make_elf(needed=("libc.so.6",))}
        )
        make_deb(
            folder / "debs" / "qemu-guest-agent_1_amd64.deb",
            {"usr/sbin/qemu-ga": make_elf(needed=("libc.so.6",))},
        )
        make_deb(
            folder / "debs" / "libc6_1_amd64.deb",
            {
                "lib/x86_64-linux-gnu/libc.so.6": make_elf(needed=("ld-linux-x86-64.so.2",)),
                "lib/x86_64-linux-gnu/ld-linux-x86-64.so.2": make_elf(),
            },
            {"lib64/ld-linux-x86-64.so.2": "/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"},
        )

    def add_generic_kernel(self) -> None:
        """Puts the generic kernel in the place of the cloud kernel, with one driver more."""
        debs = self.folder / "debs"
        (debs / "linux-image-6.1-cloud-amd64_1_amd64.deb").unlink()
        make_deb(
            debs / "linux-image-6.1-amd64_1_amd64.deb",
            {
                "boot/vmlinuz-6.1": b"generic",
                "lib/modules/6.1/modules.builtin": b"",
                "lib/modules/6.1/kernel/drivers/scsi/scsi_mod.ko": make_elf(modinfo={}),
                "lib/modules/6.1/kernel/drivers/scsi/sym53c8xx_2/sym53c8xx.ko": make_elf(
                    modinfo={"depends": "scsi_mod"}
                ),
            },
        )

    def write_lists(self, version: str) -> None:
        """Writes what apt-cache says, with one version for all packages."""
        names = "".join(f"{name}\n  Depends: x\n" for name, _, _ in PACKAGES)
        (self.folder / "depends").write_text(names + "<virtual>\n")
        stanzas = (
            STANZA.format(name=name, version=version, section=section, needs=needs)
            for name, section, needs in PACKAGES
        )
        (self.folder / "show").write_text("\n".join(stanzas))
        lists = self.folder / "root" / "var" / "lib" / "apt" / "lists"
        lists.mkdir(parents=True, exist_ok=True)
        (lists / f"Packages.{version}").write_text("")

    def refuse(self, words: str) -> None:
        """Makes apt-get fail with these words."""
        (self.folder / "refuse").write_text(words)

    def count_questions(self) -> int:
        """Counts how often apt-cache was run."""
        questions = self.folder / "questions"
        return len(questions.read_text().splitlines()) if questions.exists() else 0

    def count_downloads(self) -> int:
        """Counts how often apt-get was run."""
        calls = self.folder / "calls"
        return len(calls.read_text().splitlines()) if calls.exists() else 0


@pytest.fixture(autouse=True)
def own_apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keeps what apt answers in a folder of the test's own, and looks at no files of this apt."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(packages, "ROOT", tmp_path / "archive" / "root")


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Archive:
    """A distribution's archive with stand-ins for apt and dpkg in front of the PATH."""
    made = Archive(tmp_path / "archive")
    monkeypatch.setenv("PATH", f"{made.folder / 'bin'}:/usr/bin:/bin")
    return made


@pytest.fixture
def elf() -> Callable[..., bytes]:
    """What makes ELF files."""
    return make_elf
