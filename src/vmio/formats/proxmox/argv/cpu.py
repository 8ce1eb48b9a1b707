"""The processors: how many, of which model, and with which features.

Source: qemu-server 9.2.6.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from vmio.bounds import MAX_VCPUS
from vmio.errors import PlanError
from vmio.formats.proxmox.argv.context import Argument, Context, is_on
from vmio.formats.proxmox.cpu_models import ARM_MODELS, BUILT_IN, RENAMED, VENDORS
from vmio.formats.proxmox.machine import WINDOWS_7, WINDOWS_8, WINDOWS_11, WINDOWS_VISTA

__all__ = [
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
_DEFAULT_PHYS_BITS = 40
_SET_BY_PVE = "set by PVE"


class _Flag(NamedTuple):
    """One feature as `-cpu` takes it: switched by a sign, or given a value."""

    text: str
    reason: str


_Flags = dict[str, _Flag]
_Fields = Mapping[str, Any]


class _Model(NamedTuple):
    """What a `cpu:` setting comes to."""

    name: str
    """QEMU's name of it."""
    features: tuple[str, ...]
    """What Proxmox's own models add to QEMU's."""
    custom: _Fields
    written: _Fields


def list_hotplug(ctx: Context) -> frozenset[str]:
    """Returns what may be plugged into the running guest."""
    written = ctx.guest.settings.get("hotplug", "1")
    if written == "1":
        return _HOTPLUG_DEFAULT
    return frozenset(re.split(r"[,;\s]+", written)) - {"0"}


def _count(ctx: Context, key: str, default: str = "1") -> int:
    return int(ctx.guest.settings.get(key, default)) or 1


def count_cores(ctx: Context) -> tuple[int, int]:
    """Returns the sockets and the cores of each."""
    return _count(ctx, "sockets", ctx.guest.settings.get("smp", "1")), _count(ctx, "cores")


def render_smp(ctx: Context) -> Iterator[Argument]:
    """Yields the processors and, where they can be plugged, all but the first one by one.

    Raises:
        PlanError: The host has fewer.
    """
    sockets, cores = count_cores(ctx)
    most = sockets * cores
    if most > ctx.host.cpu.count:
        raise PlanError(f"MAX {ctx.host.cpu.count} vcpus allowed per VM on this node")
    if most > MAX_VCPUS:
        raise PlanError(f"no machine of QEMU has {most} virtual processors: {MAX_VCPUS} at most")
    vcpus = int(ctx.guest.settings.get("vcpus", "0")) or most
    pluggable = "cpu" in list_hotplug(ctx)
    first = 1 if pluggable else vcpus
    yield "-smp", f"{first},sockets={sockets},cores={cores},maxcpus={most}"
    if pluggable:
        name = _read_model(ctx).name
        for index in range(2, min(vcpus, most) + 1):
            socket, core = divmod(index - 1, cores)
            place = f"socket-id={socket},core-id={core},thread-id=0"
            yield "-device", f"{name}-x86_64-cpu,id=cpu{index},{place}"


def _read_model(ctx: Context) -> _Model:
    """Returns the model that a config names.

    Raises:
        PlanError: Neither QEMU nor this cluster has it.
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
        if ctx.is_arm:
            return _Model("host" if ctx.kvm else "max", (), {}, written)
        return _Model("kvm64" if ctx.kvm else "qemu64", (), {}, written)
    if name in BUILT_IN:
        return _Model("qemu64", BUILT_IN[name], custom, written)
    if name not in (ARM_MODELS if ctx.is_arm else VENDORS):
        raise PlanError(f"Built-in cputype '{name}' is not defined (missing 'custom-' prefix?)")
    return _Model(RENAMED.get(name, name), (), custom, written)


def read_phys_bits(ctx: Context) -> int:
    """Returns how many address bits the guest's processors have, as far as Proxmox knows."""
    model = _read_model(ctx)
    bits = str(model.written.get("phys-bits") or model.custom.get("phys-bits") or "")
    host_bits = ctx.host.cpu.phys_bits
    if bits == "host" or (not bits and model.name in {"host", "max"}):
        return host_bits
    is_number = bits.isdecimal() and len(bits) < 5  # noqa: PLR2004 - more are no bits of an address
    return min(int(bits) if is_number else _DEFAULT_PHYS_BITS, host_bits)


def has_evmcs(ctx: Context) -> bool:
    """Returns whether Windows is given Hyper-V's own way to nest machines on Intel processors."""
    return _nests_windows(ctx) and ctx.guest.machine.is_at_least(11, 0, 2)


def _nests_windows(ctx: Context) -> bool:
    return (
        ctx.kvm
        and ctx.windows >= WINDOWS_11
        and ctx.host.cpu.vendor == _INTEL
        and ctx.guest.read("cpu").get("cputype") == "host"
    )


