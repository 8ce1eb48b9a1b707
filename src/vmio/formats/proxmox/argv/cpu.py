"""The processors: how many, of which model, and with which features.

Source: qemu-server 9.2.6.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from vmio.bounds import MAX_VCPUS
from vmio.errors import PlanError, UnsupportedError
from vmio.formats.proxmox.argv.context import Argument, Context, is_on
from vmio.formats.proxmox.cpu_models import (
    ARM_MODELS,
    BUILT_IN,
    MODELS_32_BIT,
    RENAMED,
    VENDORS,
)
from vmio.formats.proxmox.machine import WINDOWS_7, WINDOWS_8, WINDOWS_11, WINDOWS_VISTA

__all__ = [
    "check_bitness",
    "count_cores",
    "has_evmcs",
    "list_hotplug",
    "read_phys_bits",
    "render_cpu",
    "render_smp",
]

_INTEL, _AMD = "GenuineIntel", "AuthenticAMD"
_NESTED = {_INTEL: "vmx", _AMD: "svm"}
_HOTPLUG_DEFAULT = frozenset({"network", "disk", "usb"})
_MOST_PHYS_BITS = 40
"""Only the host's own model uses more bits of the host than these."""
_SET_BY_PVE = "set by PVE"


class _Flag(NamedTuple):
    """One feature as `-cpu` takes it: switched by a sign, or given a value."""

    text: str
    reason: str


_Flags = dict[str, _Flag]
_Fields = Mapping[str, Any]


class _Model(NamedTuple):
    """The result of a `cpu:` setting."""

    name: str
    """QEMU's name of the model."""
    features: tuple[str, ...]
    """The features that Proxmox's own models add to QEMU's."""
    custom: _Fields
    written: _Fields


def list_hotplug(ctx: Context) -> frozenset[str]:
    """Returns the features that may be hotplugged."""
    written = ctx.guest.settings.get("hotplug", "1")
    if written == "1":
        return _HOTPLUG_DEFAULT
    return frozenset(re.split(r"[,;\s]+", written)) - {"0"}


def _count(ctx: Context, key: str) -> int:
    return int(ctx.guest.settings.get(key, "0"))


def count_cores(ctx: Context) -> tuple[int, int]:
    """Returns the sockets and the cores of each; 0 means not configured."""
    return _count(ctx, "sockets") or _count(ctx, "smp") or 1, _count(ctx, "cores") or 1


def render_smp(ctx: Context) -> Iterator[Argument]:
    """Yields the processors and, if they can be hotplugged, all but the first one by one.

    Raises:
        PlanError: The host has fewer, or they cannot be hotplugged.
        UnsupportedError: They are more than any machine has.
    """
    sockets, cores = count_cores(ctx)
    most = sockets * cores
    if 0 < ctx.host.cpu.count < most:
        raise PlanError(f"MAX {ctx.host.cpu.count} vcpus allowed per VM on this node")
    vcpus = _count(ctx, "vcpus") or most
    pluggable = "cpu" in list_hotplug(ctx) and ctx.guest.machine.is_at_least(2, 7)
    if max(sockets, vcpus if pluggable else 0) > MAX_VCPUS:
        raise UnsupportedError(
            f"vmio prints no more than {MAX_VCPUS} sockets and vCPUs one by one, and this"
            f" config has {max(sockets, vcpus)}"
        )
    first = 1 if pluggable else vcpus
    yield "-smp", f"{first},sockets={sockets},cores={cores},maxcpus={most}"
    if pluggable and vcpus > 1:
        if ctx.is_arm:
            raise PlanError("Hotplug of non x86_64 CPU not yet supported")
        name = _name_plugged(ctx)
        for index in range(2, vcpus + 1):
            socket, core = divmod(index - 1, cores)
            place = f"socket-id={socket},core-id={core},thread-id=0"
            yield "-device", f"{name}-x86_64-cpu,id=cpu{index},{place}"


