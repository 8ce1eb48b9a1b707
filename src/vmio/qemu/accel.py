"""Chooses KVM or TCG by running a guest.

An accessible /dev/kvm is not sufficient: inside some virtual machines KVM then aborts ("failed to
set MSR"), or emulates every instruction, a hundred times slower than TCG. Therefore a guest of a
few dozen bytes computes something with both, and KVM is used if it gives the right result in a
reasonable time.
"""

from __future__ import annotations

import os
import platform
import struct
import time
from pathlib import Path
from typing import Literal

from msgspec import Struct

from vmio.errors import CapabilityError, ToolError
from vmio.qemu.cache import identify_file, read_entry, write_entry
from vmio.qemu.child import describe_failure, run_command
from vmio.qemu.folder import open_runtime_folder

__all__ = ["Accelerator", "AcceleratorName", "choose_accelerator"]

AcceleratorName = Literal["kvm", "tcg"]

_KVM = Path("/dev/kvm")
_TCG_TIMEOUT_S = 30.0
_MARGIN_S = 1.0
_IMAGE_BYTES = 1 << 16
_ROUNDS = 500
_STEPS = 50_000
_EXIT_STATUS = 0x9D
"""The exit status for the sum's top byte with isa-debug-exit: `value << 1 | 1`, as a byte."""


class Accelerator(Struct, frozen=True, kw_only=True):
    """The accelerator for guests on this host, and the reason."""

    name: AcceleratorName
    reason: str
    """One line for people; to be shown if `fell_back` is true."""
    fell_back: bool = False
    """Whether KVM was preferred but does not work."""


def choose_accelerator(
    binary: Path, *, ask: Literal["auto", "kvm", "tcg"] = "auto"
) -> Accelerator:
    """Chooses between KVM and TCG; the probe runs once for each binary, kernel and boot.

    Args:
        binary: The QEMU that will run the guest.
        ask: `kvm` accepts only KVM, and probes again if an earlier probe failed.

    Raises:
        CapabilityError: KVM was requested and cannot run a guest here.
        ToolError: Not even TCG runs the probe.
    """
    if ask == "tcg":
        return Accelerator(name="tcg", reason="TCG was requested")
    obstacle = _find_obstacle()
    if not obstacle:
        identity = _identify(binary)
        match read_entry("accel", identity):
            case {"obstacle": str(cached), "reason": str(reason)} if not cached or ask == "auto":
                obstacle = cached
            case _:
                obstacle, reason = _probe(binary)
                write_entry("accel", identity, {"obstacle": obstacle, "reason": reason})
        if not obstacle:
            return Accelerator(name="kvm", reason=reason)
    if ask == "kvm":
        raise CapabilityError(f"KVM cannot be used: {obstacle}", hint="--accel tcg works anywhere")
    return Accelerator(
        name="tcg", reason=f"using TCG, which is slower than KVM: {obstacle}", fell_back=True
    )


def _find_obstacle() -> str:
    """Returns why KVM cannot work without a probe; empty if a probe is needed."""
    if platform.machine() != "x86_64":
        return "the probe guest is for x86-64 hosts only"
    if not _KVM.exists():
        return f"{_KVM} does not exist"
    if not os.access(_KVM, os.R_OK | os.W_OK):
        return f"no permission to use {_KVM} (its group is usually kvm)"
    return ""


def _identify(binary: Path) -> tuple[str, ...]:
    """Returns the identity of a result: a change makes an earlier result invalid."""
    status = _KVM.stat()
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    kernel = (platform.release(), boot, str(status.st_rdev), str(status.st_ino))
    return (*identify_file(binary), *kernel, str(os.geteuid()))


def _probe(binary: Path) -> tuple[str, str]:
    """Runs the guest with both; returns the problem of KVM, if any, and the times.

    The limit is relative to TCG's time, because a busy host slows both. KVM takes a fraction of
    TCG's time on sound hardware, and a hundred times as long when it emulates instructions: any
    limit in between distinguishes these, and one close to TCG's time also excludes a KVM that is
    not worth using.
    """
    with open_runtime_folder() as folder:
        image = folder / "probe.bin"
        image.write_bytes(_assemble())
        failure, tcg_s = _run_guest(binary, image, "tcg", _TCG_TIMEOUT_S)
        if failure is not None:
            raise failure
        limit_s = 2 * tcg_s + _MARGIN_S
        failure, kvm_s = _run_guest(binary, image, "kvm", limit_s)
    if failure is None:
        return "", f"KVM ran the probe guest in {kvm_s:.2f} s, TCG in {tcg_s:.2f} s"
    if failure.status is None:
        obstacle = f"KVM did not finish in {limit_s:.1f} s what TCG did in {tcg_s:.1f} s"
        return obstacle, obstacle
    return failure.message, failure.message


