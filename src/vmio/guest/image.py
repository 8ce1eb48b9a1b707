"""The benchmark guest's kernel and initramfs, built on first use and then cached."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import platform
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Collection, Iterator
from importlib import resources
from pathlib import Path
from typing import Any

from msgspec import Struct

from vmio.errors import CapabilityError, InputError, OutputError, UsageError
from vmio.guest.initramfs import (
    DRIVERS,
    LIBRARIES,
    LOADER,
    Entry,
    render_cpio,
    resolve_libraries,
    resolve_modules,
)
from vmio.guest.packages import (
    Files,
    Package,
    download_packages,
    read_candidates,
    read_files,
    select_libraries,
)
from vmio.host.private import (
    find_cache_folder,
    find_stranger,
    make_private_folder,
    read_private_file,
)

__all__ = [
    "APPEND",
    "GuestImage",
    "Report",
    "default_cache_dir",
    "ensure_image",
    "image_argv",
]

Report = Callable[[str, float | None], None]
"""Called with the current task and, if known, its completed fraction (0 to 1)."""

SOURCES = ("init", "shutdown", "elf.py", "image.py", "initramfs.py", "packages.py")
"""The files that, with the packages, determine an image: a change of any makes a new image."""

APPEND = "console=ttyS0 quiet panic=-1"
"""The kernel's command line.