def _read_model(ctx: Context) -> _Model:
    """Returns the model that a config names, whatever the guest's architecture.

    Raises:
        PlanError: Neither QEMU nor this cluster has the model.
    """
    written = ctx.guest.read("cpu")
    name = written.get("cputype", "")
    custom: _Fields = {}
    if name.startswith("custom-"):
        found = ctx.host.cpu_models.get(name.removeprefix("custom-"))
        if found is None:
            raise PlanError(f"Custom cputype '{name.removeprefix('custom-')}' not found")
        custom = found
        name = str(custom.get("reported-model") or "kvm64")
    if not name:
        with_kvm, without = ("host", "max") if ctx.is_arm else ("kvm64", "qemu64")
        name = with_kvm if ctx.kvm else without
    if name in BUILT_IN and not ctx.is_arm:
        return _Model("qemu64", BUILT_IN[name], custom, written)
    if not (name in VENDORS or name in ARM_MODELS or name in BUILT_IN):
        raise PlanError(f"Built-in cputype '{name}' is not defined (missing 'custom-' prefix?)")
    return _Model(RENAMED.get(name, name), (), custom, written)


def _check_architecture(ctx: Context, model: _Model) -> None:
    known = ARM_MODELS if ctx.is_arm else VENDORS
    if model.name not in known or (model.name == "host" and not ctx.is_native):
        raise PlanError(
            f"CPU model '{model.name}' does not exist for configured vCPU architecture"
            f" '{ctx.guest.vm.arch}'"
        )


def _name_plugged(ctx: Context) -> str:
    """Returns the model in the device name of a hotplugged processor.

    Proxmox looks for a model of the cluster only if the line begins with its name: with
    `cputype=custom-x`, it uses the name as one of QEMU's, and QEMU has no such device.
    """
    line = ctx.guest.settings.get("cpu", "")
    written = ctx.guest.read("cpu").get("cputype", "")
    if written.startswith("custom-") and not line.startswith("custom-"):
        return written
    return _read_model(ctx).name


def read_phys_bits(ctx: Context) -> int:
    """Returns the number of address bits for hotplugged memory.

    Proxmox uses only the `cpu:` line here, not the model that it names.
    """
    written = ctx.guest.read("cpu")
    bits, host_bits = written.get("phys-bits", ""), ctx.host.cpu.phys_bits
    if bits.isdecimal():
        return int(bits)
    if bits == "host" or written.get("cputype") in {"host", "max"}:
        return host_bits
    return min(_MOST_PHYS_BITS, host_bits)


def has_evmcs(ctx: Context) -> bool:
    """Returns whether Windows gets Hyper-V's own nested virtualization on Intel processors."""
    return (
        _find_running(ctx) is None
        and ctx.kvm
        and not ctx.is_arm
        and ctx.windows >= WINDOWS_11
        and ctx.host.cpu.vendor == _INTEL
        and ctx.guest.machine.is_at_least(11, 0, 2)
    )


def check_bitness(ctx: Context) -> None:
    """Refuses a 32-bit model if the firmware needs 64 bits.

    Raises:
        PlanError: The guest has such a model.
    """
    if ctx.is_arm or _find_running(ctx) is not None:
        return
    if _read_model(ctx).name in MODELS_32_BIT:
        raise PlanError("OVMF (UEFI) BIOS is not supported on 32-bit CPU types")


def _find_running(ctx: Context) -> str | None:
    """Returns the model of a snapshot's running guest; None if unknown or not a snapshot."""
    return None if ctx.guest.snapshot is None else ctx.guest.settings.get("runningcpu")