def render_cpu(ctx: Context, *, is_gpu_passed: bool) -> Argument:
    """Returns the model and its features.

    Args:
        ctx: The guest.
        is_gpu_passed: Whether a graphics card is passed through, whose drivers want no KVM to see.

    Raises:
        PlanError: There is no such model.
    """
    running = ctx.guest.settings.get("runningcpu")
    if running is not None and ctx.guest.snapshot is not None:
        return "-cpu", running
    model = _read_model(ctx)
    custom, written = model.custom, model.written
    hidden = is_on(written.get("hidden"), default=is_on(_text(custom, "hidden")))
    hv_vendor = _text(written, "hv-vendor-id") or _text(custom, "hv-vendor-id") or ""
    if is_gpu_passed and not hv_vendor:
        hv_vendor = "proxmox"
    flags: _Flags = {}
    for source in (
        _proxmox_flags(ctx, model.name),
        _hyperv_flags(ctx, hv_vendor),
        {name: _Flag(f"+{name}", "set by built-in CPU model") for name in model.features},
        _listed_flags(ctx, custom, "set by custom CPU model"),
        _listed_flags(ctx, written, "manually set for VM"),
        _forced_flags(ctx, model.name, hidden=hidden or is_gpu_passed),
    ):
        _merge(ctx, flags, source)
    level = _text(written, "level") or _text(custom, "level")
    parts = [model.name]
    if level:
        parts.append(f"level={level}")
    parts += [flags[name].text for name in sorted(flags)]
    phys_bits = _text(written, "phys-bits") or _text(custom, "phys-bits")
    if phys_bits:
        parts.append("host-phys-bits=true" if phys_bits == "host" else f"phys-bits={phys_bits}")
    guest_bits = _text(written, "guest-phys-bits") or _text(custom, "guest-phys-bits")
    if guest_bits:
        parts.append(f"guest-phys-bits={guest_bits}")
    return "-cpu", ",".join(parts)


def _text(fields: _Fields, key: str) -> str | None:
    value = fields.get(key)
    return None if value is None else str(value)


def _merge(ctx: Context, flags: _Flags, more: _Flags) -> None:
    """Adds features; a later word on one replaces an earlier one, which is worth a warning."""
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


def _proxmox_flags(ctx: Context, model: str) -> _Flags:
    if ctx.is_arm:
        return {}
    flags: _Flags = {}

    def add(text: str, why: str) -> None:
        flags[text[1:]] = _Flag(text, f"{_SET_BY_PVE}; {why}")

    if model == "kvm64":
        add("+lahf_lm", "to support Windows 8.1 and later")
    if model in {"kvm64", "kvm32"}:
        add("+sep", "to support newer guests")
    if model.startswith("Opteron"):
        add("-rdtscp", "broken on AMD Opteron")
    if ctx.ostype == "solaris":
        add("-x2apic", "incompatible with Solaris")
    if ctx.kvm and ctx.guest.machine.is_at_least(2, 3):
        add("+kvm_pv_unhalt", "to improve Linux guest spinlock performance")
        add("+kvm_pv_eoi", "to improve Linux guest interrupt performance")
    if ctx.windows >= WINDOWS_11 and ctx.installed >= (11, 0):
        add("-cet-ibt", "breaks Windows guests")
        add("-cet-ss", "breaks Windows guests")
        if _nests_windows(ctx) and not has_evmcs(ctx):
            add("-vmx-mbec", "slows Windows guests down without hv_evmcs")
    return flags


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


def _hyperv_flags(ctx: Context, vendor: str) -> _Flags:
    """Returns what makes Windows run well on KVM, each since its machine version."""
    too_old_for_uefi = ctx.windows < WINDOWS_8 and ctx.guest.settings.get("bios") == "ovmf"
    if not ctx.kvm or ctx.is_arm or ctx.windows < WINDOWS_VISTA or too_old_for_uefi:
        return {}
    reason = "automatic Hyper-V enlightenment for Windows"
    spinlocks = "0x1fff" if ctx.guest.machine.is_at_least(2, 3) else "0xffff"
    flags = {"hv_spinlocks": _Flag(f"hv_spinlocks={spinlocks}", reason)}
    if vendor:
        flags["hv_vendor_id"] = _Flag(f"hv_vendor_id={vendor}", reason)
    for machine, windows, name in _HYPERV:
        if ctx.windows >= windows and ctx.guest.machine.is_at_least(*machine):
            flags[name] = _Flag(name, reason)
    if has_evmcs(ctx):
        flags["hv_evmcs"] = _Flag("hv_evmcs", reason)
    return flags


def _listed_flags(ctx: Context, fields: _Fields, reason: str) -> _Flags:
    """Returns the features of a list such as `+aes;-pcid`."""
    flags: _Flags = {}
    for text in re.split(r"[;\s]+", _text(fields, "flags") or ""):
        sign, name = text[:1], text[1:]
        if not name:
            continue
        if name == "nested-virt":
            name = _NESTED.get(ctx.host.cpu.vendor, "vmx")
        flags[name] = _Flag(f"{sign}{name}", reason)
    return flags


def _forced_flags(ctx: Context, model: str, *, hidden: bool) -> _Flags:
    """Returns what no config can change."""
    flags: _Flags = {}
    if ctx.kvm and model != "host" and not ctx.is_arm:
        flags["enforce"] = _Flag("enforce", "error if requested CPU settings not available")
    if hidden:
        flags["kvm"] = _Flag("kvm=off", "hide KVM virtualization from guest")
    vendor = VENDORS.get(model)
    if vendor and not ctx.is_arm:
        flags["vendor"] = _Flag(f"vendor={vendor}", "to use the model's own vendor")
    return flags