def _run_guest(
    binary: Path, image: Path, name: AcceleratorName, timeout_s: float
) -> tuple[ToolError | None, float]:
    processor = "host" if name == "kvm" else "max"
    argv = (
        *(str(binary), "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"),
        *("-machine", "pc", "-accel", name, "-cpu", processor, "-m", "16"),
        *("-bios", str(image), "-device", "isa-debug-exit,iobase=0xf4,iosize=4"),
    )
    begin_s = time.monotonic()
    finished = run_command(argv, timeout_s=timeout_s, limit_bytes=1 << 20)
    elapsed_s = time.monotonic() - begin_s
    if finished.status == _EXIT_STATUS:
        return None, elapsed_s
    failure = describe_failure(
        f"{name.upper()} cannot run a guest", argv, status=finished.status, errors=finished.errors
    )
    return failure, elapsed_s


def _assemble() -> bytes:
    """Returns a firmware image that enters 32-bit mode, computes, and exits with the result.

    Every round ends in a port write, so that exits from the guest are part of the work, and every
    step stores to memory.

    Source: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2 (encodings),
    volume 3A 10.1.4 (the first instruction runs at 0xFFFFFFF0) and 10.9.1 (protected mode).
    """
    base = 0x1_0000_0000 - _IMAGE_BYTES
    code_at, table_at, pointer_at = 0x40, 0x100, 0x120
    real_mode = (
        b"\xfa"  # cli
         b"\x2e\x66\x0f\x01\x16" + struct.pack("<H", pointer_at)  # lgdt cs:[pointer]
        + b"\x0f\x20\xc0\x0c\x01\x0f\x22\xc0"  # cr0 |= 1
        + b"\x66\xea" + struct.pack("<IH", base + code_at, 8)  # jmp 8:code
    )  # fmt: skip
    step = (
        b"\x69\xc0\x0d\x66\x19\x00"  # imul eax, eax, 1664525
        b"\x05\x5f\xf3\x6e\x3c"  # add eax, 1013904223
        b"\xa3\x00\x10\x00\x00"  # mov [0x1000], eax
        b"\x4a"  # dec edx
    )
    steps = b"\xba" + struct.pack("<I", _STEPS) + step + b"\x75" + _jump_back(len(step))
    round_ = steps + b"\xe6\x80\x49"  # out 0x80, al; dec ecx
    protected_mode = (
        b"\x66\xb8\x10\x00\x8e\xd8"  # ds = 16
         b"\xb8\x01\x00\x00\x00"  # mov eax, 1
         b"\xb9" + struct.pack("<I", _ROUNDS)  # mov ecx, rounds
        + round_ + b"\x75" + _jump_back(len(round_))  # jnz round
        + b"\xc1\xe8\x18\xba\xf4\x00\x00\x00\xee"  # out 0xf4, eax >> 24
        + b"\xf4\xeb\xfd"  # hlt, forever
    )  # fmt: skip
    descriptors = (
        bytes(8)
        + b"\xff\xff\x00\x00\x00\x9b\xcf\x00"  # code: all of memory, 32 bits
        + b"\xff\xff\x00\x00\x00\x93\xcf\x00"  # data
    )
    pointer = struct.pack("<HI", len(descriptors) - 1, base + table_at)
    image = bytearray(b"\xf4" * _IMAGE_BYTES)
    for at, part in (
        (0, real_mode),
        (code_at, protected_mode),
        (table_at, descriptors),
        (pointer_at, pointer),
        (0xFFF0, b"\xe9\x0d\x00"),  # jmp 0, where the processor starts
    ):
        image[at : at + len(part)] = part
    return bytes(image)


def _jump_back(body_bytes: int) -> bytes:
    """Returns the distance of a short jump to the start of the body that it ends."""
    return struct.pack("<b", -(body_bytes + 2))