def render_cpu(ctx: Context, *, is_gpu_passed: bool) -> Argument:
    """Returns the model and its features.

    Args:
        ctx: The guest.
        is_gpu_passed: Whether a graphics card is passed through, whose drivers must not see KVM.

    Raises:
        PlanError: There is no such model.
    """
    running = _find_running(ctx)
    if running is not None:
        return "-cpu", running
    model = _read_model(ctx)
    custom, written = model.custom, model.written
    _check_architecture(ctx, model)
    # A custom model either hides KVM or sets nothing: its `hidden=0` is lost.
    hidden = is_gpu_passed or is_on(_text(custom, "hidden"))
    hidden = is_on(written.get("hidden"), default=hidden)
    hv_vendor = _text(written, "hv-vendor-id") or _text(custom, "hv-vendor-id") or ""
    hv_reason = "custom hv_vendor_id set"
    if is_gpu_passed and not hv_vendor:
        hv_vendor, hv_reason = "proxmox", "NVIDIA workaround for GPU passthrough"
    flags: _Flags = {}
    for source in (
        _proxmox_flags(ctx, model.name),
        _hyperv_flags(ctx, hv_vendor, hv_reason),
        {name: _Flag(f"+{name}", "set by builtin CPU model") for name in model.features},
        _listed_flags(ctx, custom, "set by custom CPU model"),
        _listed_flags(ctx, written, "manually set for VM"),
        _forced_flags(ctx, model.name, hidden=hidden),
    ):
        _merge(ctx, flags, source)
    parts = [model.name]
    level = _text(written, "level") or _text(custom, "level")
    if level and ctx.is_arm:
        ctx.warnings.append(
            f"CPU 'level' property is ignored for architecture '{ctx.guest.vm.arch}'"
        )
    elif level:
        parts.append(f"level={level}")
    parts += [flags[name].text for name in sorted(flags)]
    guest_bits = _text(written, "guest-phys-bits") or _text(custom, "guest-phys-bits")
    if guest_bits:
        parts.append(f"guest-phys-bits={guest_bits}")
    phys_bits = _text(written, "phys-bits") or _text(custom, "phys-bits")
    if phys_bits:
        parts.append("host-phys-bits=true" if phys_bits == "host" else f"phys-bits={phys_bits}")
        _warn_of_phys_bits(ctx, model.name, phys_bits, flags)
    return "-cpu", ",".join(parts)


def _warn_of_phys_bits(ctx: Context, model: str, bits: str, flags: _Flags) -> None:
    """Warns of more address bits than the firmware supports for a model without 1 GiB pages."""
    known = ctx.host.cpu.phys_bits if bits == "host" else 0
    if re.fullmatch(r"\d{1,2}", bits, re.ASCII):
        known = int(bits)
    has_large_pages = "pdpe1gb" in flags and not flags["pdpe1gb"].text.startswith("-")
    if (
        known > _MOST_PHYS_BITS
        and model in {"qemu64", "kvm64"}
        and ctx.guest.settings.get("bios") == "ovmf"
        and not has_large_pages
    ):
        ctx.warnings.append(
            f"WARN: OVMF firmware might limit CPU 'phys-bits' to {_MOST_PHYS_BITS} - enable the"
            " 'pdpe1gb' CPU flag to avoid this"
        )


def _text(fields: _Fields, key: str) -> str | None:
    value = fields.get(key)
    return None if value is None else str(value)


def _merge(ctx: Context, flags: _Flags, more: _Flags) -> None:
    """Adds features; a later value of one replaces an earlier value, with a warning."""
    for name, flag in more.items():
        old = flags.get(name)
        if old is not None and old.text == flag.text:
            flags[name] = _Flag(flag.text, f"{old.reason} & {flag.reason}")
            continue
        if old is not None:
            ctx.warnings.append(
                f"warning: CPU flag/setting '{flag.text}' ({flag.reason}) overwrites"
                f" '{old.text}' ({old.reason})"
            )
        flags[name] = flag


_SEP = ("+sep", "to support Windows 8+ and improve Windows XP+")
_MODEL_FLAGS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "kvm32": (_SEP,),
    "kvm64": (("+lahf_lm", "to support Windows 8.1+"), _SEP),
    **{f"Opteron_G{n}": (("-rdtscp", "broken on AMD Opteron"),) for n in range(1, 6)},
}


def _proxmox_flags(ctx: Context, model: str) -> _Flags:
    flags = (*_MODEL_FLAGS.get(model, ()), *_guest_flags(ctx, model))
    return {text[1:]: _Flag(text, f"{_SET_BY_PVE}; {why}") for text, why in flags}


