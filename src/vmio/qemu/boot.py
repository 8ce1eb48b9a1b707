"""The command line of a layout for this host: the same controllers and threads, other files.

The rest of a manager's own command line (its monitor sockets, network, display) belongs to the
manager's host and is left out.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from msgspec import Struct, field

from vmio.errors import CapabilityError, InputError, OutputError, UsageError
from vmio.formats.qemu.render import Argument, render_layout
from vmio.host.private import find_cache_folder, make_private_folder
from vmio.model.disk import PASSTHROUGH, Backing
from vmio.model.machine import Machine
from vmio.model.topology import AttachedDisk, Topology
from vmio.qemu.folder import open_runtime_folder
from vmio.values import replace

__all__ = ["Boot", "Volumes", "find_root_bus", "place_volumes", "render_boot"]

_MAX_SCRATCH_BYTES = 1 << 44
_SECTOR_BYTES = 512


class Volumes(Struct, frozen=True, kw_only=True):
    """Where the volumes of a guest come from on this host."""

    paths: Mapping[str, str] = field(default_factory=dict)
    """Files or block devices to use, by disk id."""
    scratch_bytes: int | None = None
    """Size of the empty sparse files that replace all other volumes; None for none."""
    own: bool = False
    """Whether to open the volumes that the config names and this host has, read-write."""


class Boot(Struct, frozen=True, kw_only=True):
    """How a guest is booted here, besides its storage."""

    binary: str
    accelerator: str
    """tcg or kvm."""
    machine_types: Sequence[str] = ()
    """The machines of the binary; empty to trust the config."""
    kernel: str | None = None
    initrd: str | None = None
    append: str = ""
    memory_mib: int | None = None
    """None for the config's value."""
    extra: tuple[str, ...] = ()
    """Additional words, such as a guest agent's socket."""


@contextmanager
def place_volumes(topology: Topology, volumes: Volumes) -> Iterator[Topology]:
    """Gives every disk a file on this host, and removes the scratch files at the end.

    Yields:
        The topology with the new backings, otherwise unchanged.

    Raises:
        UsageError: The guest does not have a named disk.
        InputError: A volume does not exist here, and nothing replaces it.
        OutputError: The scratch files cannot be created.
    """
    known = {attached.disk.id for attached in topology.disks}
    for name in volumes.paths:
        if name not in known:
            raise UsageError(
                f"there is no disk '{name}'", hint=f"the guest has {', '.join(sorted(known))}"
            )
    with open_runtime_folder(Path(find_scratch_folder())) as folder:
        disks = tuple(_place(attached, volumes, folder) for attached in topology.disks)
        yield replace(topology, disks=disks)


def find_scratch_folder() -> str:
    """Returns a folder for scratch files whose file system supports O_DIRECT, if there is one.

    A tmpfs supports it only since Linux 6.6, and cache=none requires it.
    """
    candidates = [tempfile.gettempdir()]
    cache = find_cache_folder()
    with suppress(OutputError):
        make_private_folder(cache, above=1)
        candidates.append(str(cache))
    for folder in candidates:
        try:
            descriptor, path = tempfile.mkstemp(dir=folder)
        except OSError:
            continue
        os.close(descriptor)
        try:
            os.close(os.open(path, os.O_RDWR | os.O_DIRECT | os.O_CLOEXEC))
        except OSError:
            continue
        else:
            return folder
        finally:
            Path(path).unlink()
    return candidates[0]


def _place(attached: AttachedDisk, volumes: Volumes, folder: Path) -> AttachedDisk:
    """Returns a disk on a file of this host, which requires an aio engine in any case."""
    backing = attached.disk.backing
    if backing is None:
        return attached
    if attached.driver.startswith("vhost-"):
        raise InputError(
            f"{attached.disk.id}: another process or the host's kernel serves it, not QEMU",
            hint="vmio starts none of these: try the guest without that device",
        )
    placed = _choose_backing(attached, backing, volumes, folder)
    aio = attached.aio or attached.disk.aio or "io_uring"
    driver = attached.driver
    if placed is not backing and driver in PASSTHROUGH:
        driver = "scsi-hd"  # a file does not answer SCSI commands
    return replace(attached, disk=replace(attached.disk, backing=placed), driver=driver, aio=aio)