None of the options that are said to speed up a boot did so here (nokaslr, mitigations=off,
audit=0, lsm=, cryptomgr.notests: 3.5 to 4.2 s of QEMU's CPU time under TCG against 3.8 s without).
Mitigations stay on because they are on in real guests, and an I/O path pays for them.
"""
CLOUD_KERNEL = "linux-image-cloud-amd64"
GENERIC_KERNEL = "linux-image-amd64"
BEYOND_CLOUD = ("ahci", "ich9-ahci", "lsi", "lsi53c810", "lsi53c895a", "megasas", "megasas-gen2")
"""QEMU's controllers without a driver in the cloud kernel: the generic kernel, 44 MB more to
download and some seconds slower to boot, has them all.

Source: Debian 12's config-6.1.0-56-cloud-amd64 (SATA_AHCI, SCSI_SYM53C8XX_2, MEGARAID_SAS).
"""
PROGRAM_PACKAGES = ("busybox-static", "fio", "qemu-guest-agent")
UNUSED_DAYS = 30
"""An image that has not been used for this long is removed when another one is built."""

_PROGRAMS = {"fio": "usr/bin/fio", "qemu-ga": "usr/sbin/qemu-ga"}
_APPLETS = (
    *("[", "base64", "cat", "cut", "date", "dd", "df", "dmesg", "echo", "env", "expr", "false"),
    *("free", "grep", "head", "hexdump", "id", "insmod", "kill", "ln", "ls", "lsmod", "md5sum"),
    *("mkdir", "mkfifo", "mount", "nproc", "od", "poweroff", "printf", "ps", "readlink", "reboot"),
    *("rm", "rmdir", "sed", "seq", "sh", "sleep", "sort", "stat", "sync", "tail", "test", "time"),
    *("timeout", "touch", "tr", "true", "uname", "uptime", "wc", "which", "xargs", "yes"),
)
_FOLDERS = ("dev", "proc", "sys", "run", "tmp")
_MODULE_FOLDERS = r"(?:arch|block|crypto|lib|drivers/(?:ata|block|cdrom|char|message|scsi|virtio))"
_KERNEL_FILES = re.compile(
    r"boot/vmlinuz-[^/]+"
    rf"|(?:usr/)?lib/modules/[^/]+/(?:modules\.builtin|kernel/{_MODULE_FOLDERS}/.+\.ko(?:\.\w+)?)"
)
_PROGRAM_FILES = re.compile(
    r"(?:usr/)?s?bin/(?:busybox|fio|qemu-ga)|(?:usr/)?lib(?:64)?/(?:.+/)?[^/]+\.so[^/]*"
)
_OWN_FOLDERS = re.compile(r"build-\w+|[0-9a-f]{16}")
_IMAGE_FILES = ("vmlinuz", "initrd")
_SPACE_BYTES = 400 << 20
_MAX_FILE_BYTES = 1 << 30
_MAX_MANIFEST_BYTES = 1 << 20
_LEVELS = 2
"""The number of folders above the images that belong to vmio, or are XDG_CACHE_HOME."""


class GuestImage(Struct, frozen=True, kw_only=True):
    """A guest that QEMU can boot without a disk.

    Args:
        kernel: The kernel's image.
        initrd: The initramfs with fio and the guest agent.
        append: The kernel's command line.
        description: Its kernel and packages, in words for a report.
        packages: The packages it is built from, as `name=version`; empty for a user's own guest.
        absent_drivers: Those of `DRIVERS` that the kernel lacks; disks behind them are not seen.
    """

    kernel: Path
    initrd: Path
    append: str
    description: str
    packages: tuple[str, ...] = ()
    absent_drivers: tuple[str, ...] = ()


def image_argv(image: GuestImage) -> tuple[str, ...]:
    """Returns QEMU's options to boot an image; a panic or a reboot ends QEMU."""
    return (
        *("-kernel", str(image.kernel)),
        *("-initrd", str(image.initrd)),
        *("-append", image.append),
        "-no-reboot",
    )


def default_cache_dir() -> Path:
    """Returns the folder for guests under the user's cache."""
    return find_cache_folder() / "guest"


def ensure_image(
    *,
    kernel: Path | None = None,
    initrd: Path | None = None,
    controllers: Collection[str] = (),
    cache_dir: Path | None = None,
    report: Report = lambda _task, _share: None,
) -> GuestImage:
    """Returns the benchmark guest; builds it if the cache has none from these inputs.

    Safe to call from several processes at once: one builds, the others wait for it.

    Args:
        kernel: A user's own kernel; then `initrd` is required too and nothing is built.
        initrd: Its initramfs, which must run the guest agent on a virtio-serial port.
        controllers: QEMU's names of the controllers that the guest needs drivers for; they
            decide whether the small cloud kernel is enough.
        cache_dir: Where images are kept; the user's cache when None.
        report: Called with the current task.

    Raises:
        CapabilityError: This host cannot build it: no apt, other lists, another architecture.
        InputError: The given kernel or initramfs cannot be read.
        OutputError: The cache cannot be written, or other users can write to it.
        ToolError: A package could not be downloaded or read.
        UsageError: Only one of kernel and initramfs was given.
    """
    if kernel or initrd:
        return _describe_own(kernel, initrd)
    if (machine := platform.machine()) != "x86_64":
        raise CapabilityError(
            f"the benchmark guest can be built on x86_64 only, not on {machine}",
            hint="give your own guest with --kernel and --initrd",
        )
    cache_dir = cache_dir or default_cache_dir()
    report("looking up the guest's packages", None)
    generic = not set(BEYOND_CLOUD).isdisjoint(controllers)
    packages, kernel_package = _read_packages(GENERIC_KERNEL if generic else CLOUD_KERNEL)
    folder = cache_dir / _hash_inputs(packages)
    # Its content is booted, by root too.
    make_private_folder(cache_dir, above=_LEVELS)
    try:
        if image := _read_image(folder):
            os.utime(folder)
            return image
        with _hold_lock(cache_dir / "lock", report):
            if image := _read_image(folder):
                return image
            _remove_debris(cache_dir, folder)
            _check_space(cache_dir)
            with tempfile.TemporaryDirectory(prefix="build-", dir=cache_dir) as scratch:
                built = _build(Path(scratch), packages, kernel_package, report)
                built.rename(folder)
        report("the guest is built", 1.0)
    except OSError as error:
        hint = "point XDG_CACHE_HOME at a folder that can be written and has 400 MB of room"
        name = error.filename or cache_dir
        raise OutputError(f"{name}: {os.strerror(error.errno or 0)}", hint=hint) from error
    image = _read_image(folder)
    if image is None:
        raise OutputError(f"{folder}: the guest that was just built is gone")
    return image


def _describe_own(kernel: Path | None, initrd: Path | None) -> GuestImage:
    if kernel is None or initrd is None:
        raise UsageError("--kernel and --initrd go together", hint="give both, or neither")
    for path in (kernel, initrd):
        try:
            with path.open("rb") as file:
                empty = not file.read(1)
        except OSError as error:
            reason = os.strerror(error.errno or 0)
            raise InputError(f"{path}: {reason}", hint="check the path") from error
        if empty:
            raise InputError(f"{path}: the file is empty", hint="check the path")
    return GuestImage(
        kernel=kernel.absolute(),
        initrd=initrd.absolute(),
        append=APPEND,
        description=f"{kernel.name} with {initrd.name}, given by the user",
    )


def _read_packages(kernel: str) -> tuple[tuple[Package, ...], Package]:
    """Reads which packages the guest consists of, and which one is the kernel."""
    known = read_candidates((kernel, *PROGRAM_PACKAGES))
    real = [name for name in known[kernel].depends if name.startswith("linux-image-")]
    if not real or real[0] not in known:
        raise CapabilityError(
            f"apt's package {kernel} names no kernel that apt knows",
            hint="run `apt-get update` as root and try again",
        )
    kernel_package = known[real[0]]
    return (kernel_package, *select_libraries(PROGRAM_PACKAGES, known)), kernel_package


def _read_data(name: str) -> bytes:
    return resources.files("vmio.guest").joinpath(name).read_bytes()


def _hash_inputs(packages: tuple[Package, ...]) -> str:
    digest = hashlib.sha256()
    for part in (*map(_read_data, SOURCES), *(str(package).encode() for package in packages)):
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()[:16]


def _build(
    scratch: Path, packages: tuple[Package, ...], kernel_package: Package, report: Report
) -> Path:
    """Builds an image in a scratch folder and returns the folder, which only has to be renamed."""
    debs = scratch / "debs"
    debs.mkdir()
    paths = download_packages(packages, debs, report)
    kernel_files, files = Files(contents={}, links={}), Files(contents={}, links={})
    for number, deb in enumerate(paths):
        report("unpacking the guest's packages", number / len(paths))
        if deb.name.startswith(f"{kernel_package.name}_"):
            kernel_files = read_files(deb, _KERNEL_FILES)
        else:
            more = read_files(deb, _PROGRAM_FILES)
            files.contents.update(more.contents)
            files.links.update(more.links)
    report("building the guest", None)
    kernel = next((d for p, d in kernel_files.contents.items() if p.startswith("boot/")), None)
    if kernel is None:
        raise InputError(f"the package {kernel_package} has no kernel in /boot")
    modules = resolve_modules(DRIVERS, kernel_files)
    image = scratch / "image"
    image.mkdir(mode=0o700)
    _write_file(image / "vmlinuz", kernel)
    # Not compressed: under TCG the guest would unpack gzip in 0.7 s and zstd in 0.5 s more.
    _write_file(image / "initrd", render_cpio(_list_entries(files, modules.files)))
    manifest = {
        "packages": [str(package) for package in packages],
        "description": _describe(packages, kernel_package),
        "absent_drivers": modules.absent,
        "sha256": {name: _hash_file(image / name) for name in _IMAGE_FILES},
    }
    _write_file(image / "manifest.json", json.dumps(manifest, indent=1).encode())
    return image


def _list_entries(files: Files, modules: dict[str, bytes]) -> Iterator[Entry]:
    """Lists the content of the initramfs."""
    found = {name: files.find(name) for name in ("busybox", *_PROGRAMS)}
    programs = {name: data for name, data in found.items() if data is not None}
    if lacking := found.keys() - programs.keys():
        raise InputError(f"the guest's packages have no program {min(lacking)}")
    for name in _FOLDERS:
        yield Entry(path=name, kind="folder")
    # The kernel opens its console before anything is mounted on /dev.
    yield Entry(path="dev/console", kind="node", mode=0o600, device=(5, 1))
    yield Entry(path="init", kind="file", data=_read_data("init"))
    yield Entry(path="sbin/shutdown", kind="file", data=_read_data("shutdown"))
    yield Entry(path="bin/busybox", kind="file", data=programs.pop("busybox"))
    for name in _APPLETS:
        yield Entry(path=f"bin/{name}", kind="link", mode=0o777, data=b"busybox")
    for name, data in programs.items():
        yield Entry(path=_PROGRAMS[name], kind="file", data=data)
    for soname, data in resolve_libraries(programs, files).items():
        loader = soname == Path(LOADER).name
        path = LOADER if loader else f"{LIBRARIES}/{soname}"
        yield Entry(path=path, kind="file", data=data)
    for name, data in modules.items():
        yield Entry(path=f"lib/modules/{name}.ko", kind="file", mode=0o644, data=data)
    listing = "".join(f"{name}\n" for name in modules)
    yield Entry(path="etc/modules", kind="file", mode=0o644, data=listing.encode())


def _describe(packages: tuple[Package, ...], kernel_package: Package) -> str:
    versions = {package.name: package.version for package in packages}
    return (
        f"{kernel_package.name.removeprefix('linux-image-')} ({kernel_package.version}), "
        f"fio {versions['fio']}, qemu-guest-agent {versions['qemu-guest-agent']}"
    )


def _write_file(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _hash_file(path: Path) -> str:
    return hashlib.sha256(read_private_file(path, _MAX_FILE_BYTES)).hexdigest()


def _read_image(folder: Path) -> GuestImage | None:
    """Reads an image from the cache; None if it is missing or not what was built."""
    try:
        if find_stranger(folder):
            return None
        manifest: Any = json.loads(
            read_private_file(folder / "manifest.json", _MAX_MANIFEST_BYTES)
        )
        if manifest["sha256"] != {name: _hash_file(folder / name) for name in _IMAGE_FILES}:
            return None
        return GuestImage(
            kernel=folder / "vmlinuz",
            initrd=folder / "initrd",
            append=APPEND,
            description=str(manifest["description"]),
            packages=tuple(map(str, manifest["packages"])),
            absent_drivers=tuple(map(str, manifest["absent_drivers"])),
        )
    except (OSError, ValueError, RecursionError, KeyError, TypeError):
        return None


@contextlib.contextmanager
def _hold_lock(path: Path, report: Report) -> Iterator[None]:
    """Holds the cache's lock, which the kernel releases when its holder dies."""
    # Neither truncated nor followed: this name may be another program's file.
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            report("waiting for another vmio to build the guest", None)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _remove_debris(cache_dir: Path, target: Path) -> None:
    """Removes leftovers of killed builds, images long unused, and whatever is at a new one's path.

    Only the holder of the lock builds, so every build folder that is found is a dead one's.
    """
    oldest_s = time.time() - UNUSED_DAYS * 86400
    for folder in cache_dir.iterdir():
        # A cache folder may be any folder of the user: other names are not ours.
        if not _OWN_FOLDERS.fullmatch(folder.name) or folder.is_symlink():
            continue
        # Images of other vmio versions cannot be read by this one, and are kept.
        dead = folder == target or not (folder / "manifest.json").is_file()
        if dead or folder.stat().st_mtime < oldest_s:
            shutil.rmtree(folder)


def _check_space(cache_dir: Path) -> None:
    if shutil.disk_usage(cache_dir).free < _SPACE_BYTES:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(cache_dir))