def _guest_flags(ctx: Context, model: str) -> Iterator[tuple[str, str]]:
    if ctx.ostype == "solaris":
        yield "-x2apic", "incompatible with Solaris"
    if ctx.is_arm:
        return
    if ctx.kvm and ctx.guest.machine.is_at_least(2, 3):
        yield "+kvm_pv_unhalt", "to improve Linux guest spinlock performance"
        yield "+kvm_pv_eoi", "to improve Linux guest interrupt performance"
    if ctx.installed < (11, 0):
        return
    if ctx.windows >= WINDOWS_11:
        for name in ("cet-ibt", "cet-ss"):
            yield f"-{name}", "to avoid issues with certain Windows configurations like VBS"
    # The host's own model has it since QEMU 11.0; guests of an older machine never had it.
    if model == "host" and not ctx.guest.machine.is_at_least(11, 0):
        yield "-vmx-mbec", "for backwards compatibility with older kernel and QEMU"


_HYPERV = (
    # since the machine, since Windows, the feature
    ((2, 3), WINDOWS_VISTA, "hv_time"),
    ((2, 3), WINDOWS_VISTA, "hv_vapic"),
    ((2, 6), WINDOWS_VISTA, "hv_reset"),
    ((2, 6), WINDOWS_VISTA, "hv_runtime"),
    ((2, 6), WINDOWS_VISTA, "hv_vpindex"),
    ((0, 0), WINDOWS_7, "hv_relaxed"),
    ((2, 12), WINDOWS_7, "hv_stimer"),
    ((2, 12), WINDOWS_7, "hv_synic"),
    ((3, 1), WINDOWS_7, "hv_ipi"),
)


def _hyperv_flags(ctx: Context, vendor: str, vendor_reason: str) -> _Flags:
    """Returns the features that make Windows run well on KVM, each since its machine version."""
    too_old_for_uefi = ctx.windows < WINDOWS_8 and ctx.guest.settings.get("bios") == "ovmf"
    if not ctx.kvm or ctx.is_arm or ctx.windows < WINDOWS_VISTA or too_old_for_uefi:
        return {}
    reason = "automatic Hyper-V enlightenment for Windows"
    spinlocks = "0x1fff" if ctx.guest.machine.is_at_least(2, 3) else "0xffff"
    flags = {"hv_spinlocks": _Flag(f"hv_spinlocks={spinlocks}", reason)}
    if vendor:
        flags["hv_vendor_id"] = _Flag(f"hv_vendor_id={vendor}", vendor_reason)
    for machine, windows, name in _HYPERV:
        if ctx.windows >= windows and ctx.guest.machine.is_at_least(*machine):
            since_7 = " 7 and higher" if windows == WINDOWS_7 else ""
            flags[name] = _Flag(name, f"{reason}{since_7}")
    if has_evmcs(ctx):
        flags["hv_evmcs"] = _Flag("hv_evmcs", reason)
    return flags


def _listed_flags(ctx: Context, fields: _Fields, reason: str) -> _Flags:
    """Returns the features of a list such as `+aes;-pcid`; `nested-virt` precedes its own."""
    flags: _Flags = {}
    listed = re.split(r"[;\s]+", _text(fields, "flags") or "")
    for text in sorted(listed, key=lambda text: text.endswith("nested-virt")):
        sign, name = text[:1], text[1:]
        if not name:
            continue
        if name == "nested-virt":
            name = _NESTED.get(ctx.host.cpu.vendor, "vmx")
        flags[name] = _Flag(f"{sign}{name}", reason)
    return flags


def _forced_flags(ctx: Context, model: str, *, hidden: bool) -> _Flags:
    """Returns the features that no config can change."""
    flags: _Flags = {}
    if ctx.kvm and model != "host" and not ctx.is_arm:
        flags["enforce"] = _Flag("enforce", "error if requested CPU settings not available")
    if hidden and not ctx.is_arm:
        flags["kvm"] = _Flag("kvm=off", "hide KVM virtualization from guest")
    vendor = VENDORS.get(model)
    if vendor and not ctx.is_arm:
        flags["vendor"] = _Flag(f"vendor={vendor}", "to use the model's own vendor")
    return flags