def _choose_backing(
    attached: AttachedDisk, backing: Backing, volumes: Volumes, folder: Path
) -> Backing:
    disk = attached.disk
    named = volumes.paths.get(disk.id)
    if disk.snapshot and (named is not None or volumes.own):
        raise InputError(
            f"{disk.id}: snapshot=1 is not supported here, and its writes would stay",
            hint=f"use --scratch for {disk.id}",
        )
    if named is not None:
        path = Path(named).absolute()
        if reason := _find_failure(path):
            raise InputError(f"{disk.id}: {named} {reason}")
        return _local(path, _detect_format(path))
    exists = backing.filename.startswith("/") and not _find_failure(Path(backing.filename))
    if exists and volumes.own:
        return backing
    if volumes.scratch_bytes is None:
        state = "is used only with --own-volumes" if exists else "is not on this host"
        raise InputError(
            f"{disk.id}: {backing.filename} {state}",
            hint=f"--scratch 1G replaces it by an empty disk, --disk {disk.id}=PATH by a file",
        )
    size_bytes = min(volumes.scratch_bytes, _MAX_SCRATCH_BYTES)
    path = folder / f"{disk.id}.raw"
    try:
        with path.open("xb") as file:
            file.truncate(size_bytes // _SECTOR_BYTES * _SECTOR_BYTES)
    except OSError as error:
        raise OutputError(f"cannot make the scratch disk {path}: {error.strerror}") from error
    return _local(path, "raw")


def _find_failure(path: Path) -> str:
    """Returns why a name cannot be opened, as a predicate; empty if it can."""
    try:
        path.stat()
    except FileNotFoundError:
        return "does not exist"
    except OSError as error:
        return f"cannot be opened: {error.strerror}"
    return ""


def _local(path: Path, image_format: str) -> Backing:
    return Backing(
        filename=str(path),
        format=image_format,
        driver="host_device" if path.is_block_device() else "file",
    )


def _detect_format(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return "qcow2" if file.read(4) == b"QFI\xfb" else "raw"
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error


def render_boot(machine: Machine, topology: Topology, boot: Boot) -> tuple[str, ...]:
    """Returns the command that boots a guest here, without a monitor, which its owner adds.

    Raises:
        CapabilityError: This QEMU has no such machine type.
    """
    processor = "host" if boot.accelerator == "kvm" else "max"
    arguments: list[Argument] = [
        (boot.binary,),
        ("-name", f"guest={machine.name.replace(',', ',,')},debug-threads=on"),
        ("-nodefaults",),
        ("-display", "none"),
        ("-no-reboot",),
        ("-machine", f"type={_choose_machine(machine, boot)}"),
        ("-accel", boot.accelerator),
        ("-cpu", processor),
        ("-smp", str(machine.vcpus)),
        ("-m", str(boot.memory_mib or machine.memory_mib)),
        *render_layout(topology),
    ]
    if boot.kernel is not None:
        arguments += [("-kernel", boot.kernel), ("-append", boot.append)]
    if boot.initrd is not None:
        arguments.append(("-initrd", boot.initrd))
    return (*(word for argument in arguments for word in argument), *boot.extra)


def find_root_bus(machine: Machine, topology: Topology) -> str:
    """Returns the PCI bus that takes one more device of a guest that is booted here.

    Proxmox VE gives a q35 machine a bridge with the name of a PC's bus; libvirt does not.
    """
    has_bridge = any(each.id == "pci.0" for each in topology.bridges)
    return "pci.0" if machine.chipset == "i440fx" or has_bridge else "pcie.0"


def _choose_machine(machine: Machine, boot: Boot) -> str:
    fallback = {"i440fx": "pc", "q35": "q35", "virt": "virt"}[machine.chipset]
    wanted = machine.type or fallback
    if not boot.machine_types or wanted in boot.machine_types:
        return wanted
    if fallback in boot.machine_types:
        return fallback
    raise CapabilityError(f"{boot.binary} has no machine of the kind '{wanted}'")
