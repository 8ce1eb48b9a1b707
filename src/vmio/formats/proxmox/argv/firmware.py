"""UEFI firmware and the disk of its variables, and the TPM.

Source: qemu-server 9.2.6.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from vmio.errors import PlanError
from vmio.formats.proxmox.argv.context import RUN_FOLDER, Argument, Context, is_on
from vmio.formats.proxmox.argv.cpu import check_bitness
from vmio.formats.proxmox.argv.drives import (
    has_blockdev,
    render_chain,
    render_json,
    render_throttle_group,
)
from vmio.model.disk import Backing

__all__ = ["has_flash_size", "has_pflash", "render_firmware", "render_tpm"]

_FOLDER = "/usr/share/pve-edk2-firmware/"
_VARS_BYTES = {"2m": 131072, "4m": 540672, "arm": 67108864}


class _Image(NamedTuple):
    code: str
    """The firmware's file."""
    vars_bytes: int
    """The size of the variables."""


def _uses_uefi(ctx: Context) -> bool:
    return ctx.guest.settings.get("bios") == "ovmf"


def _sev_type(ctx: Context) -> str:
    return ctx.guest.read("amd-sev").get("type", "")


def has_pflash(ctx: Context) -> bool:
    """Returns whether the machine's properties name the block nodes of its flash memory."""
    return _uses_uefi(ctx) and _sev_type(ctx) != "snp" and has_blockdev(ctx.guest)


def has_flash_size(ctx: Context) -> bool:
    """Returns whether the disk's size is given, since it may be larger than the variables."""
    volume = ctx.guest.volumes.get("efidisk0")
    is_raw = volume is None or volume.format == "raw"
    uses_disk = _uses_uefi(ctx) and _sev_type(ctx) != "snp"
    return uses_disk and is_raw and ctx.guest.machine.is_at_least(4, 1, 2)


def _choose_image(ctx: Context) -> _Image:
    disk = ctx.guest.read("efidisk0")
    if ctx.is_arm:
        secure = ".secboot" if is_on(disk.get("pre-enrolled-keys")) else ""
        return _Image(f"AAVMF_CODE{secure}.fd", _VARS_BYTES["arm"])
    if _sev_type(ctx):
        return _Image("OVMF_SEV_CODE_4M.fd", _VARS_BYTES["4m"])
    if disk.get("efitype") == "4m":
        secure = ".secboot" if ctx.is_q35 else ""
        return _Image(f"OVMF_CODE_4M{secure}.fd", _VARS_BYTES["4m"])
    return _Image("OVMF_CODE.fd", _VARS_BYTES["2m"])


def render_firmware(ctx: Context) -> Iterator[Argument]:
    """Yields the firmware's code and the disk of its variables, in the form of the other disks.

    Raises:
        PlanError: The host has no such firmware, or something that it needs is missing.
    """
    if not _uses_uefi(ctx):
        return
    check_bitness(ctx)
    if _sev_type(ctx) == "snp":
        if "efidisk0" in ctx.guest.settings:
            ctx.warnings.append(
                "WARN: EFI disks are not supported with Confidential Virtual Machines and will be"
                " ignored"
            )
        yield "-bios", _find_file(ctx, "OVMF_SEV_4M.fd")
        return
    image = _choose_image(ctx)
    code = _find_file(ctx, image.code)
    volume = ctx.guest.volumes.get("efidisk0")
    if volume is None:
        ctx.warnings.append("WARN: no efidisk configured! Using temporary efivars disk.")
        path = f"/run/qemu-server/efidisk/{ctx.guest.vm.id}-ovmf.fd"
        volume = Backing(filename=path, format="raw")
    if volume.error:
        raise PlanError(volume.error)
    size_bytes = image.vars_bytes if has_flash_size(ctx) else None
    if has_blockdev(ctx.guest):
        yield from _render_blockdevs(ctx, code, volume, size_bytes)
    else:
        yield from _render_drives(ctx, code, volume, size_bytes)


def _find_file(ctx: Context, name: str) -> str:
    path = f"{_FOLDER}/{name}"
    if not ctx.host.files.firmware_exists:
        raise PlanError(f"EFI base image '{path}' not found")
    return path


def _render_drives(
    ctx: Context, code: str, volume: Backing, size_bytes: int | None
) -> Iterator[Argument]:
    yield "-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={code}"
    text = "if=pflash,unit=1,id=drive-efidisk0"
    is_rbd = volume.filename.startswith("rbd:")
    if is_rbd:
        text += ",cache=writeback"
    text += f",format={volume.format},file={volume.filename}"
    if is_rbd:
        # The firmware writes single bytes, which takes minutes without the cache.
        text += ":rbd_cache_policy=writeback"
    if size_bytes is not None:
        text += f",size={size_bytes}"
    if ctx.guest.is_on("template"):
        text += ",readonly=on"
    yield "-drive", text


def _render_blockdevs(
    ctx: Context, code: str, volume: Backing, size_bytes: int | None
) -> Iterator[Argument]:
    yield render_throttle_group("efidisk0", {})
    flash = {
        "driver": "raw",
        "file": {"driver": "file", "filename": code},
        "node-name": "pflash0",
        "read-only": True,
    }
    yield "-blockdev", render_json(flash)
    cached: dict[str, object] = {
        "cache": {"direct": False, "no-flush": False},
        "detect-zeroes": "on",
        "discard": "ignore",
        "read-only": ctx.guest.is_on("template"),
    }
    name = ctx.guest.read("efidisk0").get("file", volume.filename)
    aio = "io_uring" if volume.io_uring == "yes" else "threads"
    chain = render_chain("efidisk0", name, volume, cached, aio, size_bytes=size_bytes)
    yield "-blockdev", render_json(chain)


def render_tpm(ctx: Context) -> Iterator[Argument]:
    """Yields the TPM, which a separate program emulates."""
    if "tpmstate0" not in ctx.guest.settings:
        return
    yield "-chardev", f"socket,id=tpmchar,path={RUN_FOLDER}/{ctx.guest.vm.id}.swtpm"
    yield "-tpmdev", "emulator,id=tpmdev,chardev=tpmchar"
    yield "-device", "tpm-tis,tpmdev=tpmdev"
